//! The S3 destination's document: rules, defaults and merging.
//!
//! A stored document has the members of `ExtendedS3DestinationDescription`, with every default
//! written out; a request's document is brought into the same form before it is looked at.

use serde_json::{Map, Value, json};

use super::{
    ApiError,
    conversion::{check_conversion, check_partitioning, converts, partitions},
    prefix, processing,
};

pub(super) type Document = Map<String, Value>;

/// The members of `S3DestinationDescription`, in the order in which they are described.
pub(super) const PLAIN_MEMBERS: [&str; 8] = [
    "RoleARN",
    "BucketARN",
    "Prefix",
    "ErrorOutputPrefix",
    "BufferingHints",
    "CompressionFormat",
    "EncryptionConfiguration",
    "CloudWatchLoggingOptions",
];

/// What `ExtendedS3DestinationDescription` has beyond them.
const EXTENDED_MEMBERS: [&str; 7] = [
    "ProcessingConfiguration",
    "S3BackupMode",
    "S3BackupDescription",
    "DataFormatConversionConfiguration",
    "DynamicPartitioningConfiguration",
    "FileExtension",
    "CustomTimeZone",
];

/// The document of a new stream, from an S3DestinationConfiguration or an
/// ExtendedS3DestinationConfiguration without unknown members.
pub(super) fn create(configuration: &Value) -> Result<Document, ApiError> {
    let document = described(configuration, "S3BackupConfiguration");
    check(&document)?;
    Ok(materialise(document))
}

/// The stored document with an S3DestinationUpdate or ExtendedS3DestinationUpdate merged in.
pub(super) fn update(stored: &Document, update: &Value) -> Result<Document, ApiError> {
    let update = described(update, "S3BackupUpdate");
    check_switches(stored, &update)?;
    let mut merged = stored.clone();
    for (member, value) in update {
        match member.as_str() {
            "DataFormatConversionConfiguration" => merge_conversion(&mut merged, value),
            "S3BackupDescription" | "DynamicPartitioningConfiguration" => {
                merge_members(&mut merged, &member, value);
            }
            _ => {
                merged.insert(member, value);
            }
        }
    }
    check(&merged)?;
    Ok(materialise(merged))
}

/// A request's document with the members' names of a description.
fn described(request: &Value, backup: &str) -> Document {
    let mut document = request.as_object().cloned().unwrap_or_default();
    if let Some(value) = document.shift_remove(backup) {
        document.insert("S3BackupDescription".into(), value);
    }
    document
}

/// Sets each member of `value` in the structure `member`.
pub(super) fn merge_members(document: &mut Document, member: &str, value: Value) {
    let stored = document.entry(member).or_insert_with(|| json!({}));
    if let (Some(stored), Value::Object(value)) = (stored.as_object_mut(), value) {
        stored.extend(value);
    }
}

/// Conversion merges member by member, and so does its schema.
fn merge_conversion(document: &mut Document, mut value: Value) {
    let schema = value.as_object_mut().and_then(|c| c.shift_remove("SchemaConfiguration"));
    merge_members(document, "DataFormatConversionConfiguration", value);
    let conversion = document.get_mut("DataFormatConversionConfiguration");
    if let (Some(Value::Object(conversion)), Some(schema)) = (conversion, schema) {
        merge_members(conversion, "SchemaConfiguration", schema);
    }
}

/// What can be set only once.
fn check_switches(stored: &Document, update: &Document) -> Result<(), ApiError> {
    let mode = |document: &Document| document.get("S3BackupMode").cloned().unwrap_or_default();
    if mode(stored) == "Enabled" && mode(update) == "Disabled" {
        return refuse("S3BackupMode cannot be changed from Enabled to Disabled.");
    }
    let partitioning = "DynamicPartitioningConfiguration";
    let wanted = update.get(partitioning).and_then(|c| c["Enabled"].as_bool());
    match (partitions(stored), wanted) {
        (false, Some(true)) => {
            refuse("Dynamic Partitioning can be enabled only when the delivery stream is created.")
        }
        (true, Some(false)) => {
            refuse("Dynamic Partitioning cannot be disabled once it is enabled.")
        }
        _ => Ok(()),
    }
}

/// The service's rules in their order, as far as it is known.
fn check(document: &Document) -> Result<(), ApiError> {
    let partitioned = partitions(document);
    check_plain(document)?;
    check_conversion(document)?;
    processing::check(document, partitioned)?;
    processing::check_parameters(document)?;
    check_partitioning(document)?;
    prefix::check(document, partitioned)?;
    check_time_zone(document)?;
    check_backup(document)
}

/// Rules of the members that every S3 document has.
pub(super) fn check_plain(document: &Document) -> Result<(), ApiError> {
    check_hints(document)?;
    if let Some(encryption) = document.get("EncryptionConfiguration")
        && !encryption["NoEncryptionConfig"].is_null()
        && !encryption["KMSEncryptionConfig"].is_null()
    {
        return refuse(
            "Only one of NoEncryptionConfig and KMSEncryptionConfig can be specified in \
             EncryptionConfiguration.",
        );
    }
    check_logging(document)
}

/// Both hints or none.
pub(super) fn check_hints(document: &Document) -> Result<(), ApiError> {
    if let Some(hints) = document.get("BufferingHints")
        && hints["SizeInMBs"].is_null() != hints["IntervalInSeconds"].is_null()
    {
        return refuse(
            "BufferingHints.SizeInMBs and BufferingHints.IntervalInSeconds must be specified \
             together.",
        );
    }
    Ok(())
}

