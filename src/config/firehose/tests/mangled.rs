//! Requests with any value at any place: an answer, never a panic, and never a null in it.

use serde_json::{Value, json};

use super::{
    LAMBDA, ROLE, create_body, ctx, hose,
    kinds::{self, KEY, KINDS, SECRET, create_kind},
};
use crate::config::firehose::{ApiError, Hose};

/// A destination with every member, and blocks that are off.
fn rich() -> Value {
    json!({
        "RoleARN": ROLE,
        "BucketARN": "arn:aws:s3:::bucket",
        "Prefix": "p/!{timestamp:yyyy}/",
        "ErrorOutputPrefix": "e/!{firehose:error-output-type}/",
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 60},
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": {"KMSEncryptionConfig":
            {"AWSKMSKeyARN": "arn:aws:kms:us-east-1:123456789012:key/k"}},
        "CloudWatchLoggingOptions": {"Enabled": true, "LogGroupName": "g", "LogStreamName": "s"},
        "FileExtension": ".x",
        "CustomTimeZone": "Asia/Tokyo",
        "S3BackupMode": "Enabled",
        "ProcessingConfiguration": {"Enabled": false, "Processors": [
            {"Type": "Lambda", "Parameters": [
                {"ParameterName": "LambdaArn", "ParameterValue": LAMBDA}]},
            {"Type": "AppendDelimiterToRecord", "Parameters": [
                {"ParameterName": "Delimiter", "ParameterValue": ","}]},
        ]},
        "DataFormatConversionConfiguration": {
            "Enabled": false,
            "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "d", "TableName": "t"},
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe":
                {"ColumnToJsonKeyMappings": {"a": "b"}}}},
            "OutputFormatConfiguration": {"Serializer": {"OrcSerDe": {"PaddingTolerance": 0.5}}},
        },
        "DynamicPartitioningConfiguration": {"RetryOptions": {"DurationInSeconds": 1}},
    })
}

fn backup() -> Value {
    json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::raw", "Prefix": "r/"})
}

/// A destination with every processor, partitioned and converted.
fn lake() -> Value {
    let processor = |kind: &str, parameters: &[(&str, &str)]| {
        let pair = |(n, v): &(&str, &str)| json!({"ParameterName": n, "ParameterValue": v});
        json!({"Type": kind, "Parameters": parameters.iter().map(pair).collect::<Vec<_>>()})
    };
    json!({
        "RoleARN": ROLE,
        "BucketARN": "arn:aws:s3:::bucket",
        "Prefix": "!{partitionKeyFromQuery:a}/!{partitionKeyFromLambda:b}/",
        "ErrorOutputPrefix": "e/!{firehose:error-output-type}/",
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 60},
        "ProcessingConfiguration": {"Enabled": true, "Processors": [
            processor("Decompression", &[("CompressionFormat", "GZIP")]),
            processor("CloudWatchLogProcessing", &[("DataMessageExtraction", "true")]),
            processor("RecordDeAggregation",
                &[("SubRecordType", "DELIMITED"), ("Delimiter", "Cg==")]),
            processor("Lambda", &[("LambdaArn", LAMBDA), ("NumberOfRetries", "1"),
                ("BufferSizeInMBs", "0.5"), ("BufferIntervalInSeconds", "1")]),
            processor("MetadataExtraction",
                &[("MetadataExtractionQuery", "{a: .x}"), ("JsonParsingEngine", "JQ-1.6")]),
            processor("AppendDelimiterToRecord", &[]),
        ]},
        "DataFormatConversionConfiguration": {
            "Enabled": true,
            "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "d", "TableName": "t",
                "Region": "r", "CatalogId": "c", "VersionId": "1"},
            "InputFormatConfiguration": {"Deserializer": {"HiveJsonSerDe":
                {"TimestampFormats": ["millis"]}}},
            "OutputFormatConfiguration": {"Serializer": {"OrcSerDe": {
                "PaddingTolerance": 0.5, "RowIndexStride": 1000, "Compression": "ZLIB",
                "BloomFilterColumns": ["a"], "EnablePadding": true}}},
        },
        "DynamicPartitioningConfiguration":
            {"Enabled": true, "RetryOptions": {"DurationInSeconds": 1}},
    })
}

/// JSON pointers of everything in a value.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(k, v)| places(v, &format!("{at}/{k}"), found));
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(i, v)| places(v, &format!("{at}/{i}"), found));
        }
        _ => {}
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(object) => object.values().any(has_null),
        Value::Array(elements) => elements.iter().any(has_null),
        _ => false,
    }
}

