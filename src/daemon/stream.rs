//! One running stream: its journal, its source, and a task for each way out.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    DaemonError, Shared,
    assembly::{Surroundings, assemble},
    build::{self, AnyJournal, Outlet},
    inlet::{Farewell, JournalInlet},
    lanes::Lanes,
    processing::StreamContext,
    rate::Rate,
    replays::Replays,
    sources::{self, Made},
};
use crate::{
    buffer::kafka::KafkaLane,
    config::{
        StreamSpec,
        firehose::{Hose, Origin},
    },
    delivery::{self, Destination, Signals, Status, Sum},
    seams::Journal,
    sources::{DirectPut, Throttle, file::FileSource},
    telemetry::{DestinationMetrics, StreamMetrics},
};

/// Time for shipments under way to arrive before a destination takes other settings.
const CHANGE_PATIENCE: Duration = Duration::from_secs(10);
/// The wait before a destination's task that ended by itself is started again.
const RESTART_AFTER: Duration = Duration::from_secs(5);

pub struct Stream {
    pub name: String,
    shared: Arc<Shared>,
    settings: Mutex<Settings>,
    pub source: Arc<DirectPut>,
    farewell: Farewell,
    /// The source, where it follows files.
    file: Mutex<Option<Arc<FileSource>>>,
    /// Ends what serves the stream beside its source and its destinations.
    ended: CancellationToken,
    source_task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    any_journal: AnyJournal,
    pub journal: Arc<dyn Journal>,
    pub tag: [u8; 4],
    /// Records of the journal that the counter of accepted records does not know.
    uncounted_records: i64,
    /// This replica's name, where others read the same journal.
    replica: Option<String>,
    /// The version part of object keys.
    version_id: Arc<AtomicU64>,
    outlets: tokio::sync::Mutex<BTreeMap<String, Running>>,
    /// What is known of each way out, kept when its task is started anew.
    known: Mutex<BTreeMap<String, Known>>,
    pub metrics: StreamMetrics,
    rate: Mutex<Rate>,
}

/// What is seen of a way out from outside.
struct Known {
    status: Status,
    metrics: DestinationMetrics,
}

struct Settings {
    spec: StreamSpec,
    hose: Hose,
}

/// A way out and its task.
struct Running {
    outlet: Outlet,
    stop: CancellationToken,
    drain: CancellationToken,
    patience_ms: Arc<AtomicU64>,
    flush: mpsc::Sender<oneshot::Sender<u64>>,
    task: JoinHandle<()>,
    /// Replays what failed, once the destination is well.
    _replays: Option<AbortOnDropHandle<()>>,
}

impl Stream {
    /// Opens the journal, registers every cursor, starts the tasks, and only then the source.
    pub async fn start(
        shared: Arc<Shared>,
        spec: StreamSpec,
        hose: Hose,
    ) -> Result<Arc<Self>, DaemonError> {
        let name = hose.name.clone();
        let ended = CancellationToken::new();
        let any_journal =
            build::journal(&shared, &shared.store.folder(&name), &spec, &name, &ended).await?;
        let journal = any_journal.as_journal();
        let metrics = shared.metrics.stream(&name);
        let throttle =
            Throttle::new(build::throttle_limits(spec.throughput), shared.env.clock.monotonic());
        let source = Arc::new(DirectPut::new(throttle, metrics.clone(), shared.env.clone()));
        let stream = Arc::new(Self {
            tag: any_journal.tag(),
            // Nothing comes in yet: the two stand still.
            uncounted_records: journal.tail().borrow().sequence as i64
                - metrics.incoming_records.get() as i64,
            replica: any_journal.is_shared().then(|| replica_id(&shared, &name)).transpose()?,
            name,
            version_id: Arc::new(AtomicU64::new(spec.version_id)),
            any_journal,
            journal,
            source,
            farewell: Farewell::default(),
            file: Mutex::default(),
            ended,
            source_task: tokio::sync::Mutex::default(),
            outlets: tokio::sync::Mutex::default(),
            known: Mutex::default(),
            settings: Mutex::new(Settings { spec, hose }),
            metrics,
            rate: Mutex::default(),
            shared,
        });
        stream.match_outlets().await?;
        stream.start_source().await?;
        tracing::info!(stream = stream.name, "stream is open");
        Ok(stream)
    }

