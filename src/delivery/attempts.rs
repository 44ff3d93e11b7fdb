//! What is known of records that come from an error output: the attempts that were made before they
//! came here, and which of them fail once more.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::fault::Cause;

/// Attempts made before, by position, and the causes of those that fail again. Records that do not
/// come from an error output are none of its business.
#[derive(Debug, Default)]
pub struct AttemptsBefore {
    before: Mutex<BTreeMap<u64, u32>>,
    failed: Option<Mutex<BTreeMap<u64, Cause>>>,
}

impl AttemptsBefore {
    /// One that also remembers what fails.
    pub fn remembering() -> Self {
        Self { failed: Some(Mutex::default()), ..Self::default() }
    }

    /// A record fails.
    pub(super) fn fails(&self, sequence: u64, cause: &Cause) {
        if let Some(failed) = &self.failed {
            failed.lock().entry(sequence).or_insert_with(|| cause.clone());
        }
    }

    /// Why these positions failed, of those that did. Asked once for each.
    pub fn take_failed(&self, first: u64, end: u64) -> BTreeMap<u64, Cause> {
        let Some(failed) = &self.failed else { return BTreeMap::new() };
        let mut failed = failed.lock();
        let mut taken = failed.split_off(&first);
        let mut behind = taken.split_off(&end);
        failed.append(&mut behind);
        taken
    }

    /// From `first` on records have so many attempts behind them.
    pub fn note(&self, first: u64, attempts: u32) {
        let mut before = self.before.lock();
        let last = before.last_key_value().map_or(0, |(_, attempts)| *attempts);
        if last != attempts {
            before.insert(first, attempts);
        }
    }

    pub fn of(&self, sequence: u64) -> u32 {
        self.before.lock().range(..=sequence).next_back().map_or(0, |(_, attempts)| *attempts)
    }

    /// Nothing below is asked for any more.
    pub fn forget_below(&self, sequence: u64) {
        let mut before = self.before.lock();
        let at = before.range(..=sequence).next_back().map(|(first, _)| *first);
        if let Some(at) = at {
            *before = before.split_off(&at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_holds_until_the_next() {
        let before = AttemptsBefore::default();
        assert_eq!(before.of(5), 0);
        for (first, attempts) in [(0, 0), (3, 2), (7, 2), (9, 0)] {
            before.note(first, attempts);
        }
        assert_eq!([0, 2, 3, 8, 9, 50].map(|at| before.of(at)), [0, 0, 2, 2, 0, 0]);
        before.forget_below(8);
        assert_eq!([7, 8, 9].map(|at| before.of(at)), [2, 2, 0]);
    }

    #[test]
    fn failures_are_told_once() {
        let before = AttemptsBefore::remembering();
        let cause = |code: &str| Cause::new(code, "m");
        for (at, code) in [(3, "a"), (5, "b"), (5, "c"), (9, "d")] {
            before.fails(at, &cause(code));
        }
        assert_eq!(before.take_failed(4, 9), BTreeMap::from([(5, cause("b"))]));
        assert_eq!(before.take_failed(4, 9), BTreeMap::new());
        let rest = BTreeMap::from([(3, cause("a")), (9, cause("d"))]);
        assert_eq!(before.take_failed(0, 99), rest);
    }
}
