//! DescribeDeliveryStream.

use serde_json::{Value, json};

use super::{ROLE, create, create_body, ctx, extended, hose};
use crate::config::firehose::{DESTINATION_ID, Hose, HoseContext};

fn plain_description() -> Value {
    json!({
        "RoleARN": ROLE,
        "BucketARN": "arn:aws:s3:::bucket",
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
        "CloudWatchLoggingOptions": {"Enabled": false},
    })
}

fn full_description(name: &str) -> Value {
    let mut extended = plain_description();
    extended["ProcessingConfiguration"] = json!({"Enabled": false, "Processors": []});
    extended["S3BackupMode"] = json!("Disabled");
    extended["DataFormatConversionConfiguration"] = json!({"Enabled": false});
    json!({"DeliveryStreamDescription": {
        "DeliveryStreamName": name,
        "DeliveryStreamARN":
            format!("arn:aws:firehose:us-east-1:123456789012:deliverystream/{name}"),
        "DeliveryStreamStatus": "ACTIVE",
        "DeliveryStreamEncryptionConfiguration": {"Status": "DISABLED"},
        "DeliveryStreamType": "DirectPut",
        "VersionId": "1",
        "CreateTimestamp": 1_700_000_000.25,
        "Destinations": [{
            "DestinationId": "destinationId-000000000001",
            "S3DestinationDescription": plain_description(),
            "ExtendedS3DestinationDescription": extended,
        }],
        "HasMoreDestinations": false,
    }})
}

#[test]
fn both_shapes_show_every_default_whichever_made_it() {
    assert_eq!(hose().describe(), full_description("hose"));
    let mut body = create_body(json!({}));
    let plain = body["ExtendedS3DestinationConfiguration"].take();
    body["S3DestinationConfiguration"] = plain;
    assert_eq!(Hose::create(&body, &ctx()).unwrap().describe(), full_description("hose"));
}

#[test]
fn unknown_members_and_nulls_are_not_shown() {
    let hose = create(json!({"Colour": "red", "Prefix": null, "CloudWatchLoggingOptions": null}));
    assert_eq!(hose.unwrap().describe(), full_description("hose"));
}

#[test]
fn whole_numbers_are_shown_as_such() {
    let hints = json!({"SizeInMBs": 7.0, "IntervalInSeconds": 60});
    let hose = create(json!({"BufferingHints": hints})).unwrap();
    assert_eq!(
        extended(&hose)["BufferingHints"].to_string(),
        r#"{"SizeInMBs":7,"IntervalInSeconds":60}"#
    );
}

#[test]
fn a_backup_is_described_with_its_defaults() {
    let hose = create(json!({
        "S3BackupMode": "Enabled",
        "S3BackupConfiguration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::bucket"},
        "FileExtension": ".json",
        "CustomTimeZone": "",
        "DynamicPartitioningConfiguration": {},
    }))
    .unwrap();
    let described = extended(&hose);
    assert_eq!(described["S3BackupDescription"], plain_description());
    assert_eq!(described["FileExtension"], ".json");
    assert_eq!(described["DynamicPartitioningConfiguration"], json!({"Enabled": false}));
    assert!(described.get("S3BackupConfiguration").is_none());
    assert!(described.get("CustomTimeZone").is_none());
}

#[test]
fn an_empty_extension_is_none() {
    assert!(
        extended(&create(json!({"FileExtension": ""})).unwrap()).get("FileExtension").is_none()
    );
}

#[test]
fn times_are_numbers_with_a_fraction() {
    let late = HoseContext { now_ms: 1_700_000_001_000, ..ctx() };
    let hose = Hose::create(&create_body(json!({})), &late).unwrap();
    let timestamp = &hose.describe()["DeliveryStreamDescription"]["CreateTimestamp"];
    assert_eq!(timestamp.to_string(), "1700000001.0");
}

#[test]
fn paging_past_the_one_destination_leaves_nothing() {
    let body = json!({"DeliveryStreamName": "hose", "Limit": 1});
    assert_eq!(hose().describe_for(&body).unwrap(), full_description("hose"));
    let body = json!({"DeliveryStreamName": "hose", "ExclusiveStartDestinationId": DESTINATION_ID});
    let answer = hose().describe_for(&body).unwrap();
    assert_eq!(answer["DeliveryStreamDescription"]["Destinations"], json!([]));
    assert_eq!(answer["DeliveryStreamDescription"]["HasMoreDestinations"], json!(false));
    let error = hose().describe_for(&json!({"DeliveryStreamName": "hose", "Limit": 0}));
    assert_eq!(error.expect_err("limit is out of range").kind, "ValidationException");
}

#[test]
fn the_persisted_state_survives_a_round_trip() {
    let mut body = create_body(json!({"Prefix": "a/", "CompressionFormat": "GZIP"}));
    body["Tags"] = json!([{"Key": "k", "Value": "v"}, {"Key": "alone"}]);
    body["DeliveryStreamEncryptionConfigurationInput"] = json!({"KeyType": "AWS_OWNED_CMK"});
    let hose = Hose::create(&body, &ctx()).unwrap();
    let stored = serde_json::to_string(&hose).unwrap();
    assert_eq!(serde_json::from_str::<Hose>(&stored).unwrap(), hose);
    assert_eq!(
        hose.describe()["DeliveryStreamDescription"]["DeliveryStreamEncryptionConfiguration"],
        json!({"KeyType": "AWS_OWNED_CMK", "Status": "ENABLED"})
    );
}

/// The first persisted form; what is added later must have a default.
#[test]
fn a_persisted_stream_of_the_first_form_is_read() {
    let stored = r#"{
        "name": "hose", "partition": "aws", "region": "us-east-1", "account_id": "123456789012",
        "status": "ACTIVE", "version_id": 3, "created_ms": 1700000000250, "updated_ms": 1700000001250,
        "stream_type": "DirectPut", "throughput_hint_mbs": 5, "tags": {"k": "v", "alone": null},
        "encryption": {
            "status": "ENABLED", "key_type": "CUSTOMER_MANAGED_CMK",
            "key_arn": "arn:aws:kms:us-east-1:123456789012:key/k"
        },
        "encryption_calls_ms": [1700000000500],
        "destination": {"RoleARN": "r", "BucketARN": "arn:aws:s3:::bucket"},
        "origin": "api"
    }"#;
    let hose: Hose = serde_json::from_str(stored).unwrap();
    assert_eq!((hose.version_id, hose.tags["k"].as_deref()), (3, Some("v")));
    let written: Value = serde_json::to_value(&hose).unwrap();
    assert_eq!(written, serde_json::from_str::<Value>(stored).unwrap());
}
