//! A journal, a destination and a sink that does what it is told.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use standpipe::{
    batch::{Buffering, Framing, SizeOf},
    delivery::{self, Bounds, Budget, DeliveryError, Destination, Naming, Signals, Status, Way},
    encode::{Compression, Records},
    env::{Clock, CpuPool, Env, Files, RealFiles},
    fault::Fault,
    partition::{KeyNaming, KeyOptions},
    record::Put,
    retry::Policy,
    seams::{Delivered, Journal, Shipment, Sink},
    sinks::layers::{self, Attempts},
    telemetry::{DeliveryKind, DestinationMetrics, Metrics},
    transform::Chain,
    units::{ByteSize, Span},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Tokio's clock, so that waiting is not waited for.
pub struct PausedClock(pub tokio::time::Instant);

impl Clock for PausedClock {
    fn now_ms(&self) -> i64 {
        1_795_000_000_000 + self.0.elapsed().as_millis() as i64
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

pub fn env(files: Arc<dyn Files>) -> Env {
    Env { clock: Arc::new(PausedClock(tokio::time::Instant::now())), files }
}

pub fn real_env() -> Env {
    env(Arc::new(RealFiles))
}

/// What a sink does with one attempt.
pub enum Answer {
    Take,
    TakeBut(Delivered),
    Fail(Fault),
    /// The object is stored, and the answer lost.
    TakeAndFail(Fault),
    /// Never answers.
    Hang,
}

/// Objects by key, with the script of what to do next; `Take` once it is at its end.
#[derive(Default)]
pub struct ScriptedSink {
    pub objects: Mutex<BTreeMap<String, Vec<u8>>>,
    pub script: Mutex<VecDeque<Answer>>,
    pub attempts: Mutex<Vec<String>>,
}

impl ScriptedSink {
    pub fn scripted(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        let script = Mutex::new(answers.into_iter().collect());
        Arc::new(Self { script, ..Self::default() })
    }

    /// Every line of every object whose key begins so.
    pub fn lines(&self, prefix: &str) -> Vec<String> {
        let objects = self.objects.lock();
        let bodies = objects.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(_, b)| b);
        let text: String = bodies.map(|body| String::from_utf8_lossy(body).into_owned()).collect();
        text.lines().map(str::to_owned).collect()
    }
}

#[async_trait]
impl Sink for ScriptedSink {
    async fn deliver(&self, shipment: &Shipment) -> Result<Delivered, Fault> {
        self.attempts.lock().push(shipment.key.clone());
        let answer = self.script.lock().pop_front().unwrap_or(Answer::Take);
        let store = || {
            self.objects.lock().insert(shipment.key.clone(), shipment.body.to_vec());
        };
        match answer {
            Answer::Take => {
                store();
                Ok(Delivered::default())
            }
            Answer::TakeBut(delivered) => {
                store();
                Ok(delivered)
            }
            Answer::Fail(fault) => Err(fault),
            Answer::TakeAndFail(fault) => {
                store();
                Err(fault)
            }
            Answer::Hang => std::future::pending().await,
        }
    }
}

/// A destination that is running.
pub struct Running {
    pub metrics: DestinationMetrics,
    pub status: Status,
    stop: CancellationToken,
    drain: CancellationToken,
    flush: mpsc::Sender<oneshot::Sender<u64>>,
    pub task: JoinHandle<Result<(), DeliveryError>>,
}

pub struct Setting {
    pub env: Env,
    pub folder: PathBuf,
    pub transforms: Chain,
    pub transforms_id: u32,
    pub size: u64,
    pub size_of: SizeOf,
    pub compression: Compression,
    pub interval: Duration,
    /// Prefix of objects.
    pub prefix: &'static str,
    pub partitions_max: u32,
    pub budget: u64,
    /// Whether the destination takes records one by one.
    pub lists: bool,
    /// Where the error output goes, if not with the objects.
    pub backup: Option<Arc<dyn Sink>>,
    pub retry_for: Option<Duration>,
}

impl Setting {
    pub fn new(env: Env, folder: &Path) -> Self {
        Self {
            env,
            folder: folder.to_owned(),
            transforms: Chain::default(),
            transforms_id: 1,
            size: 1 << 20,
            size_of: SizeOf::Records,
            compression: Compression::Uncompressed,
            interval: Duration::from_secs(60),
            prefix: "good/!{timestamp:yyyy}/",
            partitions_max: 500,
            budget: 64 << 20,
            lists: false,
            backup: None,
            retry_for: None,
        }
    }

