//! Between ProcessingConfiguration and the list of transforms.

use std::time::Duration;

use serde_json::{Value, json};

use super::seconds;
use crate::{
    config::{
        DeaggregationSpec, DecompressionSpec, Delimiter, ExtractionSpec, TransformSpec,
        firehose::{
            destination::Document,
            processing::{self, parameter},
        },
    },
    limits::MIB,
    transform::{
        cloudwatch,
        deaggregation::{SubRecordType, SubRecords},
        decompression, lambda,
    },
    units::{ByteSize, Span},
};

/// The order in which the service applies processors, whatever the order of the list (developer
/// guide; AppendDelimiterToRecord is how objects are put together).
const ORDER: [&str; 6] = [
    "Decompression",
    "CloudWatchLogProcessing",
    "RecordDeAggregation",
    "Lambda",
    "MetadataExtraction",
    "AppendDelimiterToRecord",
];

/// The transforms of a document in the order of their application; none when processing is off.
/// `role_arn` is the destination's own.
pub(super) fn to_transforms(document: &Document, role_arn: Option<&str>) -> Vec<TransformSpec> {
    if !processing::enabled(document) {
        return Vec::new();
    }
    let found = ORDER.iter().filter_map(|kind| Some((*kind, processing::find(document, kind)?)));
    found.map(|(kind, processor)| to_transform(kind, processor, role_arn)).collect()
}

fn to_transform(kind: &str, processor: &Value, role_arn: Option<&str>) -> TransformSpec {
    match kind {
        "Decompression" => {
            TransformSpec::Decompression(DecompressionSpec::Format(decompression::Format::Gzip))
        }
        "CloudWatchLogProcessing" => TransformSpec::CloudwatchLogProcessing(cloudwatch::Options {
            data_message_extraction: parameter(processor, "DataMessageExtraction")
                .is_some_and(|value| value.eq_ignore_ascii_case("true")),
            ..cloudwatch::Options::default()
        }),
        "RecordDeAggregation" => TransformSpec::RecordDeaggregation(to_sub_records(processor)),
        "Lambda" => TransformSpec::Lambda(to_lambda(processor, role_arn)),
        "MetadataExtraction" => {
            let query = parameter(processor, "MetadataExtractionQuery").unwrap_or_default();
            TransformSpec::MetadataExtraction(ExtractionSpec::Text(query.to_owned()))
        }
        _ => {
            let delimiter = parameter(processor, "Delimiter").unwrap_or("\n").to_owned();
            TransformSpec::AppendDelimiter(Delimiter::Text(delimiter))
        }
    }
}

fn to_sub_records(processor: &Value) -> DeaggregationSpec {
    match parameter(processor, "SubRecordType") {
        Some("DELIMITED") => DeaggregationSpec::Detailed {
            sub_record_type: SubRecordType::Delimited,
            delimiter: None,
            delimiter_base64: parameter(processor, "Delimiter").map(str::to_owned),
        },
        _ => DeaggregationSpec::Kind(SubRecordType::Json),
    }
}

/// The stored processor names every parameter; a role that is the destination's says nothing new.
fn to_lambda(processor: &Value, role_arn: Option<&str>) -> lambda::Options {
    let default: lambda::Options =
        serde_json::from_value(json!({})).expect("every option has a default");
    let number = |name| parameter(processor, name).and_then(|text| text.trim().parse::<f64>().ok());
    let size = number("BufferSizeInMBs").map(|mbs| ByteSize((mbs * MIB as f64).round() as u64));
    let interval = number("BufferIntervalInSeconds")
        .and_then(|s| Duration::try_from_secs_f64(s).ok().map(Span));
    lambda::Options {
        function: parameter(processor, "LambdaArn").map(str::to_owned),
        number_of_retries: number("NumberOfRetries")
            .map_or(default.number_of_retries, |retries| retries as u32),
        buffer_size: size.unwrap_or(default.buffer_size),
        buffer_interval: interval.unwrap_or(default.buffer_interval),
        role_arn: parameter(processor, "RoleArn")
            .filter(|role| !role.is_empty() && Some(*role) != role_arn)
            .map(str::to_owned),
        ..default
    }
}

