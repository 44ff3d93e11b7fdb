//! The source: what it is made of, and its life from start to stop.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{
    Alone, Checkpoint, CheckpointError, Client, Coordinator, DynamoCoordinator, Held, Options,
    Polling, ReadError, ReaderFactory, Shard, Start, StreamInfo, StreamName,
    client::Listing,
    fan_out::FanOut,
    part::Parts,
    since::Since,
    trouble::{Backoff, Troubles},
    worker_id,
};
use crate::{
    limits::{
        KINESIS_BEHIND_LOG_INTERVAL, KINESIS_CALL_INTERVAL, KINESIS_CHECKPOINT_INTERVAL,
        KINESIS_CHECKPOINTS_IN_FLIGHT, KINESIS_LAST_CHECKPOINTS,
    },
    record::Step,
    seams::{Inlet, Source},
    sources::{Checkpoints, Context},
    telemetry::SourceMetrics,
};

/// All shards of a Kinesis data stream that this replica holds.
pub struct KinesisSource {
    options: Options,
    context: Context,
    stream: StreamName,
    /// The stream's name, also where it was given by its ARN.
    name: String,
    /// What `at_timestamp` says, in milliseconds since the Unix epoch; 0 for other beginnings.
    timestamp_ms: i64,
    client: Arc<Client>,
    /// Stand in for what is made of the options, in tests.
    doubles: Option<Doubles>,
}

/// What a source asks.
#[derive(Clone)]
pub(super) struct Doubles {
    pub listing: Arc<dyn Listing>,
    pub readers: Arc<dyn ReaderFactory>,
    pub coordinator: Arc<dyn Coordinator>,
}

impl KinesisSource {
    /// Asks nobody; fails for what can never work.
    pub fn new(options: Options, mut context: Context) -> Result<Self, String> {
        let (stream, name) = stream_of(&options)?;
        if let (StreamName::Arn(arn), None) = (&stream, &options.region)
            && let Some(region) = arn.split(':').nth(3)
        {
            context.access.region = region.to_owned();
        }
        if options.poll_interval.0 < KINESIS_CALL_INTERVAL {
            return Err("poll_interval: a shard gives all of its readers together five answers a \
                        second; write 200ms or more"
                .into());
        }
        let timestamp_ms = match &options.start {
            Start::Latest | Start::TrimHorizon => 0,
            Start::AtTimestamp(text) => {
                let at: jiff::Timestamp = text.parse().map_err(|_| {
                    format!("start: at_timestamp: {text:?} is no time; write 2026-01-31T12:00:00Z")
                })?;
                at.as_millisecond()
            }
        };
        let client = Client::new(&context.access, options.endpoint.clone(), stream.clone());
        let client = Arc::new(client.map_err(|error| format!("endpoint: {error}"))?);
        Ok(Self { options, context, stream, name, timestamp_ms, client, doubles: None })
    }

    /// One that asks others than its options say.
    #[cfg(test)]
    pub(super) fn with(self, doubles: Doubles) -> Self {
        Self { doubles: Some(doubles), ..self }
    }

    /// What makes the readers: **the seam between the ways to read.** Enhanced fan-out registers
    /// its consumer here; an error is asked again after a while.
    async fn readers(&self) -> Result<Arc<dyn ReaderFactory>, ReadError> {
        let (client, env) = (self.client.clone(), self.context.env.clone());
        if let Some(options) = &self.options.enhanced_fan_out {
            let arn = match &self.stream {
                StreamName::Arn(arn) => arn.clone(),
                StreamName::Name(_) => client.describe().await?.arn.unwrap_or_default(),
            };
            let name = format!("standpipe-{}", self.context.stream);
            let (access, endpoint) = (&self.context.access, self.options.endpoint.clone());
            let fan_out = FanOut::register(access, endpoint, &arn, options, &name, &env).await?;
            return Ok(Arc::new(fan_out));
        }
        Ok(Arc::new(Polling::new(client, self.options.poll_interval.0, env)))
    }

    /// Who reads which shard; an error is asked again after a while.
    async fn coordinator(
        &self,
        stored: &BTreeMap<String, Checkpoint>,
    ) -> Result<Arc<dyn Coordinator>, CheckpointError> {
        coordinator(&self.options, &self.context, &self.name, stored.clone()).await
    }

