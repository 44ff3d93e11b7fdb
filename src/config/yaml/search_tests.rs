//! OpenSearch and Elasticsearch, and which transforms suit which kind.

use super::kinds_tests::{also, read, refused, valid};
use crate::{
    config::{OpenSearchDestination, SearchAuth},
    partition::IndexRotation,
};

const SERVERLESS: &str = "serverless: true";

fn search(keys: &str) -> String {
    of("opensearch", "https://h:9200", keys)
}

fn of(kind: &str, endpoint: &str, keys: &str) -> String {
    let own = format!("endpoint: \"{endpoint}\", index_name: idx, backup: {{bucket: b}}");
    format!("{kind}: {{{own}{}}}", also(keys))
}

fn read_search(text: &str) -> OpenSearchDestination {
    let spec = valid(text);
    spec.opensearch.or(spec.elasticsearch).unwrap()
}

#[test]
fn who_asks_and_how_often_an_index_begins_are_filled_in() {
    let domain = "https://search-d-abc.eu-west-1.es.amazonaws.com";
    for (text, auth, rotation) in [
        (search(""), SearchAuth::None, IndexRotation::OneDay),
        (of("elasticsearch", domain, ""), SearchAuth::Aws, IndexRotation::OneDay),
        (of("opensearch", domain, "auth: none"), SearchAuth::None, IndexRotation::OneDay),
        (search(SERVERLESS), SearchAuth::Aws, IndexRotation::NoRotation),
        (
            search("data_stream: true, document_id: no_document_id, index_rotation: no_rotation"),
            SearchAuth::None,
            IndexRotation::NoRotation,
        ),
        (search("auth: aws, index_rotation: one_week"), SearchAuth::Aws, IndexRotation::OneWeek),
    ] {
        let found = read_search(&text);
        assert_eq!((found.auth, found.index_rotation), (Some(auth), Some(rotation)), "{text}");
    }
}

#[test]
fn names_of_indexes() {
    let named =
        |name: &str| search("").replace("index_name: idx", &format!("index_name: {name:?}"));
    for name in ["logs", "a-b_c+d.2", ".hidden", "größe", &"i".repeat(80)] {
        valid(&named(name));
    }
    for (name, why) in [
        ("", "it is empty"),
        (".", "it is reserved"),
        ("..", "it is reserved"),
        ("Logs", "it must be in lower case"),
        ("_logs", "it must not begin with _ - +"),
        ("-logs", "it must not begin with _ - +"),
        ("+logs", "it must not begin with _ - +"),
        (&"i".repeat(81), "it is longer than 80 characters"),
    ] {
        let shown = format!("{name:?} is no name of an index: {why}");
        refused(&named(name), &format!("opensearch.index_name: {shown}"));
    }
    for forbidden in "\\/*?\"<>| ,#:\t".chars() {
        let found = read(&named(&format!("a{forbidden}b"))).unwrap_err();
        assert!(found[0].ends_with("none of \\/*?\"<>| ,#: may stand in it"), "{found:?}");
    }
    refused(
        &search("").replace("index_name: idx", "index_name: \"${SECRET}!*\""),
        "opensearch.index_name: the value of ${SECRET} is no name of an index: none of \
         \\/*?\"<>| ,#: may stand in it",
    );
}

