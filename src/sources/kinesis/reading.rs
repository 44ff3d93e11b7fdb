//! Reads the shards that are held: one task each, stopped as soon as the lease is gone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    Batch, Checkpoint, Held, ReadError, ShardReader,
    cut::{Cut, Cutter},
    part::Part,
    position::later,
    source::Reading,
    trouble::Backoff,
};
use crate::{record::Place, sources::NotPut};

/// How the reading of a shard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Everything of it was put.
    Ended,
    Stopped,
    /// The journal takes nothing any more: the source stops.
    Refused,
}

/// How long a shard rests whose task failed by a mistake of ours.
const AFTER_PANIC: Duration = Duration::from_secs(1);

impl Reading {
    /// Reads what is held, until `stop`.
    pub async fn read_held(self: &Arc<Self>, stop: &CancellationToken) {
        let mut held = self.coordinator.held();
        let mut tasks = JoinSet::new();
        loop {
            let now = held.borrow_and_update().clone();
            self.reconcile(&now, &mut tasks, stop);
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = held.changed() => {}
                Some(ended) = tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(stream = self.context.stream, %error, "the reading of a shard failed and begins anew");
                        tokio::time::sleep(AFTER_PANIC).await;
                        self.parts.with(|parts| {
                            parts.retain(|_, part| part.task != Some(error.id()));
                        });
                    }
                }
            }
        }
        while tasks.join_next().await.is_some() {}
        self.show();
    }

    /// Stops what is held no longer and begins what is new.
    fn reconcile(
        self: &Arc<Self>,
        now: &BTreeMap<String, Held>,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let begun = self.parts.with(|parts| {
            parts.retain(|shard, part| {
                if now.get(shard).is_some_and(|held| held.holding == part.held.holding) {
                    return true;
                }
                part.token.cancel();
                if !part.running {
                    self.abandon(shard);
                }
                part.running
            });
            let mut begun = Vec::new();
            for (shard, held) in now {
                if !parts.contains_key(shard) {
                    let token = stop.child_token();
                    parts.insert(shard.clone(), Part::new(held.clone(), token.clone()));
                    begun.push((held.clone(), token));
                }
            }
            begun
        });
        for (held, token) in begun {
            let (reading, of) = (self.clone(), held.clone());
            let task = tasks.spawn(async move {
                let outcome = reading.read_shard(&of, &token).await;
                reading.parts.stopped(&of, outcome == Outcome::Ended);
                reading.show();
            });
            self.parts.of(&held, |part| part.task = Some(task.id()));
        }
        self.show();
    }

    /// Somebody else reads the shard from now on. What a journal in memory holds of it and is not
    /// settled is told nobody any more, so it would be read again should the lease come back.
    fn abandon(&self, shard: &str) {
        self.checkpoints.abandon(&self.key(shard));
        if !self.checkpoints.is_durable() {
            self.stored.lock().remove(shard);
        }
    }

    /// Where the reading of a held shard begins: at the later one of what the coordinator and what
    /// we know.
    fn begin(&self, held: &Held) -> (Checkpoint, i64) {
        let stored = self.stored.lock();
        let from = match stored.get(&held.shard_id) {
            Some(stored) => later(held.checkpoint.clone(), stored.clone()),
            None => held.checkpoint.clone(),
        };
        let is_child = || held.parents.iter().any(|parent| stored.contains_key(parent));
        match from {
            // The coordinator knows nothing of its parent; we do.
            Checkpoint::Latest | Checkpoint::AtTimestamp if is_child() => {
                (Checkpoint::TrimHorizon, 0)
            }
            // A row of the library does not tell: our own first start is the best guess.
            Checkpoint::Latest if !self.is_now(held) => {
                (Checkpoint::AtTimestamp, held.since_ms.unwrap_or(self.since.at_ms))
            }
            from => (from, self.timestamp_ms),
        }
    }

    /// Whether `LATEST` is now: for a shard that came to be known just now, and once. Whoever takes
    /// it later begins at that time, so that nothing is lost of a shard that gave no record yet.
    fn is_now(&self, held: &Held) -> bool {
        held.is_new
            && (held.since_ms.is_some() || self.since.is_new)
            && self.begun_at_latest.lock().insert(held.shard_id.clone())
    }

    async fn read_shard(&self, held: &Held, token: &CancellationToken) -> Outcome {
        let shard = held.shard_id.as_str();
        let hash_range = tokio::select! {
            () = token.cancelled() => return Outcome::Stopped,
            range = self.hash_range(shard) => range,
        };
        let (from, timestamp_ms) = self.begin(held);
        let stream = &self.context.stream;
        tracing::info!(stream, shard, %from, "begins to read a shard");
        if from == Checkpoint::ShardEnd {
            return Outcome::Ended;
        }
        let place = Place {
            stream_arn: self.info.lock().arn.clone(),
            shard_id: Some(shard.to_owned()),
            ..Place::default()
        };
        let cutter = Cutter::new(self.key(shard), place, hash_range, &from);
        let reader = self.readers.open(shard, &from, timestamp_ms);
        let mut task = ShardTask { reading: self, held, token, reader, cutter };
        task.run().await
    }
}

