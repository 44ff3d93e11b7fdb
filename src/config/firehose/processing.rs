//! ProcessingConfiguration: what is allowed, and what the service adds to it.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::ApiError;
use crate::{
    config::delimiter,
    limits,
    transform::{deaggregation::delimiter_from_base64, jq::Extraction},
};

/// What a Lambda's ARN looks like: with or without a version or an alias.
static LAMBDA_ARN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\Aarn:[^:]+:lambda:[a-zA-Z0-9-]+:[0-9]{12}:function:[a-zA-Z0-9_-]+(:(\$LATEST|[a-zA-Z0-9_-]+))?\z")
        .expect("a test compiles it")
});

/// What a Lambda processor takes, in the order in which the service stores it.
const LAMBDA_PARAMETERS: [&str; 5] =
    ["LambdaArn", "NumberOfRetries", "RoleArn", "BufferSizeInMBs", "BufferIntervalInSeconds"];

/// The processors of a configuration.
pub(super) fn processors(document: &Map<String, Value>) -> &[Value] {
    let configuration = document.get("ProcessingConfiguration");
    configuration.and_then(|c| c["Processors"].as_array()).map_or(&[], Vec::as_slice)
}

/// Whether processing is on; omitted means off.
pub(super) fn enabled(document: &Map<String, Value>) -> bool {
    let configuration = document.get("ProcessingConfiguration");
    configuration.is_some_and(|c| c["Enabled"].as_bool().unwrap_or(false))
}

/// The first processor of a type.
pub(super) fn find<'a>(document: &'a Map<String, Value>, kind: &str) -> Option<&'a Value> {
    processors(document).iter().find(|processor| processor["Type"] == kind)
}

/// The value of a processor's parameter.
pub(super) fn parameter<'a>(processor: &'a Value, name: &str) -> Option<&'a str> {
    let parameters = processor["Parameters"].as_array()?;
    let found = parameters.iter().find(|parameter| parameter["ParameterName"] == name)?;
    found["ParameterValue"].as_str()
}

