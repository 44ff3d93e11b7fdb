//! The thread that reads: takes records from librdkafka, gathers them to puts, and answers the
//! group. It polls whatever the journal does, so that the group hears from it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::BorrowedMessage,
    types::RDKafkaErrorCode,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    events::{Event, Events, code_name},
    gather::{Beside, Gather, place},
    lane::{Lane, Road},
    source::Setup,
    start::{Ask, Asker},
};
use crate::{env::Clock, limits, record::Unfit, telemetry::SourceMetrics};

/// What a record can take at the most: its put must fit a frame.
const RECORD_BYTES_MAX: usize = limits::FRAME_BYTES_MAX - limits::KAFKA_FRAME_ROOM;

/// How a reader ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Stopped,
    /// Another consumer is to be made after this time.
    Again(Duration),
    /// The journal takes nothing any more.
    Failed(String),
}

/// How far our durable journal has stored each partition.
pub(super) type Known = Arc<Mutex<BTreeMap<String, i64>>>;

/// What a reader is given.
pub(super) struct Given {
    pub setup: Arc<Setup>,
    pub config: ClientConfig,
    /// Brokers of an MSK cluster that was asked for them.
    pub found: Option<Vec<String>>,
    pub road: Arc<Road>,
    pub metrics: SourceMetrics,
    pub clock: Arc<dyn Clock>,
    pub known: Known,
    pub runtime: Handle,
    pub stop: CancellationToken,
    pub farewell: Farewell,
}

/// What is told between a reader that is being stopped and who waits for its end.
#[derive(Clone, Default)]
pub(super) struct Farewell {
    /// Nothing more is put.
    pub all_put: CancellationToken,
    /// Nothing more is delivered.
    pub drained: CancellationToken,
}

/// What a partition of ours waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// To be asked for, or read on, at this time.
    Due(Instant, Next),
    /// For an answer to that.
    Asked(Next),
    /// For records.
    Reading,
}

/// What comes next for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Find out where to begin.
    Begin,
    /// Find out whether its position is still kept.
    Kept,
    /// Read on where it stands.
    Read,
}

/// A partition of ours.
pub(super) struct Part {
    pub id: u64,
    pub topic: Arc<str>,
    pub partition: i32,
    /// As it stands in the steps: `topic/partition`.
    pub key: String,
    pub lane: Lane,
    pub phase: Phase,
    /// The offset to be read next, once that is known.
    pub position: Option<i64>,
    pub gather: Gather,
    /// What the group knows by us, as far as it has said so.
    pub committed: Option<i64>,
    /// Whether the position may be committed although nothing was put: not where somebody has set
    /// the offset back, for ours in the journal would count again after a crash.
    pub may_commit_position: bool,
    /// Questions without an answer.
    pub failures: u32,
    /// The offset of a record that does not fit the journal.
    pub held_at: Option<i64>,
}

pub(super) struct Reader {
    pub(super) given: Given,
    pub(super) consumer: Arc<BaseConsumer<Events>>,
    pub(super) asker: Asker,
    pub(super) parts: Vec<Part>,
    /// Where in `parts` a partition stands.
    index: HashMap<Arc<str>, HashMap<i32, usize>>,
    last: usize,
    pub(super) ids: u64,
    gathered_bytes: usize,
    gathering_since: Option<Instant>,
    pub(super) paused: bool,
    /// When to look around again: `None` while the answer is under way, or once it is there.
    pub(super) look_around_at: Option<Instant>,
    pub(super) checked_kept_at: Option<Instant>,
    house_at: Instant,
    commit_at: Instant,
    troubles: HashSet<String>,
    /// When we were refused, or were last looked at as refused.
    refused_at: Option<Instant>,
}

/// Settings of librdkafka that come from secrets, which may change where they are kept.
const SECRETS: [&str; 2] = ["sasl.password", "ssl.key.pem"];

impl Reader {
    pub fn new(given: Given, consumer: Arc<BaseConsumer<Events>>, asker: Asker) -> Self {
        let now = Instant::now();
        Self {
            given,
            consumer,
            asker,
            parts: Vec::new(),
            index: HashMap::new(),
            last: 0,
            ids: 0,
            gathered_bytes: 0,
            gathering_since: None,
            paused: false,
            look_around_at: Some(now),
            checked_kept_at: None,
            house_at: now,
            commit_at: now + limits::KAFKA_COMMIT_INTERVAL,
            troubles: HashSet::new(),
            refused_at: None,
        }
    }

    /// Reads until there is a reason to end, and takes leave of the group.
    pub fn run(mut self) -> End {
        let end = self.read();
        self.leave(&end);
        end
    }

