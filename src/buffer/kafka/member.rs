//! A member of a destination's consumer group: a thread that fetches, and that is told which
//! partitions this replica has.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak, atomic::Ordering, mpsc as blocking},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    client::OAuthToken,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance},
    error::KafkaError,
    topic_partition_list::TopicPartitionListElem,
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tokio_util::sync::CancellationToken;

use super::{KafkaOptions, lane::KafkaLane};
use crate::{limits, net::kafka::Link};

/// How long the thread waits for a message: how soon it sees that it is to end.
const POLL: Duration = Duration::from_millis(100);
/// Between two questions to brokers that do not answer.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Between two looks whether there is room for an event.
const TELL_AGAIN: Duration = Duration::from_millis(5);

/// What happens to the partitions of this replica.
pub enum Event {
    /// It has one more. Records can be read once the event is out.
    Assigned(Arc<KafkaLane>),
    /// It is to give one up. With `orderly` what it has settled may still be committed: the group
    /// waits until `done` is dropped, for the patience that the settings give at the most.
    Revoked { partition: i32, orderly: bool, done: blocking::Sender<()> },
}

/// What the callbacks of the group work with.
pub struct Context {
    link: Link,
    group: Option<Group>,
}

struct Group {
    replica: String,
    topic: String,
    /// How long an orderly revocation may take.
    patience: Duration,
    events: mpsc::Sender<Event>,
    /// The member is to leave.
    stop: CancellationToken,
    lanes: Mutex<HashMap<i32, Arc<KafkaLane>>>,
    consumer: OnceLock<Weak<BaseConsumer<Context>>>,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        let topic = self.group.as_ref().map(|group| group.topic.as_str());
        tracing::warn!(topic, %error, reason, "trouble with the brokers of a journal");
    }

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.link.token()
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Some(group) = &self.group else { return };
        match rebalance {
            Rebalance::Assign(partitions) => group.assign(consumer, partitions, &self.link),
            Rebalance::Revoke(partitions) => {
                group.revoke(consumer, partitions, !consumer.assignment_lost());
            }
            Rebalance::Error(error) => {
                tracing::error!(topic = group.topic, %error, "a journal's group cannot be balanced");
            }
        }
    }
}

impl Context {
    /// A consumer outside of any group.
    pub(super) fn alone(link: &Link) -> Result<BaseConsumer<Self>, String> {
        let context = Self { link: link.clone(), group: None };
        BaseConsumer::from_config_and_context(&link.config, context)
            .map_err(|error| error.to_string())
    }
}

impl Group {
    fn assign(
        &self,
        consumer: &BaseConsumer<Context>,
        partitions: &TopicPartitionList,
        link: &Link,
    ) {
        let Some(shared) = self.consumer.get() else { return };
        if partitions.count() == 0 {
            return;
        }
        let asked = || {
            let wait = limits::KAFKA_REQUEST_TIMEOUT;
            let committed = consumer.committed_offsets(partitions.clone(), wait)?;
            committed.elements().iter().try_for_each(|place| place.error())?;
            Ok(committed)
        };
        let Some(committed) = self.insist(consumer, asked) else { return };
        for place in committed.elements() {
            let (topic, partition) = (place.topic(), place.partition());
            let kept =
                || consumer.fetch_watermarks(topic, partition, limits::KAFKA_REQUEST_TIMEOUT);
            let Some((low, high)) = self.insist(consumer, kept) else { return };
            let (offset, metadata) = begin(&place, (low.max(0) as u64, high.max(0) as u64));
            let at = (offset, metadata);
            let lane =
                KafkaLane::new((topic, partition), at, &self.replica, shared.clone(), link.clone());
            let lane = Arc::new(lane);
            tracing::info!(topic, partition, offset, "partition of a journal assigned");
            if let Some(before) = self.lanes.lock().insert(partition, lane.clone()) {
                before.lose();
            }
            let is_over = || self.stop.is_cancelled() || consumer.assignment_lost();
            if !self.tell(Event::Assigned(lane.clone()), is_over) {
                // Nobody delivers it: then nothing is committed, either.
                lane.lose();
            }
        }
    }

    /// Asks the brokers until they answer. Without that nobody knows what is delivered. `None` when
    /// the member is to leave, or the group has given the partitions to somebody else because this
    /// took too long.
    fn insist<T>(
        &self,
        consumer: &BaseConsumer<Context>,
        ask: impl Fn() -> Result<T, KafkaError>,
    ) -> Option<T> {
        loop {
            if self.stop.is_cancelled() || consumer.assignment_lost() {
                return None;
            }
            match ask() {
                Ok(answer) => return Some(answer),
                Err(error) => {
                    tracing::warn!(topic = self.topic, %error, "where to begin is not told");
                    std::thread::park_timeout(ASK_AGAIN);
                }
            }
        }
    }

