//! From the journal to batches: what is read goes through the transforms, several calls at a time,
//! and into batches in the order in which it lies in the journal.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt;
use tokio::task::JoinHandle;

use super::{DeliveryError, Destination, run::Run};
use crate::{
    batch::{Now, Origin},
    fault::{Failure, output_type},
    limits,
    record::{Frame, Ranges, Record, Route},
    seams::{Entry, Remote},
    transform::{End, MissingVerdict, Segment, UnderWay},
};

/// Records that are gathered for the next call of the transforms.
#[derive(Default)]
pub(super) struct Gathered {
    records: Vec<Record>,
    bytes: u64,
    /// When the first of them was read.
    since: Option<Duration>,
    /// The position behind the last frame that is in here whole.
    end: u64,
}

/// Calls of the transforms under way, and what waits for them.
#[derive(Default)]
pub(super) struct Intake {
    pub gathered: Gathered,
    /// Gathered, and not called yet.
    queued: VecDeque<Gathered>,
    jobs: VecDeque<Job>,
}

struct Job {
    /// All positions below are taken once this one is done.
    end: u64,
    since: Duration,
    task: JoinHandle<Result<Vec<Routed>, MissingVerdict>>,
}

/// Nobody waits for its answer any more.
impl Drop for Job {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A record behind the transforms.
pub(super) struct Routed {
    sequence: u64,
    arrival_ms: i64,
    pub leaves: Vec<Fate>,
}

/// What becomes of a leaf.
pub(super) enum Fate {
    To { route: Route, data: Bytes, raw: Bytes },
    Drop,
    Fail { failure: Failure, raw: Bytes },
}

/// Leaves of one record that go to one route.
struct Together {
    route: Route,
    indexes: Vec<u32>,
    /// What each is, and what the error output gets of it.
    pieces: Vec<(Bytes, Bytes)>,
}

/// Calls that may be under way at a time, answered ones whose turn has not come among them.
fn calls(remote: Option<Remote>) -> usize {
    remote.map_or(limits::TRANSFORMS_IN_FLIGHT, |remote| remote.concurrency.max(1))
}

impl Fate {
    /// What the error output gets of it.
    pub fn raw(self, record: &Record) -> Bytes {
        match self {
            Self::To { raw, .. } | Self::Fail { raw, .. } => raw,
            Self::Drop => record.data.clone(),
        }
    }
}

impl Intake {
    /// Whether nothing is on its way to the batches.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.queued.is_empty() && self.gathered.records.is_empty()
    }

    /// Whether there is room for one more call.
    pub fn has_room(&self, remote: Option<Remote>) -> bool {
        self.queued.is_empty() && self.jobs.len() < calls(remote)
    }

    /// When what is gathered must go, on the destination's clock.
    pub fn gathered_until(&self, remote: Option<Remote>) -> Option<Duration> {
        Some(self.gathered.since? + remote?.gather_for)
    }

    /// The oldest call's answer; for ever if there is none. May be dropped and asked for again.
    pub async fn next(&mut self) -> Result<(Vec<Routed>, u64, Duration), DeliveryError> {
        let Some(job) = self.jobs.front_mut() else { return std::future::pending().await };
        let answer = (&mut job.task).await;
        let (end, since) = (job.end, job.since);
        self.jobs.pop_front();
        let routed = answer.map_err(|error| DeliveryError::Task(error.to_string()))??;
        Ok((routed, end, since))
    }
}

