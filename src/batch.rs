//! Groups records by route until size or interval is due.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    limits,
    units::{ByteSize, Span},
};

/// When a batch is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Buffering {
    /// Size at which a batch is closed. Firehose: 1 to 128 MiB; here 1 byte to 1 GiB.
    pub size: ByteSize,
    /// Age of the oldest record at which a batch is closed. Firehose: 0 to 900 s; here to a day.
    pub interval: Span,
    /// Which bytes `size` counts.
    pub size_of: SizeOf,
}

impl Default for Buffering {
    fn default() -> Self {
        Self {
            size: ByteSize(limits::BUFFER_BYTES_DEFAULT),
            interval: Span(limits::BUFFER_INTERVAL_DEFAULT),
            size_of: SizeOf::default(),
        }
    }
}

/// Which bytes `buffering.size` counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SizeOf {
    /// The records' bytes before compression, as Firehose counts.
    #[default]
    Records,
    /// The object's bytes after compression, so that objects reach the size.
    Object,
}
