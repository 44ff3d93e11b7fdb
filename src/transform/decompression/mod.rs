//! Unpacks records that arrive compressed, as those of CloudWatch Logs do.
//!
//! A record that does not unpack fails alone, with one of these codes. AWS documents the error
//! output's prefix (`decompression-failed`) but no codes; these have the form of its other ones.
//!
//! | code | cause |
//! |---|---|
//! | `Decompression.Failed` | not compressed in this format, cut off, damaged, or followed by something else |
//! | `Decompression.SizeLimitExceeded` | more than [`limits::UNPACKED_BYTES_MAX`] come out of it |

mod unpack;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arena::{Arena, Place};
use crate::{
    fault::{Failure, output_type::DECOMPRESSION_FAILED},
    limits,
    record::{Piece, Record},
    seams::{Transform, Verdict},
};
use unpack::{UnpackError, Unpacker};

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

/// The step of the chain.
#[derive(Debug, Clone)]
pub struct Decompression {
    format: Format,
}

impl Decompression {
    pub fn new(options: &Options) -> Self {
        Self { format: options.compression_format }
    }
}

#[async_trait]
impl Transform for Decompression {
    fn name(&self) -> &'static str {
        "decompression"
    }

    fn expands(&self) -> bool {
        true
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let mut unpacker = Unpacker::new(self.format, limits::UNPACKED_BYTES_MAX);
        let mut arena = Arena::default();
        let unpacked: Vec<_> =
            records.iter().map(|record| unpacker.unpack(&record.data, &mut arena)).collect();
        let bytes = arena.finish();
        let verdict = |(result, record): (Result<Place, UnpackError>, &Record)| match result {
            Ok(place) => Verdict::Emit(Piece { data: bytes(place), notes: record.notes.clone() }),
            Err(error) => Verdict::Fail(failure(&error)),
        };
        unpacked.into_iter().zip(records).map(verdict).collect()
    }
}

fn failure(error: &UnpackError) -> Failure {
    let code = match error {
        UnpackError::TooLarge { .. } => "Decompression.SizeLimitExceeded",
        _ => "Decompression.Failed",
    };
    Failure::new(DECOMPRESSION_FAILED, code, error.to_string())
}

#[cfg(test)]
mod tests;
