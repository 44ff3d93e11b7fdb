//! Batch to bytes: compression containers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an object's bytes are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// The bytes as they are.
    #[default]
    Uncompressed,
    /// One gzip member, `.gz`.
    Gzip,
    /// A ZIP archive with one entry, `.zip`.
    Zip,
    /// The snappy-java stream format (xerial), `.snappy`.
    Snappy,
    /// Hadoop's block framing of Snappy, `.snappy`.
    HadoopSnappy,
    /// One Zstandard frame, `.zst` (beyond Firehose).
    Zstd,
}
