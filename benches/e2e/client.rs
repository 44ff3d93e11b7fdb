//! A client of the Firehose API on one connection each, as SDKs are: signed, kept alive, with an
//! invocation id on every call.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use standpipe::env::{Clock as _, SystemClock};
use tokio::net::TcpStream;

use crate::{
    data::Body,
    sign::{Signer, amz_date},
};

pub const ACCESS_KEY_ID: &str = "AKIABENCHBENCHBENCH0";
pub const SECRET: &str = "bench/secret/bench/secret/bench/secret00";
pub const REGION: &str = "us-east-1";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Where to send to, and with which key.
pub struct Api {
    pub address: SocketAddr,
    host: String,
    signer: Signer,
    clock: SystemClock,
}

/// An attempt of a call: which one it is, of which call.
pub struct Attempt<'a> {
    pub invocation: &'a str,
    pub number: u32,
}

impl Api {
    pub fn new(address: SocketAddr) -> Arc<Self> {
        Self::of(address, "firehose")
    }

    /// Of another service that takes the same JSON.
    pub fn of(address: SocketAddr, service: &'static str) -> Arc<Self> {
        Arc::new(Self {
            address,
            host: address.to_string(),
            signer: Signer::new(ACCESS_KEY_ID, SECRET, REGION, service),
            clock: SystemClock::default(),
        })
    }

    pub async fn connect(self: &Arc<Self>) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await.context("connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; what went wrong is seen by the call under way.
        tokio::spawn(connection);
        Ok(Connection { api: self.clone(), sender })
    }

    fn request(&self, target: &str, body: &Body, attempt: &Attempt<'_>) -> Request<Full<Bytes>> {
        let date = amz_date(self.clock.now_ms());
        let tries = format!("attempt={}; max=3", attempt.number);
        let signed = [
            ("amz-sdk-invocation-id", attempt.invocation),
            ("amz-sdk-request", &tries),
            ("content-type", CONTENT_TYPE),
            ("host", &self.host),
            ("x-amz-date", &date),
            ("x-amz-target", target),
        ];
        let authorization = self.signer.authorization("POST", "/", &signed, &body.sha256, &date);
        let mut request = Request::post("/").header("authorization", authorization);
        for (name, value) in signed {
            request = request.header(name, value);
        }
        request
            .header("content-length", body.json.len())
            .body(Full::new(body.json.clone()))
            .expect("the headers are valid")
    }

    fn plain(&self, method: &str, path: &str) -> Request<Full<Bytes>> {
        const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let date = amz_date(self.clock.now_ms());
        let signed = [("host", self.host.as_str()), ("x-amz-date", &date)];
        let authorization = self.signer.authorization(method, path, &signed, EMPTY, &date);
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", authorization)
            .header("host", &self.host)
            .header("x-amz-date", date)
            .body(Full::default())
            .expect("the headers are valid")
    }

    /// One call on a connection of its own, signed: health, metrics, flush.
    pub async fn once(self: &Arc<Self>, method: &str, path: &str) -> Result<(StatusCode, String)> {
        let mut connection = self.connect().await?;
        let (status, body) = connection.send(self.plain(method, path)).await?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Closes what is open in the stream.
    pub async fn flush(self: &Arc<Self>, stream: &str) -> Result<()> {
        let (status, body) = self.once("POST", &format!("/v1/streams/{stream}/flush")).await?;
        anyhow::ensure!(status.is_success(), "flush was answered {status}: {body}");
        Ok(())
    }
}

/// A connection kept alive.
pub struct Connection {
    api: Arc<Api>,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// One attempt of `PutRecord` or `PutRecordBatch`.
    pub async fn put(
        &mut self,
        operation: Operation,
        body: &Body,
        attempt: &Attempt<'_>,
    ) -> Result<(StatusCode, Bytes)> {
        let request = self.api.request(operation.target(), body, attempt);
        self.send(request).await
    }

    /// A call of any operation, once.
    pub async fn call(&mut self, target: &str, body: &Body) -> Result<(StatusCode, Bytes)> {
        let attempt = Attempt { invocation: &invocation(), number: 1 };
        let request = self.api.request(target, body, &attempt);
        self.send(request).await
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Operation {
    PutRecord,
    PutRecordBatch,
}

impl Operation {
    fn target(self) -> &'static str {
        match self {
            Self::PutRecord => "Firehose_20150804.PutRecord",
            Self::PutRecordBatch => "Firehose_20150804.PutRecordBatch",
        }
    }
}

/// An id for a call, as SDKs make them.
pub fn invocation() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// True when the answer says that every record was taken.
pub fn all_taken(operation: Operation, status: StatusCode, body: &[u8]) -> bool {
    let needle: &[u8] = match operation {
        Operation::PutRecord => b"\"RecordId\":",
        Operation::PutRecordBatch => b"\"FailedPutCount\":0",
    };
    status.is_success() && body.windows(needle.len()).any(|window| window == needle)
}
