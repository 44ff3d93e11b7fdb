//! The composition root: names become constructors, every destination gets its task, streams
//! come, go and change without touching the others.

mod assembly;
mod build;
mod control;
mod direct;
mod health;
mod identity;
mod inlet;
mod lanes;
pub mod preview;
mod processing;
mod rate;
mod replays;
mod requests;
mod shipped;
mod sources;
mod store;
mod stream;
mod trace;
mod trial;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

pub use direct::{Direct, DirectError, DirectRecord, UnderWay};
pub use shipped::{ShippedError, ShippedFile};
pub use stream::Stream;
pub use trace::{Trace, TraceError};
pub use trial::check;

use self::store::Store;
use crate::{
    buffer::{Durability, KeyError, Keyring},
    config::{
        AwsOptions, Config, StreamSpec,
        firehose::{Hose, HoseContext},
    },
    delivery::Budget,
    env::{CpuPool, Env},
    sources::http::Listeners,
    telemetry::SharedMetrics,
};

/// How often rates are measured.
const RATE_EVERY: Duration = Duration::from_secs(5);

/// Why the daemon cannot start or take a new configuration.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error("the data directory {path} cannot be used: {error}")]
    DataDir { path: PathBuf, error: io::Error },
    #[error("the data directory {0} is in use by another daemon")]
    InUse(PathBuf),
    #[error("the journal key cannot be read: {0}")]
    Key(#[from] KeyError),
    #[error("the daemon is stopping")]
    Stopping,
    #[error("stream {stream}: {reason}")]
    Stream { stream: String, reason: String },
    #[error(
        "stream {0} is in the configuration file and was also made through the API: rename it in \
         the file, or delete it through the API with the file's stream taken out"
    )]
    TwoOrigins(String),
}

/// What all streams share.
pub struct Shared {
    pub env: Env,
    pub metrics: SharedMetrics,
    pub budget: Arc<Budget>,
    pub pool: CpuPool,
    pub keys: Arc<Keyring>,
    pub store: Store,
    pub region: String,
    pub account_id: String,
    pub shutdown_timeout: Duration,
    /// The addresses that HTTP sources share.
    listeners: Arc<Listeners>,
    aws: ArcSwap<AwsOptions>,
}

impl Shared {
    fn context(&self) -> HoseContext {
        HoseContext {
            account_id: self.account_id.clone(),
            region: self.region.clone(),
            partition: "aws".into(),
            now_ms: self.env.clock.now_ms(),
        }
    }
}

type Streams = BTreeMap<String, Arc<Stream>>;

/// The running daemon; cheap to clone.
#[derive(Clone)]
pub struct Daemon(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    streams: ArcSwap<Streams>,
    /// One change of the set of streams at a time.
    changing: Mutex<()>,
    stopping: AtomicBool,
    _lock: store::DataDirLock,
}

/// What a reload did.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reloaded {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

impl Daemon {
    /// Opens every journal, starts every destination, then every source.
    pub async fn start(
        config: &Config,
        env: Env,
        metrics: SharedMetrics,
    ) -> Result<Self, DaemonError> {
        let lock = store::lock(&config.data_dir)?;
        let store = Store::open(&config.data_dir, env.clone())?;
        let keys = Arc::new(build::keyring(config, &env)?);
        let shared = Arc::new(Shared {
            budget: Budget::new(config.memory_budget.0),
            pool: CpuPool::default(),
            region: config.api.region.clone(),
            account_id: config.api.account_id.clone(),
            shutdown_timeout: config.shutdown_timeout.0,
            listeners: Arc::default(),
            aws: ArcSwap::from_pointee(config.aws.clone()),
            env,
            metrics,
            keys,
            store,
        });
        let daemon = Self(Arc::new(Inner {
            shared,
            streams: ArcSwap::default(),
            changing: Mutex::new(()),
            stopping: AtomicBool::new(false),
            _lock: lock,
        }));
        let made = daemon.0.shared.store.hoses()?;
        for hose in made {
            if config.streams.contains_key(&hose.name) {
                return Err(DaemonError::TwoOrigins(hose.name));
            }
            daemon.add(hose.to_spec(), hose).await?;
        }
        for (name, spec) in &config.streams {
            daemon.add_from_file(name, spec).await?;
        }
        daemon.measure_rates();
        Ok(daemon)
    }

    pub fn stream(&self, name: &str) -> Option<Arc<Stream>> {
        self.0.streams.load().get(name).cloned()
    }

    /// All streams by name.
    pub fn streams(&self) -> Arc<Streams> {
        self.0.streams.load_full()
    }

