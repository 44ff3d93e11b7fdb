//! What a replay did.

use std::sync::Arc;

use super::summary::Summary;
use crate::limits;

/// How a replay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Everything that could be read was gone through.
    Complete,
    /// It was told to stop. The next run goes on from there.
    Stopped,
    /// It could not go on, and why.
    Failed(String),
}

/// Something that a user has to know, of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub object: Arc<str>,
    /// The line, from 1, where it is of one.
    pub line: Option<u64>,
    pub reason: String,
}

/// What a replay did.
#[derive(Debug, Clone)]
pub struct Report {
    pub end: End,
    /// Records that the filter admitted, by kind and code.
    pub summary: Summary,
    pub objects: Objects,
    pub records: Records,
    /// The first of them; [`Self::troubles_unnamed`] are not here.
    pub troubles: Vec<Trouble>,
    pub troubles_unnamed: u64,
}

/// Counts of objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Objects {
    /// Gone through to the end.
    pub finished: u64,
    /// Known as finished from an earlier run.
    pub known: u64,
    /// Written after this replay began: perhaps by it. They are for the next one.
    pub newer: u64,
    /// Too old for the filter; not read.
    pub older: u64,
    pub unreadable: u64,
    pub deleted: u64,
    pub moved: u64,
    /// Should have been deleted or moved, but records of them were not taken.
    pub kept: u64,
    /// Should have been deleted or moved, and that failed.
    pub stuck: u64,
}

/// Counts of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Records {
    pub delivered: u64,
    pub delivered_bytes: u64,
    /// Failed again, and stored as error records again.
    pub stored_again: u64,
    /// Refused by whoever was to take them.
    pub refused: u64,
    /// Not handed on, for they came back too often.
    pub circling: u64,
    /// Not handed on, for too many attempts were made already.
    pub exhausted: u64,
    /// Not admitted by the filter.
    pub filtered: u64,
    /// Places in objects that are no records.
    pub damaged: u64,
    /// Handed on without being remembered, for the memory was full.
    pub unremembered: u64,
}

impl Report {
    pub(super) fn new() -> Self {
        Self {
            end: End::Complete,
            summary: Summary::default(),
            objects: Objects::default(),
            records: Records::default(),
            troubles: Vec::new(),
            troubles_unnamed: 0,
        }
    }

    pub(super) fn trouble(&mut self, object: &Arc<str>, line: Option<u64>, reason: String) {
        if self.troubles.len() < limits::REPLAY_TROUBLES_NAMED {
            self.troubles.push(Trouble { object: object.clone(), line, reason });
        } else {
            self.troubles_unnamed += 1;
        }
    }

    /// Whether every record that was wanted was taken, and every object could be read. Filtered
    /// ones were not wanted.
    pub fn is_clean(&self) -> bool {
        let Records { refused, circling, exhausted, damaged, .. } = self.records;
        self.end == End::Complete
            && refused + circling + exhausted + damaged == 0
            && self.objects.unreadable + self.objects.stuck == 0
    }
}
