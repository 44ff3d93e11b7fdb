use serde_json::{Value, json};

use super::Pattern;
use crate::config::firehose::{Operation, check};

const ROLE: &str = "arn:aws:iam::000000000000:role/firehose";

fn failure(operation: Operation, body: &Value) -> (&'static str, String) {
    let error = check(operation, body).expect_err("the request is wrong");
    assert_eq!(error.status, 400);
    (error.kind, error.message)
}

fn message(operation: Operation, body: &Value) -> String {
    let (kind, message) = failure(operation, body);
    assert_eq!(kind, "ValidationException", "{message}");
    message
}

fn create_message(member: &str, configuration: Value) -> String {
    let body = json!({"DeliveryStreamName": "s", member: configuration});
    message(Operation::CreateDeliveryStream, &body)
}

/// The message of a single violation below ExtendedS3DestinationConfiguration.
fn extended_message(mut configuration: Value) -> String {
    configuration["RoleARN"] = json!(ROLE);
    configuration["BucketARN"] = json!("arn:aws:s3:::bucket");
    create_message("ExtendedS3DestinationConfiguration", configuration)
        .replace("extendedS3DestinationConfiguration", "…")
}

#[test]
fn every_pattern_compiles_and_refuses_what_is_foreign_to_it() {
    for pattern in Pattern::ALL {
        let any = matches!(pattern, Pattern::OneLine | Pattern::DatabaseName | Pattern::LogStream);
        assert_eq!(pattern.matches("?, ?"), any || *pattern == Pattern::NotBlank, "{pattern:?}");
    }
}

#[test]
fn patterns_match_whole_strings() {
    let cases = [
        (Pattern::StreamName, "a_B.c-9", "a b"),
        (Pattern::StreamName, "a", "a\n"),
        (Pattern::VersionId, "12", "1a"),
        (Pattern::DestinationId, "destinationId-000000000001", "a_b"),
        (Pattern::RoleArn, ROLE, "arn:aws:iam::12:role/x"),
        (
            Pattern::RoleArn,
            "arn:aws-cn:iam::000000000000:role/a/b",
            "arn:aws:iam::00000000000٠:role/x",
        ),
        (Pattern::BucketArn, "arn:aws:s3:::b.u_c-k", "arn:aws:s3:::b/u"),
        (
            Pattern::KmsKeyArn,
            "arn:aws:kms:us-east-1:000000000000:key/a-b",
            "arn:aws:kms:us-east-1:000000000000:alias/a",
        ),
        (
            Pattern::KmsKeyOrAliasArn,
            "arn:aws:kms:us-east-1:000000000000:alias/a",
            "arn:aws:kms:us-east-1:0:key/a",
        ),
        (Pattern::NotBlank, " a ", " \t "),
        (Pattern::NotBlank, "\\n", "\n"),
        (Pattern::NoWhiteSpace, "a-b", "a b"),
        (Pattern::FileExtension, ".json.gz", "json"),
        (Pattern::FileExtension, "", ".JSON"),
        (Pattern::TimeZone, "Europe/Berlin", "Etc/GMT+1"),
        (Pattern::TagKey, "größe: 1/2 @home", "aws:x"),
        (Pattern::TagKey, "aws", "a*b"),
        (
            Pattern::JdbcUrl,
            "jdbc:redshift://c.x-y.us-east-1.redshift.amazonaws.com:5439/dev",
            "jdbc:redshift://-c.redshift.amazonaws.com:5439/dev",
        ),
        (
            Pattern::JdbcUrl,
            "jdbc:postgresql://w.1.us-east-1.redshift-serverless.amazonaws.com:5439/dev",
            "jdbc:redshift://c-.redshift.amazonaws.com:5439/dev",
        ),
        (Pattern::HttpsUrl, "https://h", "http://h"),
        (Pattern::SnowflakeAccount, "x.snowflakecomputing.com", ".snowflakecomputing.com"),
        (Pattern::DatabaseName, "größe", "a\0"),
        (
            Pattern::CatalogArn,
            "arn:aws:glue:us-east-1:000000000000:catalog/s3tablescatalog/b",
            "arn:aws:glue:us-east-1:000000000000:catalog/",
        ),
    ];
    for (pattern, good, bad) in cases {
        assert!(pattern.matches(good), "{pattern:?} {good:?}");
        assert!(!pattern.matches(bad), "{pattern:?} {bad:?}");
    }
}

