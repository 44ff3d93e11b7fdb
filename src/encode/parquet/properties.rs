//! Our options in the words of the `parquet` crate.

use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion as Version};

use super::{
    Options, TimestampUnit, WriteError, WriterVersion,
    codec::named,
    schema::{Kind, Layout, Leaf},
};
use crate::{
    encode::schema::TableSchema,
    limits::{
        PARQUET_BLOOM_FILTER_PROBABILITY_MIN, PARQUET_BLOOM_FILTERS_MAX, PARQUET_PAGE_BYTES_MAX,
        PARQUET_PAGE_BYTES_MIN,
    },
};

/// Who wrote the file, in the form that parquet-mr's VersionParser takes apart:
/// `application version semver (build hash)`.
pub(super) fn created_by() -> String {
    let build = option_env!("STANDPIPE_COMMIT").unwrap_or("unknown");
    format!("standpipe version {} (build {build})", env!("CARGO_PKG_VERSION"))
}

/// Bytes a page is aimed at.
pub(super) fn page_bytes(options: &Options) -> usize {
    options.page_size.0.clamp(PARQUET_PAGE_BYTES_MIN, PARQUET_PAGE_BYTES_MAX) as usize
}

pub(super) fn properties(
    options: &Options,
    layout: &Layout,
) -> Result<WriterProperties, WriteError> {
    let page_bytes = page_bytes(options);
    let mut builder = WriterProperties::builder()
        .set_created_by(created_by())
        .set_writer_version(match options.writer_version {
            WriterVersion::V1 => Version::PARQUET_1_0,
            WriterVersion::V2 => Version::PARQUET_2_0,
        })
        .set_compression(named(options.compression)?)
        .set_dictionary_enabled(options.enable_dictionary_compression)
        .set_dictionary_page_size_limit(page_bytes)
        .set_data_page_size_limit(page_bytes)
        .set_statistics_enabled(EnabledStatistics::Page);
    if options.timestamp_unit == TimestampUnit::Int96 {
        // INT96 has no defined order (parquet.thrift, `ColumnOrder`): readers drop its statistics,
        // or worse, believe them.
        for leaf in layout.leaves.iter().filter(|leaf| leaf.kind == Kind::Timestamp) {
            let none = EnabledStatistics::None;
            builder = builder.set_column_statistics_enabled(leaf.path.clone(), none);
        }
    }
    for leaf in bloom_filters(options, layout)? {
        builder = builder.set_column_bloom_filter_enabled(leaf.path.clone(), true);
        let probability = options.bloom_filter_false_positive_probability;
        builder = builder.set_column_bloom_filter_fpp(leaf.path.clone(), probability);
    }
    Ok(builder.build())
}

impl Options {
    /// The same without Bloom filters that files of this schema cannot have.
    pub(in crate::encode) fn with_filters_of(&self, schema: &TableSchema) -> Self {
        let mut options = self.clone();
        match Layout::new(schema, self.timestamp_unit) {
            Ok(layout) => {
                options.bloom_filter_columns.retain(|name| bloom_filter(name, &layout).is_ok());
            }
            // There is no such file at all, which its writer tells.
            Err(_) => options.bloom_filter_columns.clear(),
        }
        options
    }
}

/// The leaves that get a filter.
fn bloom_filters<'a>(options: &Options, layout: &'a Layout) -> Result<Vec<&'a Leaf>, WriteError> {
    let names = &options.bloom_filter_columns;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let probability = options.bloom_filter_false_positive_probability;
    if !(PARQUET_BLOOM_FILTER_PROBABILITY_MIN..1.0).contains(&probability) {
        return Err(WriteError::BloomFilterProbability { probability });
    }
    if names.len() > PARQUET_BLOOM_FILTERS_MAX {
        return Err(WriteError::TooManyBloomFilters { max: PARQUET_BLOOM_FILTERS_MAX });
    }
    names.iter().map(|name| bloom_filter(name, layout)).collect()
}

fn bloom_filter<'a>(name: &str, layout: &'a Layout) -> Result<&'a Leaf, WriteError> {
    let leaf = layout.leaves.iter().find(|leaf| leaf.name == name);
    let column = || name.to_owned();
    let leaf = leaf.ok_or_else(|| WriteError::UnknownBloomFilterColumn { column: column() })?;
    if leaf.kind == Kind::Boolean {
        return Err(WriteError::BloomFilterOfBoolean { column: column() });
    }
    Ok(leaf)
}
