use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::{Extraction, Filter, JqError, Map, compile};
use crate::{
    fault::{Failure, output_type},
    record::{Notes, Piece, Position, Record},
    seams::{Transform, Verdict},
};

pub(super) fn record(text: &str) -> Record {
    Record {
        position: Position::START,
        arrival_ms: 0,
        data: Bytes::copy_from_slice(text.as_bytes()),
        notes: Notes::default(),
    }
}

/// Transforms that only compute never wait, so one poll is enough.
pub(super) fn apply(transform: &dyn Transform, texts: &[&str]) -> Vec<Verdict> {
    let records: Vec<Record> = texts.iter().map(|text| record(text)).collect();
    futures::FutureExt::now_or_never(transform.apply(&records)).expect("it never waits")
}

fn keys(verdict: &Verdict) -> Result<Vec<(String, String)>, String> {
    match verdict {
        Verdict::Emit(piece) => {
            let found = piece.notes.get().map(|findings| findings.from_query.clone());
            let found = found.unwrap_or_default().into_iter();
            Ok(found.map(|(name, value)| (name.to_string(), value)).collect())
        }
        Verdict::Fail(Failure { output_type, cause, attempts: 1, .. }) => {
            assert_eq!(*output_type, output_type::METADATA_EXTRACTION_FAILED);
            assert_eq!(cause.code, "DynamicPartitioning.MetadataExtractionFailed");
            Err(cause.message.clone())
        }
        other => panic!("{other:?}"),
    }
}

fn extract(query: &str, text: &str) -> Result<Vec<(String, String)>, String> {
    keys(&apply(&Extraction::new(query).unwrap(), &[text])[0])
}

