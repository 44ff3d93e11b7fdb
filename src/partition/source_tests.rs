use bytes::Bytes;

use super::{KeyNaming, KeyOptions, ObjectName, Place as Where, PrefixError, Setting};
use crate::{
    fault::output_type,
    limits,
    record::{Header, Notes, Origin, Place, Provenance, RecordOrigin, Route},
};

const ERRORS: &str = "e/!{firehose:error-output-type}/";

fn options(prefix: &str) -> KeyOptions {
    KeyOptions {
        prefix: prefix.to_owned(),
        error_output_prefix: ERRORS.to_owned(),
        dynamic_partitioning: true,
        ..KeyOptions::default()
    }
}

fn naming(prefix: &str) -> KeyNaming {
    KeyNaming::parse(&options(prefix)).unwrap()
}

fn mistakes(options: &KeyOptions) -> Vec<PrefixError> {
    KeyNaming::parse(options).unwrap_err()
}

fn notes(place: Place, record: RecordOrigin) -> Notes {
    let provenance =
        Provenance { place: Some(place), records: vec![record], ..Provenance::default() };
    Notes::of(Origin::new(provenance, 0))
}

fn kafka(key: &'static [u8], headers: &[(&str, Option<&'static [u8]>)]) -> Notes {
    let header = |&(name, value): &(&str, Option<&'static [u8]>)| Header {
        name: name.to_owned(),
        value: value.map(Bytes::from_static),
    };
    let record = RecordOrigin {
        key: Some(Bytes::from_static(key)),
        headers: headers.iter().map(header).collect(),
        ..RecordOrigin::default()
    };
    let place = Place { topic: Some("clicks".into()), partition: Some(-7), ..Place::default() };
    notes(place, record)
}

/// What stands before the object's name.
fn evaluated(prefix: &str, notes: &Notes) -> String {
    let naming = naming(prefix);
    assert!(naming.is_partitioned());
    let name = ObjectName {
        stream: "s",
        version_id: 1,
        oldest_arrival_ms: 0,
        extension: "",
        uuid: uuid::Uuid::nil(),
    };
    let key = naming.key(&name, &naming.route(notes, 0).unwrap()).unwrap();
    key.rsplit_once("s-1-1970-01-01-").unwrap().0.to_owned()
}

/// The message with which a record has no route.
fn failure(prefix: &str, notes: &Notes) -> String {
    let failure = naming(prefix).route(notes, 0).unwrap_err();
    assert_eq!(failure.output_type, output_type::METADATA_EXTRACTION_FAILED);
    assert_eq!(failure.cause.code, "DynamicPartitioning.MetadataExtractionFailed");
    failure.cause.message
}

#[test]
fn a_prefix_takes_what_is_known_of_the_source() {
    let kafka = kafka(b"k1", &[("a", Some(b"old")), ("a", Some(b"new")), ("x.y z", Some(b"v"))]);
    let place = Place {
        stream_arn: Some("arn:aws:kinesis:eu-west-1:1:stream/in".into()),
        shard_id: Some("shardId-000000000003".into()),
        ..Place::default()
    };
    let record = RecordOrigin { partition_key: Some("user 1".into()), ..RecordOrigin::default() };
    let kinesis = notes(place, record);
    let place = Place { path: Some("/var/log/../app.log".into()), ..Place::default() };
    let file = notes(place, RecordOrigin::default());
    for (prefix, notes, expected) in [
        ("!{source:topic}/!{source:partition}/", &kafka, "clicks/-7/"),
        ("k=!{source:key}/h=!{source:header.a}/!{source:header.x.y z}/", &kafka, "k=k1/h=new/v/"),
        ("!{source:topic}/!{timestamp:yyyy}/!{source:topic}/", &kafka, "clicks/1970/clicks/"),
        (
            "!{source:stream_arn}/!{source:shard_id}/!{source:partition_key}/",
            &kinesis,
            "arn:aws:kinesis:eu-west-1:1:stream/in/shardId-000000000003/user 1/",
        ),
        // As with other keys, no value climbs out of its place.
        ("in!{source:path}/", &file, "in%2Fvar/log/%2E%2E/app.log/"),
    ] {
        assert_eq!(evaluated(prefix, notes), expected, "{prefix}");
    }
}

#[test]
fn records_of_one_source_may_go_to_several_partitions() {
    let naming = naming("!{source:header.tenant}/!{partitionKeyFromQuery:app}/");
    assert_eq!(naming.query_keys(), ["app"]);
    let route = |tenant: &'static [u8], app: &str| {
        let mut notes = kafka(b"", &[("tenant", Some(tenant))]);
        notes.edit().from_query = vec![("app".into(), app.to_owned())];
        naming.route(&notes, 0).unwrap()
    };
    assert_eq!(route(b"acme", "a"), Route::Partition("acme\u{1f}a\u{1f}".into()));
    assert_eq!(route(b"a\x1fb\n", "a"), Route::Partition("a%1Fb%0A\u{1f}a\u{1f}".into()));
}

#[test]
fn a_record_without_the_value_fails() {
    let kafka = kafka(b"\xff", &[("empty", Some(b"")), ("null", None), ("raw", Some(b"\xc3"))]);
    for (name, notes, what) in [
        ("topic", &Notes::default(), "no topic"),
        ("partition", &Notes::default(), "no partition"),
        ("key", &Notes::default(), "no key"),
        ("header.a", &Notes::default(), "no header.a"),
        ("header.a", &kafka, "no header.a"),
        ("header.null", &kafka, "no header.null"),
        ("shard_id", &kafka, "no shard_id"),
        ("partition_key", &kafka, "no partition_key"),
    ] {
        let expected =
            format!("the record has {what} in its source, and the prefix takes !{{source:{name}}}");
        assert_eq!(failure(&format!("!{{source:{name}}}/"), notes), expected);
    }
    for (name, what) in
        [("header.empty", "empty"), ("key", "not UTF-8"), ("header.raw", "not UTF-8")]
    {
        let expected = format!(
            "the record's {name} in its source is {what}, and the prefix takes !{{source:{name}}}"
        );
        assert_eq!(failure(&format!("!{{source:{name}}}/"), &kafka), expected);
    }
}

#[test]
fn a_value_too_long_for_a_key_fails_its_record() {
    let place = Place { path: Some("p".repeat(limits::PREFIX_CHARS_MAX + 1)), ..Place::default() };
    let long = notes(place, RecordOrigin::default());
    let message = failure("!{source:path}", &long);
    assert!(message.starts_with("the prefix of the record's partition has"), "{message}");
}

#[test]
fn the_names_are_known_and_need_partitioning() {
    for name in ["offset", "Topic", "header", "header.", "headers.a", "tombstone"] {
        let expected = PrefixError::UnknownSource(name.to_owned());
        assert_eq!(expected.setting(), Setting::Prefix);
        assert_eq!(mistakes(&options(&format!("!{{source:{name}}}/"))), [expected]);
    }
    let expression = "source:".to_owned();
    let form = PrefixError::Form { place: Where::Prefix, expression };
    assert_eq!(mistakes(&options("!{source:}/"))[0], form);
    let off = KeyOptions { dynamic_partitioning: false, ..options("!{source:topic}/") };
    assert_eq!(mistakes(&off), [PrefixError::DynamicPartitioning]);
    let of_errors = KeyOptions {
        error_output_prefix: format!("{ERRORS}!{{source:topic}}/"),
        ..options("!{source:topic}/")
    };
    assert_eq!(mistakes(&of_errors), [PrefixError::PartitionKeyOfError("source".into())]);
}
