//! Sets of positions of one lane.
//!
//! Positions that are settled together mostly lie side by side: then a short list of ranges holds
//! them. The records of one partition lie scattered over the journal: then a compressed bitmap
//! does, at about two bytes a position instead of sixteen.

use std::fmt;

use roaring::RoaringTreemap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// As many ranges are kept as a list. Longer lists cost memory and time in their middle.
const RUNS_MAX: usize = 64;

/// A set of positions of one lane.
#[derive(Clone)]
pub struct Ranges(Set);

#[derive(Clone)]
enum Set {
    /// Half-open ranges: sorted, disjoint, never touching.
    Runs(Vec<(u64, u64)>),
    Bits(Box<RoaringTreemap>),
}

impl Default for Ranges {
    fn default() -> Self {
        Self(Set::Runs(Vec::new()))
    }
}

impl Ranges {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn of(start: u64, end: u64) -> Self {
        let mut ranges = Self::new();
        ranges.insert(start, end);
        ranges
    }

    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Set::Runs(runs) => runs.is_empty(),
            Set::Bits(bits) => bits.is_empty(),
        }
    }

    /// How many positions are in the set.
    pub fn count(&self) -> u64 {
        match &self.0 {
            Set::Runs(runs) => runs.iter().map(|(start, end)| end - start).sum(),
            Set::Bits(bits) => bits.len(),
        }
    }

    /// The set as half-open ranges: sorted, disjoint, never touching.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.from(0)
    }

    /// The same from the first range on that ends behind `start`.
    fn from(&self, start: u64) -> RangesIter<'_> {
        match &self.0 {
            Set::Runs(runs) => {
                let first = runs.partition_point(|&(_, end)| end <= start);
                RangesIter::Runs(runs[first..].iter())
            }
            Set::Bits(bits) => {
                let mut positions = bits.iter();
                positions.advance_to(start);
                RangesIter::Bits { positions: Box::new(positions), next: None }
            }
        }
    }

    /// The lowest position and the end behind the highest.
    pub fn bounds(&self) -> Option<(u64, u64)> {
        match &self.0 {
            Set::Runs(runs) => Some((runs.first()?.0, runs.last()?.1)),
            Set::Bits(bits) => Some((bits.min()?, bits.max()? + 1)),
        }
    }

    pub fn contains(&self, sequence: u64) -> bool {
        match &self.0 {
            Set::Runs(runs) => {
                let after = runs.partition_point(|&(start, _)| start <= sequence);
                after > 0 && sequence < runs[after - 1].1
            }
            Set::Bits(bits) => bits.contains(sequence),
        }
    }

    /// True when no position of `start..end` is in the set.
    pub fn is_disjoint(&self, start: u64, end: u64) -> bool {
        if start >= end {
            return true;
        }
        match &self.0 {
            Set::Runs(runs) => {
                let first = runs.partition_point(|&(_, e)| e <= start);
                runs.get(first).is_none_or(|&(s, _)| s >= end)
            }
            Set::Bits(bits) => {
                let mut positions = bits.iter();
                positions.advance_to(start);
                positions.next().is_none_or(|position| position >= end)
            }
        }
    }

    /// Adds `start..end`, joining what touches. Positions that are already there stay.
    pub fn insert(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        match &mut self.0 {
            Set::Runs(runs) => {
                insert_run(runs, start, end);
                if runs.len() > RUNS_MAX {
                    let mut bits = RoaringTreemap::new();
                    for &(start, end) in runs.iter() {
                        bits.insert_range(start..end);
                    }
                    self.0 = Set::Bits(Box::new(bits));
                }
            }
            Set::Bits(bits) if end - start == 1 => {
                bits.insert(start);
            }
            Set::Bits(bits) => {
                bits.insert_range(start..end);
            }
        }
    }

    /// Adds all positions of `other`.
    pub fn insert_all(&mut self, other: &Ranges) {
        for (start, end) in other.iter() {
            self.insert(start, end);
        }
    }

    /// The positions of this set that are not in `other`.
    pub fn without(&self, other: &Ranges) -> Ranges {
        let mut left = Ranges::new();
        for (mut start, end) in self.iter() {
            for (gap_start, gap_end) in other.overlapping(start, end) {
                left.insert(start, gap_start.max(start));
                start = gap_end.min(end);
            }
            left.insert(start, end);
        }
        left
    }

    /// The positions of this set that lie in `start..end`.
    pub fn within(&self, start: u64, end: u64) -> Ranges {
        if let Set::Bits(bits) = &self.0 {
            // Not by ranges: the last one may go on far behind `end`.
            let mut positions = bits.iter();
            positions.advance_to(start);
            let inside = positions.take_while(|position| *position < end);
            return inside.map(|position| (position, position + 1)).collect();
        }
        self.overlapping(start, end).map(|(s, e)| (s.max(start), e.min(end))).collect()
    }

    /// The ranges that share a position with `start..end`.
    fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.from(start).take_while(move |&(s, _)| s < end)
    }

    /// The `index`-th position of the set, counted from 0.
    pub fn nth(&self, mut index: u64) -> Option<u64> {
        match &self.0 {
            Set::Runs(runs) => {
                for &(start, end) in runs {
                    if index < end - start {
                        return Some(start + index);
                    }
                    index -= end - start;
                }
                None
            }
            Set::Bits(bits) => bits.select(index),
        }
    }

    /// Removes everything below `before`.
    pub fn remove_below(&mut self, before: u64) {
        match &mut self.0 {
            Set::Runs(runs) => runs.retain_mut(|range| {
                range.0 = range.0.max(before);
                range.0 < range.1
            }),
            Set::Bits(bits) => {
                bits.remove_range(..before);
            }
        }
    }

    /// The end of the range that begins with the lowest position.
    pub fn first_end(&self) -> Option<u64> {
        self.iter().next().map(|(_, end)| end)
    }
}

