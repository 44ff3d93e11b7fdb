//! The only classification of failure. Every sink maps what its destination said to one of four.

use std::{fmt, time::Duration};

/// Why something failed: a code from the field (`S3.AccessDenied`) and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The code as Firehose's logs and error records spell it.
    pub code: String,
    /// What the destination said, without secrets or record contents.
    pub message: String,
}

impl Cause {
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// What a failed attempt means for what comes next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Passing trouble: try the same again, no sooner than `after` where the server named a wait.
    #[error("{cause}")]
    Retry { cause: Cause, after: Option<Duration> },
    /// The records themselves are unfit and will never be taken: they go to the error output.
    #[error("{cause}")]
    Reject { cause: Cause },
    /// The destination is not usable as configured (a permission, a bucket, a key): hold
    /// everything, keep asking slowly, go on once it is mended. Never rejects a record.
    #[error("{cause}")]
    Halt { cause: Cause },
    /// The destination takes no request of this size: fewer records at a time may pass. A record
    /// that is alone in its request is rejected for it.
    #[error("{cause}")]
    TooLarge { cause: Cause },
}

impl Fault {
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Retry { cause: Cause::new(code, message), after: None }
    }

    pub fn halt(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Halt { cause: Cause::new(code, message) }
    }

    pub fn cause(&self) -> &Cause {
        match self {
            Self::Retry { cause, .. }
            | Self::Reject { cause }
            | Self::Halt { cause }
            | Self::TooLarge { cause } => cause,
        }
    }
}

/// Why a record goes to the error output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Firehose's category, one of [`output_type`]: the value of `!{firehose:error-output-type}`.
    pub output_type: &'static str,
    pub cause: Cause,
    /// How many attempts were made before it was given up.
    pub attempts: u32,
    /// What the destination's kind says besides (`esDocumentId`, `EventId`).
    pub details: Details,
}

/// Members of a line of the error output that only one kind of failure has, in their order.
pub type Details = Vec<(String, serde_json::Value)>;

impl Failure {
    /// A failure at the first and only attempt.
    pub fn new(output_type: &'static str, code: &str, message: impl Into<String>) -> Self {
        Self { output_type, cause: Cause::new(code, message), attempts: 1, details: Details::new() }
    }
}

/// Firehose's categories of failed records (guide, "Custom prefixes"; the last two were seen in
/// buckets, not documented).
pub mod output_type {
    /// A Lambda function, or another transform, failed.
    pub const PROCESSING_FAILED: &str = "processing-failed";
    /// The record does not fit the Parquet or ORC schema.
    pub const FORMAT_CONVERSION_FAILED: &str = "format-conversion-failed";
    /// OpenSearch, Elasticsearch and OpenSearch Serverless.
    pub const OPENSEARCH_FAILED: &str = "AmazonOpenSearchService-failed";
    /// What Elasticsearch's failures were called first; some prefixes still expect it.
    pub const ELASTICSEARCH_FAILED: &str = "elasticsearch-failed";
    pub const SPLUNK_FAILED: &str = "splunk-failed";
    /// HTTP endpoints, the partners' included.
    pub const HTTP_ENDPOINT_FAILED: &str = "http-endpoint-failed";
    pub const SNOWFLAKE_FAILED: &str = "snowflake-failed";
    pub const ICEBERG_FAILED: &str = "iceberg-failed";
    /// CloudWatch Logs data that does not unpack.
    pub const DECOMPRESSION_FAILED: &str = "decompression-failed";
    /// Dynamic partitioning: the keys could not be taken from the record.
    pub const METADATA_EXTRACTION_FAILED: &str = "metadata-extraction-failed";
    /// Dynamic partitioning: too many partitions are open.
    pub const ACTIVE_PARTITION_EXCEEDED: &str = "activePartitionExceeded";

    /// Every category.
    pub const ALL: [&str; 11] = [
        PROCESSING_FAILED,
        FORMAT_CONVERSION_FAILED,
        OPENSEARCH_FAILED,
        ELASTICSEARCH_FAILED,
        SPLUNK_FAILED,
        HTTP_ENDPOINT_FAILED,
        SNOWFLAKE_FAILED,
        ICEBERG_FAILED,
        DECOMPRESSION_FAILED,
        METADATA_EXTRACTION_FAILED,
        ACTIVE_PARTITION_EXCEEDED,
    ];
}
