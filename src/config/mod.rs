//! YAML, and the shapes of the Firehose API: both become one validated `StreamSpec`.

pub mod delimiter;
pub mod firehose;
mod lake;
mod s3;
mod spec;
mod transforms;
mod yaml;

pub use lake::{
    AddPartitions, Catalog, DynamicPartitioning, EventTimeSpec, FormatConversion, Late,
    PartitionTable, RegisteredTable,
};
pub use s3::{Backup, BackupMode, S3Destination};
pub use spec::{
    ApiOptions, AwsOptions, Config, Credential, DestinationSpec, JournalKey, RoleArn, SourceSpec,
    StreamSpec, Throughput, TlsOptions,
};
pub use transforms::{
    DeaggregationSpec, DecompressionSpec, Delimiter, ExtractionSpec, SubRecordsError, TransformSpec,
};
pub use yaml::{Problem, load, load_credentials, parse, schema};
