//! A server in this process that stands for an AWS API: it proves every signature, keeps what it
//! was asked, and answers as a test's script says.
//!
//! Unit tests and the tests beside the crate include this file; whoever does has `net::sigv4` in
//! the module around it, under the name `sigv4`.

#![allow(dead_code, reason = "each includer uses its own part")]

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::sigv4::{Claim, Head, Key, NewKey, sha256};

pub const ACCESS_KEY: &str = "AKIASTANDPIPETEST";
pub const SECRET_KEY: &str = "standpipe-test-secret";

/// Largest event that Lambda takes.
const INVOKE_BYTES_MAX: usize = 6_291_456;

/// A request that was let in.
#[derive(Debug, Clone)]
pub struct Call {
    /// Counted from 0.
    pub number: usize,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The records of an event for a function: ids and data.
    pub fn records(&self) -> Vec<(String, Bytes)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let record = |record: &Value| {
            let data = base64_simd::STANDARD.decode_to_vec(text(&record["data"])).unwrap();
            (text(&record["recordId"]), Bytes::from(data))
        };
        self.json()["records"].as_array().unwrap().iter().map(record).collect()
    }
}

/// What the script answers.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    /// The connection is cut instead.
    pub cut: bool,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: false }
    }

    pub fn json(body: Value) -> Self {
        Self::new(200, body.to_string())
    }

    pub fn cut() -> Self {
        Self { cut: true, ..Self::new(200, "") }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// An error as REST services such as Lambda answer it.
    pub fn error(status: u16, name: &str) -> Self {
        let body = json!({"Type": "User", "Message": format!("{name} it is")});
        Self::new(status, body.to_string())
            .with("x-amzn-errortype", format!("{name}:http://internal.amazon.com/coral/"))
    }

    /// An error as the JSON protocols answer it.
    pub fn fault(status: u16, name: &str) -> Self {
        let body = json!({"__type": format!("com.amazonaws#{name}"), "Message": "it is so"});
        Self::new(status, body.to_string())
    }

    /// A function that was called and failed.
    pub fn function_error(error_type: &str, message: &str) -> Self {
        Self::json(json!({"errorType": error_type, "errorMessage": message}))
            .with("x-amz-function-error", "Unhandled")
    }

    /// Every record comes back as `transform` makes it.
    pub fn records(call: &Call, mut transform: impl FnMut(usize, &str, &Bytes) -> Value) -> Self {
        let records: Vec<Value> = call
            .records()
            .iter()
            .enumerate()
            .map(|(i, (id, data))| transform(i, id, data))
            .collect();
        Self::json(json!({"records": records}))
    }

    /// Every record comes back as it went.
    pub fn echo(call: &Call) -> Self {
        Self::records(call, |_, id, data| ok(id, data))
    }
}

/// A record that a function answers with `Ok`.
pub fn ok(id: &str, data: &[u8]) -> Value {
    let data = base64_simd::STANDARD.encode_to_string(data);
    json!({"recordId": id, "result": "Ok", "data": data})
}

type Answering = Pin<Box<dyn Future<Output = Reply> + Send>>;
type Script = dyn Fn(Call) -> Answering + Send + Sync;

/// The server. It ends when it is dropped.
pub struct AwsDouble {
    pub url: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    /// The service whose signatures are asked for; none are for a plain server.
    service: Option<&'static str>,
    key: Arc<Key>,
    script: Box<Script>,
    calls: Mutex<Vec<Call>>,
    refused: Mutex<Vec<String>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl AwsDouble {
    pub async fn start(
        service: Option<&'static str>,
        script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::waiting(service, move |call| {
            let reply = script(&call);
            async move { reply }
        })
        .await
    }

    /// With a script that may wait before it answers.
    pub async fn waiting<F: Future<Output = Reply> + Send + 'static>(
        service: Option<&'static str>,
        script: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self {
        let key = NewKey { secret: SECRET_KEY.into(), session_token: None, expires_ms: None };
        let state = Arc::new(State {
            service,
            key: Arc::new(Key::new(key)),
            script: Box::new(move |call| Box::pin(script(call))),
            calls: Mutex::default(),
            refused: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let state = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| state.clone().answer(request));
                    // A connection that is cut on purpose ends with an error.
                    let _ =
                        http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { url, state, task }
    }

    /// The calls that reached the script.
    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().clone()
    }

    /// Why requests were turned away before the script.
    pub fn refused(&self) -> Vec<String> {
        self.state.refused.lock().clone()
    }

    /// Most calls that were under way at one time.
    pub fn most_under_way(&self) -> usize {
        self.state.most_under_way.load(Ordering::SeqCst)
    }
}

impl Drop for AwsDouble {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, &'static str> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| "the client went away")?.to_bytes();
        if let Err(reply) = self.check(&head.method, &head.uri, &head.headers, &body) {
            return respond(reply);
        }
        let call = {
            let mut calls = self.calls.lock();
            let (path, headers) = (head.uri.path().to_owned(), head.headers);
            let call = Call { number: calls.len(), path, headers, body };
            calls.push(call.clone());
            call
        };
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
        let reply = (self.script)(call).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        respond(reply)
    }

    fn check(
        &self,
        method: &http::Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<(), Reply> {
        let refuse = |reply: Reply, why: String| {
            self.refused.lock().push(why);
            Err(reply)
        };
        if self.service.is_some() && method != http::Method::POST {
            return refuse(Reply::new(405, ""), format!("{method} {uri}"));
        }
        let Some(service) = self.service else { return Ok(()) };
        let head = Head { method: method.as_str(), uri, headers };
        let find = |id: &str| (id == ACCESS_KEY).then(|| self.key.clone());
        let proven = Claim::read(head, service, now_ms(), find)
            .and_then(|claim| claim.verify(head, &sha256(body)));
        if let Err(error) = proven {
            return refuse(Reply::error(403, error.name()), error.to_string());
        }
        if service == "lambda" {
            let shape = uri.path().strip_prefix("/2015-03-31/functions/");
            if shape.and_then(|rest| rest.strip_suffix("/invocations")).is_none() {
                return refuse(Reply::error(404, "UnknownOperationException"), uri.to_string());
            }
            if body.len() > INVOKE_BYTES_MAX {
                let why = format!("{} bytes", body.len());
                return refuse(Reply::error(413, "RequestTooLargeException"), why);
            }
        }
        Ok(())
    }
}

fn respond(reply: Reply) -> Result<Response<Full<Bytes>>, &'static str> {
    if reply.cut {
        return Err("cut by the script");
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(reply.body)).unwrap())
}

#[allow(clippy::disallowed_methods, reason = "signatures are made with the machine's time")]
fn now_ms() -> i64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}
