//! Destinations other than S3: what they are created from and described as.

use serde_json::{Value, json};

use super::{ROLE, ctx};
use crate::config::firehose::{ApiError, DestinationKind, Hose};

/// Every kind, as its members of the API begin.
pub(super) const KINDS: [&str; 5] = [
    "HttpEndpoint",
    "Splunk",
    "Amazonopensearchservice",
    "Elasticsearch",
    "AmazonOpenSearchServerless",
];
pub(super) const KEY: &str = "very-secret-key";
pub(super) const SECRET: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:hec-Ab1Cd2";

/// The smallest configuration of a kind.
pub(super) fn smallest(kind: &str) -> Value {
    let bucket = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::errors"});
    let mut configuration = match kind {
        "HttpEndpoint" => json!({"EndpointConfiguration": {"Url": "https://endpoint.example/v1"}}),
        "Splunk" => json!({
            "HECEndpoint": "https://splunk.example:8088", "HECEndpointType": "Raw", "HECToken": KEY,
        }),
        "AmazonOpenSearchServerless" => json!({
            "RoleARN": ROLE, "CollectionEndpoint": "https://c.us-east-1.aoss.amazonaws.com",
            "IndexName": "logs",
        }),
        _ => json!({
            "RoleARN": ROLE, "ClusterEndpoint": "https://search.example", "IndexName": "logs",
        }),
    };
    configuration["S3Configuration"] = bucket;
    configuration
}

pub(super) fn body(kind: &str, more: &Value) -> Value {
    let mut configuration = smallest(kind);
    let more = more.as_object().cloned().unwrap_or_default();
    configuration.as_object_mut().unwrap().extend(more);
    json!({
        "DeliveryStreamName": "hose",
        format!("{kind}DestinationConfiguration"): configuration,
    })
}

pub(super) fn create_kind(kind: &str, more: Value) -> Result<Hose, ApiError> {
    Hose::create(&body(kind, &more), &ctx())
}

/// The one description of the destination.
pub(super) fn shown(hose: &Hose) -> Value {
    let kind = hose.kind.as_str();
    let description = hose.describe();
    let destination = &description["DeliveryStreamDescription"]["Destinations"][0];
    assert_eq!(destination.as_object().unwrap().len(), 2, "an id and one description");
    assert_eq!(destination["DestinationId"], "destinationId-000000000001");
    destination[format!("{kind}DestinationDescription")].clone()
}

fn bucket() -> Value {
    json!({
        "RoleARN": ROLE,
        "BucketARN": "arn:aws:s3:::errors",
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
        "CloudWatchLoggingOptions": {"Enabled": false},
    })
}

/// What every kind's description has, with its own members.
fn described(own: Value, retry_s: u64, mode: &str, interval_s: u64) -> Value {
    let mut description = json!({
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": interval_s},
        "CloudWatchLoggingOptions": {"Enabled": false},
        "ProcessingConfiguration": {"Enabled": false, "Processors": []},
        "RetryOptions": {"DurationInSeconds": retry_s},
        "S3BackupMode": mode,
        "S3DestinationDescription": bucket(),
    });
    let own = own.as_object().cloned().unwrap_or_default();
    description.as_object_mut().unwrap().extend(own);
    description
}

#[test]
fn every_default_is_described() {
    let http = json!({
        "EndpointConfiguration": {"Url": "https://endpoint.example/v1"},
        "RequestConfiguration": {"ContentEncoding": "NONE", "CommonAttributes": []},
        "SecretsManagerConfiguration": {"Enabled": false},
    });
    let splunk = json!({
        "HECEndpoint": "https://splunk.example:8088",
        "HECEndpointType": "Raw",
        "HECAcknowledgmentTimeoutInSeconds": 180,
        "SecretsManagerConfiguration": {"Enabled": false},
    });
    let domain = json!({
        "RoleARN": ROLE,
        "ClusterEndpoint": "https://search.example",
        "IndexName": "logs",
        "IndexRotationPeriod": "OneDay",
        "DocumentIdOptions": {"DefaultDocumentIdFormat": "FIREHOSE_DEFAULT"},
    });
    let collection = json!({
        "RoleARN": ROLE,
        "CollectionEndpoint": "https://c.us-east-1.aoss.amazonaws.com",
        "IndexName": "logs",
    });
    let documents = "FailedDocumentsOnly";
    for (kind, expected) in KINDS.into_iter().zip([
        described(http, 300, "FailedDataOnly", 300),
        described(splunk, 3600, "FailedEventsOnly", 60),
        described(domain.clone(), 300, documents, 300),
        described(domain, 300, documents, 300),
        described(collection, 300, documents, 300),
    ]) {
        let hose = create_kind(kind, json!({})).unwrap();
        assert_eq!(hose.kind.as_str(), kind);
        assert_eq!(shown(&hose), expected, "{kind}");
    }
}

