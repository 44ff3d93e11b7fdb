//! UpdateDestination.

use serde_json::{Value, json};

use super::{LAMBDA, ROLE, create, ctx, extended, hose, invalid};
use crate::config::firehose::{ApiError, Hose, HoseContext};

fn body(hose: &Hose, member: &str, update: Value) -> Value {
    json!({
        "DeliveryStreamName": "hose",
        "CurrentDeliveryStreamVersionId": hose.version_id.to_string(),
        "DestinationId": "destinationId-000000000001",
        member: update,
    })
}

fn update(hose: &Hose, member: &str, change: Value) -> Result<Hose, ApiError> {
    hose.update(&body(hose, member, change), &ctx())
}

fn extend(hose: &Hose, change: Value) -> Result<Hose, ApiError> {
    update(hose, "ExtendedS3DestinationUpdate", change)
}

#[test]
fn a_change_counts_the_version_up_and_keeps_the_rest() {
    let before = create(json!({"Prefix": "a/", "CompressionFormat": "GZIP"})).unwrap();
    let later = HoseContext { now_ms: ctx().now_ms + 1500, ..ctx() };
    let after = before
        .update(&body(&before, "ExtendedS3DestinationUpdate", json!({"Prefix": "b/"})), &later)
        .unwrap();
    assert_eq!((before.version_id, after.version_id), (1, 2));
    let mut expected = extended(&before);
    expected["Prefix"] = json!("b/");
    assert_eq!(extended(&after), expected);
    let description = &after.describe()["DeliveryStreamDescription"];
    assert_eq!(description["VersionId"], "2");
    assert_eq!(description["LastUpdateTimestamp"], json!(1_700_000_001.75));
    assert_eq!(description["CreateTimestamp"], json!(1_700_000_000.25));
}

#[test]
fn one_update_of_the_right_destination_and_version() {
    let hose = hose();
    let one = "Exactly one destination configuration is supported for a Firehose";
    let mut two = body(&hose, "ExtendedS3DestinationUpdate", json!({}));
    two["S3DestinationUpdate"] = json!({});
    assert_eq!(invalid(hose.update(&two, &ctx())), one);
    assert_eq!(invalid(update(&hose, "ExtendedS3DestinationUpdate", Value::Null)), one);

    let mut other = body(&hose, "S3DestinationUpdate", json!({}));
    other["DestinationId"] = json!("destinationId-000000000002");
    assert_eq!(
        invalid(hose.update(&other, &ctx())),
        "Destination Id destinationId-000000000002 not found"
    );

    for stale in ["2", "01"] {
        let mut body = body(&hose, "S3DestinationUpdate", json!({}));
        body["CurrentDeliveryStreamVersionId"] = json!(stale);
        let error = hose.update(&body, &ctx()).expect_err("the version is stale");
        assert_eq!((error.kind, error.status), ("ConcurrentModificationException", 400));
        assert_eq!(
            error.message,
            format!(
                "Cannot update firehose: hose since the current version id: 1 and specified \
                 version id: {stale} do not match"
            )
        );
    }
    assert_eq!(
        invalid(update(&hose, "SplunkDestinationUpdate", json!({}))),
        "Changing the destination type to or from Splunk is not supported at this time."
    );
}

