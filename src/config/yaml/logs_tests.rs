//! What only HTTP endpoints, only Splunk and only Datadog have.

use std::str::FromStr;

use super::kinds_tests::{datadog, http, read, refused, splunk, valid};
use crate::{
    config::Target,
    units::{ByteSize, Span},
};

fn partner(keys: &str) -> String {
    format!("http_endpoint: {{backup: {{bucket: b}}, {keys}}}")
}

#[test]
fn a_partner_is_an_endpoint() {
    let of = |keys: &str| {
        let spec = valid(&partner(keys));
        let target = spec.target().unwrap();
        let Target::HttpEndpoint(http) = target else { panic!("{keys}") };
        assert_eq!(target.buffering(), http.buffering());
        (target.buffering(), http.partner().unwrap().name)
    };
    let (buffering, name) = of("preset: {new_relic: {region: eu}}, access_key: k");
    assert_eq!((buffering.size, name), (ByteSize(1 << 20), "New Relic"));
    let all = buffering.interval;
    let (buffering, _) = of("preset: {new_relic: {}}, access_key: k, buffering: {interval: 5s}");
    assert_eq!(
        (buffering.size, buffering.interval),
        (ByteSize(1 << 20), Span::from_str("5s").unwrap())
    );
    let (buffering, _) = of("preset: {new_relic: {}}, access_key: k, buffering: {size: 2MiB}");
    assert_eq!((buffering.size, buffering.interval), (ByteSize(2 << 20), all));
    of("preset: {sumo_logic: {deployment: endpoint4.collection.us2, token: \"${SECRET}\"}}");
    of("preset: {mongodb: {}}, url: \"https://h\", secrets_manager: {secret_arn: s}");
}

#[test]
fn mistakes_of_presets() {
    for (keys, expected) in [
        (
            "preset: {honeycomb: {}}, access_key: k",
            "preset.honeycomb.dataset: the key \"dataset\" is missing",
        ),
        (
            "preset: {datadog: {site: \"a/b\"}}, access_key: k",
            "preset.datadog.site: \"a/b\" is no part of a host name: write letters, digits, dots and hyphens",
        ),
        (
            "preset: {datadog: {site: \"${SECRET}/\"}}, access_key: k",
            "preset.datadog.site: makes no URL",
        ),
        (
            "preset: {dynatrace: {environment_url: abc}}, access_key: k",
            "preset.dynatrace.environment_url: this is no URL: write https://host",
        ),
        (
            "preset: {sumo_logic: {deployment: d, token: \"\"}}",
            "preset.sumo_logic.token: must not be empty",
        ),
        (
            "preset: {sumo_logic: {deployment: d, token: {file: /none}}}",
            "preset.sumo_logic.token: the token cannot be read: No such file or directory (os error 2)",
        ),
        (
            "preset: {elastic: {}}, access_key: k",
            "url: Elastic gives every customer an endpoint of their own: its url must be given \
             — set url: https://host/path",
        ),
        (
            "preset: {new_relic: {}}",
            "access_key: the key \"access_key\" is missing — set access_key: {file: /path}, or \
             secrets_manager: {secret_arn: …}",
        ),
        (
            "preset: {new_relic: {}}, access_key: k, body: ndjson",
            "access_key: is sent with body: firehose only — send it in headers, or leave body out",
        ),
    ] {
        let found = read(&partner(keys)).unwrap_err();
        assert_eq!(found[0], format!("http_endpoint.{expected}"), "{keys}\n{found:#?}");
        assert!(found.len() == 1 || keys.contains("body"), "{found:#?}");
    }
}

