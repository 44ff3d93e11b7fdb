//! YAML, and the shapes of the Firehose API: both become one validated `StreamSpec`.

pub mod firehose;
mod s3;
mod spec;

pub use s3::{Backup, BackupMode, S3Destination};
pub use spec::{
    ApiOptions, AwsOptions, Config, Credential, Delimiter, DestinationSpec, JournalKey, RoleArn,
    SourceSpec, StreamSpec, Throughput, TlsOptions, TransformSpec,
};
