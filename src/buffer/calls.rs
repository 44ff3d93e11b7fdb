//! The window of recent calls: what recognises a retried one.

use std::collections::{HashMap, VecDeque};

use crate::record::CallId;

/// Where a call was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The first sequence of its frame.
    pub first: u64,
    /// Records in the frame: fewer than in the call if the stream's limits took only a part.
    pub records: u32,
}

/// Remembers where the last calls came to lie, up to a number of them.
pub struct Calls {
    places: HashMap<CallId, Place>,
    order: VecDeque<CallId>,
    most: usize,
}

impl Calls {
    pub fn new(most: usize) -> Self {
        Self { places: HashMap::new(), order: VecDeque::new(), most }
    }

    /// The frame that this call was stored in.
    pub fn get(&self, call: &CallId) -> Option<Place> {
        self.places.get(call).copied()
    }

    /// Remembers a call; the oldest is forgotten for it.
    pub fn insert(&mut self, call: CallId, place: Place) {
        if self.places.insert(call, place).is_none() {
            self.order.push_back(call);
        }
        while self.order.len() > self.most {
            if let Some(oldest) = self.order.pop_front() {
                self.places.remove(&oldest);
            }
        }
    }

    /// Forgets calls that were not stored after all: those at or above `first`, the latest ones.
    pub fn forget_from(&mut self, first: u64) {
        while let Some(last) = self.order.back()
            && self.places.get(last).is_some_and(|place| place.first >= first)
        {
            self.places.remove(last);
            self.order.pop_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(n: u32) -> CallId {
        CallId { digest: [1; 16], body_checksum: n }
    }

    fn place(n: u32) -> Place {
        Place { first: u64::from(n) * 10, records: n + 1 }
    }

    #[test]
    fn the_oldest_is_forgotten_and_the_latest_can_be_taken_back() {
        let mut calls = Calls::new(3);
        for n in 0..5 {
            calls.insert(call(n), place(n));
        }
        assert_eq!((calls.get(&call(1)), calls.get(&call(2))), (None, Some(place(2))));
        calls.forget_from(30);
        assert_eq!(
            (calls.get(&call(2)), calls.get(&call(3)), calls.get(&call(4))),
            (Some(place(2)), None, None)
        );
    }
}