    pub fn start(self, journal: Arc<dyn Journal>, sink: Arc<dyn Sink>) -> Running {
        let metrics = Metrics::new();
        let of_destination = metrics.destination(DeliveryKind::DeliveryToS3, "s", "d");
        let status = Status::default();
        let naming = KeyNaming::parse(&KeyOptions {
            prefix: self.prefix.into(),
            dynamic_partitioning: self.prefix.contains("partitionKey"),
            error_output_prefix: "bad/!{firehose:error-output-type}/".into(),
            ..KeyOptions::default()
        })
        .expect("the prefixes are sound");
        let destination = Destination {
            stream: "s".into(),
            name: "d".into(),
            version_id: Arc::new(AtomicU64::new(1)),
            journal_id: [5; 16],
            journal,
            transforms: self.transforms,
            transforms_id: self.transforms_id,
            framing: Framing { delimiter: b"\n".to_vec(), if_missing: true },
            buffering: Buffering {
                size: ByteSize(self.size),
                interval: Span(self.interval),
                size_of: self.size_of,
            },
            error_buffering: Buffering {
                size: ByteSize(self.size),
                interval: Span(self.interval),
                size_of: SizeOf::Records,
            },
            bounds: if naming.is_partitioned() { Bounds::PARTITIONED } else { Bounds::OBJECTS },
            naming: if self.lists {
                Naming::Requests { index: None, errors: naming }
            } else {
                Naming::Objects(naming)
            },
            format: if self.lists { Arc::new(Records) } else { Arc::new(self.compression) },
            compression: self.compression,
            content_encoding: true,
            partitions_max: self.partitions_max,
            error_members: Default::default(),
            attempts_before: Arc::default(),
            way: Way::new(
                Attempts::new(sink, layers::Options::default()),
                Policy {
                    deadline: self.retry_for,
                    ..Policy::forever(Duration::from_millis(500), Duration::from_secs(30))
                },
            ),
            backup: self.backup.map(|backup| {
                Way::new(
                    Attempts::new(backup, layers::Options::default()),
                    Policy::forever(Duration::from_millis(500), Duration::from_secs(30)),
                )
            }),
            folder: self.folder,
            env: self.env,
            metrics: of_destination.clone(),
            uncounted_records: 0,
            tally: None,
            status: status.clone(),
            budget: Budget::new(self.budget),
            pool: CpuPool::default(),
        };
        let (flush, requests) = mpsc::channel(4);
        let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
        let mut signals = Signals {
            stop: stop.clone(),
            patience_ms: Arc::default(),
            drain: drain.clone(),
            flush: requests,
        };
        let task =
            tokio::spawn(async move { delivery::run(Arc::new(destination), &mut signals).await });
        Running { metrics: of_destination, status, stop, drain, flush, task }
    }
}

impl Running {
    pub async fn flush(&self) -> u64 {
        let (answer, closed) = oneshot::channel();
        self.flush.send(answer).await.expect("the destination runs");
        closed.await.expect("the destination answers")
    }

    /// Delivers everything and leaves.
    pub async fn drain(self) {
        self.drain.cancel();
        self.task.await.expect("no panic").expect("no error");
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic").expect("no error");
    }

    /// Gone from one moment to the next.
    pub async fn kill(self) {
        self.task.abort();
        // The crash may have ended it before; only a panic would be news.
        if let Err(error) = self.task.await {
            assert!(error.is_cancelled(), "{error}");
        }
    }
}

pub fn put_of<T: AsRef<[u8]>>(records: &[T]) -> Put {
    let mut put = Put { arrival_ms: 1_795_000_000_000, ..Put::default() };
    records.iter().for_each(|record| put.push(record.as_ref()));
    put
}

/// Waits, in steps that cost no time, until something is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("in vain waited until {what}");
}
