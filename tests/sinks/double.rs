//! A server that says what a test tells it to, and remembers what it was asked.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// When a condition that must come true counts as broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request as it arrived. Its body is empty until it has been read.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub answered: bool,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The S3 operation.
    pub fn operation(&self) -> &'static str {
        let has = |name: &str| self.query.split('&').any(|part| part.starts_with(name));
        match self.method.as_str() {
            "PUT" if has("partNumber=") => "UploadPart",
            "PUT" => "PutObject",
            "POST" if has("uploads") => "CreateMultipartUpload",
            "POST" if has("uploadId=") => "CompleteMultipartUpload",
            "DELETE" if has("uploadId=") => "AbortMultipartUpload",
            "POST" => "AssumeRole",
            _ => "unknown",
        }
    }
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, &'static str)>,
        body: String,
    },
    /// Reads the beginning of the body and closes the connection.
    Cut,
    /// Reads the request and never answers.
    Hang,
    /// Answers 200 once so many requests of the same operation have arrived.
    Together(usize),
}

impl Reply {
    pub fn ok() -> Self {
        Self::answer(200, "")
    }

    pub fn answer(status: u16, body: impl Into<String>) -> Self {
        Self::Answer { status, headers: vec![("etag", "\"e\"")], body: body.into() }
    }

    /// An error as S3 spells it.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::answer(
            status,
            format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"),
        )
    }

    pub fn with(mut self, name: &'static str, value: &'static str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value));
        }
        self
    }

    /// What S3 answers when all is well.
    pub fn usual(seen: &Seen) -> Self {
        match seen.operation() {
            "CreateMultipartUpload" => Self::answer(
                200,
                "<InitiateMultipartUploadResult><UploadId>upload-1</UploadId>\
                 </InitiateMultipartUploadResult>",
            ),
            "CompleteMultipartUpload" => {
                Self::answer(200, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
            }
            "AbortMultipartUpload" => Self::answer(204, ""),
            _ => Self::ok(),
        }
    }
}

type Script = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

struct Shared {
    script: Script,
    seen: watch::Sender<Vec<Seen>>,
    connections: AtomicUsize,
}

/// The server; it ends with the value.
pub struct Double {
    endpoint: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Double {
    pub async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            script: Arc::new(script),
            seen: watch::Sender::default(),
            connections: AtomicUsize::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, shared.clone()));
        Self { endpoint, shared, _tasks: tasks }
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    pub fn operations(&self) -> Vec<&'static str> {
        self.seen().iter().map(Seen::operation).collect()
    }

    /// Every change of what was seen.
    pub fn watch(&self) -> watch::Receiver<Vec<Seen>> {
        self.shared.seen.subscribe()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until a request of this operation has arrived, and hands it out.
    pub async fn arrival(&self, operation: &str) -> Seen {
        let find = |seen: &[Seen]| seen.iter().find(|one| one.operation() == operation).cloned();
        let mut watching = self.shared.seen.subscribe();
        let arrived = watching.wait_for(|seen| find(seen).is_some());
        let arrived = tokio::time::timeout(PATIENCE, arrived).await;
        find(&arrived.unwrap_or_else(|_| panic!("no {operation} arrived")).unwrap()).unwrap()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, &shared));
            // An error is a connection that was cut, by us or by the client.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (head, mut body) = request.into_parts();
    let seen = Seen {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: Bytes::new(),
        answered: false,
    };
    let reply = (shared.script)(&seen);
    let operation = seen.operation();
    let mut index = 0;
    shared.seen.send_modify(|all| {
        index = all.len();
        all.push(seen);
    });
    if matches!(reply, Reply::Cut) {
        let _ = body.frame().await;
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    let read = body.collect().await.map_err(io::Error::other)?.to_bytes();
    shared.seen.send_modify(|all| all[index].body = read);
    let response = match reply {
        Reply::Answer { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Full::from(body)).unwrap()
        }
        Reply::Together(count) => {
            let mut watching = shared.seen.subscribe();
            let all = |seen: &Vec<Seen>| {
                seen.iter().filter(|one| one.operation() == operation).count() >= count
            };
            watching.wait_for(all).await.map(drop).map_err(io::Error::other)?;
            Response::builder().header("etag", "\"e\"").body(Full::default()).unwrap()
        }
        Reply::Hang | Reply::Cut => {
            let never: Result<Infallible, _> = std::future::pending().await;
            return never.map(|never| match never {});
        }
    };
    shared.seen.send_modify(|all| all[index].answered = true);
    Ok(response)
}
