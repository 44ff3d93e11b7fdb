//! The service's rules of processors, conversion and dynamic partitioning.

use serde_json::{Value, json};

use super::{LAMBDA, ROLE, create, create::LEAD, extended, invalid};

fn refused(more: Value) -> String {
    invalid(create(more))
}

fn processing(processors: Value) -> Value {
    json!({"ProcessingConfiguration": {"Enabled": true, "Processors": processors}})
}

fn processor(kind: &str, parameters: &[(&str, &str)]) -> Value {
    let pair = |(n, v): &(&str, &str)| json!({"ParameterName": n, "ParameterValue": v});
    json!({"Type": kind, "Parameters": parameters.iter().map(pair).collect::<Vec<_>>()})
}

#[test]
fn the_services_rules_of_processors() {
    let lambda = |parameters: &[(&str, &str)]| processor("Lambda", parameters);
    let cases = [
        (json!([{"Type": "Lambda"}]), "LambdaArn is required when Lambda processor is used."),
        (json!([lambda(&[("LambdaArn", "nonsense")])]), "Invalid lambda ARN."),
        (
            json!([lambda(&[("NumberOfRetries", "1"), ("NumberOfRetries", "2")])]),
            "Duplicate ProcessorParameter passed to ProcessingConfiguration.",
        ),
        (
            json!([lambda(&[("LambdaArn", LAMBDA)]), lambda(&[("LambdaArn", LAMBDA)])]),
            "Cannot have more than 1 Lambda processor.",
        ),
        (
            json!([lambda(&[("LambdaArn", LAMBDA), ("BufferSizeInMBs", "1")])]),
            "BufferSizeInMBs and BufferIntervalInSeconds must be specified together for the \
             Lambda processor.",
        ),
        (
            json!([processor("RecordDeAggregation", &[("SubRecordType", "JSON")])]),
            "class com.amazonaws.services.firehose.internal.model.RecordDeAggregationProcessor \
             can only be present when Dynamic Partitioning is enabled.",
        ),
        (
            json!([processor("MetadataExtraction", &[])]),
            "class com.amazonaws.services.firehose.internal.model.MetadataExtractionProcessor \
             can only be present when Dynamic Partitioning is enabled.",
        ),
    ];
    for (processors, message) in cases {
        assert_eq!(refused(processing(processors)), message);
    }
    create(processing(json!([processor("AppendDelimiterToRecord", &[("Delimiter", "\\n")])])))
        .unwrap();
}