    /// Says what happens; waits for room only until it `is_over`. Answers whether it was said.
    fn tell(&self, mut event: Event, is_over: impl Fn() -> bool) -> bool {
        loop {
            match self.events.try_send(event) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => return false,
                Err(TrySendError::Full(back)) if !is_over() => {
                    event = back;
                    std::thread::park_timeout(TELL_AGAIN);
                }
                Err(TrySendError::Full(_)) => {
                    tracing::error!(topic = self.topic, "nobody hears of a journal's partitions");
                    return false;
                }
            }
        }
    }

    fn revoke(
        &self,
        consumer: &BaseConsumer<Context>,
        partitions: &TopicPartitionList,
        orderly: bool,
    ) {
        let gone: Vec<_> = {
            let mut lanes = self.lanes.lock();
            let places = partitions.elements();
            places.iter().filter_map(|place| lanes.remove(&place.partition())).collect()
        };
        if !orderly {
            gone.iter().for_each(|lane| lane.lose());
        }
        let until = Instant::now() + self.patience;
        let (done, all_done) = blocking::channel();
        for lane in &gone {
            let (topic, partition) = (&*self.topic, lane.partition);
            tracing::info!(topic, partition, orderly, "partition of a journal revoked");
            let done = done.clone();
            self.tell(Event::Revoked { partition, orderly, done }, || Instant::now() >= until);
        }
        drop(done);
        if orderly {
            // Ends when every sender is dropped.
            let _ = all_done.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
        self.let_go(&gone);
        let mut paused = TopicPartitionList::new();
        for lane in gone.iter().filter(|lane| lane.paused.load(Ordering::Relaxed)) {
            paused.add_partition(&self.topic, lane.partition);
        }
        // librdkafka would keep them paused until they come back, and beyond.
        if paused.count() > 0
            && let Err(error) = consumer.resume(&paused)
        {
            tracing::warn!(topic = self.topic, %error, "partitions cannot be resumed");
        }
    }

    /// Nothing more is committed of these, as far as we can tell.
    fn let_go(&self, lanes: &[Arc<KafkaLane>]) {
        lanes.iter().for_each(|lane| lane.lose());
        let until = Instant::now() + limits::KAFKA_COMMIT_WAIT;
        lanes.iter().for_each(|lane| lane.wait_for_commit(until));
    }
}

/// Where a lane begins, and the metadata that stands there. A destination that has never delivered
/// from a partition begins at the oldest: what was accepted before its first start is its to
/// deliver.
fn begin<'a>(place: &'a TopicPartitionListElem<'_>, (low, high): (u64, u64)) -> (u64, &'a str) {
    let (topic, partition) = (place.topic(), place.partition());
    match place.offset() {
        Offset::Offset(offset) if offset as u64 <= high => (offset as u64, place.metadata()),
        Offset::Offset(offset) => {
            tracing::error!(
                topic,
                partition,
                offset,
                low,
                high,
                "the topic of a journal ends before what was delivered of it: it was made anew or \
                 cut back; delivering it from its beginning"
            );
            // Plans are of records that are gone.
            (low, "")
        }
        _ => (low, ""),
    }
}

/// A member, until it is dropped or told to leave.
pub struct Member {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread ends.
    ended: oneshot::Receiver<()>,
    /// How long leaving may take.
    patience: Duration,
}

