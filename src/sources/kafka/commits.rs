//! What the group is told: never more than is safe.

use std::{collections::BTreeMap, thread, time::Instant};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};

use super::{
    events::Name,
    reader::{Next, Part, Phase, Reader},
    start::MARK,
};
use crate::limits;

impl Reader {
    /// Commits what has become safe, without waiting for it.
    pub(super) fn commit_behind(&mut self) {
        if self.consumer.assignment_lost() {
            return;
        }
        let safe = self.given.road.checkpoints().safe();
        let mut list = TopicPartitionList::new();
        for part in &self.parts {
            // Said again until the group says that it knows.
            if let Some(offset) = self.committable(part, &safe)
                && part.committed != Some(offset)
            {
                add(&mut list, part, offset);
            }
        }
        if list.count() == 0 {
            return;
        }
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "offsets cannot be committed now");
        }
    }

    /// Commits what is safe of partitions that are being given up, and waits until it is done.
    pub(super) fn commit_last(&mut self, gone: &[Part]) {
        let safe = self.given.road.checkpoints().safe();
        let mut list = TopicPartitionList::new();
        for part in gone {
            if let Some(offset) = self.committable(part, &safe) {
                add(&mut list, part, offset);
            }
        }
        if list.count() == 0 {
            return;
        }
        if let Err(error) = self.commit_now(&list) {
            let code = error.rdkafka_error_code();
            tracing::warn!(%error, "the last offsets are not committed: some records are read again");
            self.given.metrics.error(&code.map_or("Kafka.Commit".into(), super::events::code_name));
        }
    }

    /// While members come and go a group takes no offsets for a moment.
    fn commit_now(&self, list: &TopicPartitionList) -> KafkaResult<()> {
        let until = Instant::now() + limits::KAFKA_STOP_WAIT / 2;
        loop {
            let done = self.consumer.commit(list, CommitMode::Sync);
            let code = done.as_ref().err().and_then(KafkaError::rdkafka_error_code);
            if code != Some(RDKafkaErrorCode::RebalanceInProgress) || Instant::now() >= until {
                return done;
            }
            thread::park_timeout(limits::KAFKA_POLL_WAIT);
        }
    }

    /// What the group may be told of a partition.
    fn committable(&self, part: &Part, safe: &BTreeMap<String, String>) -> Option<i64> {
        let stored = safe.get(&part.key).and_then(|position| position.parse().ok());
        let is_all_stored = part.gather.is_empty() && part.lane.is_idle();
        // Behind the last record that was put there may be some that were passed over.
        let position = part.position.filter(|_| {
            matches!(part.phase, Phase::Reading | Phase::Due(_, Next::Read))
                && is_all_stored
                // What a lane has thrown away lies before the position.
                && !part.lane.has_gap()
                && (part.may_commit_position || stored.is_some())
                && self.given.road.checkpoints().is_settled(&part.key)
        });
        position.or(stored)
    }

    /// The group knows these offsets.
    pub(super) fn committed(&mut self, offsets: Vec<(Name, i64)>) {
        for ((topic, partition), offset) in offsets {
            if let Some(at) = self.find(&topic, partition) {
                self.parts[at].committed = Some(offset);
            }
        }
    }
}

fn add(list: &mut TopicPartitionList, part: &Part, offset: i64) {
    let mut element = list.add_partition(&part.topic, part.partition);
    element.set_metadata(MARK);
    element.set_offset(Offset::Offset(offset)).expect("offsets that were read are not negative");
}
