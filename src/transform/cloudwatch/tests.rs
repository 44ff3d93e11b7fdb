use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::record::Position;

const EVERYTHING: [Member; 6] = [
    Member::Id,
    Member::Timestamp,
    Member::LogGroup,
    Member::LogStream,
    Member::Owner,
    Member::SubscriptionFilters,
];

fn check() -> Options {
    Options::default()
}

fn extract() -> Options {
    Options { data_message_extraction: true, ..Options::default() }
}

fn metadata(members: &[Member]) -> Options {
    Options { data_message_extraction: true, metadata: members.to_vec() }
}

fn verdict(options: &Options, data: &[u8]) -> Verdict {
    let mut record = Record {
        position: Position::START,
        arrival_ms: 0,
        data: Bytes::copy_from_slice(data),
        notes: Default::default(),
    };
    record.notes.edit().event_ms = Some(7);
    let verdicts = futures::executor::block_on(CloudWatchLogs::new(options).apply(&[record]));
    let [verdict] = verdicts.try_into().unwrap();
    verdict
}

fn emitted(options: &Options, data: &[u8]) -> Bytes {
    match verdict(options, data) {
        Verdict::Emit(piece) => {
            assert_eq!(piece.notes.get().unwrap().event_ms, Some(7));
            piece.data
        }
        other => panic!("not emitted: {other:?}"),
    }
}

/// Code and message.
fn failed(options: &Options, data: &[u8]) -> (String, String) {
    match verdict(options, data) {
        Verdict::Fail(failure) => {
            assert_eq!(failure.output_type, DECOMPRESSION_FAILED);
            (failure.cause.code, failure.cause.message)
        }
        other => panic!("not failed: {other:?}"),
    }
}

/// A document as CloudWatch Logs sends it.
fn document(messages: &[&str]) -> String {
    let events: Vec<Value> = messages
        .iter()
        .enumerate()
        .map(|(i, message)| {
            json!({"id": format!("{i:056}"), "timestamp": 1_510_109_208_016_u64, "message": message})
        })
        .collect();
    json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/\"g\"",
        "logStream": "2026/07/13/[$LATEST]0f", "subscriptionFilters": ["f", "g"],
        "logEvents": events,
    })
    .to_string()
}

const CONTROL: &str = r#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1510109208016,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}"#;

#[test]
fn messages_are_lines_of_one_record() {
    let data = document(&["one", "", "with \"quotes\"\tand \u{1f4a7}", "ends itself\n"]);
    let expected = "one\n\nwith \"quotes\"\tand \u{1f4a7}\nends itself\n\n";
    assert_eq!(emitted(&extract(), data.as_bytes()), expected);
    assert_eq!(emitted(&check(), data.as_bytes()), data);
}

#[test]
fn control_messages_are_dropped_where_messages_are_taken_out() {
    assert_eq!(verdict(&extract(), CONTROL.as_bytes()), Verdict::Drop);
    assert_eq!(verdict(&metadata(&[Member::Id]), CONTROL.as_bytes()), Verdict::Drop);
    assert_eq!(emitted(&check(), CONTROL.as_bytes()), CONTROL);
    assert_eq!(verdict(&extract(), document(&[]).as_bytes()), Verdict::Drop);
}

#[test]
fn several_documents_are_one_record() {
    let data = format!("{}\n{CONTROL} {}", document(&["a"]), document(&["b", "c"]));
    assert_eq!(emitted(&extract(), data.as_bytes()), "a\nb\nc\n");
    assert_eq!(emitted(&check(), data.as_bytes()), data);
    let (code, _) = failed(&extract(), format!("{}x", document(&["a"])).as_bytes());
    assert_eq!(code, "CloudWatchLogProcessing.Failed");
}

#[test]
fn metadata_makes_an_object_of_each_event() {
    let options = metadata(&[Member::LogGroup, Member::Timestamp, Member::LogGroup]);
    let out = emitted(&options, document(&["a\n", "b"]).as_bytes());
    let expected = concat!(
        r#"{"message":"a\n","logGroup":"/aws/\"g\"","timestamp":1510109208016}"#,
        "\n",
        r#"{"message":"b","logGroup":"/aws/\"g\"","timestamp":1510109208016}"#,
        "\n",
    );
    assert_eq!(out, expected);

    let spread = document(&["a"]).replace(r#"["f","g"]"#, "[ \"f\" ,\n \"g\" ]");
    let out = emitted(&metadata(&EVERYTHING), spread.as_bytes());
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(out.iter().filter(|&&byte| byte == b'\n').count(), 1);
    assert_eq!(
        value,
        json!({
            "message": "a", "id": format!("{:056}", 0), "timestamp": 1_510_109_208_016_u64,
            "logGroup": "/aws/\"g\"", "logStream": "2026/07/13/[$LATEST]0f", "owner": "123456789012",
            "subscriptionFilters": ["f", "g"],
        })
    );
}

#[test]
fn members_may_come_in_any_order_and_with_others_among_them() {
    let data = r#" { "extra" : [1, {"logEvents": "]}"}, null] , "logEvents" : [ { "message" : "a" ,
        "extractedFields" : {"x": "\"}"}, "id":"1", "timestamp":-5 } ],
        "message\u0054ype":"DATA_MESSAGE", "logGroup":"g", "n": -1.5e+3 } "#;
    assert_eq!(emitted(&extract(), data.as_bytes()), "a\n");
    let out = emitted(&metadata(&[Member::LogGroup, Member::Timestamp]), data.as_bytes());
    assert_eq!(out, "{\"message\":\"a\",\"logGroup\":\"g\",\"timestamp\":-5}\n");
}