    async fn parts(&self, stored: &BTreeMap<String, Checkpoint>) -> Result<Doubles, ReadError> {
        if let Some(doubles) = &self.doubles {
            return Ok(doubles.clone());
        }
        let readers = self.readers().await?;
        let coordinator = self.coordinator(stored).await.map_err(|error| {
            let code = match &error {
                CheckpointError::Trouble { code, .. } => code.clone(),
                CheckpointError::Lost => "Kinesis.Coordinator".into(),
            };
            ReadError::Trouble { code, message: error.to_string() }
        })?;
        Ok(Doubles { listing: self.client.clone(), readers, coordinator })
    }

    /// Everything that reading needs; `None` if `stop` came first.
    async fn prepare(
        &self,
        inlet: Arc<dyn Inlet>,
        stop: &CancellationToken,
    ) -> Option<Arc<Reading>> {
        let metrics = self.context.metrics.clone();
        let troubles = Troubles::new(&self.context.stream, &self.name, metrics.clone());
        let checkpoints =
            until_ok(&troubles, stop, || open_checkpoints(inlet.clone(), metrics.clone()).boxed());
        let checkpoints = checkpoints.await?;
        let prefix = format!("{}/", self.name);
        let known = checkpoints.known().iter().filter_map(|(key, position)| {
            Some((key.strip_prefix(&prefix)?.to_owned(), Checkpoint::parse(position)?))
        });
        let stored = known.collect();
        let made = until_ok(&troubles, stop, || self.parts(&stored).boxed()).await?;
        let info = until_ok(&troubles, stop, || self.described(&*made.listing).boxed()).await?;
        // Shards may stand at `LATEST` since before `start` was changed.
        let since = Since::open(&self.context.folder, &self.name, &self.context.env);
        Some(Arc::new(Reading {
            prefix,
            context: self.context.clone(),
            listing: made.listing,
            readers: made.readers,
            coordinator: made.coordinator,
            checkpoints,
            initial: initial(&self.options.start),
            timestamp_ms: self.timestamp_ms,
            since,
            begun_at_latest: Mutex::default(),
            stored: Mutex::new(stored),
            stop: stop.child_token(),
            forgotten: Mutex::default(),
            parts: Parts::default(),
            info: Mutex::new(info),
            listed: watch::Sender::new(None),
            rediscover: Notify::new(),
            expected: Mutex::default(),
            troubles,
            warned_behind: Mutex::new(None),
        }))
    }

    async fn described(&self, listing: &dyn Listing) -> Result<StreamInfo, ReadError> {
        match listing.describe().await {
            // Reading needs none of it.
            Err(ReadError::Denied { code, message }) => {
                let stream = &self.context.stream;
                tracing::warn!(
                    stream,
                    code,
                    message,
                    "the kinesis stream may not be described: records do not tell its arn, and \
                     falling behind its retention is not noticed"
                );
                Ok(StreamInfo::default())
            }
            other => other,
        }
    }

    fn announce(&self, reading: &Reading) {
        let info = reading.info.lock();
        let (start, positions) = (&reading.initial, reading.stored.lock().len());
        tracing::info!(
            stream = self.context.stream,
            kinesis_stream = self.name,
            arn = info.arn,
            status = info.status,
            region = self.context.access.region,
            %start,
            at_ms = self.timestamp_ms,
            positions,
            durable = reading.checkpoints.is_durable(),
            by_arn = matches!(self.stream, StreamName::Arn(_)),
            "reads from a kinesis data stream"
        );
    }
}

#[async_trait]
impl Source for KinesisSource {
    async fn run(&self, inlet: Arc<dyn Inlet>, stop: CancellationToken) {
        let Some(reading) = self.prepare(inlet, &stop).await else { return };
        self.announce(&reading);
        let stop = &reading.stop;
        // It goes on until the last checkpoints are kept, and gives back the leases then; should
        // this be dropped, the others need not wait for that it ends.
        let end = CancellationToken::new();
        let _ended_with_this = end.clone().drop_guard();
        let coordinating = {
            let (coordinator, end) = (reading.coordinator.clone(), end.clone());
            tokio::spawn(async move { coordinator.run(end).await })
        };
        let drained = CancellationToken::new();
        let until_drained = async {
            tokio::join!(reading.read_held(stop), reading.discover(stop));
            reading.checkpoints.drain().await;
            drained.cancel();
        };
        tokio::join!(until_drained, reading.keep_positions(&drained));
        if tokio::time::timeout(KINESIS_LAST_CHECKPOINTS, reading.flush(false)).await.is_err() {
            let stream = &self.context.stream;
            tracing::warn!(
                stream,
                "the last positions in kinesis could not be kept in time: the next start reads again what came after the ones before"
            );
        }
        end.cancel();
        if let Err(error) = coordinating.await {
            tracing::error!(stream = self.context.stream, %error, "the coordination of shards failed");
        }
    }
}

