//! What a user says of transforms: Firehose's processors under their own names in snake_case, and
//! a few of our own. The order of the list is the order of application.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::delimiter;
use crate::{
    limits,
    transform::{
        agent::{csv_to_json, log_to_json, single_line},
        cloudwatch,
        deaggregation::{self, DelimiterError, SubRecordType, SubRecords},
        decompression, lambda, schema_registry,
    },
};

/// One transform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransformSpec {
    /// Unpacks records that arrive compressed.
    Decompression(DecompressionSpec),
    /// Takes the log events out of what a CloudWatch Logs subscription sends.
    CloudwatchLogProcessing(cloudwatch::Options),
    /// Takes records apart that hold several.
    RecordDeaggregation(DeaggregationSpec),
    /// Hands records to a function and takes back what it made of them.
    Lambda(lambda::Options),
    /// Takes the keys of `!{partitionKeyFromQuery:…}` from JSON records.
    MetadataExtraction(ExtractionSpec),
    /// Keeps the records for which a jq filter is true (beyond Firehose).
    Filter(String),
    /// Makes records out of what a jq filter gives (beyond Firehose).
    Map(String),
    /// Decodes records that were written with a schema of a registry (Confluent's, AWS Glue's).
    DecodeSchemaRegistry(schema_registry::Options),
    /// Makes one line of a record of several (SINGLELINE of the Kinesis Agent).
    SingleLine(single_line::Options),
    /// Makes a JSON object of a line of columns (CSVTOJSON of the Kinesis Agent).
    CsvToJson(csv_to_json::Options),
    /// Makes a JSON object of a line of a log (LOGTOJSON of the Kinesis Agent).
    LogToJson(log_to_json::Options),
    /// Puts a delimiter behind every record when an object is put together.
    AppendDelimiter(Delimiter),
}

impl TransformSpec {
    /// The key it stands under in the configuration file.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Decompression(_) => "decompression",
            Self::CloudwatchLogProcessing(_) => "cloudwatch_log_processing",
            Self::RecordDeaggregation(_) => "record_deaggregation",
            Self::Lambda(_) => "lambda",
            Self::MetadataExtraction(_) => "metadata_extraction",
            Self::Filter(_) => "filter",
            Self::Map(_) => "map",
            Self::DecodeSchemaRegistry(_) => "decode_schema_registry",
            Self::SingleLine(_) => "single_line",
            Self::CsvToJson(_) => "csv_to_json",
            Self::LogToJson(_) => "log_to_json",
            Self::AppendDelimiter(_) => "append_delimiter",
        }
    }
}

/// How records are compressed, by its word or with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DecompressionSpec {
    Format(decompression::Format),
    Detailed(decompression::Options),
}

impl DecompressionSpec {
    /// The options of the transform.
    pub fn options(&self) -> decompression::Options {
        match self {
            Self::Format(format) => decompression::Options { compression_format: *format },
            Self::Detailed(options) => options.clone(),
        }
    }
}

/// How the records in a record are told apart: `json`, or with a delimiter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DeaggregationSpec {
    Kind(SubRecordType),
    Detailed {
        /// How the records in a record are told apart.
        sub_record_type: SubRecordType,
        /// What stands between them, with `delimited`; spelled as in `append_delimiter`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delimiter: Option<String>,
        /// The same as base64, as Firehose's own parameter has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delimiter_base64: Option<String>,
    },
}

/// Why it cannot be said how records are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubRecordsError {
    #[error("sub_record_type: delimited needs a delimiter")]
    Missing,
    #[error("delimiter and delimiter_base64 say the same: give one of them")]
    Both,
    #[error("a delimiter has no effect with sub_record_type: json")]
    Unused,
    #[error(transparent)]
    Delimiter(#[from] DelimiterError),
}

impl DeaggregationSpec {
    /// How the records in a record are told apart.
    ///
    /// # Errors
    /// The delimiter is missing, given twice, unused, empty, too long or no base64.
    pub fn sub_records(&self) -> Result<SubRecords, SubRecordsError> {
        let (kind, delimiter, base64) = match self {
            Self::Kind(kind) => (*kind, None, None),
            Self::Detailed { sub_record_type, delimiter, delimiter_base64 } => {
                (*sub_record_type, delimiter.as_deref(), delimiter_base64.as_deref())
            }
        };
        match (kind, delimiter, base64) {
            (SubRecordType::Json, None, None) => Ok(SubRecords::Json),
            (SubRecordType::Json, ..) => Err(SubRecordsError::Unused),
            (SubRecordType::Delimited, None, None) => Err(SubRecordsError::Missing),
            (SubRecordType::Delimited, Some(_), Some(_)) => Err(SubRecordsError::Both),
            (SubRecordType::Delimited, Some(text), None) => {
                let bytes = delimiter::bytes(text);
                match bytes.len() {
                    0 => Err(DelimiterError::Empty.into()),
                    length if length > limits::DELIMITER_BYTES_MAX => {
                        Err(DelimiterError::TooLong(length).into())
                    }
                    _ => Ok(SubRecords::Delimited(bytes)),
                }
            }
            (SubRecordType::Delimited, None, Some(text)) => {
                Ok(SubRecords::Delimited(deaggregation::delimiter_from_base64(text)?))
            }
        }
    }
}

