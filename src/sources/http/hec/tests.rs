use http::{Request, request};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    limits::{BATCH_BYTES_MAX, RECORD_BYTES_MAX},
    sources::http::putter_double::{PutterDouble, send},
};

const CHANNEL: &str = "0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba";

fn collector(yaml: &str) -> Hec {
    let options: Options = serde_yaml::from_str(yaml).unwrap();
    options.check().unwrap();
    Hec::new(&options).unwrap()
}

fn envelope_collector() -> Hec {
    collector("{protocol: splunk_hec, token: [old, secret]}")
}

fn ack_collector() -> Hec {
    collector("{protocol: splunk_hec, token: secret, ack: true, output: event}")
}

fn to(path: &str) -> request::Builder {
    Request::post(format!("/services/collector{path}")).header("authorization", "Splunk secret")
}

fn body(answer: &Response<Bytes>) -> (u16, Value) {
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
}

/// What the collector answers, and what it puts.
async fn post(hec: &Hec, request: request::Builder, sent: &[u8]) -> (u16, Value, Vec<String>) {
    let putter = PutterDouble::default();
    let answer = send(hec, &putter, request, sent.to_vec()).await;
    let (status, body) = body(&answer);
    assert!(putter.puts.lock().len() <= 1, "one request is one put");
    (status, body, putter.texts())
}

#[tokio::test]
async fn events_are_kept_as_they_were_sent() {
    let sent = [
        r#"{"event":"a\u00e9\ud800 \"b\"", "time":1.50,"host":"h"}"#,
        r#"{ "event" : {"n":1e999, "n":12345678901234567890123} ,"fields":{"a":"b"}}"#,
        r#"{"event":17}"#,
        r#"{"\u0065vent":[1, 2],"unknown":null}"#,
        r#"{"event":" "}"#,
        r#"{"event":"first","event":false,"fields":null}"#,
    ];
    let events = [
        "aé\u{fffd} \"b\"",
        r#"{"n":1e999, "n":12345678901234567890123}"#,
        "17",
        "[1, 2]",
        " ",
        "false",
    ];
    let spelled = [
        sent.concat(),
        sent.join("\n"),
        format!(" [{}]\r\n", sent.join(" , ")),
        format!("[{}]{}[]", sent[..2].join(","), sent[2..].join(" ")),
    ];
    let event_collector = collector("{protocol: splunk_hec, token: secret, output: event}");
    for text in &spelled {
        for path in ["", "/event", "/event/1.0"] {
            let success = json!({"text": "Success", "code": 0});
            let answer = post(&envelope_collector(), to(path), text.as_bytes()).await;
            assert_eq!(answer, (200, success.clone(), sent.map(String::from).to_vec()), "{text}");
            let answer = post(&event_collector, to(path), text.as_bytes()).await;
            assert_eq!(answer, (200, success, events.map(String::from).to_vec()), "{text}");
        }
    }
}

