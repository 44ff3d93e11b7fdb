//! Processors, partitions and conversion between the API and what the daemon runs.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{LAMBDA, ROLE, create, ctx, extended};
use crate::{
    config::{
        DeaggregationSpec, DecompressionSpec, Delimiter, DestinationSpec, DynamicPartitioning,
        ExtractionSpec, FormatConversion, StreamSpec, TransformSpec, firehose::Hose,
    },
    encode::{
        columnar::{SchemaSource, Serializer},
        orc, parquet,
        rows::{Deserializer, HiveJson, OpenxJson},
    },
    transform::{deaggregation::SubRecordType, decompression},
    units::{ByteSize, Span},
};

fn processor(kind: &str, parameters: &[(&str, &str)]) -> Value {
    let pair = |(n, v): &(&str, &str)| json!({"ParameterName": n, "ParameterValue": v});
    json!({"Type": kind, "Parameters": parameters.iter().map(pair).collect::<Vec<_>>()})
}

/// Every processor, not in the order of their application.
fn partitioned() -> Value {
    json!({
        "Prefix": "!{partitionKeyFromQuery:a}/!{partitionKeyFromLambda:b}/",
        "ErrorOutputPrefix": "errors/",
        "DynamicPartitioningConfiguration":
            {"Enabled": true, "RetryOptions": {"DurationInSeconds": 7}},
        "ProcessingConfiguration": {"Enabled": true, "Processors": [
            processor("AppendDelimiterToRecord", &[]),
            processor("MetadataExtraction",
                &[("MetadataExtractionQuery", "{a: .x}"), ("JsonParsingEngine", "JQ-1.6")]),
            processor("Lambda", &[("LambdaArn", LAMBDA), ("NumberOfRetries", "9"),
                ("BufferSizeInMBs", "0.2"), ("BufferIntervalInSeconds", "7")]),
            processor("RecordDeAggregation",
                &[("SubRecordType", "DELIMITED"), ("Delimiter", "fHw=")]),
            processor("CloudWatchLogProcessing", &[("DataMessageExtraction", "true")]),
            processor("Decompression", &[("CompressionFormat", "GZIP")]),
        ]},
    })
}

fn destination(more: Value) -> DestinationSpec {
    create(more).unwrap().to_spec().destinations.remove(0)
}

#[test]
fn processors_apply_in_the_order_of_the_service() {
    let DestinationSpec { s3, transforms, .. } = destination(partitioned());
    let keys: Vec<_> = transforms.iter().map(TransformSpec::key).collect();
    assert_eq!(
        keys,
        [
            "decompression",
            "cloudwatch_log_processing",
            "record_deaggregation",
            "lambda",
            "metadata_extraction",
            "append_delimiter"
        ]
    );
    let [unzip, logs, split, call, extract, append] = &transforms[..] else { panic!() };
    let gzip = DecompressionSpec::Format(decompression::Format::Gzip);
    assert_eq!(unzip, &TransformSpec::Decompression(gzip));
    let TransformSpec::CloudwatchLogProcessing(logs) = logs else { panic!() };
    assert!(logs.data_message_extraction && logs.metadata.is_empty());
    let sub_records = DeaggregationSpec::Detailed {
        sub_record_type: SubRecordType::Delimited,
        delimiter: None,
        delimiter_base64: Some("fHw=".into()),
    };
    assert_eq!(split, &TransformSpec::RecordDeaggregation(sub_records));
    let TransformSpec::Lambda(call) = call else { panic!() };
    assert_eq!(call.function.as_deref(), Some(LAMBDA));
    assert_eq!((call.number_of_retries, call.buffer_size), (9, ByteSize(209_715)));
    assert_eq!(call.buffer_interval, Span(Duration::from_secs(7)));
    // The stored role is the destination's.
    assert_eq!(call.role_arn, None);
    let query = ExtractionSpec::Text("{a: .x}".into());
    assert_eq!(extract, &TransformSpec::MetadataExtraction(query));
    assert_eq!(append, &TransformSpec::AppendDelimiter(Delimiter::Text("\n".into())));

    let s3 = s3.expect("it is one of S3");
    assert_eq!(s3.buffering.size, ByteSize(128 << 20));
    let expected = DynamicPartitioning {
        enabled: true,
        max_active_partitions: 500,
        retry_duration: Span(Duration::from_secs(7)),
    };
    assert_eq!(s3.dynamic_partitioning, Some(expected));
}

