//! What a batch settles: whole positions, and leaves of positions that other batches share.
//!
//! ```text
//! record at 7 ──split──▶ leaf 0 ─▶ batch a=1     batch a=1: parts {7: leaf 0 of 3}
//!                        leaf 1 ─▶ batch a=2     batch a=2: parts {7: leaves 1, 2 of 3}
//!                        leaf 2 ─▶ batch a=2
//! record at 8 ──────────▶ leaf 0 ─▶ batch a=1     batch a=1: whole [8, 9)
//! ```

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::Ranges;

/// One of the ends of a record: a record that was not taken apart is leaf 0 of 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "(u64, u32, u32)", from = "(u64, u32, u32)")]
pub struct Leaf {
    pub sequence: u64,
    pub index: u32,
    /// How many leaves the position has.
    pub of: u32,
}

impl Leaf {
    /// A record that is the whole position.
    pub fn whole(sequence: u64) -> Self {
        Self { sequence, index: 0, of: 1 }
    }
}

impl From<Leaf> for (u64, u32, u32) {
    fn from(Leaf { sequence, index, of }: Leaf) -> Self {
        (sequence, index, of)
    }
}

impl From<(u64, u32, u32)> for Leaf {
    fn from((sequence, index, of): (u64, u32, u32)) -> Self {
        Self { sequence, index, of }
    }
}

/// Some leaves of one position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub of: u32,
    pub leaves: Vec<u32>,
}

/// What a batch holds, and where each of its records comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// Positions that lie in it whole.
    pub whole: Ranges,
    /// Positions of which it holds a part.
    pub parts: BTreeMap<u64, Part>,
    /// Where each record comes from; `None` as long as every record is one whole position and
    /// they stand in ascending order.
    order: Option<Vec<Leaf>>,
    /// The position after the last.
    end: u64,
}

impl Members {
    /// Whole positions, one record each.
    pub fn of(whole: Ranges) -> Self {
        let end = whole.bounds().map_or(0, |(_, end)| end);
        Self { whole, end, ..Self::default() }
    }

    /// What a batch was written down to hold.
    pub fn restored(whole: Ranges, parts: BTreeMap<u64, Part>, order: Option<Vec<Leaf>>) -> Self {
        Self { parts, order, ..Self::of(whole) }
    }

