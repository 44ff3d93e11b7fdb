//! The record's way, top to bottom, for one destination: read, transform, route, batch, ship,
//! settle, commit. One task per destination; shipments are its children.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    Destination, Ledger, LedgerError, Shipments,
    budget::Share,
    committer::Committer,
    history::History,
    ship::{self, Outcome, Parcel, Shipped},
    shipments::{JournalState, Planned, Reason},
    status::State,
};
use crate::{
    batch::{Batch, Batcher, CloseReason, SizeOf},
    limits,
    record::{Frame, Position, Ranges, Route},
    seams::{Entry, Failure, Journal, JournalError, Verdict},
    transform::MissingVerdict,
};

/// Why a destination's task ended by itself. It is started again by the daemon; nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("the journal cannot be read: {0}")]
    Journal(#[from] JournalError),
    #[error("the ledger cannot be opened: {0}")]
    Open(#[source] io::Error),
    #[error("a rule of the ledger was broken: {0}")]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Transform(#[from] MissingVerdict),
    #[error("a shipment's task ended without an answer: {0}")]
    Task(String),
}

/// What others ask of a running destination.
pub struct Signals {
    /// Leave: what is open stays in the journal, what is under way gets `patience_ms` to arrive.
    pub stop: CancellationToken,
    /// How long to wait, after `stop`, for shipments that are on their way and in no trouble.
    /// Nothing is lost without; with it, what arrives is known to have arrived before the
    /// destination's settings change.
    pub patience_ms: Arc<AtomicU64>,
    /// Read to the end, close everything, leave when it has arrived.
    pub drain: CancellationToken,
    /// Close what has been accepted so far; answers with the number of batches closed.
    pub flush: mpsc::Receiver<oneshot::Sender<u64>>,
}

impl Signals {
    fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms.load(Ordering::Relaxed))
    }
}

/// Delivers until told to stop. A later run goes on where this one ended, whatever ended it.
pub async fn run(
    destination: Arc<Destination>,
    signals: &mut Signals,
) -> Result<(), DeliveryError> {
    let mut tail = destination.journal.tail();
    let mut run = Run::recover(destination, &mut tail).await?;
    let mut ended = run.deliver(signals, &mut tail).await;
    if ended.is_ok() {
        ended = run.let_arrive(signals.patience()).await;
    }
    run.finish().await;
    ended
}

impl Run {
    /// The loop of a destination's life.
    async fn deliver(
        &mut self,
        signals: &mut Signals,
        tail: &mut watch::Receiver<Position>,
    ) -> Result<(), DeliveryError> {
        let run = self;
        run.rebuild().await?;
        let mut draining = false;
        loop {
            run.close_due();
            run.answer_flush();
            let end = tail.borrow_and_update().sequence;
            run.report(end);
            if draining && run.ledger.opened() >= end {
                run.close_all(CloseReason::Drain);
                if run.in_flight.is_empty() {
                    break;
                }
            }
            let room = run.has_room();
            let opened = run.ledger.opened();
            let due = run.until_due();
            let journal = run.destination.journal.clone();
            tokio::select! {
                biased;
                () = signals.stop.cancelled() => break,
                Some(shipped) = run.in_flight.join_next() => {
                    let shipped = shipped.map_err(|error| DeliveryError::Task(error.to_string()))?;
                    run.arrived(shipped).await?;
                }
                Some(answer) = signals.flush.recv() => {
                    // The value the others see: what was accepted before the request is included.
                    let until = tail.borrow().sequence;
                    run.flushes.push((until, answer));
                }
                () = run.share.asked() => run.close_largest(),
                () = due => {}
                entries = read(journal.as_ref(), opened, end), if room && opened < end => {
                    for entry in entries? {
                        run.take(entry).await?;
                        run.calibrate().await;
                    }
                }
                changed = tail.changed(), if opened >= end && !draining => {
                    if changed.is_err() {
                        break;
                    }
                }
                () = signals.drain.cancelled(), if !draining => draining = true,
            }
        }
        Ok(())
    }
}

async fn read(journal: &dyn Journal, from: u64, end: u64) -> Result<Vec<Entry>, JournalError> {
    journal.read(Position::new(0, from), Position::new(0, end), limits::READ_BYTES).await
}

