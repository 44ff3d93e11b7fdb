//! HTTP endpoints, Splunk and Datadog, and what all kinds of destinations share.

use std::path::Path;

use super::parse;
use crate::{
    batch::SizeOf,
    config::{Config, DestinationSpec, Target},
    units::{ByteSize, Span},
};

/// What precedes a destination's own keys in the path of a mistake.
const PATH: &str = "streams.a.destinations[0].";

pub(super) fn environment(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("hunter2".into()),
        "LINES" => Some("hunter2\nhunter2".into()),
        _ => None,
    }
}

/// The mistakes of a file with these lines as its only destination, one text each.
pub(super) fn read(destination: &str) -> Result<DestinationSpec, Vec<String>> {
    let text = format!(
        "data_dir: /x\napi: {{anonymous: true}}\nstreams:\n  a:\n    destinations:\n      - {}\n",
        destination.trim().replace('\n', "\n        ")
    );
    let found = parse(Path::new("c.yaml"), &text, &environment);
    let told = |problem: super::Problem| {
        assert!(problem.line > 5, "{problem} stands somewhere");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
        let help = problem.help.map(|help| format!(" — {help}")).unwrap_or_default();
        let path = problem.path.strip_prefix(PATH).unwrap_or(&problem.path).to_owned();
        format!("{path}: {}{help}", problem.message)
    };
    let only = |mut config: Config| config.streams.remove("a").unwrap().destinations.remove(0);
    found.map(only).map_err(|problems| problems.into_iter().map(told).collect())
}

#[track_caller]
pub(super) fn valid(destination: &str) -> DestinationSpec {
    read(destination).unwrap_or_else(|problems| panic!("{destination}\n{problems:#?}"))
}

/// A destination that is wrong in one way only.
#[track_caller]
pub(super) fn refused(destination: &str, expected: &str) {
    let found = read(destination).expect_err(destination);
    assert_eq!(found, [expected], "{destination}");
}

pub(super) fn http(keys: &str) -> String {
    format!("http_endpoint: {{url: \"https://h/p\", backup: {{bucket: b}}{}}}", also(keys))
}

pub(super) fn splunk(keys: &str) -> String {
    let own = "endpoint: \"https://h:8088\", token: t, backup: {bucket: b}";
    format!("splunk: {{{own}{}}}", also(keys))
}

pub(super) fn datadog(keys: &str) -> String {
    format!("datadog: {{api_key: k, backup: {{bucket: b}}{}}}", also(keys))
}

pub(super) fn also(keys: &str) -> String {
    if keys.is_empty() { String::new() } else { format!(", {keys}") }
}

#[test]
fn the_smallest_of_each_kind_is_valid() {
    let search = "{endpoint: \"https://h\", index_name: i, backup: {bucket: b}}";
    for (text, kind) in [
        ("s3: {bucket: b}".to_owned(), "s3"),
        (http(""), "http_endpoint"),
        (splunk(""), "splunk"),
        (format!("opensearch: {search}"), "opensearch"),
        (format!("elasticsearch: {search}"), "elasticsearch"),
        (datadog(""), "datadog"),
    ] {
        let spec = valid(&text);
        let target = spec.target().unwrap();
        assert_eq!(target.kind(), kind);
        assert_eq!(target.buffering(), target.default_buffering(), "{kind}");
    }
}

#[test]
fn a_destination_is_one_thing() {
    const KINDS: &str = "s3, http_endpoint, splunk, opensearch, elasticsearch, datadog";
    let none = format!("streams.a.destinations[0]: does not say where to — set one of {KINDS}");
    refused("name: x", &none);
    refused("s3:", &none);
    refused("s3: 5", "s3: must be a mapping, not a number");
    refused("splnk: {}", "splnk: unknown key \"splnk\" — did you mean \"splunk\"?");
    refused(
        &format!("s3: {{bucket: b}}\n{}", splunk("")),
        "splunk: \"splunk\" cannot stand beside \"s3\" — make it an entry of its own in \
         destinations",
    );
    // Two that say nothing are not two of one name.
    let text = "data_dir: /x\napi: {anonymous: true}\nstreams:\n  a:\n    destinations: [{transforms: \
                []}, {transforms: []}]\n";
    let found = parse(Path::new("c.yaml"), text, &environment).unwrap_err();
    assert_eq!(found.len(), 2, "{found:#?}");
    let text = "data_dir: /x\napi: {anonymous: true}\nstreams:\n  a:\n    destinations:\n";
    let both = format!("{text}      - {}\n      - {}\n", splunk(""), splunk(""));
    let found = parse(Path::new("c.yaml"), &both, &environment).unwrap_err();
    assert_eq!(found[0].message, "the name \"splunk\" is taken by destinations[0]");
}

