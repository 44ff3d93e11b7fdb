//! The record's way, top to bottom, for one destination: read, transform, route, batch, ship,
//! settle, commit. One task per destination; shipments are its children.

use std::{
    collections::{HashMap, VecDeque},
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
    again::Again,
    budget::Share,
    claims::Claims,
    committer::Committer,
    history::History,
    intake::Intake,
    recover::{self, shared},
    ship::{self, Parcel, Shipped},
    shipments::{JournalState, Reason},
    spill::Spill,
    status::State,
    tally::Report,
};
use crate::{
    batch::{Batch, Batcher, CloseReason, SizeOf},
    limits,
    record::{Position, Ranges, Route},
    seams::{Entry, Journal, JournalError, RawBatch, Remote},
    transform::{MissingVerdict, Segment},
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
        tokio::select! {
            biased;
            () = signals.stop.cancelled() => return Ok(()),
            rebuilt = run.rebuild() => rebuilt?,
        }
        let mut draining = false;
        loop {
            run.transform_due(draining || !run.flushes.is_empty());
            run.close_due();
            run.answer_flush();
            run.send_waiting();
            let end = tail.borrow_and_update().sequence;
            run.report(end);
            if draining && run.taken() >= end {
                run.close_all(CloseReason::Drain);
                run.send_waiting();
                if run.in_flight.is_empty() && run.again.is_empty() {
                    break;
                }
            }
            let reads = run.has_room() && run.intake.has_room(run.remote);
            let opened = run.ledger.opened();
            let due = run.until_due();
            let journal = run.destination.journal.clone();
            tokio::select! {
                biased;
                () = signals.stop.cancelled() => break,
                Some(shipped) = run.in_flight.join_next() => {
                    let shipped = shipped.map_err(|error| DeliveryError::Task(error.to_string()))?;
                    run.arrived(shipped)?;
                }
                transformed = run.intake.next() => {
                    let (routed, end, since) = transformed?;
                    run.consume(routed, end, since)?;
                    run.calibrate().await?;
                }
                Some(answer) = signals.flush.recv() => {
                    // The value the others see: what was accepted before the request is included.
                    let until = tail.borrow().sequence;
                    run.flushes.push((until, answer));
                }
                () = run.share.asked() => run.make_room(),
                Some(again) = run.again.join_next() => {
                    let again = again.map_err(|error| DeliveryError::Task(error.to_string()))?;
                    run.enter_again(again?)?;
                }
                Some(written) = run.spilling.join_next() => run.spilled(written),
                () = due => {}
                entries = read(journal.as_ref(), opened, end), if reads && opened < end => {
                    for entry in entries? {
                        run.take(entry)?;
                        run.calibrate().await?;
                    }
                    run.share.report(run.memory_bytes());
                }
                // Also while nothing may be read: the backlog is to be told.
                changed = tail.changed(), if (opened >= end || !reads) && !draining => {
                    if changed.is_err() {
                        break;
                    }
                }
                () = signals.drain.cancelled(), if !draining => draining = true,
                // Whether a flush can be answered may depend on the destination's trouble alone.
                () = tokio::time::sleep(limits::FLUSH_LOOK_EVERY), if !run.flushes.is_empty() => {}
            }
        }
        Ok(())
    }
}

pub(super) async fn read(
    journal: &dyn Journal,
    from: u64,
    end: u64,
) -> Result<Vec<Entry>, JournalError> {
    journal.read(Position::new(0, from), Position::new(0, end), limits::READ_BYTES).await
}

