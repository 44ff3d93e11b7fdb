//! What a user says of an S3 destination.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch::Buffering,
    encode::Compression,
    limits,
    partition::KeyOptions,
    sinks::s3::{Checksums, Encryption},
    units::ByteSize,
};

use super::lake::{AddPartitions, DynamicPartitioning, EventTimeSpec, FormatConversion, Late};

/// An S3 destination. Names and defaults are Firehose's, in snake_case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Destination {
    /// The bucket's name, or `file:///some/folder` for a local folder.
    pub bucket: String,
    /// What object keys begin with; may hold expressions like `!{timestamp:yyyy/MM/dd}`.
    /// Without any expression `yyyy/MM/dd/HH/` is appended, as Firehose does.
    #[serde(default)]
    pub prefix: String,
    /// What the keys of failed records begin with; expressions must include
    /// `!{firehose:error-output-type}`.
    #[serde(default)]
    pub error_output_prefix: String,
    /// When a batch is closed: by size or by interval, whichever comes first. With dynamic
    /// partitioning or format conversion the size is 128 MiB if it is not given.
    #[serde(default)]
    pub buffering: Buffering,
    /// A batch for every value of the partition keys in `prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_partitioning: Option<DynamicPartitioning>,
    /// Where the time of a record stands, for the timestamps in `prefix`; its arrival counts if
    /// absent (beyond Firehose).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<EventTimeSpec>,
    /// A prefix of their own for records that come late (beyond Firehose).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Late>,
    /// JSON records to Parquet or ORC files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format_conversion: Option<FormatConversion>,
    /// Tells a catalog of partitions that are new (beyond Firehose).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_partitions: Option<AddPartitions>,
    /// How an object's bytes are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// Whether to set Content-Encoding as Firehose does (`gzip` for GZIP). Some readers unpack an
    /// object twice because of it; `false` leaves the header out.
    #[serde(default = "yes")]
    pub content_encoding: bool,
    /// Replaces the extension of the compression: `.json.gz`. Lower case, begins with a dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^(\.[0-9a-z!\-_.*'()]{1,127})?$"),
        extend("patternErrorMessage" = "must begin with a dot and hold only 0-9 a-z ! - _ . * ' ( )")
    )]
    pub file_extension: Option<String>,
    /// IANA time zone of the timestamps in keys: `Europe/Berlin`. UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_time_zone: Option<String>,
    /// Region of the bucket; the `aws` section's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// URL of an S3-compatible server, `http://127.0.0.1:9000`; the `aws` section's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Address the bucket by path instead of by host name; needed by most S3-compatible servers.
    /// Default: true where an endpoint is set, false at AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// Role to assume for this destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]{1,512}$"),
        extend("patternErrorMessage" = "must be like arn:aws:iam::123456789012:role/name")
    )]
    pub role_arn: Option<String>,
    /// External id to send when assuming the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Server-side encryption of objects.
    #[serde(default)]
    pub encryption: Encryption,
    /// When request checksums are sent: `when_required` for servers that refuse them.
    #[serde(default)]
    pub checksums: Checksums,
    /// Objects larger than this go up in parts.
    #[serde(default = "default_multipart")]
    pub multipart_threshold: ByteSize,
    /// Whether source records are kept as well, untransformed.
    #[serde(default)]
    pub s3_backup_mode: BackupMode,
    /// Where source records go when `s3_backup_mode` is `enabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_backup: Option<Backup>,
}

fn yes() -> bool {
    true
}

fn default_multipart() -> ByteSize {
    ByteSize(limits::MULTIPART_BYTES_DEFAULT)
}

impl S3Destination {
    /// A destination with every default.
    pub fn to_bucket(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            error_output_prefix: String::new(),
            buffering: Buffering::default(),
            dynamic_partitioning: None,
            event_time: None,
            late: None,
            format_conversion: None,
            add_partitions: None,
            compression: Compression::default(),
            content_encoding: true,
            file_extension: None,
            custom_time_zone: None,
            region: None,
            endpoint: None,
            path_style: None,
            role_arn: None,
            external_id: None,
            encryption: Encryption::default(),
            checksums: Checksums::default(),
            multipart_threshold: default_multipart(),
            s3_backup_mode: BackupMode::default(),
            s3_backup: None,
        }
    }
}

impl S3Destination {
    /// What decides the names of objects.
    pub fn key_options(&self) -> KeyOptions {
        KeyOptions {
            prefix: self.prefix.clone(),
            error_output_prefix: self.error_output_prefix.clone(),
            file_extension: self.file_extension.clone(),
            custom_time_zone: self.custom_time_zone.clone(),
            dynamic_partitioning: self.partitioning().is_some(),
            event_time: self.event_time.is_some(),
            late: self.late.as_ref().map(Late::options),
            name_bytes_max: self.bucket.starts_with("file:").then_some(limits::FILE_NAME_BYTES_MAX),
        }
    }
}

impl Backup {
    /// What decides the names of objects, in the destination's time zone.
    pub fn key_options(&self, custom_time_zone: Option<String>) -> KeyOptions {
        KeyOptions {
            prefix: self.prefix.clone(),
            // Source records cannot fail; a prefix with expressions demands one all the same.
            error_output_prefix: "!{firehose:error-output-type}/".into(),
            custom_time_zone,
            ..KeyOptions::default()
        }
    }
}

/// Where source records are kept, with its own prefix, buffering and compression. What is not
/// set here (endpoint, region, role, encryption) is taken from the destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// The bucket's name, or `file:///some/folder`.
    pub bucket: String,
    /// What the keys begin with; may hold expressions.
    #[serde(default)]
    pub prefix: String,
    /// When a batch of source records is closed.
    #[serde(default)]
    pub buffering: Buffering,
    /// How the objects are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// Bytes put behind each record; Firehose puts none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append_delimiter: Option<String>,
    /// Role to assume instead of the destination's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]{1,512}$"),
        extend("patternErrorMessage" = "must be like arn:aws:iam::123456789012:role/name")
    )]
    pub role_arn: Option<String>,
    /// Server-side encryption instead of the destination's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
}

/// Whether source records are kept as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackupMode {
    /// Source records are not kept.
    #[default]
    Disabled,
    /// Every source record is kept, as it came.
    Enabled,
}