/// Puts every kind of value at every place and returns how often the request was taken.
fn mangle(body: &Value, call: impl Fn(&Value) -> Result<Hose, ApiError>) -> usize {
    call(body).expect("the request is good before it is mangled");
    let mut found = Vec::new();
    places(body, "", &mut found);
    let values = json!([null, true, false, 0, -1, 1.5, 1e300, "", "x", " ", [], {}, [null], [{}]]);
    let mut taken = 0;
    for place in &found {
        for value in values.as_array().unwrap() {
            let mut mangled = body.clone();
            *mangled.pointer_mut(place).unwrap() = value.clone();
            match call(&mangled) {
                Ok(hose) => {
                    taken += 1;
                    assert!(!has_null(&hose.describe()), "{place} {value}");
                    let spec = hose.to_spec();
                    assert_eq!(spec.destinations.len(), 1, "{place} {value}");
                    let again = Hose::from_spec("hose", &spec, &ctx(), 0);
                    assert!(!has_null(&again.describe()), "{place} {value}");
                }
                Err(error) => {
                    assert_eq!(error.status, 400, "{place} {value}: {error}");
                    assert!(!error.message.is_empty(), "{place} {value}: {error}");
                }
            }
        }
    }
    taken
}

#[test]
fn mangled_creates() {
    let mut destination = rich();
    destination["S3BackupConfiguration"] = backup();
    let mut body = create_body(destination);
    body["Tags"] = json!([{"Key": "k", "Value": "v"}]);
    body["DirectPutSourceConfiguration"] = json!({"ThroughputHintInMBs": 1});
    body["DeliveryStreamEncryptionConfigurationInput"] = json!({"KeyType": "AWS_OWNED_CMK"});
    // Some members may be anything or absent.
    assert!(mangle(&body, |body| Hose::create(body, &ctx())) > 50);
}

#[test]
fn mangled_creates_of_a_lake() {
    let body = create_body(lake());
    assert!(mangle(&body, |body| Hose::create(body, &ctx())) > 20);
    // What is converted is never delivered as it is.
    let unlike = |body: &Value| {
        let hose = Hose::create(body, &ctx())?;
        let shown = &hose.destination["DataFormatConversionConfiguration"]["Enabled"];
        let spec = hose.to_spec();
        let converts = spec.destinations[0].s3.as_ref().unwrap().conversion().is_some();
        assert_eq!(converts, shown.as_bool().unwrap_or(true), "{body}");
        Ok(hose)
    };
    mangle(&body, unlike);
}

#[test]
fn mangled_updates() {
    let mut update = rich();
    update["S3BackupUpdate"] = backup();
    let body = json!({
        "DeliveryStreamName": "hose",
        "CurrentDeliveryStreamVersionId": "1",
        "DestinationId": "destinationId-000000000001",
        "ExtendedS3DestinationUpdate": update,
    });
    assert!(mangle(&body, |body| hose().update(body, &ctx())) > 50);
}

/// What a kind other than S3 may have beside what it must have; `bucket` is the member of that.
fn rich_kind(kind: &str, bucket: &str) -> Value {
    let mut more = json!({
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 60},
        "RetryOptions": {"DurationInSeconds": 60},
    });
    let rich = rich();
    for member in ["CloudWatchLoggingOptions", "ProcessingConfiguration"] {
        more[member] = rich[member].clone();
    }
    more[bucket] = backup();
    more[bucket]["ErrorOutputPrefix"] = rich["ErrorOutputPrefix"].clone();
    more[bucket]["EncryptionConfiguration"] = rich["EncryptionConfiguration"].clone();
    if kind == "HttpEndpoint" {
        more["S3BackupMode"] = json!("AllData");
        more["EndpointConfiguration"] =
            json!({"Url": "https://h/p?q", "Name": "n", "AccessKey": KEY});
        more["RequestConfiguration"] = json!({"ContentEncoding": "GZIP", "CommonAttributes": [
            {"AttributeName": "a", "AttributeValue": "b"}]});
    } else if kind == "Splunk" {
        more["S3BackupMode"] = json!("AllEvents");
        more["HECAcknowledgmentTimeoutInSeconds"] = json!(180);
    } else {
        more["VpcConfiguration"] =
            json!({"SubnetIds": ["s"], "RoleARN": ROLE, "SecurityGroupIds": ["g"]});
        more["IndexRotationPeriod"] = json!("OneHour");
        more["DocumentIdOptions"] = json!({"DefaultDocumentIdFormat": "NO_DOCUMENT_ID"});
        return more;
    }
    more["SecretsManagerConfiguration"] =
        json!({"Enabled": true, "SecretARN": SECRET, "RoleARN": ROLE});
    more
}

#[test]
fn mangled_creates_of_other_kinds() {
    for kind in KINDS {
        let body = kinds::body(kind, &rich_kind(kind, "S3Configuration"));
        assert!(mangle(&body, |body| Hose::create(body, &ctx())) > 20, "{kind}");
    }
}

#[test]
fn mangled_updates_of_other_kinds() {
    for kind in KINDS {
        let start = create_kind(kind, json!({})).unwrap();
        let mut update = rich_kind(kind, "S3Update");
        update["HECToken"] = json!("t");
        update["ClusterEndpoint"] = json!("https://h");
        update["CollectionEndpoint"] = json!("https://h");
        update["IndexName"] = json!("i");
        let body = json!({
            "DeliveryStreamName": "hose",
            "CurrentDeliveryStreamVersionId": "1",
            "DestinationId": "destinationId-000000000001",
            format!("{kind}DestinationUpdate"): update,
        });
        assert!(mangle(&body, |body| start.update(body, &ctx())) > 20, "{kind}");
    }
}
