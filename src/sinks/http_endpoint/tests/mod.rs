//! Against servers in this process, by real connections.

mod plain;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;
use crate::{
    env::ManualClock,
    fault::Cause,
    net::{
        http::Tls,
        keys::KeySource,
        tls_double::{Authority, Shown},
    },
    record::{Leaf, Ranges, Route},
    seams::RecordList,
    units::Span,
};

const ID: &str = "ed4acda5-034f-9f42-bba1-f29aea6d7d8f";
const ARN: &str = "arn:aws:firehose:us-east-1:123456789012:deliverystream/clicks";

/// Hangs up instead of an answer.
const CUT: &str = "cut";

/// The head and the body of a request.
type Seen = (String, Vec<u8>);

/// A server that answers the requests that come, one after the other, each on its own connection,
/// by these bytes.
struct Endpoint {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Endpoint {
    async fn answering(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sees = seen.clone();
        let task = tokio::spawn(async move {
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let request = read(&mut socket).await;
                sees.lock().push(request);
                if answer == CUT {
                    continue;
                }
                socket.write_all(answer.as_bytes()).await.unwrap();
                if answer.contains("endless") {
                    while socket.write_all(&[b'x'; 65_536]).await.is_ok() {}
                }
                if answer.is_empty() {
                    // Silent until the other side has gone.
                    let _ = socket.read_u8().await;
                }
            }
        });
        Self { url, seen, task }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

async fn read(socket: &mut TcpStream) -> Seen {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let lower = head.to_ascii_lowercase();
    let length = lower
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.unwrap();
    (head, body)
}

fn response(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn taken() -> String {
    response("200 OK", &format!(r#"{{"requestId":"{ID}","timestamp":1578090903599}}"#))
}

fn options(url: &str) -> Options {
    Options {
        url: Secret::Value(url.to_owned()),
        access_key: None,
        content_encoding: ContentEncoding::None,
        common_attributes: Vec::new(),
        body: BodyFormat::Firehose,
        headers: Vec::new(),
        tls: Tls::default(),
        timeout: Span(Duration::from_secs(60)),
        stream_arn: ARN.into(),
    }
}

fn sink(options: Options) -> HttpEndpointSink {
    let mut sink = HttpEndpointSink::connect(options, CpuPool::default()).unwrap();
    sink.clock = Arc::new(ManualClock::at(1_578_090_901_599));
    sink
}

fn shipment(records: &[&str]) -> Shipment {
    let mut list = RecordList::default();
    for (index, record) in records.iter().enumerate() {
        let before = list.ends.last().copied().unwrap_or(0);
        list.ends.push(before + record.len() as u32);
        list.leaves.push(Leaf { sequence: 77, index: index as u32, of: records.len() as u32 });
    }
    Shipment {
        key: ID.into(),
        body: records.concat().into(),
        content_type: "application/octet-stream",
        content_encoding: None,
        records: records.len() as u64,
        positions: Ranges::of(77, 78),
        route: Route::Objects,
        list: Some(Arc::new(list)),
    }
}

fn secret(text: &str) -> Secret {
    Secret::Value(text.into())
}

async fn fault(options: Options) -> Fault {
    sink(options).deliver(&shipment(&["a"])).await.unwrap_err()
}

fn code(fault: &Fault) -> &str {
    let code = fault.cause().code.as_str();
    code.strip_prefix("HttpEndpoint.").unwrap_or(code)
}

#[tokio::test]
async fn a_request_is_firehoses_to_the_byte() {
    let endpoint = Endpoint::answering(vec![taken(), taken()]).await;
    let url = format!("{}/in/put?token=a%20b", endpoint.url);
    let full = Options {
        access_key: Some(KeySource::Given(secret("k3y"))),
        common_attributes: vec![
            ("zone".into(), secret("é\u{7f}\u{1f600}")),
            ("app".into(), secret("a \"b\"")),
        ],
        headers: vec![("X-Own".into(), secret("mine"))],
        ..options(&url)
    };
    let delivered = sink(full).deliver(&shipment(&["hello", "", "{\"a\":1}\n"])).await;
    assert_eq!(delivered, Ok(Delivered::default()));
    sink(options(&url)).deliver(&shipment(&["x"])).await.unwrap();

    let host = endpoint.url.strip_prefix("http://").unwrap();
    let body = concat!(
        r#"{"requestId":"ed4acda5-034f-9f42-bba1-f29aea6d7d8f","timestamp":1578090901599,"#,
        r#""records":[{"data":"aGVsbG8="},{"data":""},{"data":"eyJhIjoxfQo="}]}"#
    );
    let seen = endpoint.seen();
    assert_eq!(String::from_utf8_lossy(&seen[0].1), body);
    let expected = [
        "POST /in/put?token=a%20b HTTP/1.1".to_owned(),
        "X-Amz-Firehose-Protocol-Version: 1.0".into(),
        format!("X-Amz-Firehose-Request-Id: {ID}"),
        format!("X-Amz-Firehose-Source-Arn: {ARN}"),
        "X-Amz-Firehose-Access-Key: k3y".into(),
        concat!(
            r#"X-Amz-Firehose-Common-Attributes: {"commonAttributes":"#,
            r#"{"zone":"\u00e9\u007f\ud83d\ude00","app":"a \"b\""}}"#
        )
        .into(),
        "Content-Type: application/json".into(),
        "User-Agent: Amazon Kinesis Data Firehose Agent/1.0".into(),
        "X-Own: mine".into(),
        "Accept: */*".into(),
        format!("Host: {host}"),
        format!("Content-Length: {}", body.len()),
    ];
    assert_eq!(seen[0].0.trim_end().split("\r\n").collect::<Vec<_>>(), expected);
    // What is not configured is not sent.
    let few = seen[1].0.to_ascii_lowercase();
    assert!(!few.contains("access-key") && !few.contains("attributes"), "{few}");
    assert!(!few.contains("content-encoding"), "{few}");
}

#[tokio::test]
async fn the_id_is_the_same_at_every_attempt() {
    let failing = response("500 Internal Server Error", "");
    let endpoint = Endpoint::answering(vec![failing, CUT.into(), taken()]).await;
    let sink = sink(options(&endpoint.url));
    let shipment = shipment(&["a"]);
    assert_eq!(code(&sink.deliver(&shipment).await.unwrap_err()), "DestinationException");
    assert_eq!(code(&sink.deliver(&shipment).await.unwrap_err()), "ConnectionReset");
    sink.deliver(&shipment).await.unwrap();
    let seen = endpoint.seen();
    assert_eq!(seen.len(), 3);
    for (head, body) in &seen {
        assert!(head.contains(&format!("X-Amz-Firehose-Request-Id: {ID}\r\n")), "{head}");
        assert_eq!(body, &seen[0].1);
    }
}

#[tokio::test]
async fn compressed_bodies_say_so_and_unpack() {
    let endpoint = Endpoint::answering(vec![taken(), taken()]).await;
    let gzip = Options { content_encoding: ContentEncoding::Gzip, ..options(&endpoint.url) };
    let record = "0123456789".repeat(1000);
    sink(gzip.clone()).deliver(&shipment(&[&record])).await.unwrap();
    let (head, body) = &endpoint.seen()[0];
    assert!(head.contains("\r\nContent-Encoding: gzip\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    assert!(body.len() < record.len() / 2);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&body[..]), &mut text).unwrap();
    let data = base64_simd::STANDARD.encode_to_string(&record);
    assert!(text.ends_with(&format!(r#""records":[{{"data":"{data}"}}]}}"#)), "{text}");
    let plain = Options { body: BodyFormat::Raw, ..gzip };
    sink(plain).deliver(&shipment(&["abc"])).await.unwrap();
    let body = &endpoint.seen()[1].1;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&body[..]), &mut text).unwrap();
    assert_eq!(text, "abc");
}

#[tokio::test]
async fn what_breaks_on_the_way_has_firehoses_codes() {
    let of = async |answer: &str| {
        let endpoint = Endpoint::answering(vec![answer.to_owned()]).await;
        let fault = fault(options(&format!("{}/t0ps3cret-t0ps3cret", endpoint.url))).await;
        assert!(matches!(fault, Fault::Retry { .. }), "{fault:?}");
        assert!(!fault.to_string().contains("t0ps3cret"), "{fault}");
        code(&fault).to_owned()
    };
    let endless = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX: endless\r\n\r\n";
    assert_eq!(of(endless).await, "ResponseTooLarge");
    let declared = "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n";
    assert_eq!(of(declared).await, "ResponseTooLarge");
    let cut = &taken()[..taken().len() - 5];
    assert_eq!(of(cut).await, "ConnectionReset");
    assert_eq!(of("220 mail.example ESMTP\r\n").await, "IllegalResponseFailure");
    let phrase = format!("200 {}", "x".repeat(65));
    assert_eq!(of(&taken().replace("200 OK", &phrase)).await, "ResponseReasonPhraseExceededLimit");
    let phrase = format!("200 {}", "x".repeat(64));
    let endpoint = Endpoint::answering(vec![taken().replace("200 OK", &phrase)]).await;
    sink(options(&endpoint.url)).deliver(&shipment(&["a"])).await.unwrap();
    assert_eq!(of(&response("202 Accepted", "")).await, "InvalidStatusCode");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let hasty = Options { timeout: Span(Duration::from_millis(50)), ..options(&url) };
    assert_eq!(code(&fault(hasty).await), "RequestTimeout");

    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fault = fault(options(&format!("http://{gone}/t0ps3cret-t0ps3cret"))).await;
    assert_eq!(code(&fault), "ConnectionFailed");
    assert!(!fault.to_string().contains("t0ps3cret"), "{fault}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Endpoint::answering(vec![taken()]).await;
    for status in ["301 Moved Permanently", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let moved =
            format!("HTTP/1.1 {status}\r\nLocation: {}/\r\nContent-Length: 0\r\n\r\n", target.url);
        let endpoint = Endpoint::answering(vec![moved.clone()]).await;
        let fault = fault(options(&endpoint.url)).await;
        assert_eq!(code(&fault), "InvalidStatusCode");
        let endpoint = Endpoint::answering(vec![moved]).await;
        let plain = Options { body: BodyFormat::Raw, ..options(&endpoint.url) };
        let fault = self::fault(plain).await;
        assert!(matches!(fault, Fault::Halt { .. }), "{fault:?}");
    }
    assert_eq!(target.seen(), Vec::new());
}

#[tokio::test]
async fn certificates_are_judged_and_shown() {
    let authority = Authority::new();
    for (shown, mutual, tls, expected) in [
        (Shown::Good, false, Tls::default(), "SSLHandshakeCertificatePathFailure"),
        (
            Shown::Expired,
            false,
            authority.trusted(),
            "SSLHandshakeCertificatePathValidationFailure",
        ),
        (
            Shown::OtherName,
            false,
            authority.trusted(),
            "SSLHandshakeCertificatePathValidationFailure",
        ),
        (Shown::Good, true, authority.trusted(), "SSLHandshakeFailure"),
        // It answers `secure`, which is no answer of the protocol.
        (Shown::Good, true, authority.member(), "InvalidResponseFromDestination"),
    ] {
        let server = authority.serve(shown, mutual).await;
        let fault = fault(Options { tls: tls.clone(), ..options(&server.url) }).await;
        assert_eq!(code(&fault), expected, "{fault}");
        let plain = Options { tls, body: BodyFormat::Ndjson, ..options(&server.url) };
        let delivered = sink(plain).deliver(&shipment(&["a"])).await;
        assert_eq!(delivered.is_ok(), expected.starts_with("Invalid"), "{delivered:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_refused_holds_and_is_not_repeated() {
    let refused = response("403 Forbidden", "key k3y-k3y-k3y is no good");
    let endpoint = Endpoint::answering(vec![refused]).await;
    let key = Some(KeySource::Given(secret("k3y-k3y-k3y")));
    let fault = fault(Options { access_key: key, ..options(&endpoint.url) }).await;
    let text = "status 403: key *** is no good";
    assert_eq!(fault, Fault::halt("HttpEndpoint.DestinationException", text));
}

#[tokio::test]
async fn what_can_never_work_is_told_at_once_and_what_may_come_is_waited_for() {
    let connect = |options| HttpEndpointSink::connect(options, CpuPool::default()).err();
    for url in ["", "localhost:80", "ftp://a/", "https://"] {
        assert_eq!(connect(options(url)), Some(ConnectError::Url(UrlError)), "{url}");
    }
    let with = |name: &str, body| Options {
        headers: vec![(name.into(), secret("x"))],
        body,
        ..options("http://a/")
    };
    for name in ["", "a b", "Content-Length", "X-Amz-Firehose-Access-Key", "content-type"] {
        let error = connect(with(name, BodyFormat::Firehose));
        assert_eq!(error, Some(ConnectError::Header(name.into())));
    }
    assert_eq!(connect(with("content-type", BodyFormat::Raw)), None);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let tls = Tls { ca_file: Some(file), ..Tls::default() };
    let error = connect(Options { tls, ..options("http://a/") });
    assert!(matches!(error, Some(ConnectError::Tls(_))), "{error:?}");

    let file = folder.path().join("url");
    let later = sink(Options { url: Secret::File { file: file.clone() }, ..options("") });
    let fault = later.deliver(&shipment(&["a"])).await.unwrap_err();
    assert!(matches!(&fault, Fault::Halt { cause } if cause.code == "Standpipe.SecretNotRead"));
    let endpoint = Endpoint::answering(vec![taken()]).await;
    std::fs::write(&file, format!("{}\n", endpoint.url)).unwrap();
    later.deliver(&shipment(&["a"])).await.unwrap();

    let broken =
        Options { headers: vec![("x-own".into(), secret("a\nb"))], ..options("http://a/") };
    let fault = self::fault(broken).await;
    assert_eq!(code(&fault), "MakeRequestFailure.IllegalCharacterInHeaderValue");
    assert!(matches!(fault, Fault::Halt { .. }));
}

#[tokio::test]
async fn records_of_the_error_output_name_their_place() {
    let sink = sink(options("http://a/"));
    let details = sink.details(&shipment(&["a", "b"]), 1);
    let names: Vec<_> = details.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["subsequenceNumber", "dataId"]);
    assert_eq!(details[0].1, json!(1));
    let id = "00000000000000000000000000000000000000000000000000000077.1";
    assert_eq!(details[1].1, json!(id));
    assert_eq!(sink.details(&shipment(&["a"]), 1), Details::new());
    assert_eq!(sink.output_type(), "http-endpoint-failed");
}
