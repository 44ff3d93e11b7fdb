//! A reader as a member of its group: partitions come, are asked for where to begin, and go.
//!
//! ```text
//!  assigned ─▶ Due(Begin) ─ask─▶ Asked ─answer─▶ Reading ─┬─ revoked: settle, commit, abandon
//!                  ▲               │ none                 ├─ lost: abandon
//!                  └── later ◀─────┘◀── Due(Kept), ... ◀──┴─ out of range, held, thawed
//! ```
//!
//! librdkafka gets to know a partition when its offset is known: the group's assignment is answered
//! at once with none, and partitions are added one by one as they are found out about.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer};

use super::{
    events::{Event, Name},
    gather::Gather,
    lane::Lane,
    reader::{End, Farewell, Next, Part, Phase, Reader},
    start::{Answer, Ask, Begin, Span},
};
use crate::limits;

impl Reader {
    // ---------------------------------------------------------------------- coming and going

    pub(super) fn assigned(&mut self, names: Vec<Name>) {
        if let Err(error) = self.consumer.incremental_assign(&TopicPartitionList::new()) {
            tracing::warn!(%error, "the group's assignment cannot be answered");
        }
        for (topic, partition) in names {
            if self.find(&topic, partition).is_some() {
                continue;
            }
            tracing::info!(topic, partition, "a partition is ours");
            let part = self.new_part(topic.into(), partition);
            self.parts.push(part);
        }
        self.reindex();
        self.begin_due(Instant::now());
    }

    fn new_part(&mut self, topic: Arc<str>, partition: i32) -> Part {
        self.ids += 1;
        let key = format!("{topic}/{partition}");
        // What the journal knew when it was opened, or from an earlier time: it is weighed against
        // the group's offset first.
        self.given.road.checkpoints().abandon(&key);
        Part {
            id: self.ids,
            topic,
            partition,
            key,
            lane: self.new_lane(),
            phase: Phase::Due(Instant::now(), Next::Begin),
            position: None,
            gather: Gather::default(),
            committed: None,
            may_commit_position: false,
            failures: 0,
            held_at: None,
        }
    }

    fn new_lane(&self) -> Lane {
        Lane::open(&self.given.road, &self.given.stop, &self.given.runtime)
    }

    pub(super) fn revoked(&mut self, names: Vec<Name>) {
        let is_lost = self.consumer.assignment_lost();
        let mut gone = Vec::new();
        for (topic, partition) in names {
            if let Some(at) = self.find(&topic, partition) {
                self.drop_gathered(at);
                tracing::info!(topic, partition, is_lost, "a partition is no longer ours");
                gone.push(self.parts.swap_remove(at));
                self.reindex();
            }
        }
        self.reindex();
        let ours: Vec<_> = gone.iter().filter(|part| part.phase == Phase::Reading).collect();
        let ours = list(ours.into_iter().map(|part| (part, Offset::Invalid)));
        let is_stopped = self.given.stop.is_cancelled();
        let patience = if is_stopped { Duration::ZERO } else { self.given.setup.session / 2 };
        self.part_with(gone, !is_lost, patience);
        self.unpause(&ours);
        if let Err(error) = self.consumer.incremental_unassign(&ours) {
            tracing::warn!(%error, "the group's revocation cannot be answered");
        }
        self.given.road.beat();
    }

    /// Ends the lanes of these partitions, and tells the group how far they came if they are still
    /// ours. With a journal in memory their records get this long to arrive.
    fn part_with(&mut self, gone: Vec<Part>, may_commit: bool, patience: Duration) {
        let until = Instant::now() + patience;
        for part in &gone {
            part.lane.close();
        }
        for part in &gone {
            if !part.lane.wait_idle(until) {
                tracing::warn!(key = part.key, "a put is still under way");
            }
        }
        let road = self.given.road.clone();
        let checkpoints = road.checkpoints();
        if may_commit {
            if !checkpoints.is_durable() {
                self.given.runtime.block_on(async {
                    for part in &gone {
                        let left = until.saturating_duration_since(Instant::now());
                        checkpoints.settle(&part.key, left).await;
                    }
                });
            }
            self.commit_last(&gone);
        }
        for part in &gone {
            self.remember(part);
            checkpoints.abandon(&part.key);
        }
    }

