//! YAML, and the shapes of the Firehose API: both become one validated `StreamSpec`.

pub mod delimiter;
pub mod firehose;
mod s3;
mod spec;
mod yaml;

pub use s3::{Backup, BackupMode, S3Destination};
pub use spec::{
    ApiOptions, AwsOptions, Config, Credential, Delimiter, DestinationSpec, JournalKey, RoleArn,
    SourceSpec, StreamSpec, Throughput, TlsOptions, TransformSpec,
};
pub use yaml::{Problem, load, load_credentials, parse, schema};
