//! What exporters are told, through the protocol's trait.

use http::{Request, request};
use prost::Message;
use serde_json::{Value, json};

use super::{
    super::{answer::*, *},
    messages::{self, AnyValue, Kind, LogRecord, pair, text},
};
use crate::sources::http::{
    protocol::Why,
    putter_double::{PutterDouble, send},
};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json; charset=utf-8";

fn receiver() -> Otlp {
    let yaml = "{protocol: otlp, token: secret, basic: {username: u, password: p}, path: /otel}";
    let options: Options = serde_yaml::from_str(yaml).unwrap();
    options.check().unwrap();
    Otlp::new(&options).unwrap()
}

fn to(path: &str, content_type: &str) -> request::Builder {
    Request::post(format!("/otel{path}"))
        .header("authorization", "Bearer secret")
        .header("content-type", content_type)
}

fn status_of(answer: &Response<Bytes>) -> (u16, i32, String) {
    let http = answer.status().as_u16();
    if answer.headers()["content-type"] == PROTOBUF {
        let status = Status::decode(answer.body().clone()).unwrap();
        return (http, status.code, status.message);
    }
    let status: Value = serde_json::from_slice(answer.body()).unwrap();
    let code = status["code"].as_i64().unwrap() as i32;
    (http, code, status["message"].as_str().unwrap().to_owned())
}

fn log(body: &str) -> LogRecord {
    LogRecord { body: Some(text(body)), ..LogRecord::default() }
}

