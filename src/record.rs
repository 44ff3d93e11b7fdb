//! The vocabulary: records, positions and the sets of positions that are settled together.
//!
//! ```text
//! journal of one stream      seq 0        1        2        3        4        5 ...
//!                                |---- frame (one put) ---|----- frame ------|
//! Position{lane, sequence}       ^ first record of the put
//! Ranges                         [0,3) [4,5)   half open, sorted, never touching
//! ```

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One ordered sequence of a journal. The local journal has lane 0 only.
pub type Lane = u16;

/// A record's place in the journal of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    pub lane: Lane,
    pub sequence: u64,
}

impl Position {
    pub const START: Self = Self { lane: 0, sequence: 0 };

    pub fn new(lane: Lane, sequence: u64) -> Self {
        Self { lane, sequence }
    }

    /// The position `records` further on in the same lane.
    pub fn plus(self, records: u64) -> Self {
        Self { lane: self.lane, sequence: self.sequence + records }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.lane, self.sequence)
    }
}

/// A record's place in the whole daemon: which journal, and where in it.
///
/// On the wire 28 lower-case hexadecimal digits: 8 of the journal, 4 of the lane, 16 of the
/// sequence, so that ids of one journal sort as their records lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordId {
    pub journal: [u8; 4],
    pub position: Position,
}

impl RecordId {
    /// The length of an id on the wire.
    pub const HEX_LENGTH: usize = 28;

    pub fn to_hex(self) -> [u8; Self::HEX_LENGTH] {
        let mut bytes = [0; Self::HEX_LENGTH / 2];
        bytes[..4].copy_from_slice(&self.journal);
        bytes[4..6].copy_from_slice(&self.position.lane.to_be_bytes());
        bytes[6..].copy_from_slice(&self.position.sequence.to_be_bytes());
        let mut digits = [0; Self::HEX_LENGTH];
        hex::encode_to_slice(bytes, &mut digits).expect("two digits for each byte");
        digits
    }

    /// Reads what `to_hex` wrote, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.bytes().any(|digit| digit.is_ascii_uppercase()) {
            return None;
        }
        let mut bytes = [0; Self::HEX_LENGTH / 2];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let [j0, j1, j2, j3, l0, l1, sequence @ ..] = bytes;
        let position = Position::new(Lane::from_be_bytes([l0, l1]), u64::from_be_bytes(sequence));
        Some(Self { journal: [j0, j1, j2, j3], position })
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_hex()).expect("digits are ASCII"))
    }
}

/// One record on its way: bytes that are never assumed to be text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub position: Position,
    /// When the journal's stream received it, in milliseconds since the Unix epoch.
    pub arrival_ms: i64,
    pub data: Bytes,
    /// What transforms have found out about it so far.
    pub notes: Notes,
}

/// What transforms found out about a record beside its bytes. Costs a pointer while there is
/// nothing; clones share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes(Option<Arc<Findings>>);

/// The findings of transforms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Values of the namespace `partitionKeyFromQuery`, in the order of the query.
    pub from_query: Vec<(Arc<str>, String)>,
    /// Values of the namespace `partitionKeyFromLambda`.
    pub from_lambda: Vec<(Arc<str>, String)>,
    /// When what the record tells of happened, in milliseconds since 1970.
    pub event_ms: Option<i64>,
    /// Where an Iceberg destination puts it (`otfMetadata` of a Lambda's answer).
    pub table: Option<TableTarget>,
}

/// `otfMetadata` of a Lambda's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableTarget {
    pub destination_database_name: Option<String>,
    pub destination_table_name: Option<String>,
    /// `insert`, `update` or `delete`.
    pub operation: Option<String>,
}

impl Notes {
    pub fn get(&self) -> Option<&Findings> {
        self.0.as_deref()
    }

    /// The findings, to be added to. Notes that others share are copied first.
    pub fn edit(&mut self) -> &mut Findings {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

/// A record as a transform leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    pub data: Bytes,
    pub notes: Notes,
}

/// What makes two calls the same call: an SDK sends one invocation id on every attempt of a call.
///
/// The checksum covers the records, so that the same id with another body is another call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId {
    /// A digest of the invocation id and the access key that signed the call.
    pub digest: [u8; 16],
    /// A checksum of the request body: a part of its SHA-256, or its CRC-32C where it is not
    /// signed.
    pub body_checksum: u32,
}

/// The records of one put, laid out as the journal writes them: lengths, then all bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Put {
    pub lengths: Vec<u32>,
    pub data: Vec<u8>,
    pub arrival_ms: i64,
    pub call: Option<CallId>,
}

impl Put {
    pub fn records(&self) -> usize {
        self.lengths.len()
    }

    pub fn push(&mut self, record: &[u8]) {
        self.lengths.push(record.len() as u32);
        self.data.extend_from_slice(record);
    }

    /// Leaves the first `records` records.
    pub fn truncate(&mut self, records: usize) {
        self.lengths.truncate(records);
        let bytes = self.lengths.iter().map(|&length| length as usize).sum();
        self.data.truncate(bytes);
    }
}

/// The records of one put as the journal hands them out. `data` is shared, never copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub first: Position,
    pub arrival_ms: i64,
    pub lengths: Vec<u32>,
    pub data: Bytes,
}

impl Frame {
    pub fn records(&self) -> u64 {
        self.lengths.len() as u64
    }

    /// The position after the last record.
    pub fn end(&self) -> Position {
        self.first.plus(self.records())
    }

