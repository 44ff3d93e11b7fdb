//! Where records come in: a producer of the topic. `Ok` means that all in-sync replicas of the
//! partition have the record.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use parking_lot::Mutex;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureRecord, future_producer::DeliveryFuture},
};
use tokio::{
    sync::{OnceCell, watch},
    time::Instant,
};

use super::{KafkaOptions, journal_id, producers::Producers, topic};
use crate::{
    limits,
    net::kafka::Link,
    record::{CallId, Lane, Position, Put},
    seams::{AppendError, Appended, Entry, Journal, JournalError, JournalStats, Upstream},
};

/// The side of the journal that records come in by. It reads nothing: its lanes do.
pub struct Front {
    topic: String,
    producers: Arc<Producers>,
    partitions: AtomicI32,
    /// Where the next put goes.
    turn: AtomicI32,
    /// Bytes that wait for their confirmation.
    waiting_bytes: AtomicU64,
    /// Recent calls of this replica, and what became of them.
    calls: Mutex<Calls>,
    closed: AtomicBool,
    tail: watch::Sender<Position>,
    settled: watch::Sender<Position>,
}

type Stored = Arc<OnceCell<Appended>>;

#[derive(Default)]
struct Calls {
    stored: HashMap<CallId, Stored>,
    order: VecDeque<CallId>,
}

impl Calls {
    fn of(&mut self, call: CallId) -> Stored {
        if let Some(stored) = self.stored.get(&call) {
            return stored.clone();
        }
        if self.order.len() >= limits::CALLS_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.stored.remove(&oldest);
        }
        self.order.push_back(call);
        self.stored.entry(call).or_default().clone()
    }
}

impl Front {
    /// Connects, and makes the topic if it is not there. Fails while no broker answers.
    pub async fn open(options: &KafkaOptions, link: Link) -> Result<Self, String> {
        let mut link = link;
        let timeout_ms = options.ack_timeout.0.as_millis().max(1);
        link.config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "2")
            .set("compression.type", "lz4")
            .set("message.max.bytes", (16 * limits::MIB).to_string())
            .set("queue.buffering.max.messages", "1000000")
            .set(
                "queue.buffering.max.kbytes",
                (4 * limits::KAFKA_JOURNAL_PRODUCED_BYTES / 1024).to_string(),
            )
            .set("delivery.timeout.ms", timeout_ms.to_string());
        let producers =
            Producers::new(&options.topic, link.clone()).map_err(|error| error.to_string())?;
        let front = Self {
            topic: options.topic.clone(),
            producers,
            partitions: AtomicI32::new(0),
            turn: AtomicI32::new(fastrand::i32(0..1024)),
            waiting_bytes: AtomicU64::new(0),
            calls: Mutex::default(),
            closed: AtomicBool::new(false),
            tail: watch::Sender::new(Position::START),
            settled: watch::Sender::new(Position::START),
        };
        let mut found = front.look().await?;
        if found.partitions == 0 {
            topic::make(options, &link, found.brokers).await?;
            found = front.wait_for_topic().await?;
        }
        topic::check(&front.topic, found.copies, &link).await?;
        Ok(front)
    }

    /// Brokers learn of a topic one after the other.
    async fn wait_for_topic(&self) -> Result<topic::Found, String> {
        for _ in 0..50 {
            let found = self.look().await?;
            if found.partitions > 0 {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(format!("the topic {:?} was made and is not there", self.topic))
    }

    async fn look(&self) -> Result<topic::Found, String> {
        let found = topic::find(&self.producers.now(), &self.topic).await?;
        self.partitions.store(found.partitions as i32, Ordering::Relaxed);
        Ok(found)
    }

    /// The same at every replica; part of what makes a record id unique.
    pub fn id(&self) -> [u8; 16] {
        journal_id(&self.topic, None)
    }

    /// One partition for a whole put: its records lie close together.
    fn partition(&self) -> i32 {
        let partitions = self.partitions.load(Ordering::Relaxed).max(1);
        self.turn.fetch_add(1, Ordering::Relaxed).rem_euclid(partitions)
    }

    async fn produce(&self, put: Put) -> Result<Appended, AppendError> {
        let bytes = put.data.len() as u64 + 64 * put.lengths.len() as u64;
        let _waiting = Waiting::take(&self.waiting_bytes, bytes)?;
        let confirmations = self.send(&put).await?;
        let mut places = Vec::with_capacity(confirmations.len());
        for confirmation in join_all(confirmations).await {
            let confirmed = confirmation.map_err(|_| AppendError::Closed)?;
            let confirmed = confirmed.map_err(|(error, _)| self.failed(&error))?;
            places.push(Position::new(confirmed.partition as Lane, confirmed.offset as u64));
        }
        let first = places.first().copied().unwrap_or(Position::START);
        let records = places.len() as u32;
        let in_a_row = places.iter().enumerate().all(|(i, place)| *place == first.plus(i as u64));
        let places = (!in_a_row).then(|| places.into());
        Ok(Appended { first, records, repeated: false, places })
    }

    /// Hands all records of a put to the producer. Once there is room for the first, the rest waits
    /// for room: what was begun would be sent again otherwise.
    async fn send(&self, put: &Put) -> Result<Vec<DeliveryFuture>, AppendError> {
        let partition = self.partition();
        let until = Instant::now() + limits::KAFKA_REQUEST_TIMEOUT;
        let mut confirmations = Vec::with_capacity(put.lengths.len());
        let mut rest = put.data.as_slice();
        for &length in &put.lengths {
            let (payload, behind) = rest.split_at(length as usize);
            rest = behind;
            loop {
                match self.send_one(partition, put.arrival_ms, payload) {
                    Ok(confirmation) => {
                        confirmations.push(confirmation);
                        break;
                    }
                    Err(error) if !is_full(&error) => return Err(self.failed(&error)),
                    Err(_) if confirmations.is_empty() => return Err(full()),
                    Err(error) if Instant::now() >= until => return Err(self.failed(&error)),
                    Err(_) => tokio::time::sleep(limits::KAFKA_QUEUE_WAIT).await,
                }
            }
        }
        Ok(confirmations)
    }

    fn send_one(
        &self,
        partition: i32,
        arrival_ms: i64,
        payload: &[u8],
    ) -> Result<DeliveryFuture, KafkaError> {
        let record: FutureRecord<'_, (), [u8]> = FutureRecord::to(&self.topic)
            .partition(partition)
            .timestamp(arrival_ms)
            .payload(payload);
        self.producers.now().send_result(record).map_err(|(error, _)| error)
    }

    /// The client is told to try again: whether the brokers have the records is not known.
    fn failed(&self, error: &KafkaError) -> AppendError {
        self.producers.heed();
        AppendError::Failed(format!("the brokers have not confirmed: {error}").into())
    }
}

fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

fn full() -> AppendError {
    let max_bytes = limits::KAFKA_JOURNAL_PRODUCED_BYTES;
    AppendError::Full { used_bytes: max_bytes, max_bytes }
}

/// Bytes that wait for their confirmation; given back at its end, however it ends.
struct Waiting<'a> {
    total: &'a AtomicU64,
    bytes: u64,
}

