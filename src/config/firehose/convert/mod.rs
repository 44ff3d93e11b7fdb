//! Between a `Hose` and the `StreamSpec` that the daemon runs.

mod common;
mod endpoints;
mod processors;
mod search;
mod serdes;
mod sources;

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::{Value, json};

use super::{
    DestinationKind, Encryption as HoseEncryption, Hose, HoseContext, Origin, Status, StreamType,
    destination::Document,
};
use crate::{
    batch::Buffering,
    buffer,
    config::{
        Backup, BackupMode, DestinationSpec, DynamicPartitioning, S3Destination, SourceSpec,
        StreamSpec, Target, TransformSpec,
    },
    encode::Compression,
    limits::MIB,
    sinks::s3::Encryption,
    units::{ByteSize, Span},
};

pub(super) use serdes::to_deserializer;

impl Hose {
    /// What the daemon runs of a stream made by the API. For a stream of the configuration file
    /// the file's own `StreamSpec` says more.
    pub fn to_spec(&self) -> StreamSpec {
        StreamSpec {
            source: sources::to_source(self),
            journal: buffer::Options::default(),
            encrypted: self.is_encrypted(),
            throughput: None,
            destinations: vec![self.to_destination()],
            version_id: self.version_id,
        }
    }

    fn to_destination(&self) -> DestinationSpec {
        let (document, secrets) = (&self.destination, &self.secrets);
        let mut spec = DestinationSpec::default();
        match self.kind {
            DestinationKind::S3 => spec.s3 = Some(to_s3(document)),
            DestinationKind::HttpEndpoint => {
                spec.http_endpoint = Some(endpoints::to_http(document, secrets));
            }
            DestinationKind::Splunk => spec.splunk = Some(endpoints::to_splunk(document, secrets)),
            DestinationKind::Amazonopensearchservice
            | DestinationKind::AmazonOpenSearchServerless => {
                spec.opensearch = Some(search::to_search(self.kind, document));
            }
            DestinationKind::Elasticsearch => {
                spec.elasticsearch = Some(search::to_search(self.kind, document));
            }
        }
        // What is the destination's own role need not be said again.
        let has_role =
            !matches!(self.kind, DestinationKind::HttpEndpoint | DestinationKind::Splunk);
        let role_arn = optional(document, "RoleARN").filter(|_| has_role);
        spec.transforms = processors::to_transforms(document, role_arn.as_deref());
        spec
    }

    /// A stream of the configuration file as the API shows it. Of several destinations the first
    /// is shown; what the API has no word for (an endpoint, a journal size) is left out.
    pub fn from_spec(name: &str, spec: &StreamSpec, ctx: &HoseContext, created_ms: i64) -> Self {
        let destination = spec.destinations.first().map(from_destination);
        let (kind, destination) = destination.unwrap_or_default();
        Self {
            name: name.to_owned(),
            partition: ctx.partition.clone(),
            region: ctx.region.clone(),
            account_id: ctx.account_id.clone(),
            status: Status::Active,
            version_id: spec.version_id,
            created_ms,
            updated_ms: None,
            stream_type: match spec.source {
                // What Firehose does not have is shown as what comes closest.
                SourceSpec::DirectPut | SourceSpec::File(_) | SourceSpec::Http(_) => {
                    StreamType::DirectPut
                }
                SourceSpec::Kinesis(_) => StreamType::KinesisStreamAsSource,
                SourceSpec::Kafka(_) => StreamType::MskAsSource,
            },
            source: sources::from_source(&spec.source),
            throughput_hint_mbs: None,
            tags: BTreeMap::new(),
            encryption: if spec.encrypted {
                HoseEncryption::owned()
            } else {
                HoseEncryption::default()
            },
            encryption_calls_ms: Vec::new(),
            kind,
            destination,
            secrets: BTreeMap::new(),
            origin: Origin::File,
        }
    }
}

fn text<'a>(document: &'a Document, member: &str) -> &'a str {
    document.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn optional(document: &Document, member: &str) -> Option<String> {
    document.get(member).and_then(Value::as_str).map(str::to_owned)
}