#[test]
fn a_role_of_its_own_stays_the_functions() {
    let other = "arn:aws:iam::123456789012:role/call";
    let parameters = [("LambdaArn", LAMBDA), ("RoleArn", other)];
    let found = destination(json!({"ProcessingConfiguration":
        {"Enabled": true, "Processors": [processor("Lambda", &parameters)]}}));
    let [TransformSpec::Lambda(call)] = &found.transforms[..] else { panic!() };
    assert_eq!(call.role_arn.as_deref(), Some(other));
    assert_eq!((call.number_of_retries, call.buffer_size), (3, ByteSize(1 << 20)));
}

fn converted(input: Value, output: Value) -> FormatConversion {
    let schema = json!({"RoleARN": ROLE, "DatabaseName": "d", "TableName": "t"});
    let found = destination(json!({"DataFormatConversionConfiguration": {
        "SchemaConfiguration": schema,
        "InputFormatConfiguration": {"Deserializer": input},
        "OutputFormatConfiguration": {"Serializer": output},
    }}));
    let s3 = found.s3.unwrap();
    assert_eq!(s3.buffering.size, ByteSize(128 << 20));
    s3.format_conversion.expect("it is on unless it says otherwise")
}

#[test]
fn every_option_of_parquet_and_openx_finds_its_place() {
    let (input, output) = (json!({"OpenXJsonSerDe": {}}), json!({"ParquetSerDe": {}}));
    let found = converted(input, output);
    assert_eq!(found.input, Deserializer::default());
    assert_eq!(found.output, Serializer::default());
    let SchemaSource::Glue(table) = &found.schema else { panic!() };
    assert_eq!((table.database.as_str(), table.version_id.as_str()), ("d", "LATEST"));
    assert_eq!((&table.role_arn, &table.region, &table.catalog_id), (&None, &None, &None));

    let found = converted(
        json!({"OpenXJsonSerDe": {"ConvertDotsInJsonKeysToUnderscores": true,
            "CaseInsensitive": false, "ColumnToJsonKeyMappings": {"ts": "timestamp"}}}),
        json!({"ParquetSerDe": {"BlockSizeBytes": 67_108_864, "PageSizeBytes": 65_536,
            "Compression": "GZIP", "EnableDictionaryCompression": true, "MaxPaddingBytes": 7,
            "WriterVersion": "V2"}}),
    );
    let expected = OpenxJson {
        case_insensitive: false,
        convert_dots_in_json_keys_to_underscores: true,
        column_to_json_key_mappings: BTreeMap::from([("ts".into(), "timestamp".into())]),
    };
    assert_eq!(found.input, Deserializer::OpenxJson(expected));
    let expected = parquet::Options {
        compression: parquet::Compression::Gzip,
        block_size: ByteSize(64 << 20),
        page_size: ByteSize(64 << 10),
        enable_dictionary_compression: true,
        writer_version: parquet::WriterVersion::V2,
        ..parquet::Options::default()
    };
    assert_eq!(found.output, Serializer::Parquet(expected));
}

#[test]
fn every_option_of_orc_and_hive_finds_its_place() {
    let (input, output) = (json!({"HiveJsonSerDe": {}}), json!({"OrcSerDe": {}}));
    let found = converted(input, output);
    assert_eq!(found.input, Deserializer::HiveJson(HiveJson::default()));
    assert_eq!(found.output, Serializer::Orc(orc::Options::default()));

    let found = converted(
        json!({"HiveJsonSerDe": {"TimestampFormats": ["millis"]}}),
        json!({"OrcSerDe": {"StripeSizeBytes": 8_388_608, "BlockSizeBytes": 67_108_864,
            "RowIndexStride": 1_000, "EnablePadding": true, "PaddingTolerance": 0.1,
            "Compression": "NONE", "BloomFilterColumns": ["a"],
            "BloomFilterFalsePositiveProbability": 0.2, "DictionaryKeyThreshold": 1,
            "FormatVersion": "V0_11"}}),
    );
    let timestamp_formats = vec!["millis".to_owned()];
    assert_eq!(found.input, Deserializer::HiveJson(HiveJson { timestamp_formats }));
    let expected = orc::Options {
        compression: orc::Compression::None,
        stripe_size: ByteSize(8 << 20),
        block_size: ByteSize(64 << 20),
        row_index_stride: 1_000,
        enable_padding: true,
        padding_tolerance: 0.1,
        bloom_filter_columns: vec!["a".into()],
        bloom_filter_false_positive_probability: 0.2,
        dictionary_key_threshold: 1.0,
        format_version: orc::FormatVersion::V0_11,
    };
    assert_eq!(found.output, Serializer::Orc(expected));
}

