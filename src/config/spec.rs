//! The whole configuration as types. The YAML file deserializes into `Config`; streams made by the
//! API become the same `StreamSpec`.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    buffer,
    config::{
        destinations::{
            DatadogDestination, HttpEndpointDestination, OpenSearchDestination, SplunkDestination,
        },
        s3::S3Destination,
        transforms::TransformSpec,
    },
    limits,
    net::{
        kafka::{KafkaTls, Sasl},
        server::TlsOptions,
    },
    sinks::s3::CredentialSource,
    sources::{file, http, kafka, kinesis},
    units::{ByteSize, Secret, Span},
};

/// The configuration file of the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder for journals, ledgers and streams made by the API.
    pub data_dir: PathBuf,
    /// The listener of the Firehose API, health and metrics.
    #[serde(default)]
    pub api: ApiOptions,
    /// Defaults of outgoing AWS clients, each overridable per destination.
    #[serde(default)]
    pub aws: AwsOptions,
    /// Streams by name. They cannot be changed through the API.
    #[serde(default)]
    pub streams: BTreeMap<String, StreamSpec>,
    /// Time to deliver what is open after SIGTERM; what is left stays in the journal.
    #[serde(default = "default_shutdown")]
    pub shutdown_timeout: Span,
    /// Bytes of open batches of all destinations together; beyond it the largest is closed early.
    #[serde(default = "default_open_bytes")]
    pub memory_budget: ByteSize,
    /// Key for journals that are encrypted at rest.
    #[serde(default)]
    pub journal_key: JournalKey,
}

impl Config {
    /// A configuration with every default and no streams.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            api: ApiOptions::default(),
            aws: AwsOptions::default(),
            streams: BTreeMap::new(),
            shutdown_timeout: default_shutdown(),
            memory_budget: default_open_bytes(),
            journal_key: JournalKey::default(),
        }
    }
}

fn default_shutdown() -> Span {
    Span(limits::SHUTDOWN_TIMEOUT_DEFAULT)
}

fn default_open_bytes() -> ByteSize {
    ByteSize(limits::OPEN_BYTES_TOTAL)
}

/// Where the AES-256 key of encrypted journals comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JournalKey {
    /// A random data key of the daemon's own, kept in the data directory with mode 0600.
    #[default]
    DataKey,
    /// A file with 32 bytes, or their 64 hexadecimal or 44 base64 digits.
    File(PathBuf),
}

/// The listener of the Firehose API, health and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiOptions {
    /// Address to listen on. Anything but loopback needs `tls` or `plain_http: true`.
    #[schemars(with = "String", extend("format" = "socket-address"))]
    pub listen: SocketAddr,
    /// Region in ARNs; signatures for any region are accepted.
    pub region: String,
    /// Account id in ARNs, 12 digits.
    #[schemars(
        regex(pattern = r"^[0-9]{12}$"),
        extend("patternErrorMessage" = "must be 12 digits in quotes")
    )]
    pub account_id: String,
    /// Accept unsigned requests. Only on a loopback listener.
    pub anonymous: bool,
    /// Allow plain HTTP on a listener that is not loopback.
    pub plain_http: bool,
    /// Keys that may sign requests.
    pub credentials: Vec<Credential>,
    /// File with more keys, read again when it changes: a YAML list like `credentials`.
    pub credentials_file: Option<PathBuf>,
    /// Certificate and key of the listener; plain HTTP if absent.
    pub tls: Option<TlsOptions>,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4573)),
            region: "us-east-1".into(),
            account_id: "000000000000".into(),
            anonymous: false,
            plain_http: false,
            credentials: Vec::new(),
            credentials_file: None,
            tls: None,
        }
    }
}

/// A key that may sign requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// The id that stands in signatures.
    pub access_key_id: String,
    /// The secret that goes with it.
    pub secret_access_key: Secret,
    /// Session token that requests with this key must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret>,
    /// RFC 3339 time after which the key is refused with ExpiredTokenException.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// Defaults of outgoing AWS clients, each overridable per destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AwsOptions {
    /// Region of all destinations that name none; the environment's if absent.
    pub region: Option<String>,
    /// URL of an S3-compatible server for all destinations that name none.
    pub endpoint: Option<String>,
    /// Keys for outgoing requests. Absent: the default credential chain of the AWS SDKs
    /// (environment, profile, web identity, container, instance).
    pub credentials: Option<CredentialSource>,
    /// What a destination's `role_arn` means: assume it, or ignore it (servers without STS).
    pub role_arn: RoleArn,
    /// URL of a server that speaks Lambda's API, for all functions that name none.
    pub lambda_endpoint: Option<String>,
    /// URL of a server that speaks Glue's API, for all tables that name none.
    pub glue_endpoint: Option<String>,
    /// URL of STS for assuming roles.
    pub sts_endpoint: Option<String>,
    /// URL of a server that speaks Kinesis' API, for all sources that name none.
    pub kinesis_endpoint: Option<String>,
    /// URL of a server that speaks DynamoDB's API, for all leases that name none.
    pub dynamodb_endpoint: Option<String>,
    /// URL of a server that speaks the API of MSK.
    pub msk_endpoint: Option<String>,
    /// Clusters that stand for MSK clusters, by the ARN that streams name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub msk_clusters: BTreeMap<String, MskCluster>,
}

/// A Kafka cluster that stands for one of MSK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MskCluster {
    /// Brokers to begin with, as `host:port`.
    pub brokers: Vec<String>,
    /// TLS to the brokers; plain text if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<KafkaTls>,
    /// Who we are; nobody in particular if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
}

