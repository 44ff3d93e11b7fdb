//! One partition of the topic as a journal: positions are offsets.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::{Message, consumer::BaseConsumer, message::BorrowedMessage};
use tokio::sync::watch;

use super::{behind::Behind, journal_id, member::Context, plans::Plans};
use crate::{
    buffer::frame,
    limits,
    net::kafka::Link,
    record::{Frame, Position, Put},
    seams::{
        AppendError, Appended, Entry, Journal, JournalError, JournalStats, SharedPlans, Upstream,
    },
};

/// Bytes of records that are put into one frame.
const FRAME_BYTES: usize = 256 * 1024;

/// One partition, as long as this replica has it.
pub struct KafkaLane {
    pub topic: String,
    pub partition: i32,
    state: Mutex<State>,
    tail: watch::Sender<Position>,
    settled: watch::Sender<Position>,
    plans: Arc<Plans>,
    behind: Arc<Behind>,
    /// Whether librdkafka was told to fetch nothing. It would keep to that when the partition comes
    /// back after it was given up.
    pub(super) paused: AtomicBool,
    /// Whether it was said that the topic begins anew.
    went_back: AtomicBool,
}

/// What was fetched and not read yet.
#[derive(Default)]
struct State {
    /// What was fetched from here on is in memory: offsets from here on that are not, are nowhere.
    from: u64,
    frames: Vec<Frame>,
    bytes: usize,
    /// Records that are being gathered for the next frame.
    gathered: Gathered,
}

#[derive(Default)]
struct Gathered {
    first: u64,
    arrival_ms: i64,
    lengths: Vec<u32>,
    data: Vec<u8>,
}

impl Gathered {
    fn end(&self) -> u64 {
        self.first + self.lengths.len() as u64
    }
}

impl KafkaLane {
    /// A partition whose group has committed `committed`, with this metadata.
    pub(super) fn new(
        (topic, partition): (&str, i32),
        (committed, metadata): (u64, &str),
        replica: &str,
        consumer: Weak<BaseConsumer<Context>>,
        link: Link,
    ) -> Self {
        let at = Position::new(0, committed);
        let plans = Plans::new((topic, partition), (committed, metadata), replica, consumer);
        Self {
            topic: topic.to_owned(),
            partition,
            state: Mutex::new(State {
                from: committed,
                gathered: Gathered { first: committed, ..Gathered::default() },
                ..State::default()
            }),
            tail: watch::Sender::new(at),
            settled: watch::Sender::new(at),
            plans: Arc::new(plans),
            behind: Arc::new(Behind::new(topic, partition, replica, link)),
            paused: AtomicBool::new(false),
            went_back: AtomicBool::new(false),
        }
    }

    /// The same at every replica.
    pub fn id(&self) -> [u8; 16] {
        journal_id(&self.topic, Some(self.partition))
    }

    /// The replica has lost the partition: nothing more may be committed.
    pub(super) fn lose(&self) {
        self.plans.lose();
    }

    /// Waits for a commit that began before the partition was lost.
    pub(super) fn wait_for_commit(&self, until: Instant) {
        self.plans.wait_for_commit(until);
    }

    /// Takes a message in; it is seen once `publish` is called. Answers whether there is room for
    /// more.
    pub(super) fn push(&self, message: &BorrowedMessage<'_>) -> bool {
        let arrival_ms = message.timestamp().to_millis().unwrap_or_default();
        self.take(message.offset() as u64, arrival_ms, message.payload().unwrap_or_default())
    }

    fn take(&self, offset: u64, arrival_ms: i64, payload: &[u8]) -> bool {
        let mut state = self.state.lock();
        if offset < state.gathered.end() {
            // Positions of a journal only grow.
            self.say_went_back(offset, state.gathered.end());
            return state.has_room();
        }
        let gathered = &state.gathered;
        let goes_on = gathered.end() == offset
            && gathered.arrival_ms == arrival_ms
            && gathered.data.len() + payload.len() <= FRAME_BYTES;
        if !goes_on {
            state.seal();
            state.gathered.first = offset;
            state.gathered.arrival_ms = arrival_ms;
        }
        state.gathered.lengths.push(payload.len() as u32);
        state.gathered.data.extend_from_slice(payload);
        state.has_room()
    }

    fn say_went_back(&self, offset: u64, expected: u64) {
        if self.went_back.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::error!(
            topic = self.topic,
            partition = self.partition,
            offset,
            expected,
            "the topic of a journal was made anew or cut back while it was read; its records are \
             passed over until the offset that was expected: restart all replicas"
        );
    }

    /// What was pushed may be read.
    pub(super) fn publish(&self) {
        let mut state = self.state.lock();
        let end = Position::new(0, state.gathered.end());
        state.seal();
        if self.tail.borrow().sequence < end.sequence {
            self.tail.send_replace(end);
        }
    }

