//! Between DataFormatConversionConfiguration and `format_conversion`.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::optional;
use crate::{
    config::{
        FormatConversion, S3Destination,
        firehose::{conversion, destination::Document},
    },
    encode::{
        columnar::{GlueTable, SchemaSource, Serializer, UnknownFields},
        orc, parquet,
        rows::{Deserializer, HiveJson, OpenxJson},
    },
    units::{ByteSize, Span},
};

/// How often the service looks up the latest version of a table is not documented.
const REFRESH: Duration = Duration::from_secs(60);

/// The conversion of a document; none when it is off.
pub(super) fn to_conversion(document: &Document) -> Option<FormatConversion> {
    if !conversion::converts(document) {
        return None;
    }
    let configuration = document.get("DataFormatConversionConfiguration")?;
    let role_arn = optional(document, "RoleARN");
    Some(FormatConversion {
        enabled: true,
        input: to_deserializer(configuration),
        output: to_serializer(&configuration["OutputFormatConfiguration"]["Serializer"]),
        schema: SchemaSource::Glue(to_table(
            &configuration["SchemaConfiguration"],
            role_arn.as_deref(),
        )),
        unknown_fields: UnknownFields::Drop,
    })
}

/// How records are read, of a whole DataFormatConversionConfiguration.
pub(in crate::config::firehose) fn to_deserializer(configuration: &Value) -> Deserializer {
    let deserializer = &configuration["InputFormatConfiguration"]["Deserializer"];
    let hive = &deserializer["HiveJsonSerDe"];
    if !hive.is_null() {
        let timestamp_formats = member(hive, "TimestampFormats").unwrap_or_default();
        return Deserializer::HiveJson(HiveJson { timestamp_formats });
    }
    let given = &deserializer["OpenXJsonSerDe"];
    let default = OpenxJson::default();
    Deserializer::OpenxJson(OpenxJson {
        case_insensitive: member(given, "CaseInsensitive").unwrap_or(default.case_insensitive),
        convert_dots_in_json_keys_to_underscores: member(
            given,
            "ConvertDotsInJsonKeysToUnderscores",
        )
        .unwrap_or(default.convert_dots_in_json_keys_to_underscores),
        column_to_json_key_mappings: member(given, "ColumnToJsonKeyMappings").unwrap_or_default(),
    })
}

fn to_serializer(serializer: &Value) -> Serializer {
    let given = &serializer["OrcSerDe"];
    if !given.is_null() {
        return Serializer::Orc(to_orc(given));
    }
    let given = &serializer["ParquetSerDe"];
    let default = parquet::Options::default();
    // MaxPaddingBytes is for files in blocks of HDFS, which an object in S3 does not have.
    Serializer::Parquet(parquet::Options {
        compression: word(given, "Compression").unwrap_or(default.compression),
        block_size: bytes(given, "BlockSizeBytes").unwrap_or(default.block_size),
        page_size: bytes(given, "PageSizeBytes").unwrap_or(default.page_size),
        enable_dictionary_compression: member(given, "EnableDictionaryCompression")
            .unwrap_or(default.enable_dictionary_compression),
        writer_version: word(given, "WriterVersion").unwrap_or(default.writer_version),
        ..default
    })
}

fn to_orc(given: &Value) -> orc::Options {
    let default = orc::Options::default();
    let stride = given["RowIndexStride"].as_u64();
    orc::Options {
        compression: word(given, "Compression").unwrap_or(default.compression),
        stripe_size: bytes(given, "StripeSizeBytes").unwrap_or(default.stripe_size),
        block_size: bytes(given, "BlockSizeBytes").unwrap_or(default.block_size),
        row_index_stride: stride
            .map_or(default.row_index_stride, |rows| u32::try_from(rows).unwrap_or(u32::MAX)),
        enable_padding: member(given, "EnablePadding").unwrap_or(default.enable_padding),
        padding_tolerance: member(given, "PaddingTolerance").unwrap_or(default.padding_tolerance),
        bloom_filter_columns: member(given, "BloomFilterColumns").unwrap_or_default(),
        bloom_filter_false_positive_probability: member(
            given,
            "BloomFilterFalsePositiveProbability",
        )
        .unwrap_or(default.bloom_filter_false_positive_probability),
        dictionary_key_threshold: member(given, "DictionaryKeyThreshold")
            .unwrap_or(default.dictionary_key_threshold),
        format_version: word(given, "FormatVersion").unwrap_or(default.format_version),
    }
}

fn to_table(given: &Value, role_arn: Option<&str>) -> GlueTable {
    let text = |name| member::<String>(given, name);
    GlueTable {
        database: text("DatabaseName").unwrap_or_default(),
        table: text("TableName").unwrap_or_default(),
        catalog_id: text("CatalogId"),
        region: text("Region"),
        version_id: text("VersionId").unwrap_or_else(|| "LATEST".to_owned()),
        refresh: Span(REFRESH),
        // A role that is the destination's says nothing new.
        role_arn: text("RoleARN").filter(|role| Some(role.as_str()) != role_arn),
        endpoint: None,
    }
}

/// A member as it stands; the constraints were held against it before.
fn member<T: DeserializeOwned>(given: &Value, name: &str) -> Option<T> {
    serde_json::from_value(given[name].clone()).ok()
}

