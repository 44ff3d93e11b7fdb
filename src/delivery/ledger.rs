//! Turns completions in any order into a commit: which positions are opened, which are settled,
//! and up to where everything is.
//!
//! ```text
//!      committed          opened
//!          |                 |
//!  ────────[##  ###   ##     )············ tail
//!           ^^ settled: ranges that must never overlap; a position is settled exactly once
//! ```

use std::collections::BTreeMap;

use crate::record::Ranges;

/// Arrivals that are told apart.
const ARRIVALS_APART_MS: i64 = 1000;

/// The positions of one destination in one lane, from the committed one on.
#[derive(Debug)]
pub struct Ledger {
    committed: u64,
    opened: u64,
    /// Settled positions at or above `committed`.
    settled: Ranges,
    /// First sequence → arrival of the frames that are opened and not wholly committed.
    arrivals: BTreeMap<u64, i64>,
}

/// A rule of the ledger was broken: a bug, never a state to go on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    #[error("positions {start}..{end} are settled already, in part or whole")]
    SettledTwice { start: u64, end: u64 },
    #[error("positions {start}..{end} were never opened")]
    NotOpened { start: u64, end: u64 },
    #[error("opened {start}, but {expected} comes next")]
    Gap { start: u64, expected: u64 },
}

impl Ledger {
    /// A ledger that begins where the cursor stands.
    pub fn starting_at(committed: u64) -> Self {
        Self { committed, opened: committed, settled: Ranges::new(), arrivals: BTreeMap::new() }
    }

    /// The next position to be read.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Everything below is settled.
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// Positions settled so far that the commit has not passed.
    pub fn settled_ahead(&self) -> u64 {
        self.settled.count()
    }

    /// Whether a position has reached its end.
    pub fn is_settled(&self, sequence: u64) -> bool {
        sequence < self.committed || self.settled.contains(sequence)
    }

    /// Takes note that `start..end`, which arrived together, was read. Reads chain without gaps.
    pub fn open(&mut self, start: u64, end: u64, arrival_ms: i64) -> Result<(), LedgerError> {
        if start != self.opened {
            return Err(LedgerError::Gap { start, expected: self.opened });
        }
        self.opened = end;
        // One entry a second is as exact as anybody asks for.
        let last = self.arrivals.last_key_value().map(|(_, last)| *last);
        if last.is_none_or(|last| (arrival_ms - last).abs() >= ARRIVALS_APART_MS) {
            self.arrivals.insert(start, arrival_ms);
        }
        Ok(())
    }

    /// Settles positions that are opened and not settled; answers with the new commit if it moved.
    pub fn settle(&mut self, positions: &Ranges) -> Result<Option<u64>, LedgerError> {
        for (start, end) in positions.iter() {
            if start < self.committed || !self.settled.is_disjoint(start, end) {
                return Err(LedgerError::SettledTwice { start, end });
            }
            if end > self.opened {
                return Err(LedgerError::NotOpened { start, end });
            }
        }
        for (start, end) in positions.iter() {
            self.settled.insert(start, end);
        }
        // First, for a long range behind a gap is not to be walked each time.
        if !self.settled.contains(self.committed) {
            return Ok(None);
        }
        let Some(end) = self.settled.first_end() else { return Ok(None) };
        self.committed = end;
        self.settled.remove_below(end);
        self.forget_arrivals();
        Ok(Some(end))
    }

    /// Arrival of the oldest position that is opened and not settled.
    pub fn oldest_arrival_ms(&self) -> Option<i64> {
        if self.committed == self.opened {
            return None;
        }
        let (_, arrival) = self.arrivals.range(..=self.committed).next_back()?;
        Some(*arrival)
    }

    /// Keeps the frame that holds the committed position, forgets those before it.
    fn forget_arrivals(&mut self) {
        let Some((&holding, _)) = self.arrivals.range(..=self.committed).next_back() else {
            return;
        };
        self.arrivals = self.arrivals.split_off(&holding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_commit_never_passes_the_lowest_unsettled_position() {
        let mut ledger = Ledger::starting_at(10);
        ledger.open(10, 20, 1000).unwrap();
        ledger.open(20, 30, 2000).unwrap();
        assert_eq!(ledger.settle(&Ranges::of(15, 25)), Ok(None));
        assert_eq!(ledger.oldest_arrival_ms(), Some(1000));
        assert_eq!(ledger.settle(&Ranges::of(10, 15)), Ok(Some(25)));
        assert_eq!(ledger.oldest_arrival_ms(), Some(2000));
        assert_eq!(ledger.settle(&Ranges::of(25, 30)), Ok(Some(30)));
        assert_eq!(ledger.oldest_arrival_ms(), None);
    }

    #[test]
    fn broken_rules_are_errors() {
        let mut ledger = Ledger::starting_at(0);
        ledger.open(0, 10, 0).unwrap();
        assert_eq!(ledger.open(11, 12, 0), Err(LedgerError::Gap { start: 11, expected: 10 }));
        ledger.settle(&Ranges::of(3, 6)).unwrap();
        let twice = ledger.settle(&Ranges::of(5, 7));
        assert_eq!(twice, Err(LedgerError::SettledTwice { start: 5, end: 7 }));
        let unread = ledger.settle(&Ranges::of(8, 11));
        assert_eq!(unread, Err(LedgerError::NotOpened { start: 8, end: 11 }));
        ledger.settle(&Ranges::of(0, 3)).unwrap();
        let below = ledger.settle(&Ranges::of(0, 1));
        assert_eq!(below, Err(LedgerError::SettledTwice { start: 0, end: 1 }));
    }

    proptest! {
        /// Shipments of random sizes settle in random order; the commit follows the model.
        #[test]
        fn any_order_of_settling_ends_at_the_tail(
            sizes in prop::collection::vec(1u64..5, 1..40),
            seed in any::<u64>(),
        ) {
            let mut ledger = Ledger::starting_at(0);
            let mut pieces = Vec::new();
            let mut at = 0;
            for size in sizes {
                ledger.open(at, at + size, at as i64).unwrap();
                pieces.push((at, at + size));
                at += size;
            }
            fastrand::Rng::with_seed(seed).shuffle(&mut pieces);
            let mut settled = vec![false; at as usize];
            for (start, end) in pieces {
                ledger.settle(&Ranges::of(start, end)).unwrap();
                settled[start as usize..end as usize].fill(true);
                let lowest = settled.iter().position(|done| !done).unwrap_or(settled.len());
                prop_assert_eq!(ledger.committed(), lowest as u64);
                prop_assert!((0..at).all(|s| ledger.is_settled(s) == settled[s as usize]));
            }
            prop_assert_eq!(ledger.committed(), at);
            prop_assert!(ledger.arrivals.len() <= 1);
        }
    }
}
