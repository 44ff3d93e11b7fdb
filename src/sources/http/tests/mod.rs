//! Endpoints over real sockets.

mod firehose;
mod plain;
mod sharing;
mod trouble;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{HttpSource, Listeners, Options, State};
use crate::{
    env::Env,
    net::server::ServerLimits,
    record::{CallId, Position, Put},
    seams::{AppendError, Appended, Inlet, JournalError, Source, Upstream},
    sources::{DirectPut, Limits, Throttle, testing::TestInlet},
    telemetry::Metrics,
};

/// A journal that recognises repeated calls, and does as it is told.
struct Journal {
    kept: Arc<TestInlet>,
    calls: Mutex<HashMap<CallId, Appended>>,
    /// Refuses as full what comes after so many new puts.
    room: Mutex<usize>,
    /// A permit for every put.
    gate: Semaphore,
    /// Puts that have come.
    came: watch::Sender<usize>,
}

impl Journal {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            kept: TestInlet::in_memory(),
            calls: Mutex::default(),
            room: Mutex::new(usize::MAX),
            gate: Semaphore::new(Semaphore::MAX_PERMITS / 2),
            came: watch::Sender::new(0),
        })
    }

    fn records(&self) -> Vec<String> {
        let records = self.kept.records();
        records.iter().map(|record| String::from_utf8_lossy(record).into_owned()).collect()
    }
}

#[async_trait]
impl Inlet for Journal {
    async fn put(&self, put: Put) -> Result<Appended, AppendError> {
        self.came.send_modify(|came| *came += 1);
        self.gate.acquire().await.expect("the gate is never closed").forget();
        if let Some(before) = put.call.and_then(|call| self.calls.lock().get(&call).cloned()) {
            return Ok(Appended { repeated: true, ..before });
        }
        if *self.room.lock() == 0 {
            return Err(AppendError::Full { used_bytes: 2, max_bytes: 1 });
        }
        *self.room.lock() -= 1;
        let call = put.call;
        let appended = self.kept.put(put).await?;
        if let Some(call) = call {
            self.calls.lock().insert(call, appended.clone());
        }
        Ok(appended)
    }

    async fn upstream(&self) -> Result<Upstream, JournalError> {
        self.kept.upstream().await
    }

    fn settled(&self) -> watch::Receiver<Position> {
        self.kept.settled()
    }
}

/// The listeners of a daemon, and its metrics.
struct Daemon {
    listeners: Arc<Listeners>,
    metrics: Metrics,
}

/// A stream that runs.
struct Stream {
    address: SocketAddr,
    journal: Arc<Journal>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn options(yaml: &str) -> Options {
    let mut options: Options = serde_yaml::from_str(yaml).unwrap();
    if options.listen == Options::default().listen {
        options.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    }
    options
}

impl Daemon {
    fn new() -> Self {
        Self::with(ServerLimits::default())
    }

    fn with(limits: ServerLimits) -> Self {
        Self { listeners: Arc::new(Listeners::new(limits)), metrics: Metrics::new() }
    }

    fn source(&self, name: &str, options: Options, limits: Limits) -> Result<HttpSource, String> {
        let env = Env::real();
        let throttle = Throttle::new(limits, env.clock.monotonic());
        let direct = DirectPut::new(throttle, self.metrics.stream(name), env.clone());
        HttpSource::new(
            options,
            name.to_owned(),
            Arc::new(direct),
            self.listeners.clone(),
            env,
            self.metrics.source(name),
        )
    }

    async fn start(&self, name: &str, yaml: &str) -> Stream {
        self.start_with(name, options(yaml), Limits::default()).await
    }

    async fn start_with(&self, name: &str, options: Options, limits: Limits) -> Stream {
        let listen = options.listen;
        let source = self.source(name, options, limits).unwrap();
        let (journal, stop) = (Journal::new(), CancellationToken::new());
        let task = tokio::spawn({
            let (journal, stop) = (journal.clone(), stop.clone());
            async move { source.run(journal, stop).await }
        });
        let address = self.open(listen).await;
        Stream { address, journal, stop, task }
    }

    /// Where an address is, once it is open.
    async fn open(&self, listen: SocketAddr) -> SocketAddr {
        loop {
            if let Some(mut state) = self.listeners.state(listen) {
                let open = state.wait_for(|state| matches!(state, State::Open(_))).await.unwrap();
                if let State::Open(address) = &*open {
                    return *address;
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Stream {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        send(self.address, &request("POST", path, headers, body)).await
    }
}

/// What came back.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let find = |line: &'_ str| {
            let (given, _) = line.split_once(':')?;
            given.eq_ignore_ascii_case(name).then_some(given.len() + 1)
        };
        self.head.lines().find_map(|line| find(line).map(|at| line[at..].trim()))
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    let mut bytes = (text + "\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

async fn send(address: SocketAddr, request: &[u8]) -> Reply {
    exchange(TcpStream::connect(address).await.unwrap(), request).await
}

async fn exchange(mut socket: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> Reply {
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(text).unwrap();
    writer.finish().unwrap()
}

/// Limits under which whoever is slow is found out at once.
fn hasty() -> ServerLimits {
    ServerLimits {
        header_timeout: Duration::from_millis(50),
        body_grace: Duration::from_millis(50),
        ..ServerLimits::default()
    }
}