#[test]
fn a_missing_name_and_an_empty_name() {
    assert_eq!(
        message(Operation::DescribeDeliveryStream, &json!({})),
        "1 validation error detected: Value at 'deliveryStreamName' failed to satisfy constraint: \
         Member must not be null"
    );
    assert_eq!(
        message(Operation::DescribeDeliveryStream, &json!({"DeliveryStreamName": null})),
        message(Operation::DescribeDeliveryStream, &json!({}))
    );
    assert_eq!(
        message(Operation::DescribeDeliveryStream, &json!({"DeliveryStreamName": ""})),
        "2 validation errors detected: Value at 'deliveryStreamName' failed to satisfy constraint: \
         Member must have length greater than or equal to 1; Value at 'deliveryStreamName' failed \
         to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
    );
}

#[test]
fn bounds_name_the_side_that_is_broken() {
    let name = "n".repeat(65);
    assert_eq!(
        message(Operation::DeleteDeliveryStream, &json!({"DeliveryStreamName": name})),
        "1 validation error detected: Value at 'deliveryStreamName' failed to satisfy constraint: \
         Member must have length less than or equal to 64"
    );
    for (limit, rule) in
        [(0, "greater than or equal to 1"), (10_001, "less than or equal to 10000")]
    {
        assert_eq!(
            message(Operation::ListDeliveryStreams, &json!({"Limit": limit})),
            format!(
                "1 validation error detected: Value at 'limit' failed to satisfy constraint: \
                 Member must have value {rule}"
            )
        );
    }
    check(Operation::ListDeliveryStreams, &json!({"Limit": 10_000})).unwrap();
    check(Operation::ListDeliveryStreams, &json!({"Limit": 5.0})).unwrap();
}

#[test]
fn lengths_count_utf16_units() {
    let body =
        |value: String| json!({"DeliveryStreamName": "s", "Tags": [{"Key": "k", "Value": value}]});
    check(Operation::TagDeliveryStream, &body("𝒳".repeat(128))).unwrap();
    let message = message(Operation::TagDeliveryStream, &body("𝒳".repeat(129)));
    assert!(message.contains("'tags.1.member.value'"), "{message}");
    assert!(message.ends_with("length less than or equal to 256"), "{message}");
}

#[test]
fn enums_print_in_the_services_order() {
    let cases = [
        (
            json!({"CompressionFormat": "gzip"}),
            "compressionFormat",
            "ZIP, HADOOP_SNAPPY, Snappy, GZIP, UNCOMPRESSED",
        ),
        (
            json!({"ProcessingConfiguration": {"Processors": [{"Type": "X"}]}}),
            "processingConfiguration.processors.1.member.type",
            "Decompression, Lambda, RecordDeAggregation, MetadataExtraction, AppendDelimiterToRecord, CloudWatchLogProcessing",
        ),
        (
            json!({"ProcessingConfiguration": {"Processors": [{"Type": "Lambda", "Parameters": [
                {"ParameterName": "LambdaArn", "ParameterValue": "x"},
                {"ParameterName": "X", "ParameterValue": "x"},
            ]}]}}),
            "processingConfiguration.processors.1.member.parameters.2.member.parameterName",
            "DataMessageExtraction, NumberOfRetries, Delimiter, RoleArn, JsonParsingEngine, SubRecordType, MetadataExtractionQuery, BufferIntervalInSeconds, LambdaArn, BufferSizeInMBs, CompressionFormat",
        ),
    ];
    for (configuration, path, values) in cases {
        assert_eq!(
            extended_message(configuration),
            format!(
                "1 validation error detected: Value at '….{path}' failed to satisfy constraint: \
                 Member must satisfy enum value set: [{values}]"
            )
        );
    }
}

/// All paths of a message, in order.
fn paths(message: &str) -> Vec<&str> {
    message.split("Value at '").skip(1).filter_map(|part| part.split('\'').next()).collect()
}