/// A jq query that gives one object, as text or under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ExtractionSpec {
    Text(String),
    Detailed {
        /// A jq expression that gives one object: `{app: .app, region: .meta.region}`.
        query: String,
    },
}

impl ExtractionSpec {
    /// The text of the query.
    pub fn query(&self) -> &str {
        match self {
            Self::Text(query) | Self::Detailed { query } => query,
        }
    }
}

/// A delimiter: the text itself (`"\n"`, also spelled `\n` or `\\n`), or with `if_missing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Delimiter {
    Text(String),
    Detailed {
        /// The text itself.
        delimiter: String,
        /// Only behind records that do not end with it already.
        #[serde(default)]
        if_missing: bool,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sub_records(value: serde_json::Value) -> Result<SubRecords, String> {
        let spec: DeaggregationSpec = serde_json::from_value(value).unwrap();
        spec.sub_records().map_err(|error| error.to_string())
    }

    #[test]
    fn every_spelling_of_sub_records() {
        let delimited = |bytes: &[u8]| Ok(SubRecords::Delimited(bytes.to_vec()));
        let refused = |why: &str| Err(why.to_owned());
        for (value, expected) in [
            (json!("json"), Ok(SubRecords::Json)),
            (json!({"sub_record_type": "json"}), Ok(SubRecords::Json)),
            (json!({"sub_record_type": "delimited", "delimiter": "\\n"}), delimited(b"\n")),
            (json!({"sub_record_type": "delimited", "delimiter": "||"}), delimited(b"||")),
            (json!({"sub_record_type": "delimited", "delimiter_base64": "Cg=="}), delimited(b"\n")),
            (json!("delimited"), refused("sub_record_type: delimited needs a delimiter")),
            (
                json!({"sub_record_type": "json", "delimiter": ","}),
                refused("a delimiter has no effect with sub_record_type: json"),
            ),
            (
                json!({"sub_record_type": "delimited", "delimiter": ",", "delimiter_base64": "LA=="}),
                refused("delimiter and delimiter_base64 say the same: give one of them"),
            ),
            (
                json!({"sub_record_type": "delimited", "delimiter_base64": "?"}),
                refused("the delimiter is not base64"),
            ),
            (
                json!({"sub_record_type": "delimited", "delimiter": ""}),
                refused("the delimiter is empty"),
            ),
            (
                json!({"sub_record_type": "delimited", "delimiter": "x".repeat(65)}),
                refused("the delimiter has 65 bytes, more than 64"),
            ),
        ] {
            assert_eq!(sub_records(value.clone()), expected, "{value}");
        }
    }

    #[test]
    fn short_forms_say_the_same_as_long_ones() {
        let read = |value| serde_json::from_value::<TransformSpec>(value).unwrap();
        let format = |spec| match spec {
            TransformSpec::Decompression(spec) => spec.options().compression_format,
            other => panic!("{other:?}"),
        };
        for (value, expected) in [
            (json!({"decompression": "zlib"}), decompression::Format::Zlib),
            (json!({"decompression": {"compression_format": "zstd"}}), decompression::Format::Zstd),
            (json!({"decompression": {}}), decompression::Format::Gzip),
        ] {
            assert_eq!(format(read(value)), expected);
        }
        for value in [
            json!({"metadata_extraction": "{a: .b}"}),
            json!({"metadata_extraction": {"query": "{a: .b}"}}),
        ] {
            let TransformSpec::MetadataExtraction(spec) = read(value) else { panic!() };
            assert_eq!(spec.query(), "{a: .b}");
        }
    }

    #[test]
    fn a_transform_knows_its_key() {
        for value in [
            json!({"decompression": "gzip"}),
            json!({"cloudwatch_log_processing": {}}),
            json!({"record_deaggregation": "json"}),
            json!({"lambda": {"function": "f"}}),
            json!({"metadata_extraction": "{a}"}),
            json!({"filter": ".a"}),
            json!({"map": ".a"}),
            json!({"single_line": {}}),
            json!({"csv_to_json": {"custom_field_names": ["a"]}}),
            json!({"log_to_json": {"log_format": "syslog"}}),
            json!({"append_delimiter": ","}),
        ] {
            let spec: TransformSpec = serde_json::from_value(value.clone()).unwrap();
            assert!(value.get(spec.key()).is_some(), "{value}");
        }
    }
}
