//! Against a server in this process.

use std::{convert::Infallible, io::Read, time::Duration};

use ::http::HeaderMap;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::*;
use crate::{
    env::ManualClock,
    fault::{Cause, Failure},
    limits,
    net::{
        aws_double::{AwsDouble, Reply},
        glue::tests::access,
        keys::{KeySource, SecretsManager},
    },
    record::{Leaf, Ranges, Route},
    seams::RecordList,
    sinks::layers::{self, Attempts},
    units::Secret,
};

pub fn options(endpoint: &str) -> Options {
    Options {
        site: "datadoghq.com".into(),
        endpoint: Some(endpoint.into()),
        api_key: KeySource::Given(Secret::Value("hush".into())),
        service: None,
        source: None,
        hostname: None,
        tags: Vec::new(),
        gzip: false,
        tls: Tls::default(),
        timeout: Span(Duration::from_secs(30)),
    }
}

fn shipment<T: AsRef<[u8]>>(records: &[T]) -> Shipment {
    let mut body = Vec::new();
    let mut list = RecordList::default();
    for (sequence, record) in (0..).zip(records) {
        body.extend_from_slice(record.as_ref());
        list.ends.push(body.len() as u32);
        list.leaves.push(Leaf::whole(sequence));
    }
    Shipment {
        key: "0f0e0d0c-0b0a-4908-8706-050403020100".into(),
        body: body.into(),
        content_type: "application/octet-stream",
        content_encoding: None,
        records: records.len() as u64,
        positions: Ranges::of(0, records.len() as u64),
        route: Route::Objects,
        list: Some(Arc::new(list)),
    }
}