    /// Where each record comes from, unless every record is one whole position and they stand in
    /// ascending order.
    pub fn order(&self) -> Option<&[Leaf]> {
        self.order.as_deref()
    }

    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.parts.is_empty()
    }

    /// Adds a record that is a whole position.
    pub fn push(&mut self, sequence: u64) {
        match &mut self.order {
            None if sequence >= self.end => self.end = sequence + 1,
            _ => self.in_order().push(Leaf::whole(sequence)),
        }
        self.whole.insert(sequence, sequence + 1);
    }

    /// Adds leaves of one position, each of them a record. If they are all there are, the position
    /// lies in it whole.
    pub fn push_leaves(&mut self, sequence: u64, of: u32, leaves: &[u32]) {
        if of == 1 {
            return self.push(sequence);
        }
        let order = self.in_order();
        order.extend(leaves.iter().map(|&index| Leaf { sequence, index, of }));
        if leaves.len() as u32 == of {
            self.whole.insert(sequence, sequence + 1);
            return;
        }
        // Leaves that come one by one stay a part even once they are all there: they are counted.
        let part = self.parts.entry(sequence).or_insert(Part { of, leaves: Vec::new() });
        part.leaves.extend(leaves);
    }

    fn in_order(&mut self) -> &mut Vec<Leaf> {
        self.order.get_or_insert_with(|| {
            let positions = self.whole.iter().flat_map(|(start, end)| start..end);
            positions.map(Leaf::whole).collect()
        })
    }

    /// Where the record at `index` comes from.
    pub fn leaf(&self, index: u64) -> Option<Leaf> {
        match &self.order {
            Some(order) => order.get(index as usize).copied(),
            None => self.whole.nth(index).map(Leaf::whole),
        }
    }

    /// Where each record comes from.
    pub fn leaves(&self) -> Vec<Leaf> {
        match &self.order {
            Some(order) => order.clone(),
            None => {
                self.whole.iter().flat_map(|(start, end)| start..end).map(Leaf::whole).collect()
            }
        }
    }

    /// Whether it settles this leaf.
    pub fn holds(&self, leaf: Leaf) -> bool {
        let in_part = |part: &Part| part.of == leaf.of && part.leaves.contains(&leaf.index);
        self.whole.contains(leaf.sequence) || self.parts.get(&leaf.sequence).is_some_and(in_part)
    }

    /// Takes leaves out: their batch does not settle them after all.
    pub fn remove(&mut self, leaves: &[Leaf]) {
        if leaves.is_empty() {
            return;
        }
        let out: HashSet<Leaf> = leaves.iter().copied().collect();
        // A batch without an order would be told by its positions, which no longer tell all.
        self.in_order().retain(|leaf| !out.contains(leaf));
        let mut gone = Ranges::new();
        let mut done = HashSet::new();
        for leaf in leaves {
            let sequence = leaf.sequence;
            if leaf.of > 1 && !done.insert(sequence) {
                continue;
            }
            if leaf.of == 1 {
                gone.insert(sequence, sequence + 1);
                continue;
            }
            if !self.parts.contains_key(&sequence) && !self.whole.contains(sequence) {
                // It was not settled here anyway.
                continue;
            }
            let part = self.parts.entry(sequence).or_insert_with(|| {
                gone.insert(sequence, sequence + 1);
                Part { of: leaf.of, leaves: (0..leaf.of).collect() }
            });
            let of = part.of;
            part.leaves.retain(|index| !out.contains(&Leaf { sequence, index: *index, of }));
            if part.leaves.is_empty() {
                self.parts.remove(&sequence);
            }
        }
        if !gone.is_empty() {
            self.whole = self.whole.without(&gone);
        }
    }

    /// Whole and shared positions together.
    pub fn positions(&self) -> Ranges {
        let mut all = self.whole.clone();
        for sequence in self.parts.keys() {
            all.insert(*sequence, sequence + 1);
        }
        all
    }

    /// How many positions it touches.
    pub fn count(&self) -> u64 {
        self.whole.count() + self.parts.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_batch_does_not_settle_cannot_be_taken_out_of_it() {
        let order = vec![Leaf::whole(3), Leaf { sequence: 4, index: 1, of: 3 }];
        let mut members = Members::restored(Ranges::of(3, 4), BTreeMap::new(), Some(order.clone()));
        assert!(members.holds(order[0]) && !members.holds(order[1]));
        members.remove(&order[1..]);
        assert_eq!((members.whole.count(), members.parts.len()), (1, 0));
        members.remove(&order[..1]);
        assert!(members.is_empty());
    }

    #[test]
    fn records_know_where_they_come_from() {
        let mut members = Members::default();
        for sequence in [3, 4, 9] {
            members.push(sequence);
        }
        assert_eq!(members.leaf(2), Some(Leaf { sequence: 9, index: 0, of: 1 }));
        members.push_leaves(10, 3, &[0, 2]);
        members.push_leaves(11, 2, &[0, 1]);
        members.push(6);
        assert_eq!(members.whole, [(3, 5), (6, 7), (9, 10), (11, 12)].into_iter().collect());
        assert_eq!(members.parts[&10], Part { of: 3, leaves: vec![0, 2] });
        let order: Vec<(u64, u32)> =
            (0..8).map(|i| members.leaf(i).map(|l| (l.sequence, l.index)).unwrap()).collect();
        assert_eq!(order, [(3, 0), (4, 0), (9, 0), (10, 0), (10, 2), (11, 0), (11, 1), (6, 0)]);
        assert_eq!(members.leaf(8), None);
        assert_eq!((members.count(), members.positions().count()), (6, 6));
    }

    #[test]
    fn leaves_that_are_taken_out_are_not_settled() {
        let mut members = Members::default();
        (0..3).for_each(|sequence| members.push(sequence));
        members.push_leaves(3, 2, &[0, 1]);
        members.push_leaves(4, 3, &[1]);
        let out: Vec<Leaf> = [1, 4, 5].into_iter().filter_map(|i| members.leaf(i)).collect();
        members.remove(&out);
        assert_eq!(members.leaf(1), Some(Leaf::whole(2)), "what is left keeps its order");
        assert_eq!(members.whole, [(0, 1), (2, 3)].into_iter().collect());
        assert_eq!(members.parts, BTreeMap::from([(3, Part { of: 2, leaves: vec![0] })]));
    }
}
