//! What the group keeps of a partition: the committed offset, and plans in its metadata.

use std::{
    io,
    sync::{
        Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
};

use super::member::Context;
use crate::{limits, seams::SharedPlans};

/// The committed offset, and the plans in its metadata. One commit at a time.
pub(super) struct Plans {
    topic: String,
    partition: i32,
    replica: String,
    /// The member's. It is gone when the member has left.
    consumer: Weak<BaseConsumer<Context>>,
    /// Held as long as a commit takes.
    saved: Mutex<Saved>,
    /// Another replica may have the partition: nothing more is committed. Not behind the lock, for
    /// whoever says so must not wait for brokers.
    lost: AtomicBool,
}

struct Saved {
    offset: u64,
    plans: Vec<u8>,
    /// Whether the plans are this replica's.
    ours: bool,
}

impl Plans {
    pub fn new(
        (topic, partition): (&str, i32),
        (committed, metadata): (u64, &str),
        replica: &str,
        consumer: Weak<BaseConsumer<Context>>,
    ) -> Self {
        let (writer, plans) = metadata.split_once('\n').unwrap_or_default();
        let ours = writer == format!("standpipe {replica}");
        let saved = Saved { offset: committed, plans: plans.as_bytes().to_vec(), ours };
        Self {
            topic: topic.to_owned(),
            partition,
            replica: replica.to_owned(),
            consumer,
            saved: Mutex::new(saved),
            lost: AtomicBool::new(false),
        }
    }

    /// Nothing more may be committed. Waits for nobody.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    /// Waits for the commit under way, if there is one.
    pub fn wait_for_commit(&self, until: Instant) {
        if self.saved.try_lock_until(until).is_none() {
            tracing::warn!(
                topic = self.topic,
                partition = self.partition,
                "a commit is still under way"
            );
        }
    }

    /// The committed offset.
    pub fn offset(&self) -> u64 {
        self.saved.lock().offset
    }

    /// Everything before this offset is settled. Blocking.
    pub fn settle(&self, before: u64) -> io::Result<()> {
        self.commit(|saved| saved.offset = saved.offset.max(before))
    }

    fn check_ours(&self) -> io::Result<()> {
        match self.lost.load(Ordering::SeqCst) {
            true => Err(io::Error::other("another replica has the partition")),
            false => Ok(()),
        }
    }

    /// Commits with what `change` makes of it. Blocking.
    fn commit(&self, change: impl FnOnce(&mut Saved)) -> io::Result<()> {
        self.check_ours()?;
        let mut saved = self.saved.lock();
        // It may have been lost while we waited for the commit before.
        self.check_ours()?;
        let consumer = self.consumer.upgrade();
        let consumer = consumer.ok_or_else(|| io::Error::other("the group was left"))?;
        let mut next = Saved { plans: saved.plans.clone(), ..*saved };
        change(&mut next);
        let plans = std::str::from_utf8(&next.plans).map_err(io::Error::other)?;
        let mut list = TopicPartitionList::new();
        {
            let mut place = list.add_partition(&self.topic, self.partition);
            place.set_offset(Offset::Offset(next.offset as i64)).map_err(io::Error::other)?;
            place.set_metadata(format!("standpipe {}\n{plans}", self.replica));
        }
        consumer.commit(&list, CommitMode::Sync).map_err(io::Error::other)?;
        *saved = next;
        Ok(())
    }
}

impl SharedPlans for Plans {
    fn load(&self) -> io::Result<(Vec<u8>, bool)> {
        let saved = self.saved.lock();
        Ok((saved.plans.clone(), saved.ours))
    }

    fn save(&self, plans: &[u8]) -> io::Result<()> {
        self.commit(|saved| {
            saved.plans = plans.to_vec();
            saved.ours = true;
        })
    }

    fn max_bytes(&self) -> usize {
        limits::KAFKA_PLANS_BYTES_MAX
    }
}