impl Run {
    /// One entry of the journal on its way into batches.
    pub(super) fn take(&mut self, entry: Entry) -> Result<(), DeliveryError> {
        let (first, end) = (entry.first().sequence, entry.end().sequence);
        match entry {
            Entry::Damaged { .. } => {
                self.ledger.open(first, end, self.destination.env.clock.now_ms())?;
                let damaged = Ranges::of(first, end).without(&self.claimed);
                self.damaged(&damaged);
                self.settle(&damaged)?;
            }
            Entry::Frame(frame) => {
                let now = self.age_of(&frame, first);
                self.ledger.open(first, end, frame.arrival_ms)?;
                if frame.unfit {
                    self.take_unfit(&frame)?;
                } else if self.destination.is_plain() && self.claimed.is_disjoint(first, end) {
                    let mut closed = Vec::new();
                    let route = self.destination.naming.plain_route(frame.arrival_ms);
                    self.batcher.add_frame(&route, &frame, now, &mut closed);
                    self.ship_all(closed);
                } else {
                    self.gather(&frame, now);
                }
            }
        }
        let early = self.settled_early.within(first, end);
        if !early.is_empty() {
            // Frames come in order: nothing below is asked for again.
            self.settled_early.remove_below(end);
            self.settle(&early)?;
        }
        Ok(())
    }

    /// Records that cannot be delivered as they came: to the error output with their source's
    /// reason.
    fn take_unfit(&mut self, frame: &Frame) -> Result<(), DeliveryError> {
        // What is gathered came before, and takes its turn before.
        self.transform_gathered();
        let unfit = frame.provenance.as_ref().and_then(|of| of.get().unfit.clone());
        let unfit = unfit.unwrap_or_default();
        for record in frame.to_records() {
            let sequence = record.position.sequence;
            if self.claimed.contains(sequence) {
                continue;
            }
            let failure = Failure::new(output_type::PROCESSING_FAILED, &unfit.code, &unfit.message);
            let now = self.age_of(frame, sequence);
            let fate = Fate::Fail { failure, raw: record.data };
            self.enter(fate, Origin::Whole(sequence), frame.arrival_ms, now)?;
        }
        Ok(())
    }

    /// A restart does not make a record younger.
    fn age_of(&self, frame: &Frame, first: u64) -> Now {
        let clock = &self.destination.env.clock;
        let read = clock.monotonic();
        if first >= self.began_at_tail {
            return Now::at(read);
        }
        let age_ms = clock.now_ms().saturating_sub(frame.arrival_ms).max(0) as u64;
        Now { since: read.saturating_sub(Duration::from_millis(age_ms)), read }
    }

    /// Puts the frame's records, past those that are claimed, to those that wait for the
    /// transforms.
    fn gather(&mut self, frame: &Frame, now: Now) {
        let limit = self.remote.map_or(u64::MAX, |remote| remote.gather_bytes.max(1));
        for record in frame.to_records() {
            if self.claimed.contains(record.position.sequence) {
                continue;
            }
            let bytes = record.data.len() as u64;
            let gathered = &self.intake.gathered;
            let together = match (self.expands, self.remote) {
                (true, None) => limits::EXPANDING_TOGETHER,
                (true, Some(_)) => limits::EXPANDING_TOGETHER_CALLED,
                (false, _) => limits::TRANSFORMED_TOGETHER,
            };
            if gathered.bytes + bytes > limit || gathered.records.len() >= together {
                self.transform_gathered();
            }
            let gathered = &mut self.intake.gathered;
            gathered.since.get_or_insert(now.read);
            gathered.bytes += bytes;
            gathered.end = record.position.sequence + 1;
            gathered.records.push(record);
        }
        self.intake.gathered.end = frame.end().sequence;
    }

    /// Hands what is gathered to the transforms.
    pub(super) fn transform_gathered(&mut self) {
        let gathered = std::mem::take(&mut self.intake.gathered);
        self.intake.gathered.end = gathered.end;
        if gathered.since.is_some() {
            self.intake.queued.push_back(gathered);
        }
        self.call();
    }

    /// Calls the transforms for what is gathered, as long as there is room.
    fn call(&mut self) {
        while self.intake.jobs.len() < calls(self.remote)
            && let Some(Gathered { records, since, end, .. }) = self.intake.queued.pop_front()
        {
            let segments = self.segments.clone();
            let most = segments.len();
            let task = transform(self.destination.clone(), segments, most, records);
            let since = since.unwrap_or_default();
            self.intake.jobs.push_back(Job { end, since, task: tokio::spawn(task) });
        }
    }

