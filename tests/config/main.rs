//! The configuration file from the outside: what is taken, and what is said about mistakes.

mod documents;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use standpipe::{
    buffer::Durability,
    config::{self, Config, TransformSpec},
    encode::Compression,
    sinks::s3::Encryption,
    units::{ByteSize, Secret, Span},
};

/// The environment of every test here.
fn environment(name: &str) -> Option<String> {
    let value = match name {
        "STANDPIPE_SECRET" => "hunter2",
        "DIGITS" => "123456",
        "YES" => "true",
        "EMPTY" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

fn parse(yaml: &str) -> Result<Config, Vec<config::Problem>> {
    config::parse(Path::new("c.yaml"), yaml, &environment)
}

#[track_caller]
fn valid(yaml: &str) -> Config {
    parse(yaml).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The problems of a text, one a line.
#[track_caller]
fn problems(yaml: &str) -> String {
    match parse(yaml) {
        Ok(config) => panic!("this is valid: {config:?}"),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

/// A valid file with these lines in its only destination's `s3`.
fn with_s3(lines: &str) -> String {
    let lines = lines.trim().replace('\n', "\n          ");
    format!(
        "data_dir: /x\napi: {{anonymous: true}}\nstreams:\n  a:\n    destinations:\n      - s3:\n          \
         bucket: b\n          {lines}\n"
    )
}

#[test]
fn the_documented_example_is_understood() {
    let config = valid(
        r#"
data_dir: /var/lib/standpipe
api:
  listen: 127.0.0.1:4573
  region: us-east-1
  account_id: "000000000000"
  anonymous: false
  credentials:
    - {access_key_id: AKIAEXAMPLE, secret_access_key: "${STANDPIPE_SECRET}"}
aws:
  region: us-east-1
streams:
  clickstream:
    source: direct_put
    journal: {durability: os, max_size: 10GiB}
    destinations:
      - s3:
          bucket: my-logs
          prefix: "clicks/dt=!{timestamp:yyyy-MM-dd}/"
          error_output_prefix: "errors/!{firehose:error-output-type}/"
          buffering: {size: 64MiB, interval: 60s}
          compression: gzip
          encryption: {sse_kms: "alias/key"}
        transforms:
          - append_delimiter: "\n"
"#,
    );
    assert_eq!(config.api.credentials[0].secret_access_key, Secret::Value("hunter2".into()));
    let stream = &config.streams["clickstream"];
    assert_eq!(stream.journal.durability, Durability::Os);
    assert_eq!(stream.version_id, 1);
    assert_eq!(stream.destination_names(), ["s3"]);
    let destination = &stream.destinations[0];
    let s3 = destination.s3.as_ref().unwrap();
    assert_eq!(s3.buffering.size, ByteSize(64 << 20));
    assert_eq!(s3.buffering.interval, Span(Duration::from_secs(60)));
    assert_eq!(s3.compression, Compression::Gzip);
    assert_eq!(s3.encryption, Encryption::SseKms("alias/key".into()));
    let [TransformSpec::AppendDelimiter(delimiter)] = &destination.transforms[..] else {
        panic!("{destination:?}");
    };
    assert_eq!(delimiter.bytes(), (b"\n".to_vec(), false));
}

#[test]
fn the_smallest_file_has_every_default() {
    let config = valid("data_dir: /x\napi: {anonymous: true}\naws:\nstreams:\n");
    assert!(config.streams.is_empty());
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:4573");
    assert_eq!(config.shutdown_timeout, Span(Duration::from_secs(30)));
}

#[test]
fn one_destination_may_go_without_a_name_wherever_it_stands() {
    let text = "data_dir: /x\napi: {anonymous: true}\nstreams:\n  a:\n    destinations:\n      \
                - {name: cold, s3: {bucket: b}}\n      - s3: {bucket: b}\n";
    assert_eq!(valid(text).streams["a"].destination_names(), ["cold", "s3"]);
    let found = parse(&format!("{text}      - s3: {{bucket: c}}\n")).expect_err("two without");
    assert!(found[0].message.contains("the name \"s3\" is taken by destinations[1]"), "{found:?}");
}

#[test]
fn variables_take_the_type_that_is_wanted_and_quotes_keep_text() {
    let config = valid(
        "data_dir: ${HOME_DIR:-/data}/x\napi:\n  anonymous: ${YES}\n  credentials:\n    \
         - {access_key_id: A, secret_access_key: \"${DIGITS}\"}\n    \
         - access_key_id: B\n      secret_access_key: ${DIGITS}\n\
         memory_budget: ${BUDGET:-16MiB}\n",
    );
    assert_eq!(config.data_dir, PathBuf::from("/data/x"));
    assert!(config.api.anonymous);
    for credential in &config.api.credentials {
        assert_eq!(credential.secret_access_key, Secret::Value("123456".into()));
    }
    assert_eq!(config.memory_budget, ByteSize(16 << 20));
    insta::assert_snapshot!(
        problems("data_dir: /x\napi: {anonymous: \"${YES}\"}\n"),
        @"c.yaml:2:18: api.anonymous: must be true or false, not text"
    );
}

#[test]
fn every_mistake_is_told_at_once() {
    let yaml = r#"
data_dir: /x
api:
  listen: localhost:80
  account_id: 000000000000
  anonymos: true
  credentials:
    - {access_key_id: A, secret_access_key: "${NOPE} ${NADA}"}
    - {access_key_id: A, secret_access_key: ""}
    - {access_key_id: 12, secret_access_key: x, expires: now}
    - access_key_id:
shutdown_timeout: 5 weeks
memory_budget: 1
streams:
  clicks:
    source: {kinesis: {}}
    journal: {durability: fsynk, max_size: 1MiB, max_size: 2}
    throughput: {records_per_second: -1, bytes_per_second: 0}
    destinations:
      - s3:
          buket: x
          comression: gzip
          compression: gz
          buffering: {size: 64MB, intervall: 60}
        bucket: y
        transforms:
          - lamda: x
          - lambda: x
          - {filter: .a, map: .a}
          - {}
  "a b": {destinations: []}
  _: {destinations: [{s3: {bucket: b}}]}
  empty:
"#;
    insta::assert_snapshot!(problems(yaml), @r#"
    c.yaml:4:11: api.listen: "localhost:80" is no address with a port — write 127.0.0.1:4573 or [::1]:4573; names are not looked up
    c.yaml:5:15: api.account_id: must be text, not a number — put it in quotes
    c.yaml:6:3: api.anonymos: unknown key "anonymos" — did you mean "anonymous"?
    c.yaml:8:45: api.credentials[0].secret_access_key: environment variable NOPE is not set — set it, or give a default: ${NOPE:-default}
    c.yaml:8:45: api.credentials[0].secret_access_key: environment variable NADA is not set — set it, or give a default: ${NADA:-default}
    c.yaml:9:8: api.credentials[1].access_key_id: is the same as that of entry [0]
    c.yaml:9:26: api.credentials[1].secret_access_key: must not be empty
    c.yaml:10:23: api.credentials[2].access_key_id: must be text, not a number — put it in quotes
    c.yaml:10:49: api.credentials[2].expires: "now" is no time — write it like 2030-01-31T12:00:00Z
    c.yaml:11:7: api.credentials[3].access_key_id: has no value
    c.yaml:11:7: api.credentials[3].secret_access_key: the key "secret_access_key" is missing
    c.yaml:12:19: shutdown_timeout: "5 weeks" is no duration: write a number with ms, s, m, h or d, as in 300s
    c.yaml:13:1: memory_budget: must be at least 8MiB, not 1B
    c.yaml:16:14: streams.clicks.source.kinesis.stream: give the stream's name, or stream_arn
    c.yaml:17:27: streams.clicks.journal.durability: must be fsync, os or memory, not "fsynk" — did you mean fsync?
    c.yaml:17:50: streams.clicks.journal.max_size: the key "max_size" appears twice — it stands in line 17 already
    c.yaml:18:5: streams.clicks.throughput: has no effect on a source that pulls its records — leave it out
    c.yaml:18:38: streams.clicks.throughput.records_per_second: must be at least 0
    c.yaml:18:42: streams.clicks.throughput.bytes_per_second: 0 would refuse everything — leave it out for no limit
    c.yaml:21:11: streams.clicks.destinations[0].s3.buket: unknown key "buket" — did you mean "bucket"?
    c.yaml:22:11: streams.clicks.destinations[0].s3.comression: unknown key "comression" — did you mean "compression"?
    c.yaml:23:24: streams.clicks.destinations[0].s3.compression: must be uncompressed, gzip, zip, snappy, hadoop_snappy or zstd, not "gz" — did you mean gzip?
    c.yaml:24:35: streams.clicks.destinations[0].s3.buffering.intervall: unknown key "intervall" — did you mean "interval"?
    c.yaml:25:9: streams.clicks.destinations[0].bucket: unknown key "bucket" — it belongs inside of "s3"
    c.yaml:27:13: streams.clicks.destinations[0].transforms[0].lamda: unknown key "lamda" — did you mean "lambda"?
    c.yaml:28:21: streams.clicks.destinations[0].transforms[1].lambda: must be a mapping, not text
    c.yaml:29:26: streams.clicks.destinations[0].transforms[2].map: "map" cannot stand beside another one — only one of decompression, cloudwatch_log_processing, record_deaggregation, lambda, metadata_extraction, filter, map, decode_schema_registry, single_line, csv_to_json, log_to_json, append_delimiter goes here
    c.yaml:30:13: streams.clicks.destinations[0].transforms[3]: is empty — known here: decompression, cloudwatch_log_processing, record_deaggregation, lambda, metadata_extraction, filter, map, decode_schema_registry, single_line, csv_to_json, log_to_json, append_delimiter
    c.yaml:31:3: streams."a b": "a b" is no name for a stream: only a-z A-Z 0-9 _ . - are allowed
    c.yaml:31:11: streams."a b".destinations: a stream needs at least one destination
    c.yaml:32:3: streams._: "_" is no name for a stream: it is reserved
    c.yaml:33:8: streams.empty: must be a mapping, not nothing
    "#);
}

#[test]
fn mistakes_of_a_destination() {
    let yaml = with_s3(
        r#"
prefix: 5
buffering: {size: 2GiB, interval: 25h, size_of: bytes}
encryption: sse_kms
role_arn: arn:x
external_id: x
file_extension: JSON
custom_time_zone: Mars/Base
endpoint: localhost:9000
region: ""
multipart_threshold: 1KiB
path_style: yes
checksums: sometimes
s3_backup_mode: enabled
transforms: []
"#,
    );
    insta::assert_snapshot!(problems(&yaml), @r#"
    c.yaml:8:19: streams.a.destinations[0].s3.prefix: must be text, not a number — put it in quotes
    c.yaml:9:23: streams.a.destinations[0].s3.buffering.size: must be at most 1GiB, not 2GiB
    c.yaml:9:35: streams.a.destinations[0].s3.buffering.interval: must be at most 86400s, not 90000s
    c.yaml:9:59: streams.a.destinations[0].s3.buffering.size_of: must be records or object, not "bytes"
    c.yaml:10:23: streams.a.destinations[0].s3.encryption: must be none, sse_s3 or sse_kms: …, not "sse_kms"
    c.yaml:11:21: streams.a.destinations[0].s3.role_arn: must be like arn:aws:iam::123456789012:role/name, not "arn:x"
    c.yaml:13:27: streams.a.destinations[0].s3.file_extension: must begin with a dot and hold only 0-9 a-z ! - _ . * ' ( ), not "JSON"
    c.yaml:14:11: streams.a.destinations[0].s3.custom_time_zone: "Mars/Base" is no time zone — write an IANA name like Europe/Berlin
    c.yaml:15:11: streams.a.destinations[0].s3.endpoint: "localhost:9000" is no URL of a server — write it like http://127.0.0.1:9000 or https://s3.example.org
    c.yaml:16:11: streams.a.destinations[0].s3.region: must not be empty
    c.yaml:17:11: streams.a.destinations[0].s3.multipart_threshold: must be at least 5MiB, not 1KiB
    c.yaml:18:23: streams.a.destinations[0].s3.path_style: must be true or false, not text — YAML 1.2 knows only true and false
    c.yaml:19:22: streams.a.destinations[0].s3.checksums: must be when_supported or when_required, not "sometimes"
    c.yaml:20:11: streams.a.destinations[0].s3.s3_backup_mode: enabled, but nothing says where to — set s3_backup: {bucket: …}
    c.yaml:21:11: streams.a.destinations[0].s3.transforms: unknown key "transforms" — it belongs further out, beside "name"
    "#);
}

#[test]
fn buckets_that_are_none_come_with_what_to_write() {
    for (bucket, help) in [
        ("file:/x", "write file:///some/folder, with three slashes"),
        ("file://x", "write file:///some/folder, with three slashes"),
        ("file:///", "write file:///some/folder, with three slashes"),
        ("/var/data", "a local folder is written file:///some/folder"),
        ("./data", "a local folder is written file:///some/folder"),
        ("s3://b/c", "write the name alone, without s3:// or arn:"),
        ("arn:aws:s3:::b", "write the name alone, without s3:// or arn:"),
        ("b/c", "what comes behind the name belongs to prefix"),
        ("b c", "only a-z A-Z 0-9 . - _ are allowed, at most 255"),
    ] {
        let yaml = with_s3("").replace("bucket: b\n", &format!("bucket: {bucket:?}\n"));
        let found = parse(&yaml).expect_err(bucket);
        assert_eq!(found.len(), 1, "{bucket}: {found:?}");
        assert_eq!(found[0].path, "streams.a.destinations[0].s3.bucket");
        assert_eq!(found[0].help.as_deref(), Some(help), "{bucket}");
    }
    valid(&with_s3("").replace("bucket: b\n", "bucket: file:///var/data\n"));
}

#[test]
fn sizes_and_ranges_have_edges() {
    for (lines, fits) in [
        ("buffering: {size: 1, interval: 0}", true),
        ("buffering: {size: 0}", false),
        ("buffering: {size: 1GiB, interval: 1d}", true),
        ("buffering: {size: 1073741825}", false),
        ("buffering: {interval: 86401}", false),
        ("multipart_threshold: 5MiB", true),
        ("multipart_threshold: 5242879", false),
        ("file_extension: .json.gz", true),
        ("file_extension: json", false),
        ("role_arn: \"arn:aws:iam::123456789012:role/path/name\"", true),
        ("role_arn: \"arn:aws:iam::12345678901:role/name\"", false),
        ("custom_time_zone: Europe/Berlin", true),
        ("endpoint: http://127.0.0.1:9000", true),
        ("endpoint: http://user:hunter2@host", false),
    ] {
        assert_eq!(parse(&with_s3(lines)).is_ok(), fits, "{lines}");
    }
    let journal = |text: &str| {
        let lines = format!("  a:\n    journal: {text}\n");
        parse(&with_s3("").replace("  a:\n", &lines)).is_ok()
    };
    assert!(journal("{max_size: 128MiB}"));
    assert!(!journal("{max_size: 127MiB}"));
    assert!(journal("{max_size: 8MiB, durability: memory}"));
    assert!(!journal("{max_size: 7MiB, durability: memory}"));
}

#[test]
fn what_must_go_together() {
    let twice = "- append_delimiter: \"\\n\"\n          - append_delimiter: x";
    insta::assert_snapshot!(
        problems(&format!("{}        transforms:\n          {twice}\n", with_s3(""))),
        @"c.yaml:11:13: streams.a.destinations[0].transforms[1].append_delimiter: stands twice: one per destination"
    );
    insta::assert_snapshot!(problems(&with_s3("s3_backup: {bucket: file:x}")), @r#"
    c.yaml:8:11: streams.a.destinations[0].s3.s3_backup: has no effect without s3_backup_mode — set s3_backup_mode: enabled (or disabled, to say so)
    c.yaml:8:23: streams.a.destinations[0].s3.s3_backup.bucket: "file:x" is no local folder — write file:///some/folder, with three slashes
    "#);
    insta::assert_snapshot!(
        problems(&format!("{}      - {{name: s3, s3: {{bucket: c}}}}\n", with_s3(""))),
        @r#"c.yaml:9:10: streams.a.destinations[1].name: the name "s3" is taken by destinations[0] — give each destination its own name"#
    );
}

#[test]
fn nothing_is_open_by_accident() {
    insta::assert_snapshot!(problems("data_dir: /x\n"), @"c.yaml:1:1: api.credentials: nobody can sign a request — set api.credentials or api.credentials_file, or api.anonymous: true on a loopback address");
    insta::assert_snapshot!(
        problems("data_dir: /x\napi: {listen: \"0.0.0.0:4573\", anonymous: true}\n"),
        @r#"
    c.yaml:2:7: api.listen: an address that others can reach needs a certificate — set api.tls, or plain_http: true if something in front of it ends TLS
    c.yaml:2:31: api.anonymous: unsigned requests are taken on a loopback address only — listen on 127.0.0.1, or give credentials
    "#
    );
    insta::assert_snapshot!(
        problems(
            "data_dir: /x\napi:\n  listen: \"[::]:1\"\n  credentials_file: /none\n  \
             tls: {certificate: /none, key: {file: /none}}\n"
        ),
        @r#"
    c.yaml:5:9: api.tls.certificate: cannot be read: I/O error: No such file or directory (os error 2)
    c.yaml:5:35: api.tls.key.file: cannot be read: No such file or directory (os error 2)
    /none: cannot be read: No such file or directory (os error 2)
    "#
    );
    valid(
        "data_dir: /x\napi: {listen: \"0.0.0.0:1\", plain_http: true, credentials: \
         [{access_key_id: a, secret_access_key: b}]}\n",
    );
}

#[test]
fn broken_yaml_is_one_problem_with_a_place() {
    insta::assert_snapshot!(problems("data_dir: /x\napi: {a: ${B}}\n"), @r#"c.yaml:2:11: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}' — within { } and [ ], put "${NAME}" in quotes"#);
    insta::assert_snapshot!(problems("data_dir: /x\n---\na: 1\n"), @"c.yaml:2:1: a second document: only one is read");
    insta::assert_snapshot!(problems(""), @r#"
    c.yaml:1:1: data_dir: the key "data_dir" is missing
    c.yaml:1:1: api.credentials: nobody can sign a request — set api.credentials or api.credentials_file, or api.anonymous: true on a loopback address
    "#);
    insta::assert_snapshot!(problems("- a\n"), @r#"
    c.yaml:1:1: must be a mapping, not a list
    "#);
    insta::assert_snapshot!(problems("data_dir: !path /x\napi: {anonymous: true}\n"), @"c.yaml:1:11: data_dir: the tag !path means nothing here");
}

#[test]
fn no_problem_ever_shows_a_secret() {
    let secrets = r#"
data_dir: /x
journal_key: ${STANDPIPE_SECRET}
memory_budget: ${STANDPIPE_SECRET}
shutdown_timeout: ${STANDPIPE_SECRET}
api:
  listen: ${STANDPIPE_SECRET}
  account_id: ${STANDPIPE_SECRET}
  anonymous: ${STANDPIPE_SECRET}
  credentials:
    - {access_key_id: "a b", secret_access_key: [hunter2]}
    - {access_key_id: b, secret_access_key: {file: /hunter, fil: hunter2}}
    - {access_key_id: c, secret_access_key: !x hunter2, session_token: 5}
    - {access_key_id: d, secret_access_key: "hunter2 ${NOPE}", expires: "${STANDPIPE_SECRET}"}
  tls: {certificate: /none, key: hunter2}
aws: {endpoint: "http://me:hunter2@x", role_arn: "${STANDPIPE_SECRET}"}
streams:
  a:
    destinations:
      - name: ${STANDPIPE_SECRET}!
        s3:
          bucket: ${STANDPIPE_SECRET}/x
          custom_time_zone: ${STANDPIPE_SECRET}
          file_extension: ${STANDPIPE_SECRET}
          role_arn: ${STANDPIPE_SECRET}
          compression: ${STANDPIPE_SECRET}
"#;
    let found = parse(secrets).expect_err("nearly everything is wrong");
    assert!(found.len() > 15, "{found:#?}");
    for problem in &found {
        assert!(!format!("{problem} {problem:?}").contains("hunter2"), "{problem}");
    }
}

#[test]
fn files_that_are_named_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let keys = write("keys.yaml", "- {access_key_id: a, secret_access_key: b}\n");
    let bad = write("bad.yaml", "- {access_key_id: a}\n- {access_key_id: a, secret: b}\n");
    let empty = write("empty", "");
    valid(&format!("data_dir: /x\napi: {{credentials_file: {keys}}}\n"));
    assert_eq!(config::load_credentials(Path::new(&keys)).unwrap().len(), 1);

    let found = parse(&format!("data_dir: /x\napi: {{credentials_file: {bad}}}\n")).unwrap_err();
    let places: Vec<_> = found.iter().map(|p| (p.line, p.path.as_str())).collect();
    assert_eq!(
        places,
        [(1, "[0].secret_access_key"), (2, "[1].access_key_id"), (2, "[1].secret"),]
    );
    assert!(found.iter().all(|problem| problem.file == Path::new(&bad)));

    let found = parse(&format!(
        "data_dir: {empty}\njournal_key: {{file: {empty}}}\napi:\n  tls: {{certificate: {empty}, \
         key: {{file: {empty}}}}}\n  credentials:\n    - {{access_key_id: a, secret_access_key: \
         {{file: {empty}}}}}\n"
    ))
    .unwrap_err();
    let said: Vec<_> = found.iter().map(|p| (p.path.as_str(), p.message.as_str())).collect();
    assert_eq!(
        said,
        [
            ("data_dir", "is no folder"),
            ("journal_key.file", "holds no key"),
            ("api.tls.certificate", "holds no PEM certificate"),
            ("api.tls.key.file", "holds no PEM private key"),
            ("api.credentials[0].secret_access_key.file", "must not be empty"),
        ]
    );
}

#[test]
fn a_file_that_is_not_there_is_a_problem_of_its_own() {
    let found = config::load(Path::new("/none/c.yaml")).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "/none/c.yaml: cannot be read: No such file or directory (os error 2)"
    );
}
