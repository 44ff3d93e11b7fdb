//! The way of a failed record: listed, read, batched, delivered, settled.
//!
//! ```text
//!  list ──10,000 objects──▶ read (4 at a time, 2 pieces of 1 MiB each) ──▶ batch ──4 calls──▶ deliver
//!                                                                            settled, in order │
//!                                      delete or move ◀── state file (synced) ◀────────────────┘
//! ```
//!
//! Objects are read ahead but handed on one after the other, and batches are settled in the order
//! in which they were made; so the state needs one number an object to know where to go on.
//! A stop, or a failure of the deliverer, lets calls under way end and keeps what they settled.

use std::{
    collections::{HashSet, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
};

use futures::{
    StreamExt,
    stream::{FuturesOrdered, FuturesUnordered},
};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{
    batches::{Batch, Batches},
    deliverer::{Advance, DeliverError, Deliverer, Observer, Outcome},
    kind::Kind,
    lines::Wanted,
    listing::{Found, list},
    owner::is_of_stream,
    pace::Pace,
    plan::{Disposal, Plan},
    reading::{self, Piece, Reading},
    report::{End, Report},
    slots::{Done, Slots},
    state::{self, Changes},
    store::{Object, StoreError},
};
use crate::limits;

/// Objects being deleted or moved at a time.
const DISPOSALS: usize = 16;

type Delivered = (Batch, Result<Vec<Outcome>, DeliverError>);
type Flight<'a> = Pin<Box<dyn Future<Output = Delivered> + Send + 'a>>;
type Disposed = (Arc<str>, state::Digest, Result<bool, StoreError>);
type Disposing = Pin<Box<dyn Future<Output = Disposed> + Send>>;

/// Replays what the plan says through `sink`.
pub async fn run(plan: Plan, sink: &dyn Deliverer, observer: &dyn Observer) -> Report {
    Run::new(plan, sink, observer).execute().await
}

/// Reads what the plan says and hands it to nobody: the report's summary tells what there is.
/// Neither the state nor any object is changed.
pub async fn survey(plan: Plan, observer: &dyn Observer) -> Report {
    struct Nobody;
    #[async_trait::async_trait]
    impl Deliverer for Nobody {
        async fn deliver(
            &self,
            lines: Vec<super::FailedLine>,
        ) -> Result<Vec<Outcome>, DeliverError> {
            Ok(vec![Outcome::Delivered; lines.len()])
        }
    }
    let plan = Plan { state: None, disposal: Disposal::Keep, rate: Default::default(), ..plan };
    run(plan, &Nobody, observer).await
}

/// An object being read.
struct Reader {
    slot: u64,
    pieces: mpsc::Receiver<Reading>,
}

struct Run<'a> {
    plan: Plan,
    sink: &'a dyn Deliverer,
    observer: &'a dyn Observer,
    report: Report,
    advance: Advance,
    found: Arc<Found>,
    slots: Slots,
    readers: VecDeque<Reader>,
    /// URLs of manifests, and the slots of these.
    named: VecDeque<(String, u64)>,
    batches: Batches,
    flights: FuturesOrdered<Flight<'a>>,
    /// Bytes of the records of the calls under way.
    flying_bytes: u64,
    disposals: FuturesUnordered<Disposing>,
    pace: Pace,
    /// Objects a part of which was handed on and not settled: no later part of them counts.
    torn: HashSet<u64>,
    is_stopping: bool,
}

impl<'a> Run<'a> {
    fn new(plan: Plan, sink: &'a dyn Deliverer, observer: &'a dyn Observer) -> Self {
        let mut batch = plan.batch;
        batch.records = plan.rate.records_together(batch.records);
        Self {
            sink,
            observer,
            report: Report::new(),
            advance: Advance::default(),
            found: Arc::default(),
            slots: Slots::default(),
            readers: VecDeque::new(),
            named: VecDeque::new(),
            batches: Batches::new(batch),
            flights: FuturesOrdered::new(),
            flying_bytes: 0,
            disposals: FuturesUnordered::new(),
            pace: Pace::new(plan.rate),
            torn: HashSet::new(),
            is_stopping: false,
            plan,
        }
    }

