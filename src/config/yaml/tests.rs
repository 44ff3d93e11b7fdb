//! Transforms, partitions and conversion: what is taken, and what is said about mistakes.

use std::path::Path;

use super::{check::role_pattern, parse};
use crate::{
    config::{Config, DestinationSpec, TransformSpec},
    units::ByteSize,
};

/// A file with these lines in its only destination.
fn file(s3: &str, transforms: &str) -> String {
    let lines =
        |text: &str| text.lines().map(|line| format!("          {line}\n")).collect::<String>();
    let transforms = match transforms {
        "" => String::new(),
        list => format!("        transforms:\n{}", lines(list)),
    };
    format!(
        "data_dir: /x\napi: {{anonymous: true}}\nstreams:\n  a:\n    destinations:\n      - s3:\n          \
         bucket: b\n{}{transforms}",
        lines(s3)
    )
}

fn read(s3: &str, transforms: &str) -> Result<Config, Vec<String>> {
    let environment = |name: &str| (name == "SECRET").then(|| "hunter2".to_owned());
    let told = |problem: super::Problem| {
        let help = problem.help.map(|help| format!(" — {help}")).unwrap_or_default();
        let known = "streams.a.destinations[0].";
        let path = problem.path.strip_prefix(known).unwrap_or(&problem.path).to_owned();
        assert!(problem.line > 5, "{path} stands somewhere");
        format!("{path}: {}{help}", problem.message)
    };
    parse(Path::new("c.yaml"), &file(s3, transforms), &environment)
        .map_err(|problems| problems.into_iter().map(told).collect())
}

#[track_caller]
fn valid(s3: &str, transforms: &str) -> DestinationSpec {
    let mut config = read(s3, transforms).unwrap_or_else(|problems| panic!("{problems:#?}"));
    config.streams.remove("a").unwrap().destinations.remove(0)
}

/// Settings that are wrong in one way only.
#[track_caller]
fn refused(s3: &str, transforms: &str, expected: &str) {
    let found = read(s3, transforms).expect_err("it is wrong");
    assert!(found[0].starts_with(expected), "{s3} {transforms}\n{found:#?}");
    assert_eq!(found.len(), 1, "{s3} {transforms}\n{found:#?}");
    assert!(!found[0].contains("hunter2"), "{found:?}");
}

/// A stream that is partitioned by `app`.
const PARTITIONED: &str = "prefix: \"app=!{partitionKeyFromQuery:app}/\"\nerror_output_prefix: \
                           e/\ndynamic_partitioning: {enabled: true}";
const EXTRACTION: &str = "- metadata_extraction: '{app: .app}'";