#[test]
fn keys_go_where_they_belong() {
    let found = read(&format!("{}\nbucket: b", "s3: {bucket: b}")).unwrap_err();
    assert_eq!(found, ["bucket: unknown key \"bucket\" — it belongs inside of \"s3\""]);
    let text = format!("endpoint_type: raw\n{}", splunk(""));
    let found = read(&text).unwrap_err();
    let expected = "endpoint_type: unknown key \"endpoint_type\" — it belongs inside of \"splunk\"";
    assert_eq!(found, [expected]);
}

#[test]
fn urls_are_https_and_hold_no_password() {
    const HELP: &str = "write it like https://host.example/path";
    let url = |url: &str| format!("http_endpoint: {{url: \"{url}\", backup: {{bucket: b}}}}");
    for text in
        ["h", "ftp://h", "https://", "https:h", "https://h/ a", "https://h\\n", "https://h#f"]
    {
        refused(&url(text), &format!("http_endpoint.url: is no URL of a server — {HELP}"));
    }
    refused(
        &url("https://me:hunter2@h"),
        "http_endpoint.url: must not hold a user or a password — keys have settings of their own, \
         and headers",
    );
    refused(
        &url("http://h/${SECRET}"),
        "http_endpoint.url: must begin with https:// — set plain_http: true to send records and \
         keys as they are",
    );
    for text in ["https://h/p?key=${SECRET}", "https://127.0.0.1:1/", "https://[::1]:8443/a/b"] {
        valid(&url(text));
    }
    valid("http_endpoint: {url: \"http://h\", plain_http: true, backup: {bucket: b}}");
    refused(
        "http_endpoint: {url: {file: /none}, backup: {bucket: b}}",
        "http_endpoint.url.file: cannot be read: No such file or directory (os error 2)",
    );
    refused(
        "http_endpoint: {backup: {bucket: b}}",
        "http_endpoint.url: the key \"url\" is missing — set url: https://host/path, or the preset \
         of a partner",
    );
    const SPLUNK: &str = "write it like https://splunk.example:8088";
    let endpoint = |text: &str| splunk("").replace("https://h:8088", text);
    refused(
        &endpoint("https://h?a=${SECRET}"),
        &format!("splunk.endpoint: must end before the question mark — {SPLUNK}"),
    );
    refused(
        &endpoint("https://h:8088/services/collector/raw"),
        &format!(
            "splunk.endpoint: must end before /services/collector: endpoint_type says what \
             follows — {SPLUNK}"
        ),
    );
}

#[test]
fn batches_are_as_large_as_the_kind_takes() {
    for (make, max, kind) in [
        (http as fn(&str) -> String, "64MiB", "http_endpoint"),
        (splunk, "5MiB", "splunk"),
        (datadog, "4MiB", "datadog"),
    ] {
        valid(&make(&format!("buffering: {{size: {max}, interval: 1d}}")));
        valid(&make("buffering: {size: 1, interval: 0}"));
        refused(
            &make("buffering: {size: 65MiB}"),
            &format!("{kind}.buffering.size: must be at most {max}, not 65MiB"),
        );
        refused(
            &make("buffering: {size: 0}"),
            &format!("{kind}.buffering.size: must be at least 1B, not 0B"),
        );
        refused(
            &make("buffering: {interval: 86401}"),
            &format!("{kind}.buffering.interval: must be at most 86400s, not 86401s"),
        );
        refused(
            &make("buffering: {size_of: object}"),
            &format!(
                "{kind}.buffering.size_of: must be records: only s3 counts the bytes of objects"
            ),
        );
        refused(
            &make("retry: {duration: 8d}"),
            &format!("{kind}.retry.duration: must be at most 604800s, not 691200s"),
        );
        refused(&make("timeout: 0"), &format!("{kind}.timeout: must be more than 0s"));
        refused(&make("timeout: 2h"), &format!("{kind}.timeout: must be at most 3600s, not 7200s"));
        valid(&make("retry: {duration: 7d, on_denied: backup}, timeout: 250ms"));
    }
}