    fn read(&mut self) -> End {
        let consumer = self.consumer.clone();
        self.given.road.beat();
        loop {
            if self.given.stop.is_cancelled() {
                return End::Stopped;
            }
            let now = Instant::now();
            if now >= self.house_at
                && let Some(end) = self.keep_house(now)
            {
                return end;
            }
            match consumer.poll(self.patience(now)) {
                Some(Ok(message)) => {
                    self.take(&message);
                    self.wait_for_room();
                }
                Some(Err(error)) => {
                    if let Some(end) = self.fail(&error) {
                        return end;
                    }
                }
                None => {}
            }
            for event in consumer.context().take() {
                if let Some(end) = self.hear(event) {
                    return end;
                }
            }
            let is_due = |since: Instant| since.elapsed() >= limits::KAFKA_GATHER_WAIT;
            if self.gathering_since.is_some_and(is_due) {
                self.send_all();
            }
        }
    }

    fn patience(&self, now: Instant) -> Duration {
        match self.gathering_since {
            Some(since) => (since + limits::KAFKA_GATHER_WAIT).saturating_duration_since(now),
            None => limits::KAFKA_POLL_WAIT,
        }
    }

    // ---------------------------------------------------------------------------- records

    pub(super) fn find(&mut self, topic: &str, partition: i32) -> Option<usize> {
        // Records of one partition come one behind the other.
        if let Some(part) = self.parts.get(self.last)
            && part.partition == partition
            && *part.topic == *topic
        {
            return Some(self.last);
        }
        self.last = *self.index.get(topic)?.get(&partition)?;
        Some(self.last)
    }

    pub(super) fn reindex(&mut self) {
        self.index.clear();
        self.last = 0;
        for (at, part) in self.parts.iter().enumerate() {
            self.index.entry(part.topic.clone()).or_default().insert(part.partition, at);
        }
        self.given.metrics.parts.set(self.parts.len() as i64);
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let Some(at) = self.find(message.topic(), message.partition()) else { return };
        let offset = message.offset();
        let part = &mut self.parts[at];
        if part.phase != Phase::Reading || part.position.is_some_and(|position| offset < position) {
            return;
        }
        if message.payload().is_none() && self.given.setup.skips_tombstones {
            part.position = Some(offset + 1);
            self.given.metrics.skipped_records.inc();
            return;
        }
        let beside = Beside::of(message);
        let bytes = beside.frame_bytes(message);
        if bytes > RECORD_BYTES_MAX {
            return self.hold(at, offset, bytes);
        }
        let payload_bytes = message.payload().map_or(0, <[u8]>::len) as u64;
        let max_bytes = self.given.setup.max_record_bytes;
        let is_too_large = payload_bytes > max_bytes;
        if is_too_large || bytes > limits::KAFKA_PUT_BYTES {
            self.send(at, None);
        }
        let part = &mut self.parts[at];
        part.position = Some(offset + 1);
        part.gather.push(message, beside);
        self.gathered_bytes += bytes;
        if is_too_large {
            self.send(at, Some(Unfit {
                code: "Kafka.RecordTooLarge".into(),
                message: format!(
                    "the record is {payload_bytes} bytes, more than max_record_size ({max_bytes})"
                ),
            }));
        } else if self.parts[at].gather.bytes() >= limits::KAFKA_PUT_BYTES {
            self.send(at, None);
        } else if self.gathering_since.is_none() {
            self.gathering_since = Some(Instant::now());
        }
    }

    /// Sends what is gathered of a partition on its way to the journal.
    pub(super) fn send(&mut self, at: usize, unfit: Option<Unfit>) {
        let part = &mut self.parts[at];
        let Some(position) = part.position.filter(|_| !part.gather.is_empty()) else { return };
        let bytes = part.gather.bytes();
        let place = place(&part.topic, part.partition);
        let now_ms = self.given.clock.now_ms();
        let put = part.gather.finish(&part.key, place, position, unfit, now_ms);
        part.lane.send(put, bytes, position);
        self.gathered_bytes -= bytes;
    }

    pub(super) fn send_all(&mut self) {
        for at in 0..self.parts.len() {
            self.send(at, None);
        }
        self.gathering_since = None;
    }

    /// Forgets what is gathered of a partition. Its position lies behind that, and says nothing
    /// any more: what is stored does.
    pub(super) fn drop_gathered(&mut self, at: usize) {
        let part = &mut self.parts[at];
        if part.gather.is_empty() {
            return;
        }
        self.gathered_bytes -= part.gather.bytes();
        part.gather.clear();
        part.position = None;
    }