#[test]
fn what_cannot_go_together() {
    let aws = "arn:aws:iam::123456789012:role/name";
    for (keys, expected) in [
        (
            "serverless: true, index_rotation: one_day".to_owned(),
            "index_rotation: cannot go with serverless: a collection's index stays the same — \
             leave it out, or write no_rotation",
        ),
        (
            "data_stream: true, index_rotation: one_hour".to_owned(),
            "index_rotation: cannot go with data_stream: it begins new indexes by itself — leave \
             it out, or write no_rotation",
        ),
        (
            "serverless: true, auth: none".to_owned(),
            "auth: must be aws: collections take nothing but signed requests",
        ),
        (
            format!("role_arn: \"{aws}\""),
            "role_arn: has no effect where requests are not signed — set auth: aws",
        ),
        (
            "region: eu-west-1, auth: {basic: {username: u, password: p}}".to_owned(),
            "region: has no effect where requests are not signed — set auth: aws",
        ),
        (
            "data_stream: true, type_name: t".to_owned(),
            "type_name: is for Elasticsearch before 7, which knows neither collections nor data \
             streams — leave it out",
        ),
        ("type_name: \"\"".to_owned(), "type_name: must not be empty"),
        (format!("type_name: {}", "t".repeat(101)), "type_name: must be at most 100 characters"),
        (
            "buffering: {size: 101MiB}".to_owned(),
            "buffering.size: must be at most 100MiB, not 101MiB",
        ),
        (
            "auth: {basic: {username: \"a:b\", password: p}}".to_owned(),
            "auth.basic.username: must not hold a colon or line breaks: HTTP could not tell it \
             from the password",
        ),
        (
            "auth: {basic: {username: u, password: \"\"}}".to_owned(),
            "auth.basic.password: must not be empty",
        ),
        (
            "auth: {basic: {username: u, password: {file: /none}}}".to_owned(),
            "auth.basic.password.file: cannot be read: No such file or directory (os error 2)",
        ),
        ("auth: basic".to_owned(), "auth: must be none, aws or basic: …, not \"basic\""),
    ] {
        refused(&search(&keys), &format!("opensearch.{expected}"));
    }
    valid(&search(&format!("auth: aws, role_arn: \"{aws}\", region: eu-west-1, type_name: t")));
    refused(
        &of("elasticsearch", "https://h", SERVERLESS),
        "elasticsearch.serverless: collections are of OpenSearch — write opensearch instead of \
         elasticsearch",
    );
    refused(
        &search("").replace("https://h", "http://h"),
        "opensearch.endpoint: must begin with https:// — set plain_http: true to send records and \
         keys as they are",
    );
}

const TAKEN_OUT: &str = "{cloudwatch_log_processing: {data_message_extraction: true}}";
const WITH_METADATA: &str = "{cloudwatch_log_processing: {metadata: [timestamp]}}";

#[test]
fn transforms_suit_the_kind() {
    let splunk = "splunk: {endpoint: \"https://h\", token: t, backup: {bucket: b}}";
    let with = |kind: &str, list: &str| format!("{kind}\ntransforms: [{list}]");
    let search = search("");
    for kind in [splunk, &search] {
        let found = read(&with(kind, "metadata_extraction: '{a: .a}'")).unwrap_err();
        let name = kind.split(':').next().unwrap();
        assert_eq!(
            found,
            [format!(
                "transforms[0].metadata_extraction: gives keys to the prefix of s3: {name} has \
                 none — leave it out"
            )]
        );
        valid(&with(kind, "{filter: .a}, {map: .b}, {append_delimiter: \"\\n\"}"));
    }
    let events = "transforms[0].decompression: needs the log events taken out for splunk — add \
                  cloudwatch_log_processing: {data_message_extraction: true}";
    refused(&with(splunk, "decompression: gzip"), events);
    refused(&with(splunk, "{decompression: gzip}, {cloudwatch_log_processing: {}}"), events);
    for behind in [TAKEN_OUT, WITH_METADATA, "{record_deaggregation: json}", "{map: .a}"] {
        valid(&with(splunk, &format!("{{decompression: gzip}}, {behind}")));
    }
    valid(&with(&search, "decompression: gzip"));
    for taken_out in [TAKEN_OUT, WITH_METADATA] {
        refused(
            &with(&search, taken_out),
            "transforms[0].cloudwatch_log_processing: leaves several events in one record, and \
             opensearch takes one JSON object — give metadata, and add record_deaggregation: json \
             behind it",
        );
        valid(&with(&search, &format!("{taken_out}, {{record_deaggregation: json}}")));
    }
}
