//! Record format conversion and dynamic partitioning: the service's rules, in its order.

use serde_json::{Map, Value};

use super::{
    ApiError,
    convert::to_deserializer,
    prefix::{self, Expression},
    processing,
};
use crate::{config::lake::unreadable_times, transform::jq::Extraction};

/// Whether records are converted; an omitted `Enabled` means yes.
pub(super) fn converts(document: &Map<String, Value>) -> bool {
    let configuration = document.get("DataFormatConversionConfiguration");
    configuration.is_some_and(|c| c["Enabled"].as_bool().unwrap_or(true))
}

/// Whether records are partitioned by keys.
pub(super) fn partitions(document: &Map<String, Value>) -> bool {
    let configuration = document.get("DynamicPartitioningConfiguration");
    configuration.is_some_and(|c| c["Enabled"].as_bool().unwrap_or(false))
}

fn hint(document: &Map<String, Value>, member: &str) -> Option<i64> {
    document.get("BufferingHints").and_then(|hints| hints[member].as_i64())
}

/// The rules of DataFormatConversionConfiguration.
pub(super) fn check_conversion(document: &Map<String, Value>) -> Result<(), ApiError> {
    if !converts(document) {
        return Ok(());
    }
    if document.get("CompressionFormat").is_some_and(|format| format != "UNCOMPRESSED") {
        return refuse(
            "The S3 destination's compression format must be set to UNCOMPRESSED when data format \
             conversion is enabled. To enable compression within the converted output format, set \
             the appropriate serialization option in the output format configuration.",
        );
    }
    if hint(document, "SizeInMBs").is_some_and(|size| size < 64) {
        return refuse(
            "BufferingHints.SizeInMBs must be at least 64 when data format conversion is enabled.",
        );
    }
    let configuration = &document["DataFormatConversionConfiguration"];
    for member in ["InputFormatConfiguration", "OutputFormatConfiguration", "SchemaConfiguration"] {
        if configuration[member].is_null() {
            return refuse(&format!("{member} must not be null"));
        }
    }
    let deserializer = &configuration["InputFormatConfiguration"]["Deserializer"];
    let serializer = &configuration["OutputFormatConfiguration"]["Serializer"];
    let count = |value: &Value| value.as_object().map_or(0, Map::len);
    for (name, value) in [("Deserializer", deserializer), ("Serializer", serializer)] {
        if count(value) == 0 {
            return refuse(&format!("{name} must not be null"));
        }
    }
    for (name, value) in [("deserializer", deserializer), ("serializer", serializer)] {
        if count(value) > 1 {
            return refuse(&format!("More than one {name} specified. Only one may be chosen."));
        }
    }
    let schema = &configuration["SchemaConfiguration"];
    for (member, printed) in
        [("RoleARN", "RoleArn"), ("DatabaseName", "DatabaseName"), ("TableName", "TableName")]
    {
        if schema[member].as_str().unwrap_or_default().is_empty() {
            return refuse(&format!("SchemaConfiguration.{printed} must not be null or empty"));
        }
    }
    check_deserializer(configuration)
}

/// The rules of DynamicPartitioningConfiguration.
pub(super) fn check_partitioning(document: &Map<String, Value>) -> Result<(), ApiError> {
    if !partitions(document) {
        return Ok(());
    }
    if hint(document, "SizeInMBs").is_some_and(|size| size < 64) {
        return refuse(
            "BufferingHints.SizeInMBs must be at least 64 when Dynamic Partitioning is enabled.",
        );
    }
    if hint(document, "IntervalInSeconds").is_some_and(|interval| interval < 60) {
        return refuse(
            "BufferingHints.IntervalInSeconds must be at least 60 seconds when Dynamic \
             Partitioning is enabled.",
        );
    }
    let text = document.get("Prefix").and_then(Value::as_str).unwrap_or_default();
    let expressions = prefix::expressions(text)?;
    if !expressions.iter().any(Expression::is_partition_key) {
        return refuse(
            "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning \
             is enabled",
        );
    }
    if !processing::enabled(document) {
        return refuse("Processing Configuration is not enabled when DataPartitioning is enabled");
    }
    let names = |namespace: &str| -> Vec<&str> {
        expressions.iter().filter(|e| e.namespace == namespace).map(|e| e.value).collect()
    };
    if !names("partitionKeyFromLambda").is_empty() && processing::find(document, "Lambda").is_none()
    {
        return refuse(
            "Lambda should be present when S3 Prefix contains keys from partitionKeyFromLambda \
             namespace",
        );
    }
    check_query(document, &names("partitionKeyFromQuery"))
}

/// Keys of the prefix and of the jq query must fit.
fn check_query(document: &Map<String, Value>, in_prefix: &[&str]) -> Result<(), ApiError> {
    let Some(extraction) = processing::find(document, "MetadataExtraction") else {
        return if in_prefix.is_empty() {
            Ok(())
        } else {
            refuse(
                "MetadataExtraction processor should be present when S3 Prefix has \
                 partitionKeyFromQuery namespace",
            )
        };
    };
    let query = processing::parameter(extraction, "MetadataExtractionQuery").unwrap_or_default();
    // A query that is none was refused before.
    let keys = Extraction::new(query).ok().and_then(|query| query.keys()).unwrap_or_default();
    if keys.iter().any(|key| !in_prefix.contains(&key.as_str())) {
        return refuse(
            "MetaDataExtraction JQ Query can't contain keys that are not present in the S3 Prefix \
             expression",
        );
    }
    Ok(())
}

/// Patterns of times that cannot be read. The columns are the table's and not known here, so
/// nothing else can be told.
fn check_deserializer(configuration: &Value) -> Result<(), ApiError> {
    match unreadable_times(&to_deserializer(configuration)) {
        Some(error) => refuse(&format!("Invalid deserializer option(s): {error}")),
        None => Ok(()),
    }
}

fn refuse(message: &str) -> Result<(), ApiError> {
    Err(ApiError::invalid_argument(message))
}