#[test]
fn a_lake_goes_to_the_spec_and_back() {
    let serdes = [
        json!({"Deserializer": {"OpenXJsonSerDe": {"CaseInsensitive": false}}}),
        json!({"Serializer": {"ParquetSerDe": {"Compression": "GZIP", "WriterVersion": "V2"}}}),
        json!({"Deserializer": {"HiveJsonSerDe": {"TimestampFormats": ["millis"]}}}),
        json!({"Serializer": {"OrcSerDe": {"Compression": "NONE", "FormatVersion": "V0_11"}}}),
    ];
    for (input, output) in [(&serdes[0], &serdes[1]), (&serdes[2], &serdes[3])] {
        let mut more = partitioned();
        let processors = &mut more["ProcessingConfiguration"]["Processors"];
        // The order of application, and what the service would not add.
        processors.as_array_mut().unwrap().reverse();
        processors[5] = processor("AppendDelimiterToRecord", &[("Delimiter", "\\n")]);
        let three =
            [("LambdaArn", LAMBDA), ("BufferSizeInMBs", "3"), ("BufferIntervalInSeconds", "0")];
        processors[3] = processor("Lambda", &three);
        more["DataFormatConversionConfiguration"] = json!({
            "SchemaConfiguration": {"RoleARN": ROLE, "CatalogId": "1", "DatabaseName": "d",
                "TableName": "t", "Region": "eu-west-1", "VersionId": "3"},
            "InputFormatConfiguration": input,
            "OutputFormatConfiguration": output,
            "Enabled": true,
        });
        let original = create(more).unwrap();
        let spec = original.to_spec();
        let back = Hose::from_spec("hose", &spec, &ctx(), ctx().now_ms);
        assert_eq!(back.describe(), original.describe());
        assert_eq!(back.to_spec(), spec);
    }
}

#[test]
fn what_the_api_has_no_word_for_is_described_as_far_as_possible() {
    let spec: StreamSpec = serde_json::from_value(json!({"destinations": [{
        "s3": {
            "bucket": "b",
            "role_arn": ROLE,
            "event_time": ".ts",
            "late": {"after": "2h", "prefix": "late/"},
            "dynamic_partitioning": {"retry_duration": "250ms"},
            "format_conversion": {
                "schema": {"infer": {}},
                "output": {"parquet": {"compression": "zstd", "timestamp_unit": "micros"}},
                "unknown_fields": "evolve",
            },
        },
        "transforms": [
            {"decompression": "zstd"},
            {"cloudwatch_log_processing": {"metadata": ["log_group"]}},
            {"filter": ".a"},
            {"map": ".a"},
            {"record_deaggregation": {"sub_record_type": "delimited", "delimiter": "\n"}},
            {"record_deaggregation": "delimited"},
            {"lambda": {"url": "https://user:secret@functions.example.org", "buffer_size": 262_144}},
            {"metadata_extraction": {"query": "{a}"}},
        ],
    }]}))
    .unwrap();
    let described = extended(&Hose::from_spec("file", &spec, &ctx(), 0));
    assert!(!described.to_string().contains("secret"), "{described}");
    let expected = json!([
        processor("Decompression", &[("CompressionFormat", "ZSTD")]),
        processor("CloudWatchLogProcessing", &[("DataMessageExtraction", "true")]),
        processor("RecordDeAggregation", &[("SubRecordType", "DELIMITED"), ("Delimiter", "Cg==")]),
        processor(
            "Lambda",
            &[
                ("NumberOfRetries", "3"),
                ("RoleArn", ROLE),
                ("BufferSizeInMBs", "0.25"),
                ("BufferIntervalInSeconds", "60")
            ]
        ),
        processor(
            "MetadataExtraction",
            &[("MetadataExtractionQuery", "{a}"), ("JsonParsingEngine", "JQ-1.6")]
        ),
    ]);
    assert_eq!(described["ProcessingConfiguration"]["Processors"], expected);
    assert_eq!(
        described["DataFormatConversionConfiguration"],
        json!({
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
            "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {"Compression": "ZSTD"}}},
            "Enabled": true,
        })
    );
    assert_eq!(
        described["DynamicPartitioningConfiguration"],
        json!({"RetryOptions": {"DurationInSeconds": 1}, "Enabled": true})
    );
}
