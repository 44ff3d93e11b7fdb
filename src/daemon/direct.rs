//! A destination that takes records without a stream: what `standpipe replay --destination` puts
//! them to. The same delivery as always, behind a small journal in memory.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    sync::{OnceCell, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    assembly::{Surroundings, assemble},
    build::{self, Outlet},
    processing::StreamContext,
};
use crate::{
    batch::Buffering,
    buffer::{self, Durability, MemoryJournal},
    config::Config,
    delivery::{self, Budget, DeliveryError, Signals, State, Status},
    env::{CpuPool, Env},
    fault::Cause,
    limits,
    record::Put,
    replay::{FailedLine, Outcome},
    seams::Journal,
    telemetry::Metrics,
    units::{ByteSize, Span},
};

/// How often progress is looked at while something is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why records cannot be put to a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectError {
    #[error("stream {0:?} is not in the configuration")]
    NoStream(String),
    #[error("stream {stream:?} has no destination {destination:?}; it has: {known}")]
    NoDestination { stream: String, destination: String, known: String },
    #[error("{0}")]
    Settings(String),
    #[error("the delivery ended: {0}")]
    Ended(String),
}

/// A record that is put to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectRecord<'a> {
    pub data: &'a [u8],
    pub arrival_ms: i64,
    /// Attempts that were made before: those that follow are counted on.
    pub attempts: u32,
    /// Whether it has been through the transforms already.
    pub transformed: bool,
}

impl<'a> DirectRecord<'a> {
    /// A record that failed before.
    pub fn of(line: &'a FailedLine, now_ms: i64) -> Self {
        Self {
            data: &line.raw,
            arrival_ms: line.arrived_ms(now_ms),
            attempts: line.attempts,
            transformed: line.kind.is_transformed(),
        }
    }

    fn key(&self) -> (i64, u32) {
        (self.arrival_ms, self.attempts)
    }
}

/// A destination without a stream.
pub struct Direct {
    /// For records that go through its transforms, and for those that have been.
    raw: Lane,
    transformed: Lane,
}

impl Direct {
    /// A destination of a stream of the configuration. What it needs on disk stands in `scratch`
    /// and is worth nothing afterwards.
    pub async fn open(
        config: &Config,
        stream: &str,
        destination: &str,
        scratch: &Path,
    ) -> Result<Self, DirectError> {
        let spec =
            config.streams.get(stream).ok_or_else(|| DirectError::NoStream(stream.to_owned()))?;
        let outlets = build::outlets(spec, &config.aws, true).map_err(DirectError::Settings)?;
        let outlet = outlets.into_iter().find(|outlet| outlet.name == destination);
        let outlet = outlet.ok_or_else(|| DirectError::NoDestination {
            stream: stream.to_owned(),
            destination: destination.to_owned(),
            known: spec.destination_names().join(", "),
        })?;
        let (region, account) = (&config.api.region, &config.api.account_id);
        let arn = format!("arn:aws:firehose:{region}:{account}:deliverystream/{stream}");
        let context = StreamContext { arn, region: region.clone() };
        Self::of(outlet, stream, context, scratch).await
    }

    /// The same of an outlet that is known.
    pub(super) async fn of(
        outlet: Outlet,
        stream: &str,
        context: StreamContext,
        scratch: &Path,
    ) -> Result<Self, DirectError> {
        let short = |buffering: Buffering| Buffering {
            interval: Span(buffering.interval.0.min(limits::REPLAY_GATHERED_FOR)),
            ..buffering
        };
        let outlet = Outlet {
            buffering: short(outlet.buffering),
            error_buffering: short(outlet.error_buffering),
            ..outlet
        };
        let past = Outlet {
            processing: outlet.processing.without_transforms(),
            framing: Default::default(),
            ..outlet.clone()
        };
        let place = Place { stream, context };
        Ok(Self {
            raw: Lane::start(&outlet, &place, &scratch.join("raw")).await?,
            transformed: Lane::start(&past, &place, &scratch.join("transformed")).await?,
        })
    }

