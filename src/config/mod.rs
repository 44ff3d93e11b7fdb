//! YAML, and the shapes of the Firehose API: both become one validated `StreamSpec`.

pub mod delimiter;
mod destinations;
pub mod firehose;
pub mod import;
mod lake;
mod resolved;
mod s3;
mod spec;
mod transforms;
mod yaml;

pub use crate::net::server::TlsOptions;
pub use destinations::{
    BackupBucket, BackupScope, DatadogDestination, HttpEndpointDestination, OnDenied,
    OpenSearchDestination, RetryOptions, SearchAuth, SplunkDestination,
};
pub use lake::{
    AddPartitions, Catalog, DynamicPartitioning, EventTimeSpec, FormatConversion, Late,
    PartitionTable, RegisteredTable,
};
pub use s3::{Backup, BackupMode, S3Destination};
pub use spec::{
    ApiOptions, AwsOptions, Config, Credential, DestinationSpec, JournalKey, MskCluster,
    ReplaySpec, RoleArn, SourceSpec, StreamSpec, Target, Throughput,
};
pub use transforms::{
    DeaggregationSpec, DecompressionSpec, Delimiter, ExtractionSpec, SubRecordsError, TransformSpec,
};
pub use yaml::{Problem, load, load_credentials, parse, schema};
