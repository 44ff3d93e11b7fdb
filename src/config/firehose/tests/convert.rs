//! Between a stream of the API and what the daemon runs.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ROLE, create, create_body, ctx, extended, hose};
use crate::{
    batch::Buffering,
    config::{
        Backup, BackupMode, Delimiter, DestinationSpec, S3Destination, TransformSpec,
        firehose::{Hose, Origin},
    },
    encode::Compression,
    sinks::s3::Encryption,
    units::{ByteSize, Span},
};

const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/k";

#[test]
fn the_smallest_stream_becomes_the_defaults() {
    let spec = hose().to_spec();
    assert_eq!((spec.version_id, spec.encrypted), (1, false));
    assert_eq!(
        spec.destinations,
        [DestinationSpec {
            s3: Some(S3Destination {
                role_arn: Some(ROLE.into()),
                ..S3Destination::to_bucket("bucket")
            }),
            ..DestinationSpec::default()
        }]
    );
}

#[test]
fn every_member_finds_its_place() {
    let delimiter = json!([{"ParameterName": "Delimiter", "ParameterValue": "\\n"}]);
    let append = "AppendDelimiterToRecord";
    let mut body = create_body(json!({
        "Prefix": "p/!{timestamp:yyyy}/",
        "ErrorOutputPrefix": "e/!{firehose:error-output-type}/",
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 60},
        "CompressionFormat": "HADOOP_SNAPPY",
        "EncryptionConfiguration": {"KMSEncryptionConfig": {"AWSKMSKeyARN": KEY}},
        "FileExtension": ".x",
        "CustomTimeZone": "Asia/Tokyo",
        "S3BackupMode": "Enabled",
        "S3BackupConfiguration": {
            "RoleARN": "arn:aws:iam::123456789012:role/raw", "BucketARN": "arn:aws:s3:::raw",
            "Prefix": "r/", "CompressionFormat": "GZIP",
        },
        "ProcessingConfiguration": {"Enabled": true, "Processors": [
            {"Type": append, "Parameters": delimiter},
        ]},
    }));
    body["DeliveryStreamEncryptionConfigurationInput"] = json!({"KeyType": "AWS_OWNED_CMK"});
    let spec = Hose::create(&body, &ctx()).unwrap().to_spec();
    assert!(spec.encrypted);
    let expected = S3Destination {
        prefix: "p/!{timestamp:yyyy}/".into(),
        error_output_prefix: "e/!{firehose:error-output-type}/".into(),
        buffering: Buffering {
            size: ByteSize(64 << 20),
            interval: Span(Duration::from_secs(60)),
            ..Buffering::default()
        },
        compression: Compression::HadoopSnappy,
        encryption: Encryption::SseKms(KEY.into()),
        file_extension: Some(".x".into()),
        custom_time_zone: Some("Asia/Tokyo".into()),
        role_arn: Some(ROLE.into()),
        s3_backup_mode: BackupMode::Enabled,
        s3_backup: Some(Backup {
            bucket: "raw".into(),
            prefix: "r/".into(),
            buffering: Buffering::default(),
            compression: Compression::Gzip,
            append_delimiter: None,
            role_arn: Some("arn:aws:iam::123456789012:role/raw".into()),
            encryption: Some(Encryption::None),
        }),
        ..S3Destination::to_bucket("bucket")
    };
    assert_eq!(spec.destinations[0].s3.as_ref(), Some(&expected));
    assert_eq!(
        spec.destinations[0].transforms,
        [TransformSpec::AppendDelimiter(Delimiter::Text("\\n".into()))]
    );
}

#[test]
fn compression_formats() {
    for (format, compression) in [
        ("UNCOMPRESSED", Compression::Uncompressed),
        ("GZIP", Compression::Gzip),
        ("ZIP", Compression::Zip),
        ("Snappy", Compression::Snappy),
        ("HADOOP_SNAPPY", Compression::HadoopSnappy),
    ] {
        let spec = create(json!({"CompressionFormat": format})).unwrap().to_spec();
        assert_eq!(spec.destinations[0].s3.as_ref().unwrap().compression, compression);
    }
}

#[test]
fn delimiters_apply_only_when_processing_is_on() {
    let processors = json!([{"Type": "AppendDelimiterToRecord"}]);
    let transforms = |enabled: Value| {
        let configuration = json!({"Enabled": enabled, "Processors": processors});
        let hose = create(json!({"ProcessingConfiguration": configuration})).unwrap();
        hose.to_spec().destinations.remove(0).transforms
    };
    let newline = TransformSpec::AppendDelimiter(Delimiter::Text("\n".into()));
    assert_eq!(transforms(json!(true)), [newline]);
    assert_eq!(transforms(json!(false)), []);
    assert_eq!(transforms(Value::Null), []);
}

#[test]
fn a_stream_goes_to_the_spec_and_back() {
    let original = create(json!({"Prefix": "p/", "CompressionFormat": "GZIP"})).unwrap();
    let back = Hose::from_spec("hose", &original.to_spec(), &ctx(), ctx().now_ms);
    assert_eq!(back.origin, Origin::File);
    assert_eq!(back.describe(), original.describe());
}

#[test]
fn a_stream_of_the_file_is_described() {
    let spec = serde_json::from_value(json!({
        "encrypted": true,
        "destinations": [
            {
                "s3": {
                    "bucket": "file:///var/lib/log files/",
                    "buffering": {"size": "1KiB", "interval": "250ms"},
                    "compression": "zstd",
                    "s3_backup_mode": "enabled",
                    "s3_backup": {"bucket": "raw", "prefix": "r/"},
                    "role_arn": ROLE,
                },
                "transforms": [{"append_delimiter": "\n"}],
            },
            {"s3": {"bucket": "second"}},
        ],
    }))
    .unwrap();
    let hose = Hose::from_spec("file", &spec, &ctx(), 0);
    let described = extended(&hose);
    assert_eq!(described["BucketARN"], "arn:aws:s3:::log-files");
    assert_eq!(described["BufferingHints"], json!({"SizeInMBs": 1, "IntervalInSeconds": 1}));
    assert_eq!(described["CompressionFormat"], "ZSTD");
    assert_eq!(described["S3BackupDescription"]["BucketARN"], "arn:aws:s3:::raw");
    assert_eq!(described["S3BackupDescription"]["RoleARN"], ROLE);
    let parameters = json!([{"ParameterName": "Delimiter", "ParameterValue": "\\n"}]);
    let processors = json!([{"Type": "AppendDelimiterToRecord", "Parameters": parameters}]);
    assert_eq!(
        described["ProcessingConfiguration"],
        json!({"Enabled": true, "Processors": processors})
    );
    let description = &hose.describe()["DeliveryStreamDescription"];
    assert_eq!(description["Destinations"].as_array().unwrap().len(), 1);
    assert_eq!(description["CreateTimestamp"], json!(0.0));
    assert_eq!(
        description["DeliveryStreamEncryptionConfiguration"],
        json!({"KeyType": "AWS_OWNED_CMK", "Status": "ENABLED"})
    );
}