/// The reading of one shard.
struct ShardTask<'a> {
    reading: &'a Reading,
    held: &'a Held,
    token: &'a CancellationToken,
    reader: Box<dyn ShardReader>,
    cutter: Cutter,
}

impl ShardTask<'_> {
    async fn run(&mut self) -> Outcome {
        let mut backoff = Backoff::default();
        loop {
            let answer = tokio::select! {
                biased;
                () = self.token.cancelled() => return Outcome::Stopped,
                answer = self.reader.next() => answer,
            };
            let error = match answer {
                Ok(batch) => {
                    if backoff.succeeded() {
                        let (shard, stream) = (&self.held.shard_id, &self.reading.context.stream);
                        tracing::info!(stream, shard, "reading from kinesis goes on");
                    }
                    match self.take(batch).await {
                        Some(outcome) => return outcome,
                        None => continue,
                    }
                }
                Err(error) => error,
            };
            if matches!(error, ReadError::Gone(_)) && self.is_gone().await {
                return Outcome::Ended;
            }
            let wait = backoff.after(&error);
            self.reading.troubles.reading(Some(&self.held.shard_id), &error, wait);
            tokio::select! {
                () = self.token.cancelled() => return Outcome::Stopped,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Puts what was read. Nothing more is read while a put waits.
    async fn take(&mut self, batch: Batch) -> Option<Outcome> {
        let Batch { records, continuation, millis_behind_latest, ended } = batch;
        let came_empty = records.is_empty();
        self.reading.note_behind(self.held, millis_behind_latest);
        let clock = &self.reading.context.env.clock;
        for stored in records {
            for cut in self.cutter.add(stored, clock.now_ms()) {
                if let Err(outcome) = self.put(cut).await {
                    return Some(outcome);
                }
            }
        }
        if let Some(cut) = self.cutter.finish(clock.now_ms())
            && let Err(outcome) = self.put(cut).await
        {
            return Some(outcome);
        }
        if let Some(number) = continuation
            && came_empty
            && self.reading.checkpoints.is_settled(&self.reading.key(&self.held.shard_id))
        {
            let at = Checkpoint::Sequence { number, sub_sequence: 0, whole: true };
            self.reading.parts.idle(self.held, at);
        }
        let children: Vec<_> = ended?.into_iter().map(|(child, _)| child).collect();
        self.reading.coordinator.followed_by(self.held, &children);
        self.reading.expect(children);
        Some(Outcome::Ended)
    }

    async fn put(&mut self, cut: Cut) -> Result<(), Outcome> {
        let outside = std::mem::take(&mut self.cutter.outside);
        self.reading.context.metrics.skipped_records.inc_by(outside);
        // A process that was frozen may have lost the lease without having been told.
        if self.token.is_cancelled() || !self.reading.coordinator.holds(self.held) {
            return Err(Outcome::Stopped);
        }
        let Cut { mut put, position } = cut;
        if let Some(provenance) = &mut put.provenance {
            provenance.steps.extend(self.reading.forgotten_steps());
        }
        // The lease may go while a full journal is waited for.
        let may_put = || self.reading.coordinator.holds(self.held);
        match self.reading.checkpoints.put_while(put, self.token, &may_put).await {
            Ok(_) => {
                let mut stored = self.reading.stored.lock();
                stored.insert(self.held.shard_id.clone(), position);
                Ok(())
            }
            Err(NotPut::Stopped) => Err(Outcome::Stopped),
            Err(NotPut::Refused(error)) => {
                let (shard, stream) = (&self.held.shard_id, &self.reading.context.stream);
                tracing::error!(stream, shard, %error, "a shard is read no further, for the journal takes nothing");
                self.reading.context.metrics.error("Journal.Refused");
                // Nothing will be put any more: others are to have the leases.
                self.reading.stop.cancel();
                Err(Outcome::Refused)
            }
        }
    }

    /// Whether the shard, not the stream, is there no more: retention was faster.
    async fn is_gone(&mut self) -> bool {
        let listed = tokio::select! {
            () = self.token.cancelled() => return false,
            listed = self.reading.listing.list_shards() => listed,
        };
        let Ok(shards) = listed else { return false };
        let shard = &self.held.shard_id;
        let gone = !shards.is_empty() && shards.iter().all(|listed| listed.id != *shard);
        if gone {
            let stream = &self.reading.context.stream;
            tracing::error!(
                stream,
                shard,
                "a shard was deleted by the stream's retention before it was read to its end: its last records are lost"
            );
            self.reading.context.metrics.error("Kinesis.ShardGone");
        }
        gone
    }
}