    /// Whether enough was read since for more to be fetched.
    pub(super) fn has_room(&self) -> bool {
        self.state.lock().bytes < limits::KAFKA_LANE_BYTES / 2
    }

    /// The first position that is in memory.
    fn in_memory_from(&self) -> u64 {
        self.state.lock().from
    }

    /// What lies in memory from a position on; frames before it are let go. `None` if it begins
    /// before what is in memory.
    fn read_memory(&self, from: u64, before: u64, max_bytes: usize) -> Option<Vec<Entry>> {
        let mut state = self.state.lock();
        if from < state.from {
            return None;
        }
        let passed = state.frames.partition_point(|frame| frame.end().sequence <= from);
        if let Some(last) = passed.checked_sub(1) {
            state.from = state.frames[last].end().sequence;
        }
        let freed: usize = state.frames.drain(..passed).map(|f| frame::footprint_of(&f)).sum();
        state.bytes -= freed;
        Some(collect(state.frames.iter().cloned(), from, before, max_bytes))
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.bytes + self.gathered.data.len() < limits::KAFKA_LANE_BYTES
    }

    fn seal(&mut self) {
        let end = self.gathered.end();
        let Gathered { first, arrival_ms, lengths, data } = std::mem::take(&mut self.gathered);
        self.gathered.first = end;
        if lengths.is_empty() {
            return;
        }
        let first = Position::new(0, first);
        let data = Bytes::from(data);
        let frame = Frame { first, arrival_ms, lengths, data, provenance: None, unfit: false };
        self.bytes += frame::footprint_of(&frame);
        self.frames.push(frame);
    }
}

/// Frames as entries without gaps: offsets that are not there were lost by the topic.
fn collect(
    frames: impl IntoIterator<Item = Frame>,
    from: u64,
    before: u64,
    max_bytes: usize,
) -> Vec<Entry> {
    let (mut at, mut bytes) = (from, 0);
    let mut entries = Vec::new();
    for frame in frames {
        if frame.end().sequence <= at {
            continue;
        }
        let Some(part) = frame::cut(frame, at, before) else { break };
        if part.first.sequence > at {
            entries.push(Entry::Damaged { first: Position::new(0, at), end: part.first });
        }
        at = part.end().sequence;
        bytes += frame::footprint_of(&part);
        entries.push(Entry::Frame(part));
        if bytes >= max_bytes {
            break;
        }
    }
    if entries.is_empty() && at < before {
        entries.push(Entry::Damaged { first: Position::new(0, at), end: Position::new(0, before) });
    }
    entries
}

#[async_trait]
impl Journal for KafkaLane {
    /// Records come in by the front.
    async fn append(&self, _: Put) -> Result<Appended, AppendError> {
        Err(AppendError::Closed)
    }

    fn tail(&self) -> watch::Receiver<Position> {
        self.tail.subscribe()
    }

    async fn read(
        &self,
        from: Position,
        before: Position,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, JournalError> {
        let (from, before) = (from.sequence, before.sequence);
        if from >= before {
            return Ok(Vec::new());
        }
        let tail = self.tail.borrow().sequence;
        if from < tail
            && let Some(entries) = self.read_memory(from, before.min(tail), max_bytes)
        {
            if let Some(caught_up) = self.behind.close() {
                // Closing it waits for its threads; nobody waits for that.
                tokio::task::spawn_blocking(move || drop(caught_up));
            }
            return Ok(entries);
        }
        // What is in memory need not be fetched once more.
        let in_memory_from = self.in_memory_from();
        let before = if from < in_memory_from { before.min(in_memory_from) } else { before };
        let failed = |message: String| JournalError::Io { operation: "read", message };
        let behind = self.behind.clone();
        let read = tokio::task::spawn_blocking(move || behind.read(from, before, max_bytes));
        let frames = read.await.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
        Ok(collect(frames, from, before, max_bytes))
    }

    async fn open_cursor(&self, _: &str, _: bool) -> Result<Position, JournalError> {
        Ok(Position::new(0, self.plans.offset()))
    }

    async fn commit(&self, _: &str, before: Position) -> Result<(), JournalError> {
        let plans = self.plans.clone();
        let committed = tokio::task::spawn_blocking(move || plans.settle(before.sequence));
        let failed = |message: String| JournalError::Io { operation: "commit", message };
        let committed = committed.await.map_err(|error| failed(error.to_string()))?;
        committed.map_err(|error| failed(error.to_string()))?;
        self.settled.send_replace(before);
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

    fn shared_plans(&self) -> Option<Arc<dyn SharedPlans>> {
        Some(self.plans.clone())
    }

    fn stats(&self) -> JournalStats {
        let used_bytes = self.state.lock().bytes as u64;
        JournalStats {
            used_bytes,
            max_bytes: limits::KAFKA_LANE_BYTES as u64,
            ..JournalStats::default()
        }
    }

    async fn close(&self) {}
}

#[cfg(test)]
mod tests;
