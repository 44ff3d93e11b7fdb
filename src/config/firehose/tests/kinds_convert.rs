//! Between destinations other than S3 and what the daemon runs.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{
    LAMBDA, ROLE, ctx,
    kinds::{KEY, KINDS, SECRET, create_kind, shown},
};
use crate::{
    batch::Buffering,
    config::{
        BackupScope, DestinationSpec, OnDenied, RetryOptions, StreamSpec, TransformSpec,
        firehose::{DestinationKind, Hose},
    },
    encode::Compression,
    net::keys::SecretsManager,
    partition::IndexRotation,
    sinks::{
        http_endpoint::{BodyFormat, ContentEncoding},
        opensearch::DocumentId,
        s3::Encryption,
        splunk::EndpointType,
    },
    units::{ByteSize, Secret, Span},
};

const OTHER: &str = "arn:aws:iam::123456789012:role/other";

fn destination(kind: &str, more: Value) -> DestinationSpec {
    create_kind(kind, more).unwrap().to_spec().destinations.remove(0)
}

fn buffering(mib: u64, seconds: u64) -> Buffering {
    Buffering {
        size: ByteSize(mib << 20),
        interval: Span(Duration::from_secs(seconds)),
        ..Buffering::default()
    }
}

fn retry(seconds: u64) -> Option<RetryOptions> {
    let duration = Some(Span(Duration::from_secs(seconds)));
    Some(RetryOptions { duration, on_denied: OnDenied::Hold })
}

fn secret(text: &str) -> Secret {
    Secret::Value(text.to_owned())
}

#[test]
fn an_http_endpoint() {
    let http = destination(
        "HttpEndpoint",
        json!({
            "EndpointConfiguration":
                {"Url": "https://h.example/v1?a=b", "Name": "Partner", "AccessKey": KEY},
            "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 0},
            "RetryOptions": {"DurationInSeconds": 0},
            "RequestConfiguration": {"ContentEncoding": "GZIP", "CommonAttributes": [
                {"AttributeName": "env", "AttributeValue": "prod"}]},
            "S3BackupMode": "AllData",
            "S3Configuration": {
                "RoleARN": OTHER, "BucketARN": "arn:aws:s3:::b", "Prefix": "p/",
                "ErrorOutputPrefix": "e/", "CompressionFormat": "GZIP",
                "BufferingHints": {"SizeInMBs": 7, "IntervalInSeconds": 70},
                "EncryptionConfiguration": {"KMSEncryptionConfig":
                    {"AWSKMSKeyARN": "arn:aws:kms:us-east-1:123456789012:key/k"}},
            },
        }),
    )
    .http_endpoint
    .unwrap();
    assert_eq!(http.url, Some(secret("https://h.example/v1?a=b")));
    assert_eq!(http.endpoint_name.as_deref(), Some("Partner"));
    assert_eq!((http.access_key, http.secrets_manager), (Some(secret(KEY)), None));
    assert_eq!(http.content_encoding, Some(ContentEncoding::Gzip));
    assert_eq!(http.common_attributes, BTreeMap::from([("env".to_owned(), secret("prod"))]));
    assert_eq!((http.body, http.plain_http, http.preset), (BodyFormat::Firehose, false, None));
    assert_eq!(http.timeout, Span(Duration::from_secs(180)));
    assert_eq!((http.buffering, http.retry), (Some(buffering(64, 0)), retry(0)));
    assert_eq!(http.s3_backup_mode, BackupScope::All);
    let backup = http.backup;
    assert_eq!((backup.bucket.as_str(), backup.prefix.as_str()), ("b", "p/"));
    assert_eq!(backup.error_output_prefix, "e/");
    assert_eq!((backup.buffering, backup.compression), (buffering(7, 70), Compression::Gzip));
    assert_eq!(backup.role_arn.as_deref(), Some(OTHER));
    assert!(matches!(backup.encryption, Encryption::SseKms(_)));
}

#[test]
fn splunk() {
    let smallest = destination("Splunk", json!({})).splunk.unwrap();
    assert_eq!(smallest.endpoint, "https://splunk.example:8088");
    assert_eq!((smallest.endpoint_type, smallest.token), (EndpointType::Raw, Some(secret(KEY))));
    assert_eq!(smallest.acknowledgment_timeout, Span(Duration::from_secs(180)));
    assert!(smallest.acknowledgment);
    assert_eq!((smallest.buffering, smallest.retry), (buffering(5, 60), retry(3600)));
    assert_eq!(smallest.s3_backup_mode, BackupScope::FailedOnly);
    assert_eq!(smallest.backup.bucket, "errors");

    let event = destination(
        "Splunk",
        json!({
            "HECEndpoint": "https://splunk.example:8088/services/collector/event",
            "HECEndpointType": "Event",
            "HECAcknowledgmentTimeoutInSeconds": 600,
        }),
    )
    .splunk
    .unwrap();
    assert_eq!(event.endpoint, "https://splunk.example:8088", "the type says what follows");
    assert_eq!(event.endpoint_type, EndpointType::Event);
    assert_eq!(event.acknowledgment_timeout, Span(Duration::from_secs(600)));
}

