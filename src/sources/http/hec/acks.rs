//! Indexer acknowledgement: which ids were given out and have not been asked for.
//!
//! An id is given once the journal has its records, so every one that is known is true. As at
//! Splunk, ids count from 0 in each channel, "true" is said once, and what is not known is false;
//! what is kept is bounded, and the channel that was silent longest is forgotten first. A client
//! that hears "false" sends again, so what is forgotten is stored twice and never lost.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::{limits, sources::http::protocol::Caller};

/// Channels belong to a token.
type Key = (Caller, Uuid);

/// All channels of a stream.
#[derive(Debug, Default)]
pub(super) struct Acks {
    channels: Mutex<Channels>,
}

#[derive(Debug, Default)]
struct Channels {
    by_key: HashMap<Key, Channel>,
    /// By the time of last use: the first was silent longest.
    by_use: BTreeMap<u64, Key>,
    uses: u64,
}

#[derive(Debug, Default)]
struct Channel {
    used: u64,
    next: u64,
    /// Ids that were not asked for yet, as `start → end`: they are given in order, so one range
    /// holds most of them.
    open: BTreeMap<u64, u64>,
}

impl Acks {
    /// The next id of a channel.
    pub(super) fn give(&self, caller: Caller, channel: Uuid) -> u64 {
        self.channels.lock().used(caller, channel).give()
    }

    /// Which of these ids are true. They are not afterwards.
    pub(super) fn take(&self, caller: Caller, channel: Uuid, ids: &[u64]) -> Vec<bool> {
        let mut channels = self.channels.lock();
        // A question alone makes no channel.
        if !channels.by_key.contains_key(&(caller, channel)) {
            return vec![false; ids.len()];
        }
        let channel = channels.used(caller, channel);
        ids.iter().map(|&id| channel.take(id)).collect()
    }
}

impl Channels {
    fn used(&mut self, caller: Caller, channel: Uuid) -> &mut Channel {
        let key = (caller, channel);
        if !self.by_key.contains_key(&key)
            && self.by_key.len() >= limits::HEC_CHANNELS_MAX
            && let Some((_, silent)) = self.by_use.pop_first()
        {
            self.by_key.remove(&silent);
        }
        self.uses += 1;
        let channel = self.by_key.entry(key).or_default();
        self.by_use.remove(&channel.used);
        channel.used = self.uses;
        self.by_use.insert(self.uses, key);
        channel
    }
}

impl Channel {
    fn give(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        match self.open.last_entry() {
            Some(mut last) if *last.get() == id => *last.get_mut() = self.next,
            _ => drop(self.open.insert(id, self.next)),
        }
        self.bound();
        id
    }

    fn take(&mut self, id: u64) -> bool {
        let Some((&start, &end)) = self.open.range(..=id).next_back() else { return false };
        if id >= end {
            return false;
        }
        self.open.remove(&start);
        if start < id {
            self.open.insert(start, id);
        }
        if id + 1 < end {
            self.open.insert(id + 1, end);
        }
        self.bound();
        true
    }

    fn bound(&mut self) {
        if self.open.len() > limits::HEC_ACK_RANGES_MAX {
            self.open.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const CALLER: Caller = [1; 32];

    fn channel(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn an_id_is_true_once_and_in_its_channel() {
        let acks = Acks::default();
        let ids: Vec<u64> = (0..3).map(|_| acks.give(CALLER, channel(1))).collect();
        assert_eq!(ids, [0, 1, 2]);
        assert_eq!(acks.give(CALLER, channel(2)), 0);
        assert_eq!(acks.give([2; 32], channel(1)), 0, "channels of another token are others");
        assert_eq!(acks.take(CALLER, channel(1), &[1, 3, 1]), [true, false, false]);
        assert_eq!(acks.take(CALLER, channel(1), &[0, 1, 2]), [true, false, true]);
        assert_eq!(acks.take(CALLER, channel(3), &[0]), [false]);
        assert_eq!(acks.give(CALLER, channel(1)), 3, "ids are not used again");
    }

    #[test]
    fn the_channel_that_was_silent_longest_is_forgotten_first() {
        let acks = Acks::default();
        for number in 0..limits::HEC_CHANNELS_MAX as u128 {
            acks.give(CALLER, channel(number));
        }
        // A question is a use, too.
        acks.take(CALLER, channel(0), &[7]);
        acks.give(CALLER, channel(u128::MAX));
        assert_eq!(acks.take(CALLER, channel(0), &[0]), [true]);
        assert_eq!(acks.take(CALLER, channel(1), &[0]), [false]);
        let channels = acks.channels.lock();
        assert_eq!(channels.by_key.len(), limits::HEC_CHANNELS_MAX);
        assert_eq!(channels.by_use.len(), limits::HEC_CHANNELS_MAX);
    }

    #[test]
    fn ids_that_lie_apart_are_bounded() {
        let mut channel = Channel::default();
        let ids = 4 * limits::HEC_ACK_RANGES_MAX as u64;
        assert_eq!((0..ids).map(|_| channel.give()).max(), Some(ids - 1));
        for id in (0..ids).filter(|id| id % 2 == 1) {
            channel.take(id);
        }
        assert!(channel.open.len() <= limits::HEC_ACK_RANGES_MAX);
        assert!(channel.take(ids - 2), "the newest are kept");
        assert!(!channel.take(0));
    }

    proptest! {
        #[test]
        fn ranges_are_the_set_they_stand_for(steps in prop::collection::vec(0u64..40, 0..120)) {
            let (mut channel, mut model) = (Channel::default(), BTreeSet::new());
            for step in steps {
                if step < 15 {
                    model.insert(channel.give());
                } else {
                    prop_assert_eq!(channel.take(step - 15), model.remove(&(step - 15)));
                }
            }
            for id in 0..40 {
                prop_assert_eq!(channel.take(id), model.remove(&id));
            }
        }
    }
}
