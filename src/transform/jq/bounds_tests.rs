//! What no filter and no record may do to the process.

use super::{
    Extraction, Filter, Map, compile,
    tests::{apply, record},
};
use crate::{
    limits,
    seams::{Transform, Verdict},
};

/// The message with which a map of the record fails.
fn failure(filter: &str, text: &str) -> String {
    match &apply(&Map::new(filter).unwrap(), &[text])[0] {
        Verdict::Fail(failure) => failure.cause.message.clone(),
        _ => panic!("{filter}: no failure"),
    }
}

#[test]
fn endless_filters_end() {
    let steps = "the filter takes too many steps for a record of this size";
    for filter in [
        "def f: f; f",
        "def f: . | f; f",
        "[range(1e12)]",
        "last(range(1e12))",
        "[range(0; 1; 0)]",
        "[repeat(1)]",
        "last(repeat(.))",
        "until(false; .)",
        "[while(true; .)]",
        "reduce range(1e9) as $i (0; . + 1)",
        "last(foreach repeat(1) as $i (0; . + 1))",
        "[limit(1e9; repeat(1))]",
        "last(recurse(. + 1))",
        "[label $out | repeat(1)]",
        "def f: [.] | f; f",
        "first(range(1e12) | select(. < 0))",
    ] {
        assert_eq!(failure(filter, "0"), steps, "{filter}");
    }
}

#[test]
fn deep_recursion_ends() {
    for filter in [
        "def f: 1 + f; f",
        "def f: [f]; f",
        "def f: f, 1; f",
        "def f: 1, (f | . + 1); last(f)",
        "def f: {a: f}; f",
        "def f: try f catch .; [f, f]",
        "def f(g): f(g | g); f(.)",
        "path(def f: (f | .a); f)",
    ] {
        let message = failure(filter, "{}");
        assert!(message.starts_with("the filter "), "{filter}: {message}");
    }
}

#[test]
fn nested_values_are_let_go_of() {
    let deep = "reduce range(20000) as $i (0; [.])";
    assert_eq!(failure(deep, "0"), "the result is nested deeper than 256 levels");
    for filter in ["| length", "| . == [.]", "| [.] | flatten | length", "| tojson | length"] {
        let verdicts = apply(&Map::new(&format!("{deep} {filter}")).unwrap(), &["0"]);
        assert_eq!(verdicts.len(), 1, "{filter}");
    }
    // The more steps a large record allows, the deeper.
    let large = serde_json::to_string(&"x".repeat(limits::RECORD_BYTES_MAX - 2)).unwrap();
    for filter in ["def f: [.] | f; f", "reduce range(1e9) as $i (0; [[.]])"] {
        assert!(failure(filter, &large).starts_with("the filter takes too many steps"));
    }
    let limit = format!("{}{}", "[".repeat(256), "]".repeat(256));
    let over = format!("[{limit}]");
    assert!(matches!(apply(&Map::new(".").unwrap(), &[&limit])[0], Verdict::Emit(_)));
    assert_eq!(failure(".", &over), "Non JSON record provided");
    for hostile in ["[".repeat(1_000_000), "{\"a\":".repeat(200_000)] {
        assert_eq!(failure(".", &hostile), "Non JSON record provided");
        let string = serde_json::to_string(&hostile).unwrap();
        assert!(failure("fromjson", &string).starts_with("fromjson:"));
        let extraction = Extraction::new("{a: .a.a}").unwrap();
        assert!(matches!(apply(&extraction, &[&hostile])[0], Verdict::Fail(_)));
    }
}

#[test]
fn outputs_are_bounded() {
    let many = format!("range({})", limits::JQ_OUTPUTS_MAX);
    let Verdict::Split(pieces) = &apply(&Map::new(&many).unwrap(), &["0"])[0] else { panic!() };
    assert_eq!(pieces.len(), limits::JQ_OUTPUTS_MAX);
    let more = format!("range({})", limits::JQ_OUTPUTS_MAX + 1);
    assert_eq!(failure(&more, "0"), "the filter has more than 10000 outputs");
    assert_eq!(failure("repeat(.)", "0"), "the filter has more than 10000 outputs");
    assert_eq!(
        failure("\"x\" * 15000000 | ., .", "0"),
        "the results have more than 16777216 bytes"
    );
    // A filter asks for the first output only.
    assert!(matches!(apply(&Filter::new("repeat(1)").unwrap(), &["0"])[0], Verdict::Emit(_)));
}

#[test]
fn a_record_cannot_make_strings_of_any_length() {
    let long = "the repeated string would be too long";
    for (filter, text) in [
        (".a * .b", r#"{"a":"xxxx","b":1000000000000}"#),
        (".b * .a", r#"{"a":"xxxx","b":1000000000000}"#),
        (".a *= .b", r#"{"a":"xxxx","b":1000000000000}"#),
        (".a * .b", r#"{"a":"xxxx","b":10000000000000000000000000}"#),
        ("[.[] | . * 1000000000000]", r#"["x"]"#),
        ("\"\\(.a * 1000000000000)\"", r#"{"a":"x"}"#),
        ("if .a * 1000000000000 then 1 else 2 end", r#"{"a":"x"}"#),
        ("{(.a * 1000000000000): 1}", r#"{"a":"x"}"#),
        ("reduce .a as $x (1; $x * 1000000000000)", r#"{"a":"x"}"#),
        (".[.a * 1000000000000]?", r#"{"a":"x"}"#),
    ] {
        let verdict = &apply(&Map::new(filter).unwrap(), &[text])[0];
        let Verdict::Fail(failure) = verdict else { panic!("{filter}: {verdict:?}") };
        assert_eq!(failure.cause.message, long, "{filter}");
    }
    let verdicts = apply(&Map::new("\"ab\" * 3").unwrap(), &["0"]);
    assert!(matches!(&verdicts[0], Verdict::Emit(piece) if piece.data == "\"ababab\""));
}

#[test]
fn nested_texts_compile_or_are_refused() {
    for text in [
        "(".repeat(60_000),
        format!("{}1{}", "(".repeat(30_000), ")".repeat(30_000)),
        "-".repeat(60_000) + "1",
        "if 1 then ".repeat(6_000),
        ". as $x | ".repeat(6_000) + ".",
        "[".repeat(30_000) + &"]".repeat(30_000),
        "1 // ".repeat(10_000) + "1",
        ".a?//".repeat(10_000) + "1",
        "def f: ".repeat(8_000),
        ".a".repeat(30_000),
        "\"\\(".repeat(10_000),
    ] {
        // Either is fine; not coming back is not.
        if compile(&text).is_ok() {
            let map = Map::new(&text).unwrap();
            assert_eq!(apply(&map, &["0"]).len(), 1);
        }
    }
}

#[test]
fn a_long_number_is_no_trouble() {
    let digits = "9".repeat(500_000);
    let verdicts = apply(&Map::new(".").unwrap(), &[&digits]);
    assert!(matches!(&verdicts[0], Verdict::Emit(piece) if piece.data == record(&digits).data));
    let exponent = format!("1e{digits}");
    let verdicts = apply(&Map::new(". > 1").unwrap(), &[&exponent]);
    assert!(matches!(&verdicts[0], Verdict::Emit(piece) if piece.data == "true"));
}

#[test]
fn only_a_map_makes_large_records_of_small_ones() {
    assert!(Map::new(".").unwrap().expands());
    assert!(!Filter::new(".").unwrap().expands());
    assert!(!Extraction::new("{a}").unwrap().expands());
}