/// Names of the log where it is on.
pub(super) fn check_logging(document: &Document) -> Result<(), ApiError> {
    if let Some(logging) = document.get("CloudWatchLoggingOptions") {
        let missing = |member: &str| logging[member].as_str().unwrap_or_default().is_empty();
        if logging["Enabled"] == true && (missing("LogGroupName") || missing("LogStreamName")) {
            return refuse(
                "LogGroupName and LogStreamName must be specified when CloudWatchLoggingOptions \
                 are enabled.",
            );
        }
    }
    Ok(())
}

fn check_time_zone(document: &Document) -> Result<(), ApiError> {
    let zone = document.get("CustomTimeZone").and_then(Value::as_str).unwrap_or_default();
    if zone.is_empty() || zone == "UTC" {
        return Ok(());
    }
    if zone.len() == 3 {
        return refuse(&format!(
            "CustomTimeZone {zone} is not supported, the supported IANA time zone formats are \
             non-3-letter identifiers"
        ));
    }
    match jiff::tz::TimeZone::get(zone) {
        Ok(_) => Ok(()),
        Err(_) => refuse(&format!("CustomTimeZone {zone} is not an IANA time zone.")),
    }
}

fn check_backup(document: &Document) -> Result<(), ApiError> {
    let enabled = document.get("S3BackupMode").is_some_and(|mode| mode == "Enabled");
    let Some(Value::Object(backup)) = document.get("S3BackupDescription") else {
        return if enabled {
            refuse("S3BackupConfiguration must not be null when S3BackupMode is Enabled.")
        } else {
            Ok(())
        };
    };
    // An update may bring a backup member by member; together they must be whole.
    for member in ["RoleARN", "BucketARN"] {
        if !backup.contains_key(member) {
            return refuse(&format!("S3BackupConfiguration.{member} must not be null."));
        }
    }
    check_plain(backup)?;
    prefix::check(backup, false)
}

/// Writes out the defaults of a document that passed the rules.
fn materialise(given: Document) -> Document {
    let role_arn = given.get("RoleARN").and_then(Value::as_str).unwrap_or_default();
    let large = converts(&given) || partitions(&given);
    let mut document = plain_defaults(&given, if large { 128 } else { 5 });
    let mut default = |member: &str, value: Value| {
        document.insert(member.into(), given.get(member).cloned().unwrap_or(value));
    };
    default("S3BackupMode", json!("Disabled"));
    default("DataFormatConversionConfiguration", json!({"Enabled": false}));
    let processing = processing::materialise(given.get("ProcessingConfiguration"), role_arn, "1");
    document.insert("ProcessingConfiguration".into(), processing);
    if let Some(Value::Object(backup)) = given.get("S3BackupDescription") {
        document.insert("S3BackupDescription".into(), Value::Object(plain_defaults(backup, 5)));
    }
    if let Some(Value::Object(partitioning)) = given.get("DynamicPartitioningConfiguration") {
        let mut partitioning = partitioning.clone();
        partitioning.entry("Enabled").or_insert(json!(false));
        document.insert("DynamicPartitioningConfiguration".into(), partitioning.into());
    }
    for member in ["FileExtension", "CustomTimeZone"] {
        // An empty text means "not set".
        if let Some(value) = given.get(member).filter(|value| *value != "") {
            document.insert(member.into(), value.clone());
        }
    }
    in_order(&document, PLAIN_MEMBERS.iter().chain(&EXTENDED_MEMBERS))
}

/// The members of `S3DestinationDescription` with their defaults.
pub(super) fn plain_defaults(given: &Document, size_mbs: i64) -> Document {
    let given_hints = given.get("BufferingHints").unwrap_or(&Value::Null);
    let encryption = given.get("EncryptionConfiguration").filter(|e| **e != json!({}));
    let mut document = in_order(given, PLAIN_MEMBERS.iter());
    let values = [
        (
            "BufferingHints",
            json!({
                "SizeInMBs": given_hints["SizeInMBs"].as_i64().unwrap_or(size_mbs),
                "IntervalInSeconds": given_hints["IntervalInSeconds"].as_i64().unwrap_or(300),
            }),
        ),
        (
            "CompressionFormat",
            given.get("CompressionFormat").cloned().unwrap_or("UNCOMPRESSED".into()),
        ),
        (
            "EncryptionConfiguration",
            encryption.cloned().unwrap_or_else(|| json!({"NoEncryptionConfig": "NoEncryption"})),
        ),
        ("CloudWatchLoggingOptions", Value::Object(logging_defaults(given))),
    ];
    document.extend(values.map(|(member, value)| (member.to_owned(), value)));
    in_order(&document, PLAIN_MEMBERS.iter())
}

/// CloudWatchLoggingOptions, off unless told otherwise.
pub(super) fn logging_defaults(given: &Document) -> Document {
    let given = given.get("CloudWatchLoggingOptions").and_then(Value::as_object);
    let mut logging = Document::from_iter([("Enabled".to_owned(), json!(false))]);
    logging.extend(given.cloned().unwrap_or_default());
    logging
}

/// The members of `document` that are listed, in the order of the list.
pub(super) fn in_order<'a>(
    document: &Document,
    members: impl Iterator<Item = &'a &'static str>,
) -> Document {
    let present = |member: &&str| document.get_key_value(*member);
    members.filter_map(present).map(|(member, value)| (member.clone(), value.clone())).collect()
}

fn refuse(message: &str) -> Result<(), ApiError> {
    Err(ApiError::invalid_argument(message))
}
