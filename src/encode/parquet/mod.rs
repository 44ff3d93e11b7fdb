//! Apache Parquet files, laid out as Hive's writer does.
//!
//! | file | what it holds |
//! |---|---|
//! | `schema.rs` | Hive's types as Parquet's, and the leaves among them |
//! | `properties.rs` | the options below in the words of the `parquet` crate |
//! | `writer.rs` | rows to chunks, chunks to row groups, row groups to a file |
//! | `plain.rs` | a column's chunk as Firehose's defaults ask for it: plain pages |
//! | `levels.rs`, `values.rs`, `bounds.rs` | what such a page holds, from Arrow's arrays |
//! | `runs.rs`, `codec.rs`, `pages.rs` | levels to runs, pages to compressed ones that wait |
//! | `timestamps.rs` | timestamps with dictionaries or in the second version's pages |

mod bounds;
mod codec;
mod levels;
mod pages;
mod plain;
mod properties;
mod runs;
mod schema;
mod timestamps;
mod values;
mod writer;

#[cfg(test)]
mod tests;

pub use writer::{WriteError, Writer};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::ByteSize;

/// Options of Parquet files (Firehose's ParquetSerDe, and more).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// How pages are compressed.
    pub compression: Compression,
    /// Size of a row group before it is closed. Firehose: at least 64 MiB.
    pub block_size: ByteSize,
    /// Size of a page, which it may outgrow by a quarter, or by one long row. Firehose: at least
    /// 64 KiB. Below 1 KiB and above 256 MiB those are taken.
    pub page_size: ByteSize,
    /// Writes values that repeat once, in a dictionary.
    pub enable_dictionary_compression: bool,
    /// Format of pages.
    pub writer_version: WriterVersion,
    /// How timestamps are written.
    pub timestamp_unit: TimestampUnit,
    /// Columns that get a Bloom filter (beyond Firehose); `a.b` names a field of a struct (or of
    /// the structs in an array), `a.key` and `a.value` those of a map.
    pub bloom_filter_columns: Vec<String>,
    /// Share of wrong hits a Bloom filter may give, at up to a million values in a row group: at
    /// least 0.0001 and below 1.
    pub bloom_filter_false_positive_probability: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            compression: Compression::Snappy,
            block_size: ByteSize(256 << 20),
            page_size: ByteSize(1 << 20),
            enable_dictionary_compression: false,
            writer_version: WriterVersion::V1,
            timestamp_unit: TimestampUnit::Int96,
            bloom_filter_columns: Vec::new(),
            bloom_filter_false_positive_probability: 0.05,
        }
    }
}

/// How pages are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    #[default]
    Snappy,
    Gzip,
    Uncompressed,
    /// Beyond Firehose.
    Zstd,
}

/// Format of pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WriterVersion {
    #[default]
    V1,
    V2,
}

/// How timestamps are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    /// 96 bits, as Hive and Firehose do: what Athena, Spark and Redshift Spectrum read without
    /// being told anything.
    #[default]
    Int96,
    /// 64 bits since 1970 in UTC, cut to the earlier millisecond. Spark and Athena read the same
    /// `timestamp` as from INT96; pyarrow and DuckDB show one with a time zone.
    Millis,
    /// The same in microseconds.
    Micros,
    /// The same in nanoseconds, which readers that know converted types alone take for a bigint.
    Nanos,
}