#[tokio::test]
async fn a_bad_event_is_named_and_what_stands_before_it_is_taken() {
    let good = r#"{"event":1}"#;
    let long = format!(r#"{{"event":"{}"}}"#, "x".repeat(RECORD_BYTES_MAX));
    for (bad, code, text) in [
        ("{\"event\":", 6, "Invalid data format"),
        ("tail", 6, "Invalid data format"),
        ("17", 6, "Invalid data format"),
        ("{\"event\":\"a\nb\"}", 6, "Invalid data format"),
        (",{\"event\":1}", 6, "Invalid data format"),
        ("[{\"event\":]", 6, "Invalid data format"),
        ("{}", 12, "Event field is required"),
        ("{\"event\":null}", 12, "Event field is required"),
        ("[{\"time\":1,\"fields\":{}}]", 12, "Event field is required"),
        ("{\"event\":\"\"}", 13, "Event field cannot be blank"),
        ("{\"event\":1,\"fields\":[1]}", 15, "Error in handling indexed fields"),
        (&long, 6, "Invalid data format: 1024012 bytes are more than a record may have (1024000)"),
    ] {
        for before in 0..3_usize {
            let sent = format!("{}{bad}{good}", good.repeat(before));
            let answer = post(&envelope_collector(), to("/event"), sent.as_bytes()).await;
            let said = json!({"text": text, "code": code, "invalid-event-number": before});
            assert_eq!(answer, (400, said, vec![good.to_owned(); before]), "{bad:.60}");
        }
    }
    let sent = b"{\"event\":1} {\"event\":\"\xff\"}";
    let answer = post(&envelope_collector(), to("/event"), sent).await;
    let said = json!({"text": "Invalid data format", "code": 6, "invalid-event-number": 1});
    assert_eq!(answer, (400, said, vec![good.to_owned()]));
}

#[tokio::test]
async fn nothing_is_no_data() {
    let no_data = (400, json!({"text": "No data", "code": 5}), Vec::new());
    for (path, sent) in [("", ""), ("/event", " \r\n\t"), ("/event", "[]"), ("/raw", "\r\n\n")] {
        assert_eq!(post(&envelope_collector(), to(path), sent.as_bytes()).await, no_data, "{sent}");
    }
}

#[tokio::test]
async fn raw_bodies_are_lines() {
    let sent = b"one\r\n\n{\"two\": 2}\n\"\xff\tlast";
    let event_collector = collector("{protocol: splunk_hec, token: secret, output: event}");
    let putter = PutterDouble::default();
    let request = to("/raw/1.0?host=h&sourcetype=s");
    send(&event_collector, &putter, request, sent.to_vec()).await;
    let lines: [&[u8]; 3] = [b"one", b"{\"two\": 2}", b"\"\xff\tlast"];
    assert_eq!(*putter.puts.lock(), [lines.map(<[u8]>::to_vec).to_vec()]);

    let query = "/raw?sourcetype=a%22b&host=h+1&time=1.50&index=main&source=&channel=x";
    let (status, _, records) = post(&envelope_collector(), to(query), sent).await;
    let head = r#"{"time":1.50,"host":"h 1","sourcetype":"a\"b","index":"main","event":"#;
    assert_eq!(status, 200);
    assert_eq!(
        records,
        [r#""one"}"#, r#""{\"two\": 2}"}"#, "\"\\\"\u{fffd}\\tlast\"}"]
            .map(|line| format!("{head}{line}"))
    );
    for time in ["NaN", "1 ", "+1", "x"] {
        let query = format!("/raw?time={}", time.replace('+', "%2B").replace(' ', "+"));
        let (_, _, records) = post(&envelope_collector(), to(&query), b"a").await;
        assert_eq!(records, [format!("{{\"time\":\"{time}\",\"event\":\"a\"}}")]);
    }
    let long = [b"a\n".to_vec(), vec![b'x'; RECORD_BYTES_MAX + 1]].concat();
    let (status, said, records) = post(&event_collector, to("/raw"), &long).await;
    assert_eq!((status, &said["code"], &said["invalid-event-number"]), (400, &json!(6), &json!(1)));
    assert_eq!(records, ["a"]);
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let hec = envelope_collector();
    let basic = |text: &str| format!("Basic {}", base64_simd::STANDARD.encode_to_string(text));
    let required = (401, json!({"text": "Token is required", "code": 2}));
    let invalid = (401, json!({"text": "Invalid authorization", "code": 3}));
    let unknown = (403, json!({"text": "Invalid token", "code": 4}));
    let success = (200, json!({"text": "Success", "code": 0}));
    for (authorization, expected) in [
        ("Splunk secret".to_owned(), &success),
        ("splunk old".to_owned(), &success),
        (basic("x:secret"), &success),
        (basic(":secret"), &success),
        (String::new(), &required),
        ("Bearer secret".to_owned(), &invalid),
        ("Splunk".to_owned(), &invalid),
        ("Splunksecret".to_owned(), &invalid),
        ("secret".to_owned(), &invalid),
        (basic("secret"), &invalid),
        (basic("secret:"), &invalid),
        ("Splunk secre".to_owned(), &unknown),
        (basic("secret:x"), &unknown),
        (basic("x:y:secret"), &unknown),
    ] {
        let request = Request::post("/services/collector/event?token=secret");
        let request = request.header("authorization", &authorization);
        let (status, said, _) = post(&hec, request, b"{\"event\":1}").await;
        assert_eq!((status, said), *expected, "{authorization}");
    }
    let request = Request::post("/services/collector?token=secret");
    let (status, said, records) = post(&hec, request, b"{\"event\":1}").await;
    assert_eq!((status, said, records), (401, required.1, Vec::new()), "not by the query");
    assert_eq!(hec.keys().len(), 2);

    let anyone = collector("{protocol: splunk_hec, anonymous: true, path: /a}");
    let request = Request::post("/a/services/collector");
    assert_eq!(post(&anyone, request, b"{\"event\":1}").await.0, 200);
    assert!(anyone.keys().is_empty());
}

#[tokio::test]
async fn health_needs_no_token() {
    for path in ["/health", "/health/1.0"] {
        let path = format!("/services/collector{path}");
        assert_eq!(envelope_collector().methods(&path), [Method::GET, Method::HEAD]);
        let healthy = json!({"text": "HEC is healthy", "code": 17});
        let request = Request::get(path);
        assert_eq!(post(&envelope_collector(), request, b"").await, (200, healthy, vec![]));
    }
}

#[tokio::test]
async fn what_is_not_stored_is_to_be_sent_again() {
    for (why, status, code, text, wait) in [
        (protocol::Why::Full, 503, 9, "Server is busy", "10"),
        (protocol::Why::Throttled, 503, 9, "Server is busy", "1"),
        (protocol::Why::Failed("disk".into()), 500, 8, "Internal server error", "10"),
        (protocol::Why::Stopping, 503, 23, "Server is shutting down", "1"),
    ] {
        for sent in ["{\"event\":1}", "{\"event\":1}{"] {
            let putter = PutterDouble::default();
            *putter.refusal.lock() = Some(why.clone());
            let request = to("").header("x-splunk-request-channel", CHANNEL);
            let answer = send(&ack_collector(), &putter, request, sent).await;
            assert_eq!(body(&answer), (status, json!({"text": text, "code": code})));
            assert_eq!(answer.headers()["retry-after"], wait);
        }
    }
}

#[test]
fn what_stops_a_request_before_has_words_of_splunks() {
    let hec = envelope_collector();
    let (head, ()) = to("").body(()).unwrap().into_parts();
    for (refusal, status, code) in [
        (Refusal::Crowded, 503, 9),
        (Refusal::Stopping, 503, 23),
        (Refusal::Broken, 400, 6),
        (Refusal::Unpack("x".into()), 400, 6),
        (Refusal::TooSlow, 408, 408),
        (Refusal::TooLarge { max: 1 }, 413, 413),
        (Refusal::Encoding("br".into()), 415, 415),
    ] {
        let answer = hec.refuse(&head, &refusal);
        let (got, said) = body(&answer);
        assert_eq!((got, &said["code"]), (status, &json!(code)), "{refusal:?}");
        assert!(!said["text"].as_str().unwrap().is_empty());
        assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
    }
}

#[tokio::test]
async fn acknowledgements_go_by_channel_and_are_said_once() {
    let hec = ack_collector();
    let by_header = |path| to(path).header("x-splunk-request-channel", CHANNEL);
    let success = |id: u64| json!({"text": "Success", "code": 0, "ackId": id});
    let one = b"{\"event\":1}";
    assert_eq!(post(&hec, by_header("/event"), one).await.1, success(0));
    assert_eq!(post(&hec, to(&format!("/raw?channel={CHANNEL}")), b"a").await.1, success(1));
    let other = "/event?channel=b0aeeac9-ac74-4aa9-b30d-6c4c0ac581ba";
    assert_eq!(post(&hec, to(other), one).await.1, success(0));
    // What stands before a bad event is stored, and has an id, too.
    let (status, said, _) = post(&hec, by_header("/event"), b"{\"event\":1}{}").await;
    assert_eq!((status, &said["ackId"], &said["code"]), (400, &json!(2), &json!(12)));
    let (_, said, _) = post(&hec, by_header("/event"), b"{}").await;
    assert_eq!(said.get("ackId"), None);

    let ask = async |ids: &str| {
        let question = format!("{{\"acks\":[{ids}]}}");
        let (status, said, _) = post(&hec, by_header("/ack"), question.as_bytes()).await;
        assert_eq!(status, 200);
        said
    };
    assert_eq!(ask("1,7,1").await, json!({"acks": {"1": true, "7": false}}));
    assert_eq!(ask("0,1,2").await, json!({"acks": {"0": true, "1": false, "2": true}}));
    assert_eq!(ask("").await, json!({"acks": {}}));
    for wrong in ["", "{}", "[1]", "{\"acks\":[-1]}", "{\"acks\":[\"a\"]}", "{\"acks\":"] {
        let (status, said, _) = post(&hec, by_header("/ack/1.0"), wrong.as_bytes()).await;
        assert_eq!((status, &said["code"]), (400, &json!(6)), "{wrong}");
    }
}

#[tokio::test]
async fn channels_are_needed_with_acknowledgement_only() {
    let missing = json!({"text": "Data channel is missing", "code": 10});
    let invalid = json!({"text": "Invalid data channel", "code": 11});
    for path in ["/event", "/raw", "/ack"] {
        let sent = b"{\"acks\":[0]}";
        let answer = post(&ack_collector(), to(path), sent).await;
        assert_eq!(answer, (400, missing.clone(), vec![]));
        let request = to(path).header("x-splunk-request-channel", "no-guid");
        assert_eq!(post(&ack_collector(), request, sent).await, (400, invalid.clone(), vec![]));
    }
    let request = to("").header("x-splunk-request-channel", "no-guid");
    assert_eq!(post(&envelope_collector(), request, b"{\"event\":1}").await.0, 200);
    let answer = post(&envelope_collector(), to("/ack"), b"{\"acks\":[0]}").await;
    assert_eq!(answer, (400, json!({"text": "ACK is disabled", "code": 14}), vec![]));
}

#[tokio::test]
async fn depth_and_size_do_not_matter() {
    let deep = format!("{{\"event\":{}{}}}", "[".repeat(400_000), "]".repeat(400_000));
    let (status, _, records) = post(&envelope_collector(), to(""), deep.as_bytes()).await;
    assert_eq!((status, records), (200, vec![deep]));
    let large = format!("{{\"event\":\"{}\"}}", "x".repeat(RECORD_BYTES_MAX / 2));
    let count = BATCH_BYTES_MAX / large.len() + 2;
    let (status, _, records) =
        post(&envelope_collector(), to(""), large.repeat(count).as_bytes()).await;
    assert_eq!((status, records.len()), (200, count));
}

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        &b"{"[..],
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"event\":",
        b"\"fields\":",
        b"\"a\"",
        b"1",
        b"null",
        b" ",
        b"\\",
        b"\"",
        b"\xff",
        b"{\"event\":\"x\"}",
        b"\n",
    ]);
    prop::collection::vec(token, 0..20).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn whatever_comes_is_taken_in_part_or_refused(sent in garbage()) {
        for output in [HecOutput::Envelope, HecOutput::Event] {
            let Parsed { records, bad } = events::envelopes(&sent, output);
            let count = records.len();
            prop_assert!(bad.is_none_or(|bad| bad.number == count));
            let bytes: usize = records.into_parts().iter().map(|part| part.data.len()).sum();
            prop_assert!(bytes <= sent.len());
            let lines = events::lines(&sent, output, &Metadata::default());
            prop_assert!(lines.bad.is_none());
        }
    }

    #[test]
    fn envelopes_come_back_as_they_were(
        events in prop::collection::vec(any::<String>().prop_filter("blank", |e| !e.is_empty()), 1..8),
        spaced in any::<bool>(),
    ) {
        let sent: Vec<String> =
            events.iter().map(|event| json!({"time": 1, "event": event}).to_string()).collect();
        let body = sent.join(if spaced { " " } else { "" });
        let text = |output| {
            let parsed = events::envelopes(body.as_bytes(), output);
            assert_eq!(parsed.bad, None);
            let parts = parsed.records.into_parts();
            String::from_utf8(parts.into_iter().flat_map(|part| part.data).collect()).unwrap()
        };
        prop_assert_eq!(text(HecOutput::Envelope), sent.concat());
        prop_assert_eq!(text(HecOutput::Event), events.concat());
    }
}
