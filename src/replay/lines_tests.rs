use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn steps_of(bytes: &[u8], form: Form, wanted: Wanted) -> Vec<Step> {
    let mut lines = Lines::new(Cursor::new(bytes.to_vec()), form, wanted);
    std::iter::from_fn(|| lines.step().unwrap()).collect()
}

fn steps(text: &str) -> Vec<Step> {
    steps_of(text.as_bytes(), Form::Errors, Wanted::default())
}

/// Lines as their text, everything else in brackets with its line.
fn told(steps: &[Step]) -> Vec<String> {
    let told = steps.iter().map(|step| match step {
        Step::Line(line) => String::from_utf8_lossy(&line.raw).into_owned(),
        Step::Passed => "(passed)".to_owned(),
        Step::Filtered => "(filtered)".to_owned(),
        Step::Damaged(damage) => format!("({})", damage.line),
        Step::Manifest(urls) => format!("({})", urls.join(" ")),
    });
    told.collect()
}

fn object(raw: &str) -> String {
    let raw = base64_simd::STANDARD.encode_to_string(raw);
    format!("{{\"rawData\":\"{raw}\",\"errorCode\":\"A.B\",\"more\":{{\"x\":[1,{{}}]}}}}")
}

#[test]
fn deep_nesting_costs_no_stack() {
    let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
    for member in ["more", "rawData", "errorCode", "entries"] {
        for hostile in [format!("{{\"{member}\":{open}"), format!("{{\"{member}\":{open}{close}}}")]
        {
            let text = format!("{}\n{hostile}\n{}\n", object("a"), object("b"));
            assert_eq!(told(&steps(&text)), ["a", "(2)", "b"]);
        }
    }
}

#[test]
fn objects_are_read_however_they_stand() {
    let (a, b) = (object("a"), object("b"));
    let pretty = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    };
    let array = pretty(&format!("[{a},{b}]"));
    for text in [
        format!("{a}\n{b}\n"),
        format!("{a}\n{b}"),
        format!("{a}{b}"),
        format!("\u{feff}{a}\r\n\r\n{b}\r\n"),
        format!("[{a},{b}]"),
        array,
        format!("{}\n{}", pretty(&a), pretty(&b)),
        format!("\u{1e}{a}\n\u{1e}{b}\n"),
    ] {
        assert_eq!(told(&steps(&text)), ["a", "b"], "{text}");
    }
    assert!(steps("").is_empty());
    assert!(steps(" \n\n").is_empty());
}

#[test]
fn damage_is_named_and_the_rest_goes_on() {
    let (a, b) = (object("a"), object("b"));
    let torn = &a[..a.len() / 2];
    for (text, expected) in [
        (format!("{a}\nwhat is this\n{b}\n"), vec!["a", "(2)", "b"]),
        // In a text, in the middle of a member, behind a value.
        (format!("{torn}\n{a}\n{b}"), vec!["(1)", "a", "b"]),
        (format!("{{\"a\":1,\n{a}\n{b}"), vec!["(1)", "a", "b"]),
        (format!("{{\"a\":\n{a}\n{b}"), vec!["(1)", "a", "b"]),
        (format!("{{\"a\":1\n{a}\n{b}"), vec!["(1)", "a", "b"]),
        (format!("{{\"a\":[\n{a}\n{b}"), vec!["(1)", "a", "b"]),
        (format!("{a}\n{torn}"), vec!["a", "(2)"]),
        (format!("{torn}{{{a}{b}"), vec!["(1)", "b"]),
        (format!("{{}}{a}\n{{\"a\":1}}{b}"), vec!["(1)", "a", "(2)", "b"]),
        (format!("{{\"rawData\":5}}\n{b}"), vec!["(1)", "b"]),
        (format!("{{\"rawData\":null}}\n{b}"), vec!["(1)", "b"]),
        (format!("{{\"rawData\":\"~~\"}}\n{b}"), vec!["(1)", "b"]),
        (format!("{{\"rawData\":\"AA\", \"x\": tru}}\n{b}"), vec!["(1)", "b"]),
        (format!("{{\"rawData\":\"AA==\u{1}\"}}\n{b}"), vec!["(1)", "b"]),
    ] {
        assert_eq!(told(&steps(&text)), expected, "{text}");
    }
}

