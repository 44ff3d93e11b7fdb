//! UpdateDestination of destinations other than S3.

use serde_json::{Value, json};

use super::{
    ROLE, ctx, hose, invalid,
    kinds::{KEY, KINDS, SECRET, create_kind, shown},
};
use crate::config::firehose::{ApiError, Hose};

fn update(hose: &Hose, kind: &str, update: Value) -> Result<Hose, ApiError> {
    let body = json!({
        "DeliveryStreamName": "hose",
        "CurrentDeliveryStreamVersionId": hose.version_id.to_string(),
        "DestinationId": "destinationId-000000000001",
        format!("{kind}DestinationUpdate"): update,
    });
    hose.update(&body, &ctx())
}

fn key(hose: &Hose) -> Option<String> {
    hose.secrets.values().next().map(|secret| secret.reveal().unwrap())
}

#[test]
fn members_are_replaced_one_by_one() {
    let common = [
        ("BufferingHints", json!({"SizeInMBs": 1, "IntervalInSeconds": 0})),
        ("RetryOptions", json!({"DurationInSeconds": 7200})),
        (
            "CloudWatchLoggingOptions",
            json!({"Enabled": true, "LogGroupName": "g", "LogStreamName": "s"}),
        ),
        (
            "ProcessingConfiguration",
            json!({"Enabled": true, "Processors": [
            {"Type": "AppendDelimiterToRecord"}]}),
        ),
    ];
    let search = vec![
        ("RoleARN", json!("arn:aws:iam::123456789012:role/other")),
        ("IndexName", json!("other")),
    ];
    let domain = [
        search.clone(),
        vec![
            ("ClusterEndpoint", json!("https://other.example")),
            ("IndexRotationPeriod", json!("OneHour")),
            ("DocumentIdOptions", json!({"DefaultDocumentIdFormat": "NO_DOCUMENT_ID"})),
        ],
    ]
    .concat();
    let own = [
        vec![
            ("EndpointConfiguration", json!({"Url": "https://other.example", "Name": "Other"})),
            (
                "RequestConfiguration",
                json!({"ContentEncoding": "GZIP", "CommonAttributes": [
                {"AttributeName": "a", "AttributeValue": "b"}]}),
            ),
            ("S3BackupMode", json!("AllData")),
            ("RoleARN", json!(ROLE)),
            ("SecretsManagerConfiguration", json!({"Enabled": true, "SecretARN": SECRET})),
        ],
        vec![
            ("HECEndpoint", json!("https://other.example:8088")),
            ("HECEndpointType", json!("Event")),
            ("HECAcknowledgmentTimeoutInSeconds", json!(300)),
            ("S3BackupMode", json!("AllEvents")),
            (
                "SecretsManagerConfiguration",
                json!({"Enabled": true, "SecretARN": SECRET, "RoleARN": ROLE}),
            ),
        ],
        domain.clone(),
        domain,
        [search, vec![("CollectionEndpoint", json!("https://other.example"))]].concat(),
    ];
    for (kind, own) in KINDS.into_iter().zip(own) {
        let start = create_kind(kind, json!({})).unwrap();
        for (member, value) in own.into_iter().chain(common.clone()) {
            let after = update(&start, kind, json!({member: value})).unwrap();
            let mut expected = shown(&start);
            expected[member] = value;
            assert_eq!(shown(&after), expected, "{kind} {member}");
            assert_eq!((after.version_id, after.kind), (2, start.kind));
            assert_eq!(after.secrets, start.secrets);
        }
        let same = update(&start, kind, json!({})).unwrap();
        assert_eq!(shown(&same), shown(&start), "what is described stays as it is");
    }
}

#[test]
fn the_bucket_merges_member_by_member() {
    for kind in KINDS {
        let start = create_kind(kind, json!({})).unwrap();
        let change = json!({"S3Update": {"Prefix": "p/", "CompressionFormat": "GZIP"}});
        let after = update(&start, kind, change).unwrap();
        let mut expected = shown(&start);
        expected["S3DestinationDescription"]["Prefix"] = json!("p/");
        expected["S3DestinationDescription"]["CompressionFormat"] = json!("GZIP");
        assert_eq!(shown(&after), expected, "{kind}");
        let change = json!({"S3Update": {"Prefix": "!{timestamp:yyyy}/"}});
        let message = invalid(update(&start, kind, change));
        assert!(message.ends_with("cannot be null or empty when Prefix contains expressions"));
    }
}

