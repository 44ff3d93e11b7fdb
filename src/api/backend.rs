//! What the wire needs of the daemon: one trait between the protocol and everything behind it.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    config::firehose::{ApiError, Operation},
    record::{Position, Put},
};

/// Where the records of a put came to lie: the first accepted record has the id of `first`, each
/// further accepted one the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordIds {
    /// Which journal the position belongs to.
    pub journal: [u8; 4],
    pub first: Position,
    /// Where each accepted record lies, if they do not follow one another.
    pub places: Option<Arc<[Position]>>,
}

/// What became of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutAnswer {
    pub record_ids: RecordIds,
    /// Whether the stream is encrypted at rest.
    pub encrypted: bool,
    /// Indexes of the records that the throughput limit refused, sorted; empty as a rule. They
    /// have no id: the ids of the others follow one another without a gap.
    pub refused: Vec<u32>,
    /// Why they were refused.
    pub refusal: &'static str,
}

/// The daemon, as the wire sees it.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Stores all records of one call. `Ok` means: stored as durably as the stream promises,
    /// but for those listed as refused. The future is dropped where it stands if the client goes
    /// away; the control operations, flush and reload always run to their end.
    async fn put(&self, stream: &str, put: Put) -> Result<PutAnswer, ApiError>;

    /// One of the control operations: the request's body in, the answer's body out.
    async fn control(&self, operation: Operation, body: Value) -> Result<Value, ApiError>;

    /// False when the process should be started anew.
    fn live(&self) -> bool;

    /// Whether puts would be taken, and the details as JSON.
    fn health(&self) -> (bool, Value);

    /// Metrics as text: OpenMetrics if it ends with `# EOF`, else Prometheus 0.0.4.
    fn metrics(&self) -> String;

    /// Closes the open batches of a stream.
    async fn flush(&self, stream: &str) -> Result<Value, ApiError>;

    /// What became of the record with this id.
    async fn trace(&self, record_id: &str) -> Result<Value, ApiError>;

    /// How much of a followed file is safe.
    async fn shipped(&self, path: &str) -> Result<Value, ApiError>;

    /// Reads the configuration again.
    async fn reload(&self) -> Result<Value, ApiError>;
}
