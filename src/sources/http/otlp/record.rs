//! A log record as it goes into the journal: one JSON document that stands for itself.
//!
//! ```text
//! ResourceLogs{resource, scope_logs[{scope, log_records[r1, r2]}]}
//!     ──▶  {"timeUnixNano":…,"body":…,"attributes":{…},"resource":{…},"scope":{…}}   r1
//!          {"timeUnixNano":…,"body":…,"attributes":{…},"resource":{…},"scope":{…}}   r2
//! ```
//!
//! Names are those of OTLP's JSON. Attributes are an object instead of a list of pairs, and values
//! stand without the name of their type, as a table or a query expects them. What has its default
//! (0, nothing) is left out, as OTLP itself does.

use super::text::Members;
use crate::{limits, sources::http::records::Records};

/// The fields of one log record. Texts, values and attributes are pieces of JSON, empty if absent.
#[derive(Debug, Default)]
pub(super) struct LogRecord {
    pub(super) time_unix_nano: u64,
    pub(super) observed_time_unix_nano: u64,
    pub(super) severity_number: i32,
    pub(super) severity_text: Vec<u8>,
    pub(super) event_name: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) attributes: Vec<u8>,
    pub(super) dropped_attributes_count: u32,
    pub(super) trace_id: Vec<u8>,
    pub(super) span_id: Vec<u8>,
    pub(super) flags: u32,
}

/// A resource or a scope: what many records have in common.
#[derive(Debug, Default)]
pub(super) struct Common {
    pub(super) name: Vec<u8>,
    pub(super) version: Vec<u8>,
    pub(super) attributes: Vec<u8>,
    pub(super) dropped_attributes_count: u32,
    pub(super) schema_url: Vec<u8>,
}

impl LogRecord {
    /// Empties it, keeping its memory.
    pub(super) fn clear(&mut self) {
        for piece in [
            &mut self.severity_text,
            &mut self.event_name,
            &mut self.body,
            &mut self.attributes,
            &mut self.trace_id,
            &mut self.span_id,
        ] {
            piece.clear();
        }
        (self.time_unix_nano, self.observed_time_unix_nano) = (0, 0);
        (self.severity_number, self.dropped_attributes_count, self.flags) = (0, 0, 0);
    }

    fn write(&self, out: &mut Vec<u8>, resource: &[u8], scope: &[u8]) {
        let mut members = Members::of(out);
        members.nanoseconds("timeUnixNano", self.time_unix_nano);
        members.nanoseconds("observedTimeUnixNano", self.observed_time_unix_nano);
        members.number("severityNumber", self.severity_number.into());
        members.piece("severityText", &self.severity_text);
        members.piece("eventName", &self.event_name);
        members.piece("body", &self.body);
        members.piece("attributes", &self.attributes);
        members.number("droppedAttributesCount", self.dropped_attributes_count.into());
        members.piece("traceId", &self.trace_id);
        members.piece("spanId", &self.span_id);
        members.number("flags", self.flags.into());
        members.piece("resource", resource);
        members.piece("scope", scope);
        members.close();
    }
}

impl Common {
    /// Its JSON; empty if nothing is known of it.
    pub(super) fn piece(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut members = Members::of(&mut out);
        members.piece("name", &self.name);
        members.piece("version", &self.version);
        members.piece("attributes", &self.attributes);
        members.number("droppedAttributesCount", self.dropped_attributes_count.into());
        members.piece("schemaUrl", &self.schema_url);
        members.close_if_any();
        out
    }
}

/// Why a record cannot be taken while its neighbours can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Rejection {
    #[error("a log record is larger than {} bytes as JSON", limits::RECORD_BYTES_MAX)]
    TooLarge,
    #[error("the values of a log record lie more than {} levels deep", limits::OTLP_DEPTH_MAX)]
    TooDeep,
}

/// All records of a request are too much for one put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log records make more than {0} bytes of JSON, resource and scope of each included: send \
     smaller batches"
)]
pub(super) struct TooMuch(pub(super) usize);

/// The records of a request.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) records: Records,
    /// How many were not taken, and why the first was not.
    pub(super) rejected: Option<(u64, Rejection)>,
    max_bytes: usize,
    bytes: usize,
    document: Vec<u8>,
}

impl Batch {
    /// `max_bytes`: of all records together.
    pub(super) fn new(max_bytes: usize) -> Self {
        let (records, document) = (Records::default(), Vec::new());
        Self { records, rejected: None, max_bytes, bytes: 0, document }
    }

    /// Adds a record, or rejects it if it is too large.
    pub(super) fn push(
        &mut self,
        record: &LogRecord,
        resource: &[u8],
        scope: &[u8],
    ) -> Result<(), TooMuch> {
        if resource.len() + scope.len() > limits::RECORD_BYTES_MAX {
            self.reject(Rejection::TooLarge);
            return Ok(());
        }
        self.document.clear();
        record.write(&mut self.document, resource, scope);
        // Beside its bytes a record costs a length.
        self.bytes += self.document.len() + size_of::<u32>();
        if self.bytes > self.max_bytes {
            return Err(TooMuch(self.max_bytes));
        }
        if self.records.push(&self.document).is_err() {
            self.reject(Rejection::TooLarge);
        }
        Ok(())
    }

    pub(super) fn reject(&mut self, why: Rejection) {
        self.rejected.get_or_insert((0, why)).0 += 1;
    }
}
