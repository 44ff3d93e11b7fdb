//! The record's way from the journal to one destination.

mod again;
mod attempts;
mod bodies;
mod budget;
mod claims;
mod committer;
pub mod history;
mod intake;
mod ledger;
mod naming;
mod recover;
mod run;
mod settle;
mod ship;
mod shipments;
mod spill;
mod status;
mod tally;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

pub use attempts::AttemptsBefore;
pub use budget::Budget;
pub use ledger::{Ledger, LedgerError};
pub use naming::{CurrentIndex, Naming};
pub use run::{DeliveryError, Signals, run};
pub use shipments::{Except, JournalState, Planned, Reason, Shipments};
pub use status::{Part, Progress, State, Status, roughly, sentence};
pub use tally::{Sum, Tally};

use crate::{
    backup::{self, Extra, FailedRecord},
    batch::{Buffering, Framing},
    encode::{Compression, Format},
    env::{CpuPool, Env},
    fault::{Cause, Fault, output_type},
    limits,
    net::sigv4::sha256,
    record::Route,
    retry::{Breaker, Policy},
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
    /// When an object of the error output is closed.
    pub error_buffering: Buffering,
    pub naming: Naming,
    /// What objects are written as.
    pub format: Arc<dyn Format>,
    /// What a shipment that is built again from the journal is compressed with.
    pub compression: Compression,
    pub content_encoding: bool,
    /// Partitions that may be open at a time.
    pub partitions_max: u32,
    /// What the lines of the error output say of this destination.
    pub error_members: ErrorMembers,
    /// Attempts that were made at records before.
    pub attempts_before: Arc<AttemptsBefore>,
    pub way: Way,
    /// Where the error output goes; with the objects if absent.
    pub backup: Option<Way>,
    pub bounds: Bounds,
    /// Holds the ledger and the history.
    pub folder: PathBuf,
    pub env: Env,
    pub metrics: DestinationMetrics,
    /// Records of the journal that the stream's counter of accepted records does not know: those
    /// from before the start, less what was counted for an earlier journal.
    pub uncounted_records: i64,
    pub status: Status,
    /// Adds this delivery to others of the same destination, where it is one of several.
    pub tally: Option<Tally>,
    pub budget: Arc<Budget>,
    pub pool: CpuPool,
}

/// How much may be on its way to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Shipments under way at a time.
    pub shipments: usize,
    /// Closed batches beyond which nothing more is read, those under way among them.
    pub batches: usize,
    /// The same in bytes.
    pub bytes: u64,
}

impl Bounds {
    /// Objects for a bucket.
    pub const OBJECTS: Self = Self {
        shipments: limits::SHIPMENTS_IN_FLIGHT,
        batches: limits::SHIPMENTS_IN_FLIGHT,
        bytes: limits::IN_FLIGHT_BYTES_DEFAULT,
    };
    /// Objects of partitions: many, and small.
    pub const PARTITIONED: Self = Self {
        shipments: limits::SHIPMENTS_IN_FLIGHT_PARTITIONED,
        batches: limits::SHIPMENTS_WAITING,
        bytes: limits::IN_FLIGHT_BYTES_DEFAULT,
    };
    /// Requests.
    pub const REQUESTS: Self = Self {
        shipments: limits::REQUESTS_IN_FLIGHT,
        batches: limits::REQUESTS_WAITING,
        bytes: limits::REQUESTS_BYTES,
    };
}

/// A sink, and how patiently it is asked.
pub struct Way {
    pub sink: Attempts,
    pub retry: Policy,
    pub breaker: Breaker,
}

impl Way {
    pub fn new(sink: Attempts, retry: Policy) -> Self {
        Self { sink, retry, breaker: Breaker::default() }
    }
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
    /// Whether records leave as they lie in the journal, so that a body can be built again from
    /// there.
    fn is_plain(&self) -> bool {
        let as_they_are = self.format.lists() || !self.format.by_record();
        self.transforms.is_empty() && !self.is_partitioned() && as_they_are
    }

    /// What makes a shipment's name unlike any other. Of a journal that another replica may read
    /// next it follows from the journal and the records in the shipment: delivered once more it
    /// overwrites itself, and nothing else.
    fn uuid_of(&self, plan: &Planned) -> uuid::Uuid {
        if self.journal.shared_plans().is_none() {
            return uuid::Uuid::new_v4();
        }
        let what = serde_json::json!([
            hex::encode(self.journal_id),
            self.name,
            plan.route,
            plan.positions,
            plan.parts,
            plan.transforms,
            plan.records,
        ]);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&sha256(what.to_string().as_bytes())[..16]);
        // Version 8: a name of our own making (RFC 9562).
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// The way of a route.
    fn way(&self, route: &Route) -> &Way {
        match (route, &self.backup) {
            (Route::Errors(_), Some(backup)) => backup,
            _ => &self.way,
        }
    }

    /// For what concerns our own disk, or a catalog: never given up.
    fn own_retry(&self) -> Policy {
        Policy { deadline: None, ..self.way.retry.clone() }
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
        if self.tally.is_some() {
            // What comes in at one replica goes out at another: there is no such balance.
            return;
        }
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
        extra.extend(reason.details.iter().map(|(name, value)| (&name[..], Extra::Json(value))));
        let record = FailedRecord {
            output_type,
            raw,
            cause: &cause,
            attempts: reason.attempts + self.attempts_before.of(reason.sequence),
            arrival_ms,
            ended_ms: self.env.clock.now_ms(),
            extra: &extra,
        };
        backup::write_line(&mut line, &record);
        line
    }

    fn attempt_failed(&self, route: &Route, fault: &Fault, attempts: u32, wait: Duration) {
        self.reporter(self.part(route)).attempt_failed(fault, attempts, wait);
    }

    /// Which part of it a route concerns.
    fn part(&self, route: &Route) -> Part {
        match (route, &self.backup) {
            (Route::Errors(_), Some(_)) => Part::Backup,
            _ => Part::Destination,
        }
    }

    fn reporter(&self, part: Part) -> Reporter {
        Reporter {
            part,
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
    pub part: Part,
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
        let news = self.status.failed(self.part, fault, self.env.clock.now_ms());
        self.metrics.held.set(self.status.get().is_held().into());
        let (stream, destination) = (&self.stream, self.part.of(&self.name));
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
        if self.status.succeeded(self.part) {
            self.metrics.held.set(self.status.get().is_held().into());
            let destination = self.part.of(&self.name);
            tracing::info!(stream = self.stream, destination, "destination goes on");
        }
    }
}