fn to_s3(document: &Document) -> S3Destination {
    S3Destination {
        prefix: text(document, "Prefix").to_owned(),
        error_output_prefix: text(document, "ErrorOutputPrefix").to_owned(),
        buffering: to_buffering(document),
        compression: to_compression(document),
        file_extension: optional(document, "FileExtension"),
        custom_time_zone: optional(document, "CustomTimeZone"),
        role_arn: optional(document, "RoleARN"),
        encryption: to_encryption(document),
        s3_backup_mode: match text(document, "S3BackupMode") {
            "Enabled" => BackupMode::Enabled,
            _ => BackupMode::Disabled,
        },
        dynamic_partitioning: document
            .get("DynamicPartitioningConfiguration")
            .and_then(Value::as_object)
            .map(to_partitioning),
        format_conversion: serdes::to_conversion(document),
        s3_backup: document.get("S3BackupDescription").and_then(Value::as_object).map(to_s3_backup),
        ..S3Destination::to_bucket(to_bucket(document))
    }
}

/// A backup says everything itself: without encryption of its own it has none.
fn to_s3_backup(document: &Document) -> Backup {
    Backup {
        bucket: to_bucket(document),
        prefix: text(document, "Prefix").to_owned(),
        buffering: to_buffering(document),
        compression: to_compression(document),
        append_delimiter: None,
        role_arn: optional(document, "RoleARN"),
        encryption: Some(to_encryption(document)),
    }
}

/// `arn:aws:s3:::name` names a bucket.
fn to_bucket(document: &Document) -> String {
    let arn = text(document, "BucketARN");
    arn.rsplit_once(":::").map_or(arn, |(_, name)| name).to_owned()
}

fn to_buffering(document: &Document) -> Buffering {
    let hint = |member: &str| document.get("BufferingHints").and_then(|h| h[member].as_u64());
    let default = Buffering::default();
    Buffering {
        size: hint("SizeInMBs").map_or(default.size, |mbs| ByteSize(mbs * MIB)),
        interval: hint("IntervalInSeconds")
            .map_or(default.interval, |s| Span(Duration::from_secs(s))),
        size_of: default.size_of,
    }
}

fn to_partitioning(configuration: &Document) -> DynamicPartitioning {
    let retry = configuration.get("RetryOptions").and_then(|r| r["DurationInSeconds"].as_u64());
    let default = DynamicPartitioning::default();
    DynamicPartitioning {
        enabled: configuration.get("Enabled").and_then(Value::as_bool).unwrap_or(false),
        retry_duration: retry.map_or(default.retry_duration, |s| Span(Duration::from_secs(s))),
        ..default
    }
}

/// Whole seconds, rounded up: what the API has for times.
fn seconds(span: Span) -> u64 {
    span.0.as_secs() + u64::from(span.0.subsec_nanos() > 0)
}

fn to_compression(document: &Document) -> Compression {
    match text(document, "CompressionFormat") {
        "GZIP" => Compression::Gzip,
        "ZIP" => Compression::Zip,
        "Snappy" => Compression::Snappy,
        "HADOOP_SNAPPY" => Compression::HadoopSnappy,
        _ => Compression::Uncompressed,
    }
}

fn to_encryption(document: &Document) -> Encryption {
    let configuration = document.get("EncryptionConfiguration").unwrap_or(&Value::Null);
    match configuration["KMSEncryptionConfig"]["AWSKMSKeyARN"].as_str() {
        Some(key) => Encryption::SseKms(key.to_owned()),
        None => Encryption::None,
    }
}

fn from_destination(spec: &DestinationSpec) -> (DestinationKind, Document) {
    let transforms = &spec.transforms;
    match spec.target() {
        None => <_>::default(),
        Some(Target::S3(s3)) => (DestinationKind::S3, from_s3(s3, transforms)),
        Some(Target::HttpEndpoint(http)) => endpoints::from_http(http, transforms),
        Some(Target::Splunk(splunk)) => endpoints::from_splunk(splunk, transforms),
        Some(Target::OpenSearch(search)) => {
            search::from_search(DestinationKind::Amazonopensearchservice, search, transforms)
        }
        Some(Target::Elasticsearch(search)) => {
            search::from_search(DestinationKind::Elasticsearch, search, transforms)
        }
        Some(Target::Datadog(datadog)) => endpoints::from_datadog(datadog, transforms),
    }
}