    /// Keeps how far the journal came, for when the partition comes back.
    fn remember(&self, part: &Part) {
        if let Some(stored) = part.lane.stored()
            && self.given.road.checkpoints().is_durable()
        {
            self.given.known.lock().insert(part.key.clone(), stored);
        }
    }

    /// The process stood still for longer than the session: its partitions may be somebody else's.
    /// Nothing that was read before counts; the group is asked anew, once it had time to say so.
    pub(super) fn thaw(&mut self) {
        if self.parts.is_empty() {
            return;
        }
        tracing::warn!("nothing was read for longer than the session: asking the group anew");
        self.given.metrics.error("Kafka.Stalled");
        for at in 0..self.parts.len() {
            self.drop_gathered(at);
            self.parts[at].lane.close();
            self.remember(&self.parts[at]);
            let lane = self.new_lane();
            let part = &mut self.parts[at];
            part.lane = lane;
            part.committed = None;
            part.may_commit_position = false;
            self.given.road.checkpoints().abandon(&part.key);
        }
        let all: Vec<_> = (0..self.parts.len()).collect();
        self.rest(&all, Next::Begin, Instant::now() + 2 * limits::KAFKA_HEARTBEAT);
    }

    /// Takes leave of the group.
    pub(super) fn leave(mut self, end: &End) {
        for at in 0..self.parts.len() {
            self.drop_gathered(at);
            self.parts[at].lane.close();
        }
        let until = Instant::now() + limits::KAFKA_STOP_WAIT;
        for part in &self.parts {
            part.lane.wait_idle(until);
        }
        if *end == End::Stopped && !self.given.road.checkpoints().is_durable() {
            self.drain();
        }
        let is_ours =
            !self.consumer.assignment_lost() && self.consumer.client().fatal_error().is_none();
        let gone = std::mem::take(&mut self.parts);
        self.reindex();
        self.given.metrics.offset_lag.set(0);
        self.part_with(gone, is_ours, Duration::ZERO);
        tracing::debug!(?end, "leaving the group");
        self.consumer.context().close();
    }

    /// Stays a member while the journal in memory is delivered: nobody else is to read before the
    /// group is told of it. So the group's wishes are answered behind that.
    fn drain(&mut self) {
        let Farewell { all_put, drained } = self.given.farewell.clone();
        self.pause(true);
        all_put.cancel();
        let mut wishes = Vec::new();
        while !drained.is_cancelled() {
            // A member that does not poll is put out. What comes of it is not put.
            let _ = self.consumer.poll(limits::KAFKA_POLL_WAIT);
            let is_wish = |event: &Event| matches!(event, Event::Assigned(_) | Event::Revoked(_));
            wishes.extend(self.consumer.context().take().into_iter().filter(is_wish));
        }
        for wish in wishes {
            match wish {
                Event::Assigned(names) => self.assigned(names),
                Event::Revoked(names) => self.revoked(names),
                _ => {}
            }
        }
    }

    // ------------------------------------------------------------------------------ questions

    /// Takes these partitions from librdkafka until something is found out about them.
    pub(super) fn rest(&mut self, which: &[usize], next: Next, at: Instant) {
        let reading: Vec<_> = which
            .iter()
            .map(|&at| &self.parts[at])
            .filter(|part| part.phase == Phase::Reading)
            .collect();
        if !reading.is_empty() {
            let list = list(reading.into_iter().map(|part| (part, Offset::Invalid)));
            self.unpause(&list);
            if let Err(error) = self.consumer.incremental_unassign(&list) {
                tracing::warn!(%error, "partitions cannot be put aside");
            }
        }
        for &index in which {
            self.ids += 1;
            let part = &mut self.parts[index];
            // An answer to an earlier question no longer counts.
            part.id = self.ids;
            part.phase = Phase::Due(at, next);
        }
    }