#[test]
fn violations_of_a_conversion_stand_in_the_documented_order() {
    let message = extended_message(json!({"DataFormatConversionConfiguration": {
        "SchemaConfiguration": {
            "RoleARN": "", "CatalogId": " ", "DatabaseName": " ", "TableName": " ", "Region": " ",
            "VersionId": " ",
        },
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {
            "ColumnToJsonKeyMappings": {"a b": "", "c": "d"},
        }}},
        "OutputFormatConfiguration": {"Serializer": {
            "ParquetSerDe": {
                "BlockSizeBytes": 1, "PageSizeBytes": 1, "Compression": "X", "MaxPaddingBytes": -1,
                "WriterVersion": "V3",
            },
            "OrcSerDe": {
                "StripeSizeBytes": 1, "BlockSizeBytes": 1, "RowIndexStride": 1,
                "PaddingTolerance": 1.5, "Compression": "X", "FormatVersion": "X",
                "BloomFilterFalsePositiveProbability": -0.1, "DictionaryKeyThreshold": 2,
            },
        }},
    }}));
    let found: Vec<_> = paths(&message)
        .into_iter()
        .map(|path| path.trim_start_matches("….dataFormatConversionConfiguration."))
        .collect();
    let parquet = "outputFormatConfiguration.serializer.parquetSerDe";
    let orc = "outputFormatConfiguration.serializer.orcSerDe";
    let mappings = "inputFormatConfiguration.deserializer.openXJsonSerDe.columnToJsonKeyMappings";
    let mut expected = Vec::new();
    for name in
        ["maxPaddingBytes", "blockSizeBytes", "pageSizeBytes", "compression", "writerVersion"]
    {
        expected.push(format!("{parquet}.{name}"));
    }
    for name in [
        "dictionaryKeyThreshold",
        "blockSizeBytes",
        "rowIndexStride",
        "paddingTolerance",
        "stripeSizeBytes",
        "compression",
        "formatVersion",
        "bloomFilterFalsePositiveProbability",
    ] {
        expected.push(format!("{orc}.{name}"));
    }
    expected.extend([mappings.to_owned(), mappings.to_owned()]);
    for name in
        ["versionId", "catalogId", "databaseName", "roleARN", "roleARN", "region", "tableName"]
    {
        expected.push(format!("schemaConfiguration.{name}"));
    }
    assert_eq!(found, expected);
    assert!(message.starts_with("22 validation errors detected: "), "{message}");
    assert!(
        message.contains(
            "Map keys must satisfy constraint: [Member must have length less than or equal to \
             1024, Member must have length greater than or equal to 1, Member must satisfy \
             regular expression pattern: ^\\S+$]; "
        ),
        "{message}"
    );
    assert!(message.contains("Map value must satisfy constraint: ["), "{message}");
    assert!(message.contains("[SNAPPY, GZIP, UNCOMPRESSED]"), "{message}");
    assert!(message.contains("[V1, V2]"), "{message}");
    assert!(message.contains("[ZLIB, SNAPPY, NONE]"), "{message}");
    assert!(message.contains("[V0_11, V0_12]"), "{message}");
}

#[test]
fn a_malformed_role_of_a_schema_comes_before_the_other_violations() {
    let body = json!({
        "DeliveryStreamName": "",
        "ExtendedS3DestinationConfiguration": {"DataFormatConversionConfiguration": {
            "SchemaConfiguration": {"RoleARN": "nonsense"},
        }},
    });
    let (kind, message) = failure(Operation::CreateDeliveryStream, &body);
    assert_eq!((kind, &*message), ("InvalidParameterValueException", "Invalid role ARN."));
}

#[test]
fn a_file_extension_prints_its_own_pattern() {
    assert_eq!(
        extended_message(json!({"FileExtension": "JSON"})),
        "1 validation error detected: Value at '….fileExtension' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: ^(|\\.[0-9a-z!\\-_.*'()]+)$"
    );
}

#[test]
fn lists_of_texts_name_the_list() {
    assert_eq!(
        message(
            Operation::UntagDeliveryStream,
            &json!({"DeliveryStreamName": "s", "TagKeys": ["ok", "aws:x", ""]})
        ),
        "1 validation error detected: Value at 'tagKeys' failed to satisfy constraint: Member must \
         satisfy constraint: [Member must have length less than or equal to 128, Member must have \
         length greater than or equal to 1, Member must satisfy regular expression pattern: \
         ^(?!aws:)[\\p{L}\\p{Z}\\p{N}_.:\\/=+\\-@%]*$]"
    );
    assert_eq!(
        message(Operation::UntagDeliveryStream, &json!({"DeliveryStreamName": "s", "TagKeys": []})),
        "1 validation error detected: Value at 'tagKeys' failed to satisfy constraint: Member must \
         have length greater than or equal to 1"
    );
}

#[test]
fn a_null_in_a_list_is_a_violation() {
    let message = extended_message(json!({"ProcessingConfiguration": {"Processors": [null]}}));
    assert_eq!(paths(&message), ["….processingConfiguration.processors.1.member"]);
}