#[test]
fn a_managed_key_takes_the_place_of_a_given_one() {
    let managed = |role: &str| {
        Some(SecretsManager {
            secret_arn: SECRET.into(),
            role_arn: Some(role.into()),
            region: None,
            endpoint: None,
        })
    };
    let named = json!({"Enabled": true, "SecretARN": SECRET, "RoleARN": OTHER});
    let splunk = destination("Splunk", json!({"SecretsManagerConfiguration": named}));
    let splunk = splunk.splunk.unwrap();
    assert_eq!((splunk.token, splunk.secrets_manager), (None, managed(OTHER)));
    // Without a role of its own it is read as the destination.
    let http = destination(
        "HttpEndpoint",
        json!({
            "EndpointConfiguration": {"Url": "https://h", "AccessKey": KEY},
            "RoleARN": ROLE,
            "SecretsManagerConfiguration": {"Enabled": true, "SecretARN": SECRET},
        }),
    );
    let http = http.http_endpoint.unwrap();
    assert_eq!((http.access_key, http.secrets_manager), (None, managed(ROLE)));
    let off = json!({"Enabled": false, "SecretARN": SECRET, "RoleARN": OTHER});
    let splunk = destination("Splunk", json!({"SecretsManagerConfiguration": off}));
    let splunk = splunk.splunk.unwrap();
    assert_eq!((splunk.token, splunk.secrets_manager), (Some(secret(KEY)), None));
}

#[test]
fn searches() {
    for (kind, rotation) in [
        ("Amazonopensearchservice", Some(IndexRotation::OneDay)),
        ("Elasticsearch", Some(IndexRotation::OneDay)),
        ("AmazonOpenSearchServerless", None),
    ] {
        let spec = destination(kind, json!({}));
        let search = match kind {
            "Elasticsearch" => spec.elasticsearch.unwrap(),
            _ => spec.opensearch.unwrap(),
        };
        let serverless = rotation.is_none();
        assert_eq!((search.index_rotation, search.serverless), (rotation, serverless));
        let endpoint = if serverless {
            "https://c.us-east-1.aoss.amazonaws.com"
        } else {
            "https://search.example"
        };
        assert_eq!((search.endpoint.as_str(), search.index_name.as_str()), (endpoint, "logs"));
        assert_eq!((search.document_id, search.type_name), (DocumentId::FirehoseDefault, None));
        assert_eq!((search.auth, search.role_arn.as_deref()), (None, Some(ROLE)));
        assert_eq!((search.buffering, search.retry), (buffering(5, 300), retry(300)));
        assert_eq!(search.s3_backup_mode, BackupScope::FailedOnly);
    }
    let periods = [
        ("NoRotation", IndexRotation::NoRotation),
        ("OneHour", IndexRotation::OneHour),
        ("OneDay", IndexRotation::OneDay),
        ("OneWeek", IndexRotation::OneWeek),
        ("OneMonth", IndexRotation::OneMonth),
    ];
    for (name, period) in periods {
        let search = destination(
            "Elasticsearch",
            json!({
                "IndexRotationPeriod": name,
                "TypeName": "event",
                "S3BackupMode": "AllDocuments",
                "DocumentIdOptions": {"DefaultDocumentIdFormat": "NO_DOCUMENT_ID"},
            }),
        );
        let search = search.elasticsearch.unwrap();
        assert_eq!(
            (search.index_rotation, search.s3_backup_mode),
            (Some(period), BackupScope::All)
        );
        assert_eq!(search.type_name.as_deref(), Some("event"));
        assert_eq!(search.document_id, DocumentId::NoDocumentId);
    }
}

#[test]
fn a_function_is_called_in_the_role_that_is_shown() {
    let lambda = json!({"Type": "Lambda", "Parameters":
        [{"ParameterName": "LambdaArn", "ParameterValue": LAMBDA}]});
    let processing = json!({"Enabled": true, "Processors": [lambda]});
    for kind in KINDS {
        let spec = destination(kind, json!({"ProcessingConfiguration": processing}));
        let [TransformSpec::Lambda(options)] = &spec.transforms[..] else { panic!("{spec:?}") };
        // What has a role of its own calls in that.
        let own = !matches!(kind, "HttpEndpoint" | "Splunk");
        assert_eq!(options.role_arn.as_deref(), (!own).then_some(ROLE), "{kind}");
        assert_eq!(options.buffer_size.0, if kind == "Splunk" { 1 << 18 } else { 1 << 20 });
    }
}