#[test]
fn escapes_mean_what_they_say() {
    for (escaped, meant) in [
        (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r"\u0000\u001f\u007F\u00e9\uFFFF", "\0\u{1f}\u{7f}\u{e9}\u{ffff}"),
        (r"\ud83d\udca7\uD83D\uDCA7", "\u{1f4a7}\u{1f4a7}"),
        (r"\ud800", "\u{fffd}"),
        (r"\udc00\ud800", "\u{fffd}\u{fffd}"),
        (r"\ud800A\ud800\ud800\udc00", "\u{fffd}A\u{fffd}\u{10000}"),
        (r"\ud800\n", "\u{fffd}\n"),
    ] {
        // In front of words and blocks, behind them, and across their edges.
        for before in 0..45 {
            let text = "x".repeat(before);
            let data = document(&["@"]).replace('@', &format!("{text}{escaped}yyyyyyyyy"));
            let out = emitted(&extract(), data.as_bytes());
            assert_eq!(out, format!("{text}{meant}yyyyyyyyy\n"), "{escaped}");
        }
    }
    let raw = [b"a\xff\xfe".as_slice(), b"\n"].concat();
    let data = document(&["@"]).into_bytes();
    let at = data.iter().position(|&byte| byte == b'@').unwrap();
    let data = [&data[..at], b"a\xff\xfe", &data[at + 1..]].concat();
    assert_eq!(emitted(&extract(), &data), raw);
}

#[test]
fn ten_thousand_events_are_one_record() {
    let messages: Vec<String> = (0..10_000).map(|i| format!("event {i}")).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    let out = emitted(&extract(), document(&messages).as_bytes());
    assert_eq!(out, messages.join("\n") + "\n");
}