/// The service's rules.
pub(super) fn check(document: &Map<String, Value>, partitioned: bool) -> Result<(), ApiError> {
    let processors = processors(document);
    if processors.iter().any(has_duplicates) {
        return refuse("Duplicate ProcessorParameter passed to ProcessingConfiguration.");
    }
    // Known of Lambda; nothing else would make sense twice either.
    for (at, processor) in processors.iter().enumerate() {
        let kind = &processor["Type"];
        if processors[..at].iter().any(|before| before["Type"] == *kind) {
            let kind = kind.as_str().unwrap_or_default();
            return refuse(&format!("Cannot have more than 1 {kind} processor."));
        }
    }
    for processor in processors {
        match processor["Type"].as_str().unwrap_or_default() {
            "Lambda" => check_lambda(processor)?,
            kind @ ("RecordDeAggregation" | "MetadataExtraction") if !partitioned => {
                return refuse(&format!(
                    "class com.amazonaws.services.firehose.internal.model.{kind}Processor can \
                     only be present when Dynamic Partitioning is enabled."
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn has_duplicates(processor: &Value) -> bool {
    let parameters = processor["Parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let name = |at: usize| &parameters[at]["ParameterName"];
    (1..parameters.len()).any(|at| (0..at).any(|before| name(before) == name(at)))
}

fn check_lambda(processor: &Value) -> Result<(), ApiError> {
    let Some(arn) = parameter(processor, "LambdaArn") else {
        return refuse("LambdaArn is required when Lambda processor is used.");
    };
    if !LAMBDA_ARN.is_match(arn) {
        return refuse("Invalid lambda ARN.");
    }
    let size = parameter(processor, "BufferSizeInMBs");
    if size.is_some() != parameter(processor, "BufferIntervalInSeconds").is_some() {
        return refuse(
            "BufferSizeInMBs and BufferIntervalInSeconds must be specified together for the \
             Lambda processor.",
        );
    }
    Ok(())
}

/// The values of parameters, where processing is on. (The service may look at them in any case;
/// what is off harms nobody.)
pub(super) fn check_parameters(document: &Map<String, Value>) -> Result<(), ApiError> {
    if !enabled(document) {
        return Ok(());
    }
    for processor in processors(document) {
        let kind = processor["Type"].as_str().unwrap_or_default();
        let known: &[&str] = match kind {
            "Decompression" => &["CompressionFormat"],
            "CloudWatchLogProcessing" => &["DataMessageExtraction"],
            "RecordDeAggregation" => &["SubRecordType", "Delimiter"],
            "Lambda" => &LAMBDA_PARAMETERS,
            "MetadataExtraction" => &["MetadataExtractionQuery", "JsonParsingEngine"],
            _ => &["Delimiter"],
        };
        check_known(kind, processor, known)?;
        let one_of = |name, values| check_value(kind, processor, name, values);
        match kind {
            "Decompression" => one_of("CompressionFormat", &["GZIP"])?,
            "CloudWatchLogProcessing" => {
                one_of("DataMessageExtraction", &["true"])?;
                if find(document, "Decompression").is_none() {
                    return refuse(
                        "The processor CloudWatchLogProcessing can only be present together with \
                         the processor Decompression.",
                    );
                }
            }
            "RecordDeAggregation" => {
                one_of("SubRecordType", &["JSON", "DELIMITED"])?;
                check_delimiter(processor)?;
            }
            "Lambda" => check_lambda_numbers(processor)?,
            "MetadataExtraction" => {
                if parameter(processor, "JsonParsingEngine").is_some() {
                    one_of("JsonParsingEngine", &["JQ-1.6"])?;
                }
                check_query(processor)?;
            }
            _ => check_appended(processor)?,
        }
    }
    Ok(())
}

fn check_known(kind: &str, processor: &Value, known: &[&str]) -> Result<(), ApiError> {
    let parameters = processor["Parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let names = parameters.iter().filter_map(|parameter| parameter["ParameterName"].as_str());
    match names.into_iter().find(|name| !known.contains(name)) {
        Some(other) => {
            let known = known.join(", ");
            refuse(&format!("{kind} does not take the parameter {other}, only {known}."))
        }
        None => Ok(()),
    }
}

fn check_value(kind: &str, processor: &Value, name: &str, values: &[&str]) -> Result<(), ApiError> {
    match parameter(processor, name) {
        Some(value) if values.contains(&value) => Ok(()),
        Some(value) => refuse(&format!(
            "Invalid {name} for the {kind} processor: {value}. Allowed: {}.",
            values.join(", ")
        )),
        None => refuse(&format!("{name} is required when {kind} processor is used.")),
    }
}

fn check_delimiter(processor: &Value) -> Result<(), ApiError> {
    if parameter(processor, "SubRecordType") != Some("DELIMITED") {
        return Ok(());
    }
    let Some(delimiter) = parameter(processor, "Delimiter") else {
        return refuse("Delimiter is required when SubRecordType is DELIMITED.");
    };
    match delimiter_from_base64(delimiter) {
        Ok(_) => Ok(()),
        Err(error) => {
            refuse(&format!("Invalid Delimiter for the RecordDeAggregation processor: {error}."))
        }
    }
}

fn check_appended(processor: &Value) -> Result<(), ApiError> {
    let length = parameter(processor, "Delimiter").map_or(1, |text| delimiter::bytes(text).len());
    if length > limits::DELIMITER_BYTES_MAX {
        return refuse(&format!(
            "Invalid Delimiter for the AppendDelimiterToRecord processor: it has {length} bytes, \
             more than {}.",
            limits::DELIMITER_BYTES_MAX
        ));
    }
    Ok(())
}

fn check_lambda_numbers(processor: &Value) -> Result<(), ApiError> {
    let invalid = |name: &str, value: &str, allowed: &str| {
        refuse(&format!("Invalid {name} for the Lambda processor: {value}. Allowed: {allowed}."))
    };
    // Any number of retries passes with the service.
    if let Some(value) = parameter(processor, "NumberOfRetries")
        && value.parse::<u32>().is_err()
    {
        return invalid("NumberOfRetries", value, "whole numbers from 0");
    }
    for (name, range, allowed) in [
        ("BufferSizeInMBs", 0.2..=3.0, "0.2 to 3"),
        ("BufferIntervalInSeconds", 0.0..=900.0, "0 to 900"),
    ] {
        if let Some(value) = parameter(processor, name)
            && !value.parse().is_ok_and(|number: f64| range.contains(&number))
        {
            return invalid(name, value, allowed);
        }
    }
    Ok(())
}

fn check_query(processor: &Value) -> Result<(), ApiError> {
    let Some(query) = parameter(processor, "MetadataExtractionQuery") else {
        return refuse(
            "MetadataExtractionQuery is required when MetadataExtraction processor is used.",
        );
    };
    match Extraction::new(query) {
        Ok(_) => Ok(()),
        Err(error) => refuse(&format!(
            "Invalid MetadataExtractionQuery for the MetadataExtraction processor: {error}."
        )),
    }
}

/// The configuration as it is stored: `Enabled` and `Processors` are there, and Lambda parameters
/// are completed and put in the service's order. `size_mbs` is the default of BufferSizeInMBs, which
/// differs between destinations.
pub(super) fn materialise(configuration: Option<&Value>, role_arn: &str, size_mbs: &str) -> Value {
    let configuration = configuration.unwrap_or(&Value::Null);
    let processors = configuration["Processors"].as_array().map_or(&[][..], Vec::as_slice);
    let complete = |processor: &Value| match processor["Type"].as_str() {
        Some("Lambda") => complete_lambda(processor, role_arn, size_mbs),
        _ => processor.clone(),
    };
    json!({
        "Enabled": configuration["Enabled"].as_bool().unwrap_or(false),
        "Processors": processors.iter().map(complete).collect::<Vec<_>>(),
    })
}

fn complete_lambda(processor: &Value, role_arn: &str, size_mbs: &str) -> Value {
    let defaults = ["", "3", role_arn, size_mbs, "60"];
    let pair = |name: &str, value: &str| json!({"ParameterName": name, "ParameterValue": value});
    let mut parameters: Vec<Value> = LAMBDA_PARAMETERS
        .iter()
        .zip(defaults)
        .map(|(name, default)| (name, parameter(processor, name).unwrap_or(default)))
        // A stream of the configuration file may do without an ARN or a role.
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| pair(name, value))
        .collect();
    let given = processor["Parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let is_other = |p: &&Value| LAMBDA_PARAMETERS.iter().all(|name| p["ParameterName"] != *name);
    parameters.extend(given.iter().filter(is_other).cloned());
    json!({"Type": "Lambda", "Parameters": parameters})
}

fn refuse(message: &str) -> Result<(), ApiError> {
    Err(ApiError::invalid_argument(message))
}