    async fn start_source(&self) -> Result<(), DaemonError> {
        let (spec, from_file) = {
            let settings = self.settings.lock();
            (settings.spec.source.clone(), settings.hose.origin == Origin::File)
        };
        let made = sources::make(&spec, &self.name, self.source.clone(), &self.shared, from_file);
        let Made { source, file } = made.map_err(|reason| self.failed(reason))?;
        *self.file.lock() = file;
        // Direct PUT counts what it takes in, and so does what puts through it.
        let counted = sources::pulls(&spec).then(|| self.metrics.clone());
        let (journal, farewell) = (self.journal.clone(), self.farewell.clone());
        let stop = farewell.stop.clone();
        let inlet = Arc::new(JournalInlet { journal, farewell, counted });
        let task = tokio::spawn(async move { source.run(inlet, stop).await });
        *self.source_task.lock().await = Some(task);
        Ok(())
    }

    /// Whether records may be put to it, by the API or by others through it.
    pub fn takes_puts(&self) -> bool {
        !sources::pulls(&self.settings.lock().spec.source)
    }

    /// What feeds it, as the configuration says.
    pub fn source_kind(&self) -> &'static str {
        sources::kind(&self.settings.lock().spec.source)
    }

    /// The source, if it follows files.
    pub(super) fn file_source(&self) -> Option<Arc<FileSource>> {
        self.file.lock().clone()
    }

    pub fn hose(&self) -> Hose {
        self.settings.lock().hose.clone()
    }

    /// What it runs with, and the API's view of it.
    pub fn settings(&self) -> (StreamSpec, Hose) {
        let settings = self.settings.lock();
        (settings.spec.clone(), settings.hose.clone())
    }

    pub fn is_encrypted(&self) -> bool {
        self.any_journal.is_encrypted()
    }

    pub fn is_from_file(&self) -> bool {
        self.settings.lock().hose.origin == Origin::File
    }

    /// The status of every way out, by name.
    pub fn statuses(&self) -> Vec<(String, Status)> {
        let known = self.known.lock();
        known.iter().map(|(name, known)| (name.clone(), known.status.clone())).collect()
    }

    /// Where a way out keeps its ledger and history.
    pub fn outlet_folder(&self, outlet: &str) -> std::path::PathBuf {
        self.shared.store.folder(&self.name).join("destinations").join(outlet)
    }

    /// Whether other replicas read its journal, too.
    pub fn is_shared(&self) -> bool {
        self.any_journal.is_shared()
    }

    /// Where a way out keeps the history of a lane of the journal.
    pub fn history_folder(&self, outlet: &str, lane: crate::record::Lane) -> std::path::PathBuf {
        let folder = self.outlet_folder(outlet);
        if self.is_shared() { folder.join(format!("lane-{lane}")) } else { folder }
    }

    /// Brings the gauges of age up to date.
    pub fn render_freshness(&self, now_ms: i64) {
        for known in self.known.lock().values() {
            let age_ms = known.status.get().oldest_age_ms(now_ms).unwrap_or(0);
            known.metrics.data_freshness_seconds.set(age_ms as f64 / 1000.0);
        }
    }

    pub fn measure_rate(&self) {
        let now = self.shared.env.clock.monotonic();
        self.rate.lock().measure(self.metrics.incoming_bytes.get(), now);
    }

    /// How long the room that is left lasts at the present rate.
    pub fn room(&self) -> Option<Duration> {
        let stats = self.journal.stats();
        self.rate.lock().time_for(stats.max_bytes.saturating_sub(stats.used_bytes))
    }

    /// The API's view changed, the running stream did not (tags).
    pub fn set_hose(&self, hose: Hose) {
        self.settings.lock().hose = hose;
    }

    /// Whether new settings need another journal.
    pub fn needs_restart(&self, spec: &StreamSpec) -> bool {
        let settings = self.settings.lock();
        settings.spec.journal.durability != spec.journal.durability
            || settings.spec.journal.kafka != spec.journal.kafka
            || settings.spec.source != spec.source
    }

    /// Takes new settings over. Only the ways out that differ are started anew; what they had
    /// open is read again from the journal. Answers whether anything changed.
    pub async fn change(&self, spec: StreamSpec, hose: Hose) -> Result<bool, DaemonError> {
        self.version_id.store(spec.version_id, Ordering::Relaxed);
        let before = {
            let mut settings = self.settings.lock();
            std::mem::replace(&mut *settings, Settings { spec: spec.clone(), hose })
        };
        self.any_journal
            .set_encrypted(spec.encrypted)
            .map_err(|error| self.failed(error.to_string()))?;
        self.any_journal.set_max_bytes(spec.journal.max_size.0);
        if before.spec.throughput != spec.throughput {
            let now = self.shared.env.clock.monotonic();
            self.source.set_throttle(Throttle::new(build::throttle_limits(spec.throughput), now));
        }
        let outlets_changed = self.match_outlets().await?;
        Ok(outlets_changed || before.spec != spec)
    }

    /// Closes what is open now; answers with the number of batches closed.
    pub async fn flush(&self) -> u64 {
        // The lock is let go at once: a destination that cannot answer must not hold a reload.
        let asked: Vec<_> =
            self.outlets.lock().await.values().map(|running| running.flush.clone()).collect();
        let mut answers = Vec::new();
        for flush in asked {
            let (answer, closed) = oneshot::channel();
            if flush.send(answer).await.is_ok() {
                answers.push(closed);
            }
        }
        let mut total = 0;
        for closed in answers {
            // A task that ends meanwhile has closed nothing.
            total += closed.await.unwrap_or(0);
        }
        total
    }

    /// Takes no more records, delivers what is open within `timeout`; what is left stays in the
    /// journal. A source whose upstream is told only of what is delivered takes leave of it last.
    pub async fn shut_down(&self, timeout: Duration) {
        tokio::select! {
            () = self.close_source() => {}
            () = self.farewell.all_put.cancelled() => {}
        }
        self.drain_outlets(timeout).await;
        self.farewell.drained.cancel();
        self.close_source().await;
        self.journal.close().await;
    }

    async fn drain_outlets(&self, timeout: Duration) {
        let mut outlets = std::mem::take(&mut *self.outlets.lock().await);
        for running in outlets.values() {
            running.drain.cancel();
        }
        let all = futures::future::join_all(outlets.values_mut().map(|running| &mut running.task));
        if tokio::time::timeout(timeout, all).await.is_err() {
            tracing::warn!(
                stream = self.name,
                "shutdown timeout: what is not delivered stays in the journal"
            );
        }
        leave_all(outlets.into_values(), Duration::ZERO).await;
    }

    /// Records that some way out has not settled.
    pub fn undelivered(&self) -> u64 {
        let known = self.known.lock();
        known.values().map(|known| known.status.get().backlog_records).max().unwrap_or(0)
    }

    /// Ends everything at once: the stream is being deleted.
    pub async fn abandon(&self) {
        self.farewell.drained.cancel();
        self.close_source().await;
        let outlets = std::mem::take(&mut *self.outlets.lock().await);
        leave_all(outlets.into_values(), Duration::ZERO).await;
        self.journal.close().await;
    }

    /// Dropped while it waits, it may be called again.
    async fn close_source(&self) {
        self.farewell.stop.cancel();
        if let Some(task) = &mut *self.source_task.lock().await
            && !task.is_finished()
        {
            // A panic in it was reported where it happened.
            let _ = task.await;
        }
    }

    /// Starts, ends and restarts tasks until the ways out are those of the settings.
    async fn match_outlets(&self) -> Result<bool, DaemonError> {
        let (spec, from_file) = {
            let settings = self.settings.lock();
            (settings.spec.clone(), settings.hose.origin == Origin::File)
        };
        let wanted = build::outlets(&spec, &self.shared.aws.load(), from_file)
            .map_err(|reason| self.failed(reason))?;
        let mut running = self.outlets.lock().await;
        let mut changed = false;
        let stays = |running: &Running| wanted.contains(&running.outlet);
        let ending: Vec<Running> =
            running.extract_if(.., |_, running| !stays(running)).map(|(_, r)| r).collect();
        changed |= !ending.is_empty();
        leave_all(ending, CHANGE_PATIENCE).await;
        self.drop_stale_cursors(&wanted).await?;
        // All of them before any destination starts: what one has settled must stay as long as
        // another has not even begun.
        for outlet in &wanted {
            let cursor = self.journal.open_cursor(&outlet.name, true).await;
            cursor.map_err(|error| self.failed(error.to_string()))?;
        }
        for outlet in wanted {
            if running.contains_key(&outlet.name) {
                continue;
            }
            changed = true;
            let started = self.start_outlet(outlet).await?;
            running.insert(started.outlet.name.clone(), started);
        }
        Ok(changed)
    }

    /// Cursors of destinations that are no longer there must not hold the journal back.
    async fn drop_stale_cursors(&self, wanted: &[Outlet]) -> Result<(), DaemonError> {
        for cursor in self.journal.cursors() {
            if wanted.iter().any(|outlet| outlet.name == cursor) {
                continue;
            }
            tracing::warn!(
                stream = self.name,
                destination = cursor,
                "destination is gone from the settings: what it had not delivered is let go"
            );
            let dropped = self.journal.drop_cursor(&cursor).await;
            dropped.map_err(|error| self.failed(error.to_string()))?;
            self.known.lock().remove(&cursor);
            let folder = self.outlet_folder(&cursor);
            if let Err(error) = tokio::fs::remove_dir_all(&folder).await
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(folder = %folder.display(), %error, "ledger cannot be removed");
            }
        }
        Ok(())
    }

    async fn start_outlet(&self, outlet: Outlet) -> Result<Running, DaemonError> {
        let metrics = self.shared.metrics.destination(outlet.kind, &self.name, &outlet.name);
        let status = {
            let mut known = self.known.lock();
            let fresh = || Known { status: Status::default(), metrics: metrics.clone() };
            let known = known.entry(outlet.name.clone()).or_insert_with(fresh);
            // A destination of another kind has others.
            known.metrics = metrics.clone();
            known.status.clone()
        };
        if let AnyJournal::Kafka(_) = &self.any_journal {
            return self.start_lanes(outlet, metrics, status);
        }
        let region = self.shared.region.clone();
        let surroundings = Surroundings {
            stream: StreamContext { arn: self.hose().arn(), region },
            name: self.name.clone(),
            version_id: self.version_id.clone(),
            journal: self.journal.clone(),
            journal_id: self.any_journal.id(),
            uncounted_records: self.uncounted_records,
            folder: self.outlet_folder(&outlet.name),
            metrics,
            status,
            tally: None,
            env: self.shared.env.clone(),
            budget: self.shared.budget.clone(),
            pool: self.shared.pool.clone(),
        };
        let destination = assemble(&outlet, surroundings).await;
        let destination = Arc::new(destination.map_err(|reason| self.failed(reason))?);
        let (flush, requests) = mpsc::channel(16);
        let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
        let patience_ms = Arc::new(AtomicU64::new(0));
        let signals = Signals {
            stop: stop.clone(),
            patience_ms: patience_ms.clone(),
            drain: drain.clone(),
            flush: requests,
        };
        let replays = self.replays(&outlet, &destination);
        let task = tokio::spawn(keep_running(destination, signals));
        Ok(Running { outlet, stop, drain, patience_ms, flush, task, _replays: replays })
    }

    /// An outlet of a journal that is a topic.
    fn start_lanes(
        &self,
        outlet: Outlet,
        metrics: DestinationMetrics,
        status: Status,
    ) -> Result<Running, DaemonError> {
        let spec = self.settings.lock().spec.journal.kafka.clone();
        let options = spec.ok_or_else(|| self.failed("its journal has no topic".into()))?;
        let ended = self.ended.child_token();
        let tokens = ended.clone().drop_guard();
        let link = build::kafka_link(&options, &self.shared, true, ended);
        let link = link.map_err(|reason| self.failed(reason))?;
        let sum = Sum::new(status.clone(), metrics.clone());
        let (arn, name, version_id) =
            (self.hose().arn(), self.name.clone(), self.version_id.clone());
        let (shared, folder) = (self.shared.clone(), self.outlet_folder(&outlet.name));
        let around = move |lane: Arc<KafkaLane>| Surroundings {
            stream: StreamContext { arn: arn.clone(), region: shared.region.clone() },
            name: name.clone(),
            version_id: version_id.clone(),
            journal_id: lane.id(),
            uncounted_records: 0,
            folder: folder.join(format!("lane-{}", lane.partition)),
            metrics: metrics.clone(),
            status: status.clone(),
            tally: Some(sum.part(lane.partition)),
            journal: lane,
            env: shared.env.clone(),
            budget: shared.budget.clone(),
            pool: shared.pool.clone(),
        };
        let replica = self.replica.clone().unwrap_or_default();
        let lanes = Lanes {
            options,
            link,
            replica,
            outlet: outlet.clone(),
            around: Arc::new(around),
            _tokens: tokens,
        };
        let (flush, requests) = mpsc::channel(16);
        let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
        let patience_ms = Arc::new(AtomicU64::new(0));
        let signals = Signals {
            stop: stop.clone(),
            patience_ms: patience_ms.clone(),
            drain: drain.clone(),
            flush: requests,
        };
        let task = tokio::spawn(lanes.run(self.name.clone(), signals));
        Ok(Running { outlet, stop, drain, patience_ms, flush, task, _replays: None })
    }

    /// The task that replays what failed, where the settings want one.
    fn replays(&self, outlet: &Outlet, destination: &Destination) -> Option<AbortOnDropHandle<()>> {
        let replays = Replays {
            spec: outlet.replay?,
            outlet: outlet.clone(),
            stream: self.name.clone(),
            context: StreamContext { arn: self.hose().arn(), region: self.shared.region.clone() },
            folder: self.outlet_folder(&outlet.name),
            status: destination.status.clone(),
            failed_records: destination.metrics.failed_records.clone(),
            env: self.shared.env.clone(),
        };
        Some(AbortOnDropHandle::new(tokio::spawn(replays.run())))
    }

    fn failed(&self, reason: String) -> DaemonError {
        DaemonError::Stream { stream: self.name.clone(), reason }
    }
}