#[test]
fn a_stream_goes_to_the_spec_and_back() {
    let lambda = json!({"Type": "Lambda", "Parameters":
        [{"ParameterName": "LambdaArn", "ParameterValue": LAMBDA}]});
    for kind in KINDS {
        let original = create_kind(
            kind,
            json!({
                "BufferingHints": {"SizeInMBs": 3, "IntervalInSeconds": 33},
                "RetryOptions": {"DurationInSeconds": 33},
                "ProcessingConfiguration": {"Enabled": true, "Processors": [lambda]},
            }),
        )
        .unwrap();
        let back = Hose::from_spec("hose", &original.to_spec(), &ctx(), ctx().now_ms);
        assert!(back.secrets.is_empty());
        let mut expected = shown(&original);
        if kind == "HttpEndpoint" {
            // Keys stand in what follows.
            expected["EndpointConfiguration"] = json!({"Url": "https://endpoint.example"});
        }
        assert_eq!(back.kind, original.kind);
        assert_eq!(shown(&back), expected, "{kind}");
    }
}

fn of_file(destination: Value) -> Hose {
    let spec: StreamSpec = serde_json::from_value(json!({"destinations": [destination]})).unwrap();
    Hose::from_spec("file", &spec, &ctx(), 0)
}

#[test]
fn streams_of_the_file_show_no_keys() {
    let backup = json!({"bucket": "errors"});
    let managed = json!({"secret_arn": SECRET});
    let url = format!("https://u:{KEY}@h.example:8443/{KEY}?k={KEY}");
    for (destination, kind) in [
        (
            json!({"http_endpoint": {"url": url, "access_key": KEY, "backup": backup,
                "common_attributes": {"a": KEY}, "headers": {"b": KEY}}}),
            DestinationKind::HttpEndpoint,
        ),
        (
            json!({"splunk": {"endpoint": url, "token": KEY, "backup": backup}}),
            DestinationKind::Splunk,
        ),
        (
            json!({"elasticsearch": {"endpoint": url, "index_name": "i", "backup": backup,
                "auth": {"basic": {"username": KEY, "password": KEY}}}}),
            DestinationKind::Elasticsearch,
        ),
        (
            json!({"opensearch": {"endpoint": url, "index_name": "i", "backup": backup,
                "serverless": true}}),
            DestinationKind::AmazonOpenSearchServerless,
        ),
        (
            json!({"datadog": {"api_key": KEY, "endpoint": url, "backup": backup}}),
            DestinationKind::HttpEndpoint,
        ),
        (
            json!({"http_endpoint": {"url": {"file": KEY}, "secrets_manager": managed,
                "backup": backup}}),
            DestinationKind::HttpEndpoint,
        ),
    ] {
        let hose = of_file(destination.clone());
        assert_eq!(hose.kind, kind);
        assert!(hose.secrets.is_empty());
        let description = hose.describe().to_string();
        assert!(!description.contains(KEY), "{destination} {description}");
        assert!(!format!("{hose:?}").contains(KEY));
        let has_url = destination["http_endpoint"]["secrets_manager"].is_null();
        assert_eq!(description.contains("https://h.example:8443\""), has_url, "{description}");
        assert_eq!(description.contains(SECRET), !has_url);
    }
}

#[test]
fn datadog_is_an_http_endpoint() {
    let hose = of_file(json!({"datadog": {
        "api_key": {"file": "/run/key"}, "site": "datadoghq.eu", "backup": {"bucket": "errors"},
        "retry": {"duration": "90s"}, "s3_backup_mode": "all",
    }}));
    assert_eq!(hose.kind, DestinationKind::HttpEndpoint);
    assert_eq!(
        shown(&hose),
        json!({
            "EndpointConfiguration":
                {"Url": "https://http-intake.logs.datadoghq.eu", "Name": "Datadog"},
            "BufferingHints": {"SizeInMBs": 4, "IntervalInSeconds": 60},
            "CloudWatchLoggingOptions": {"Enabled": false},
            "RequestConfiguration": {"ContentEncoding": "GZIP", "CommonAttributes": []},
            "ProcessingConfiguration": {"Enabled": false, "Processors": []},
            "RetryOptions": {"DurationInSeconds": 90},
            "S3BackupMode": "AllData",
            "S3DestinationDescription": {
                "RoleARN": "",
                "BucketARN": "arn:aws:s3:::errors",
                "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
                "CompressionFormat": "UNCOMPRESSED",
                "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
                "CloudWatchLoggingOptions": {"Enabled": false},
            },
            "SecretsManagerConfiguration": {"Enabled": false},
        })
    );
}

#[test]
fn a_preset_gives_the_name() {
    let preset = json!({"datadog": {"site": "datadoghq.eu"}});
    let http = json!({"preset": preset, "backup": {"bucket": "errors"}});
    let named = |name: &str| {
        let mut http = http.clone();
        http["endpoint_name"] = json!(name);
        shown(&of_file(json!({"http_endpoint": http})))["EndpointConfiguration"].take()
    };
    let shown = shown(&of_file(json!({"http_endpoint": http})));
    assert_eq!(shown["EndpointConfiguration"], json!({"Name": "Datadog"}));
    assert_eq!(named("mine"), json!({"Name": "mine"}));
}
