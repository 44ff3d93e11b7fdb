//! A strict backend in memory, and a server around it.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};
use standpipe::{
    api::{Backend, PutAnswer, RecordIds, Server, ServerLimits},
    config::{
        ApiOptions,
        firehose::{ApiError, Operation},
    },
    env::SystemClock,
    record::{Position, Put},
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub const JOURNAL: [u8; 4] = [0x5a, 0, 0, 1];

/// Keeps what it is given. Streams by name: `missing` is not there, `full` refuses every call,
/// `limited` refuses every second record, `gated` waits for `gate`, `encrypted` is that.
pub struct Fake {
    pub puts: Mutex<Vec<(String, Put)>>,
    pub controls: Mutex<Vec<(Operation, Value)>>,
    pub gate: Semaphore,
    pub entered: Semaphore,
    pub ready: Mutex<bool>,
    pub metrics: Mutex<String>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            puts: Mutex::default(),
            controls: Mutex::default(),
            gate: Semaphore::new(0),
            entered: Semaphore::new(0),
            ready: Mutex::new(true),
            metrics: Mutex::new("# TYPE x counter\nx 1\n".into()),
        }
    }
}

impl Fake {
    /// All records of all puts.
    pub fn records(&self) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        for (_, put) in &*self.puts.lock() {
            let mut rest = &put.data[..];
            for &length in &put.lengths {
                let (record, after) = rest.split_at(length as usize);
                records.push(record.to_vec());
                rest = after;
            }
        }
        records
    }
}

#[async_trait]
impl Backend for Fake {
    async fn put(&self, stream: &str, put: Put) -> Result<PutAnswer, ApiError> {
        let sum: usize = put.lengths.iter().map(|&length| length as usize).sum();
        assert_eq!(sum, put.data.len(), "lengths do not add up");
        assert!(put.records() >= 1 && put.arrival_ms > 1_600_000_000_000);
        match stream {
            "missing" => {
                let text = "Firehose missing under account 000000000000 not found.";
                return Err(ApiError::new("ResourceNotFoundException", 400, text));
            }
            "full" => return Err(ApiError::unavailable("Slow down.")),
            "gated" => {
                self.entered.add_permits(1);
                self.gate.acquire().await.unwrap().forget();
            }
            _ => {}
        }
        let records = put.records() as u32;
        let refused = if stream == "limited" { (1..records).step_by(2).collect() } else { vec![] };
        let mut puts = self.puts.lock();
        let before: u64 = puts.iter().map(|(_, put)| put.records() as u64).sum();
        puts.push((stream.to_owned(), put));
        Ok(PutAnswer {
            record_ids: RecordIds {
                journal: JOURNAL,
                first: Position::new(0, before),
                places: None,
            },
            encrypted: stream == "encrypted",
            refused,
            refusal: "Slow down.",
        })
    }

    async fn control(&self, operation: Operation, body: Value) -> Result<Value, ApiError> {
        self.controls.lock().push((operation, body));
        Ok(match operation {
            Operation::ListDeliveryStreams => {
                json!({"DeliveryStreamNames": ["a", "b"], "HasMoreDeliveryStreams": false})
            }
            Operation::CreateDeliveryStream => panic!("a fault inside"),
            _ => json!({}),
        })
    }

    fn live(&self) -> bool {
        true
    }

    fn health(&self) -> (bool, Value) {
        let ready = *self.ready.lock();
        (ready, json!({"ready": ready}))
    }

    fn metrics(&self) -> String {
        self.metrics.lock().clone()
    }

    async fn flush(&self, stream: &str) -> Result<Value, ApiError> {
        Ok(json!({"flushed": stream}))
    }

    async fn shipped(&self, path: &str) -> Result<Value, ApiError> {
        Ok(json!({"path": path}))
    }

    async fn trace(&self, record_id: &str) -> Result<Value, ApiError> {
        Ok(json!({"record": record_id}))
    }

    async fn reload(&self) -> Result<Value, ApiError> {
        Ok(json!({"reloaded": true}))
    }
}

/// A running server.
pub struct Running {
    pub address: SocketAddr,
    pub fake: Arc<Fake>,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
}

pub const KEYS: &str = "
- {access_key_id: AKID, secret_access_key: secret}
- {access_key_id: TEMPORARY, secret_access_key: secret, session_token: token}
- {access_key_id: OLD, secret_access_key: secret, expires: 2020-01-01T00:00:00Z}
";

/// Options on a free loopback port with the keys of `KEYS`.
pub fn options() -> ApiOptions {
    ApiOptions { credentials: serde_yaml::from_str(KEYS).unwrap(), ..ApiOptions::default() }
}

pub async fn start() -> Running {
    start_with(options(), ServerLimits::default()).await
}

pub async fn start_with(options: ApiOptions, limits: ServerLimits) -> Running {
    let fake = Arc::new(Fake::default());
    let clock = Arc::new(SystemClock::default());
    let server = Server::new(&options, limits, clock, fake.clone()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let running = server.run(listener, stop.clone());
    let task = tokio::spawn(async move { running.await.unwrap() });
    Running { address, fake, stop, task }
}

/// Waits until `condition` holds, for a minute at most.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..6000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("waited in vain: {what}");
}