    /// Gathers no longer than the chain wants: at once where it only computes.
    pub(super) fn transform_due(&mut self, now: bool) {
        let clock = self.destination.env.clock.monotonic();
        let due = match self.intake.gathered_until(self.remote) {
            Some(until) => clock >= until,
            None => true,
        };
        if due || now {
            self.transform_gathered();
        }
    }

    /// Up to where everything read has reached a batch or its end.
    pub(super) fn taken(&self) -> u64 {
        if self.intake.is_empty() { self.ledger.opened() } else { self.taken }
    }

    /// What the transforms made of some records, into batches.
    pub(super) fn consume(
        &mut self,
        routed: Vec<Routed>,
        end: u64,
        read: Duration,
    ) -> Result<(), DeliveryError> {
        let mut dropped = Ranges::new();
        for record in routed {
            let since = self.since(record.arrival_ms, read);
            let now = Now { since, read };
            let Routed { sequence, arrival_ms, mut leaves } = record;
            match (leaves.pop(), leaves.is_empty()) {
                (Some(Fate::Drop), true) => dropped.insert(sequence, sequence + 1),
                (Some(leaf), true) => {
                    self.enter(leaf, Origin::Whole(sequence), arrival_ms, now)?;
                }
                (last, _) => {
                    leaves.extend(last);
                    self.consume_leaves(sequence, arrival_ms, leaves, now)?;
                }
            }
        }
        self.taken = end;
        self.call();
        self.destination.metrics.dropped_records.inc_by(dropped.count());
        self.settle(&dropped)?;
        self.share.report(self.memory_bytes());
        Ok(())
    }

    /// On the clock of this run, since when a record has waited.
    fn since(&self, arrival_ms: i64, read: Duration) -> Duration {
        if self.taken >= self.began_at_tail {
            return read;
        }
        let now_ms = self.destination.env.clock.now_ms();
        read.saturating_sub(Duration::from_millis(now_ms.saturating_sub(arrival_ms).max(0) as u64))
    }

    /// One leaf on its way to its end.
    pub(super) fn enter(
        &mut self,
        leaf: Fate,
        origin: Origin<'_>,
        arrival_ms: i64,
        now: Now,
    ) -> Result<(), DeliveryError> {
        match (leaf, origin) {
            (Fate::To { route, data, raw }, _) => {
                self.add(route, origin, arrival_ms, &[(&data, &raw)], now);
            }
            (Fate::Fail { failure, raw }, _) => self.fail(origin, arrival_ms, &[&raw], &failure),
            (Fate::Drop, Origin::Whole(sequence)) => {
                self.destination.metrics.dropped_records.inc();
                self.settle(&Ranges::of(sequence, sequence + 1))?;
            }
            (Fate::Drop, Origin::Leaves { sequence, of, leaves }) => {
                self.drop_leaves(sequence, of, leaves.len() as u32)?;
            }
        }
        Ok(())
    }

