//! Unpacks records that arrive compressed, as those of CloudWatch Logs do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Unpacks every record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How records are compressed. Firehose knows gzip.
    pub compression_format: Format,
}

/// How records are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One gzip member or several, one behind the other.
    #[default]
    Gzip,
    /// zlib streams (beyond Firehose).
    Zlib,
    /// Zstandard frames (beyond Firehose).
    Zstd,
}