/// Half of `buffering` leaves the other half at the kind's default, not at that of S3.
#[test]
fn what_buffering_does_not_say_is_the_kinds() {
    let of = |text: String| valid(&text).target().unwrap().buffering();
    let seconds = |span: Span| span.0.as_secs();
    let found = of(splunk("buffering: {size: 1MiB}"));
    assert_eq!((found.size, seconds(found.interval)), (ByteSize(1 << 20), 60));
    let found = of(datadog("buffering: {interval: 5s}"));
    assert_eq!((found.size, seconds(found.interval)), (ByteSize(4 << 20), 5));
    let found = of(http("buffering: {size_of: records}"));
    assert_eq!((found.size, seconds(found.interval)), (ByteSize(5 << 20), 300));
    assert_eq!(found.size_of, SizeOf::Records);
}

#[test]
fn a_key_comes_from_one_place() {
    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-Ab1Cd2";
    let managed = format!("secrets_manager: {{secret_arn: \"{ARN}\"}}");
    for (kind, own, name, needed) in [
        ("http_endpoint", "url: \"https://h\"", "access_key", false),
        ("splunk", "endpoint: \"https://h\"", "token", true),
        ("datadog", "site: datadoghq.eu", "api_key", true),
    ] {
        let with = |keys: &str| format!("{kind}: {{{own}, backup: {{bucket: b}}{}}}", also(keys));
        valid(&with(&managed));
        valid(&with("secrets_manager: {secret_arn: team/key}"));
        valid(&with(&format!("{name}: \"${{SECRET}}\"")));
        refused(
            &with(&format!("{name}: k, {managed}")),
            &format!("{kind}.secrets_manager: is another key beside {name}: give one of them"),
        );
        match needed {
            false => drop(valid(&with(""))),
            true => refused(
                &with(""),
                &format!(
                    "{kind}.{name}: the key \"{name}\" is missing — set {name}: {{file: /path}}, \
                     or secrets_manager: {{secret_arn: …}}"
                ),
            ),
        }
        refused(&with(&format!("{name}: \"\"")), &format!("{kind}.{name}: must not be empty"));
        refused(
            &with(&format!("{name}: {{file: /none}}")),
            &format!("{kind}.{name}.file: cannot be read: No such file or directory (os error 2)"),
        );
        refused(
            &with(&format!("{name}: \"${{LINES}}\"")),
            &format!("{kind}.{name}: cannot stand in a header: only ASCII, without line breaks"),
        );
        refused(
            &with(&format!("{name}: {}", "k".repeat(4097))),
            &format!("{kind}.{name}: must be at most 4096 bytes"),
        );
        refused(
            &with("secrets_manager: {secret_arn: \"arn:aws:s3:::b\"}"),
            &format!(
                "{kind}.secrets_manager.secret_arn: is neither the ARN of a secret nor its name \
                 — write it like {ARN}"
            ),
        );
        refused(
            &with("secrets_manager: {secret_arn: s, role_arn: r}"),
            &format!(
                "{kind}.secrets_manager.role_arn: is no ARN of a role — write it like \
                 arn:aws:iam::123456789012:role/name"
            ),
        );
    }
}