#[tokio::test]
async fn success_is_said_in_the_requests_encoding() {
    let putter = PutterDouble::default();
    let request = messages::request(vec![log("a"), log("b")]).encode_to_vec();
    let answer = send(&receiver(), &putter, to("/v1/logs", PROTOBUF), request).await;
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b""[..]));
    assert_eq!(answer.headers()["content-type"], PROTOBUF);
    let request = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"flags":1}]}]}]}"#;
    let answer = send(&receiver(), &putter, to("/v1/logs", JSON), request).await;
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"{}"[..]));
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(putter.texts(), [r#"{"body":"a"}"#, r#"{"body":"b"}"#, r#"{"flags":1}"#]);
    assert_eq!(putter.puts.lock().len(), 2, "one put for each request");

    for (content_type, empty) in [(PROTOBUF, ""), (JSON, "{}"), (JSON, "{\"resourceLogs\":[]}")] {
        let answer = send(&receiver(), &putter, to("/v1/logs", content_type), empty).await;
        assert_eq!(answer.status().as_u16(), 200);
    }
    assert_eq!(putter.puts.lock().len(), 2, "nothing is not put");
}

#[tokio::test]
async fn a_record_that_cannot_be_taken_is_rejected_alone() {
    let large = log(&"x".repeat(limits::RECORD_BYTES_MAX));
    let mut deep = text("bottom");
    for _ in 0..=limits::OTLP_DEPTH_MAX {
        deep = Kind::Array(messages::ArrayValue { values: vec![deep] }).into();
    }
    let deep = LogRecord { attributes: vec![pair("deep", deep)], ..LogRecord::default() };
    for (bad, message) in [
        (large, "a log record is larger than 1024000 bytes as JSON"),
        (deep, "the values of a log record lie more than 64 levels deep"),
    ] {
        let putter = PutterDouble::default();
        let request = messages::request(vec![log("a"), bad.clone(), log("b"), bad]);
        let answer =
            send(&receiver(), &putter, to("/v1/logs", PROTOBUF), request.encode_to_vec()).await;
        assert_eq!(answer.status().as_u16(), 200);
        let partial = ExportLogsServiceResponse::decode(answer.body().clone()).unwrap();
        let partial = partial.partial_success.unwrap();
        assert_eq!((partial.rejected_log_records, &partial.error_message[..]), (2, message));
        assert_eq!(putter.texts(), [r#"{"body":"a"}"#, r#"{"body":"b"}"#]);
    }
    let putter = PutterDouble::default();
    // The innermost list is empty: its level holds no value.
    let depth = limits::OTLP_DEPTH_MAX + 2;
    let (open, close) = (r#"{"arrayValue":{"values":["#.repeat(depth), "]}}".repeat(depth));
    let request = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"flags":1}},{{"body":{open}{close}}}]}}]}}]}}"#
    );
    let answer = send(&receiver(), &putter, to("/v1/logs", JSON), request).await;
    let said: Value = serde_json::from_slice(answer.body()).unwrap();
    let message = "the values of a log record lie more than 64 levels deep";
    let expected = json!({"rejectedLogRecords": "1", "errorMessage": message});
    assert_eq!(said, json!({"partialSuccess": expected}));
    assert_eq!(putter.texts(), [r#"{"flags":1}"#]);
}

#[tokio::test]
async fn refusals_are_statuses_in_the_requests_encoding() {
    let many = messages::request(vec![log(&"x".repeat(1_000_000)); 80]).encode_to_vec();
    for (path, content_type, body, expected) in [
        ("/v1/logs", PROTOBUF, b"\x0a\x05".to_vec(), (400, 3, "the Protocol Buffers message is")),
        ("/v1/logs", JSON, b"{\"resourceLogs\":".to_vec(), (400, 3, "the body is no JSON from")),
        ("/v1/logs", JSON, b"\"\xff\"".to_vec(), (400, 3, "the body is not UTF-8")),
        ("/v1/logs", PROTOBUF, many, (413, 8, "the log records make more than 67108864 bytes")),
        ("/v1/logs", "text/plain", b"{}".to_vec(), (415, 3, "Content-Type must be application/x-")),
        ("/v1/metrics", PROTOBUF, b"".to_vec(), (404, 12, "only logs are taken here")),
        ("/v1/traces", JSON, b"{}".to_vec(), (404, 12, "only logs are taken here")),
    ] {
        let putter = PutterDouble::default();
        let answer = send(&receiver(), &putter, to(path, content_type), body).await;
        let (http, code, message) = status_of(&answer);
        assert_eq!((http, code), (expected.0, expected.1), "{path} {content_type}");
        assert!(message.starts_with(expected.2), "{message}");
        assert_eq!(answer.headers()["content-type"] == PROTOBUF, content_type == PROTOBUF);
        assert!(putter.puts.lock().is_empty(), "nothing of a refused request is put");
    }
}

#[tokio::test]
async fn strangers_are_challenged() {
    let basic = format!("Basic {}", base64_simd::STANDARD.encode_to_string("u:p"));
    for (authorization, expected) in
        [("Bearer secret", 200), (basic.as_str(), 200), ("Bearer no", 401), ("", 401)]
    {
        let request = Request::post("/otel/v1/logs")
            .header("authorization", authorization)
            .header("content-type", PROTOBUF);
        let answer = send(&receiver(), &PutterDouble::default(), request, "").await;
        assert_eq!(answer.status().as_u16(), expected, "{authorization}");
        if expected == 401 {
            assert_eq!(status_of(&answer).1, 16);
            assert!(answer.headers()["www-authenticate"].to_str().unwrap().contains("Bearer"));
        }
    }
    assert_eq!(receiver().keys().len(), 2);
}

#[tokio::test]
async fn what_is_not_stored_is_to_be_sent_again() {
    for (why, status, code, wait) in [
        (Why::Throttled, 429, 8, "1"),
        (Why::Full, 503, 14, "10"),
        (Why::Failed("disk".into()), 503, 14, "10"),
        (Why::Stopping, 503, 14, "1"),
    ] {
        let putter = PutterDouble::default();
        *putter.refusal.lock() = Some(why);
        let request = messages::request(vec![log("a")]).encode_to_vec();
        let answer = send(&receiver(), &putter, to("/v1/logs", PROTOBUF), request).await;
        assert_eq!((status_of(&answer).0, status_of(&answer).1), (status, code));
        assert_eq!(answer.headers()["retry-after"], wait);
    }
    let (head, ()) = to("/v1/logs", PROTOBUF).body(()).unwrap().into_parts();
    for (refusal, status, code) in [
        (Refusal::Crowded, 503, 14),
        (Refusal::TooLarge { max: 1 }, 413, 8),
        (Refusal::TooSlow, 408, 4),
        (Refusal::Encoding("br".into()), 415, 3),
    ] {
        let answer = receiver().refuse(&head, &refusal);
        assert_eq!((status_of(&answer).0, status_of(&answer).1), (status, code));
        assert_eq!(answer.headers().contains_key("retry-after"), status == 503);
    }
}

#[test]
fn any_value_may_be_empty() {
    let record = LogRecord { body: Some(AnyValue { value: None }), ..LogRecord::default() };
    let batch = read(Encoding::Protobuf, &messages::request(vec![record]).encode_to_vec()).unwrap();
    assert_eq!(batch.records.into_parts()[0].data, b"{\"body\":null}");
}