#[test]
fn a_key_stays_until_another_is_given() {
    let url = "https://endpoint.example/v1";
    let endpoint = json!({"Url": url, "Name": "n", "AccessKey": KEY});
    let start = create_kind("HttpEndpoint", json!({"EndpointConfiguration": endpoint})).unwrap();
    let of = |endpoint: Value| {
        update(&start, "HttpEndpoint", json!({"EndpointConfiguration": endpoint})).unwrap()
    };
    let kept = of(json!({"Url": "https://other.example"}));
    assert_eq!(key(&kept).as_deref(), Some(KEY));
    let expected = json!({"Url": "https://other.example", "Name": "n"});
    assert_eq!(shown(&kept)["EndpointConfiguration"], expected);
    assert_eq!(key(&of(json!({"Url": url, "AccessKey": "new"}))).as_deref(), Some("new"));
    assert_eq!(key(&of(json!({"Url": url, "AccessKey": ""}))), None);

    let splunk = create_kind("Splunk", json!({})).unwrap();
    let change = json!({"HECEndpoint": "https://other.example:8088"});
    assert_eq!(key(&update(&splunk, "Splunk", change).unwrap()).as_deref(), Some(KEY));
    let change = json!({"HECToken": "new"});
    assert_eq!(key(&update(&splunk, "Splunk", change).unwrap()).as_deref(), Some("new"));
    assert_eq!(
        invalid(update(&splunk, "Splunk", json!({"HECToken": ""}))),
        "HECToken must be specified when SecretsManagerConfiguration is not enabled."
    );
}

#[test]
fn more_is_backed_up_and_never_less() {
    for (kind, failed, all) in
        [("HttpEndpoint", "FailedDataOnly", "AllData"), ("Splunk", "FailedEventsOnly", "AllEvents")]
    {
        let start = create_kind(kind, json!({})).unwrap();
        let widened = update(&start, kind, json!({"S3BackupMode": all})).unwrap();
        assert_eq!(
            invalid(update(&widened, kind, json!({"S3BackupMode": failed}))),
            format!("S3BackupMode cannot be changed from {all} to {failed}.")
        );
        update(&widened, kind, json!({"S3BackupMode": all})).unwrap();
        update(&start, kind, json!({"S3BackupMode": failed})).unwrap();
    }
    // No member of these updates.
    for kind in &KINDS[2..] {
        let start = create_kind(kind, json!({})).unwrap();
        let change = json!({"S3BackupMode": "AllDocuments", "VpcConfiguration": {
            "SubnetIds": ["s"], "RoleARN": ROLE, "SecurityGroupIds": ["g"]}});
        assert_eq!(shown(&update(&start, kind, change).unwrap()), shown(&start));
    }
}

#[test]
fn one_address_takes_the_place_of_the_other() {
    let domain = "arn:aws:es:us-east-1:123456789012:domain/logs";
    for kind in ["Elasticsearch", "Amazonopensearchservice"] {
        let start = create_kind(kind, json!({})).unwrap();
        let message = invalid(update(&start, kind, json!({"DomainARN": domain})));
        assert!(message.starts_with("DomainARN is not available here"), "{message}");
        let both = json!({"DomainARN": domain, "ClusterEndpoint": "https://h"});
        let message = invalid(update(&start, kind, both));
        assert!(message.starts_with("Exactly one of DomainARN and"), "{message}");
    }
}

#[test]
fn what_is_merged_is_validated() {
    let start = create_kind("HttpEndpoint", json!({})).unwrap();
    for (kind, change) in [
        ("HttpEndpoint", json!({"EndpointConfiguration": {"Url": "https://u:p@h"}})),
        ("HttpEndpoint", json!({"SecretsManagerConfiguration": {"Enabled": true}})),
        ("HttpEndpoint", json!({"BufferingHints": {"SizeInMBs": 1}})),
    ] {
        invalid(update(&start, kind, change));
    }
}

#[test]
fn a_destination_stays_what_it_is() {
    let message = |kind: &str| {
        format!("Changing the destination type to or from {kind} is not supported at this time.")
    };
    for kind in KINDS {
        let start = create_kind(kind, json!({})).unwrap();
        for other in KINDS.into_iter().chain(["Redshift", "Snowflake", "Iceberg"]) {
            if other != kind {
                assert_eq!(invalid(update(&start, other, json!({}))), message(other));
            }
        }
        for s3 in ["S3", "ExtendedS3"] {
            assert_eq!(invalid(update(&start, s3, json!({}))), message(kind));
        }
        assert_eq!(invalid(update(&hose(), kind, json!({}))), message(kind));
    }
}