#[test]
fn what_processors_take() {
    let unzip = processor("Decompression", &[("CompressionFormat", "GZIP")]);
    let logs = |value| processor("CloudWatchLogProcessing", &[("DataMessageExtraction", value)]);
    let lambda = |name, value| {
        let mut given = vec![("LambdaArn", LAMBDA), (name, value)];
        match name {
            "BufferSizeInMBs" => given.push(("BufferIntervalInSeconds", "60")),
            "BufferIntervalInSeconds" => given.push(("BufferSizeInMBs", "1")),
            _ => {}
        }
        json!([processor("Lambda", &given)])
    };
    let long = "x".repeat(65);
    let cases = [
        (
            json!([processor("AppendDelimiterToRecord", &[("NumberOfRetries", "1")])]),
            "AppendDelimiterToRecord does not take the parameter NumberOfRetries, only Delimiter.",
        ),
        (
            json!([processor("AppendDelimiterToRecord", &[("Delimiter", &long)])]),
            "Invalid Delimiter for the AppendDelimiterToRecord processor: it has 65 bytes, more \
             than 64.",
        ),
        (
            json!([processor("Decompression", &[])]),
            "CompressionFormat is required when Decompression processor is used.",
        ),
        (
            json!([processor("Decompression", &[("CompressionFormat", "ZSTD")])]),
            "Invalid CompressionFormat for the Decompression processor: ZSTD. Allowed: GZIP.",
        ),
        (
            json!([processor("Decompression", &[("Delimiter", "x")])]),
            "Decompression does not take the parameter Delimiter, only CompressionFormat.",
        ),
        (
            json!([unzip, logs("false")]),
            "Invalid DataMessageExtraction for the CloudWatchLogProcessing processor: false. \
             Allowed: true.",
        ),
        (
            json!([logs("true")]),
            "The processor CloudWatchLogProcessing can only be present together with the \
             processor Decompression.",
        ),
        (
            lambda("NumberOfRetries", "three"),
            "Invalid NumberOfRetries for the Lambda processor: three. Allowed: whole numbers from \
             0.",
        ),
        (
            lambda("BufferSizeInMBs", "0.1"),
            "Invalid BufferSizeInMBs for the Lambda processor: 0.1. Allowed: 0.2 to 3.",
        ),
        (
            lambda("BufferIntervalInSeconds", "901"),
            "Invalid BufferIntervalInSeconds for the Lambda processor: 901. Allowed: 0 to 900.",
        ),
        (
            lambda("BufferSizeInMBs", "NaN"),
            "Invalid BufferSizeInMBs for the Lambda processor: NaN. Allowed: 0.2 to 3.",
        ),
    ];
    for (processors, message) in cases {
        assert_eq!(refused(processing(processors.clone())), message);
        // What is off harms nobody.
        create(json!({"ProcessingConfiguration": {"Processors": processors}})).unwrap();
    }
    for fine in [
        json!([unzip, logs("true")]),
        lambda("NumberOfRetries", "9"),
        lambda("BufferSizeInMBs", "0.2"),
        lambda("BufferIntervalInSeconds", "900"),
    ] {
        create(processing(fine)).unwrap();
    }
}

#[test]
fn what_processors_of_partitioned_streams_take() {
    let of = |kind: &str, parameters: &[(&str, &str)]| {
        let extraction = processor("MetadataExtraction", &[("MetadataExtractionQuery", "{a: .x}")]);
        let mut processors = vec![processor(kind, parameters)];
        if kind != "MetadataExtraction" {
            processors.push(extraction);
        }
        json!({
            "DynamicPartitioningConfiguration": {"Enabled": true},
            "Prefix": "!{partitionKeyFromQuery:a}/",
            "ErrorOutputPrefix": "errors/",
            "ProcessingConfiguration": {"Enabled": true, "Processors": processors},
        })
    };
    let (split, extract) = ("RecordDeAggregation", "MetadataExtraction");
    let cases = [
        (split, vec![], "SubRecordType is required when RecordDeAggregation processor is used."),
        (
            split,
            vec![("SubRecordType", "json")],
            "Invalid SubRecordType for the RecordDeAggregation processor: json. Allowed: JSON, \
             DELIMITED.",
        ),
        (
            split,
            vec![("SubRecordType", "DELIMITED")],
            "Delimiter is required when SubRecordType is DELIMITED.",
        ),
        (
            split,
            vec![("SubRecordType", "DELIMITED"), ("Delimiter", "\\n")],
            "Invalid Delimiter for the RecordDeAggregation processor: the delimiter is not base64.",
        ),
        (
            extract,
            vec![("JsonParsingEngine", "JQ-1.6")],
            "MetadataExtractionQuery is required when MetadataExtraction processor is used.",
        ),
        (
            extract,
            vec![("MetadataExtractionQuery", "{a: .x}"), ("JsonParsingEngine", "JQ-1.7")],
            "Invalid JsonParsingEngine for the MetadataExtraction processor: JQ-1.7. Allowed: \
             JQ-1.6.",
        ),
    ];
    for (kind, parameters, message) in cases {
        assert_eq!(refused(of(kind, &parameters)), message);
    }
    let broken = refused(of(extract, &[("MetadataExtractionQuery", "{a: .x")]));
    let lead = "Invalid MetadataExtractionQuery for the MetadataExtraction processor: jq: ";
    assert!(broken.starts_with(lead) && broken.contains("column"), "{broken}");
    for (kind, parameters) in [
        (split, vec![("SubRecordType", "JSON")]),
        (split, vec![("SubRecordType", "DELIMITED"), ("Delimiter", "fHw=")]),
        (extract, vec![("MetadataExtractionQuery", "{a: .x}"), ("JsonParsingEngine", "JQ-1.6")]),
    ] {
        create(of(kind, &parameters)).unwrap();
    }
}

