//! Apache ORC files, written from rows in Arrow's form.
//!
//! The format is that of the ORC v1 specification (<https://orc.apache.org/specification/ORCv1/>):
//! file version 0.12, or 0.11 if the options say so. A file is the magic, stripes of some 64 MiB,
//! and a tail that says where all things are:
//!
//! ```text
//! ORC │ stripe │ stripe │ … │ metadata │ footer │ postscript │ its length
//!       └ index streams │ data streams │ footer
//! ```
//!
//! Rows go down the tree of columns, from which parents have taken those that are null. Each
//! column encodes its values to streams, each stream is cut into chunks and compressed. Every
//! `row_index_stride` rows the positions of all streams and the statistics of the values between
//! are noted, so that readers can skip what they do not look for.

mod bloom;
mod column;
mod proto;
mod rle;
mod stats;
mod stream;
mod stripe;
#[cfg(test)]
mod tests;
mod writer;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::writer::{WriteError, Writer};
use crate::units::ByteSize;

/// Options of ORC files (Firehose's OrcSerDe).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How streams are compressed.
    pub compression: Compression,
    /// Size of a stripe. Firehose: at least 8 MiB.
    pub stripe_size: ByteSize,
    /// Size of a block of the filesystem, which stripes are padded to.
    pub block_size: ByteSize,
    /// Rows between two entries of the index. Firehose: at least 1,000.
    pub row_index_stride: u32,
    /// Fills blocks up, so that no stripe lies in two.
    pub enable_padding: bool,
    /// Share of the stripe's size that padding may take.
    pub padding_tolerance: f64,
    /// Columns that get a Bloom filter.
    pub bloom_filter_columns: Vec<String>,
    /// Share of wrong hits a Bloom filter may give.
    pub bloom_filter_false_positive_probability: f64,
    /// Share of distinct values up to which a dictionary is written; 1 is always, 0 never.
    pub dictionary_key_threshold: f64,
    /// Version of the file format.
    pub format_version: FormatVersion,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            compression: Compression::Snappy,
            stripe_size: ByteSize(64 << 20),
            block_size: ByteSize(256 << 20),
            row_index_stride: 10_000,
            enable_padding: false,
            padding_tolerance: 0.05,
            bloom_filter_columns: Vec::new(),
            bloom_filter_false_positive_probability: 0.05,
            dictionary_key_threshold: 0.8,
            format_version: FormatVersion::V0_12,
        }
    }
}

/// How streams are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    #[default]
    Snappy,
    Zlib,
    None,
    /// Beyond Firehose.
    Zstd,
}

/// Version of the file format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatVersion {
    /// Hive 0.11: run lengths of the first version.
    V0_11,
    /// Hive 0.12 and all since.
    #[default]
    V0_12,
}
