//! The record's way from the journal to one destination.

mod again;
mod bodies;
mod budget;
mod claims;
mod committer;
pub mod history;
mod intake;
mod ledger;
mod pool;
mod recover;
mod run;
mod settle;
mod ship;
mod shipments;
mod spill;
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
pub use shipments::{Except, JournalState, Planned, Reason, Shipments};
pub use status::{Progress, State, Status, roughly, sentence};

use crate::{
    backup::{self, Extra, FailedRecord},
    batch::{Buffering, Framing},
    encode::{Compression, Format},
    env::Env,
    fault::{Cause, Fault, output_type},
    partition::KeyNaming,
    record::Route,
    retry::Policy,
    seams::{Journal, Observer},
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
    /// Tells these transforms from others.
    pub transforms_id: u32,
    pub framing: Framing,
    pub buffering: Buffering,
    pub naming: KeyNaming,
    /// What objects are written as.
    pub format: Arc<dyn Format>,
    /// What a shipment that is built again from the journal is compressed with.
    pub compression: Compression,
    pub content_encoding: bool,
    /// Partitions that may be open at a time.
    pub partitions_max: u32,
    /// What the lines of the error output say of this destination.
    pub error_members: ErrorMembers,
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

/// What the lines of the error output say of their destination, by kind of failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorMembers {
    /// `lambdaARN` of records that a Lambda failed.
    pub lambda_arn: Option<String>,
    /// `dataCatalogTable` of records that did not fit its columns.
    pub catalog_table: Option<serde_json::Value>,
}

impl Destination {
    /// Whether records go into objects as they lie in the journal, so that an object can be built
    /// again from there.
    fn is_plain(&self) -> bool {
        self.transforms.is_empty() && !self.is_partitioned() && !self.format.by_record()
    }

    fn is_partitioned(&self) -> bool {
        self.naming.is_partitioned()
    }

    /// Whether its open batches go to disk when memory is short.
    fn spills(&self) -> bool {
        self.is_partitioned() || self.format.by_record()
    }

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
            Route::Errors(output_type) => output_type,
            Route::Objects | Route::Partition(_) => output_type::PROCESSING_FAILED,
        };
        let mut line = Vec::new();
        let cause = Cause::new(reason.code.clone(), reason.message.clone());
        let sequence = reason.sequence.to_string();
        let mut extra = Vec::new();
        match (output_type, &self.error_members) {
            (output_type::PROCESSING_FAILED, ErrorMembers { lambda_arn: Some(arn), .. })
                if reason.code.starts_with("Lambda.") =>
            {
                extra.push(("lambdaARN", Extra::Text(arn)));
            }
            (output_type::FORMAT_CONVERSION_FAILED, ErrorMembers { catalog_table, .. }) => {
                extra.push(("sequenceNumber", Extra::Text(&sequence)));
                extra.push(("subSequenceNumber", Extra::Number(0)));
                extra.extend(catalog_table.as_ref().map(|t| ("dataCatalogTable", Extra::Json(t))));
            }
            _ => {}
        }
        let record = FailedRecord {
            output_type,
            raw,
            cause: &cause,
            attempts: reason.attempts,
            arrival_ms,
            ended_ms: self.env.clock.now_ms(),
            extra: &extra,
        };
        backup::write_line(&mut line, &record);
        line
    }

    fn attempt_failed(&self, fault: &Fault, attempts: u32, wait: Duration) {
        self.reporter().attempt_failed(fault, attempts, wait);
    }

    fn attempt_succeeded(&self) {
        self.metrics.success.inc();
        self.reporter().attempt_succeeded();
    }

    fn reporter(&self) -> Reporter {
        Reporter {
            stream: self.stream.clone(),
            name: self.name.clone(),
            status: self.status.clone(),
            metrics: self.metrics.clone(),
            env: self.env.clone(),
        }
    }
}

/// Tells health, metrics and the log how attempts at a destination end, and at the functions on
/// the way to it.
pub struct Reporter {
    pub stream: String,
    pub name: String,
    pub status: Status,
    pub metrics: DestinationMetrics,
    pub env: Env,
}

impl Observer for Reporter {
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
        self.metrics.held.set(0);
        if self.status.succeeded() {
            tracing::info!(stream = self.stream, destination = self.name, "destination goes on");
        }
    }
}
