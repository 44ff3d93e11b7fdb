//! CreateDeliveryStream.

use serde_json::{Value, json};

use super::{ROLE, create, create_body, ctx, extended, invalid};
use crate::{
    config::{
        SourceSpec,
        firehose::{ApiError, EncryptionStatus, Hose, KeyType},
    },
    net::kafka::Sasl,
    sources::{kafka, kinesis},
};

fn refused(more: Value) -> String {
    invalid(create(more))
}

fn create_with(member: &str, value: Value) -> Result<Hose, ApiError> {
    let mut body = create_body(json!({}));
    body[member] = value;
    Hose::create(&body, &ctx())
}

#[test]
fn exactly_one_destination() {
    let message = "Exactly one destination configuration is supported for a Firehose";
    let plain = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::bucket"});
    assert_eq!(invalid(Hose::create(&json!({"DeliveryStreamName": "s"}), &ctx())), message);
    assert_eq!(invalid(create_with("S3DestinationConfiguration", plain.clone())), message);
    let nulled = create_with("S3DestinationConfiguration", Value::Null).unwrap();
    assert_eq!(nulled.version_id, 1);
    let plain = json!({"DeliveryStreamName": "s", "S3DestinationConfiguration": plain});
    assert_eq!(Hose::create(&plain, &ctx()).unwrap().name, "s");
}

#[test]
fn destinations_that_are_not_built_name_what_is() {
    let body = json!({"DeliveryStreamName": "s", "IcebergDestinationConfiguration": {
        "RoleARN": ROLE, "CatalogConfiguration": {},
        "S3Configuration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::b"},
    }});
    assert_eq!(
        invalid(Hose::create(&body, &ctx())),
        "IcebergDestinationConfiguration is not available here. Available: \
         ExtendedS3DestinationConfiguration, S3DestinationConfiguration, \
         HttpEndpointDestinationConfiguration, SplunkDestinationConfiguration, \
         AmazonopensearchserviceDestinationConfiguration, ElasticsearchDestinationConfiguration, \
         AmazonOpenSearchServerlessDestinationConfiguration."
    );
}

#[test]
fn source_configurations_belong_to_their_type() {
    let kinesis = json!({
        "KinesisStreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/s", "RoleARN": ROLE,
    });
    assert_eq!(
        invalid(create_with("KinesisStreamSourceConfiguration", kinesis)),
        "KinesisSourceStreamConfig is only applicable for KinesisStreamAsSource stream type"
    );
    assert_eq!(
        invalid(create_with("DeliveryStreamType", json!("MSKAsSource"))),
        "MSKSourceConfiguration is required for MSKAsSource stream type"
    );
    assert_eq!(
        invalid(create_with("DeliveryStreamType", json!("DatabaseAsSource"))),
        "DeliveryStreamType DatabaseAsSource is not available here. Available: DirectPut, \
         KinesisStreamAsSource, MSKAsSource."
    );
    let hint = json!({"ThroughputHintInMBs": 7});
    let hose = create_with("DirectPutSourceConfiguration", hint).unwrap();
    assert_eq!(
        hose.describe()["DeliveryStreamDescription"]["Source"],
        json!({"DirectPutSourceDescription": {"ThroughputHintInMBs": 7}})
    );
}

