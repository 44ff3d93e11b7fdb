//! The collector of the tests.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub fn is_poll(&self) -> bool {
        self.uri.path().ends_with("/ack")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The ids that a poll asks for.
    pub fn acks(&self) -> Vec<u64> {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        body["acks"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// What the script answers.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    /// The connection is cut instead.
    cut: bool,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: false }
    }

    pub fn cut() -> Self {
        Self { cut: true, ..Self::new(200, "") }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

type Answering = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The server. It ends when it is dropped.
pub(super) struct Hec {
    pub url: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    script: Box<dyn Fn(Call) -> Answering + Send + Sync>,
    calls: Mutex<Vec<Call>>,
    came: Notify,
}

impl Hec {
    pub async fn start(script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        Self::waiting(move |call| {
            let reply = script(&call);
            async move { reply }
        })
        .await
    }

    /// With a script that may wait before it answers.
    pub async fn waiting<F: Future<Output = Reply> + Send + 'static>(
        script: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self {
        let state = Arc::new(State {
            script: Box::new(move |call| Box::pin(script(call))),
            calls: Mutex::default(),
            came: Notify::new(),
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

    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().clone()
    }

    pub fn polls(&self) -> Vec<Call> {
        self.calls().into_iter().filter(Call::is_poll).collect()
    }

    pub fn posts(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| !call.is_poll()).collect()
    }

    /// Waits until the calls so far are as wanted.
    pub async fn until(&self, wanted: impl Fn(&[Call]) -> bool) {
        loop {
            let came = self.state.came.notified();
            if wanted(&self.state.calls.lock()) {
                return;
            }
            came.await;
        }
    }
}

impl Drop for Hec {
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
        let call = Call { method: head.method, uri: head.uri, headers: head.headers, body };
        self.calls.lock().push(call.clone());
        self.came.notify_waiters();
        let reply = (self.script)(call).await;
        if reply.cut {
            return Err("cut by the script");
        }
        let mut response = Response::builder().status(reply.status);
        for (name, value) in reply.headers {
            response = response.header(name, value);
        }
        Ok(response.body(Full::new(reply.body)).unwrap())
    }
}
