//! Positions whose leaves reach their ends apart from each other.

use std::collections::{BTreeMap, HashMap};

use crate::record::{Part, Ranges};

/// How leaves ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Delivered,
    Failed,
    Dropped,
}

/// Counts down the leaves of positions that were taken apart.
#[derive(Debug, Default)]
pub struct Claims {
    /// Leaves that shipments of an earlier run hold or have settled.
    held: HashMap<u64, Part>,
    open: HashMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    of: u32,
    left: u32,
    delivered: bool,
    failed: bool,
    /// Whether the position was read in this run. Before that it cannot be settled.
    read: bool,
}

impl Open {
    fn new(of: u32) -> Self {
        Self { of, left: of, delivered: false, failed: false, read: false }
    }
}

/// Positions that have come to their end, by how.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub delivered: Ranges,
    pub failed: Ranges,
    pub dropped: Ranges,
}

impl Claims {
    /// Takes note that a shipment of an earlier run holds leaves.
    pub fn hold(&mut self, parts: &BTreeMap<u64, Part>) {
        for (sequence, part) in parts {
            let held = self.held.entry(*sequence);
            let held = held.or_insert_with(|| Part { of: part.of, leaves: Vec::new() });
            held.leaves.extend(&part.leaves);
        }
    }

    /// A position is read that has `of` leaves: those that earlier shipments hold. Where it is
    /// taken apart otherwise than then, nothing is told of them: all go their way anew, for rather
    /// twice than never.
    pub fn read(&mut self, sequence: u64, of: u32) -> Vec<u32> {
        let held = self.held.remove(&sequence).filter(|part| part.of == of);
        if self.open.get(&sequence).is_some_and(|open| open.of != of) {
            self.open.remove(&sequence);
        }
        held.map(|part| part.leaves).unwrap_or_default()
    }

    /// From here on the position settles leaf by leaf; it does so now if nothing is left of it.
    pub fn part(&mut self, sequence: u64, of: u32, ended: &mut Ended) {
        self.open.entry(sequence).or_insert_with(|| Open::new(of)).read = true;
        self.close(sequence, ended);
    }

    /// So many leaves of a position came to their end.
    pub fn end(&mut self, sequence: u64, of: u32, leaves: u32, how: Ending, ended: &mut Ended) {
        let open = self.open.entry(sequence).or_insert_with(|| Open::new(of));
        if open.of != of {
            return;
        }
        open.left = open.left.saturating_sub(leaves);
        open.delivered |= how == Ending::Delivered && leaves > 0;
        open.failed |= how == Ending::Failed && leaves > 0;
        self.close(sequence, ended);
    }

    /// A position counts as failed if any leaf of it failed, and as delivered if any arrived.
    fn close(&mut self, sequence: u64, ended: &mut Ended) {
        let Some(open) = self.open.get(&sequence).filter(|open| open.read && open.left == 0) else {
            return;
        };
        let ranges = match open {
            Open { failed: true, .. } => &mut ended.failed,
            Open { delivered: true, .. } => &mut ended.delivered,
            _ => &mut ended.dropped,
        };
        ranges.insert(sequence, sequence + 1);
        self.open.remove(&sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64) -> Ranges {
        Ranges::of(sequence, sequence + 1)
    }

    #[test]
    fn a_position_ends_with_its_last_leaf() {
        let mut claims = Claims::default();
        let mut ended = Ended::default();
        claims.part(7, 4, &mut ended);
        claims.end(7, 4, 1, Ending::Dropped, &mut ended);
        claims.end(7, 4, 2, Ending::Delivered, &mut ended);
        assert_eq!(ended, Ended::default());
        claims.end(7, 4, 1, Ending::Delivered, &mut ended);
        assert_eq!(ended, Ended { delivered: at(7), ..Ended::default() });
        claims.part(8, 2, &mut ended);
        claims.end(8, 2, 1, Ending::Delivered, &mut ended);
        claims.end(8, 2, 1, Ending::Failed, &mut ended);
        claims.part(9, 2, &mut ended);
        claims.end(9, 2, 2, Ending::Dropped, &mut ended);
        assert_eq!(ended, Ended { delivered: at(7), failed: at(8), dropped: at(9) });
        assert!(claims.open.is_empty());
    }

    #[test]
    fn what_an_earlier_run_holds_is_told_when_the_position_is_read() {
        let mut claims = Claims::default();
        let part = |of, leaves: &[u32]| Part { of, leaves: leaves.to_vec() };
        claims.hold(&BTreeMap::from([(7, part(3, &[0])), (8, part(3, &[1]))]));
        claims.hold(&BTreeMap::from([(7, part(3, &[2]))]));
        let mut ended = Ended::default();
        // Arrives before the position is read.
        claims.end(7, 3, 2, Ending::Delivered, &mut ended);
        assert_eq!(claims.read(7, 3), [0, 2]);
        claims.part(7, 3, &mut ended);
        assert_eq!(ended, Ended::default());
        claims.end(7, 3, 1, Ending::Delivered, &mut ended);
        assert_eq!(ended.delivered, at(7));
    }

    #[test]
    fn a_position_that_is_taken_apart_otherwise_begins_anew() {
        let mut claims = Claims::default();
        claims.hold(&BTreeMap::from([(7, Part { of: 3, leaves: vec![0] })]));
        let mut ended = Ended::default();
        claims.end(7, 3, 1, Ending::Delivered, &mut ended);
        assert_eq!(claims.read(7, 2), [0; 0]);
        claims.part(7, 2, &mut ended);
        claims.end(7, 3, 1, Ending::Delivered, &mut ended);
        claims.end(7, 2, 1, Ending::Delivered, &mut ended);
        assert_eq!(ended, Ended::default());
        claims.end(7, 2, 1, Ending::Delivered, &mut ended);
        assert_eq!(ended.delivered, at(7));
    }
}