#[test]
fn a_backup_is_an_s3_bucket() {
    let backup = |keys: &str, mode: &str| {
        splunk(mode).replace("{bucket: b}", &format!("{{bucket: b{}}}", also(keys)))
    };
    valid(&backup(
        "prefix: \"raw/!{timestamp:yyyy}/\", error_output_prefix: \
         \"e/!{firehose:error-output-type}/\", compression: zstd, append_delimiter: \"\\n\", \
         endpoint: \"http://h\"",
        "s3_backup_mode: all",
    ));
    let found = read(&splunk("").replace(", backup: {bucket: b}", "")).unwrap_err();
    assert_eq!(found, ["splunk.backup: the key \"backup\" is missing"]);
    for (keys, expected) in [
        ("region: \"\"", "region: must not be empty"),
        (
            "external_id: x",
            "external_id: has no effect without role_arn — it goes along when a role is \
          assumed: set role_arn too",
        ),
        ("buffering: {size: 2GiB}", "buffering.size: must be at most 1GiB, not 2GiB"),
        ("encryption: {sse_kms: \"\"}", "encryption.sse_kms: must not be empty"),
        (
            "custom_time_zone: Mars",
            "custom_time_zone: \"Mars\" is no time zone — write an IANA name \
          like Europe/Berlin",
        ),
        (
            "append_delimiter: x",
            "append_delimiter: stands behind source records, and none are kept — \
          set s3_backup_mode: all",
        ),
    ] {
        refused(&backup(keys, ""), &format!("splunk.backup.{expected}"));
    }
    let found = read(&backup("", "").replace("bucket: b", "bucket: s3://b")).unwrap_err();
    assert!(
        found[0].starts_with("splunk.backup.bucket: \"s3://b\" is no bucket's name"),
        "{found:?}"
    );
    // Nothing switches partitions on, so nobody is told to.
    let found = read(&backup(
        "prefix: \"!{partitionKeyFromQuery:a}/\", error_output_prefix: e/",
        "s3_backup_mode: all",
    ));
    let found = found.unwrap_err();
    assert!(
        found[0].starts_with("splunk.backup.prefix: ") && !found[0].contains(" — "),
        "{found:?}"
    );
    valid(&backup("buffering: {size_of: object}", ""));
}

#[test]
fn certificates_are_read_and_stand_in_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["h".to_owned()]).unwrap();
    let write = |name: &str, content: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let certificate = write("c", cert.pem());
    let key = write("k", signing_key.serialize_pem());
    let tls = |keys: String| splunk(&format!("tls: {{{keys}}}"));
    valid(&tls(format!(
        "ca_file: {certificate}, certificate_file: {certificate}, key_file: {key}"
    )));
    refused(
        &tls(format!("certificate_file: {certificate}")),
        "splunk.tls.certificate_file: shows nothing without its key — set key_file, the private \
         key that goes with it",
    );
    refused(
        &tls(format!("key_file: {key}")),
        "splunk.tls.key_file: has no effect without its certificate — set certificate_file, the \
         certificate that goes with it",
    );
    let found =
        read(&tls(format!("ca_file: /none, certificate_file: {key}, key_file: {certificate}")));
    assert_eq!(
        found.unwrap_err(),
        [
            "splunk.tls.ca_file: cannot be read: I/O error: No such file or directory (os error 2)",
            "splunk.tls.certificate_file: holds no PEM certificate",
            "splunk.tls.key_file: holds no PEM private key",
        ]
    );
    refused(
        &tls(format!("certificate_file: {certificate}, key_file: /none")),
        "splunk.tls.key_file: cannot be read: No such file or directory (os error 2)",
    );
}

#[test]
fn nothing_said_of_a_secret_is_the_secret() {
    // `read` looks at every message.
    for text in [
        "http_endpoint: {url: \"http://a:${SECRET}@h ${LINES}\", access_key: \"${LINES}\", headers: \
         {a: \"${LINES}\"}, backup: {bucket: \"${SECRET}/x\", custom_time_zone: \"${SECRET}\"}}",
        "splunk: {endpoint: \"${SECRET}\", token: [hunter2], backup: {bucket: b, region: 5, \
         endpoint: \"http://a:hunter2@h\"}, endpoint_type: \"${SECRET}\"}",
        "datadog: {api_key: {fil: hunter2}, site: \"${SECRET}\", tags: [\"${LINES}\"], backup: {}}",
        "opensearch: {endpoint: \"https://me:hunter2@h\", index_name: \"${SECRET}/\", auth: {basic: \
         {username: \"${SECRET}:\", password: [hunter2]}}, backup: {bucket: b}}",
    ] {
        let found = read(text).unwrap_err();
        assert!(found.len() > 2, "{text}\n{found:#?}");
    }
}

#[test]
fn every_kind_is_known_to_the_schema() {
    let schema = super::schema();
    let properties = schema["$defs"]["DestinationSpec"]["properties"].as_object().unwrap();
    let kinds: Vec<&str> = properties
        .keys()
        .map(String::as_str)
        .filter(|key| !matches!(*key, "name" | "transforms" | "replay"))
        .collect();
    assert_eq!(kinds, Target::KINDS);
}