    async fn execute(mut self) -> Report {
        let (sender, mut listed) = mpsc::channel(limits::REPLAY_LISTED_AHEAD);
        let store = self.plan.store.clone();
        let listing = list(store, self.plan.prefix.clone(), self.found.clone(), sender);
        let _listing = AbortOnDropHandle::new(tokio::spawn(listing));
        let stop = self.plan.stop.clone();
        let mut is_listed = false;
        loop {
            while !self.is_stopping
                && self.readers.len() < limits::REPLAY_OBJECTS_AHEAD
                && let Some((url, parent)) = self.named.pop_front()
            {
                self.open_named(&url, parent).await;
            }
            if is_listed && self.readers.is_empty() && self.named.is_empty() {
                self.batches.close();
            }
            if self.flights.is_empty()
                && self.disposals.is_empty()
                && (self.is_stopping || (is_listed && self.is_idle()))
            {
                break;
            }
            let may_read = !self.is_stopping && !self.batches.has_ready();
            let may_open = !self.is_stopping && self.readers.len() < limits::REPLAY_OBJECTS_AHEAD;
            let may_launch = !self.is_stopping
                && self.batches.has_ready()
                && self.flights.len() < self.plan.in_flight.max(1)
                && (self.flights.is_empty() || self.flying_bytes < self.plan.in_flight_bytes)
                && self.disposals.len() < DISPOSALS;
            let due = self.pace.due();
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.is_stopping => self.end(End::Stopped),
                Some(delivered) = self.flights.next(), if !self.flights.is_empty() => {
                    self.settle(delivered);
                }
                Some(disposed) = self.disposals.next(), if !self.disposals.is_empty() => {
                    self.disposed(disposed);
                }
                () = tokio::time::sleep_until(due), if may_launch => self.launch(),
                reading = next_reading(&mut self.readers), if may_read && !self.readers.is_empty() => {
                    self.take(reading);
                }
                object = listed.recv(), if may_open && !is_listed => match object {
                    Some(Ok(object)) => self.open_listed(object),
                    Some(Err(error)) => self.end(End::Failed(error.to_string())),
                    None => is_listed = true,
                },
            }
        }
        if let Some(state) = &mut self.plan.state {
            self.report.records.unremembered = state.unremembered();
            if let Err(error) = state.sync() {
                self.report.end = End::Failed(error.to_string());
            }
        }
        self.report
    }

    /// Nothing is being read, and nothing waits to be.
    fn is_idle(&self) -> bool {
        self.readers.is_empty() && self.named.is_empty() && !self.batches.has_ready()
    }

    /// Begins nothing new. The first reason counts.
    fn end(&mut self, end: End) {
        if !self.is_stopping {
            self.is_stopping = true;
            self.report.end = end;
            self.readers.clear();
        }
    }

    // ------------------------------------------------------------------------------------ objects

    fn open_listed(&mut self, object: Object) {
        let from_ms = self.plan.filter.from_ms;
        let skew = limits::REPLAY_CLOCK_SKEW.as_millis() as i64;
        let name = object.key.rsplit('/').next().unwrap_or_default();
        // A folder lists all that is in it, whatever the keys begin with.
        let is_meant = object.key.starts_with(&self.plan.prefix)
            && self.plan.stream.as_ref().is_none_or(|stream| is_of_stream(name, stream));
        if !is_meant {
            return self.passed(object.size_bytes);
        }
        if object.modified_ms > self.plan.started_ms {
            self.report.objects.newer += 1;
            return self.passed(object.size_bytes);
        }
        // A record cannot have arrived after its object was written.
        if from_ms.is_some_and(|from| object.modified_ms.saturating_add(skew) < from) {
            self.report.objects.older += 1;
            return self.passed(object.size_bytes);
        }
        let id = state::id_of(&object, false);
        if let Some(is_whole) = self.plan.state.as_ref().and_then(|state| state.finished(&id)) {
            self.report.objects.known += 1;
            self.passed(object.size_bytes);
            // It may be there only because the last run ended before it was deleted.
            let name = object.key.as_str().into();
            self.dispose(Done { object, id, name, is_whole, is_named: false });
            return;
        }
        self.start(object, id, None);
    }

    async fn open_named(&mut self, url: &str, parent: u64) {
        let mut changes = Changes::default();
        let done = match self.plan.store.named(url).await {
            Ok(object) => {
                let id = state::id_of(&object, true);
                match self.plan.state.as_ref().and_then(|state| state.finished(&id)) {
                    None => return self.start(object, id, Some(parent)),
                    Some(is_whole) => {
                        self.report.objects.known += 1;
                        self.slots.child_done(parent, is_whole, false, &mut changes)
                    }
                }
            }
            Err(StoreError::Store(error)) => return self.end(End::Failed(error)),
            Err(StoreError::Object(error)) => {
                self.report.objects.unreadable += 1;
                self.report.trouble(&url.into(), None, error);
                self.slots.child_done(parent, false, true, &mut changes)
            }
        };
        self.write_down(changes, done);
    }

    fn start(&mut self, object: Object, id: state::Digest, parent: Option<u64>) {
        let state = self.plan.state.as_ref();
        let progress = state.map(|state| state.progress(&id)).unwrap_or_default();
        let wanted = Wanted {
            filter: self.plan.filter.clone(),
            passed: progress.records,
            kind: Kind::of_key(&object.key),
        };
        let form = self.plan.form(&object, parent.is_some());
        let slot = self.slots.open(object.clone(), id, parent, progress);
        let store = self.plan.store.clone();
        let pieces = reading::start(store, object, form, wanted, state.is_some());
        self.readers.push_back(Reader { slot, pieces });
    }

    /// An object that is not read.
    fn passed(&mut self, bytes: u64) {
        self.advance.done_objects += 1;
        self.advance.done_bytes += bytes;
        self.tell();
    }

    // ------------------------------------------------------------------------------------ records

    fn take(&mut self, reading: Option<Reading>) {
        let Some(Reader { slot, .. }) = self.readers.front() else { return };
        let slot = *slot;
        match reading {
            Some(Reading::Piece(piece)) => self.piece(slot, piece),
            Some(Reading::End(Ok(()))) => {
                self.readers.pop_front();
                self.batches.end(slot);
            }
            Some(Reading::End(Err(StoreError::Store(error)))) => self.end(End::Failed(error)),
            Some(Reading::End(Err(StoreError::Object(error)))) => {
                self.readers.pop_front();
                self.unreadable(slot, error);
            }
            // The thread of a reader ends with `End` unless it panics.
            None => self.end(End::Failed("reading an object ended without a word".to_owned())),
        }
    }

    /// What was read of it until here is handed on; the object is not done.
    fn unreadable(&mut self, slot: u64, error: String) {
        self.report.objects.unreadable += 1;
        if let Some(open) = self.slots.get(slot) {
            self.report.trouble(&open.name, None, error);
            open.is_broken = true;
        }
        self.batches.end(slot);
    }

    fn piece(&mut self, slot: u64, mut piece: Piece) {
        self.advance.done_bytes += piece.read_bytes;
        self.slots.damaged(slot, &piece, &mut self.report);
        for url in std::mem::take(&mut piece.manifest) {
            self.slots.expect_child(slot);
            self.named.push_back((url, slot));
        }
        let Some(name) = self.slots.get(slot).map(|open| open.name.clone()) else { return };
        let mut digests = piece.digests.into_iter();
        for line in piece.lines {
            let digest = digests.next();
            self.report.summary.add(&name, &line);
            let returns = match (&self.plan.state, &digest) {
                (Some(state), Some(digest)) => state.returns(digest, &line),
                _ => 0,
            };
            if returns >= self.plan.replays_max {
                self.report.records.circling += 1;
                self.batches.give_up(slot, line.ordinal);
            } else if self.plan.attempts_max.is_some_and(|max| line.attempts > max) {
                self.report.records.exhausted += 1;
                self.batches.give_up(slot, line.ordinal);
            } else {
                self.batches.add(slot, line, digest);
            }
        }
        self.tell();
    }

    fn launch(&mut self) {
        let Some(mut batch) = self.batches.pop() else { return };
        let lines = std::mem::take(&mut batch.lines);
        if let Some(state) = &mut self.plan.state {
            // Only what is counted anew is written down with the outcome.
            let counted = batch.digests.iter().zip(&lines);
            batch.digests =
                counted.filter_map(|(digest, line)| state.count(*digest, line)).collect();
        }
        self.flying_bytes += batch.bytes as u64;
        self.pace.spend(lines.len() as u64, batch.bytes as u64);
        let sink = self.sink;
        self.flights.push_back(Box::pin(async move {
            let expected = lines.len();
            let answer = match expected {
                0 => Ok(Vec::new()),
                _ => sink.deliver(lines).await,
            };
            let answer = match answer {
                Ok(outcomes) if outcomes.len() != expected => Err(DeliverError::Failed(format!(
                    "{expected} records were answered with {} outcomes",
                    outcomes.len()
                ))),
                other => other,
            };
            (batch, answer)
        }));
    }

    fn settle(&mut self, (batch, answer): Delivered) {
        self.flying_bytes -= batch.bytes as u64;
        let outcomes = match answer {
            Ok(outcomes) => outcomes,
            Err(error) => {
                self.torn.extend(batch.marks.iter().map(|mark| mark.slot));
                return self.end(match error {
                    DeliverError::Stopped => End::Stopped,
                    DeliverError::Failed(reason) => End::Failed(reason),
                });
            }
        };
        let mut changes = Changes { records: batch.digests, ..Changes::default() };
        let mut done = Vec::new();
        for mark in &batch.marks {
            let name = self.slots.get(mark.slot).map(|slot| slot.name.clone());
            let mut refused = 0;
            for outcome in &outcomes[mark.lines.clone()] {
                self.advance.records += 1;
                match outcome {
                    Outcome::Delivered => self.report.records.delivered += 1,
                    Outcome::StoredAgain(_) => self.report.records.stored_again += 1,
                    Outcome::Refused(cause) => {
                        refused += 1;
                        self.report.records.refused += 1;
                        if let Some(name) = &name {
                            self.report.trouble(name, None, cause.to_string());
                        }
                    }
                }
            }
            if !self.torn.contains(&mark.slot) {
                done.extend(self.slots.settle(mark, refused, &mut changes));
            }
        }
        self.report.records.delivered_bytes += batch.bytes as u64;
        self.write_down(changes, done);
        self.tell();
    }

    /// First the state, then what must not be done without it.
    fn write_down(&mut self, changes: Changes, done: Vec<Done>) {
        if let Some(state) = &mut self.plan.state
            && let Err(error) = state.commit(&changes)
        {
            // What cannot be remembered must not go on: it would be repeated for ever.
            return self.end(End::Failed(error.to_string()));
        }
        for done in done {
            self.report.objects.finished += 1;
            self.advance.done_objects += 1;
            self.dispose(done);
        }
    }

    // ----------------------------------------------------------------------------------- disposal

    fn dispose(&mut self, done: Done) {
        if self.plan.disposal == Disposal::Keep || done.is_named {
            return;
        }
        if !done.is_whole {
            self.report.objects.kept += 1;
            return;
        }
        let store = self.plan.store.clone();
        let moved = match &self.plan.disposal {
            Disposal::MoveTo(to) => Some(self.plan.moved_key(to, &done.object.key)),
            _ => None,
        };
        self.disposals.push(Box::pin(async move {
            let answer = match &moved {
                None => store.delete(&done.object).await.map(|()| false),
                Some(key) => store.move_to(&done.object, key).await.map(|()| true),
            };
            (done.name, done.id, answer)
        }));
    }

    fn disposed(&mut self, (name, id, answer): Disposed) {
        if answer.is_ok()
            && let Some(state) = &mut self.plan.state
            && let Err(error) = state.forget(&id)
        {
            self.end(End::Failed(error.to_string()));
        }
        match answer {
            Ok(false) => self.report.objects.deleted += 1,
            Ok(true) => self.report.objects.moved += 1,
            Err(error) => {
                self.report.objects.stuck += 1;
                self.report.trouble(&name, None, format!("it could not be put away: {error}"));
            }
        }
    }

    fn tell(&mut self) {
        self.advance.listed_objects = self.found.objects.load(Ordering::Relaxed);
        self.advance.listed_bytes = self.found.bytes.load(Ordering::Relaxed);
        self.advance.is_listed = self.found.all.load(Ordering::Acquire);
        self.observer.advanced(&self.advance);
    }
}

async fn next_reading(readers: &mut VecDeque<Reader>) -> Option<Reading> {
    match readers.front_mut() {
        Some(reader) => reader.pieces.recv().await,
        None => None,
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
