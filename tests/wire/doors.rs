//! The routes, and what they answer.

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use serde_json::json;
use standpipe::{
    api::ServerLimits,
    config::{ApiOptions, firehose::Operation},
};

use crate::{
    client::{SIGNER, ask, batch, call, send},
    fake::{Running, options, start, start_with},
};

fn plain(server: &Running, method: Method, path: &str) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", server.address))
        .header("host", server.address.to_string())
        .body(Bytes::new())
        .unwrap()
}

#[tokio::test]
async fn puts_are_answered_to_the_letter() {
    let server = start().await;
    let answer = ask(server.address, "PutRecordBatch", batch("s", &[b"a", b"b"])).await;
    assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.1");
    assert_eq!(answer.headers["x-amzn-requestid"].len(), 36);
    assert_eq!(
        answer.body,
        r#"{"FailedPutCount":0,"Encrypted":false,"RequestResponses":[{"RecordId":"5a00000100000000000000000000"},{"RecordId":"5a00000100000000000000000001"}]}"#
    );
    let one = r#"{"DeliveryStreamName":"encrypted","Record":{"Data":"eA=="}}"#;
    let answer = ask(server.address, "PutRecord", one).await;
    assert_eq!(answer.body, r#"{"RecordId":"5a00000100000000000000000002","Encrypted":true}"#);
    let answer = ask(server.address, "PutRecordBatch", batch("limited", &[b"a", b"b", b"c"])).await;
    assert_eq!(
        answer.body,
        r#"{"FailedPutCount":1,"Encrypted":false,"RequestResponses":[{"RecordId":"5a00000100000000000000000003"},{"ErrorCode":"ServiceUnavailableException","ErrorMessage":"Slow down."},{"RecordId":"5a00000100000000000000000004"}]}"#
    );
    let answer = ask(server.address, "PutRecordBatch", batch("missing", &[b"a"])).await;
    assert_eq!(answer.outcome(), (400, "ResourceNotFoundException".into()));
    let answer = ask(server.address, "PutRecordBatch", batch("full", &[b"a"])).await;
    assert_eq!(answer.outcome(), (500, "ServiceUnavailableException".into()));
}

#[tokio::test]
async fn control_operations_reach_the_backend() {
    let server = start().await;
    for operation in Operation::ALL {
        let put = operation.name().starts_with("PutRecord");
        if put || operation == Operation::CreateDeliveryStream {
            continue;
        }
        let answer = ask(server.address, operation.name(), r#"{"a":1}"#).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let called = server.fake.controls.lock().pop();
        assert_eq!(called, Some((operation, json!({"a": 1}))));
    }
    let answer = ask(server.address, "ListDeliveryStreams", "").await;
    assert_eq!(answer.body, r#"{"DeliveryStreamNames":["a","b"],"HasMoreDeliveryStreams":false}"#);
    // A fault inside is an answer, not a dead connection.
    let answer = ask(server.address, "CreateDeliveryStream", "{}").await;
    assert_eq!(answer.outcome(), (500, "InternalFailure".into()));
    for body in ["[]", "{", "null", "\"x\""] {
        let answer = ask(server.address, "ListDeliveryStreams", body).await;
        assert_eq!(answer.outcome(), (400, "SerializationException".into()));
    }
}

#[tokio::test]
async fn what_is_not_there_is_unknown() {
    let server = start().await;
    let unknown = (404, "UnknownOperationException".to_owned());
    assert_eq!(ask(server.address, "MakeTea", "{}").await.outcome(), unknown);
    let mut other = call(server.address, "PutRecord", "{}");
    other
        .headers_mut()
        .insert("x-amz-target", HeaderValue::from_static("Kinesis_20131202.PutRecord"));
    assert_eq!(send(SIGNER.sign(other)).await.outcome(), unknown);
    for (method, path) in [(Method::GET, "/"), (Method::POST, "/x"), (Method::PUT, "/metrics")] {
        assert_eq!(send(plain(&server, method, path)).await.outcome(), unknown);
    }
    // A stranger does not learn what there is.
    let answer = send(call(server.address, "MakeTea", "{}")).await;
    assert_eq!(answer.outcome(), (403, "MissingAuthenticationTokenException".into()));
}

#[tokio::test]
async fn content_types_are_taken_as_they_come() {
    let server = start().await;
    for content_type in
        ["application/x-amz-json-1.0", "application/json; charset=utf-8", "text/plain"]
    {
        let mut request = call(server.address, "ListDeliveryStreams", "{}");
        request.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
        assert_eq!(send(SIGNER.sign(request)).await.status, 200, "{content_type}");
    }
}

#[tokio::test]
async fn health_and_metrics_need_no_signature() {
    let server = start().await;
    let get = async |path| send(plain(&server, Method::GET, path)).await;
    let live = get("/health/live").await;
    assert_eq!((live.status.as_u16(), live.body.as_str()), (200, r#"{"live":true}"#));
    let ready = get("/health/ready").await;
    assert_eq!((ready.status.as_u16(), ready.body.as_str()), (200, r#"{"ready":true}"#));
    *server.fake.ready.lock() = false;
    let ready = get("/health/ready").await;
    assert_eq!((ready.status.as_u16(), ready.body.as_str()), (503, r#"{"ready":false}"#));
    let metrics = get("/metrics").await;
    assert_eq!(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(metrics.body, "# TYPE x counter\nx 1\n");
    server.fake.metrics.lock().push_str("# EOF\n");
    let metrics = get("/metrics").await;
    assert!(
        metrics.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
}

#[tokio::test]
async fn the_daemons_own_operations_are_signed_like_the_api() {
    let server = start().await;
    for (method, path, body) in [
        (Method::POST, "/v1/streams/a.b-c/flush", r#"{"flushed":"a.b-c"}"#),
        (Method::GET, "/v1/trace/5a000001", r#"{"record":"5a000001"}"#),
        (Method::POST, "/v1/reload", r#"{"reloaded":true}"#),
    ] {
        let request = plain(&server, method.clone(), path);
        let answer = send(request.clone()).await;
        assert_eq!(answer.outcome(), (403, "MissingAuthenticationTokenException".into()));
        assert_eq!(send(SIGNER.sign(request)).await.body, body);
    }
}

#[tokio::test]
async fn an_anonymous_listener_takes_unsigned_requests_but_not_from_web_pages() {
    let options = ApiOptions { anonymous: true, ..options() };
    let server = start_with(options, ServerLimits::default()).await;
    let request = || call(server.address, "PutRecordBatch", batch("s", &[b"x"]));
    assert_eq!(send(request()).await.status, 200);
    // SDKs cannot but sign, with whatever keys.
    let signer = crate::client::Signer { id: "anything", secret: "at all", ..SIGNER };
    assert_eq!(send(signer.sign(request())).await.status, 200);
    let own = format!("http://{}", server.address);
    for (origin, status) in [("http://evil.example", 403), ("null", 403), (own.as_str(), 200)] {
        let mut request = request();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        assert_eq!(send(request).await.status, status, "{origin}");
    }
    assert_eq!(server.fake.records().len(), 3);
}

#[tokio::test]
async fn attempts_of_one_call_are_recognisable() {
    let server = start().await;
    let put = async |header: Option<(&'static str, &'static str)>, stream: &str, record: &[u8]| {
        let mut request = call(server.address, "PutRecordBatch", batch(stream, &[record]));
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        assert_eq!(send(SIGNER.sign(request)).await.status, 200);
        server.fake.puts.lock().last().unwrap().1.call
    };
    let first = put(Some(("amz-sdk-invocation-id", "1")), "s", b"x").await;
    assert!(first.is_some());
    assert_eq!(put(Some(("amz-sdk-invocation-id", "1")), "s", b"x").await, first);
    assert_eq!(put(Some(("idempotency-key", "1")), "s", b"x").await, first);
    assert_eq!(put(None, "s", b"x").await, None);
    let other_body = put(Some(("amz-sdk-invocation-id", "1")), "s", b"y").await;
    assert_eq!(other_body.map(|call| call.digest), first.map(|call| call.digest));
    assert_ne!(other_body, first);
    for (id, stream) in [("2", "s"), ("1", "t")] {
        let other = put(Some(("amz-sdk-invocation-id", id)), stream, b"x").await;
        assert_ne!(other.map(|call| call.digest), first.map(|call| call.digest));
    }
}