impl<'a> Waiting<'a> {
    fn take(total: &'a AtomicU64, bytes: u64) -> Result<Self, AppendError> {
        let max_bytes = limits::KAFKA_JOURNAL_PRODUCED_BYTES;
        let used_bytes = total.fetch_add(bytes, Ordering::Relaxed);
        let waiting = Self { total, bytes };
        if used_bytes > 0 && used_bytes + bytes > max_bytes {
            return Err(AppendError::Full { used_bytes, max_bytes });
        }
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[async_trait]
impl Journal for Front {
    async fn append(&self, put: Put) -> Result<Appended, AppendError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(AppendError::Closed);
        }
        let Some(call) = put.call else { return self.produce(put).await };
        let stored = self.calls.lock().of(call);
        if let Some(before) = stored.get() {
            return Ok(Appended { repeated: true, ..before.clone() });
        }
        let mut ours = false;
        let appended = stored
            .get_or_try_init(|| {
                ours = true;
                self.produce(put)
            })
            .await?;
        Ok(Appended { repeated: !ours, ..appended.clone() })
    }

    fn tail(&self) -> watch::Receiver<Position> {
        self.tail.subscribe()
    }

    /// Lanes are read, one by one.
    async fn read(&self, _: Position, _: Position, _: usize) -> Result<Vec<Entry>, JournalError> {
        Ok(Vec::new())
    }

    /// The cursors are the groups' offsets.
    async fn open_cursor(&self, _: &str, _: bool) -> Result<Position, JournalError> {
        Ok(Position::START)
    }

    async fn commit(&self, _: &str, _: Position) -> Result<(), JournalError> {
        Ok(())
    }

    fn cursors(&self) -> Vec<String> {
        Vec::new()
    }

    async fn drop_cursor(&self, _: &str) -> Result<(), JournalError> {
        Ok(())
    }

    async fn upstream(&self) -> Result<Upstream, JournalError> {
        Ok(Upstream { positions: BTreeMap::new(), durable: true })
    }

    fn settled(&self) -> watch::Receiver<Position> {
        self.settled.subscribe()
    }

    fn stats(&self) -> JournalStats {
        JournalStats {
            used_bytes: self.waiting_bytes.load(Ordering::Relaxed),
            max_bytes: limits::KAFKA_JOURNAL_PRODUCED_BYTES,
            failed: self.producers.failed(),
            ..JournalStats::default()
        }
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.producers.close().await;
    }
}

#[cfg(test)]
mod tests;