/// Who reads which shard: alone all of them, with leases those that this replica holds.
/// `kinesis_stream` is the stream's name, `stored` what the journal knows.
async fn coordinator(
    options: &Options,
    context: &Context,
    kinesis_stream: &str,
    stored: BTreeMap<String, Checkpoint>,
) -> Result<Arc<dyn Coordinator>, CheckpointError> {
    let trouble =
        |message| CheckpointError::Trouble { code: "Kinesis.Coordinator".into(), message };
    let Some(leases) = &options.leases else {
        let folder = context.folder.clone();
        let alone = Alone::open(folder, kinesis_stream, stored, &context.env);
        return Ok(Arc::new(alone.map_err(trouble)?));
    };
    let worker = worker_id(&context.folder, &context.env).map_err(trouble)?;
    let shared =
        DynamoCoordinator::new(leases, &context.access, kinesis_stream, worker, &context.env);
    Ok(Arc::new(shared.map_err(trouble)?.knowing(stored)))
}

async fn open_checkpoints(
    inlet: Arc<dyn Inlet>,
    metrics: SourceMetrics,
) -> Result<Checkpoints, ReadError> {
    Checkpoints::open(inlet, metrics).await.map_err(|error| ReadError::Trouble {
        code: "Journal.Unreadable".into(),
        message: error.to_string(),
    })
}