#[test]
fn wrong_types_are_serialization_errors() {
    let cases = [
        (json!({"DeliveryStreamName": 7}), "NUMBER_VALUE can not be converted to a String"),
        (json!({"DeliveryStreamName": {}}), "Start of structure or map found where not expected."),
        (json!({"DeliveryStreamName": []}), "Start of list found where not expected"),
        (
            json!({"DeliveryStreamName": "s", "Limit": "7"}),
            "STRING_VALUE can not be converted to an Integer",
        ),
        (
            json!({"DeliveryStreamName": "s", "Limit": 7.5}),
            "NUMBER_VALUE can not be converted to an Integer",
        ),
        (json!("text"), "Expected structure or map, or null"),
        (json!([]), "Start of list found where not expected"),
    ];
    for (body, expected) in cases {
        let (kind, message) = failure(Operation::DescribeDeliveryStream, &body);
        assert_eq!((kind, &*message), ("SerializationException", expected), "{body}");
    }
    let body = json!({"DeliveryStreamName": "s", "Tags": "x"});
    let (kind, message) = failure(Operation::TagDeliveryStream, &body);
    assert_eq!((kind, &*message), ("SerializationException", "Expected list or null"));
    let body = json!({"DeliveryStreamName": "s", "AllowForceDelete": "true"});
    let (_, message) = failure(Operation::DeleteDeliveryStream, &body);
    assert_eq!(message, "STRING_VALUE can not be converted to a Boolean");
}

#[test]
fn unknown_members_are_ignored() {
    check(
        Operation::DescribeDeliveryStream,
        &json!({"DeliveryStreamName": "s", "Colour": {"deep": [1]}}),
    )
    .unwrap();
}

#[test]
fn every_destination_has_its_required_members() {
    let cases: [(&str, &[&str]); 10] = [
        ("S3", &["roleARN", "bucketARN"]),
        ("ExtendedS3", &["roleARN", "bucketARN"]),
        ("Redshift", &["roleARN", "clusterJDBCURL", "copyCommand", "s3Configuration"]),
        ("Elasticsearch", &["roleARN", "indexName", "s3Configuration"]),
        ("Amazonopensearchservice", &["roleARN", "indexName", "s3Configuration"]),
        ("AmazonOpenSearchServerless", &["roleARN", "indexName", "s3Configuration"]),
        ("Splunk", &["hECEndpoint", "hECEndpointType", "s3Configuration"]),
        ("HttpEndpoint", &["endpointConfiguration", "s3Configuration"]),
        ("Snowflake", &["accountUrl", "database", "schema", "table", "roleARN", "s3Configuration"]),
        ("Iceberg", &["roleARN", "catalogConfiguration", "s3Configuration"]),
    ];
    for (kind, required) in cases {
        let message = create_message(&format!("{kind}DestinationConfiguration"), json!({}));
        let found: Vec<_> = paths(&message)
            .into_iter()
            .filter_map(|path| path.split('.').nth(1).map(str::to_owned))
            .collect();
        assert_eq!(found, required, "{kind}");
        // Updates require nothing.
        check(
            Operation::UpdateDestination,
            &json!({
                "DeliveryStreamName": "s", "CurrentDeliveryStreamVersionId": "1",
                "DestinationId": "d", format!("{kind}DestinationUpdate"): {},
            }),
        )
        .unwrap();
    }
}

#[test]
fn bounds_of_destinations_that_are_not_built() {
    let cases = [
        (
            "Splunk",
            json!({"BufferingHints": {"SizeInMBs": 6}}),
            "bufferingHints.sizeInMBs",
            "less than or equal to 5",
        ),
        (
            "Splunk",
            json!({"HECAcknowledgmentTimeoutInSeconds": 179}),
            "hECAcknowledgmentTimeoutInSeconds",
            "greater than or equal to 180",
        ),
        (
            "HttpEndpoint",
            json!({"RetryOptions": {"DurationInSeconds": 7201}}),
            "retryOptions.durationInSeconds",
            "less than or equal to 7200",
        ),
        ("Redshift", json!({"Password": "12345"}), "password", "length greater than or equal to 6"),
        (
            "Snowflake",
            json!({"KeyPassphrase": "123456"}),
            "keyPassphrase",
            "length greater than or equal to 7",
        ),
        (
            "Elasticsearch",
            json!({"VpcConfiguration": {"SubnetIds": [], "RoleARN": ROLE, "SecurityGroupIds": ["s"]}}),
            "vpcConfiguration.subnetIds",
            "length greater than or equal to 1",
        ),
    ];
    for (kind, configuration, path, rule) in cases {
        let message = create_message(&format!("{kind}DestinationConfiguration"), configuration);
        let lower = kind[..1].to_lowercase() + &kind[1..];
        let expected = format!("Value at '{lower}DestinationConfiguration.{path}' failed");
        let part = message.split("; ").find(|part| part.contains(&expected));
        assert!(part.is_some_and(|part| part.ends_with(rule)), "{message}");
    }
}

#[test]
fn the_answer_to_a_flood_of_violations_is_bounded() {
    let processors = vec![json!({}); 100_000];
    let message = extended_message(json!({"ProcessingConfiguration": {"Processors": processors}}));
    assert!(message.starts_with("1000 validation errors detected: "));
}
