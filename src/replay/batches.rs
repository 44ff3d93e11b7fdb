//! Groups the records of objects into batches, and remembers which object each batch brings how
//! far: pure.

use std::{collections::VecDeque, ops::Range};

use super::{line::FailedLine, state::Digest};

/// Bounds of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    pub records: usize,
    /// Bytes of all records. A larger record goes alone.
    pub bytes: usize,
}

/// How far a batch brings one object once it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub slot: u64,
    /// Its records in the batch.
    pub lines: Range<usize>,
    /// Records of the object up to here are settled with the batch.
    pub upto: u64,
    /// Records among them that were given up before they came into a batch.
    pub left: u64,
    /// The object has no more.
    pub ended: bool,
}

/// Records that are handed on together.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Batch {
    pub lines: Vec<FailedLine>,
    pub digests: Vec<Digest>,
    pub bytes: usize,
    pub marks: Vec<Mark>,
}

/// Fills batches. They are to be settled in the order in which they come out.
#[derive(Debug)]
pub(super) struct Batches {
    limits: BatchLimits,
    open: Batch,
    ready: VecDeque<Batch>,
}

impl Batches {
    pub fn new(limits: BatchLimits) -> Self {
        Self { limits, open: Batch::default(), ready: VecDeque::new() }
    }

    pub fn add(&mut self, slot: u64, line: FailedLine, digest: Option<Digest>) {
        let size = line.raw.len();
        let full = self.open.lines.len() >= self.limits.records
            || self.open.bytes + size > self.limits.bytes;
        if full && !self.open.lines.is_empty() {
            self.close();
        }
        let mark = self.mark(slot);
        mark.lines.end += 1;
        mark.upto = line.ordinal + 1;
        self.open.bytes += size;
        self.open.digests.extend(digest);
        self.open.lines.push(line);
    }

    /// A record that nobody is to get.
    pub fn give_up(&mut self, slot: u64, ordinal: u64) {
        let mark = self.mark(slot);
        mark.upto = ordinal + 1;
        mark.left += 1;
    }

    /// The object has no more records.
    pub fn end(&mut self, slot: u64) {
        self.mark(slot).ended = true;
        if self.open.lines.is_empty() {
            self.close();
        }
    }

    /// Closes what is open.
    pub fn close(&mut self) {
        if !self.open.marks.is_empty() {
            self.ready.push_back(std::mem::take(&mut self.open));
        }
    }

    pub fn pop(&mut self) -> Option<Batch> {
        self.ready.pop_front()
    }

    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn mark(&mut self, slot: u64) -> &mut Mark {
        let at = self.open.lines.len();
        let marks = &mut self.open.marks;
        if marks.last().is_none_or(|mark| mark.slot != slot) {
            marks.push(Mark { slot, lines: at..at, upto: 0, left: 0, ended: false });
        }
        marks.last_mut().expect("one was pushed")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::replay::kind::Kind;

    fn line(ordinal: u64, size: usize) -> FailedLine {
        FailedLine {
            kind: Kind::Unknown,
            raw: vec![0; size].into(),
            code: "".into(),
            message: "".into(),
            attempts: 0,
            arrival_ms: None,
            ended_ms: None,
            details: Vec::new(),
            ordinal,
            line: 1,
        }
    }

    #[test]
    fn batches_span_objects_and_mark_each() {
        let mut batches = Batches::new(BatchLimits { records: 3, bytes: 10 });
        batches.add(1, line(4, 1), None);
        batches.end(1);
        batches.add(2, line(0, 1), None);
        batches.give_up(2, 1);
        batches.add(2, line(2, 9), None);
        batches.end(2);
        batches.close();
        let first = batches.pop().unwrap();
        assert_eq!(
            first.marks,
            [
                Mark { slot: 1, lines: 0..1, upto: 5, left: 0, ended: true },
                Mark { slot: 2, lines: 1..2, upto: 2, left: 1, ended: false },
            ]
        );
        let second = batches.pop().unwrap();
        assert_eq!(second.marks, [Mark { slot: 2, lines: 0..1, upto: 3, left: 0, ended: true }]);
        assert_eq!(batches.pop(), None);
    }

    #[test]
    fn an_object_without_records_waits_for_nobody() {
        let mut batches = Batches::new(BatchLimits { records: 3, bytes: 10 });
        batches.end(1);
        assert!(batches.has_ready());
        batches.add(2, line(0, 1), None);
        batches.end(3);
        assert_eq!(batches.pop().unwrap().marks.len(), 1);
        assert!(!batches.has_ready(), "the order is kept");
    }

    proptest! {
        #[test]
        fn limits_hold_and_marks_cover_every_record(
            objects in prop::collection::vec(prop::collection::vec(0usize..20, 0..30), 0..10),
            records in 1usize..10,
        ) {
            let mut batches = Batches::new(BatchLimits { records, bytes: 30 });
            for (slot, sizes) in objects.iter().enumerate() {
                for (ordinal, size) in sizes.iter().enumerate() {
                    batches.add(slot as u64, line(ordinal as u64, *size), None);
                }
                batches.end(slot as u64);
            }
            batches.close();
            let mut upto = vec![0; objects.len()];
            let mut ended = vec![false; objects.len()];
            while let Some(batch) = batches.pop() {
                prop_assert!(batch.lines.len() <= records && batch.bytes <= 30);
                let mut next = 0;
                for mark in &batch.marks {
                    let slot = mark.slot as usize;
                    prop_assert_eq!(mark.lines.start, next);
                    next = mark.lines.end;
                    for line in &batch.lines[mark.lines.clone()] {
                        prop_assert_eq!(line.ordinal, upto[slot]);
                        upto[slot] += 1;
                    }
                    prop_assert!(mark.lines.is_empty() || mark.upto == upto[slot]);
                    prop_assert!(!ended[slot]);
                    ended[slot] = mark.ended;
                }
                prop_assert_eq!(next, batch.lines.len());
            }
            let lengths: Vec<u64> = objects.iter().map(|sizes| sizes.len() as u64).collect();
            prop_assert_eq!(upto, lengths);
            prop_assert!(ended.iter().all(|ended| *ended));
        }
    }
}