#[test]
fn a_lambda_that_is_off_is_stored_completed() {
    let parameters = [("NumberOfRetries", "1"), ("LambdaArn", LAMBDA)];
    let hose = create(json!({"ProcessingConfiguration": {
        "Processors": [processor("Lambda", &parameters)],
    }}))
    .unwrap();
    let expected = processor(
        "Lambda",
        &[
            ("LambdaArn", LAMBDA),
            ("NumberOfRetries", "1"),
            ("RoleArn", ROLE),
            ("BufferSizeInMBs", "1"),
            ("BufferIntervalInSeconds", "60"),
        ],
    );
    assert_eq!(
        extended(&hose)["ProcessingConfiguration"],
        json!({"Enabled": false, "Processors": [expected]})
    );
}

/// A conversion that the service would take.
fn conversion() -> Value {
    json!({
        "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "d", "TableName": "t"},
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
        "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
    })
}

#[test]
fn the_services_rules_of_conversion_in_their_order() {
    // Each step mends the first fault that is left.
    let mut more = json!({
        "CompressionFormat": "GZIP",
        "BufferingHints": {"SizeInMBs": 63, "IntervalInSeconds": 300},
        "DataFormatConversionConfiguration": {},
    });
    let member = "DataFormatConversionConfiguration";
    let mut step = |mend: &dyn Fn(&mut Value), message: &str| {
        assert_eq!(refused(more.clone()), message);
        mend(&mut more);
    };
    step(
        &|m| m["CompressionFormat"] = json!("UNCOMPRESSED"),
        "The S3 destination's compression format must be set to UNCOMPRESSED when data format \
         conversion is enabled. To enable compression within the converted output format, set the \
         appropriate serialization option in the output format configuration.",
    );
    step(
        &|m| m["BufferingHints"]["SizeInMBs"] = json!(64),
        "BufferingHints.SizeInMBs must be at least 64 when data format conversion is enabled.",
    );
    step(
        &|m| m[member]["InputFormatConfiguration"] = json!({}),
        "InputFormatConfiguration must not be null",
    );
    step(
        &|m| m[member]["OutputFormatConfiguration"] = json!({"Serializer": {}}),
        "OutputFormatConfiguration must not be null",
    );
    step(&|m| m[member]["SchemaConfiguration"] = json!({}), "SchemaConfiguration must not be null");
    let two_in = json!({"Deserializer": {"OpenXJsonSerDe": {}, "HiveJsonSerDe": {}}});
    let two_out = json!({"Serializer": {"ParquetSerDe": {}, "OrcSerDe": {}}});
    step(
        &|m| m[member]["InputFormatConfiguration"] = two_in.clone(),
        "Deserializer must not be null",
    );
    step(
        &|m| m[member]["OutputFormatConfiguration"] = two_out.clone(),
        "Serializer must not be null",
    );
    step(
        &|m| {
            m[member]["InputFormatConfiguration"] = conversion()["InputFormatConfiguration"].clone()
        },
        "More than one deserializer specified. Only one may be chosen.",
    );
    step(
        &|m| {
            m[member]["OutputFormatConfiguration"] =
                conversion()["OutputFormatConfiguration"].clone();
        },
        "More than one serializer specified. Only one may be chosen.",
    );
    step(
        &|m| m[member]["SchemaConfiguration"]["RoleARN"] = json!(ROLE),
        "SchemaConfiguration.RoleArn must not be null or empty",
    );
    step(
        &|m| m[member]["SchemaConfiguration"]["DatabaseName"] = json!("d"),
        "SchemaConfiguration.DatabaseName must not be null or empty",
    );
    step(
        &|m| m[member]["SchemaConfiguration"]["TableName"] = json!("t"),
        "SchemaConfiguration.TableName must not be null or empty",
    );
    for (enabled, shown) in [(json!(false), json!(false)), (json!(true), json!(true))] {
        more[member]["Enabled"] = enabled;
        let hose = create(more.clone()).unwrap();
        assert_eq!(extended(&hose)[member]["SchemaConfiguration"]["TableName"], "t");
        assert_eq!(extended(&hose)[member]["Enabled"], shown);
    }
}