/// Asks until there is an answer; `None` if `stop` comes first.
async fn until_ok<'a, T: Send>(
    troubles: &Troubles,
    stop: &CancellationToken,
    ask: impl Fn() -> BoxFuture<'a, Result<T, ReadError>> + Send,
) -> Option<T> {
    let mut backoff = Backoff::default();
    loop {
        let answer = tokio::select! {
            () = stop.cancelled() => return None,
            answer = ask() => answer,
        };
        let error = match answer {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        let wait = backoff.after(&error);
        troubles.reading(None, &error, wait);
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn initial(start: &Start) -> Checkpoint {
    match start {
        Start::Latest => Checkpoint::Latest,
        Start::TrimHorizon => Checkpoint::TrimHorizon,
        Start::AtTimestamp(_) => Checkpoint::AtTimestamp,
    }
}

/// How the stream is called in requests, and its name.
fn stream_of(options: &Options) -> Result<(StreamName, String), String> {
    let is_name = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        (1..=128).contains(&name.len()) && name.chars().all(fits)
    };
    let Some(arn) = &options.stream_arn else {
        let name = options.stream.clone();
        let name = name.ok_or("stream: give the stream's name, or stream_arn")?;
        if !is_name(&name) {
            return Err(format!("stream: {name:?} is no name of a Kinesis data stream"));
        }
        return Ok((StreamName::Name(name.clone()), name));
    };
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let name = match fields[..] {
        ["arn", _, "kinesis", region, _, resource] if !region.is_empty() => {
            resource.strip_prefix("stream/").filter(|name| is_name(name))
        }
        _ => None,
    };
    let name = name.ok_or_else(|| {
        format!("stream_arn: {arn:?} is no ARN of a Kinesis data stream; write arn:aws:kinesis:REGION:ACCOUNT:stream/NAME")
    })?;
    if options.stream.as_deref().is_some_and(|other| other != name) {
        return Err("stream and stream_arn name two streams; give one of them".into());
    }
    Ok((StreamName::Arn(arn.clone()), name.to_owned()))
}

/// A source that runs. Its work stands in `reading`, `discovery` and below.
pub(super) struct Reading {
    /// `STREAM/`: what the journal's keys begin with.
    prefix: String,
    pub context: Context,
    pub listing: Arc<dyn Listing>,
    pub readers: Arc<dyn ReaderFactory>,
    pub coordinator: Arc<dyn Coordinator>,
    pub checkpoints: Checkpoints,
    /// The source is being stopped, or stops by itself.
    pub stop: CancellationToken,
    pub initial: Checkpoint,
    pub timestamp_ms: i64,
    pub since: Since,
    /// Shards that were begun at `LATEST` since the start.
    pub begun_at_latest: Mutex<BTreeSet<String>>,
    /// How far shards were put, as far as that is known.
    pub stored: Mutex<BTreeMap<String, Checkpoint>>,
    /// Keys that the journal need not keep: told with the next put.
    pub forgotten: Mutex<Vec<String>>,
    pub parts: Parts,
    pub info: Mutex<StreamInfo>,
    pub listed: watch::Sender<Option<Arc<BTreeMap<String, Shard>>>>,
    pub rediscover: Notify,
    /// Shards that must turn up in the list, and how often it was read in vain.
    pub expected: Mutex<(BTreeSet<String>, u32)>,
    pub troubles: Troubles,
    warned_behind: Mutex<Option<Instant>>,
}

impl Reading {
    /// What the journal keeps the shard's position by.
    pub fn key(&self, shard: &str) -> String {
        format!("{}{shard}", self.prefix)
    }

    pub fn forgotten_steps(&self) -> Vec<Step> {
        std::mem::take(&mut *self.forgotten.lock()).into_iter().map(Step::done).collect()
    }

    /// Tells the coordinator now and then what is safe, and at once that a shard is at its end.
    pub async fn keep_positions(&self, stop: &CancellationToken) {
        let mut due = tokio::time::interval(KINESIS_CHECKPOINT_INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let an_end_is_safe = async {
                if self.parts.any_ended() && !self.checkpoints.is_durable() {
                    self.checkpoints.progressed().await;
                } else {
                    std::future::pending().await
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                _ = due.tick() => {
                    self.show();
                    self.flush(false).await;
                }
                () = self.parts.ended.notified() => self.flush(true).await,
                () = an_end_is_safe => self.flush(true).await,
            }
        }
    }

    /// Tells the coordinator what is safe and new.
    pub async fn flush(&self, only_ended: bool) {
        let safe = self.checkpoints.safe();
        let due = self.parts.due(
            only_ended,
            |shard| Checkpoint::parse(safe.get(&self.key(shard))?),
            |shard| self.checkpoints.is_settled(&self.key(shard)),
        );
        let telling = due.into_iter().map(|(held, to)| self.tell(held, to).boxed());
        let telling = futures::stream::iter(telling);
        telling.buffer_unordered(KINESIS_CHECKPOINTS_IN_FLIGHT).collect::<()>().await;
    }

    async fn tell(&self, held: Held, to: Checkpoint) {
        let (shard, stream) = (&held.shard_id, &self.context.stream);
        match self.coordinator.checkpoint(&held, &to).await {
            Ok(()) => {
                self.parts.kept(&held, &to);
                if to == Checkpoint::ShardEnd {
                    tracing::info!(stream, shard, "a shard is read to its end");
                    // Its children are to be read.
                    self.rediscover.notify_one();
                }
            }
            Err(CheckpointError::Lost) => {
                tracing::info!(stream, shard, "a shard is read by another replica from now on");
                self.parts.lost(&held);
                self.show();
            }
            Err(error) => self.troubles.coordinating(&error),
        }
    }

    pub fn show(&self) {
        let metrics = &self.context.metrics;
        metrics.parts.set(self.parts.reading() as i64);
        metrics.millis_behind_latest.set(self.parts.slowest());
    }

    /// Notes how far behind a shard is, and warns before records are lost for it.
    pub fn note_behind(&self, held: &Held, behind_ms: i64) {
        self.parts.behind(held, behind_ms);
        let Some(hours) = self.info.lock().retention_hours else { return };
        let retention = Duration::from_secs(u64::from(hours) * 60 * 60);
        let behind = Duration::from_millis(behind_ms.max(0) as u64);
        if behind <= retention * 3 / 4 {
            return;
        }
        let mut warned = self.warned_behind.lock();
        let now = Instant::now();
        if warned.is_none_or(|last| now - last >= KINESIS_BEHIND_LOG_INTERVAL) {
            *warned = Some(now);
            let (stream, shard) = (&self.context.stream, &held.shard_id);
            let behind_s = behind.as_secs();
            tracing::warn!(
                stream,
                shard,
                behind_s,
                retention_hours = hours,
                "reading is so far behind that the kinesis stream will soon delete records unread: raise its retention, or see why destinations are slow"
            );
        }
    }
}

#[cfg(test)]
mod tests;