    /// The records with their sequence numbers, without copying.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut offset = 0;
        self.lengths.iter().enumerate().map(move |(i, &length)| {
            let start = offset;
            offset += length as usize;
            (self.first.sequence + i as u64, &self.data[start..offset])
        })
    }

    /// The records as owned values that share the frame's bytes.
    pub fn to_records(&self) -> Vec<Record> {
        let mut offset = 0;
        self.lengths
            .iter()
            .enumerate()
            .map(|(i, &length)| {
                let start = offset;
                offset += length as usize;
                Record {
                    position: self.first.plus(i as u64),
                    arrival_ms: self.arrival_ms,
                    data: self.data.slice(start..offset),
                    notes: Notes::default(),
                }
            })
            .collect()
    }
}

/// Where a record goes at its destination.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// To the destination itself.
    Objects,
    /// To a partition of the destination, named by what its prefix takes from the record: the
    /// values of the dynamic expressions in their order, each followed by U+001F.
    Partition(Arc<str>),
    /// To the error output, under this category (`!{firehose:error-output-type}`).
    Errors(Cow<'static, str>),
}

/// A set of positions of one lane as half-open ranges: sorted, disjoint, never touching.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranges(Vec<(u64, u64)>);

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
        self.0.is_empty()
    }

    /// How many positions are in the set.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// The lowest position and the end behind the highest.
    pub fn bounds(&self) -> Option<(u64, u64)> {
        Some((self.0.first()?.0, self.0.last()?.1))
    }

    pub fn contains(&self, sequence: u64) -> bool {
        let after = self.0.partition_point(|&(start, _)| start <= sequence);
        after > 0 && sequence < self.0[after - 1].1
    }

    /// True when no position of `start..end` is in the set.
    pub fn is_disjoint(&self, start: u64, end: u64) -> bool {
        if start >= end {
            return true;
        }
        let first = self.0.partition_point(|&(_, e)| e <= start);
        self.0.get(first).is_none_or(|&(s, _)| s >= end)
    }

    /// Adds `start..end`, joining what touches. Positions that are already there stay.
    pub fn insert(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        if let Some(last) = self.0.last_mut()
            && last.1 == start
        {
            last.1 = end;
            return;
        }
        let from = self.0.partition_point(|&(_, e)| e < start);
        let to = self.0.partition_point(|&(s, _)| s <= end);
        if from == to {
            self.0.insert(from, (start, end));
            return;
        }
        let joined = (start.min(self.0[from].0), end.max(self.0[to - 1].1));
        self.0.splice(from..to, [joined]);
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
        self.overlapping(start, end).map(|(s, e)| (s.max(start), e.min(end))).collect()
    }

    /// The ranges that share a position with `start..end`.
    fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let from = self.0.partition_point(|&(_, e)| e <= start);
        self.0[from..].iter().copied().take_while(move |&(s, _)| s < end)
    }

    /// The `index`-th position of the set, counted from 0.
    pub fn nth(&self, mut index: u64) -> Option<u64> {
        for (start, end) in self.iter() {
            if index < end - start {
                return Some(start + index);
            }
            index -= end - start;
        }
        None
    }

    /// Removes everything below `before`.
    pub fn remove_below(&mut self, before: u64) {
        self.0.retain_mut(|range| {
            range.0 = range.0.max(before);
            range.0 < range.1
        });
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_agree_with_a_set(spans in prop::collection::vec((0u64..60, 0u64..12), 0..30), cut in 0u64..60) {
            let mut ranges = Ranges::new();
            let mut model = BTreeSet::new();
            for (start, length) in spans {
                prop_assert_eq!(
                    ranges.is_disjoint(start, start + length),
                    (start..start + length).all(|s| !model.contains(&s))
                );
                ranges.insert(start, start + length);
                model.extend(start..start + length);
                for window in ranges.0.windows(2) {
                    prop_assert!(window[0].1 < window[1].0, "ranges touch: {:?}", ranges);
                }
            }
            prop_assert_eq!(ranges.count(), model.len() as u64);
            prop_assert!((0..80).all(|s| ranges.contains(s) == model.contains(&s)));
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
            ranges.remove_below(cut);
            model.retain(|&s| s >= cut);
            prop_assert!((0..80).all(|s| ranges.contains(s) == model.contains(&s)));
        }
    }

    #[test]
    fn record_ids_survive_the_wire() {
        let id = RecordId { journal: [0xde, 0xad, 0xbe, 0xef], position: Position::new(258, 77) };
        assert_eq!(id.to_string(), "deadbeef0102000000000000004d");
        assert_eq!(RecordId::parse(&id.to_string()), Some(id));
        let long = format!("{id}0");
        for text in ["", "deadbeef", "DEADBEEF0102000000000000004D", long.as_str()] {
            assert_eq!(RecordId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn frame_iterates_records_with_positions() {
        let frame = Frame {
            first: Position::new(0, 7),
            arrival_ms: 5,
            lengths: vec![2, 0, 3],
            data: Bytes::from_static(b"abcde"),
        };
        let seen: Vec<_> = frame.iter().collect();
        assert_eq!(seen, vec![(7, &b"ab"[..]), (8, &b""[..]), (9, &b"cde"[..])]);
        assert_eq!(frame.to_records()[2].data, Bytes::from_static(b"cde"));
        assert_eq!(frame.end(), Position::new(0, 10));
    }
}
