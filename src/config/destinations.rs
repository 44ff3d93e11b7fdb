//! What a user says of destinations other than S3. Names and defaults are Firehose's, in
//! snake_case.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch::Buffering,
    encode::Compression,
    limits,
    net::{http::Tls, keys::SecretsManager},
    partition::IndexRotation,
    sinks::{
        http_endpoint::{BodyFormat, ContentEncoding, Preset},
        opensearch::DocumentId,
        s3::{Checksums, Encryption},
        splunk::{self, EndpointType},
    },
    units::{Secret, Span},
};

use super::s3::S3Destination;

/// How long a destination is asked again, and what becomes of records that it does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryOptions {
    /// How long trouble is retried, from the first failed attempt; then the records go to the
    /// backup. 0 is one attempt. Firehose: 0 to 7200 s; here to 7 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// What happens while the destination refuses us (a key, a permission): `hold` keeps all
    /// records in the journal until it is mended, `backup` treats it like any other trouble, as
    /// Firehose does.
    #[serde(default)]
    pub on_denied: OnDenied,
}

/// What happens to records while the destination refuses us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDenied {
    /// They stay in the journal.
    #[default]
    Hold,
    /// They go to the backup once the retry duration is over.
    Backup,
}

/// Which records are kept in the backup bucket (FailedDataOnly and AllData, FailedEventsOnly and
/// AllEvents, FailedDocumentsOnly and AllDocuments).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackupScope {
    /// What could not be delivered.
    #[default]
    FailedOnly,
    /// That, and every source record as it came.
    All,
}

/// The bucket for what cannot be delivered (`S3Configuration`). Failed records stand under
/// `error_output_prefix`, source records under `prefix`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupBucket {
    /// The bucket's name, or `file:///some/folder`.
    pub bucket: String,
    /// What the keys of source records begin with; may hold expressions.
    #[serde(default)]
    pub prefix: String,
    /// What the keys of failed records begin with; expressions must include
    /// `!{firehose:error-output-type}`.
    #[serde(default)]
    pub error_output_prefix: String,
    /// When an object is closed, of failed records and of source records.
    #[serde(default)]
    pub buffering: Buffering,
    /// How objects of source records are compressed; failed records stay readable.
    #[serde(default)]
    pub compression: Compression,
    /// Bytes put behind each source record; Firehose puts none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append_delimiter: Option<String>,
    /// IANA time zone of the timestamps in keys. UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_time_zone: Option<String>,
    /// Region of the bucket; the `aws` section's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// URL of an S3-compatible server; the `aws` section's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Address the bucket by path instead of by host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// Role to assume for the bucket.
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
    /// When request checksums are sent.
    #[serde(default)]
    pub checksums: Checksums,
}

impl BackupBucket {
    /// The same as an S3 destination: what stores objects knows these.
    pub fn to_s3(&self) -> S3Destination {
        let Self { bucket, prefix, error_output_prefix, buffering, compression, .. } = self.clone();
        let Self { custom_time_zone, region, endpoint, path_style, role_arn, .. } = self.clone();
        let Self { external_id, encryption, checksums, .. } = self.clone();
        S3Destination {
            prefix,
            error_output_prefix,
            buffering,
            compression,
            custom_time_zone,
            region,
            endpoint,
            path_style,
            role_arn,
            external_id,
            encryption,
            checksums,
            ..S3Destination::to_bucket(bucket)
        }
    }
}

fn seconds<const N: u64>() -> Span {
    Span(std::time::Duration::from_secs(N))
}

fn yes() -> bool {
    true
}

/// Any HTTP endpoint: by the delivery protocol of Amazon Data Firehose, or by a plain body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpEndpointDestination {
    /// Where requests go, `https://host/path`; may be left out with a preset that knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// A partner whose URL, buffering and demands are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Name of the endpoint, for people; the partner's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_name: Option<String>,
    /// Sent as `X-Amz-Firehose-Access-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<Secret>,
    /// The access key from AWS Secrets Manager: member `api_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets_manager: Option<SecretsManager>,
    /// Allow `http://` without TLS. Firehose never does.
    #[serde(default)]
    pub plain_http: bool,
    /// Whether requests are compressed; the preset's, else none, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<ContentEncoding>,
    /// Names and values that go along with every request, at most 50.
    #[serde(default)]
    pub common_attributes: BTreeMap<String, Secret>,
    /// What a request's body holds (beyond Firehose).
    #[serde(default)]
    pub body: BodyFormat,
    /// Further headers of every request (beyond Firehose).
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Certificates of its own (beyond Firehose).
    #[serde(default)]
    pub tls: Tls,
    /// One attempt, to the end of the answer.
    #[serde(default = "seconds::<180>")]
    pub timeout: Span,
    /// When a request is sent: Firehose 1 to 64 MiB, 0 to 900 s. Default: the preset's, else
    /// 5 MiB and 300 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffering: Option<Buffering>,
    /// How long a request is tried again: 300 s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryOptions>,
    /// Where failed records go.
    pub backup: BackupBucket,
    /// Which records are kept there.
    #[serde(default)]
    pub s3_backup_mode: BackupScope,
}