struct Seen {
    line: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn logs(&self) -> Vec<Value> {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Script = dyn Fn(&Seen) -> (u16, Vec<(&'static str, &'static str)>, String) + Send + Sync;

/// A server that keeps what it was sent, and answers by a script. It ends when it is dropped.
struct Intake {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Intake {
    async fn start(
        script: impl Fn(&Seen) -> (u16, Vec<(&'static str, &'static str)>, String)
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v2/logs", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, script): (_, Arc<Script>) = (seen.clone(), Arc::new(script));
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (kept, script) = (kept.clone(), script.clone());
                let service =
                    service_fn(move |request| answer(request, kept.clone(), script.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { url, seen, task }
    }

    async fn answering(status: u16) -> Self {
        Self::start(move |_| (status, vec![], "{}".into())).await
    }

    fn sink(&self) -> DatadogSink {
        DatadogSink::connect(options(&self.url), CpuPool::default()).unwrap()
    }
}

async fn answer(
    request: ::http::Request<Incoming>,
    kept: Arc<Mutex<Vec<Seen>>>,
    script: Arc<Script>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let line = format!("{} {}", head.method, head.uri);
    let body = body.collect().await.unwrap().to_bytes();
    let seen = Seen { line, headers: head.headers, body };
    let (status, headers, body) = script(&seen);
    kept.lock().push(seen);
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(body.into())).unwrap())
}

#[tokio::test]
async fn a_shipment_is_one_request() {
    let intake = Intake::answering(202).await;
    let options = Options {
        service: Some("shop".into()),
        tags: vec!["env:prod".into()],
        gzip: true,
        ..options(&intake.url)
    };
    let sink = DatadogSink::connect(options, CpuPool::default()).unwrap();
    let answer = sink.deliver(&shipment(&["{\"a\":1}\n", "hello\n"])).await;
    assert_eq!(answer, Ok(Delivered::default()));
    let seen = intake.seen.lock();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "POST /api/v2/logs");
    assert_eq!(seen[0].header("dd-api-key"), Some("hush"));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*seen[0].body).read_to_string(&mut text).unwrap();
    let logs: Value = serde_json::from_str(&text).unwrap();
    let expected = json!([
        {"a": 1, "service": "shop", "ddtags": "env:prod"},
        {"message": "hello", "service": "shop", "ddtags": "env:prod"},
    ]);
    assert_eq!(logs, expected);
    assert_eq!(sink.output_type(), "http-endpoint-failed");
    assert!(!format!("{sink:?}").contains("hush"));
}

#[tokio::test]
async fn an_object_is_one_log() {
    let intake = Intake::answering(200).await;
    let object = Shipment { list: None, ..shipment(&["one ", "message"]) };
    assert_eq!(intake.sink().deliver(&object).await, Ok(Delivered::default()));
    assert_eq!(intake.seen.lock()[0].logs(), [json!({"message": "one message"})]);
    assert_eq!(intake.seen.lock()[0].header("content-encoding"), None);
}

#[tokio::test]
async fn more_than_a_request_holds_is_not_sent() {
    let intake = Intake::answering(202).await;
    let sink = intake.sink();
    let many = vec!["{}"; limits::DATADOG_LOGS_MAX as usize + 1];
    let large = vec!["x".repeat(600_000); 9];
    for shipment in [shipment(&many), shipment(&large)] {
        let fault = sink.deliver(&shipment).await.unwrap_err();
        assert!(
            matches!(&fault, Fault::TooLarge { cause } if cause.code == "Datadog.PayloadTooLarge")
        );
    }
    assert_eq!(intake.seen.lock().len(), 0);
    // Behind the layers it goes in pieces.
    let attempts = Attempts::new(Arc::new(sink), layers::Options::default());
    assert_eq!(attempts.deliver(shipment(&many)).await, Ok(Delivered::default()));
    assert_eq!(attempts.deliver(shipment(&large)).await, Ok(Delivered::default()));
    let sizes: Vec<_> = intake.seen.lock().iter().map(|seen| seen.logs().len()).collect();
    assert_eq!(sizes, [501, 500, 5, 4]);
}

#[tokio::test]
async fn exactly_what_a_request_holds_is_sent() {
    let intake = Intake::answering(202).await;
    let many = vec!["{}"; limits::DATADOG_LOGS_MAX as usize];
    // `{"message":"…"}` is 14 bytes more than the message, the array's own are 2 and the commas.
    let mut full = vec!["x".repeat(limits::DATADOG_LOG_BYTES_MAX - 14); 4];
    let rest = limits::DATADOG_REQUEST_BYTES_MAX - 4 * limits::DATADOG_LOG_BYTES_MAX - 14 - 2 - 4;
    full.push("x".repeat(rest));
    for shipment in [shipment(&many), shipment(&full)] {
        assert_eq!(intake.sink().deliver(&shipment).await, Ok(Delivered::default()));
    }
    assert_eq!(intake.seen.lock()[1].body.len(), limits::DATADOG_REQUEST_BYTES_MAX);
    full[4].push('x');
    let fault = intake.sink().deliver(&shipment(&full)).await.unwrap_err();
    assert!(matches!(fault, Fault::TooLarge { .. }));
}

#[tokio::test]
async fn a_log_that_would_be_cut_off_is_rejected() {
    let intake = Intake::answering(202).await;
    let large = "x".repeat(limits::DATADOG_LOG_BYTES_MAX);
    let failure = Failure::new(
        "http-endpoint-failed",
        "Datadog.LogTooLarge",
        "the log has 1000014 bytes, and Datadog cuts off what is above 1000000",
    );
    for (records, indexes, sent) in [
        (vec![large.as_str(), "{\"a\":1}", &large, "{\"b\":2}"], vec![0, 2], 1),
        (vec![large.as_str()], vec![0], 1),
    ] {
        let delivered = intake.sink().deliver(&shipment(&records)).await.unwrap();
        let expected: Vec<_> = indexes.into_iter().map(|index| (index, failure.clone())).collect();
        assert_eq!(delivered, Delivered { rejected: expected, left: None });
        assert_eq!(intake.seen.lock().len(), sent, "nothing is sent where nothing is left");
    }
    assert_eq!(intake.seen.lock()[0].logs(), [json!({"a": 1}), json!({"b": 2})]);
}

#[tokio::test]
async fn answers_mean_what_datadog_says() {
    let retry = |code: &str, text: &str, after| Fault::Retry {
        cause: Cause::new(code, text),
        after: Option::map(after, Duration::from_secs),
    };
    let large = |code: &str, text: &str| Fault::TooLarge { cause: Cause::new(code, text) };
    let errors = r#"{"errors":["too bad"]}"#;
    let detailed = r#"{"errors":[{"status":"400","title":"Bad Request","detail":"no JSON"}]}"#;
    for (status, headers, body, expected) in [
        (400, vec![], detailed, large("Datadog.InvalidPayload", "status 400: no JSON")),
        (401, vec![], errors, Fault::halt("Datadog.InvalidApiKey", "status 401: too bad")),
        (403, vec![], errors, Fault::halt("Datadog.InvalidApiKey", "status 403: too bad")),
        (404, vec![], "<html>", Fault::halt("Datadog.InvalidEndpoint", "status 404")),
        (302, vec![], "", Fault::halt("Datadog.InvalidEndpoint", "status 302")),
        (413, vec![], "", large("Datadog.PayloadTooLarge", "status 413")),
        (408, vec![], "", retry("Datadog.RequestTimeout", "status 408", None)),
        (
            429,
            vec![("x-ratelimit-reset", "7")],
            errors,
            retry("Datadog.TooManyRequests", "status 429: too bad", Some(7)),
        ),
        (
            429,
            vec![("retry-after", "9"), ("x-ratelimit-reset", "7")],
            "",
            retry("Datadog.TooManyRequests", "status 429", Some(9)),
        ),
        (
            503,
            vec![("x-ratelimit-reset", "99999999999")],
            "",
            retry("Datadog.ServerError", "status 503", Some(300)),
        ),
        (500, vec![("retry-after", "soon")], "", retry("Datadog.ServerError", "status 500", None)),
    ] {
        let intake = Intake::start(move |_| (status, headers.clone(), body.into())).await;
        assert_eq!(intake.sink().deliver(&shipment(&["{}"])).await, Err(expected));
    }
    let gone = Intake::answering(202).await;
    let (sink, listener) = (gone.sink(), gone.url.clone());
    drop(gone);
    let fault = loop {
        // Its socket is closed a moment after the task has been told to end.
        match sink.deliver(&shipment(&["{}"])).await {
            Err(fault) => break fault,
            Ok(_) => tokio::task::yield_now().await,
        }
    };
    assert!(
        matches!(&fault, Fault::Retry { cause, .. } if cause.code == "Datadog.ConnectionFailed")
    );
    assert!(!fault.to_string().contains(&listener));
}

#[tokio::test]
async fn the_log_that_spoils_a_request_is_found() {
    let intake = Intake::start(|seen| {
        let is_bad = seen.logs().iter().any(|log| log["bad"] == true);
        (if is_bad { 400 } else { 202 }, vec![], String::new())
    })
    .await;
    let attempts = Attempts::new(Arc::new(intake.sink()), layers::Options::default());
    let mut records = vec!["{\"bad\":false}"; 20];
    records[13] = "{\"bad\":true}";
    let delivered = attempts.deliver(shipment(&records)).await.unwrap();
    let [(13, failure)] = &delivered.rejected[..] else { panic!("{delivered:?}") };
    assert_eq!(failure.cause, Cause::new("Datadog.InvalidPayload", "status 400"));
    assert_eq!((failure.details.len(), delivered.left), (2, None));
}

#[tokio::test]
async fn a_managed_key_that_is_refused_is_looked_up_again() {
    let manager = AwsDouble::start(Some("secretsmanager"), |call| {
        let secret = json!({"api_key": format!("key-{}", call.number)});
        Reply::json(json!({"SecretString": secret.to_string()}))
    })
    .await;
    let intake = Intake::start(|seen| {
        let is_new = seen.header("dd-api-key") == Some("key-1");
        (if is_new { 202 } else { 403 }, vec![], String::new())
    })
    .await;
    let secret = SecretsManager {
        secret_arn: "datadog".into(),
        role_arn: None,
        region: None,
        endpoint: Some(manager.url.clone()),
    };
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let key = Key::by_clock(KeySource::Managed(secret, access()), KEY_MEMBER, clock.clone());
    let sink = DatadogSink { key: key.unwrap(), ..intake.sink() };
    let refused = sink.deliver(&shipment(&["{}"])).await;
    assert_eq!(refused, Err(Fault::halt("Datadog.InvalidApiKey", "status 403")));
    clock.advance(limits::SECRET_ASK_INTERVAL);
    assert_eq!(sink.deliver(&shipment(&["{}"])).await, Ok(Delivered::default()));
}

#[tokio::test]
async fn a_key_that_no_header_can_hold_holds_the_destination() {
    let intake = Intake::answering(202).await;
    let api_key = KeySource::Given(Secret::Value("hu\nsh".into()));
    let options = Options { api_key, ..options(&intake.url) };
    let sink = DatadogSink::connect(options, CpuPool::default()).unwrap();
    let fault = sink.deliver(&shipment(&["{}"])).await.unwrap_err();
    assert_eq!(fault, Fault::halt("Datadog.InvalidApiKey", "the key has what no header may have"));
}

#[tokio::test]
async fn sites_and_endpoints_are_looked_at_before_they_are_asked() {
    let connect = |site: &str, endpoint: Option<&str>| {
        let options =
            Options { site: site.into(), endpoint: endpoint.map(Into::into), ..options("") };
        DatadogSink::connect(options, CpuPool::default())
    };
    let sink = connect("us5.datadoghq.com", None).unwrap();
    assert_eq!(sink.intake.as_str(), "https://http-intake.logs.us5.datadoghq.com/api/v2/logs");
    let validation = sink.validation.map(String::from);
    assert_eq!(validation.as_deref(), Some("https://api.us5.datadoghq.com/api/v1/validate"));
    for site in ["", "datadoghq.com/", "evil.example/?", "a b", "u:p@evil.example"] {
        assert_eq!(connect(site, None).unwrap_err(), ConnectError::Site(site.into()));
    }
    assert_eq!(connect("", Some("vector:80")).unwrap_err(), ConnectError::Endpoint(UrlError));
    let sink = connect("", Some("http://vector:80/v1/input?x=y")).unwrap();
    assert_eq!(sink.intake.as_str(), "http://vector/v1/input?x=y");
    assert_eq!(sink.validation, None);
}

#[tokio::test]
async fn a_trial_shows_the_key_and_leaves_nothing() {
    let known = "Datadog knows the key".to_owned();
    let unknown = || Cause::new("Datadog.InvalidApiKey", "Datadog does not know the key");
    let refused = || Cause::new("Datadog.InvalidApiKey", "status 403: Forbidden");
    for (status, body, expected) in [
        (200, r#"{"valid":true}"#, Ok(known)),
        (200, r#"{"valid":false}"#, Err(unknown())),
        (403, r#"{"errors":["Forbidden"]}"#, Err(refused())),
    ] {
        let intake = Intake::start(move |_| (status, vec![], body.into())).await;
        let validation = intake.url.replace("v2/logs", "v1/validate").parse().unwrap();
        let nowhere = "http://127.0.0.1:1/".parse().unwrap();
        let options = options(&intake.url);
        let sink = DatadogSink::to(nowhere, Some(validation), options, CpuPool::default()).unwrap();
        let trials = sink.check().await;
        assert_eq!(trials.len(), 2);
        assert_eq!(trials[0].step, "key");
        assert_eq!(trials[1], Trial { step: "authentication", result: expected });
        let seen = intake.seen.lock();
        assert_eq!((seen.len(), &*seen[0].line), (1, "GET /api/v1/validate"));
        assert_eq!(seen[0].header("dd-api-key"), Some("hush"));
    }
}

#[tokio::test]
async fn another_intake_is_tried_with_nothing() {
    for (status, expected) in [
        (202, Ok("a request without logs was taken".to_owned())),
        (400, Ok("a request without logs was read".to_owned())),
        (403, Err(Cause::new("Datadog.InvalidApiKey", "status 403"))),
    ] {
        let intake = Intake::answering(status).await;
        let trials = intake.sink().check().await;
        assert_eq!(trials[1], Trial { step: "write", result: expected });
        assert_eq!(intake.seen.lock()[0].logs(), Vec::<Value>::new());
    }
    let api_key = KeySource::Given(Secret::File { file: "/nowhere/key".into() });
    let options = Options { api_key, ..options("http://127.0.0.1:1/") };
    let trials = DatadogSink::connect(options, CpuPool::default()).unwrap().check().await;
    assert_eq!(trials.len(), 1);
    assert_eq!(trials[0].step, "key");
    assert_eq!(trials[0].result.as_ref().unwrap_err().code, "Standpipe.KeyNotRead");
}