    /// A record that fits no frame is not passed over: its partition waits for somebody.
    fn hold(&mut self, at: usize, offset: i64, bytes: usize) {
        self.send(at, None);
        let part = &mut self.parts[at];
        if part.held_at != Some(offset) {
            tracing::error!(
                topic = &*part.topic,
                partition = part.partition,
                offset,
                size_bytes = bytes,
                max_bytes = RECORD_BYTES_MAX,
                "a record is larger than the journal can take: its partition is held there. To go on \
                 without it, stop all members and set the group's offset behind it"
            );
        }
        part.held_at = Some(offset);
        part.position = Some(offset);
        self.given.metrics.error("Kafka.RecordTooLargeForJournal");
        self.rest(&[at], Next::Read, Instant::now() + limits::KAFKA_HELD_RETRY);
    }

    /// Waits while too much is on its way to the journal; when that takes long, partitions are
    /// paused, and the group is listened to.
    fn wait_for_room(&mut self) {
        let road = self.given.road.clone();
        let max_bytes = limits::KAFKA_WAITING_BYTES;
        if self.paused || self.gathered_bytes + road.waiting_bytes() <= max_bytes {
            return;
        }
        self.send_all();
        if !road.wait_below(max_bytes / 2, limits::KAFKA_STALL) {
            self.pause(true);
        }
    }

    // ------------------------------------------------------------------------------- house

    fn keep_house(&mut self, now: Instant) -> Option<End> {
        let is_due = |at: Instant| now.duration_since(at) >= limits::KAFKA_SECRETS_INTERVAL;
        if self.refused_at.is_some_and(is_due) {
            self.refused_at = Some(now);
            if let Some(end) = self.changed_secrets() {
                return Some(end);
            }
        }
        self.house_at = now + limits::KAFKA_POLL_WAIT;
        if self.given.road.is_frozen() {
            self.thaw();
        }
        self.given.road.beat();
        if let Some(failure) = self.given.road.failure() {
            return Some(End::Failed(failure));
        }
        if self.paused && self.given.road.waiting_bytes() <= limits::KAFKA_WAITING_BYTES / 2 {
            self.pause(false);
        }
        if self.look_around_at.is_some_and(|at| at <= now) {
            self.look_around_at = None;
            self.asker.ask(Ask::Topics);
        }
        while let Some(answer) = self.asker.answer() {
            self.answered(answer);
        }
        self.begin_due(now);
        if now >= self.commit_at {
            self.commit_at = now + limits::KAFKA_COMMIT_INTERVAL;
            self.commit_behind();
        }
        None
    }

    fn hear(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Assigned(names) => self.assigned(names),
            Event::Revoked(names) => self.revoked(names),
            Event::Committed(offsets) => self.committed(offsets),
            Event::NotCommitted { code } => {
                self.given.metrics.error(&code);
                tracing::debug!(code, "offsets were not committed; they are again");
            }
            Event::Trouble { code, reason } => return self.trouble(code, &reason),
            Event::Statistics(statistics) => {
                if statistics.is_connected() {
                    self.recovered();
                }
                let lag = |part: &Part| {
                    let end = statistics.end(&part.topic, part.partition)?;
                    Some((end - part.position?).max(0))
                };
                self.given.metrics.offset_lag.set(self.parts.iter().filter_map(lag).sum());
            }
        }
        None
    }

    fn fail(&mut self, error: &KafkaError) -> Option<End> {
        match error {
            KafkaError::MessageConsumptionFatal(code) => {
                tracing::error!(
                    code = %code,
                    "the group has put this member out; is its instance_id another member's, too?"
                );
                Some(End::Again(self.given.setup.session))
            }
            KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => {
                self.check_kept();
                None
            }
            // All others come as events, with their reasons.
            _ => None,
        }
    }

    fn trouble(&mut self, code: RDKafkaErrorCode, reason: &str) -> Option<End> {
        if code == RDKafkaErrorCode::AutoOffsetReset {
            // Said with more when it is known where reading goes on.
            return None;
        }
        self.given.metrics.error(&code_name(code));
        if self.troubles.insert(code_name(code)) {
            tracing::warn!(code = ?code, reason, "trouble with kafka");
        }
        if code == RDKafkaErrorCode::Authentication {
            self.refused_at = Some(Instant::now());
            return self.changed_secrets();
        }
        None
    }

    /// Ends the consumer if we are refused and would say otherwise now who we are. It is asked again
    /// and again: librdkafka tells of the same trouble only once.
    fn changed_secrets(&mut self) -> Option<End> {
        let config = self.given.setup.config(self.given.found.as_deref()).ok()?;
        // By their names: the map of all settings shows none of them.
        if SECRETS.iter().all(|name| config.get(name) == self.given.config.get(name)) {
            return None;
        }
        tracing::info!("kafka is spoken to with changed secrets");
        Some(End::Again(Duration::ZERO))
    }

    fn recovered(&mut self) {
        if !self.troubles.is_empty() {
            self.troubles.clear();
            self.refused_at = None;
            tracing::info!("kafka is reached again");
        }
    }
}