/// Whether roles are assumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoleArn {
    /// Assume the role of every destination whose YAML names one; roles of streams made by the
    /// API (which the API demands of everyone) are assumed only where no endpoint is set.
    #[default]
    Auto,
    /// Assume every role.
    Assume,
    /// Assume none.
    Ignore,
}

/// One stream: one source, one journal, one or more destinations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamSpec {
    /// Where records come from.
    #[serde(default)]
    pub source: SourceSpec,
    /// How safely and how much the stream keeps.
    #[serde(default)]
    pub journal: buffer::Options,
    /// Keep the journal encrypted at rest (AES-256-GCM).
    #[serde(default)]
    pub encrypted: bool,
    /// Limits of the stream; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<Throughput>,
    /// Where records go; each destination gets all of them, at its own pace.
    pub destinations: Vec<DestinationSpec>,
    /// The version part of object keys; counts up with each UpdateDestination.
    #[serde(skip, default = "first_version")]
    pub version_id: u64,
}

fn first_version() -> u64 {
    1
}

impl StreamSpec {
    /// The names of the destinations, in order: as given, else their kind. The name is what a
    /// destination's progress is kept under, so it must not depend on its place in the list; of
    /// several of one kind, only one may go without.
    pub fn destination_names(&self) -> Vec<String> {
        let kind = |spec: &DestinationSpec| spec.target().map_or("s3", |target| target.kind());
        let names = self.destinations.iter();
        names.map(|spec| spec.name.clone().unwrap_or_else(|| kind(spec).to_owned())).collect()
    }
}

/// Where records come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceSpec {
    /// PutRecord and PutRecordBatch.
    #[default]
    DirectPut,
    /// A Kinesis data stream.
    Kinesis(Box<kinesis::Options>),
    /// Topics of a Kafka cluster, or of Amazon MSK.
    Kafka(Box<kafka::Options>),
    /// Files that are followed.
    File(Box<file::Options>),
    /// Records that are posted to us.
    Http(Box<http::Options>),
}

/// Limits of a stream. What is over is answered with ServiceUnavailableException.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Throughput {
    /// Records a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_per_second: Option<u64>,
    /// Bytes of records a second, before base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<ByteSize>,
    /// Calls of PutRecord and PutRecordBatch a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u64>,
}

/// One destination of a stream, with its own buffering, retries and pace: exactly one of `s3`,
/// `http_endpoint`, `splunk`, `opensearch`, `elasticsearch` and `datadog`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DestinationSpec {
    /// Name of the destination in metrics, logs and the ledger; its kind (`s3`) if absent: of
    /// several of one kind, one may go without. Renaming it makes it a new destination that begins
    /// at the end of the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Amazon S3, what speaks its API, or a local folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Destination>,
    /// Any HTTP endpoint, and the partners of Firehose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_endpoint: Option<HttpEndpointDestination>,
    /// Splunk's HTTP Event Collector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splunk: Option<SplunkDestination>,
    /// OpenSearch, and OpenSearch Serverless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opensearch: Option<OpenSearchDestination>,
    /// Elasticsearch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elasticsearch: Option<OpenSearchDestination>,
    /// Datadog's logs intake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datadog: Option<DatadogDestination>,
    /// What happens to a record on its way, in the order of the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<TransformSpec>,
    /// What is done about records that failed (beyond Firehose). Not with `s3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplaySpec>,
}

/// What is done about records in the backup bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaySpec {
    /// Deliver what piled up in the backup bucket once the destination is well again, and delete
    /// the objects that all went through. Needs an `error_output_prefix` that begins with plain
    /// text.
    pub after_recovery: bool,
    /// How long the destination must have been well. Default: 5 minutes.
    #[serde(default = "ReplaySpec::default_after")]
    pub after: Span,
}

impl ReplaySpec {
    fn default_after() -> Span {
        Span(limits::REPLAY_AFTER_DEFAULT)
    }
}

/// What a destination is.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    S3(&'a S3Destination),
    HttpEndpoint(&'a HttpEndpointDestination),
    Splunk(&'a SplunkDestination),
    OpenSearch(&'a OpenSearchDestination),
    Elasticsearch(&'a OpenSearchDestination),
    Datadog(&'a DatadogDestination),
}

impl DestinationSpec {
    /// What it is: the first of its kinds; the configuration's check lets only one pass.
    pub fn target(&self) -> Option<Target<'_>> {
        let s3 = self.s3.as_ref().map(Target::S3);
        s3.or_else(|| self.http_endpoint.as_ref().map(Target::HttpEndpoint))
            .or_else(|| self.splunk.as_ref().map(Target::Splunk))
            .or_else(|| self.opensearch.as_ref().map(Target::OpenSearch))
            .or_else(|| self.elasticsearch.as_ref().map(Target::Elasticsearch))
            .or_else(|| self.datadog.as_ref().map(Target::Datadog))
    }

    /// An S3 destination.
    pub fn of_s3(s3: S3Destination) -> Self {
        Self { s3: Some(s3), ..Self::default() }
    }
}

impl Target<'_> {
    /// The key under which it stands, and its name where none is given.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::S3(_) => "s3",
            Self::HttpEndpoint(_) => "http_endpoint",
            Self::Splunk(_) => "splunk",
            Self::OpenSearch(_) => "opensearch",
            Self::Elasticsearch(_) => "elasticsearch",
            Self::Datadog(_) => "datadog",
        }
    }
}