    /// Some partition's offset is not kept any more; which one is not told.
    pub(super) fn check_kept(&mut self) {
        self.send_all();
        let now = Instant::now();
        let at =
            self.checked_kept_at.map_or(now, |last| now.max(last + limits::KAFKA_RETRY_MAX / 6));
        self.checked_kept_at = Some(at);
        let is_reading = |&at: &usize| self.parts[at].phase == Phase::Reading;
        let reading: Vec<_> = (0..self.parts.len()).filter(is_reading).collect();
        self.rest(&reading, Next::Kept, at);
    }

    /// Asks for what is due, and reads on what needs no question.
    pub(super) fn begin_due(&mut self, now: Instant) {
        let (mut begins, mut kept, mut ready) = (Vec::new(), Vec::new(), Vec::new());
        let known = self.given.known.lock();
        for (index, part) in self.parts.iter_mut().enumerate() {
            let Phase::Due(at, next) = part.phase else { continue };
            if at > now {
                continue;
            }
            let name = (part.topic.to_string(), part.partition);
            match next {
                Next::Begin => begins.push((part.id, name, known.get(&part.key).copied())),
                Next::Kept => kept.push((part.id, name)),
                Next::Read => ready.push(index),
            }
            part.phase = Phase::Asked(next);
        }
        drop(known);
        if !begins.is_empty() {
            self.asker.ask(Ask::Begin(begins));
        }
        if !kept.is_empty() {
            self.asker.ask(Ask::Kept(kept));
        }
        self.read_on(&ready);
    }