struct Run {
    destination: Arc<Destination>,
    batcher: Batcher,
    ledger: Ledger,
    shipments: Arc<Mutex<Shipments>>,
    history: Arc<Mutex<History>>,
    /// Positions that shipments of an earlier run hold or have settled: they are not read again.
    claimed: Ranges,
    /// Settled positions that are not opened yet.
    settled_early: Ranges,
    /// The journal's end when this run began. What lies below has waited since before, and no
    /// batch is closed by its age until all of it is read: they would all be due at once.
    began_at_tail: u64,
    reasons: Vec<Reason>,
    in_flight: JoinSet<Shipped>,
    in_flight_bytes: Arc<AtomicU64>,
    flushes: Vec<(u64, oneshot::Sender<u64>)>,
    committer: Committer,
    share: Share,
    calibrated: bool,
    expansion: f64,
    warned_touching: bool,
}

impl Run {
    /// Finds out where the last run ended.
    async fn recover(
        destination: Arc<Destination>,
        tail: &mut watch::Receiver<Position>,
    ) -> Result<Self, DeliveryError> {
        let d = &destination;
        let cursor = d.journal.open_cursor(&d.name, true).await?.sequence;
        let end = tail.borrow().sequence;
        let (folder, env) = (d.folder.clone(), d.env.clone());
        let journal = JournalState { id: d.journal_id, cursor, tail: end };
        let opened = tokio::task::spawn_blocking(move || {
            env.files.create_dir_all(&folder)?;
            let shipments = Shipments::open(&folder.join("ledger"), &env, journal)?;
            let history = History::open(&folder.join("history"))?;
            Ok((shipments, history))
        });
        let opened = opened.await.map_err(|error| DeliveryError::Task(error.to_string()))?;
        let (shipments, history) = opened.map_err(DeliveryError::Open)?;
        let mut claimed = shipments.settled_positions();
        claimed.remove_below(cursor);
        let settled_early = claimed.clone();
        for planned in shipments.unsettled() {
            for (start, end) in planned.positions.iter() {
                claimed.insert(start, end);
            }
        }
        d.set_backlog_at_start(cursor + settled_early.count());
        let shipments = Arc::new(Mutex::new(shipments));
        let mut batcher = Batcher::new(d.buffering, d.framing.clone());
        // Until a sample has been encoded no batch counts as full.
        batcher.set_expansion(f64::INFINITY);
        Ok(Self {
            batcher,
            ledger: Ledger::starting_at(cursor),
            committer: Committer::start(d.journal.clone(), d.name.clone(), shipments.clone()),
            shipments,
            history: Arc::new(Mutex::new(history)),
            claimed,
            settled_early,
            began_at_tail: end,
            reasons: Vec::new(),
            in_flight: JoinSet::new(),
            in_flight_bytes: Arc::default(),
            flushes: Vec::new(),
            share: d.budget.share(),
            calibrated: false,
            expansion: 1.0,
            warned_touching: false,
            destination,
        })
    }

    /// Sends off again, under their old keys, the shipments that an earlier run did not see
    /// arrive.
    async fn rebuild(&mut self) -> Result<(), DeliveryError> {
        let unsettled = self.shipments.lock().unsettled();
        for planned in unsettled {
            let (batch, damaged) = self.build(&planned, &planned.positions).await?;
            if damaged.is_empty() {
                self.send(Parcel { batch, planned: Some(planned), reasons: Vec::new() });
                continue;
            }
            // The object may have arrived whole: what is left of it must not overwrite it.
            let except = planned.positions.clone();
            self.shipments.lock().settle(planned.id, except).map_err(DeliveryError::Open)?;
            self.damaged(&damaged);
            self.settle(&damaged)?;
            if batch.raw.records > 0 {
                self.send(Parcel { batch, planned: None, reasons: planned.reasons });
            }
        }
        Ok(())
    }

    /// Builds a batch of some of a shipment's positions from the journal; names those that are
    /// damaged.
    async fn build(
        &self,
        like: &Planned,
        positions: &Ranges,
    ) -> Result<(Batch, Ranges), DeliveryError> {
        let mut batcher = Batcher::unlimited(like.framing.clone());
        let reasons: HashMap<u64, &Reason> =
            like.reasons.iter().map(|reason| (reason.sequence, reason)).collect();
        let mut damaged = Ranges::new();
        for (start, end) in positions.iter() {
            let mut at = start;
            while at < end {
                let entries = read(self.destination.journal.as_ref(), at, end).await?;
                for entry in entries {
                    let first = at;
                    at = entry.end().sequence;
                    match entry {
                        Entry::Frame(frame) => {
                            self.refill(&mut batcher, &like.route, &frame, &reasons).await?;
                        }
                        Entry::Damaged { .. } => damaged.insert(first, at),
                    }
                }
            }
        }
        let mut batches = batcher.close_all(CloseReason::Recovery);
        let mut batch = batches.pop().unwrap_or_else(|| Batch {
            route: like.route.clone(),
            raw: Default::default(),
            positions: Ranges::new(),
            oldest_arrival_ms: self.destination.env.clock.now_ms(),
            reason: CloseReason::Recovery,
            objects_touch: false,
        });
        // A record that a transform emits nothing for any more settles with its shipment.
        batch.positions = positions.without(&damaged);
        Ok((batch, damaged))
    }

