//! Requests, signed by the Rust SDK's signer or not at all, and raw sockets.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// The exception's name; checks that an error looks as it must.
    pub fn error(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        let kind = body["__type"].as_str().unwrap().to_owned();
        assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert!(self.body.starts_with("{\"__type\":\""), "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/x-amz-json-1.1");
        assert_eq!(self.headers["x-amzn-errortype"], kind.as_str());
        assert_eq!(self.headers["x-amzn-requestid"].len(), 36);
        kind
    }

    /// Status and exception's name.
    pub fn outcome(&self) -> (u16, String) {
        (self.status.as_u16(), self.error())
    }
}

/// How a request is signed.
#[derive(Clone, Copy)]
pub struct Signer {
    pub id: &'static str,
    pub secret: &'static str,
    pub token: Option<&'static str>,
    pub service: &'static str,
    /// Seconds by which the client's clock is ahead.
    pub ahead_s: i64,
    pub presigned_s: Option<u64>,
}

pub const SIGNER: Signer = Signer {
    id: "AKID",
    secret: "secret",
    token: None,
    service: "firehose",
    ahead_s: 0,
    presigned_s: None,
};

/// A request of an operation, not yet signed.
pub fn call(address: SocketAddr, operation: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post(format!("http://{address}/"))
        .header("host", address.to_string())
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("Firehose_20150804.{operation}"))
        .body(body.into())
        .unwrap()
}

impl Signer {
    pub fn sign(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        let token = self.token.map(str::to_owned);
        let identity = Credentials::new(self.id, self.secret, token, None, "test").into();
        let mut settings = SigningSettings::default();
        if let Some(seconds) = self.presigned_s {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(seconds));
        }
        #[expect(clippy::disallowed_methods, reason = "a client has the machine's clock")]
        let now = SystemTime::now();
        let ahead = Duration::from_secs(self.ahead_s.unsigned_abs());
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-central-1")
            .name(self.service)
            .time(if self.ahead_s < 0 { now - ahead } else { now + ahead })
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let headers: Vec<_> =
            request.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers.into_iter(),
            SignableBody::Bytes(request.body()),
        )
        .unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}

/// Sends over a connection of its own. Fails if no answer comes.
pub async fn send(request: Request<Bytes>) -> Answer {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = async { read(client.request(request.map(Full::new)).await.unwrap()).await };
    tokio::time::timeout(Duration::from_secs(60), answer).await.expect("no answer came")
}

/// Signs as `AKID` and sends.
pub async fn ask(address: SocketAddr, operation: &str, body: impl Into<Bytes>) -> Answer {
    send(SIGNER.sign(call(address, operation, body))).await
}

pub async fn read<B>(response: http::Response<B>) -> Answer
where
    B: hyper::body::Body<Data: Send, Error: std::fmt::Debug>,
{
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

/// The head of a request as it goes over the wire in HTTP/1.1, without a length.
pub fn head_of(request: &Request<Bytes>) -> String {
    let path = request.uri().path_and_query().unwrap();
    let mut text = format!("{} {path} HTTP/1.1\r\n", request.method());
    for (name, value) in request.headers() {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    text
}

/// Sends bytes and reads until the server closes.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    read_to_end(&mut socket).await
}

/// What a server says until it closes; a reset ends it, too. Fails if it never closes.
pub async fn read_to_end(socket: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(60), socket.read_to_end(&mut answer)).await;
    let _ = end.expect("the server never closed the connection");
    String::from_utf8(answer).unwrap()
}

/// A batch body for stream `name`.
pub fn batch(name: &str, records: &[&[u8]]) -> String {
    let records: Vec<_> = records
        .iter()
        .map(|record| {
            format!("{{\"Data\":\"{}\"}}", base64_simd::STANDARD.encode_to_string(record))
        })
        .collect();
    format!("{{\"DeliveryStreamName\":\"{name}\",\"Records\":[{}]}}", records.join(","))
}