#[test]
fn streams_that_pull_describe_their_source_and_run_with_it() {
    let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/s";
    let mut body = create_body(json!({}));
    body["DeliveryStreamType"] = json!("KinesisStreamAsSource");
    body["KinesisStreamSourceConfiguration"] = json!({"KinesisStreamARN": arn, "RoleARN": ROLE});
    let hose = Hose::create(&body, &ctx()).unwrap();
    let description = &hose.describe()["DeliveryStreamDescription"];
    assert_eq!(description["DeliveryStreamType"], "KinesisStreamAsSource");
    let source = &description["Source"]["KinesisStreamSourceDescription"];
    assert_eq!((&source["KinesisStreamARN"], &source["RoleARN"]), (&json!(arn), &json!(ROLE)));
    assert_eq!(source["DeliveryStartTimestamp"], description["CreateTimestamp"]);
    let SourceSpec::Kinesis(options) = hose.to_spec().source else { panic!("another source") };
    assert_eq!(options.stream_arn.as_deref(), Some(arn));
    assert!(matches!(options.start, kinesis::Start::AtTimestamp(_)));
    body["DeliveryStreamEncryptionConfigurationInput"] = json!({"KeyType": "AWS_OWNED_CMK"});
    assert_eq!(
        invalid(Hose::create(&body, &ctx())),
        "Server-side encryption is only applicable for DirectPut stream type"
    );

    let mut body = create_body(json!({}));
    body["DeliveryStreamType"] = json!("MSKAsSource");
    let cluster = "arn:aws:kafka:eu-west-1:123456789012:cluster/c/uuid";
    body["MSKSourceConfiguration"] = json!({
        "MSKClusterARN": cluster, "TopicName": "t", "ReadFromTimestamp": 0,
        "AuthenticationConfiguration": {"RoleARN": ROLE, "Connectivity": "PUBLIC"},
    });
    let hose = Hose::create(&body, &ctx()).unwrap();
    let described = &hose.describe()["DeliveryStreamDescription"]["Source"]["MSKSourceDescription"];
    assert_eq!(described["TopicName"], "t");
    let SourceSpec::Kafka(options) = hose.to_spec().source else { panic!("another source") };
    assert_eq!(options.cluster_arn.as_deref(), Some(cluster));
    assert_eq!(options.start, kafka::Start::Earliest);
    assert_eq!(options.connectivity, kafka::Connectivity::Public);
    let Some(Sasl::AwsMskIam { region, role_arn }) = options.security.sasl else { panic!("IAM") };
    assert_eq!((region.as_deref(), role_arn.as_deref()), (Some("eu-west-1"), Some(ROLE)));
}

#[test]
fn the_key_of_an_encrypted_stream() {
    let member = "DeliveryStreamEncryptionConfigurationInput";
    let key = "arn:aws:kms:us-east-1:123456789012:key/k";
    assert_eq!(
        invalid(create_with(member, json!({"KeyType": "CUSTOMER_MANAGED_CMK"}))),
        "KeyARN is required when KeyType is CUSTOMER_MANAGED_CMK."
    );
    assert_eq!(
        invalid(create_with(member, json!({"KeyType": "AWS_OWNED_CMK", "KeyARN": key}))),
        "KeyARN can only be specified when KeyType is CUSTOMER_MANAGED_CMK."
    );
    let hose =
        create_with(member, json!({"KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": key})).unwrap();
    assert_eq!(hose.encryption.status, EncryptionStatus::Enabled);
    assert_eq!(hose.encryption.key_type, Some(KeyType::CustomerManagedCmk));
    assert_eq!(hose.encryption.key_arn.as_deref(), Some(key));
    assert!(hose.is_encrypted());
    assert!(!super::hose().is_encrypted());
}

#[test]
fn hints_come_together() {
    let message = "BufferingHints.SizeInMBs and BufferingHints.IntervalInSeconds must be specified \
                   together.";
    assert_eq!(refused(json!({"BufferingHints": {"SizeInMBs": 5}})), message);
    assert_eq!(refused(json!({"BufferingHints": {"IntervalInSeconds": 5}})), message);
    assert_eq!(
        extended(&create(json!({"BufferingHints": {}})).unwrap())["BufferingHints"],
        json!({"SizeInMBs": 5, "IntervalInSeconds": 300})
    );
}

#[test]
fn encryption_of_objects_is_one_or_the_other() {
    let kms = json!({"AWSKMSKeyARN": "arn:aws:kms:us-east-1:123456789012:alias/k"});
    let both = json!({"NoEncryptionConfig": "NoEncryption", "KMSEncryptionConfig": kms});
    assert!(refused(json!({"EncryptionConfiguration": both})).starts_with("Only one of "));
    let none = create(json!({"EncryptionConfiguration": {}})).unwrap();
    assert_eq!(
        extended(&none)["EncryptionConfiguration"],
        json!({"NoEncryptionConfig": "NoEncryption"})
    );
}

#[test]
fn logging_needs_both_names() {
    let options = json!({"Enabled": true, "LogGroupName": "g"});
    assert_eq!(
        refused(json!({"CloudWatchLoggingOptions": options})),
        "LogGroupName and LogStreamName must be specified when CloudWatchLoggingOptions are \
         enabled."
    );
}

pub(super) const LEAD: &str = "Ths supplied prefix(es) do not satisfy the following constraint: ";