#[test]
fn what_is_no_document_fails_and_says_why() {
    let data = document(&["a"]);
    let event = format!(r#"{{"id":"{:056}","timestamp":1510109208016,"message":"a"}}"#, 0);
    let swap = |from: &str, to: &str| {
        let swapped = data.replace(from, to);
        assert_ne!(swapped, data, "{from}");
        swapped
    };
    for (wrong, message) in [
        (String::new(), "holds no"),
        (" \n".into(), "holds no"),
        ("[]".into(), "byte 0"),
        ("plain text".into(), "byte 0"),
        ("{}".into(), "no messageType"),
        (r#"{"messageType":"DATA_MESSAGE"}"#.into(), "no logEvents"),
        (swap("DATA_MESSAGE", "OTHER"), "neither"),
        (swap("\"DATA_MESSAGE\"", "1"), "a string"),
        (swap("messageType", "x"), "no messageType"),
        (swap("logEvents", "logGroup"), "a string"),
        (swap("\"owner\"", "\"logGroup\""), "more than one logGroup"),
        (swap("\"owner\"", "\"messageType\""), "neither"),
        (swap(&format!("[{event}]"), "null"), "a list of log events"),
        (swap(&event, "null"), "a log event"),
        (swap(&event, "{}"), "no message"),
        (swap("\"a\"", "null"), "a string"),
        (swap("\"a\"", "\"a\",\"message\":\"b\""), "more than one message"),
        (swap("\"a\"", "\"a\n\""), "may stand in a string"),
        (swap("\"a\"", r#""\x""#), "an escape"),
        (swap("\"a\"", r#""\u12g4""#), "a hexadecimal digit"),
        (swap("}]}", "}}"), "a comma or the end"),
        (swap(",\"owner\"", " \"owner\""), "a comma or the end"),
        (swap("\"owner\":", "\"owner\" "), "a colon"),
    ] {
        for options in [check(), extract(), metadata(&[Member::LogStream])] {
            let (code, said) = failed(&options, wrong.as_bytes());
            assert_eq!(code, "CloudWatchLogProcessing.Failed");
            assert!(said.contains(message), "{wrong}: {said}");
        }
    }
    let without = swap("\"id\"", "\"x\"");
    assert!(failed(&metadata(&[Member::Id]), without.as_bytes()).1.contains("no id"));
    for number in ["\"1\"", "1.5", "01", "-", "1e3"] {
        let wrong = swap("1510109208016", number);
        failed(&metadata(&[Member::Timestamp]), wrong.as_bytes());
        assert_eq!(emitted(&extract(), wrong.as_bytes()), "a\n");
    }
}

#[test]
fn every_cut_fails() {
    let data = document(&["a\u{1f4a7}\n", "b"]);
    for length in 0..data.len() {
        for options in [check(), extract(), metadata(&EVERYTHING)] {
            failed(&options, &data.as_bytes()[..length]);
        }
    }
}

#[test]
fn metadata_does_not_multiply_without_bound() {
    // A long name on every one of many events would be some 40 GB.
    let events = vec![r#"{"message":""}"#; 40_000].join(",");
    let group = "g".repeat(1_000_000);
    let data =
        format!(r#"{{"messageType":"DATA_MESSAGE","logGroup":"{group}","logEvents":[{events}]}}"#);
    let (code, _) = failed(&metadata(&[Member::LogGroup]), data.as_bytes());
    assert_eq!(code, "CloudWatchLogProcessing.SizeLimitExceeded");
    assert_eq!(emitted(&extract(), data.as_bytes()), "\n".repeat(40_000));
}

#[test]
fn depth_is_only_counted() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let data = document(&["a"]).replace("{\"id\"", &format!("{{\"x\":{deep},\"id\""));
    assert_eq!(emitted(&extract(), data.as_bytes()), "a\n");
}

#[test]
fn a_bad_record_leaves_its_neighbours_alone() {
    let texts = [document(&["a"]), "x".into(), CONTROL.into(), document(&["b"])];
    let records = texts.map(|text| Record {
        position: Position::START,
        arrival_ms: 0,
        data: Bytes::from(text),
        notes: Default::default(),
    });
    let transform = CloudWatchLogs::new(&extract());
    let verdicts = futures::executor::block_on(transform.apply(&records));
    let emit = |text: &'static str| {
        Verdict::Emit(Piece { data: Bytes::from(text), notes: Default::default() })
    };
    assert_eq!(verdicts[0], emit("a\n"));
    assert!(matches!(verdicts[1], Verdict::Fail(_)));
    assert_eq!(verdicts[2], Verdict::Drop);
    assert_eq!(verdicts[3], emit("b\n"));
}

proptest! {
    #[test]
    fn messages_agree_with_a_json_reader(
        messages in prop::collection::vec(
            prop_oneof![any::<String>(), "[\"\\\\\n\t\u{1}a-z\u{1f4a7}]{0,80}"], 0..6,
        ),
    ) {
        let texts: Vec<&str> = messages.iter().map(String::as_str).collect();
        let data = document(&texts);
        let lines: String = messages.iter().map(|message| format!("{message}\n")).collect();
        match verdict(&extract(), data.as_bytes()) {
            Verdict::Emit(piece) => prop_assert_eq!(piece.data, lines),
            other => {
                prop_assert_eq!(other, Verdict::Drop);
                prop_assert!(messages.is_empty());
            }
        }
        if let Verdict::Emit(piece) = verdict(&metadata(&EVERYTHING), data.as_bytes()) {
            let text = std::str::from_utf8(&piece.data).unwrap();
            let read = |line: &str| serde_json::from_str::<Value>(line).unwrap()["message"].clone();
            prop_assert_eq!(text.lines().map(read).collect::<Vec<_>>(), messages);
        }
    }

    #[test]
    fn any_bytes_get_an_answer(
        garbage in prop::collection::vec(any::<u8>(), 0..100),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut spoilt = document(&["a\u{1f4a7}\\", "\"b\""]).into_bytes();
        let at = at.index(spoilt.len());
        spoilt[at] = byte;
        for options in [check(), extract(), metadata(&EVERYTHING)] {
            verdict(&options, &garbage);
            verdict(&options, &spoilt);
        }
    }
}

#[test]
fn only_metadata_makes_large_records_of_small_ones() {
    let expands = |data_message_extraction, metadata: &[Member]| {
        let options = Options { data_message_extraction, metadata: metadata.to_vec() };
        CloudWatchLogs::new(&options).expands()
    };
    assert!(!expands(false, &[]));
    assert!(!expands(true, &[]));
    assert!(expands(true, &[Member::LogGroup]));
    assert!(expands(false, &[Member::Id]));
}
