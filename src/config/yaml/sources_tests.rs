//! What is said about mistakes in sources: each once.

use std::path::Path;

use super::parse;

/// What is wrong with a file of a stream `a` with this source, beside what stands at its end.
fn wrong(source: &str, more: &str) -> Vec<String> {
    let text = format!(
        "data_dir: /x\napi: {{anonymous: true}}\nstreams:\n  a:\n    source: {source}\n    \
         destinations: [{{s3: {{bucket: b}}}}]\n{more}"
    );
    let told = |problem: super::Problem| format!("{}: {}", problem.path, problem.message);
    let parsed = parse(Path::new("c.yaml"), &text, &|_| None);
    parsed.err().unwrap_or_default().into_iter().map(told).collect()
}

#[test]
fn what_was_left_out_as_wrong_is_not_called_missing() {
    for (source, place) in [
        ("{file: {include: ['${X}/*.log']}}", "file.include[0]"),
        ("{kafka: {brokers: ['${X}'], topics: [t]}}", "kafka.brokers[0]"),
        ("{kafka: {brokers: [b], topics: ['${X}']}}", "kafka.topics[0]"),
        ("{kafka: {cluster_arn: '${X}', topics: [t]}}", "kafka.cluster_arn"),
        ("{kinesis: {stream: '${X}'}}", "kinesis.stream"),
        ("{http: {token: '${X}'}}", "http.token"),
        ("{http: {protocol: firehose, access_key: ['${X}']}}", "http.access_key[0]"),
    ] {
        let expected = format!("streams.a.source.{place}: environment variable X is not set");
        assert_eq!(wrong(source, ""), [expected], "{source}");
    }
}

#[test]
fn a_mistake_hides_no_other_one_of_its_source() {
    let found = wrong("{kafka: {brokers: ['${X}'], topics: [t], session_timeout: 1ms}}", "");
    assert!(found[0].starts_with("streams.a.source.kafka.brokers[0]: "), "{found:?}");
    assert!(found[1].starts_with("streams.a.source.kafka.session_timeout: "), "{found:?}");
    assert_eq!(found.len(), 2);
}

#[test]
fn clusters_of_msk_have_arns_and_endpoints_are_urls() {
    let found = wrong("{kafka: {cluster_arn: events, topics: [t]}}", "");
    assert!(found[0].starts_with("streams.a.source.kafka.cluster_arn: "), "{found:?}");
    for key in ["kinesis_endpoint", "dynamodb_endpoint", "msk_endpoint"] {
        let found = wrong("direct_put", &format!("aws: {{{key}: nonsense}}\n"));
        assert!(found[0].starts_with(&format!("aws.{key}: ")), "{found:?}");
        assert_eq!(found.len(), 1);
    }
}