    /// Puts a frame's records into a batch that is built again.
    async fn refill(
        &self,
        batcher: &mut Batcher,
        route: &Route,
        frame: &Frame,
        reasons: &HashMap<u64, &Reason>,
    ) -> Result<(), DeliveryError> {
        let now = Duration::ZERO;
        if *route != Route::Objects {
            for (sequence, raw) in frame.iter() {
                if let Some(reason) = reasons.get(&sequence) {
                    let line = self.destination.error_line(route, raw, frame.arrival_ms, reason);
                    batcher.add(route, sequence, frame.arrival_ms, [&line[..]], now);
                }
            }
            return Ok(());
        }
        let records = frame.to_records();
        let verdicts = self.destination.transforms.apply(&records).await?;
        for (record, verdict) in records.iter().zip(verdicts) {
            if let Verdict::Emit(pieces) = verdict {
                let pieces = pieces.iter().map(|piece| &piece[..]);
                batcher.add(route, record.position.sequence, record.arrival_ms, pieces, now);
            }
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        let bytes = self.in_flight_bytes.load(Ordering::Relaxed);
        self.in_flight.len() < limits::SHIPMENTS_IN_FLIGHT
            && bytes < limits::IN_FLIGHT_BYTES_DEFAULT
    }

    /// One entry of the journal on its way into batches.
    async fn take(&mut self, entry: Entry) -> Result<(), DeliveryError> {
        let (first, end) = (entry.first().sequence, entry.end().sequence);
        let clock = &self.destination.env.clock;
        let mut now = clock.monotonic();
        if let Entry::Frame(frame) = &entry
            && first < self.began_at_tail
        {
            // A restart does not make a record younger.
            let age_ms = clock.now_ms().saturating_sub(frame.arrival_ms).max(0) as u64;
            now = now.saturating_sub(Duration::from_millis(age_ms));
        }
        match entry {
            Entry::Damaged { .. } => {
                self.ledger.open(first, end, self.destination.env.clock.now_ms())?;
                let damaged = Ranges::of(first, end).without(&self.claimed);
                self.damaged(&damaged);
                self.settle(&damaged)?;
            }
            Entry::Frame(frame) => {
                self.ledger.open(first, end, frame.arrival_ms)?;
                let untouched = self.claimed.is_disjoint(first, end);
                if untouched && self.destination.transforms.is_empty() {
                    let mut closed = Vec::new();
                    self.batcher.add_frame(&frame, now, &mut closed);
                    self.ship_all(closed);
                } else {
                    self.take_records(&frame, now).await?;
                }
            }
        }
        let early = self.settled_early.within(first, end);
        if !early.is_empty() {
            self.settled_early = self.settled_early.without(&early);
            self.settle(&early)?;
        }
        self.share.report(self.batcher.open_bytes());
        Ok(())
    }

    /// Says aloud that records are gone: the one end that no promise covers.
    fn damaged(&self, positions: &Ranges) {
        self.destination.metrics.damaged_records.inc_by(positions.count());
        for (first, end) in positions.iter() {
            tracing::error!(
                stream = self.destination.stream,
                destination = self.destination.name,
                first,
                end,
                "records are damaged in the journal and cannot be delivered"
            );
        }
    }

    /// The records of a frame one by one: through the transforms, past what is claimed.
    async fn take_records(&mut self, frame: &Frame, now: Duration) -> Result<(), DeliveryError> {
        let mut records = frame.to_records();
        records.retain(|record| !self.claimed.contains(record.position.sequence));
        let verdicts = self.destination.transforms.apply(&records).await?;
        let mut dropped = Ranges::new();
        for (record, verdict) in records.iter().zip(verdicts) {
            let sequence = record.position.sequence;
            match verdict {
                Verdict::Emit(pieces) => {
                    let pieces = pieces.iter().map(|piece| &piece[..]);
                    let arrival_ms = record.arrival_ms;
                    let closed =
                        self.batcher.add(&Route::Objects, sequence, arrival_ms, pieces, now);
                    self.ship_all(closed);
                }
                Verdict::Drop => dropped.insert(sequence, sequence + 1),
                Verdict::Fail(failure) => {
                    self.fail(sequence, record.arrival_ms, &record.data, &failure);
                }
            }
        }
        self.destination.metrics.dropped_records.inc_by(dropped.count());
        self.settle(&dropped)
    }

    /// A failed record becomes a record of the error route: the same way, another prefix.
    fn fail(&mut self, sequence: u64, arrival_ms: i64, raw: &[u8], failure: &Failure) {
        let reason = Reason {
            sequence,
            code: failure.cause.code.clone(),
            message: failure.cause.message.clone(),
            attempts: failure.attempts,
        };
        let route = Route::Errors(failure.output_type.into());
        let line = self.destination.error_line(&route, raw, arrival_ms, &reason);
        self.reasons.push(reason);
        let now = self.destination.env.clock.monotonic();
        let closed = self.batcher.add(&route, sequence, arrival_ms, [&line[..]], now);
        self.ship_all(closed);
    }

    /// Fails positions whose bytes must be read again.
    async fn fail_positions(&mut self, failed: Vec<(u64, Failure)>) -> Result<(), DeliveryError> {
        for (sequence, failure) in failed {
            let (from, before) = (Position::new(0, sequence), Position::new(0, sequence + 1));
            for entry in self.destination.journal.read(from, before, 1).await? {
                match entry {
                    Entry::Frame(frame) => {
                        self.fail(sequence, frame.arrival_ms, &frame.data, &failure);
                    }
                    Entry::Damaged { .. } => {
                        let lost = Ranges::of(sequence, sequence + 1);
                        self.damaged(&lost);
                        self.settle(&lost)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether batches are closed by age now.
    fn ages_count(&self) -> bool {
        self.ledger.opened() >= self.began_at_tail || !self.has_room()
    }

    fn close_due(&mut self) {
        if !self.ages_count() {
            return;
        }
        let due = self.batcher.close_due(self.destination.env.clock.monotonic());
        self.ship_all(due);
    }

    fn close_all(&mut self, reason: CloseReason) {
        let closed = self.batcher.close_all(reason);
        self.ship_all(closed);
    }

    fn close_largest(&mut self) {
        let closed = self.batcher.close_largest();
        self.ship_all(closed);
    }

    /// Sleeps until the next batch is due; for ever if none is open.
    fn until_due(&self) -> impl Future<Output = ()> + use<> {
        let now = self.destination.env.clock.monotonic();
        let due = self.batcher.next_due().filter(|_| self.ages_count());
        let wait = due.map(|due| due.saturating_sub(now));
        async move {
            match wait {
                None => std::future::pending().await,
                Some(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Answers requests to flush whose records have all been read. While nothing can be read,
    /// because all that may be on its way is stuck, what is open is all there is to close.
    fn answer_flush(&mut self) {
        let opened = if self.has_room() { self.ledger.opened() } else { u64::MAX };
        if !self.flushes.iter().any(|(until, _)| *until <= opened) {
            return;
        }
        let count = self.batcher.open_batches() as u64;
        self.close_all(CloseReason::Flush);
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.flushes).into_iter().partition(|(until, _)| *until <= opened);
        self.flushes = later;
        for (_, answer) in due {
            // Whoever asked may have gone.
            let _ = answer.send(count);
        }
    }

    fn ship_all(&mut self, batches: impl IntoIterator<Item = Batch>) {
        for batch in batches {
            self.warn_of_touching(&batch);
            let mut reasons = Vec::new();
            if batch.route != Route::Objects {
                let all = std::mem::take(&mut self.reasons);
                (reasons, self.reasons) =
                    all.into_iter().partition(|reason| batch.positions.contains(reason.sequence));
            }
            self.send(Parcel { batch, planned: None, reasons });
        }
        self.share.report(self.batcher.open_bytes());
    }

    fn send(&mut self, parcel: Parcel) {
        let destination = self.destination.clone();
        let (shipments, history) = (self.shipments.clone(), self.history.clone());
        let weight = ship::Weight::of(&self.in_flight_bytes, parcel.batch.raw.data.len());
        self.in_flight.spawn(ship::ship(destination, shipments, history, parcel, weight));
    }

    /// One warning per run: objects without anything between them are not what readers expect.
    fn warn_of_touching(&mut self, batch: &Batch) {
        if batch.objects_touch && !self.warned_touching {
            self.warned_touching = true;
            tracing::warn!(
                stream = self.destination.stream,
                destination = self.destination.name,
                remedy = "transforms: [{append_delimiter: \"\\n\"}]",
                "json objects arrive without a separator: Athena reads only the first of each line"
            );
        }
    }

    /// The first guess of how much the encoding shrinks, for `size_of: object`.
    async fn calibrate(&mut self) {
        if self.calibrated || self.destination.buffering.size_of != SizeOf::Object {
            return;
        }
        let wanted = self.destination.buffering.size.0.min(limits::MIB) as usize;
        let Some(sample) = self.batcher.sample(wanted) else { return };
        let encoder = crate::encode::encoder(self.destination.compression);
        let raw_len = sample.len();
        let batch = crate::seams::RawBatch { data: sample, records: 1 };
        let encoded = self.destination.pool.run(move || encoder.encode(batch)).await;
        self.calibrated = true;
        self.learn(raw_len, encoded.body.len());
    }

    /// Takes note of how much an encoding shrank.
    fn learn(&mut self, raw_len: usize, encoded_len: usize) {
        let latest = raw_len as f64 / encoded_len.max(1) as f64;
        self.expansion =
            if self.expansion == 1.0 { latest } else { (self.expansion + latest) / 2.0 };
        self.batcher.set_expansion(self.expansion);
    }

    /// A shipment has come to its end.
    async fn arrived(&mut self, shipped: Shipped) -> Result<(), DeliveryError> {
        if shipped.encoded_len > 0 && shipped.route == Route::Objects {
            self.learn(shipped.raw_len, shipped.encoded_len);
        }
        match shipped.outcome {
            Outcome::Stopped => Ok(()),
            Outcome::Delivered { rejected, leftovers, like } => {
                let mut open = leftovers.clone();
                for (sequence, _) in &rejected {
                    open.insert(*sequence, sequence + 1);
                }
                let good = shipped.positions.without(&open);
                let metrics = &self.destination.metrics;
                if shipped.route == Route::Objects {
                    metrics.records.inc_by(good.count());
                } else {
                    metrics.failed_records.inc_by(good.count());
                }
                self.settle(&good)?;
                self.fail_positions(rejected).await?;
                if !leftovers.is_empty() {
                    let (batch, damaged) = self.build(&like, &leftovers).await?;
                    self.damaged(&damaged);
                    self.settle(&damaged)?;
                    self.send(Parcel { batch, planned: None, reasons: like.reasons });
                }
                Ok(())
            }
        }
    }

    /// Settles positions, those that are not read yet as soon as they are.
    fn settle(&mut self, positions: &Ranges) -> Result<(), DeliveryError> {
        let opened = self.ledger.opened();
        let now = positions.within(0, opened);
        for (start, end) in positions.without(&now).iter() {
            self.settled_early.insert(start, end);
        }
        if let Some(committed) = self.ledger.settle(&now)? {
            self.claimed.remove_below(committed);
            self.committer.commit(committed);
        }
        Ok(())
    }

    fn report(&self, tail: u64) {
        let d = &self.destination;
        let settled =
            self.ledger.committed() + self.ledger.settled_ahead() + self.settled_early.count();
        let backlog = tail.saturating_sub(settled);
        let oldest = self.ledger.oldest_arrival_ms();
        d.metrics.backlog_records.set(backlog as i64);
        d.metrics.open_batches.set(self.batcher.open_batches() as i64);
        d.metrics.open_bytes.set(self.batcher.open_bytes() as i64);
        d.status.set_progress(backlog, oldest, self.ledger.committed());
    }

    /// Waits a while for what is on its way. A destination in trouble is not waited for.
    async fn let_arrive(&mut self, patience: Duration) -> Result<(), DeliveryError> {
        let until = tokio::time::Instant::now() + patience;
        while self.destination.status.get().state == State::Delivering
            && let Ok(Some(shipped)) =
                tokio::time::timeout_at(until, self.in_flight.join_next()).await
        {
            let shipped = shipped.map_err(|error| DeliveryError::Task(error.to_string()))?;
            self.arrived(shipped).await?;
        }
        Ok(())
    }

    /// Leaves: what has arrived is committed, the rest stays in the journal.
    async fn finish(mut self) {
        self.in_flight.shutdown().await;
        let end = self.destination.journal.tail().borrow().sequence;
        self.report(end);
        self.committer.finish().await;
    }
}