#[test]
fn prefixes_with_expressions() {
    let errors = "!{firehose:error-output-type}/";
    let cases = [
        (
            "!{timestamp:yyyy}/",
            "",
            "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions",
        ),
        (
            "!{firehose:error-output-type}/",
            errors,
            "Prefix cannot contain firehose:error-output-type",
        ),
        (
            "",
            "e/!{timestamp:yyyy}/",
            "ErrorOutputPrefix must contain !{firehose:error-output-type} when it contains expressions",
        ),
        (
            "!{colour:red}/",
            errors,
            "the namespace colour is unknown; known are timestamp, firehose, partitionKeyFromQuery and partitionKeyFromLambda",
        ),
        // What prefixes in files may have beyond Firehose.
        (
            "!{source:topic}/",
            errors,
            "the namespace source is unknown; known are timestamp, firehose, partitionKeyFromQuery and partitionKeyFromLambda",
        ),
        (
            "!{firehose:colour}/",
            errors,
            "firehose:colour is unknown; known are firehose:random-string and firehose:error-output-type",
        ),
        (
            "!{timestamp}/",
            errors,
            "the expression !{timestamp} must be of the form !{namespace:value}",
        ),
        ("!{timestamp:yyyy", errors, "an expression must end with }"),
        ("!{timestamp:}", errors, "timestamp: needs a pattern, such as yyyy/MM/dd"),
        ("!{timestamp:yyyy/f}", errors, "timestamp:yyyy/f has the unknown letter f"),
        ("!{timestamp:'y}", errors, "timestamp:'y has an open quote"),
    ];
    for (prefix, errors, constraint) in cases {
        assert_eq!(
            refused(json!({"Prefix": prefix, "ErrorOutputPrefix": errors})),
            format!("{LEAD}{constraint}"),
            "{prefix} {errors}"
        );
    }
    for (prefix, errors) in [
        ("plain/{year}/", ""),
        ("plain/", "literal/"),
        ("!{timestamp:'year='yyyy/MM}/!{firehose:random-string}/", errors),
        ("!{timestamp:yyyy}/", "literal/"),
    ] {
        let hose = create(json!({"Prefix": prefix, "ErrorOutputPrefix": errors})).unwrap();
        assert_eq!(extended(&hose)["Prefix"], prefix);
    }
}

#[test]
fn partition_keys_need_dynamic_partitioning() {
    let message = "Dynamic Partitioning Namespaces can only be part of a prefix expression when \
                   Dynamic Partitioning is enabled.";
    for namespace in ["partitionKeyFromQuery", "partitionKeyFromLambda"] {
        let prefix = format!("!{{{namespace}:customer}}/");
        assert_eq!(refused(json!({"Prefix": prefix})), message);
        assert_eq!(refused(json!({"ErrorOutputPrefix": prefix})), message);
    }
}

#[test]
fn time_zones() {
    assert_eq!(
        refused(json!({"CustomTimeZone": "EST"})),
        "CustomTimeZone EST is not supported, the supported IANA time zone formats are \
         non-3-letter identifiers"
    );
    assert_eq!(
        refused(json!({"CustomTimeZone": "Europe/Atlantis"})),
        "CustomTimeZone Europe/Atlantis is not an IANA time zone."
    );
    for zone in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"] {
        assert_eq!(
            extended(&create(json!({"CustomTimeZone": zone})).unwrap())["CustomTimeZone"],
            zone
        );
    }
}

#[test]
fn a_backup_needs_its_configuration() {
    assert_eq!(
        refused(json!({"S3BackupMode": "Enabled"})),
        "S3BackupConfiguration must not be null when S3BackupMode is Enabled."
    );
    let backup = json!({
        "RoleARN": ROLE, "BucketARN": "arn:aws:s3:::raw", "Prefix": "!{timestamp:yyyy}/",
    });
    assert!(
        refused(json!({"S3BackupMode": "Enabled", "S3BackupConfiguration": backup}))
            .starts_with(LEAD)
    );
}

#[test]
fn constraints_come_before_meaning() {
    let body = json!({"DeliveryStreamName": "a b"});
    let error = Hose::create(&body, &ctx()).expect_err("the name has a blank");
    assert_eq!(error.kind, "ValidationException");
}
