//! One destination, several deliveries: one for each partition of a journal that is a topic. What is
//! seen of them from outside is their sum.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use super::Status;
use crate::telemetry::DestinationMetrics;

/// What one delivery says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Report {
    pub backlog: u64,
    pub oldest_arrival_ms: Option<i64>,
    pub committed: u64,
    pub open_batches: i64,
    pub open_bytes: i64,
}

/// The place of one delivery in the sum; taken out of it when it is dropped.
pub struct Tally {
    part: i32,
    sum: Arc<Sum>,
}

/// The sum.
pub struct Sum {
    parts: Mutex<BTreeMap<i32, Report>>,
    status: Status,
    metrics: DestinationMetrics,
}

impl Sum {
    pub fn new(status: Status, metrics: DestinationMetrics) -> Arc<Self> {
        Arc::new(Self { parts: Mutex::default(), status, metrics })
    }

    /// A place in it.
    pub fn part(self: &Arc<Self>, part: i32) -> Tally {
        Tally { part, sum: self.clone() }
    }

    fn show(&self, parts: &BTreeMap<i32, Report>) {
        let all = || parts.values();
        let backlog = all().map(|part| part.backlog).sum();
        let oldest = all().filter_map(|part| part.oldest_arrival_ms).min();
        self.metrics.backlog_records.set(backlog as i64);
        self.metrics.open_batches.set(all().map(|part| part.open_batches).sum());
        self.metrics.open_bytes.set(all().map(|part| part.open_bytes).sum());
        self.status.set_progress(backlog, oldest, all().map(|part| part.committed).sum());
    }
}

impl Tally {
    pub(super) fn report(&self, report: Report) {
        let mut parts = self.sum.parts.lock();
        parts.insert(self.part, report);
        self.sum.show(&parts);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let mut parts = self.sum.parts.lock();
        parts.remove(&self.part);
        self.sum.show(&parts);
    }
}