#[test]
fn patterns_of_times_are_read() {
    let mut more = json!({"DataFormatConversionConfiguration": conversion()});
    let member = "/DataFormatConversionConfiguration/InputFormatConfiguration/Deserializer";
    let mut with = |formats: Value| {
        *more.pointer_mut(member).unwrap() =
            json!({"HiveJsonSerDe": {"TimestampFormats": formats}});
        create(more.clone())
    };
    with(json!(["millis", "yyyy-MM-dd'T'HH:mm:ss"])).unwrap();
    let message = invalid(with(json!(["yyyy-MM-dd'T"])));
    assert!(message.starts_with("Invalid deserializer option(s): timestamp_formats: `yyyy-"));
}

#[test]
fn the_services_rules_of_dynamic_partitioning_in_their_order() {
    let mut more = json!({
        "DynamicPartitioningConfiguration": {"Enabled": true},
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 59},
        "Prefix": "!{timestamp:yyyy}/",
    });
    let mut step = |mend: &dyn Fn(&mut Value), message: &str| {
        assert_eq!(refused(more.clone()), message);
        mend(&mut more);
    };
    step(
        &|m| m["BufferingHints"]["SizeInMBs"] = json!(64),
        "BufferingHints.SizeInMBs must be at least 64 when Dynamic Partitioning is enabled.",
    );
    step(
        &|m| m["BufferingHints"]["IntervalInSeconds"] = json!(60),
        "BufferingHints.IntervalInSeconds must be at least 60 seconds when Dynamic Partitioning is \
         enabled.",
    );
    step(
        &|m| m["Prefix"] = json!("!{partitionKeyFromQuery:a}/!{partitionKeyFromLambda:b}/"),
        "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning is \
         enabled",
    );
    step(
        &|m| m["ProcessingConfiguration"] = json!({"Enabled": true, "Processors": []}),
        "Processing Configuration is not enabled when DataPartitioning is enabled",
    );
    let lambda = processor("Lambda", &[("LambdaArn", LAMBDA)]);
    step(
        &|m| m["ProcessingConfiguration"]["Processors"] = json!([lambda]),
        "Lambda should be present when S3 Prefix contains keys from partitionKeyFromLambda \
         namespace",
    );
    let query = |query: &str| {
        let parameters = [("MetadataExtractionQuery", query), ("JsonParsingEngine", "JQ-1.6")];
        processor("MetadataExtraction", &parameters)
    };
    let two = query(r#"{a: .x["y,z"], "c": (.d | tostring)}"#);
    step(
        &|m| m["ProcessingConfiguration"]["Processors"] = json!([lambda, two]),
        "MetadataExtraction processor should be present when S3 Prefix has partitionKeyFromQuery \
         namespace",
    );
    let one = query("{a: .x}");
    step(
        &|m| m["ProcessingConfiguration"]["Processors"] = json!([lambda, one]),
        "MetaDataExtraction JQ Query can't contain keys that are not present in the S3 Prefix \
         expression",
    );
    step(
        &|m| m["ErrorOutputPrefix"] = json!("errors/!{firehose:error-output-type}/"),
        &format!(
            "{LEAD}ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"
        ),
    );
    let hose = create(more).unwrap();
    assert_eq!(extended(&hose)["DynamicPartitioningConfiguration"], json!({"Enabled": true}));
}