    /// Delivers records that failed before, and waits until each has come to its end. Calls may
    /// overlap, and should: it takes a while until a batch is gathered.
    pub async fn deliver(
        &self,
        lines: Vec<FailedLine>,
        now_ms: i64,
    ) -> Result<Vec<Outcome>, DirectError> {
        let records: Vec<_> = lines.iter().map(|line| DirectRecord::of(line, now_ms)).collect();
        let under_way = self.put(&records).await?;
        // They lie in the destination's journal now: once is enough.
        drop(records);
        drop(lines);
        under_way.settled().await
    }

    /// Hands records to the destination, as soon as there is room for them; they are needed no
    /// longer then.
    pub async fn put(&self, records: &[DirectRecord<'_>]) -> Result<UnderWay<'_>, DirectError> {
        let outcomes = vec![Outcome::Delivered; records.len()];
        let mut under_way = UnderWay { outcomes, parts: Vec::new() };
        for transformed in [false, true] {
            let lane = if transformed { &self.transformed } else { &self.raw };
            let mut places = Vec::new();
            for (at, record) in records.iter().enumerate() {
                match too_large(record) {
                    _ if record.transformed != transformed => {}
                    None => places.push(at),
                    Some(cause) => under_way.outcomes[at] = Outcome::Refused(cause),
                }
            }
            for together in puts(records, &places) {
                let bytes = together.iter().map(|&at| records[at].data.len()).sum();
                let mut put = Put {
                    lengths: Vec::with_capacity(together.len()),
                    data: Vec::with_capacity(bytes),
                    arrival_ms: records[together[0]].arrival_ms,
                    ..Put::default()
                };
                together.iter().for_each(|&at| put.push(records[at].data));
                let first = lane.put(put, records[together[0]].attempts).await?;
                under_way.parts.push(Part { lane, first, places: together });
            }
        }
        Ok(under_way)
    }

    /// What is wrong with the destination right now, if anything.
    pub fn trouble(&self) -> Option<String> {
        [&self.raw, &self.transformed].into_iter().find_map(|lane| {
            let progress = lane.status.get();
            [progress.state, progress.error_output].into_iter().find_map(|state| match state {
                State::Delivering => None,
                State::Retrying { code, message, .. } => Some(format!("{code}: {message}")),
                State::Held { code, message, .. } => Some(format!("held: {code}: {message}")),
            })
        })
    }
}

/// A record that the journal does not take by itself either. Firehose takes such from Kinesis.
fn too_large(record: &DirectRecord<'_>) -> Option<Cause> {
    let size = record.data.len();
    let message = || format!("{size} bytes are more than a put takes");
    (!MemoryJournal::takes(1, size)).then(|| Cause::new("Replay.RecordTooLarge", message()))
}

/// Records of one time and count share a put, as far as it takes them.
fn puts(records: &[DirectRecord<'_>], places: &[usize]) -> Vec<Vec<usize>> {
    let mut puts: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0;
    for &at in places {
        bytes += records[at].data.len();
        match puts.last_mut() {
            Some(put)
                if records[put[0]].key() == records[at].key()
                    && MemoryJournal::takes(put.len() + 1, bytes) =>
            {
                put.push(at);
            }
            _ => {
                bytes = records[at].data.len();
                puts.push(vec![at]);
            }
        }
    }
    puts
}

/// Records on their way to the destination.
pub struct UnderWay<'a> {
    outcomes: Vec<Outcome>,
    parts: Vec<Part<'a>>,
}

/// Those of one put.
struct Part<'a> {
    lane: &'a Lane,
    first: u64,
    /// Where they stand among the records of the call.
    places: Vec<usize>,
}

impl UnderWay<'_> {
    /// Waits until each has come to its end.
    pub async fn settled(mut self) -> Result<Vec<Outcome>, DirectError> {
        for Part { lane, first, places } in self.parts {
            let end = first + places.len() as u64;
            lane.settled(end).await?;
            for (sequence, cause) in lane.attempts.take_failed(first, end) {
                self.outcomes[places[(sequence - first) as usize]] = Outcome::StoredAgain(cause);
            }
        }
        Ok(self.outcomes)
    }
}