    pub fn shared(&self) -> &Shared {
        &self.0.shared
    }

    /// Makes the streams of the file what this configuration says; those of the API stay.
    pub async fn reload(&self, config: &Config) -> Result<Reloaded, DaemonError> {
        let _one_at_a_time = self.0.changing.lock().await;
        if self.is_stopping() {
            return Err(DaemonError::Stopping);
        }
        let mut done = Reloaded::default();
        self.0.shared.aws.store(Arc::new(config.aws.clone()));
        let running = self.streams();
        for name in config.streams.keys() {
            if running.get(name).is_some_and(|stream| !stream.is_from_file()) {
                return Err(DaemonError::TwoOrigins(name.clone()));
            }
        }
        let gone =
            |stream: &Stream| stream.is_from_file() && !config.streams.contains_key(&stream.name);
        let timeout = self.0.shared.shutdown_timeout;
        let leaving = running.values().filter(|stream| gone(stream)).map(async |stream| {
            self.take_out(&stream.name);
            stream.shut_down(timeout).await;
            stream.name.clone()
        });
        done.removed = futures::future::join_all(leaving).await;
        for (name, spec) in &config.streams {
            match running.get(name) {
                None => {
                    self.add_from_file(name, spec).await?;
                    done.added.push(name.clone());
                }
                Some(stream) => {
                    let hose =
                        self.0.shared.store.file_hose(name, spec, &self.0.shared.context())?;
                    let spec = StreamSpec { version_id: hose.version_id, ..spec.clone() };
                    if self.change(stream, spec, hose).await? {
                        done.changed.push(name.clone());
                    }
                }
            }
        }
        Ok(done)
    }

    /// Takes no more records, delivers what is open within `shutdown_timeout`, closes the journals.
    pub async fn shut_down(&self) {
        let _one_at_a_time = self.0.changing.lock().await;
        self.0.stopping.store(true, Ordering::SeqCst);
        let streams = self.streams();
        let timeout = self.0.shared.shutdown_timeout;
        futures::future::join_all(streams.values().map(|stream| stream.shut_down(timeout))).await;
    }

    pub fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::SeqCst)
    }

    async fn add_from_file(&self, name: &str, spec: &StreamSpec) -> Result<(), DaemonError> {
        let hose = self.0.shared.store.file_hose(name, spec, &self.0.shared.context())?;
        let spec = StreamSpec { version_id: hose.version_id, ..spec.clone() };
        self.add(spec, hose).await
    }

    async fn add(&self, spec: StreamSpec, hose: Hose) -> Result<(), DaemonError> {
        let name = hose.name.clone();
        let stream = Stream::start(self.0.shared.clone(), spec, hose).await?;
        let mut streams = Streams::clone(&self.streams());
        streams.insert(name, stream);
        self.0.streams.store(Arc::new(streams));
        Ok(())
    }

    /// Changes a running stream; starts it anew where its journal is another kind. Answers whether
    /// anything changed.
    async fn change(
        &self,
        stream: &Arc<Stream>,
        spec: StreamSpec,
        hose: Hose,
    ) -> Result<bool, DaemonError> {
        if !stream.needs_restart(&spec) {
            return stream.change(spec, hose).await;
        }
        let (old_spec, old_hose) = stream.settings();
        let undelivered = stream.undelivered();
        if old_spec.journal.durability == Durability::Memory && undelivered > 0 {
            let reason = format!(
                "its durability is not changed: {undelivered} records are in memory only; flush \
                 it and try again once they are delivered"
            );
            return Err(DaemonError::Stream { stream: hose.name, reason });
        }
        self.take_out(&hose.name);
        stream.shut_down(self.0.shared.shutdown_timeout).await;
        match self.add(spec, hose).await {
            Ok(()) => Ok(true),
            Err(error) => {
                self.add(old_spec, old_hose).await?;
                Err(error)
            }
        }
    }

    fn take_out(&self, name: &str) {
        let mut streams = Streams::clone(&self.streams());
        streams.remove(name);
        self.0.streams.store(Arc::new(streams));
    }

    /// Measures how fast each stream fills, until the daemon is gone.
    fn measure_rates(&self) {
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(RATE_EVERY);
            loop {
                ticks.tick().await;
                let Some(inner) = inner.upgrade() else { return };
                for stream in inner.streams.load().values() {
                    stream.measure_rate();
                }
            }
        });
    }
}

/// Where a stream's files are.
fn stream_folder(data_dir: &Path, name: &str) -> PathBuf {
    // A name may be `..`; with the prefix it is a folder like any other.
    data_dir.join("streams").join(format!("stream-{name}"))
}
