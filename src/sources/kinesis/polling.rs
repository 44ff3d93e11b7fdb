//! Reads a shard by GetRecords, within the limits that all of its readers share.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    Batch, Checkpoint, Client, ReadError, ShardReader,
    client::{AskError, IteratorStart, Read},
};
use crate::{
    env::Env,
    limits::{
        KIB, KINESIS_ANSWER_BYTES_MAX, KINESIS_CALL_INTERVAL, KINESIS_READ_AHEAD_BYTES,
        KINESIS_SHARD_BYTES_PER_SECOND,
    },
};

/// Makes the readers of a source's shards: the seam between the ways to read. `Polling` is one; the
/// source chooses in [`KinesisSource::readers`](super::KinesisSource).
pub trait ReaderFactory: Send + Sync {
    /// A reader that goes on behind `from`; `timestamp_ms` is what [`Checkpoint::AtTimestamp`]
    /// stands for. From the middle of an aggregate it begins *at* that record: whoever asks passes
    /// over what is known of it. Asks nobody.
    fn open(&self, shard_id: &str, from: &Checkpoint, timestamp_ms: i64) -> Box<dyn ShardReader>;
}

/// Unit of the read-ahead budget: a semaphore counts no more than 2^32.
const UNIT_BYTES: usize = KIB as usize;
/// What a call reserves at least: an answer without records, or with few.
const RESERVED_MIN_BYTES: usize = 64 * UNIT_BYTES;

/// Readers by GetRecords.
pub struct Polling {
    client: Arc<Client>,
    poll_interval: Duration,
    env: Env,
    /// What answers of all shards may take together, in units.
    budget: Arc<Semaphore>,
}

impl Polling {
    pub fn new(client: Arc<Client>, poll_interval: Duration, env: Env) -> Self {
        let budget = Arc::new(Semaphore::new(KINESIS_READ_AHEAD_BYTES / UNIT_BYTES));
        Self { client, poll_interval, env, budget }
    }
}

impl ReaderFactory for Polling {
    fn open(&self, shard_id: &str, from: &Checkpoint, timestamp_ms: i64) -> Box<dyn ShardReader> {
        Box::new(PollingReader {
            client: self.client.clone(),
            poll_interval: self.poll_interval,
            env: self.env.clone(),
            budget: self.budget.clone(),
            reserved: None,
            shard_id: shard_id.to_owned(),
            start: start_of(from, timestamp_ms),
            iterator: None,
            next_call: Instant::now(),
            last_answer_bytes: KINESIS_ANSWER_BYTES_MAX,
        })
    }
}

/// The iterator behind a checkpoint. Behind a shard's end there is nothing, so its callers do not
/// ask; one that does gets what a closed shard has behind its last record.
fn start_of(from: &Checkpoint, timestamp_ms: i64) -> IteratorStart {
    match from {
        Checkpoint::TrimHorizon => IteratorStart::TrimHorizon,
        Checkpoint::Latest | Checkpoint::ShardEnd => IteratorStart::Latest,
        Checkpoint::AtTimestamp => IteratorStart::Timestamp(timestamp_ms),
        Checkpoint::Sequence { number, whole: true, .. } => IteratorStart::After(number.clone()),
        Checkpoint::Sequence { number, whole: false, .. } => IteratorStart::At(number.clone()),
    }
}

/// Reads one shard.
struct PollingReader {
    client: Arc<Client>,
    poll_interval: Duration,
    env: Env,
    budget: Arc<Semaphore>,
    /// Held until the answer that was handed out is put, which is when the next is asked for.
    reserved: Option<OwnedSemaphorePermit>,
    shard_id: String,
    /// Where a new iterator begins.
    start: IteratorStart,
    iterator: Option<String>,
    next_call: Instant,
    last_answer_bytes: usize,
}

#[async_trait]
impl ShardReader for PollingReader {
    async fn next(&mut self) -> Result<Batch, ReadError> {
        self.reserved = None;
        tokio::time::sleep_until(self.next_call).await;
        // Reserved for what came last, and as much again: a shard that is caught up takes little.
        let bytes = self.last_answer_bytes.saturating_mul(2);
        let bytes = bytes.clamp(RESERVED_MIN_BYTES, KINESIS_ANSWER_BYTES_MAX);
        let units = (bytes / UNIT_BYTES) as u32;
        let permit = self.budget.clone().acquire_many_owned(units).await;
        let permit = permit.expect("the budget is never closed");
        let read = self.read().await?;
        Ok(self.hand_out(read, permit))
    }
}

impl PollingReader {
    async fn read(&mut self) -> Result<Read, ReadError> {
        let iterator = match self.iterator.clone() {
            Some(iterator) => iterator,
            None => self.new_iterator().await?,
        };
        match self.records(&iterator).await {
            Ok(read) => Ok(read),
            Err(AskError::Read(error)) => Err(error),
            Err(AskError::Expired(message)) => {
                tracing::debug!(shard = self.shard_id, message, "a shard iterator expired");
                let iterator = self.new_iterator().await?;
                self.records(&iterator).await.map_err(AskError::settled)
            }
        }
    }

    async fn records(&mut self, iterator: &str) -> Result<Read, AskError> {
        self.next_call = Instant::now() + KINESIS_CALL_INTERVAL;
        let answer = self.client.records(iterator).await;
        let is_good = match &answer {
            Ok(_) | Err(AskError::Read(ReadError::Throttled(_) | ReadError::Trouble { .. })) => {
                true
            }
            // Asked again it is by a new one: this one may be what is wrong.
            Err(_) => false,
        };
        if !is_good {
            self.iterator = None;
        }
        answer
    }

    async fn new_iterator(&mut self) -> Result<String, ReadError> {
        self.next_call = Instant::now() + KINESIS_CALL_INTERVAL;
        // Where `LATEST` is now is known to this clock alone: should the iterator be lost before a
        // record was read, reading goes on at this time.
        let now_ms = self.env.clock.now_ms();
        let iterator = self.client.iterator(&self.shard_id, &self.start).await?;
        if self.start == IteratorStart::Latest {
            self.start = IteratorStart::Timestamp(now_ms);
        }
        self.iterator = Some(iterator.clone());
        Ok(iterator)
    }

    fn hand_out(&mut self, read: Read, mut permit: OwnedSemaphorePermit) -> Batch {
        if let Some(last) = read.batch.records.last() {
            self.start = IteratorStart::After(last.sequence_number.clone());
        }
        self.iterator = read.next;
        self.last_answer_bytes = read.answer_bytes;
        self.next_call = self.next_call.max(self.due(&read.batch, read.data_bytes));
        if !read.batch.records.is_empty() {
            // What was reserved beyond the answer is given back at once.
            let taken = read.answer_bytes.div_ceil(UNIT_BYTES);
            drop(permit.num_permits().checked_sub(taken).and_then(|spare| permit.split(spare)));
            self.reserved = Some(permit);
        }
        read.batch
    }

    /// When the next call is due: the shard's bytes a second are not exceeded, and one that is
    /// caught up is asked once in the interval.
    fn due(&self, batch: &Batch, data_bytes: u64) -> Instant {
        let paid =
            Duration::from_secs_f64(data_bytes as f64 / KINESIS_SHARD_BYTES_PER_SECOND as f64);
        let caught_up = batch.millis_behind_latest == 0 && batch.ended.is_none();
        let idle = if caught_up { self.poll_interval } else { Duration::ZERO };
        // Counted from the call, which is what the service counts.
        self.next_call - KINESIS_CALL_INTERVAL + paid.max(idle)
    }
}

#[cfg(test)]
#[path = "polling_tests.rs"]
mod tests;