#[test]
fn members_are_replaced_one_by_one() {
    let kms = json!({"KMSEncryptionConfig":
        {"AWSKMSKeyARN": "arn:aws:kms:us-east-1:123456789012:key/k"}});
    let none = json!({"NoEncryptionConfig": "NoEncryption"});
    let start = create(json!({
        "EncryptionConfiguration": kms, "FileExtension": ".json", "CustomTimeZone": "Asia/Tokyo",
        "CloudWatchLoggingOptions": {"Enabled": true, "LogGroupName": "g", "LogStreamName": "s"},
    }))
    .unwrap();
    let cases = [
        ("RoleARN", json!("arn:aws:iam::123456789012:role/other"), None),
        ("BucketARN", json!("arn:aws:s3:::other"), None),
        ("Prefix", json!("p/"), None),
        ("ErrorOutputPrefix", json!("e/"), None),
        ("BufferingHints", json!({"SizeInMBs": 1, "IntervalInSeconds": 0}), None),
        ("CompressionFormat", json!("Snappy"), None),
        ("EncryptionConfiguration", none, None),
        ("CloudWatchLoggingOptions", json!({"Enabled": false}), None),
        ("FileExtension", json!(""), Some(Value::Null)),
        ("CustomTimeZone", json!("Europe/Berlin"), None),
        ("DynamicPartitioningConfiguration", json!({"Enabled": false}), None),
    ];
    for (member, value, shown) in cases {
        let after = extended(&extend(&start, json!({member: value})).unwrap());
        let mut expected = extended(&start);
        match shown {
            Some(_) => drop(expected.as_object_mut().unwrap().shift_remove(member)),
            None => expected[member] = value,
        }
        assert_eq!(after, expected, "{member}");
    }
}

#[test]
fn the_plain_update_touches_plain_members_only() {
    let start = create(json!({"FileExtension": ".json"})).unwrap();
    let change = json!({"Prefix": "p/", "FileExtension": ".txt"});
    let after = extended(&update(&start, "S3DestinationUpdate", change).unwrap());
    assert_eq!((&after["Prefix"], &after["FileExtension"]), (&json!("p/"), &json!(".json")));
}

#[test]
fn processing_is_replaced_whole() {
    let parameters = json!([{"ParameterName": "Delimiter", "ParameterValue": ","}]);
    let processors = json!([{"Type": "AppendDelimiterToRecord", "Parameters": parameters}]);
    let start = create(json!({
        "ProcessingConfiguration": {"Enabled": true, "Processors": processors},
    }))
    .unwrap();
    let after = extend(&start, json!({"ProcessingConfiguration": {"Enabled": false}})).unwrap();
    assert_eq!(
        extended(&after)["ProcessingConfiguration"],
        json!({"Enabled": false, "Processors": []})
    );
    let untouched = extend(&start, json!({"Prefix": "p/"})).unwrap();
    assert_eq!(extended(&untouched)["ProcessingConfiguration"]["Processors"], processors);
    let lambda = json!([{"Type": "Lambda", "Parameters":
        [{"ParameterName": "LambdaArn", "ParameterValue": LAMBDA}]}]);
    let change = json!({"ProcessingConfiguration": {"Enabled": true, "Processors": lambda}});
    let processors = extended(&extend(&start, change).unwrap())["ProcessingConfiguration"].take();
    assert_eq!(processors["Processors"].as_array().unwrap().len(), 1);
    assert_eq!(processors["Processors"][0]["Type"], "Lambda");
}

#[test]
fn conversion_merges_member_by_member_and_is_validated_merged() {
    let member = "DataFormatConversionConfiguration";
    let start = create(json!({member: {
        "Enabled": false,
        "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "d", "TableName": "t"},
        "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
    }}))
    .unwrap();
    let change = json!({member: {"SchemaConfiguration": {"TableName": "u", "Region": "eu"}}});
    let after = extend(&start, change).unwrap();
    assert_eq!(
        extended(&after)[member],
        json!({
            "Enabled": false,
            "SchemaConfiguration":
                {"RoleARN": ROLE, "DatabaseName": "d", "TableName": "u", "Region": "eu"},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
        })
    );
    // The stored hint counts as given.
    assert_eq!(
        invalid(extend(&start, json!({member: {"Enabled": true}}))),
        "BufferingHints.SizeInMBs must be at least 64 when data format conversion is enabled."
    );
    let hints = json!({"SizeInMBs": 64, "IntervalInSeconds": 60});
    let change = json!({member: {"Enabled": true}, "BufferingHints": hints});
    assert_eq!(invalid(extend(&start, change)), "InputFormatConfiguration must not be null");
}