#[test]
fn every_transform_has_its_place_in_the_list() {
    let found = valid(
        PARTITIONED,
        "- decompression: gzip\n\
         - cloudwatch_log_processing: {data_message_extraction: true, metadata: [log_group]}\n\
         - record_deaggregation: {sub_record_type: delimited, delimiter: \"\\n\"}\n\
         - filter: '.level != \"debug\"'\n\
         - map: '{app, at: .time}'\n\
         - lambda:\n    function: arn:aws:lambda:eu-west-1:123456789012:function:f:1\n    \
         buffer_size: 256KiB\n\
         - metadata_extraction: {query: '{app: .app}'}\n\
         - append_delimiter: \"\\n\"",
    );
    let keys: Vec<_> = found.transforms.iter().map(TransformSpec::key).collect();
    let expected = [
        "decompression",
        "cloudwatch_log_processing",
        "record_deaggregation",
        "filter",
        "map",
        "lambda",
        "metadata_extraction",
        "append_delimiter",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn mistakes_of_transforms() {
    for (transforms, expected) in [
        (
            "- decompression: bzip2",
            "decompression: must be gzip, zlib, zstd or a mapping, not \"bzip2\"",
        ),
        (
            "- cloudwatch_log_processing: {metadata: [log]}",
            "cloudwatch_log_processing.metadata[0]: must be log_group, log_stream, \
             subscription_filters, id, timestamp or owner, not \"log\" — did you mean log_group?",
        ),
        (
            "- cloudwatch_log_processing: {data_message_extraction: true}\n- decompression: gzip",
            "cloudwatch_log_processing: reads records before they are unpacked — put \
             decompression first",
        ),
        (
            "- record_deaggregation: delimited",
            "record_deaggregation: sub_record_type: delimited needs a delimiter — set delimiter, \
             or delimiter_base64",
        ),
        (
            "- record_deaggregation: {sub_record_type: json, delimiter: x}",
            "record_deaggregation: a delimiter has no effect with sub_record_type: json",
        ),
        ("- filter: '.a ='", "filter: jq: "),
        ("- map: '${SECRET} |'", "map: is no jq filter"),
        (
            "- metadata_extraction: {query: '{a: .b}'}",
            "metadata_extraction: has no effect without dynamic partitioning — set \
             s3.dynamic_partitioning: {enabled: true}",
        ),
        ("- lambda: {}", "lambda: calls a function by function or by url: name one of them"),
        (
            "- lambda: {function: f, url: \"http://f\"}",
            "lambda: calls a function by function or by url: name one of them",
        ),
        (
            "- lambda: {function: \"arn:aws:lambda:x\"}",
            "lambda.function: \"arn:aws:lambda:x\" is no function — write it like \
             arn:aws:lambda:eu-west-1:123456789012:function:name",
        ),
        (
            "- lambda: {url: \"ftp://f\"}",
            "lambda.url: is no URL of a server — write it like \
             https://functions.example.org/change",
        ),
        (
            "- lambda: {function: f, buffer_size: 7MiB}",
            "lambda.buffer_size: must be at most 6MiB, not 7MiB",
        ),
        (
            "- lambda: {function: f, buffer_size: 0}",
            "lambda.buffer_size: must be at least 1B, not 0B",
        ),
        (
            "- lambda: {function: f, buffer_interval: 901s}",
            "lambda.buffer_interval: must be at most 900s, not 901s",
        ),
        ("- lambda: {function: f, timeout: 0}", "lambda.timeout: must be more than 0s"),
        ("- lambda: {function: f, concurrency: 0}", "lambda.concurrency: must be 1 to 1000, not 0"),
        (
            "- lambda: {function: f, number_of_retries: 4294967296}",
            "lambda.number_of_retries: must be at most 4294967295",
        ),
        (
            "- lambda: {function: f, endpoint: \"f:1\"}",
            "lambda.endpoint: \"f:1\" is no URL of a server",
        ),
        (
            "- lambda: {function: f, role_arn: admin}",
            "lambda.role_arn: is no ARN of a role — write it like \
             arn:aws:iam::123456789012:role/name",
        ),
    ] {
        refused("", transforms, &format!("transforms[0].{expected}"));
    }
    for (key, value) in [("append_delimiter", "x"), ("lambda", "{function: f}")] {
        let transforms = format!("- {key}: {value}\n- filter: .a\n- {key}: {value}");
        let expected = format!("transforms[2].{key}: stands twice: one per destination");
        refused("", &transforms, &expected);
    }
}

#[test]
fn mistakes_of_partitions() {
    let partitioned = |from: &str, to: &str| PARTITIONED.replace(from, to);
    for (s3, expected) in [
        (
            partitioned("\ndynamic_partitioning: {enabled: true}", ""),
            "s3.prefix: Dynamic Partitioning Namespaces can only be part of a prefix expression \
             when Dynamic Partitioning is enabled. — set dynamic_partitioning: {enabled: true}",
        ),
        (
            partitioned("partitionKeyFromQuery:app", "source:offset"),
            "s3.prefix: Prefix has the unknown expression !{source:offset}; use topic, partition,",
        ),
        (
            partitioned("enabled: true", "max_active_partitions: 100001"),
            "s3.dynamic_partitioning.max_active_partitions: must be 1 to 100000",
        ),
        (
            partitioned("enabled: true", "retry_duration: 7201s"),
            "s3.dynamic_partitioning.retry_duration: must be at most 7200s, not 7201s",
        ),
        (
            partitioned("error_output_prefix: e/", ""),
            "s3.error_output_prefix: Ths supplied prefix(es) do not satisfy the following \
             constraint: ErrorOutputPrefix cannot be null or empty when Prefix contains \
             expressions",
        ),
        (
            partitioned("app=!{partitionKeyFromQuery:app}/", "dt=!{timestamp:yyyy}/"),
            "s3.prefix: S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic \
             Partitioning is enabled — write it like app=!{partitionKeyFromQuery:app}/",
        ),
        (
            partitioned(":app}/", ":app}/!{partitionKeyFromQuery:b}/"),
            "s3.prefix: has keys that the query does not give: b",
        ),
        (
            partitioned(":app}/", ":app}/!{partitionKeyFromLambda:b}/"),
            "s3.prefix: has keys from partitionKeyFromLambda, but nothing gives them — add the \
             transform lambda, whose answers give the keys",
        ),
    ] {
        refused(&s3, EXTRACTION, expected);
    }
    for (more, expected) in [
        ("event_time: ts", "s3.event_time: "),
        ("event_time: {path: .ts, format: \"yyyy-bb\"}", "s3.event_time.format: "),
        (
            "event_time: {path: .ts, zone: Mars/Base}",
            "s3.event_time.zone: zone \"Mars/Base\" is not an IANA time zone",
        ),
        (
            "late: {after: 2h, prefix: late/}",
            "s3.late: late records are told by event times, which are off",
        ),
        ("event_time: .ts\nlate: {after: 0, prefix: late/}", "s3.late.after: must be more than 0s"),
        (
            "event_time: .ts\nlate: {after: 2h, prefix: \"\"}",
            "s3.late.prefix: the prefix of late records \"\" must be literal text, as late/",
        ),
        (
            "add_partitions: glue",
            "s3.add_partitions: does not say which table: format_conversion.schema names none — \
             set add_partitions: {glue: {database: …, table: …}}",
        ),
        (
            "add_partitions: {glue: {database: d, table: t, endpoint: x}}",
            "s3.add_partitions.glue.endpoint: \"x\" is no URL of a server",
        ),
    ] {
        refused(&format!("{PARTITIONED}\n{more}"), EXTRACTION, expected);
    }
    refused(
        "add_partitions: {glue: {database: d, table: t}}",
        "",
        "s3.add_partitions: takes partitions from folders like dt=…/, and prefix has none",
    );
}

#[test]
fn mistakes_of_queries() {
    for (transforms, expected) in [
        (
            "",
            "s3.prefix: has keys from partitionKeyFromQuery, but nothing gives them — add the \
             transform metadata_extraction: '{key: .path}'",
        ),
        (
            "- metadata_extraction: '{app: .app, b: .b, c: .c}'",
            "transforms[0].metadata_extraction: the query can't contain keys that are not in \
             prefix: b, c",
        ),
        ("- metadata_extraction: '{app: .app'", "transforms[0].metadata_extraction: jq: "),
        (
            "- metadata_extraction: {query: '.app |'}",
            "transforms[0].metadata_extraction.query: jq: ",
        ),
        (
            "- metadata_extraction: '[.app]'",
            "transforms[0].metadata_extraction: the query must give one object",
        ),
        (
            "- metadata_extraction: '{app: .app}'\n- metadata_extraction: '{app: .app}'",
            "transforms[1].metadata_extraction: stands twice: one per destination",
        ),
        // One that cannot be read may be the one that is missed.
        (
            "- metadata_extracton: '{app: .app}'",
            "transforms[0].metadata_extracton: unknown key \"metadata_extracton\" — did you mean \
             \"metadata_extraction\"?",
        ),
    ] {
        refused(PARTITIONED, transforms, expected);
    }
}

#[test]
fn large_batches_are_the_default_of_lakes() {
    let conversion = "format_conversion: {schema: {ddl: \"id int\"}}";
    let mib = |count: u64| ByteSize(count << 20);
    for (s3, transforms, size) in [
        (PARTITIONED.to_owned(), EXTRACTION, mib(128)),
        (format!("{PARTITIONED}\nbuffering: {{interval: 60s}}"), EXTRACTION, mib(128)),
        // What is known of the source needs no transform.
        (PARTITIONED.replace("partitionKeyFromQuery:app", "source:topic"), "", mib(128)),
        (format!("{PARTITIONED}\nbuffering: {{size: 5MiB}}"), EXTRACTION, mib(5)),
        (conversion.to_owned(), "", mib(128)),
        (conversion.replace("{schema", "{enabled: false, schema"), "", mib(5)),
        ("dynamic_partitioning: {enabled: false}".to_owned(), "", mib(5)),
    ] {
        assert_eq!(valid(&s3, transforms).s3.unwrap().buffering.size, size, "{s3}");
    }
}

#[test]
fn schemas_and_options_that_fit() {
    for conversion in [
        "schema: {glue: {database: d, table: t, version_id: \"7\"}}",
        "schema: {columns: [{name: id, type: bigint}, {name: tags, type: \"array<string>\"}]}",
        "schema: {infer: {columns: [{name: id, type: bigint}]}}, unknown_fields: evolve",
        "schema: {ddl: \"create table t (id int) partitioned by (dt string)\"}, \
         unknown_fields: rest_column",
        "schema: {ddl: \"a struct<b:string>\"}, output: {parquet: {bloom_filter_columns: [a.b], \
         compression: zstd}}",
        "schema: {ddl: \"a string, t timestamp\"}, output: {orc: {bloom_filter_columns: [a], \
         padding_tolerance: 1}}, input: {hive_json: {timestamp_formats: [millis]}}",
        "schema: {ddl: \"ts string\"}, input: {openx_json: {column_to_json_key_mappings: \
         {ts: timestamp}}}",
    ] {
        valid(&format!("format_conversion: {{{conversion}}}"), "");
    }
}

#[test]
fn mistakes_of_schemas() {
    for (schema, expected) in [
        ("{}", ": is empty — known here: glue, ddl, file, columns, infer"),
        (
            "{ddl: \"id int\", infer: {}}",
            ".infer: \"infer\" cannot stand beside another one — only one of glue, ddl, file, \
             columns, infer goes here",
        ),
        ("{ddl: \"id integr\"}", ".ddl: column 4: "),
        ("{ddl: \"id int, ID int\"}", ".ddl: there are two columns"),
        ("{file: /none/schema.sql}", ".file: cannot be read: "),
        ("{columns: [{name: a, type: uniontype<int>}]}", ".columns[0].type: "),
        ("{columns: []}", ".columns: there are no columns"),
        ("{infer: {columns: [{name: a, type: x}]}}", ".infer.columns[0].type: "),
        (
            "{glue: {database: d, table: t, version_id: newest}}",
            ".glue.version_id: \"newest\" is no version of a table — write LATEST, or its number \
             in quotes",
        ),
        ("{glue: {database: \"\", table: t}}", ".glue.database: must not be empty"),
        (
            "{glue: {database: d, table: t, refresh: 10ms}}",
            ".glue.refresh: must be at least 1s, not 10ms",
        ),
    ] {
        let s3 = format!("format_conversion: {{schema: {schema}}}");
        refused(&s3, "", &format!("s3.format_conversion.schema{expected}"));
    }
}

#[test]
fn mistakes_of_options() {
    for (options, expected) in [
        (
            "unknown_fields: evolve",
            "unknown_fields: a given schema cannot evolve — set schema: {infer: {}}, or \
             unknown_fields: rest_column",
        ),
        (
            "output: {parquet: {block_size: 1KiB}}",
            "output.parquet.block_size: must be at least 1MiB, not 1KiB",
        ),
        (
            "output: {parquet: {bloom_filter_columns: [x]}}",
            "output.parquet.bloom_filter_columns: there is no column x for a Bloom filter",
        ),
        (
            "output: {orc: {bloom_filter_columns: [x]}}",
            "output.orc.bloom_filter_columns: bloom_filter_columns names \"x\"",
        ),
        (
            "output: {orc: {row_index_stride: 999}}",
            "output.orc.row_index_stride: must be at least 1000",
        ),
        (
            "output: {orc: {padding_tolerance: 1.5}}",
            "output.orc.padding_tolerance: must be 0 to 1, not 1.5",
        ),
        (
            "output: {orc: {bloom_filter_false_positive_probability: 1}}",
            "output.orc.bloom_filter_false_positive_probability: must lie between 0 and 1, not 1",
        ),
        ("output: {csv: {}}", "output.csv: unknown key \"csv\" — known here: parquet, orc"),
        ("input: {hive_json: {timestamp_formats: [\"'\"]}}", "input.hive_json.timestamp_formats: "),
        (
            "input: {openx_json: {column_to_json_key_mappings: {x: y}}}",
            "input.openx_json.column_to_json_key_mappings: ",
        ),
    ] {
        let s3 = format!("format_conversion: {{schema: {{ddl: \"t timestamp\"}}, {options}}}");
        refused(&s3, "", &format!("s3.format_conversion.{expected}"));
    }
    refused(
        "format_conversion: {schema: {infer: {}}, input: {hive_json: {timestamp_formats: [\"'\"]}}}",
        "",
        "s3.format_conversion.input.hive_json.timestamp_formats: ",
    );
    let packed = "compression: gzip\nformat_conversion: {schema: {ddl: \"id int\"}}";
    refused(packed, "", "s3.compression: must be uncompressed when data format conversion is on");
    valid(&packed.replace("{schema", "{enabled: false, schema"), "");
}

#[test]
fn what_comes_from_the_environment_is_not_repeated() {
    for (s3, expected) in [
        (
            "format_conversion: {schema: {ddl: \"${SECRET} int x\"}}",
            "s3.format_conversion.schema.ddl: holds no columns",
        ),
        (
            "format_conversion: {schema: {columns: [{name: a, type: \"${SECRET}\"}]}}",
            "s3.format_conversion.schema.columns[0].type: is no type",
        ),
        ("event_time: \"${SECRET}\"", "s3.event_time: does not say when a record happened"),
        (
            "event_time: .ts\nlate: {after: 1h, prefix: \"!{${SECRET}}\"}",
            "s3.late.prefix: is no valid prefix",
        ),
    ] {
        refused(s3, "", expected);
    }
}

#[test]
fn roles_look_like_roles() {
    let role = role_pattern();
    assert!(role.is_match("arn:aws:iam::123456789012:role/path/name"));
    assert!(!role.is_match("arn:aws:iam::123456789012:user/name"));
}