pub(super) struct Run {
    pub destination: Arc<Destination>,
    /// The chain, in pieces that compute and pieces that wait.
    pub segments: Arc<Vec<Segment>>,
    /// How records are gathered for the chain.
    pub remote: Option<Remote>,
    /// Whether the chain may make very large records of small ones.
    pub expands: bool,
    pub intake: Intake,
    /// Everything below has been through the transforms.
    pub taken: u64,
    pub batcher: Batcher,
    pub ledger: Ledger,
    pub shipments: Arc<Mutex<Shipments>>,
    history: Arc<Mutex<History>>,
    /// Positions that shipments of an earlier run hold or have settled: they are not read again.
    pub claimed: Ranges,
    /// The same for positions that were taken apart.
    pub claims: Claims,
    /// Settled positions that are not opened yet.
    pub settled_early: Ranges,
    /// The journal's end when this run began. What lies below has waited since before, and no
    /// batch is closed by its age until all of it is read: they would all be due at once.
    pub began_at_tail: u64,
    pub reasons: HashMap<Route, Vec<Reason>>,
    /// Closed batches whose turn has not come.
    waiting: VecDeque<Parcel>,
    /// Bytes of theirs in memory.
    waiting_bytes: u64,
    pub in_flight: JoinSet<Shipped>,
    in_flight_bytes: Arc<AtomicU64>,
    /// Records that are read again, because they failed at the end or are wanted once more.
    pub again: JoinSet<Result<Again, DeliveryError>>,
    flushes: Vec<(u64, oneshot::Sender<u64>)>,
    pub committer: Committer,
    pub share: Share,
    spill: Arc<Spill>,
    spilling: JoinSet<io::Result<()>>,
    /// Until when nothing is put on disk, after the disk refused.
    spill_rests_until: Duration,
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
        let journal = JournalState { id: d.journal_id, cursor, tail: end };
        let of_ledger = destination.clone();
        let recovered =
            tokio::task::spawn_blocking(move || recover::recover(&of_ledger, journal)).await;
        let recovered = recovered.map_err(|error| DeliveryError::Task(error.to_string()))?;
        let recovered = recovered.map_err(DeliveryError::Open)?;
        d.set_backlog_at_start(cursor + recovered.settled.count());
        let shipments = shared(recovered.shipments);
        let mut batcher = Batcher::new(d.buffering, d.framing.clone())
            .with_errors(d.error_buffering)
            .by_record(d.format.by_record())
            .in_chunks(d.spills());
        // Until a sample has been encoded no batch counts as full.
        batcher.set_expansion(f64::INFINITY);
        Ok(Self {
            batcher,
            segments: Arc::new(d.transforms.segments()),
            remote: d.transforms.remote(),
            expands: d.transforms.expands(),
            intake: Intake::default(),
            taken: cursor,
            ledger: Ledger::starting_at(cursor),
            committer: Committer::start(d.journal.clone(), d.name.clone(), shipments.clone()),
            shipments,
            history: shared(recovered.history),
            claimed: recovered.claimed,
            claims: recovered.claims,
            settled_early: recovered.settled,
            began_at_tail: end,
            reasons: HashMap::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            in_flight: JoinSet::new(),
            in_flight_bytes: Arc::default(),
            again: JoinSet::new(),
            flushes: Vec::new(),
            share: d.budget.share(),
            spill: Arc::new(Spill::new(d.folder.clone())),
            spilling: JoinSet::new(),
            spill_rests_until: Duration::ZERO,
            calibrated: false,
            expansion: 1.0,
            warned_touching: false,
            destination,
        })
    }

    /// Whether more may be read: what is closed must be able to leave first.
    fn has_room(&self) -> bool {
        let bytes = self.in_flight_bytes.load(Ordering::Relaxed) + self.waiting_bytes;
        let shipments = self.in_flight.len() + self.waiting.len();
        shipments < self.destination.bounds.batches
            && bytes < self.destination.bounds.bytes
            && self.spill.memory_bytes() < limits::SPILLING_BYTES_MAX
    }

    /// Bytes of open and waiting batches in memory.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.batcher.open_bytes() + self.waiting_bytes + self.spill.memory_bytes()
    }

    /// Memory is short, and this destination holds most of it.
    fn make_room(&mut self) {
        let d = self.destination.clone();
        let spills = d.spills()
            && self.spill.disk_bytes() < limits::SPILL_BYTES_MAX
            && d.env.clock.monotonic() >= self.spill_rests_until;
        if !spills {
            let closed = self.batcher.close_largest();
            return self.ship_all(closed);
        }
        let target = self.batcher.open_bytes() / 100 * limits::SPILL_TO_PERCENT;
        let (spill, spilling) = (&self.spill, &mut self.spilling);
        self.batcher.put_aside(target, |chunk| {
            let chunk = spill.chunk(chunk);
            let (spill, kept, pool) = (spill.clone(), chunk.clone(), d.pool.clone());
            spilling.spawn(async move { pool.run(move || spill.write(&kept)).await });
            chunk
        });
        self.share.report(self.memory_bytes());
    }

    /// A chunk is on disk. One that the disk did not take stays in memory; then batches are closed
    /// early for a while instead.
    fn spilled(&mut self, written: Result<io::Result<()>, tokio::task::JoinError>) {
        let now = self.destination.env.clock.monotonic();
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) if now >= self.spill_rests_until => {
                let (stream, destination) = (&self.destination.stream, &self.destination.name);
                tracing::warn!(stream, destination, %error, "open batches cannot be put on disk");
                self.spill_rests_until = now + limits::SPILL_REST;
                let closed = self.batcher.close_largest();
                self.ship_all(closed);
            }
            Ok(Err(_)) => {}
            Err(error) => tracing::error!(%error, "a task that wrote an open batch has ended"),
        }
        self.share.report(self.memory_bytes());
    }

    /// Whether a backlog from before the start is being read.
    fn catching_up(&self) -> bool {
        self.taken() < self.began_at_tail
    }

    fn close_due(&mut self) {
        let now = self.destination.env.clock.monotonic();
        let due = self.batcher.close_due(now, self.catching_up());
        self.ship_all(due);
    }

    fn close_all(&mut self, reason: CloseReason) {
        let closed = self.batcher.close_all(reason);
        self.ship_all(closed);
    }

    /// Sleeps until the next batch is due or the transforms' records are gathered; for ever if
    /// nothing is open.
    fn until_due(&self) -> impl Future<Output = ()> + use<> {
        let now = self.destination.env.clock.monotonic();
        let gathered = self.intake.gathered_until(self.remote);
        let due = self.batcher.next_due().into_iter().chain(gathered).min();
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
        self.flushes.retain(|(_, answer)| !answer.is_closed());
        let progress = self.destination.status.get();
        let in_trouble =
            [progress.state, progress.error_output].iter().any(|state| *state != State::Delivering);
        let stuck = !self.has_room() && in_trouble;
        let taken = if stuck { u64::MAX } else { self.taken() };
        if !self.flushes.iter().any(|(until, _)| *until <= taken) {
            return;
        }
        let count = self.batcher.open_batches() as u64;
        self.close_all(CloseReason::Flush);
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.flushes).into_iter().partition(|(until, _)| *until <= taken);
        self.flushes = later;
        for (_, answer) in due {
            // Whoever asked may have gone.
            let _ = answer.send(count);
        }
    }

    pub(super) fn ship_all(&mut self, batches: impl IntoIterator<Item = Batch>) {
        for batch in batches {
            self.warn_of_touching(&batch);
            // All reasons of an error route are those of its one open batch.
            let reasons = self.reasons.remove(&batch.route).unwrap_or_default();
            self.send(Parcel { batch, planned: None, reasons });
        }
    }

    /// Puts a parcel to those that wait for their turn.
    pub(super) fn send(&mut self, parcel: Parcel) {
        self.waiting_bytes += parcel.batch.raw.memory_bytes();
        self.waiting.push_back(parcel);
    }

    /// Sends off as many as may be under way.
    fn send_waiting(&mut self) {
        while self.in_flight.len() < self.destination.bounds.shipments
            && (self.in_flight.is_empty()
                || self.in_flight_bytes.load(Ordering::Relaxed) < self.destination.bounds.bytes)
            && let Some(parcel) = self.waiting.pop_front()
        {
            self.waiting_bytes -= parcel.batch.raw.memory_bytes();
            let destination = self.destination.clone();
            let (shipments, history) = (self.shipments.clone(), self.history.clone());
            let weight =
                ship::Weight::of(&self.in_flight_bytes, parcel.batch.raw.data_bytes() as usize);
            self.in_flight.spawn(ship::ship(destination, shipments, history, parcel, weight));
        }
        self.share.report(self.memory_bytes());
    }

    /// One warning per run: objects without anything between them are not what readers expect.
    fn warn_of_touching(&mut self, batch: &Batch) {
        if batch.objects_touch && !self.warned_touching && !self.destination.format.by_record() {
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
    async fn calibrate(&mut self) -> Result<(), DeliveryError> {
        if self.calibrated || self.destination.buffering.size_of != SizeOf::Object {
            return Ok(());
        }
        let wanted = self.destination.buffering.size.0.min(limits::MIB) as usize;
        let Some(sample) = self.batcher.sample(wanted) else { return Ok(()) };
        // Without an encoder nothing is learnt, and the first object will be asked for one again.
        let Ok(encoder) = self.destination.format.encoder().await else {
            self.calibrated = true;
            self.batcher.set_expansion(1.0);
            return Ok(());
        };
        let raw_len = sample.data.len();
        let records = sample.ends.len().max(1) as u64;
        let batch = RawBatch { tail: sample, records, ..RawBatch::default() };
        let encoded = self.destination.pool.run(move || encoder.encode(batch)).await;
        let encoded = encoded.map_err(DeliveryError::Open)?;
        self.calibrated = true;
        self.learn(raw_len, encoded.body.len());
        Ok(())
    }

    /// Takes note of how much an encoding shrank.
    pub(super) fn learn(&mut self, raw_len: usize, encoded_len: usize) {
        let latest = raw_len as f64 / encoded_len.max(1) as f64;
        self.expansion =
            if self.expansion == 1.0 { latest } else { (self.expansion + latest) / 2.0 };
        self.batcher.set_expansion(self.expansion);
    }

    fn report(&self, tail: u64) {
        let d = &self.destination;
        let settled =
            self.ledger.committed() + self.ledger.settled_ahead() + self.settled_early.count();
        let backlog = tail.saturating_sub(settled);
        let oldest = self.ledger.oldest_arrival_ms();
        if self.batcher.open_partitions() < d.partitions_max as usize {
            d.metrics.partition_count_exceeded.set(0);
        }
        let report = Report {
            backlog,
            oldest_arrival_ms: oldest,
            committed: self.ledger.committed(),
            open_batches: self.batcher.open_batches() as i64,
            open_bytes: self.memory_bytes() as i64,
        };
        if let Some(tally) = &d.tally {
            return tally.report(report);
        }
        d.metrics.backlog_records.set(backlog as i64);
        d.metrics.open_batches.set(report.open_batches);
        d.metrics.open_bytes.set(report.open_bytes);
        d.status.set_progress(backlog, oldest, report.committed);
    }

    /// Waits a while for what is on its way. A destination in trouble is not waited for.
    async fn let_arrive(&mut self, patience: Duration) -> Result<(), DeliveryError> {
        let until = tokio::time::Instant::now() + patience;
        while self.destination.status.get().state == State::Delivering
            && let Ok(Some(shipped)) =
                tokio::time::timeout_at(until, self.in_flight.join_next()).await
        {
            let shipped = shipped.map_err(|error| DeliveryError::Task(error.to_string()))?;
            self.arrived(shipped)?;
        }
        Ok(())
    }

    /// Leaves: what has arrived is committed, the rest stays in the journal.
    async fn finish(mut self) {
        self.in_flight.shutdown().await;
        self.again.shutdown().await;
        self.shipments.lock().close();
        let end = self.destination.journal.tail().borrow().sequence;
        self.report(end);
        self.committer.finish().await;
    }
}