/// The HTTP Event Collector of Splunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplunkDestination {
    /// Base URL of the collector, `https://host:8088`.
    pub endpoint: String,
    /// Which of its endpoints takes the records.
    #[serde(default)]
    pub endpoint_type: EndpointType,
    /// The token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The token from AWS Secrets Manager: member `hec_token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets_manager: Option<SecretsManager>,
    /// Allow `http://` without TLS.
    #[serde(default)]
    pub plain_http: bool,
    /// How long an acknowledgement is waited for. Firehose: 180 to 600 s; here from 1 s.
    #[serde(default = "seconds::<180>")]
    pub acknowledgment_timeout: Span,
    /// Pause between two questions for acknowledgements (beyond Firehose).
    #[serde(default = "seconds::<1>")]
    pub acknowledgment_poll: Span,
    /// Whether the indexer's acknowledgement is waited for. Without it a record counts as
    /// delivered when the collector has taken it, and may be lost there (beyond Firehose).
    #[serde(default = "yes")]
    pub acknowledgment: bool,
    /// Whether requests go under gzip (beyond Firehose).
    #[serde(default = "yes")]
    pub gzip: bool,
    /// Index, source, source type and host of raw records (beyond Firehose).
    #[serde(default)]
    pub metadata: splunk::Metadata,
    /// Certificates of its own (beyond Firehose).
    #[serde(default)]
    pub tls: Tls,
    /// One request, to the end of its answer.
    #[serde(default = "seconds::<60>")]
    pub timeout: Span,
    /// When a request is sent: 1 to 5 MiB, 0 to 60 s. Default: 5 MiB and 60 s.
    #[serde(default = "SplunkDestination::default_buffering")]
    pub buffering: Buffering,
    /// How long a request is tried again: 3600 s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryOptions>,
    /// Where failed records go.
    pub backup: BackupBucket,
    /// Which records are kept there.
    #[serde(default)]
    pub s3_backup_mode: BackupScope,
}

impl SplunkDestination {
    /// 5 MiB and 60 s (API reference, SplunkBufferingHints).
    pub fn default_buffering() -> Buffering {
        Buffering { interval: Span(limits::SPLUNK_INTERVAL_DEFAULT), ..Buffering::default() }
    }
}

/// OpenSearch or Elasticsearch, of Amazon or any other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenSearchDestination {
    /// URL of the cluster or domain, `https://host:9200`; of a collection where `serverless` is
    /// set.
    pub endpoint: String,
    /// What its name begins with; the period of rotation follows.
    pub index_name: String,
    /// How often a new index begins. Not with a collection or a data stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_rotation: Option<IndexRotation>,
    /// Whether documents carry an id of our own, so that a repetition adds none.
    #[serde(default)]
    pub document_id: DocumentId,
    /// Only for Elasticsearch before 7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_name: Option<String>,
    /// Whether the index is a data stream (beyond Firehose).
    #[serde(default)]
    pub data_stream: bool,
    /// Whether it is a collection of OpenSearch Serverless.
    #[serde(default)]
    pub serverless: bool,
    /// Who is asking; nobody if absent, Signature Version 4 at Amazon's hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<SearchAuth>,
    /// Region of the signature; the host name's, else the `aws` section's, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Role to assume for requests that are signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^arn:.*:iam::\d{12}:role/[a-zA-Z_0-9+=,.@\-_/]{1,512}$"),
        extend("patternErrorMessage" = "must be like arn:aws:iam::123456789012:role/name")
    )]
    pub role_arn: Option<String>,
    /// Allow `http://` without TLS.
    #[serde(default)]
    pub plain_http: bool,
    /// Whether requests go under gzip (beyond Firehose).
    #[serde(default = "yes")]
    pub gzip: bool,
    /// Certificates of its own (beyond Firehose).
    #[serde(default)]
    pub tls: Tls,
    /// One request, to the end of its answer.
    #[serde(default = "seconds::<60>")]
    pub timeout: Span,
    /// When a request is sent: 1 to 100 MiB, 0 to 900 s.
    #[serde(default)]
    pub buffering: Buffering,
    /// How long a request is tried again: 300 s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryOptions>,
    /// Where failed documents go.
    pub backup: BackupBucket,
    /// Which records are kept there.
    #[serde(default)]
    pub s3_backup_mode: BackupScope,
}

/// Who asks OpenSearch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchAuth {
    /// Nobody in particular.
    None,
    /// A user with a password.
    Basic {
        /// The user's name.
        username: String,
        /// The user's password.
        password: Secret,
    },
    /// Signature Version 4 with AWS credentials.
    Aws,
}

/// Datadog's logs intake, for users without its Firehose intake (beyond Firehose).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatadogDestination {
    /// Site, `datadoghq.com`, `us5.datadoghq.com`, `datadoghq.eu`.
    #[serde(default = "DatadogDestination::default_site")]
    pub site: String,
    /// URL instead of the site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// The API key from AWS Secrets Manager: member `api_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets_manager: Option<SecretsManager>,
    /// `service` of logs that have none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `ddsource` of logs that have none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `hostname` of logs that have none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Tags, each `name:value`, added to those of the log.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Allow an `endpoint` of `http://`.
    #[serde(default)]
    pub plain_http: bool,
    /// Whether requests go under gzip.
    #[serde(default = "yes")]
    pub gzip: bool,
    /// Certificates of its own.
    #[serde(default)]
    pub tls: Tls,
    /// One request, to the end of its answer.
    #[serde(default = "seconds::<60>")]
    pub timeout: Span,
    /// When a request is sent; at most 4 MiB. Default: 4 MiB and 60 s.
    #[serde(default = "DatadogDestination::default_buffering")]
    pub buffering: Buffering,
    /// How long a request is tried again: 300 s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryOptions>,
    /// Where failed records go.
    pub backup: BackupBucket,
    /// Which records are kept there.
    #[serde(default)]
    pub s3_backup_mode: BackupScope,
}

impl DatadogDestination {
    fn default_site() -> String {
        "datadoghq.com".into()
    }

    /// 4 MiB, below the intake's 5 MB, and 60 s.
    pub fn default_buffering() -> Buffering {
        Buffering {
            size: crate::units::ByteSize(4 * limits::MIB),
            interval: Span(limits::SPLUNK_INTERVAL_DEFAULT),
            ..Buffering::default()
        }
    }
}