#[test]
fn raw_data_may_be_text_or_json() {
    for (raw, expected) in [
        (r#""eA==""#, "x"),
        (r#""eA""#, "x"),
        (r#""eA\n==""#, "x"),
        (r#""_-8""#, "\u{fffd}\u{fffd}"),
        (r#""""#, ""),
        (r#""{\"a\": 1}""#, r#"{"a": 1}"#),
        (r#"{"b": 1, "a": [2]}"#, r#"{"b":1,"a":[2]}"#),
        (r#"[1]"#, "[1]"),
    ] {
        assert_eq!(told(&steps(&format!("{{\"rawData\":{raw}}}"))), [expected], "{raw}");
    }
}

#[test]
fn members_are_understood_under_all_their_names() {
    let text = r#"{"AttemptsMade":"7","approximateArrivalTimestamp":"2026-01-02T03:04:05.006Z",
        "ErrorCode":400,"ErrorMessage":null,"attemptEndingTimestamp":1.5e12,"RawData":"eA==",
        "EventId":"49:shard","odd":[true]}"#;
    let [Step::Line(line)] = &steps(text)[..] else { panic!("one line") };
    assert_eq!((&*line.code, &*line.message, line.attempts), ("400", "", 7));
    assert_eq!(line.arrival_ms, Some(1_767_323_045_006));
    assert_eq!(line.ended_ms, Some(1_500_000_000_000));
    assert_eq!(line.kind, Kind::Splunk);
    let names: Vec<&str> = line.details.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["EventId", "odd"]);
}

#[test]
fn an_arrival_that_cannot_be_is_unknown() {
    for (times, expected) in [
        (r#""arrivalTimestamp":1500000000000,"attemptEndingTimestamp":7"#, 1_500_000_000_000),
        (r#""arrivalTimestamp":0,"attemptEndingTimestamp":7"#, 0),
        // Nanoseconds, and before 1970.
        (r#""arrivalTimestamp":1500000000000000000,"attemptEndingTimestamp":7"#, 7),
        (r#""arrivalTimestamp":-1,"attemptEndingTimestamp":7"#, 7),
        (r#""attemptEndingTimestamp":7"#, 7),
        (r#""arrivalTimestamp":7258118400000,"attemptEndingTimestamp":1500000000000000000"#, 99),
        (r#""x":1"#, 99),
    ] {
        let text = format!("{{\"rawData\":\"eA==\",{times}}}");
        let [Step::Line(line)] = &steps(&text)[..] else { panic!("one line") };
        assert_eq!(line.arrived_ms(99), expected, "{times}");
    }
}

#[test]
fn the_line_outranks_the_key_and_the_key_a_shared_member() {
    let kind = |members: &str, key: Option<Kind>| {
        let wanted = Wanted { kind: key, ..Wanted::default() };
        let text = format!("{{\"rawData\":\"\",{members}}}");
        match steps_of(text.as_bytes(), Form::Errors, wanted).remove(0) {
            Step::Line(line) => line.kind,
            other => panic!("{other:?}"),
        }
    };
    let iceberg = Some(Kind::Iceberg);
    assert_eq!(kind(r#""lambdaArn":"x""#, iceberg), Kind::Processing);
    assert_eq!(kind(r#""lastErrorCode":"x""#, iceberg), Kind::FormatConversion);
    assert_eq!(kind(r#""errorCode":"Splunk.AckTimeout""#, iceberg), Kind::Splunk);
    assert_eq!(kind(r#""errorCode":"x","EventId":"y""#, iceberg), Kind::Iceberg);
    assert_eq!(kind(r#""errorCode":"x","dataId":"y""#, None), Kind::HttpEndpoint);
    assert_eq!(kind(r#""errorCode":"x""#, None), Kind::Unknown);
}

#[test]
fn a_manifest_names_objects() {
    let text = r#"{"entries":[{"url":"s3://b/1","mandatory":true},{"url":"s3://b/2"}]}"#;
    assert_eq!(told(&steps(text)), ["(s3://b/1 s3://b/2)"]);
}

#[test]
fn what_was_handed_on_is_passed_and_what_is_not_wanted_left_out() {
    let text: String = ["a", "b", "c"].map(|raw| object(raw) + "\n").concat();
    let wanted = Wanted { passed: 2, ..Wanted::default() };
    let found = steps_of(text.as_bytes(), Form::Errors, wanted);
    assert_eq!(told(&found), ["(passed)", "(passed)", "c"]);
    let Step::Line(line) = &found[2] else { panic!("a line") };
    assert_eq!((line.ordinal, line.line), (2, 3));
    let filter = Filter { kinds: vec![Kind::Splunk], ..Filter::default() };
    let wanted = Wanted { filter: Arc::new(filter), ..Wanted::default() };
    assert_eq!(
        told(&steps_of(text.as_bytes(), Form::Errors, wanted)),
        ["(filtered)", "(filtered)", "(filtered)"]
    );
}

#[test]
fn damage_before_what_was_handed_on_is_told_again() {
    let text = format!("{{\"rawData\":\"~~\"}}\n{}\n{}\n", object("a"), object("b"));
    let wanted = Wanted { passed: 2, ..Wanted::default() };
    let found = steps_of(text.as_bytes(), Form::Errors, wanted);
    assert_eq!(told(&found), ["(1)", "(passed)", "b"]);
}

fn records(delimiter: &str, keep: bool) -> Form {
    Form::Records(Records {
        kind: Kind::Source,
        delimiter: delimiter.into(),
        keep_delimiter: keep,
        arrival_ms: Some(5),
    })
}

#[test]
fn plain_records_end_at_their_delimiter() {
    for (form, text, expected) in [
        (records("\n", true), "a\n\nb", vec!["a\n", "\n", "b"]),
        (records("\n", false), "a\n\nb\n", vec!["a", "b"]),
        (records("||", false), "a|b||c|", vec!["a|b", "c|"]),
        (records("", true), "a\nb\n", vec!["a\nb\n"]),
        (records("", true), "", vec![]),
    ] {
        let found = steps_of(text.as_bytes(), form.clone(), Wanted::default());
        assert_eq!(told(&found), expected, "{form:?} {text:?}");
    }
}

#[test]
fn what_is_longer_than_a_line_is_damage_and_costs_no_more_memory() {
    let long = "x".repeat(3 * crate::limits::REPLAY_LINE_BYTES_MAX);
    let text = format!("{{\"rawData\":\"{long}\"}}\n{}", object("b"));
    assert_eq!(told(&steps(&text)), ["(1)", "b"]);
    let text = format!("{long}\nb\n");
    let found = steps_of(text.as_bytes(), records("\n", false), Wanted::default());
    assert_eq!(told(&found), ["(1)", "b"]);
    let Step::Line(line) = &found[1] else { panic!("a line") };
    assert_eq!((line.ordinal, line.line), (1, 2));
}

/// Gives its bytes a few at a time.
struct Trickle(Cursor<Vec<u8>>);

impl io::Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let few = buffer.len().min(7);
        self.0.read(&mut buffer[..few])
    }
}

proptest! {
    #[test]
    fn records_survive_whatever_stands_between_them(
        raws in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
        between in prop::collection::vec(prop_oneof![
            Just(""), Just("\n"), Just(",\n"), Just(" \r\n\r\n"), Just("] ["),
        ], 20),
    ) {
        let mut text = String::new();
        for (raw, between) in raws.iter().zip(between) {
            let raw = base64_simd::STANDARD.encode_to_string(raw);
            text += &format!("{{\"rawData\":\"{raw}\",\"errorMessage\":\"}}{{\\\"\"}}{between}");
        }
        let mut lines =
            Lines::new(Trickle(Cursor::new(text.into_bytes())), Form::Errors, Wanted::default());
        let mut found = Vec::new();
        while let Some(step) = lines.step().unwrap() {
            let Step::Line(line) = step else { panic!("{step:?}") };
            prop_assert_eq!(line.ordinal, found.len() as u64);
            found.push(line.raw.to_vec());
        }
        prop_assert_eq!(found, raws);
    }

    #[test]
    fn a_damaged_line_takes_no_other_with_it(
        cut in 1usize..60,
        position in 0usize..4,
        noise in "[ -~]{0,30}",
    ) {
        let mut whole: Vec<String> = ["a", "b", "c"].map(object).to_vec();
        let torn = object("torn")[..cut].to_owned();
        whole.insert(position, torn);
        let found = told(&steps(&whole.join("\n")));
        let good: Vec<&String> = found.iter().filter(|told| !told.starts_with('(')).collect();
        prop_assert_eq!(good, ["a", "b", "c"]);
        prop_assert_eq!(found.len(), 4);
        // Whatever else a line holds, it ends with it.
        whole[position] = format!("#{noise}");
        let found = told(&steps(&whole.join("\n")));
        prop_assert!(found.iter().filter(|told| !told.starts_with('(')).count() >= 3);
    }

    #[test]
    fn noise_ends(noise in prop::collection::vec(
        prop_oneof![any::<u8>(), Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\n'), Just(b'[')], 0..300,
    )) {
        for form in [Form::Errors, records("\n", true)] {
            let found = steps_of(&noise, form, Wanted::default());
            prop_assert!(found.len() <= noise.len());
        }
    }
}
