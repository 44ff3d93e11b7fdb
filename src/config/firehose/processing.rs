//! ProcessingConfiguration: what is allowed, and what the service adds to it.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::ApiError;

/// What a Lambda's ARN looks like: with or without a version or an alias.
static LAMBDA_ARN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\Aarn:[^:]+:lambda:[a-zA-Z0-9-]+:[0-9]{12}:function:[a-zA-Z0-9_-]+(:(\$LATEST|[a-zA-Z0-9_-]+))?\z")
        .expect("a test compiles it")
});

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

/// What is not built here, once the service's own rules hold.
pub(super) fn check_available(document: &Map<String, Value>) -> Result<(), ApiError> {
    if !enabled(document) {
        return Ok(());
    }
    for processor in processors(document) {
        let kind = processor["Type"].as_str().unwrap_or_default();
        if kind != "AppendDelimiterToRecord" {
            return refuse(&format!(
                "The processor {kind} is not available here. Available: AppendDelimiterToRecord."
            ));
        }
        let parameters = processor["Parameters"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(other) = parameters.iter().find(|p| p["ParameterName"] != "Delimiter") {
            let other = other["ParameterName"].as_str().unwrap_or_default();
            return refuse(&format!(
                "AppendDelimiterToRecord does not take the parameter {other}, only Delimiter."
            ));
        }
    }
    Ok(())
}

/// The configuration as it is stored: `Enabled` and `Processors` are there, and Lambda parameters
/// are completed and put in the service's order.
pub(super) fn materialise(configuration: Option<&Value>, role_arn: &str) -> Value {
    let configuration = configuration.unwrap_or(&Value::Null);
    let processors = configuration["Processors"].as_array().map_or(&[][..], Vec::as_slice);
    let complete = |processor: &Value| match processor["Type"].as_str() {
        Some("Lambda") => complete_lambda(processor, role_arn),
        _ => processor.clone(),
    };
    json!({
        "Enabled": configuration["Enabled"].as_bool().unwrap_or(false),
        "Processors": processors.iter().map(complete).collect::<Vec<_>>(),
    })
}

fn complete_lambda(processor: &Value, role_arn: &str) -> Value {
    let defaults = [
        ("LambdaArn", ""),
        ("NumberOfRetries", "3"),
        ("RoleArn", role_arn),
        ("BufferSizeInMBs", "1"),
        ("BufferIntervalInSeconds", "60"),
    ];
    let pair = |name: &str, value: &str| json!({"ParameterName": name, "ParameterValue": value});
    let mut parameters: Vec<Value> = defaults
        .iter()
        .map(|(name, default)| pair(name, parameter(processor, name).unwrap_or(default)))
        .collect();
    let given = processor["Parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let is_other = |p: &&Value| defaults.iter().all(|(name, _)| p["ParameterName"] != *name);
    parameters.extend(given.iter().filter(is_other).cloned());
    json!({"Type": "Lambda", "Parameters": parameters})
}

fn refuse(message: &str) -> Result<(), ApiError> {
    Err(ApiError::invalid_argument(message))
}