/// The name of this replica, kept in the data directory: it tells its own plans from others'.
fn replica_id(shared: &Shared, stream: &str) -> Result<String, DaemonError> {
    let folder = shared.store.folder(stream);
    let path = folder.join("replica");
    let files = &shared.env.files;
    let failed = |error: std::io::Error| DaemonError::Stream {
        stream: stream.to_owned(),
        reason: format!("{}: {error}", path.display()),
    };
    match files.read(&path) {
        Ok(id) => Ok(String::from_utf8_lossy(&id).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = uuid::Uuid::new_v4().to_string();
            files.create_dir_all(&folder).map_err(failed)?;
            files.replace(&path, id.as_bytes()).map_err(failed)?;
            Ok(id)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Ends tasks side by side.
async fn leave_all(outlets: impl IntoIterator<Item = Running>, patience: Duration) {
    futures::future::join_all(outlets.into_iter().map(|running| running.leave(patience))).await;
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Running {
    /// Ends the task: what it has open stays in the journal, and so does what is under way and
    /// does not arrive within `patience`.
    async fn leave(mut self, patience: Duration) {
        self.patience_ms.store(patience.as_millis() as u64, Ordering::Relaxed);
        self.stop.cancel();
        if !self.task.is_finished() {
            // A panic in it was reported where it happened.
            let _ = (&mut self.task).await;
        }
    }
}

impl Drop for Running {
    /// Nobody holds it any more: its task must not go on by itself.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Runs a destination until it is told to leave. Trouble of its own, a panic among it, ends a
/// run, never the task: the next run goes on from the journal.
pub(super) async fn keep_running(destination: Arc<Destination>, signals: Signals) {
    let signals = Arc::new(tokio::sync::Mutex::new(signals));
    let (stop, drain) = {
        let signals = signals.lock().await;
        (signals.stop.clone(), signals.drain.clone())
    };
    loop {
        let (of_run, signals) = (destination.clone(), signals.clone());
        let run = tokio::spawn(async move {
            let mut signals = signals.lock().await;
            delivery::run(of_run, &mut signals).await
        });
        let error = match run.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        destination.status.broken(error.clone(), destination.env.clock.now_ms());
        tracing::error!(
            stream = destination.stream,
            destination = destination.name,
            error,
            "delivery stopped by itself, starting it again"
        );
        tokio::select! {
            () = stop.cancelled() => return,
            () = drain.cancelled() => return,
            () = tokio::time::sleep(RESTART_AFTER) => {}
        }
    }
}