/// The configuration as the API shows it. What the API has no word for (filters, maps, a URL
/// instead of a function) is left out.
pub(super) fn from_transforms(transforms: &[TransformSpec], role_arn: Option<&str>) -> Value {
    let processor = |transform| from_transform(transform, role_arn);
    let processors: Vec<Value> = transforms.iter().filter_map(processor).collect();
    json!({"Enabled": !processors.is_empty(), "Processors": processors})
}

fn from_transform(transform: &TransformSpec, role_arn: Option<&str>) -> Option<Value> {
    let (kind, parameters) = match transform {
        TransformSpec::Decompression(spec) => {
            // Only GZIP is a value of the API; anything else would be untrue.
            let format = match spec.options().compression_format {
                decompression::Format::Gzip => "GZIP",
                decompression::Format::Zlib => "ZLIB",
                decompression::Format::Zstd => "ZSTD",
            };
            ("Decompression", vec![pair("CompressionFormat", format)])
        }
        TransformSpec::CloudwatchLogProcessing(options) => {
            let extracts = options.data_message_extraction || !options.metadata.is_empty();
            let value = if extracts { "true" } else { "false" };
            ("CloudWatchLogProcessing", vec![pair("DataMessageExtraction", value)])
        }
        TransformSpec::RecordDeaggregation(spec) => {
            ("RecordDeAggregation", from_sub_records(spec.sub_records().ok()?))
        }
        TransformSpec::Lambda(options) => ("Lambda", from_lambda(options, role_arn)),
        TransformSpec::MetadataExtraction(spec) => (
            "MetadataExtraction",
            vec![
                pair("MetadataExtractionQuery", spec.query()),
                pair("JsonParsingEngine", "JQ-1.6"),
            ],
        ),
        TransformSpec::AppendDelimiter(
            Delimiter::Text(delimiter) | Delimiter::Detailed { delimiter, .. },
        ) => ("AppendDelimiterToRecord", vec![pair("Delimiter", &as_templates_do(delimiter))]),
        TransformSpec::Filter(_)
        | TransformSpec::Map(_)
        | TransformSpec::DecodeSchemaRegistry(_)
        | TransformSpec::SingleLine(_)
        | TransformSpec::CsvToJson(_)
        | TransformSpec::LogToJson(_) => return None,
    };
    Some(json!({"Type": kind, "Parameters": parameters}))
}

fn pair(name: &str, value: &str) -> Value {
    json!({"ParameterName": name, "ParameterValue": value})
}

/// A parameter's value is never blank.
fn as_templates_do(delimiter: &str) -> String {
    delimiter.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

fn from_sub_records(sub_records: SubRecords) -> Vec<Value> {
    match sub_records {
        SubRecords::Json => vec![pair("SubRecordType", "JSON")],
        SubRecords::Delimited(bytes) => vec![
            pair("SubRecordType", "DELIMITED"),
            pair("Delimiter", &base64_simd::STANDARD.encode_to_string(bytes)),
        ],
    }
}

/// In the order and with the completeness in which the service stores them.
fn from_lambda(options: &lambda::Options, role_arn: Option<&str>) -> Vec<Value> {
    let mbs = options.buffer_size.0 as f64 / MIB as f64;
    let given = [
        ("LambdaArn", options.function.clone()),
        ("NumberOfRetries", Some(options.number_of_retries.to_string())),
        ("RoleArn", options.role_arn.as_deref().or(role_arn).map(str::to_owned)),
        ("BufferSizeInMBs", Some(mbs.to_string())),
        ("BufferIntervalInSeconds", Some(seconds(options.buffer_interval).to_string())),
    ];
    given.iter().filter_map(|(name, value)| Some(pair(name, value.as_deref()?))).collect()
}