/// A member of an enumeration: the API's words in lower case are ours.
fn word<T: DeserializeOwned>(given: &Value, name: &str) -> Option<T> {
    let text = given[name].as_str()?.to_ascii_lowercase();
    serde_json::from_value(Value::String(text)).ok()
}

fn bytes(given: &Value, name: &str) -> Option<ByteSize> {
    given[name].as_u64().map(ByteSize)
}

/// The configuration as the API shows it: options that are not the defaults. A schema that is not
/// in a Glue table cannot be shown.
pub(super) fn from_conversion(s3: &S3Destination) -> Value {
    let Some(conversion) = &s3.format_conversion else {
        return json!({"Enabled": false});
    };
    let mut answer = Map::new();
    if let SchemaSource::Glue(table) = &conversion.schema {
        answer.insert("SchemaConfiguration".into(), from_table(table, s3.role_arn.as_deref()));
    }
    let deserializer = from_deserializer(&conversion.input);
    answer.insert("InputFormatConfiguration".into(), json!({"Deserializer": deserializer}));
    let serializer = match &conversion.output {
        Serializer::Parquet(options) => json!({"ParquetSerDe": from_parquet(options)}),
        Serializer::Orc(options) => json!({"OrcSerDe": from_orc(options)}),
    };
    answer.insert("OutputFormatConfiguration".into(), json!({"Serializer": serializer}));
    answer.insert("Enabled".into(), json!(conversion.enabled));
    Value::Object(answer)
}

fn from_table(table: &GlueTable, role_arn: Option<&str>) -> Value {
    let mut shown = Shown::default();
    shown.optional("RoleARN", table.role_arn.as_deref().or(role_arn));
    shown.optional("CatalogId", table.catalog_id.as_deref());
    shown.optional("DatabaseName", Some(table.database.as_str()));
    shown.optional("TableName", Some(table.table.as_str()));
    shown.optional("Region", table.region.as_deref());
    shown.unless("VersionId", &table.version_id, &"LATEST".to_owned());
    shown.into()
}

fn from_deserializer(input: &Deserializer) -> Value {
    let mut shown = Shown::default();
    match input {
        Deserializer::HiveJson(options) => {
            shown.unless("TimestampFormats", &options.timestamp_formats, &Vec::new());
            json!({"HiveJsonSerDe": Value::from(shown)})
        }
        Deserializer::OpenxJson(options) => {
            let default = OpenxJson::default();
            shown.unless(
                "ConvertDotsInJsonKeysToUnderscores",
                &options.convert_dots_in_json_keys_to_underscores,
                &default.convert_dots_in_json_keys_to_underscores,
            );
            shown.unless("CaseInsensitive", &options.case_insensitive, &default.case_insensitive);
            shown.unless(
                "ColumnToJsonKeyMappings",
                &options.column_to_json_key_mappings,
                &default.column_to_json_key_mappings,
            );
            json!({"OpenXJsonSerDe": Value::from(shown)})
        }
    }
}

fn from_parquet(options: &parquet::Options) -> Value {
    let default = parquet::Options::default();
    let mut shown = Shown::default();
    shown.unless("BlockSizeBytes", &options.block_size, &default.block_size);
    shown.unless("PageSizeBytes", &options.page_size, &default.page_size);
    shown.word("Compression", &options.compression, &default.compression);
    shown.unless(
        "EnableDictionaryCompression",
        &options.enable_dictionary_compression,
        &default.enable_dictionary_compression,
    );
    shown.word("WriterVersion", &options.writer_version, &default.writer_version);
    shown.into()
}

fn from_orc(options: &orc::Options) -> Value {
    let default = orc::Options::default();
    let mut shown = Shown::default();
    shown.unless("StripeSizeBytes", &options.stripe_size, &default.stripe_size);
    shown.unless("BlockSizeBytes", &options.block_size, &default.block_size);
    shown.unless("RowIndexStride", &options.row_index_stride, &default.row_index_stride);
    shown.unless("EnablePadding", &options.enable_padding, &default.enable_padding);
    shown.unless("PaddingTolerance", &options.padding_tolerance, &default.padding_tolerance);
    shown.word("Compression", &options.compression, &default.compression);
    shown.unless(
        "BloomFilterColumns",
        &options.bloom_filter_columns,
        &default.bloom_filter_columns,
    );
    shown.unless(
        "BloomFilterFalsePositiveProbability",
        &options.bloom_filter_false_positive_probability,
        &default.bloom_filter_false_positive_probability,
    );
    shown.unless(
        "DictionaryKeyThreshold",
        &options.dictionary_key_threshold,
        &default.dictionary_key_threshold,
    );
    shown.word("FormatVersion", &options.format_version, &default.format_version);
    shown.into()
}

/// The members of a structure that are shown.
#[derive(Default)]
struct Shown(Map<String, Value>);

impl Shown {
    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), json!(value));
        }
    }

    fn unless<T: Serialize + PartialEq>(&mut self, name: &str, value: &T, default: &T) {
        if value != default {
            self.0.insert(name.to_owned(), json!(value));
        }
    }

    /// A word of an enumeration: ours in upper case are the API's.
    fn word<T: Serialize + PartialEq>(&mut self, name: &str, value: &T, default: &T) {
        if value != default {
            let word = json!(value).as_str().unwrap_or_default().to_ascii_uppercase();
            self.0.insert(name.to_owned(), json!(word));
        }
    }
}

impl From<Shown> for Value {
    fn from(shown: Shown) -> Self {
        Self::Object(shown.0)
    }
}