fn from_s3(s3: &S3Destination, transforms: &[TransformSpec]) -> Document {
    let mut document = plain(Plain {
        bucket: &s3.bucket,
        prefix: &s3.prefix,
        error_output_prefix: &s3.error_output_prefix,
        buffering: s3.buffering,
        compression: s3.compression,
        role_arn: s3.role_arn.as_deref(),
        encryption: &s3.encryption,
    });
    let mut set = |member: &str, value: Value| {
        document.insert(member.to_owned(), value);
    };
    let processing = processors::from_transforms(transforms, s3.role_arn.as_deref());
    set("ProcessingConfiguration", processing);
    let enabled = s3.s3_backup_mode == BackupMode::Enabled;
    set("S3BackupMode", json!(if enabled { "Enabled" } else { "Disabled" }));
    if let Some(backup) = &s3.s3_backup {
        let described = plain(Plain {
            bucket: &backup.bucket,
            prefix: &backup.prefix,
            error_output_prefix: "",
            buffering: backup.buffering,
            compression: backup.compression,
            role_arn: backup.role_arn.as_deref().or(s3.role_arn.as_deref()),
            encryption: backup.encryption.as_ref().unwrap_or(&s3.encryption),
        });
        set("S3BackupDescription", Value::Object(described));
    }
    set("DataFormatConversionConfiguration", serdes::from_conversion(s3));
    if let Some(partitioning) = &s3.dynamic_partitioning {
        let retry = json!({"DurationInSeconds": seconds(partitioning.retry_duration)});
        let enabled = partitioning.enabled;
        let partitioning = json!({"RetryOptions": retry, "Enabled": enabled});
        set("DynamicPartitioningConfiguration", partitioning);
    }
    if let Some(extension) = &s3.file_extension {
        set("FileExtension", json!(extension));
    }
    if let Some(zone) = &s3.custom_time_zone {
        set("CustomTimeZone", json!(zone));
    }
    document
}

/// What `S3DestinationDescription` is made of.
struct Plain<'a> {
    bucket: &'a str,
    prefix: &'a str,
    error_output_prefix: &'a str,
    buffering: Buffering,
    compression: Compression,
    role_arn: Option<&'a str>,
    encryption: &'a Encryption,
}

fn plain(given: Plain<'_>) -> Document {
    let mut document = Document::new();
    let mut set = |member: &str, value: Value| {
        document.insert(member.to_owned(), value);
    };
    // The member must be there; a stream of the file may do without a role.
    set("RoleARN", json!(given.role_arn.unwrap_or_default()));
    set("BucketARN", json!(bucket_arn(given.bucket)));
    if !given.prefix.is_empty() {
        set("Prefix", json!(given.prefix));
    }
    if !given.error_output_prefix.is_empty() {
        set("ErrorOutputPrefix", json!(given.error_output_prefix));
    }
    set("BufferingHints", hints(given.buffering));
    set("CompressionFormat", json!(compression_format(given.compression)));
    set(
        "EncryptionConfiguration",
        match given.encryption {
            Encryption::SseKms(key) => json!({"KMSEncryptionConfig": {"AWSKMSKeyARN": key}}),
            // The API has no word for SSE-S3.
            Encryption::None | Encryption::SseS3 => json!({"NoEncryptionConfig": "NoEncryption"}),
        },
    );
    set("CloudWatchLoggingOptions", json!({"Enabled": false}));
    document
}

fn hints(buffering: Buffering) -> Value {
    json!({
        "SizeInMBs": buffering.size.0.div_ceil(MIB).max(1),
        "IntervalInSeconds": seconds(buffering.interval),
    })
}

fn compression_format(compression: Compression) -> &'static str {
    match compression {
        Compression::Uncompressed => "UNCOMPRESSED",
        Compression::Gzip => "GZIP",
        Compression::Zip => "ZIP",
        Compression::Snappy => "Snappy",
        Compression::HadoopSnappy => "HADOOP_SNAPPY",
        // Beyond the API's values; anything else would be untrue.
        Compression::Zstd => "ZSTD",
    }
}

/// The ARN of a bucket; of a local folder its last name, as far as buckets' names allow.
fn bucket_arn(bucket: &str) -> String {
    let Some(path) = bucket.strip_prefix("file://") else {
        return format!("arn:aws:s3:::{bucket}");
    };
    let last = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let name: String = last
        .unwrap_or_else(|| "local".to_owned())
        .chars()
        .take(255)
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    format!("arn:aws:s3:::{name}")
}