    pub(super) fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Topics(Ok(())) => self.join(),
            Answer::Topics(Err(error)) => {
                tracing::debug!(error, "the topics are not told");
                self.look_around_at = Some(Instant::now() + limits::KAFKA_RETRY_MIN);
            }
            Answer::Begin(answers) => {
                let ready = self.sort(answers, |reader, at, begin| reader.begin(at, begin));
                self.read_on(&ready);
            }
            Answer::Kept(answers) => {
                let ready = self.sort(answers, |reader, at, kept| reader.go_on(at, kept));
                self.read_on(&ready);
            }
        }
    }

    /// Applies what is answered; the partitions that it was answered for. The others are asked
    /// for again later.
    fn sort<T>(
        &mut self,
        answers: Vec<(u64, Result<T, String>)>,
        apply: impl Fn(&mut Self, usize, T),
    ) -> Vec<usize> {
        let mut ready = Vec::new();
        for (id, answer) in answers {
            let Some(at) = self.parts.iter().position(|part| part.id == id) else { continue };
            match answer {
                Ok(answer) => {
                    apply(self, at, answer);
                    self.parts[at].failures = 0;
                    ready.push(at);
                }
                Err(error) => self.ask_later(at, &error),
            }
        }
        ready
    }

    fn ask_later(&mut self, at: usize, error: &str) {
        let part = &mut self.parts[at];
        let Phase::Asked(next) = part.phase else { return };
        if part.failures == 0 {
            tracing::warn!(
                topic = &*part.topic,
                partition = part.partition,
                error,
                "it is not known where to read; asking again"
            );
        }
        let wait = limits::KAFKA_RETRY_MIN * (1 << part.failures.min(6));
        part.failures += 1;
        part.phase = Phase::Due(Instant::now() + wait.min(limits::KAFKA_RETRY_MAX), next);
        self.given.metrics.error("Kafka.OffsetsUnknown");
    }

    fn begin(&mut self, at: usize, begin: Begin) {
        let part = &mut self.parts[at];
        let offset = begin.offset();
        let is_reset = matches!(begin, Begin::Reset(_));
        let (topic, partition) = (&*part.topic, part.partition);
        match begin {
            Begin::Reset(_) => {
                tracing::warn!(
                    topic,
                    partition,
                    offset,
                    "reading at the offset that was set for us"
                );
            }
            Begin::Known(_) => tracing::info!(topic, partition, offset, "reading on"),
            Begin::Initial(_) => {
                tracing::info!(topic, partition, offset, "reading for the first time")
            }
        }
        part.position = Some(offset);
        part.may_commit_position = !is_reset;
    }

    fn go_on(&mut self, at: usize, (first, end): Span) {
        let part = &mut self.parts[at];
        let Some(position) = part.position else { return };
        if (first..=end).contains(&position) {
            return;
        }
        self.given.metrics.error("Kafka.OffsetOutOfRange");
        let (topic, partition) = (&*part.topic, part.partition);
        if position < first {
            tracing::error!(
                topic,
                partition,
                offset = position,
                first,
                lost_records = first - position,
                "records were deleted before they were read; reading on at the first that is kept"
            );
        } else {
            tracing::error!(
                topic,
                partition,
                offset = position,
                end,
                first,
                "the partition ends before what was read of it: it was made anew or cut back; \
                 reading it from its beginning"
            );
        }
        part.position = Some(first);
        part.committed = None;
        part.may_commit_position = position < first;
    }

    /// Becomes a member of the group.
    fn join(&mut self) {
        let topics: Vec<_> = self.given.setup.topics.iter().map(String::as_str).collect();
        if let Err(error) = self.consumer.subscribe(&topics) {
            tracing::error!(%error, "these topics cannot be subscribed to: look at `topics`");
            self.given.metrics.error("Kafka.Subscription");
            self.look_around_at = Some(Instant::now() + limits::KAFKA_RETRY_MAX);
        }
    }

    // -------------------------------------------------------------------------------- reading

    /// Hands these partitions to librdkafka, at their positions.
    fn read_on(&mut self, which: &[usize]) {
        let at = |&index: &usize| {
            let part = &self.parts[index];
            Some((part, Offset::Offset(part.position?)))
        };
        let list = list(which.iter().filter_map(at));
        if list.count() == 0 {
            return;
        }
        if let Err(error) = self.consumer.incremental_assign(&list) {
            for &index in which {
                self.ask_later(index, &error.to_string());
            }
            return;
        }
        for &index in which {
            self.parts[index].phase = Phase::Reading;
        }
        if self.paused {
            self.pause_list(&list, true);
        }
    }

    /// Pauses what is read, or reads on.
    pub(super) fn pause(&mut self, pause: bool) {
        let reading = self.parts.iter().filter(|part| part.phase == Phase::Reading);
        let list = list(reading.map(|part| (part, Offset::Invalid)));
        self.paused = pause;
        self.pause_list(&list, pause);
        tracing::debug!(pause, "the journal sets the pace");
    }

    /// librdkafka would keep a partition paused until it is assigned again, and beyond. It must not
    /// be told to resume one that is not paused: it would drop what it has fetched.
    fn unpause(&self, list: &TopicPartitionList) {
        if self.paused {
            self.pause_list(list, false);
        }
    }

    fn pause_list(&self, list: &TopicPartitionList, pause: bool) {
        if list.count() == 0 {
            return;
        }
        let done = if pause { self.consumer.pause(list) } else { self.consumer.resume(list) };
        if let Err(error) = done {
            tracing::warn!(%error, pause, "partitions cannot be paused or resumed");
        }
    }
}

/// These partitions as librdkafka lists them.
pub(super) fn list<'a>(parts: impl IntoIterator<Item = (&'a Part, Offset)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (part, offset) in parts {
        list.add_partition_offset(&part.topic, part.partition, offset)
            .expect("offsets that were read or asked for are not negative");
    }
    list
}