fn insert_run(runs: &mut Vec<(u64, u64)>, start: u64, end: u64) {
    if let Some(last) = runs.last_mut()
        && last.1 == start
    {
        last.1 = end;
        return;
    }
    let from = runs.partition_point(|&(_, e)| e < start);
    let to = runs.partition_point(|&(s, _)| s <= end);
    if from == to {
        runs.insert(from, (start, end));
        return;
    }
    let joined = (start.min(runs[from].0), end.max(runs[to - 1].1));
    runs.splice(from..to, [joined]);
}

enum RangesIter<'a> {
    Runs(std::slice::Iter<'a, (u64, u64)>),
    Bits {
        positions: Box<roaring::treemap::Iter<'a>>,
        /// A position that was taken and does not belong to the range before it.
        next: Option<u64>,
    },
}

impl Iterator for RangesIter<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        match self {
            Self::Runs(runs) => runs.next().copied(),
            Self::Bits { positions, next } => {
                let start = next.take().or_else(|| positions.next())?;
                let mut end = start + 1;
                for position in positions.by_ref() {
                    if position != end {
                        *next = Some(position);
                        break;
                    }
                    end += 1;
                }
                Some((start, end))
            }
        }
    }
}

/// Equal when they hold the same positions, however they hold them.
impl PartialEq for Ranges {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Ranges {}

impl fmt::Debug for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(start, end)| start..end)).finish()
    }
}

impl FromIterator<(u64, u64)> for Ranges {
    fn from_iter<T: IntoIterator<Item = (u64, u64)>>(iter: T) -> Self {
        let mut ranges = Self::new();
        for (start, end) in iter {
            ranges.insert(start, end);
        }
        ranges
    }
}

/// A list of ranges as a list of pairs; a bitmap in base64, in the format of the Roaring bitmaps.
impl Serialize for Ranges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Set::Runs(runs) => runs.serialize(serializer),
            Set::Bits(bits) => {
                let mut bytes = Vec::with_capacity(bits.serialized_size());
                bits.serialize_into(&mut bytes).map_err(serde::ser::Error::custom)?;
                base64_simd::STANDARD.encode_to_string(bytes).serialize(serializer)
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Runs(Vec<(u64, u64)>),
    Bits(String),
}

impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Stored::deserialize(deserializer)? {
            Stored::Runs(runs) => Ok(runs.into_iter().collect()),
            Stored::Bits(text) => {
                let bytes = base64_simd::STANDARD.decode_to_vec(text).map_err(D::Error::custom)?;
                let bits =
                    RoaringTreemap::deserialize_from(&bytes[..]).map_err(D::Error::custom)?;
                Ok(Self(Set::Bits(Box::new(bits))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_agree_with_a_set(
            scattered in any::<bool>(),
            spans in prop::collection::vec((0u64..60, 0u64..12), 0..30),
            cut in 0u64..60,
        ) {
            let mut ranges = Ranges::new();
            if scattered {
                ranges = Ranges(Set::Bits(Box::default()));
            }
            let mut model = BTreeSet::new();
            for (start, length) in spans {
                prop_assert_eq!(
                    ranges.is_disjoint(start, start + length),
                    (start..start + length).all(|s| !model.contains(&s))
                );
                ranges.insert(start, start + length);
                model.extend(start..start + length);
                let runs: Vec<_> = ranges.iter().collect();
                for window in runs.windows(2) {
                    prop_assert!(window[0].1 < window[1].0, "ranges touch: {:?}", ranges);
                }
            }
            prop_assert_eq!(ranges.count(), model.len() as u64);
            prop_assert!((0..80).all(|s| ranges.contains(s) == model.contains(&s)));
            let bounds = model.first().map(|first| (*first, model.last().unwrap() + 1));
            prop_assert_eq!(ranges.bounds(), bounds);
            let upper = cut + 20;
            let within = ranges.within(cut, upper);
            let without = ranges.without(&within);
            let parted = (0..80).all(|s| {
                let inside = (cut..upper).contains(&s);
                within.contains(s) == (model.contains(&s) && inside)
                    && without.contains(s) == (model.contains(&s) && !inside)
            });
            prop_assert!(parted);
            prop_assert_eq!(ranges.nth(0), model.first().copied());
            prop_assert_eq!(ranges.nth(model.len() as u64), None);
            let stored = serde_json::to_string(&ranges).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Ranges>(&stored).unwrap(), &ranges);
            ranges.remove_below(cut);
            model.retain(|&s| s >= cut);
            prop_assert!((0..80).all(|s| ranges.contains(s) == model.contains(&s)));
        }
    }

    #[test]
    fn scattered_positions_are_the_same_set() {
        let scattered: Ranges = (0..1000).map(|i| (3 * i, 3 * i + 1)).collect();
        assert!(matches!(scattered.0, Set::Bits(_)));
        assert_eq!((scattered.count(), scattered.nth(999)), (1000, Some(2997)));
        let mut whole = scattered;
        (0..1000).for_each(|i| whole.insert(3 * i + 1, 3 * i + 3));
        assert_eq!(whole, Ranges::of(0, 3000));
        assert_eq!(whole.first_end(), Some(3000));
        let line = serde_json::to_string(&Ranges::of(3, 9)).unwrap();
        assert_eq!(line, "[[3,9]]", "what earlier versions wrote is still read");
    }
}
