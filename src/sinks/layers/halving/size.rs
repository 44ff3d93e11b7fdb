//! What is remembered of refusals, so that the next shipments are cut before they are sent.

use std::ops::Range;

use parking_lot::Mutex;

use crate::{
    limits::{PASSED_BEFORE_LARGER, REFUSED_BYTES_MIN},
    seams::Shipment,
};

/// The size of a request. Destinations limit the bytes, the records, or both; which of them it was
/// a refusal does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub bytes: u64,
    pub records: u64,
}

impl Size {
    /// That of these records of a shipment that lists them.
    pub fn of(shipment: &Shipment, range: &Range<u64>) -> Self {
        let ends: &[u32] = shipment.list.as_ref().map_or(&[], |list| &list.ends);
        let before = |index: u64| {
            let last = index.checked_sub(1).and_then(|last| ends.get(last as usize));
            u64::from(last.copied().unwrap_or(0))
        };
        Self { bytes: before(range.end) - before(range.start), records: range.end - range.start }
    }

    /// Whether it is no smaller than the other in any way.
    fn covers(self, other: Self) -> bool {
        self.bytes >= other.bytes && self.records >= other.records
    }

    fn smaller(self, other: Self) -> Self {
        Self { bytes: self.bytes.min(other.bytes), records: self.records.min(other.records) }
    }
}

/// What one shipment and its pieces showed.
#[derive(Debug, Default)]
pub struct Lesson {
    refused: Vec<Size>,
    /// The largest that passed.
    passed: Option<Size>,
    passes: u32,
}

impl Lesson {
    pub fn refused(&mut self, size: Size) {
        self.refused.push(size);
    }

    pub fn passed(&mut self, size: Size) {
        self.passes = self.passes.saturating_add(1);
        if self.passed.is_none_or(|largest| size.bytes > largest.bytes) {
            self.passed = Some(size);
        }
    }

    pub fn has_passed(&self) -> bool {
        self.passes > 0
    }

    /// Whether a request of this size is known to pass: then a refusal of one like it was about
    /// what it held. Some destinations only say that something in a request is wrong.
    fn is_fine(&self, size: Size) -> bool {
        self.passed.is_some_and(|passed| passed.covers(size))
    }

    /// The smallest size that was refused for its size. Small ones do not count: whatever it was,
    /// to cut all requests to that size would cost more than to be refused again.
    fn smallest_refused(&self) -> Option<Size> {
        self.refused
            .iter()
            .copied()
            .filter(|&size| size.bytes >= REFUSED_BYTES_MIN && !self.is_fine(size))
            .reduce(Size::smaller)
    }
}

/// The smallest size that was refused, and how long ago.
#[derive(Default)]
pub struct Refusals {
    known: Mutex<Option<Known>>,
}

struct Known {
    smallest: Size,
    /// Requests that passed since then.
    passed: u32,
}

impl Refusals {
    /// Whether a request was refused before that was no larger in any way.
    pub fn would_refuse(&self, size: Size) -> bool {
        self.known.lock().as_ref().is_some_and(|known| size.covers(known.smallest))
    }

    /// Learns from a shipment. After many requests that passed larger ones may be tried again:
    /// limits are raised, and it may have been a single odd request that was refused.
    pub fn learn(&self, lesson: &Lesson) {
        let mut known = self.known.lock();
        if known.as_ref().is_some_and(|known| lesson.is_fine(known.smallest)) {
            *known = None;
        }
        if let Some(size) = lesson.smallest_refused() {
            let smallest = known.as_ref().map_or(size, |known| known.smallest.smaller(size));
            *known = Some(Known { smallest, passed: 0 });
        } else if let Some(Known { smallest, passed }) = &mut *known {
            *passed = passed.saturating_add(lesson.passes);
            if *passed >= PASSED_BEFORE_LARGER {
                *passed = 0;
                *smallest =
                    Size { bytes: larger(smallest.bytes), records: larger(smallest.records) };
            }
        }
    }
}

/// By a quarter.
fn larger(size: u64) -> u64 {
    size.saturating_add((size / 4).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(bytes: u64, records: u64) -> Size {
        Size { bytes, records }
    }

    fn lesson(refused: &[Size], passed: &[Size]) -> Lesson {
        let mut lesson = Lesson::default();
        refused.iter().for_each(|&size| lesson.refused(size));
        passed.iter().for_each(|&size| lesson.passed(size));
        lesson
    }

    #[test]
    fn what_is_larger_than_a_refused_request_is_refused_too() {
        let refusals = Refusals::default();
        assert!(!refusals.would_refuse(size(u64::MAX, u64::MAX)));
        refusals.learn(&lesson(&[size(200_000, 200), size(100_000, 100)], &[size(50_000, 50)]));
        assert!(refusals.would_refuse(size(100_000, 100)));
        for smaller in [size(99_999, 100), size(100_000, 99), size(9_000_000, 1)] {
            assert!(!refusals.would_refuse(smaller), "{smaller:?}");
        }
        refusals.learn(&lesson(&[size(200_000, 40)], &[]));
        assert!(refusals.would_refuse(size(100_000, 40)));
        assert!(!refusals.would_refuse(size(99_999, 40)));
    }

    #[test]
    fn small_requests_teach_nothing() {
        let refusals = Refusals::default();
        refusals.learn(&lesson(&[size(REFUSED_BYTES_MIN - 1, 1000)], &[]));
        assert!(!refusals.would_refuse(size(REFUSED_BYTES_MIN, 2000)));
    }

    #[test]
    fn what_is_refused_while_larger_ones_pass_is_refused_for_something_else() {
        let refusals = Refusals::default();
        let refused = [size(800_000, 8), size(400_000, 4), size(200_000, 2)];
        refusals.learn(&lesson(&refused, &[size(400_000, 4), size(100_000, 1)]));
        assert!(!refusals.would_refuse(size(799_999, 8)));
        assert!(refusals.would_refuse(size(800_000, 8)));
        refusals.learn(&lesson(&[], &[size(800_000, 8)]));
        assert!(!refusals.would_refuse(size(u64::MAX, u64::MAX)));
    }

    #[test]
    fn after_many_that_passed_larger_ones_are_tried() {
        let refusals = Refusals::default();
        refusals.learn(&lesson(&[size(100_000, 2)], &[]));
        let one = lesson(&[], &[size(10, 1)]);
        for _ in 1..PASSED_BEFORE_LARGER {
            refusals.learn(&one);
        }
        assert!(refusals.would_refuse(size(100_000, 2)));
        refusals.learn(&one);
        assert!(!refusals.would_refuse(size(124_999, 3)));
        assert!(refusals.would_refuse(size(125_000, 3)));
        refusals.learn(&lesson(&[size(110_000, 3)], &[]));
        refusals.learn(&one);
        assert!(refusals.would_refuse(size(110_000, 3)), "counted anew");
    }
}
