use bytes::Bytes;
use serde_json::{Value, json};

use super::{Extraction, Filter, Map, compile, tests::record};
use crate::{
    record::{Header, Notes, Origin, Place, Provenance, Record, RecordOrigin},
    seams::{Transform, Verdict},
};

/// Beyond what a double holds.
const OFFSET: i64 = i64::MAX;

fn pulled(text: &str) -> Record {
    let header = |name: &str, value: Option<&'static [u8]>| Header {
        name: name.into(),
        value: value.map(Bytes::from_static),
    };
    let origin = RecordOrigin {
        offset: Some(OFFSET),
        sub_sequence_number: Some(u64::MAX),
        timestamp_ms: Some(-1),
        key: Some(Bytes::from_static(b"k\"\xff\n")),
        headers: vec![header("tenant", Some(b"acme")), header("none", None)],
        ..RecordOrigin::default()
    };
    let place = Place { topic: Some("clicks".into()), partition: Some(3), ..Place::default() };
    let provenance =
        Provenance { place: Some(place), records: vec![origin], ..Provenance::default() };
    Record { notes: Notes::of(Origin::new(provenance, 0)), ..record(text) }
}

fn apply(transform: &dyn Transform, record: Record) -> Verdict {
    let mut verdicts = futures::FutureExt::now_or_never(transform.apply(&[record]))
        .expect("transforms that only compute never wait");
    verdicts.remove(0)
}

fn extract(query: &str, record: Record) -> Result<Vec<(String, String)>, String> {
    match apply(&Extraction::new(query).unwrap(), record) {
        Verdict::Emit(piece) => {
            let keys = piece.notes.get().map(|findings| findings.from_query.clone());
            let keys = keys.unwrap_or_default().into_iter();
            Ok(keys.map(|(name, value)| (name.to_string(), value)).collect())
        }
        Verdict::Fail(failure) => Err(failure.cause.message),
        other => panic!("{other:?}"),
    }
}

fn map(filter: &str, record: Record) -> Value {
    match apply(&Map::new(filter).unwrap(), record) {
        Verdict::Emit(piece) => serde_json::from_slice(&piece.data).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_may_come_from_where_the_record_does() {
    let text = r#"{"a":{"clicks":"x"},"b":2}"#;
    for (query, expected) in [
        ("{t: $source.topic}", &[("t", "clicks")][..]),
        ("{b, t: $source.topic}", &[("b", "2"), ("t", "clicks")]),
        ("{b: .b, p: $source[\"partition\"]}", &[("b", "2"), ("p", "3")]),
        ("{a: .a[$source.topic]}", &[("a", "x")]),
        ("{o: $source.offset}", &[("o", "9223372036854775807")]),
        ("{n: $source.sub_sequence_number}", &[("n", "18446744073709551615")]),
        ("{h: $source.headers.tenant, b}", &[("h", "acme"), ("b", "2")]),
        ("{($source.topic): .b}", &[("clicks", "2")]),
        (
            "def f: $source.topic; {b, t: \"\\(f)/\\($source.partition)\"}",
            &[("b", "2"), ("t", "clicks/3")],
        ),
        (". as $r | {b: $r.b, t: $source.topic}", &[("b", "2"), ("t", "clicks")]),
        // Names of the filter's own come first.
        (".b as $source | {$source}", &[("source", "2")]),
    ] {
        let expected: Vec<_> =
            expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        assert_eq!(extract(query, pulled(text)), Ok(expected), "{query}");
    }
    let keys = |query| Extraction::new(query).unwrap().keys();
    assert_eq!(keys("{b, t: $source.topic}"), Some(vec!["b".to_owned(), "t".to_owned()]));
    // The value of the variable is the key, and it is no string.
    assert_eq!(keys("{$source: .b}"), None);
    extract("{$source: .b}", pulled(text)).unwrap_err();
}

#[test]
fn a_plain_record_has_an_empty_source() {
    let text = r#"{"b":2}"#;
    assert_eq!(map("$source", record(text)), json!({}));
    assert_eq!(
        map("{b, t: ($source.topic // \"put\")}", record(text)),
        json!({"b": 2, "t": "put"})
    );
    let null = Err("partitionKeys values must not be null or empty".to_owned());
    assert_eq!(extract("{b, t: $source.topic}", record(text)), null);
}

#[test]
fn filters_and_maps_see_all_of_the_source() {
    let source = json!({
        "topic": "clicks",
        "partition": 3,
        "offset": OFFSET,
        "sub_sequence_number": u64::MAX,
        "timestamp_ms": -1,
        "key": "k\"\u{fffd}\n",
        "headers": {"tenant": "acme", "none": null},
    });
    assert_eq!(map("$source", pulled("[]")), source);
    assert_eq!(map(". + {$source}", pulled(r#"{"b":2}"#)), json!({"b": 2, "source": source}));
    assert_eq!(map("{b, s: \"$source\"} # $source", pulled(r#"{"b":2}"#))["s"], "$source");
    let kept = |record| apply(&Filter::new("$source.headers.tenant == .t").unwrap(), record);
    assert!(matches!(kept(pulled(r#"{"t":"acme"}"#)), Verdict::Emit(_)));
    assert!(matches!(kept(pulled(r#"{"t":"other"}"#)), Verdict::Drop));
    assert!(matches!(kept(record(r#"{"t":"acme"}"#)), Verdict::Drop));
}

#[test]
fn a_source_is_no_record() {
    let failed = |filter: &str, record| match apply(&Map::new(filter).unwrap(), record) {
        Verdict::Fail(failure) => failure.cause.message,
        other => panic!("{other:?}"),
    };
    assert_eq!(failed("$source", pulled("no JSON")), "Non JSON record provided");
    for unknown in ["$sources", "$sourc", "$source | $sources"] {
        let message = compile(unknown).unwrap_err().to_string();
        assert!(message.contains("there is no variable $sourc"), "{message}");
    }
}

/// A large source is worth steps of its own, as a large record is.
#[test]
fn steps_grow_with_the_source() {
    let headers = |count: usize| {
        let header =
            |at| Header { name: format!("header-{at}"), value: Some(Bytes::from(vec![b'x'; 200])) };
        let origin =
            RecordOrigin { headers: (0..count).map(header).collect(), ..Default::default() };
        let provenance = Provenance { records: vec![origin], ..Provenance::default() };
        Record { notes: Notes::of(Origin::new(provenance, 0)), ..record("{}") }
    };
    let filter =
        "[$source.headers[] | length | . + . | . + . | . + . | . + . | . + . | . + .] | length";
    assert_eq!(map(filter, headers(10_000)), 10_000);
}