/// Whose destination it is.
struct Place<'a> {
    stream: &'a str,
    context: StreamContext,
}

/// One delivery behind a journal in memory.
struct Lane {
    journal: Arc<MemoryJournal>,
    status: Status,
    attempts: Arc<delivery::AttemptsBefore>,
    appending: tokio::sync::Mutex<()>,
    stop: CancellationToken,
    task: tokio::sync::Mutex<JoinHandle<Result<(), DeliveryError>>>,
    /// Why the task ended.
    ended: OnceCell<String>,
}

impl Lane {
    async fn start(outlet: &Outlet, place: &Place<'_>, folder: &Path) -> Result<Self, DirectError> {
        let options = buffer::Options {
            durability: Durability::Memory,
            max_size: ByteSize(limits::REPLAY_JOURNAL_BYTES),
            kafka: None,
        };
        let journal = Arc::new(MemoryJournal::new(&options));
        let metrics = Metrics::new().destination(outlet.kind, place.stream, &outlet.name);
        let status = Status::default();
        let attempts = Arc::new(delivery::AttemptsBefore::remembering());
        let around = Surroundings {
            stream: place.context.clone(),
            name: place.stream.to_owned(),
            version_id: Arc::new(AtomicU64::new(1)),
            journal_id: journal.id(),
            journal: journal.clone(),
            uncounted_records: 0,
            folder: folder.to_owned(),
            metrics,
            status: status.clone(),
            tally: None,
            env: Env::real(),
            budget: Budget::new(limits::REPLAY_JOURNAL_BYTES),
            pool: CpuPool::default(),
        };
        let mut destination = assemble(outlet, around).await.map_err(DirectError::Settings)?;
        destination.attempts_before = attempts.clone();
        // It begins at the end of the journal: that must be known before the first record.
        let opened = journal.open_cursor(&outlet.name, true).await;
        opened.map_err(|error| DirectError::Ended(error.to_string()))?;
        // Nobody flushes it: its batches are gathered for a moment only.
        let (_, requests) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let mut signals = Signals {
            stop: stop.clone(),
            patience_ms: Arc::default(),
            drain: CancellationToken::new(),
            flush: requests,
        };
        let task =
            tokio::spawn(async move { delivery::run(Arc::new(destination), &mut signals).await });
        let appending = tokio::sync::Mutex::default();
        let (task, ended) = (tokio::sync::Mutex::new(task), OnceCell::new());
        Ok(Self { journal, status, attempts, appending, stop, task, ended })
    }

    /// Appends a put, and answers with its first position.
    async fn put(&self, put: Put, attempts: u32) -> Result<u64, DirectError> {
        loop {
            self.alive().await?;
            // One at a time: what is noted of a position must be noted before it is read, and room
            // that was found is there still.
            let one = self.appending.lock().await;
            if !self.journal.has_room(put.lengths.len(), put.data.len()) {
                drop(one);
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            let first = self.journal.tail().borrow().sequence;
            self.attempts.note(first, attempts);
            let appended = self.journal.append(put).await;
            let appended = appended.map_err(|error| DirectError::Ended(error.to_string()))?;
            return Ok(appended.first.sequence);
        }
    }

    /// Waits until everything below `end` has come to its end.
    async fn settled(&self, end: u64) -> Result<(), DirectError> {
        loop {
            let committed = self.status.get().committed;
            if committed >= end {
                self.attempts.forget_below(committed);
                return Ok(());
            }
            self.alive().await?;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn alive(&self) -> Result<(), DirectError> {
        let mut task = self.task.lock().await;
        if !self.ended.initialized() && !task.is_finished() {
            return Ok(());
        }
        let reason = self.ended.get_or_init(|| async {
            match (&mut *task).await {
                Ok(Ok(())) => "its task has stopped by itself".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            }
        });
        Err(DirectError::Ended(reason.await.clone()))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
#[path = "direct_tests.rs"]
mod tests;