#[test]
fn a_backup_can_be_enabled_and_not_disabled() {
    let update_of = |bucket: Value| json!({"S3BackupMode": "Enabled", "S3BackupUpdate": bucket});
    assert_eq!(
        invalid(extend(&hose(), json!({"S3BackupMode": "Enabled"}))),
        "S3BackupConfiguration must not be null when S3BackupMode is Enabled."
    );
    assert_eq!(
        invalid(extend(&hose(), update_of(json!({"RoleARN": ROLE})))),
        "S3BackupConfiguration.BucketARN must not be null."
    );
    let whole = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::raw"});
    let enabled = extend(&hose(), update_of(whole)).unwrap();
    assert_eq!(extended(&enabled)["S3BackupMode"], "Enabled");
    let moved = extend(&enabled, json!({"S3BackupUpdate": {"Prefix": "raw/"}})).unwrap();
    let backup = &extended(&moved)["S3BackupDescription"];
    assert_eq!(
        (&backup["Prefix"], &backup["BucketARN"]),
        (&json!("raw/"), &json!("arn:aws:s3:::raw"))
    );
    assert_eq!(
        invalid(extend(&moved, json!({"S3BackupMode": "Disabled"}))),
        "S3BackupMode cannot be changed from Enabled to Disabled."
    );
    assert_eq!(extend(&moved, json!({"S3BackupMode": "Enabled"})).unwrap().version_id, 4);
}

#[test]
fn dynamic_partitioning_cannot_be_enabled_later() {
    assert_eq!(
        invalid(extend(&hose(), json!({"DynamicPartitioningConfiguration": {"Enabled": true}}))),
        "Dynamic Partitioning can be enabled only when the delivery stream is created."
    );
}

#[test]
fn the_retries_of_a_partitioned_stream_change_alone() {
    let member = "DynamicPartitioningConfiguration";
    let parameters =
        json!([{"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{a: .x}"}]);
    let extraction = json!({"Type": "MetadataExtraction", "Parameters": parameters});
    let start = create(json!({
        member: {"Enabled": true},
        "Prefix": "!{partitionKeyFromQuery:a}/",
        "ErrorOutputPrefix": "errors/",
        "ProcessingConfiguration": {"Enabled": true, "Processors": [extraction]},
    }))
    .unwrap();
    assert_eq!(extended(&start)["BufferingHints"]["SizeInMBs"], 128);
    let retry = json!({"DurationInSeconds": 60});
    let after = extend(&start, json!({member: {"RetryOptions": retry}})).unwrap();
    assert_eq!(extended(&after)[member], json!({"Enabled": true, "RetryOptions": retry}));
    assert_eq!(
        invalid(extend(&start, json!({member: {"Enabled": false}}))),
        "Dynamic Partitioning cannot be disabled once it is enabled."
    );
    let change = json!({"Prefix": "!{partitionKeyFromQuery:b}/"});
    assert!(invalid(extend(&start, change)).starts_with("MetaDataExtraction JQ Query can't"));
}

#[test]
fn what_is_merged_is_validated() {
    // The error prefix is stored, the new prefix has expressions.
    let start = create(json!({"ErrorOutputPrefix": "e/!{firehose:error-output-type}/"})).unwrap();
    let change = json!({"Prefix": "!{timestamp:yyyy}/"});
    extend(&start, change.clone()).unwrap();
    let error = invalid(extend(&hose(), change));
    assert!(error.ends_with("cannot be null or empty when Prefix contains expressions"), "{error}");
    let error = invalid(extend(
        &extend(&start, json!({"Prefix": "!{timestamp:yyyy}/"})).unwrap(),
        json!({"ErrorOutputPrefix": ""}),
    ));
    assert!(error.ends_with("cannot be null or empty when Prefix contains expressions"), "{error}");
}