    /// A record with several ends: leaves of one route stay together, the others are settled one
    /// by one.
    fn consume_leaves(
        &mut self,
        sequence: u64,
        arrival_ms: i64,
        leaves: Vec<Fate>,
        now: Now,
    ) -> Result<(), DeliveryError> {
        let of = leaves.len() as u32;
        let held: HashSet<u32> = self.claims.read(sequence, of).into_iter().collect();
        let mut routes: Vec<Together> = Vec::new();
        let mut place: HashMap<Route, usize> = HashMap::new();
        let mut failed = Vec::new();
        let mut dropped = 0;
        for (index, leaf) in (0u32..).zip(leaves).filter(|(index, _)| !held.contains(index)) {
            match leaf {
                Fate::Drop => dropped += 1,
                Fate::Fail { failure, raw } => failed.push((index, failure, raw)),
                Fate::To { route, data, raw } => {
                    let at = *place.entry(route.clone()).or_insert_with(|| {
                        routes.push(Together { route, indexes: Vec::new(), pieces: Vec::new() });
                        routes.len() - 1
                    });
                    routes[at].indexes.push(index);
                    routes[at].pieces.push((data, raw));
                }
            }
        }
        let together = matches!(&routes[..], [only] if only.indexes.len() as u32 == of);
        if !together {
            self.drop_leaves(sequence, of, dropped)?;
        }
        for Together { route, indexes, pieces } in routes {
            let origin = Origin::Leaves { sequence, of, leaves: &indexes };
            let pieces: Vec<_> = pieces.iter().map(|(data, raw)| (data, raw)).collect();
            self.add(route, origin, arrival_ms, &pieces, now);
        }
        for (index, failure, raw) in failed {
            let origin = Origin::Leaves { sequence, of, leaves: &[index] };
            self.fail(origin, arrival_ms, &[&raw], &failure);
        }
        Ok(())
    }

    /// Puts records into the batch of their route, or to the errors where no further partition may
    /// be opened.
    fn add(
        &mut self,
        route: Route,
        origin: Origin<'_>,
        arrival_ms: i64,
        pieces: &[(&Bytes, &Bytes)],
        now: Now,
    ) {
        let limit = self.destination.partitions_max as usize;
        let is_surplus = matches!(route, Route::Partition(_))
            && !self.batcher.is_open(&route)
            && self.batcher.open_partitions() >= limit;
        if !is_surplus {
            let data = pieces.iter().map(|(data, _)| &data[..]);
            let closed = self.batcher.add(&route, origin, arrival_ms, data, now);
            self.ship_all(closed);
            return;
        }
        self.destination.metrics.partition_count_exceeded.set(1);
        let failure = Failure::new(
            output_type::ACTIVE_PARTITION_EXCEEDED,
            "DynamicPartitioning.ActivePartitionsLimitExceeded",
            format!("more than {limit} partitions are open at a time"),
        );
        let raws: Vec<&[u8]> = pieces.iter().map(|(_, raw)| &raw[..]).collect();
        self.fail(origin, arrival_ms, &raws, &failure);
    }
}

/// Takes records through the first segments of the chain (`most` of them), and finds their routes.
pub(super) async fn transform(
    destination: Arc<Destination>,
    segments: Arc<Vec<Segment>>,
    most: usize,
    records: Vec<Record>,
) -> Result<Vec<Routed>, MissingVerdict> {
    let heads: Vec<(u64, i64)> =
        records.iter().map(|record| (record.position.sequence, record.arrival_ms)).collect();
    let mut under_way = UnderWay::new(records);
    for at in 0..most {
        if segments[at].waits {
            under_way = segments[at].apply(under_way).await?;
            continue;
        }
        let segments = segments.clone();
        let computed = destination.pool.run(move || {
            let applied = segments[at].apply(under_way).now_or_never();
            applied.expect("a transform that only computes never waits")
        });
        under_way = computed.await?;
    }
    let pool = destination.pool.clone();
    let routed = pool.run(move || {
        let ends = under_way.ends().into_iter().zip(heads);
        let routed = ends.map(|(ends, (sequence, arrival_ms))| {
            let fate = |end| destination.fate(end, arrival_ms);
            Routed { sequence, arrival_ms, leaves: ends.into_iter().map(fate).collect() }
        });
        routed.collect()
    });
    Ok(routed.await)
}

impl Destination {
    /// Where a leaf goes behind the transforms.
    fn fate(&self, end: End, arrival_ms: i64) -> Fate {
        match end {
            End::Drop => Fate::Drop,
            End::Fail { failure, raw } => Fate::Fail { failure, raw },
            End::Emit { piece, raw } => match self.naming.route(&piece.notes, arrival_ms) {
                Ok(route) => Fate::To { route, data: piece.data, raw },
                Err(failure) => Fate::Fail { failure, raw },
            },
        }
    }
}