impl Member {
    /// Joins the group of a destination. Events come until the member has left.
    pub fn join(
        options: &KafkaOptions,
        link: &Link,
        group: &str,
        replica: &str,
    ) -> Result<(Self, mpsc::Receiver<Event>), String> {
        let mut link = link.clone();
        let session_ms = options.session_timeout.0.as_millis();
        let poll_ms = limits::KAFKA_POLL_INTERVAL_MAX.as_millis();
        link.config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session_ms.to_string())
            // librdkafka takes no client whose session is longer than this.
            .set("max.poll.interval.ms", poll_ms.max(session_ms).to_string())
            .set("heartbeat.interval.ms", (session_ms / 4).max(1).to_string())
            .set("check.crcs", "true")
            .set("fetch.message.max.bytes", (2 * limits::MIB).to_string())
            .set("queued.max.messages.kbytes", limits::KAFKA_FETCHED_KIB.to_string())
            .set("fetch.wait.max.ms", "50")
            .set("topic.metadata.refresh.interval.ms", "10000");
        let (events, receiver) = mpsc::channel(limits::KAFKA_JOURNAL_EVENTS);
        let stop = CancellationToken::new();
        let patience = options.session_timeout.0 / 2;
        let context = Context {
            link: link.clone(),
            group: Some(Group {
                replica: replica.to_owned(),
                topic: options.topic.clone(),
                patience,
                events,
                stop: stop.clone(),
                lanes: Mutex::default(),
                consumer: OnceLock::new(),
            }),
        };
        let consumer = BaseConsumer::from_config_and_context(&link.config, context)
            .map_err(|error| error.to_string())?;
        let consumer = Arc::new(consumer);
        if let Some(group) = &consumer.context().group {
            // Set once, here.
            let _ = group.consumer.set(Arc::downgrade(&consumer));
        }
        consumer.subscribe(&[&options.topic]).map_err(|error| error.to_string())?;
        let (ending, ended) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("kafka-lanes".to_owned())
            .spawn({
                let stop = stop.clone();
                move || {
                    let _ending: oneshot::Sender<()> = ending;
                    fetch(&consumer, &stop);
                    // Closes it here, where nobody else waits.
                    drop(consumer);
                }
            })
            .map_err(|error| error.to_string())?;
        let patience = patience + 3 * limits::KAFKA_REQUEST_TIMEOUT;
        Ok((Self { stop, thread: Some(thread), ended, patience }, receiver))
    }

    /// Gives all partitions back, in order, and leaves the group.
    pub async fn leave(mut self) {
        self.stop.cancel();
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        if tokio::time::timeout(self.patience, &mut self.ended).await.is_err() {
            tracing::warn!("a journal's group is left without a farewell: brokers do not answer");
            return;
        }
        // It is at its end. A panic in it was reported where it happened.
        let _ = thread.join();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Fetches into the lanes until it is told to stop.
fn fetch(consumer: &Arc<BaseConsumer<Context>>, stop: &CancellationToken) {
    let Some(group) = &consumer.context().group else { return };
    let mut paused: HashMap<i32, Arc<KafkaLane>> = HashMap::new();
    let mut fresh: HashMap<i32, Arc<KafkaLane>> = HashMap::new();
    while !stop.is_cancelled() {
        paused.retain(|partition, lane| {
            let still = group.lanes.lock().get(partition).is_some_and(|now| Arc::ptr_eq(now, lane));
            if still && lane.has_room() {
                turn(consumer, lane, true);
                return false;
            }
            still
        });
        // What came in one go becomes visible in one go.
        let wait = if fresh.is_empty() { POLL.min(idle(&paused)) } else { Duration::ZERO };
        match consumer.poll(wait) {
            None => fresh.drain().for_each(|(_, lane)| lane.publish()),
            Some(Err(error)) => {
                tracing::warn!(topic = group.topic, %error, "a journal's topic cannot be read");
                std::thread::park_timeout(POLL);
            }
            Some(Ok(message)) => {
                let partition = message.partition();
                let Some(lane) = group.lanes.lock().get(&partition).cloned() else { continue };
                if !lane.push(&message) && !paused.contains_key(&partition) {
                    turn(consumer, &lane, false);
                    lane.publish();
                    paused.insert(partition, lane.clone());
                }
                fresh.insert(partition, lane);
            }
        }
    }
    consumer.unsubscribe();
    // The callback of the revocation comes with a poll.
    let until = Instant::now() + group.patience + limits::KAFKA_REQUEST_TIMEOUT;
    while !group.lanes.lock().is_empty() && Instant::now() < until {
        let _ = consumer.poll(POLL);
    }
    // The group has not said so in time; it gives them to others.
    let left: Vec<_> = group.lanes.lock().drain().map(|(_, lane)| lane).collect();
    group.let_go(&left);
}

/// Paused partitions are looked at soon: somebody reads from them.
fn idle(paused: &HashMap<i32, Arc<KafkaLane>>) -> Duration {
    if paused.is_empty() { POLL } else { Duration::from_millis(5) }
}

fn turn(consumer: &BaseConsumer<Context>, lane: &KafkaLane, on: bool) {
    let (topic, partition) = (&*lane.topic, lane.partition);
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    lane.paused.store(!on, Ordering::Relaxed);
    let turned = if on { consumer.resume(&list) } else { consumer.pause(&list) };
    if let Err(error) = turned {
        tracing::warn!(topic, partition, %error, "a partition cannot be paused or resumed");
    }
}
