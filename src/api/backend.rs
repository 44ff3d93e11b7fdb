//! What the wire needs of the daemon: one trait between the protocol and everything behind it.

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    config::firehose::ApiError,
    record::{Position, Put},
};

/// The control operations: everything of the API but the two puts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    CreateDeliveryStream,
    DeleteDeliveryStream,
    DescribeDeliveryStream,
    ListDeliveryStreams,
    ListTagsForDeliveryStream,
    StartDeliveryStreamEncryption,
    StopDeliveryStreamEncryption,
    TagDeliveryStream,
    UntagDeliveryStream,
    UpdateDestination,
}

impl Operation {
    pub const ALL: [Self; 10] = [
        Self::CreateDeliveryStream,
        Self::DeleteDeliveryStream,
        Self::DescribeDeliveryStream,
        Self::ListDeliveryStreams,
        Self::ListTagsForDeliveryStream,
        Self::StartDeliveryStreamEncryption,
        Self::StopDeliveryStreamEncryption,
        Self::TagDeliveryStream,
        Self::UntagDeliveryStream,
        Self::UpdateDestination,
    ];

    /// The name on the wire, behind `Firehose_20150804.`.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateDeliveryStream => "CreateDeliveryStream",
            Self::DeleteDeliveryStream => "DeleteDeliveryStream",
            Self::DescribeDeliveryStream => "DescribeDeliveryStream",
            Self::ListDeliveryStreams => "ListDeliveryStreams",
            Self::ListTagsForDeliveryStream => "ListTagsForDeliveryStream",
            Self::StartDeliveryStreamEncryption => "StartDeliveryStreamEncryption",
            Self::StopDeliveryStreamEncryption => "StopDeliveryStreamEncryption",
            Self::TagDeliveryStream => "TagDeliveryStream",
            Self::UntagDeliveryStream => "UntagDeliveryStream",
            Self::UpdateDestination => "UpdateDestination",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

/// Where the records of a put came to lie: the first accepted record has the id of `first`, each
/// further accepted one the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordIds {
    /// Which journal the position belongs to.
    pub journal: [u8; 4],
    pub first: Position,
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

    /// Reads the configuration again.
    async fn reload(&self) -> Result<Value, ApiError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_by_its_name() {
        for operation in Operation::ALL {
            assert_eq!(Operation::parse(operation.name()), Some(operation));
        }
        assert_eq!(Operation::parse("PutRecord"), None);
    }
}
