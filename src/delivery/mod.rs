//! The record's way from the journal to one destination.

mod budget;
mod committer;
pub mod history;
mod ledger;
mod pool;
mod run;
mod ship;
mod shipments;
mod status;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

pub use budget::Budget;
pub use ledger::{Ledger, LedgerError};
pub use pool::CpuPool;
pub use run::{DeliveryError, Signals, run};
pub use shipments::{JournalState, Planned, Reason, Shipments};
pub use status::{Progress, State, Status, roughly, sentence};

use crate::{
    backup::{self, FailedRecord},
    batch::{Buffering, Framing},
    encode::Compression,
    env::Env,
    fault::{Cause, Fault},
    partition::KeyNaming,
    record::Route,
    retry::Policy,
    seams::Journal,
    sinks::layers::Attempts,
    telemetry::{Counter, DestinationMetrics},
    transform::Chain,
};

/// Everything that the delivery to one destination needs.
pub struct Destination {
    pub stream: String,
    /// Name of the destination: its cursor, its label in metrics, its word in logs.
    pub name: String,
    /// The version part of object keys; it may count up while the destination runs.
    pub version_id: Arc<AtomicU64>,
    pub journal: Arc<dyn Journal>,
    /// Tells this journal's positions from another's.
    pub journal_id: [u8; 16],
    pub transforms: Chain,
    pub framing: Framing,
    pub buffering: Buffering,
    pub naming: KeyNaming,
    pub compression: Compression,
    pub content_encoding: bool,
    pub sink: Attempts,
    pub retry: Policy,
    /// Holds the ledger and the history.
    pub folder: PathBuf,
    pub env: Env,
    pub metrics: DestinationMetrics,
    /// Records of the journal that the stream's counter of accepted records does not know: those
    /// from before the start, less what was counted for an earlier journal.
    pub uncounted_records: i64,
    pub status: Status,
    pub budget: Arc<Budget>,
    pub pool: CpuPool,
}

impl Destination {
    /// The backlog that makes the counters add up from here on: what was settled before counts as
    /// it was counted, and what came in before this destination was added is not its backlog.
    fn set_backlog_at_start(&self, settled: u64) {
        let metrics = &self.metrics;
        let ended = [
            &metrics.records,
            &metrics.failed_records,
            &metrics.dropped_records,
            &metrics.damaged_records,
        ];
        let ended: u64 = ended.into_iter().map(Counter::get).sum();
        let backlog = ended as i64 + self.uncounted_records - settled as i64;
        metrics.backlog_at_start_records.set(backlog);
    }

    fn error_line(&self, route: &Route, raw: &[u8], arrival_ms: i64, reason: &Reason) -> Vec<u8> {
        let output_type = match route {
            Route::Objects => backup::PROCESSING_FAILED,
            Route::Errors(output_type) => output_type,
        };
        let mut line = Vec::new();
        let cause = Cause::new(reason.code.clone(), reason.message.clone());
        let record = FailedRecord {
            output_type,
            raw,
            cause: &cause,
            attempts: reason.attempts,
            arrival_ms,
            ended_ms: self.env.clock.now_ms(),
            extra: &[],
        };
        backup::write_line(&mut line, &record);
        line
    }

    fn attempt_failed(&self, fault: &Fault, attempts: u32, wait: Duration) {
        let Cause { code, message } = fault.cause();
        self.metrics.error(code);
        let held = matches!(fault, Fault::Halt { .. });
        self.metrics.held.set(held.into());
        let news = self.status.failed(fault, self.env.clock.now_ms());
        let (stream, destination) = (&self.stream, &self.name);
        let wait_ms = wait.as_millis() as u64;
        if !news {
            tracing::debug!(
                stream,
                destination,
                code,
                attempts,
                wait_ms,
                cause = message,
                "attempt failed"
            );
        } else if held {
            tracing::error!(
                stream,
                destination,
                code,
                cause = message,
                wait_ms,
                "destination held: records are safe in the journal, it goes on once mended"
            );
        } else {
            tracing::warn!(
                stream,
                destination,
                code,
                cause = message,
                wait_ms,
                "delivery is being retried"
            );
        }
    }

    fn attempt_succeeded(&self) {
        self.metrics.success.inc();
        self.metrics.held.set(0);
        if self.status.succeeded() {
            tracing::info!(stream = self.stream, destination = self.name, "destination goes on");
        }
    }
}