fn pairs(expected: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
    Ok(expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
}

/// The same query in a form that is no mere list of paths.
fn slow(query: &str) -> String {
    format!(". | {query}")
}

#[test]
fn keys_are_taken_in_the_order_of_the_query() {
    let text =
        r#" {"z":{"y":[{"n":true},"\u00e9\n"],"b c":1.50},"a":"x","n":12345678901234567890} "#;
    for (query, expected) in [
        ("{a, n}", &[("a", "x"), ("n", "12345678901234567890")][..]),
        ("{q:.z[\"b c\"],a:.a}", &[("q", "1.5"), ("a", "x")]),
        ("{q:.z.y[1], \"r\": .z.y[0].n}", &[("q", "é\n"), ("r", "true")]),
        ("{\"a\", p: .\"z\".\"b c\"?}", &[("a", "x"), ("p", "1.5")]),
        ("{p: .z?.y?[0]}", &[("p", "{\"n\":true}")]),
        ("{p: .z.y}", &[("p", "[{\"n\":true},\"é\\n\"]")]),
        ("{p: (.a + \"-\" + .z.y[1])}", &[("p", "x-é\n")]),
        ("{p: (.n | tostring | .[:3])}", &[("p", "123")]),
        ("{p: .a, (\"q\" + .a): 1}", &[("p", "x"), ("qx", "1")]),
        ("def f: .a; {p: f, f: 3.25}", &[("p", "x"), ("f", "3.25")]),
        (".a as $v | {$v}", &[("v", "x")]),
    ] {
        assert_eq!(extract(query, text), pairs(expected), "{query}");
        assert_eq!(extract(&slow(query), text), pairs(expected), "{query}");
    }
}

#[test]
fn what_gives_no_keys_fails_with_firehoses_words() {
    let null = "partitionKeys values must not be null or empty";
    let other = "Non JSON record provided";
    for (text, message) in [
        ("{}", null),
        (r#"{"a":null}"#, null),
        (r#"{"a":""}"#, null),
        ("", other),
        ("x", other),
        ("hello {\"a\":1}", other),
        ("{\"b\":1} {\"b\":2}", other),
        ("{\"b\":1", other),
        ("{\"b\":1,}", other),
        ("{\"a\":\"\\q\"}", other),
        ("{\"a\":01}", other),
        ("[1", other),
        ("{\"b\":\"x", other),
    ] {
        assert_eq!(extract("{a: .a}", text), Err(message.to_owned()), "{text}");
        assert_eq!(extract(&slow("{a: .a}"), text), Err(message.to_owned()), "{text}");
    }
    for (query, text, message) in [
        ("{a: .a.b}", r#"{"a":"x"}"#, "cannot index \"x\" with \"b\""),
        ("{a: .a[]}", r#"{"a":[]}"#, "the query gave no object"),
        ("{a: .a[]}", r#"{"a":[1,2]}"#, "the query gave more than one object"),
        (".a", r#"{"a":[1,2]}"#, "the query gave something else than an object"),
        ("error(\"oh\")", "{}", "oh"),
        ("halt", "{}", "the filter called halt"),
        ("{a: .a?}", r#"{"a":[]}"#, "{\"a\":\"[]\"}"),
    ] {
        let found = extract(query, text);
        match message.starts_with('{') {
            true => assert_eq!(found, pairs(&[("a", "[]")])),
            false => assert_eq!(found, Err(message.to_owned()), "{query}"),
        }
    }
}

#[test]
fn values_off_the_paths_are_not_read_closely() {
    let odd = r#"{"skip":{"a":["]}"],nonsense},"a":"1","b":{"c":2,"d":-},"e":"\q"}"#;
    assert_eq!(extract("{a, c: .b.c}", odd), pairs(&[("a", "1"), ("c", "2")]));
}

#[test]
fn a_record_must_be_one_whole_document_behind_the_last_key_too() {
    for text in [
        r#"{"a":"1"}{"a":"2"}"#,
        "{\"a\":\"1\"}\n{\"a\":\"2\"}",
        r#"{"a":"1"} x"#,
        r#"{"a":"1"}}"#,
        r#"{"a":"1","#,
        r#"{"a":"1","b"#,
        r#"{"a":"1","b":{"c":[1,2}"#,
        r#"{"a":"1","b":"cut of"#,
        r#"{"a":"1""#,
        r#"{"a":"1","b":2"#,
    ] {
        let expected = Err("Non JSON record provided".to_owned());
        assert_eq!(extract("{a}", text), expected, "{text}");
        assert_eq!(extract(&slow("{a}"), text), expected, "{text}");
    }
    assert_eq!(extract("{a}", "{\"a\":\"1\"} \r\n\t"), pairs(&[("a", "1")]));
}

#[test]
fn of_a_key_that_comes_twice_the_last_counts() {
    for (query, text, expected) in [
        ("{a}", r#"{"a":1,"a":2}"#, Some("2")),
        ("{a}", r#"{"a":1,"b":{"a":3},"\u0061":2}"#, Some("2")),
        ("{a: .a.b}", r#"{"a":{"b":1},"a":{"b":2,"b":3}}"#, Some("3")),
        ("{a: .a.b}", r#"{"a":{"b":1},"a":{"c":2}}"#, None),
        ("{a: .a.b}", r#"{"a":{"b":1},"a":null}"#, None),
        ("{a: .a[1]}", r#"{"a":[1,2],"a":[3]}"#, None),
        ("{a: .a[1]}", r#"{"a":[1,2],"a":[3,4]}"#, Some("4")),
        ("{a}", r#"{"a":1,"a":null}"#, None),
    ] {
        let null = "partitionKeys values must not be null or empty".to_owned();
        let expected = expected.map_or(Err(null), |value| pairs(&[("a", value)]));
        assert_eq!(extract(query, text), expected, "{text}");
        assert_eq!(extract(&slow(query), text), expected, "{text}");
    }
}

#[test]
fn the_keys_are_known_where_the_text_tells_them() {
    let keys = |query: &str| Extraction::new(query).unwrap().keys();
    let list = |keys: &[&str]| Some(keys.iter().map(|key| key.to_string()).collect::<Vec<_>>());
    assert_eq!(keys("{a: .x, \"b-\\u0063\": 1, d, a: 2}"), list(&["a", "b-c", "d"]));
    assert_eq!(keys("def f: 1; .x as $y | {$y, z: f}"), list(&["y", "z"]));
    assert_eq!(keys("{(.a): 1}"), None);
    assert_eq!(keys(".x"), None);
}

#[test]
fn a_query_must_give_between_one_and_fifty_keys() {
    let query = |keys: usize| {
        let entries: Vec<String> = (0..keys).map(|key| format!("k{key}: .x")).collect();
        format!("{{{}}}", entries.join(","))
    };
    assert!(Extraction::new(&query(50)).is_ok());
    for keys in [0, 51] {
        let error = Extraction::new(&query(keys)).unwrap_err();
        assert_eq!(error, JqError::Keys { keys });
    }
    for text in ["1", "\"x\"", "[.a]", ". | [1]", ".a == 1"] {
        assert_eq!(Extraction::new(text).unwrap_err(), JqError::NoObject, "{text}");
    }
}

#[test]
fn mistakes_say_what_and_where() {
    for (text, message) in [
        ("{a: .x", "jq: expected closing brace at line 1, column 7 (byte 6)"),
        (".a |\n  . ~ 1", "jq: expected token at line 2, column 5 (byte 9)"),
        (".a | | .b", "jq: expected term, found | at line 1, column 6 (byte 5)"),
        ("", "jq: expected term, found the end at line 1, column 1 (byte 0)"),
        ("1;", "found ; at line 1, column 2 (byte 1)"),
        (
            "\"é\" + nofilter(1)",
            "jq: there is no filter nofilter with 1 argument at line 1, column 7 (byte 7)",
        ),
        ("env", "jq: there is no filter env at line 1, column 1 (byte 0)"),
        ("$ENV.HOME", "jq: there is no variable $ENV at line 1, column 1 (byte 0)"),
        ("input", "jq: there is no filter input"),
        (".t < now", "jq: there is no filter now at line 1, column 6 (byte 5)"),
        ("import \"a\" as a; .", "jq: expected"),
        ("break $x", "jq: there is no label $x"),
    ] {
        let found = compile(text).unwrap_err().to_string();
        assert!(found.contains(message), "{text}: {found}");
    }
    let long = " ".repeat(70_000);
    assert_eq!(compile(&long).unwrap_err(), JqError::Long { bytes: 70_000 });
}

#[test]
fn a_filter_keeps_what_is_true() {
    let filter = Filter::new(".level == \"error\" or .n").unwrap();
    let texts = [r#"{"level":"error"}"#, r#"{"level":"info"}"#, r#"{"n":0}"#, "[1]", "x"];
    let verdicts = apply(&filter, &texts);
    assert!(matches!(&verdicts[0], Verdict::Emit(piece) if piece.data == texts[0]));
    assert_eq!(verdicts[1], Verdict::Drop);
    assert!(matches!(&verdicts[2], Verdict::Emit(piece) if piece.data == texts[2]));
    for (verdict, message) in [
        (&verdicts[3], "cannot index [1] with \"level\""),
        (&verdicts[4], "Non JSON record provided"),
    ] {
        let expected =
            Failure::new(output_type::PROCESSING_FAILED, "Standpipe.FilterFailed", message);
        assert_eq!(*verdict, Verdict::Fail(expected));
    }
    assert_eq!(apply(&Filter::new("empty").unwrap(), &["1"]), [Verdict::Drop]);
}

#[test]
fn a_map_makes_a_record_of_each_output() {
    let piece = |text: &str| Piece { data: record(text).data, notes: Notes::default() };
    for (filter, text, expected) in [
        (".", " {\"b\" : 1.0 , \"a\":[ ]} \n", Verdict::Emit(piece("{\"b\":1,\"a\":[]}"))),
        (".[]", "[1,\"\\u0001\\\"\"]", Verdict::Split(vec![piece("1"), piece("\"\\u0001\\\"\"")])),
        (".[]", "[]", Verdict::Drop),
        ("del(.a)", "{\"a\":1,\"b\":{}}", Verdict::Emit(piece("{\"b\":{}}"))),
        (".x * 1.5 , nan", "{\"x\":2}", Verdict::Split(vec![piece("3"), piece("null")])),
        (".x *= 2", "{\"x\":2}", Verdict::Emit(piece("{\"x\":4}"))),
        ("debug | stderr", "1", Verdict::Emit(piece("1"))),
        (
            "[.[] | @csv]",
            "[[1,\"a\\\"b\",null]]",
            Verdict::Emit(piece("[\"1,\\\"a\\\"\\\"b\\\",\"]")),
        ),
        ("@tsv", "[\"a\\tb\",true]", Verdict::Emit(piece("\"a\\\\tb\\ttrue\""))),
        ("INDEX(.id) | IN({\"7\":{\"id\":7}})", "[{\"id\":7}]", Verdict::Emit(piece("true"))),
        ("[leaf_paths]", "{\"a\":[5]}", Verdict::Emit(piece("[[\"a\",0]]"))),
        ("[range(3), range(5; 0; -2)]", "0", Verdict::Emit(piece("[0,1,2,5,3,1]"))),
        (".a | fromjson", "{\"a\":\"[1]\"}", Verdict::Emit(piece("[1]"))),
    ] {
        assert_eq!(apply(&Map::new(filter).unwrap(), &[text]), [expected], "{filter}");
    }
    let verdicts = apply(&Map::new("(.a, error(\"no\"))").unwrap(), &["{}"]);
    let expected = Failure::new(output_type::PROCESSING_FAILED, "Standpipe.MapFailed", "no");
    assert_eq!(verdicts, [Verdict::Fail(expected)]);
}

#[test]
fn what_a_filter_does_not_look_at_must_be_json() {
    let filter = Filter::new(".a == 1").unwrap();
    for text in [r#"{"a":1,"b":{"c":[1,-2.5e3,"x\n",null,{}],"d":[]}}"#, r#"{"b":2,"a":2,"a":1}"#] {
        assert!(matches!(apply(&filter, &[text])[0], Verdict::Emit(_)), "{text}");
    }
    let deep = format!("{{\"a\":1,\"b\":{}{}}}", "[".repeat(256), "]".repeat(256));
    for text in [
        r#"{"a":1,"b":01}"#,
        r#"{"a":1,"b":}"#,
        r#"{"a":1,"b":[1,]}"#,
        r#"{"a":1,"b":{"c"}}"#,
        r#"{"a":1,"b":{1:2}}"#,
        r#"{"a":1,"b":"\x"}"#,
        r#"{"a":1,"\x":2}"#,
        r#"{"a":1,"b":nul}"#,
        r#"{"a":1,"b":[1}}"#,
        r#"{"a":1,"b":2"#,
        r#"{"a":1,"b":2} 3"#,
        deep.as_str(),
    ] {
        assert!(matches!(apply(&filter, &[text])[0], Verdict::Fail(_)), "{text}");
    }
}

#[test]
fn notes_are_carried_on() {
    let mut noted = record(r#"{"a":1}"#);
    noted.notes.edit().event_ms = Some(5);
    noted.notes.edit().from_query = vec![("x".into(), "y".to_owned())];
    let records = [noted.clone()];
    let transforms: [&dyn Transform; 3] =
        [&Extraction::new("{a}").unwrap(), &Filter::new(".a").unwrap(), &Map::new(".").unwrap()];
    for transform in transforms {
        let verdicts = futures::FutureExt::now_or_never(transform.apply(&records)).unwrap();
        let Verdict::Emit(piece) = &verdicts[0] else { panic!("{verdicts:?}") };
        let findings = piece.notes.get().unwrap();
        assert_eq!(findings.event_ms, Some(5));
        assert_eq!(findings.from_query[0], ("x".into(), "y".to_owned()));
        assert_eq!(findings.from_query.len() == 2, transform.name() == "metadata_extraction");
    }
    assert_eq!(noted.notes.get().unwrap().from_query.len(), 1, "the input's notes stay");
}

/// JSON of a few names, so that paths lead somewhere.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-1000i32..1000, 0u8..4)
            .prop_map(|(n, e)| Value::from(f64::from(n) / 10f64.powi(e.into()))),
        ".{0,6}".prop_map(Value::from),
        "[\\\\\"\u{1}-\u{1f}/é😀]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let name = prop_oneof![Just("a"), Just("b"), Just("c d"), Just("é\"")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_fast_way_and_jaq_agree(
        document in json(),
        query in prop::sample::select(vec![
            "{a}", "{a, b}", "{x: .a.b}", "{x: .a[1], y: .b}", "{x: .a.a?.b, y: .a.b}",
            "{x: .[\"c d\"], y: .[\"é\\\"\"].a}", "{x: .[0]}", "{x: .[0].a, y: .[1]}",
        ]),
        pretty in any::<bool>(),
    ) {
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
        let text = text.unwrap();
        prop_assert_eq!(extract(query, &text), extract(&slow(query), &text));
    }

    #[test]
    fn what_a_filter_does_not_look_at_changes_nothing(
        document in json(),
        filter in prop::sample::select(vec![
            ".a", ".a == .b", ".a and .b.a", "[.a, .b[.a]?]", "{a, x: .b}", "(.a | length) > 1",
            "if .a then .b else 1 end", "\"\\(.a)\"", ".a // .[\"c d\"]", "try .a.b catch .",
            "reduce .a[]? as $x (.b; . + 1)", ".a as $x | [$x, .b]", ".a as [$x] | .", "-.a",
            ".a.b[1:]", ". as $x | .a", ".a, .", ".a | .", "[.[]?]", "if .a then 1 end", "length",
            "map_values(.)", ".a = 1", ".b |= 2", "{(.a | tostring): 1}", "label $f | .a, break $f",
            "{\"a\\(.b)\": 1}", "1", "null", "select(.a)", "def f: .; f", "(.a, .b)[0]?",
        ]),
    ) {
        let text = serde_json::to_string(&document).unwrap();
        let whole = format!(". | ({filter})");
        let maps = [Map::new(filter).unwrap(), Map::new(&whole).unwrap()];
        let [one, two] = maps.map(|map| apply(&map, &[&text]));
        prop_assert_eq!(one, two);
    }

    #[test]
    fn reading_and_writing_keeps_the_document(document in json()) {
        let text = serde_json::to_string_pretty(&document).unwrap();
        let verdicts = apply(&Map::new(".").unwrap(), &[&text]);
        let Verdict::Emit(piece) = &verdicts[0] else { panic!("{verdicts:?}") };
        let read: Value = serde_json::from_slice(&piece.data).unwrap();
        prop_assert!(same(&read, &document), "{} {}", read, document);
    }

    #[test]
    fn mangled_records_end_in_a_verdict(document in json(), cut in 0usize..200, byte in any::<u8>()) {
        let mut bytes = serde_json::to_vec(&document).unwrap();
        let at = cut % bytes.len();
        bytes[at] = byte;
        let records = [Record { data: bytes.into(), ..record("") }];
        let extraction = Extraction::new("{x: .a.b, y: .b[0]}").unwrap();
        let verdicts = futures::FutureExt::now_or_never(extraction.apply(&records)).unwrap();
        prop_assert_eq!(verdicts.len(), 1);
    }
}

/// Equal but for numbers, whose last digit the reader of this test may get wrong.
fn same(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Number(one), Value::Number(two)) => {
            let (one, two) = (one.as_f64().unwrap(), two.as_f64().unwrap());
            (one - two).abs() <= one.abs() * 1e-15
        }
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (Value::Object(one), Value::Object(two)) => {
            one.len() == two.len()
                && one.iter().all(|(key, one)| two.get(key).is_some_and(|two| same(one, two)))
        }
        _ => one == two,
    }
}