#[test]
fn attributes_and_headers_have_names_of_their_own() {
    let spec = valid(&http(
        "common_attributes: {dt-url: \"${SECRET}\", \"a b\": \"\"}, headers: {X-Tenant: a, x_b: c}",
    ));
    assert_eq!(spec.http_endpoint.unwrap().common_attributes.len(), 2);
    let many: Vec<String> = (0..51).map(|n| format!("a{n}: b")).collect();
    refused(
        &http(&format!("common_attributes: {{{}}}", many.join(", "))),
        "http_endpoint.common_attributes: must be at most 50, not 51",
    );
    for name in [" ".to_owned(), "n".repeat(257)] {
        let found = read(&http(&format!("common_attributes: {{\"{name}\": v}}"))).unwrap_err();
        assert!(
            found[0].ends_with(": the name of an attribute is 1 to 256 characters"),
            "{found:?}"
        );
    }
    refused(
        &http(&format!("common_attributes: {{a: {}}}", "v".repeat(1025))),
        "http_endpoint.common_attributes.a: must be at most 1024 characters",
    );
    for name in ["Content-Type", "User-Agent", "X-Amz-Firehose-Access-Key", "transfer-encoding"] {
        refused(
            &http(&format!("headers: {{{name}: v}}")),
            &format!("http_endpoint.headers.{name}: is set by the protocol — leave it out"),
        );
    }
    refused(
        &http("headers: {\"a b\": v}"),
        "http_endpoint.headers.\"a b\": \"a b\" is no name of a header — only letters, digits and \
         - _ . are common in one",
    );
    refused(&http("headers: {A: v, a: w}"), "http_endpoint.headers.a: is the same header as \"A\"");
    refused(
        &http("headers: {a: \"${LINES}\"}"),
        "http_endpoint.headers.a: cannot stand in a header: only ASCII, without line breaks",
    );
    refused(
        &http(&format!("endpoint_name: {}", "n".repeat(257))),
        "http_endpoint.endpoint_name: must be at most 256 characters",
    );
}

#[test]
fn a_plain_body_has_nothing_of_the_protocol() {
    for body in ["ndjson", "json_array", "raw"] {
        valid(&http(&format!("body: {body}, headers: {{Authorization: \"${{SECRET}}\"}}")));
        valid(&http(&format!("body: {body}, headers: {{Content-Type: text/csv, User-Agent: x}}")));
        refused(
            &http(&format!("body: {body}, headers: {{Content-Length: \"5\"}}")),
            "http_endpoint.headers.Content-Length: is set by the protocol — leave it out",
        );
        let found =
            read(&http(&format!("body: {body}, access_key: k, common_attributes: {{a: b}}")));
        let told = "is sent with body: firehose only — send it in headers, or leave body out";
        assert_eq!(
            found.unwrap_err(),
            [
                format!("http_endpoint.access_key: {told}"),
                format!("http_endpoint.common_attributes: {told}"),
            ]
        );
    }
}

#[test]
fn splunk_is_waited_for() {
    valid(&splunk("acknowledgment_timeout: 1s, acknowledgment_poll: 100ms"));
    valid(&splunk("acknowledgment_timeout: 600s, acknowledgment_poll: 600s"));
    valid(&splunk("metadata: {index: main, source: s, sourcetype: _json, host: h}"));
    for (keys, expected) in [
        ("acknowledgment_timeout: 601s", "acknowledgment_timeout: must be at most 600s, not 601s"),
        (
            "acknowledgment_timeout: 0, acknowledgment_poll: 0",
            "acknowledgment_timeout: must be at least 1s, not 0s",
        ),
        ("acknowledgment_poll: 99ms", "acknowledgment_poll: must be at least 100ms, not 99ms"),
        (
            "acknowledgment_timeout: 1s, acknowledgment_poll: 2s",
            "acknowledgment_poll: must not be longer than acknowledgment_timeout",
        ),
        ("metadata: {index: \"\"}", "metadata.index: must not be empty"),
        (
            "endpoint_type: event, metadata: {host: h}",
            "metadata.host: has no effect with endpoint_type: event — records of endpoint_type: \
             event say it themselves",
        ),
        (
            "endpoint_type: Raw",
            "endpoint_type: must be raw or event, not \"Raw\" — did you mean raw?",
        ),
    ] {
        let found = read(&splunk(keys)).unwrap_err();
        assert_eq!(found[0], format!("splunk.{expected}"), "{keys}");
    }
}

#[test]
fn datadog_has_a_site_and_tags() {
    valid(&datadog("site: us5.datadoghq.com, tags: [\"env:prod\", canary], service: s"));
    valid(&datadog("endpoint: \"http://127.0.0.1:8080\", plain_http: true"));
    for (keys, expected) in [
        (
            "site: \"https://datadoghq.eu\"",
            "site: \"https://datadoghq.eu\" is no site — write the name alone, like datadoghq.eu",
        ),
        (
            "site: \"${SECRET}\"",
            "site: the value of ${SECRET} is no site — write the name alone, like datadoghq.eu",
        ),
        ("site: datadoghq.eu, endpoint: \"https://h\"", "site: has no effect beside endpoint"),
        (
            "tags: [\"a,b\"]",
            "tags[0]: must be 1 to 200 characters without commas and white space — write it like \
             env:prod",
        ),
        ("hostname: \"\"", "hostname: must not be empty"),
    ] {
        refused(&datadog(keys), &format!("datadog.{expected}"));
    }
}
