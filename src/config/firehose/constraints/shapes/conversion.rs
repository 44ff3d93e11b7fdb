//! Record format conversion. Members stand in the order in which violations are listed.

use super::scalars::{NON_EMPTY_STRING, NON_EMPTY_STRING_WITHOUT_WHITESPACE};
use crate::config::firehose::constraints::{Member, Shape, any_list, at_least, may, one_of};

pub const DATA_FORMAT_CONVERSION_CONFIGURATION: &[Member] = &[
    may("OutputFormatConfiguration", Shape::Structure(OUTPUT_FORMAT_CONFIGURATION)),
    may("InputFormatConfiguration", Shape::Structure(INPUT_FORMAT_CONFIGURATION)),
    may("SchemaConfiguration", Shape::Structure(SCHEMA_CONFIGURATION)),
    may("Enabled", Shape::Boolean),
];

pub const SCHEMA_CONFIGURATION: &[Member] = &[
    may("VersionId", NON_EMPTY_STRING_WITHOUT_WHITESPACE),
    may("CatalogId", NON_EMPTY_STRING_WITHOUT_WHITESPACE),
    may("DatabaseName", NON_EMPTY_STRING_WITHOUT_WHITESPACE),
    may("RoleARN", NON_EMPTY_STRING_WITHOUT_WHITESPACE),
    may("Region", NON_EMPTY_STRING_WITHOUT_WHITESPACE),
    may("TableName", NON_EMPTY_STRING_WITHOUT_WHITESPACE),
];

pub const INPUT_FORMAT_CONFIGURATION: &[Member] =
    &[may("Deserializer", Shape::Structure(DESERIALIZER))];

pub const DESERIALIZER: &[Member] = &[
    may("OpenXJsonSerDe", Shape::Structure(OPENX_JSON_SERDE)),
    may("HiveJsonSerDe", Shape::Structure(HIVE_JSON_SERDE)),
];

pub const OPENX_JSON_SERDE: &[Member] = &[
    may("ConvertDotsInJsonKeysToUnderscores", Shape::Boolean),
    may("CaseInsensitive", Shape::Boolean),
    may(
        "ColumnToJsonKeyMappings",
        Shape::Map { key: &NON_EMPTY_STRING_WITHOUT_WHITESPACE, value: &NON_EMPTY_STRING },
    ),
];

pub const HIVE_JSON_SERDE: &[Member] = &[may("TimestampFormats", any_list(&NON_EMPTY_STRING))];

pub const OUTPUT_FORMAT_CONFIGURATION: &[Member] =
    &[may("Serializer", Shape::Structure(SERIALIZER))];

pub const SERIALIZER: &[Member] = &[
    may("ParquetSerDe", Shape::Structure(PARQUET_SERDE)),
    may("OrcSerDe", Shape::Structure(ORC_SERDE)),
];

pub const PARQUET_SERDE: &[Member] = &[
    may("MaxPaddingBytes", at_least(0)),
    may("BlockSizeBytes", at_least(67_108_864)),
    may("PageSizeBytes", at_least(65_536)),
    may("Compression", one_of(&["SNAPPY", "GZIP", "UNCOMPRESSED"])),
    may("WriterVersion", one_of(&["V1", "V2"])),
    may("EnableDictionaryCompression", Shape::Boolean),
];

pub const ORC_SERDE: &[Member] = &[
    may("DictionaryKeyThreshold", Shape::Fraction),
    may("BlockSizeBytes", at_least(67_108_864)),
    may("RowIndexStride", at_least(1_000)),
    may("PaddingTolerance", Shape::Fraction),
    may("StripeSizeBytes", at_least(8_388_608)),
    may("Compression", one_of(&["ZLIB", "SNAPPY", "NONE"])),
    may("FormatVersion", one_of(&["V0_11", "V0_12"])),
    may("BloomFilterFalsePositiveProbability", Shape::Fraction),
    may("EnablePadding", Shape::Boolean),
    may("BloomFilterColumns", any_list(&NON_EMPTY_STRING_WITHOUT_WHITESPACE)),
];