#[test]
fn members_are_described_in_the_models_order() {
    let hose = create_kind("Splunk", json!({"BufferingHints": {"SizeInMBs": 1}})).unwrap();
    let description = shown(&hose);
    let members: Vec<_> = description.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members,
        [
            "HECEndpoint",
            "HECEndpointType",
            "HECAcknowledgmentTimeoutInSeconds",
            "RetryOptions",
            "S3BackupMode",
            "S3DestinationDescription",
            "ProcessingConfiguration",
            "CloudWatchLoggingOptions",
            "BufferingHints",
            "SecretsManagerConfiguration",
        ]
    );
    assert_eq!(description["BufferingHints"], json!({"SizeInMBs": 1, "IntervalInSeconds": 60}));
}

#[test]
fn what_is_given_is_described() {
    let common = json!({
        "BufferingHints": {"SizeInMBs": 2, "IntervalInSeconds": 0},
        "CloudWatchLoggingOptions": {"Enabled": true, "LogGroupName": "g", "LogStreamName": "s"},
        "RetryOptions": {"DurationInSeconds": 0},
    });
    let own = [
        json!({
            "S3BackupMode": "AllData",
            "RoleARN": ROLE,
            "EndpointConfiguration": {"Url": "https://e.example/?dd=x", "Name": "Datadog"},
            "RequestConfiguration": {"ContentEncoding": "GZIP", "CommonAttributes": [
                {"AttributeName": "env", "AttributeValue": ""}]},
            "SecretsManagerConfiguration": {"Enabled": true, "SecretARN": SECRET},
        }),
        json!({
            "S3BackupMode": "AllEvents",
            "HECEndpointType": "Event",
            "HECAcknowledgmentTimeoutInSeconds": 600,
            "SecretsManagerConfiguration":
                {"Enabled": true, "SecretARN": SECRET, "RoleARN": ROLE},
        }),
        json!({
            "S3BackupMode": "AllDocuments",
            "IndexRotationPeriod": "OneMonth",
            "DocumentIdOptions": {"DefaultDocumentIdFormat": "NO_DOCUMENT_ID"},
        }),
        json!({
            "S3BackupMode": "AllDocuments", "TypeName": "event",
            "IndexRotationPeriod": "NoRotation",
        }),
        json!({"S3BackupMode": "AllDocuments"}),
    ];
    for (kind, own) in KINDS.into_iter().zip(own) {
        let mut given = common.clone();
        given.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let hose = create_kind(kind, given.clone()).unwrap();
        let description = shown(&hose);
        for (member, value) in given.as_object().unwrap() {
            assert_eq!(description[member], *value, "{kind} {member}");
        }
    }
}

#[test]
fn a_network_is_accepted_and_shown() {
    let vpc = json!({"SubnetIds": ["subnet-1"], "RoleARN": ROLE, "SecurityGroupIds": ["sg-1"]});
    for kind in &KINDS[2..] {
        let hose = create_kind(kind, json!({"VpcConfiguration": vpc})).unwrap();
        let mut expected = vpc.clone();
        expected["VpcId"] = json!("");
        let description = shown(&hose);
        assert_eq!(description["VpcConfigurationDescription"], expected);
        assert!(description.get("VpcConfiguration").is_none());
    }
}

#[test]
fn the_persisted_kind_survives_a_round_trip() {
    for kind in KINDS {
        let hose = create_kind(kind, json!({})).unwrap();
        let stored = serde_json::to_value(&hose).unwrap();
        assert_eq!(stored["kind"], kind);
        assert_eq!(serde_json::from_value::<Hose>(stored).unwrap(), hose);
    }
    let stored = serde_json::to_value(super::hose()).unwrap();
    assert!(stored.get("kind").is_none() && stored.get("secrets").is_none());
    assert_eq!(serde_json::from_value::<Hose>(stored).unwrap().kind, DestinationKind::S3);
}

#[test]
fn keys_are_kept_and_never_shown() {
    let endpoint = json!({"Url": format!("https://h/{KEY}?k={KEY}"), "AccessKey": KEY});
    let attributes = json!([{"AttributeName": "token", "AttributeValue": KEY}]);
    let http = json!({
        "EndpointConfiguration": endpoint,
        "RequestConfiguration": {"CommonAttributes": attributes},
    });
    for (kind, member, more) in
        [("HttpEndpoint", "AccessKey", http), ("Splunk", "HECToken", json!({}))]
    {
        let hose = create_kind(kind, more).unwrap();
        assert_eq!(hose.secrets[member].reveal().unwrap(), KEY);
        let stored = serde_json::to_value(&hose).unwrap();
        assert_eq!(stored["secrets"], json!({member: KEY}));
        assert_eq!(serde_json::from_value::<Hose>(stored).unwrap(), hose);
        assert!(!format!("{hose:?} {hose:#?}").contains(KEY), "{hose:?}");
        assert!(format!("{hose:?}").contains("BufferingHints"));
        let description = shown(&hose);
        assert!(!description.to_string().contains(member), "{description}");
        if kind == "Splunk" {
            assert!(!hose.describe().to_string().contains(KEY));
        }
    }
}
