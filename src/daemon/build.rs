//! Names to constructors: the one place that knows which journal, sink and transform there is.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use super::{
    DaemonError, Shared,
    identity::Identity,
    processing::Processing,
    requests::{Owner, Requests},
};
use crate::{
    batch::{Buffering, Framing},
    buffer::{
        Durability, KeyError, Keyring, LocalJournal, MemoryJournal,
        kafka::{Front, KafkaOptions},
    },
    config::{
        self, AwsOptions, Backup, BackupBucket, BackupMode, BackupScope, Config, DestinationSpec,
        JournalKey, ReplaySpec, RoleArn, S3Destination, StreamSpec, Target, Throughput,
        TransformSpec,
    },
    delivery::{Bounds, CurrentIndex, Naming, Way},
    encode::Compression,
    env::{CpuPool, Env},
    limits,
    net::{
        glue::CachedTable,
        kafka::{self, Link, TokenFeed},
    },
    partition::{KeyNaming, KeyOptions},
    retry::Policy,
    seams::{Journal, Sink},
    sinks::{
        self, layers,
        registered::{GluePartitions, Registered},
        s3,
    },
    sources::Limits,
    telemetry::DeliveryKind,
};

/// A stream's journal: as the trait, and as what it is where only that will do.
pub enum AnyJournal {
    Local(Arc<LocalJournal>),
    Memory(Arc<MemoryJournal>),
    /// Records come in here; each destination reads the topic by itself.
    Kafka(Arc<Front>),
}

impl AnyJournal {
    pub fn as_journal(&self) -> Arc<dyn Journal> {
        match self {
            Self::Local(journal) => journal.clone(),
            Self::Memory(journal) => journal.clone(),
            Self::Kafka(front) => front.clone(),
        }
    }

    pub fn id(&self) -> [u8; 16] {
        match self {
            Self::Local(journal) => journal.id(),
            Self::Memory(journal) => journal.id(),
            Self::Kafka(front) => front.id(),
        }
    }

    /// Whether other replicas read it, too.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Kafka(_))
    }

    /// The first bytes of the journal's id: they stand in every record id.
    pub fn tag(&self) -> [u8; 4] {
        let id = self.id();
        [id[0], id[1], id[2], id[3]]
    }

    pub fn is_encrypted(&self) -> bool {
        match self {
            Self::Local(journal) => journal.is_encrypted(),
            Self::Memory(_) | Self::Kafka(_) => false,
        }
    }

    pub fn set_encrypted(&self, encrypted: bool) -> Result<(), KeyError> {
        match self {
            Self::Local(journal) => journal.set_encrypted(encrypted),
            // Memory is not at rest, and a topic is encrypted by its brokers.
            Self::Memory(_) | Self::Kafka(_) => Ok(()),
        }
    }

    pub fn set_max_bytes(&self, max_bytes: u64) {
        match self {
            Self::Local(journal) => journal.set_max_bytes(max_bytes),
            Self::Memory(journal) => journal.set_max_bytes(max_bytes),
            Self::Kafka(_) => {}
        }
    }
}

pub fn keyring(config: &Config, env: &Env) -> Result<Keyring, KeyError> {
    let own = config.data_dir.join("journal.key");
    match &config.journal_key {
        JournalKey::File(path) => {
            // What was written before a key file was named must stay readable.
            let before: Vec<PathBuf> = env.files.open_read(&own).map(|_| own).into_iter().collect();
            Keyring::from_files(env.files.as_ref(), path, &before)
        }
        JournalKey::DataKey => Keyring::load_or_generate(env.files.as_ref(), &own),
    }
}

pub async fn journal(
    shared: &Arc<Shared>,
    folder: &Path,
    spec: &StreamSpec,
    stream: &str,
    stop: &CancellationToken,
) -> Result<AnyJournal, DaemonError> {
    let (folder, options) = (folder.join("journal"), spec.journal.clone());
    if let Some(kafka) = &options.kafka {
        let failed = |reason: String| DaemonError::Stream { stream: stream.to_owned(), reason };
        let link = kafka_link(kafka, shared, true, stop.clone()).map_err(&failed)?;
        let front = Front::open(kafka, link).await;
        let front = front.map_err(|error| failed(format!("its journal in Kafka: {error}")))?;
        return Ok(AnyJournal::Kafka(Arc::new(front)));
    }
    let (env, keys, encrypted) = (shared.env.clone(), shared.keys.clone(), spec.encrypted);
    let in_memory = options.durability == Durability::Memory;
    if in_memory && !folder.exists() {
        return Ok(AnyJournal::Memory(Arc::new(MemoryJournal::new(&options))));
    }
    let opened = tokio::task::spawn_blocking(move || {
        let journal = LocalJournal::open(&folder, &options, &env, Some(keys))
            .map_err(|error| error.to_string())?;
        journal.set_encrypted(encrypted).map_err(|error| error.to_string())?;
        Ok::<_, String>(journal)
    });
    let failed = |reason: String| DaemonError::Stream { stream: stream.to_owned(), reason };
    let journal = opened.await.map_err(|error| failed(error.to_string()))?;
    if in_memory {
        let left = journal.map_err(&failed)?.stats().used_bytes;
        if left > 0 {
            return Err(failed(format!(
                "its journal on disk holds {left} bytes of undelivered records: run it with \
                 durability fsync or os until they are delivered"
            )));
        }
        return Ok(AnyJournal::Memory(Arc::new(MemoryJournal::new(&spec.journal))));
    }
    Ok(AnyJournal::Local(Arc::new(journal.map_err(failed)?)))
}

/// How the brokers of a journal are spoken to. Tokens are fetched until `stop`.
pub fn kafka_link(
    options: &KafkaOptions,
    shared: &Shared,
    from_file: bool,
    stop: CancellationToken,
) -> Result<Link, String> {
    let security = options.security();
    let aws = shared.aws.load();
    let access = Identity { aws: &aws, from_file }.access(None, None);
    let feed = kafka::tokens(&security, &access)?
        .map(|tokens| TokenFeed::start(tokens, shared.env.clock.clone(), stop));
    let config = kafka::client_config(&options.brokers, &security, &BTreeMap::new(), &[])?;
    Ok(Link { config, tokens: feed })
}

pub fn throttle_limits(throughput: Option<Throughput>) -> Limits {
    let Some(throughput) = throughput else { return Limits::default() };
    Limits {
        records_per_second: throughput.records_per_second,
        bytes_per_second: throughput.bytes_per_second.map(|bytes| bytes.0),
        requests_per_second: throughput.requests_per_second,
    }
}

/// One way out of a stream: a destination, or the backup of its source records.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlet {
    pub name: String,
    pub kind: DeliveryKind,
    pub buffering: Buffering,
    pub compression: Compression,
    pub content_encoding: bool,
    pub framing: Framing,
    pub keys: KeyOptions,
    /// Where objects go: all of them, or what a destination of requests does not take.
    pub bucket: s3::Options,
    /// How often objects are closed there, where the records go elsewhere.
    pub error_buffering: Buffering,
    /// A destination that takes records one by one.
    pub requests: Option<Requests>,
    /// When what piled up in the bucket is delivered by itself.
    pub replay: Option<ReplaySpec>,
    pub processing: Processing,
}

/// All ways out of a stream, in order.
pub fn outlets(
    spec: &StreamSpec,
    aws: &AwsOptions,
    from_file: bool,
) -> Result<Vec<Outlet>, String> {
    let names = spec.destination_names();
    let mut outlets = Vec::new();
    for (name, destination) in names.into_iter().zip(&spec.destinations) {
        let Some(target) = destination.target() else { continue };
        let bucket = match (target, target.backup()) {
            (Target::S3(s3), _) => s3.clone(),
            (_, Some(backup)) => backup.to_s3(),
            (_, None) => continue,
        };
        let resolved = sink_options(&bucket, aws, from_file);
        match target.backup() {
            Some(backup) => {
                if target.backup_scope() == Some(BackupScope::All) {
                    let source = source_backup(backup);
                    outlets.push(backup_outlet(&name, &bucket, &source, &resolved));
                }
            }
            None => {
                if let (BackupMode::Enabled, Some(backup)) =
                    (bucket.s3_backup_mode, &bucket.s3_backup)
                {
                    outlets.push(backup_outlet(&name, &bucket, backup, &resolved));
                }
            }
        }
        let requests = Requests::of(target, aws, from_file)?;
        outlets.push(Outlet {
            name,
            kind: requests.as_ref().map_or(DeliveryKind::DeliveryToS3, |requests| requests.kind),
            buffering: requests.as_ref().map_or(bucket.buffering, |requests| requests.buffering),
            compression: bucket.compression,
            content_encoding: bucket.content_encoding,
            framing: framing(destination),
            keys: bucket.key_options(),
            error_buffering: bucket.buffering,
            processing: Processing::of(destination, aws, &resolved),
            bucket: resolved,
            requests,
            replay: destination.replay.filter(|replay| replay.after_recovery),
        });
    }
    Ok(outlets)
}

/// Source records in the bucket of what cannot be delivered.
fn source_backup(backup: &BackupBucket) -> Backup {
    Backup {
        bucket: backup.bucket.clone(),
        prefix: backup.prefix.clone(),
        buffering: backup.buffering,
        compression: backup.compression,
        append_delimiter: backup.append_delimiter.clone(),
        role_arn: backup.role_arn.clone(),
        encryption: Some(backup.encryption.clone()),
    }
}

fn backup_outlet(
    name: &str,
    s3: &S3Destination,
    backup: &Backup,
    resolved: &s3::Options,
) -> Outlet {
    let delimiter = backup.append_delimiter.as_deref().map(config::delimiter::bytes);
    Outlet {
        name: format!("{name}.backup"),
        kind: DeliveryKind::BackupToS3,
        buffering: backup.buffering,
        compression: backup.compression,
        content_encoding: s3.content_encoding,
        framing: Framing { delimiter: delimiter.unwrap_or_default(), if_missing: false },
        keys: backup.key_options(s3.custom_time_zone.clone()),
        error_buffering: backup.buffering,
        requests: None,
        replay: None,
        processing: Processing::default(),
        bucket: s3::Options {
            bucket: backup.bucket.clone(),
            role_arn: match (&resolved.role_arn, &backup.role_arn) {
                // Where roles are ignored the backup's is too.
                (Some(_), Some(own)) => Some(own.clone()),
                (resolved, _) => resolved.clone(),
            },
            encryption: backup.encryption.clone().unwrap_or_else(|| s3.encryption.clone()),
            check_prefix: literal_beginning("", &backup.prefix),
            ..resolved.clone()
        },
    }
}

fn framing(destination: &DestinationSpec) -> Framing {
    let mut framing = Framing::default();
    for transform in &destination.transforms {
        if let TransformSpec::AppendDelimiter(delimiter) = transform {
            let (bytes, if_missing) = delimiter.bytes();
            framing = Framing { delimiter: bytes, if_missing };
        }
    }
    framing
}

/// A destination's own settings over the `aws` section's.
fn sink_options(s3: &S3Destination, aws: &AwsOptions, from_file: bool) -> s3::Options {
    let endpoint = s3.endpoint.clone().or_else(|| aws.endpoint.clone());
    let assume = match aws.role_arn {
        RoleArn::Assume => true,
        RoleArn::Ignore => false,
        RoleArn::Auto => from_file || endpoint.is_none(),
    };
    let environment =
        || ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|n| std::env::var(n).ok());
    let region = s3.region.clone().or_else(|| aws.region.clone()).or_else(environment);
    s3::Options {
        bucket: s3.bucket.clone(),
        region: region.unwrap_or_else(|| "us-east-1".into()),
        path_style: s3.path_style.unwrap_or(endpoint.is_some()),
        endpoint,
        credentials: aws.credentials.clone(),
        role_arn: s3.role_arn.clone().filter(|_| assume),
        external_id: s3.external_id.clone(),
        sts_endpoint: aws.sts_endpoint.clone(),
        encryption: s3.encryption.clone(),
        checksums: s3.checksums,
        multipart_threshold: s3.multipart_threshold,
        check_prefix: literal_beginning(&s3.error_output_prefix, &s3.prefix),
    }
}

/// What all keys of the error output begin with; the other prefix counts where it has none.
fn literal_beginning(error_output_prefix: &str, prefix: &str) -> String {
    let counts = if error_output_prefix.is_empty() { prefix } else { error_output_prefix };
    counts.split_once("!{").map_or(counts, |(literal, _)| literal).to_owned()
}

impl Outlet {
    fn is_partitioned(&self) -> bool {
        self.keys.dynamic_partitioning || self.keys.event_time
    }

    /// How much may be on its way at a time.
    pub fn bounds(&self) -> Bounds {
        match (&self.requests, self.is_partitioned()) {
            (Some(_), _) => Bounds::REQUESTS,
            (None, true) => Bounds::PARTITIONED,
            (None, false) => Bounds::OBJECTS,
        }
    }
}

/// How an outlet's shipments are named.
pub fn naming(outlet: &Outlet) -> Result<Naming, String> {
    let keys = KeyNaming::parse(&outlet.keys)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    Ok(match &outlet.requests {
        None => Naming::Objects(keys),
        Some(requests) => {
            Naming::Requests { index: requests.index.clone().map(CurrentIndex::new), errors: keys }
        }
    })
}

/// Where an outlet's records go, and where those go that are not taken.
pub struct Ways {
    pub way: Way,
    pub backup: Option<Way>,
}

/// The sinks of an outlet behind their layers.
///
/// With `makes_folders` a local folder that is not there is made.
pub async fn ways(
    outlet: &Outlet,
    makes_folders: bool,
    owner: Owner,
    table: Option<Arc<CachedTable>>,
    env: &Env,
    pool: &CpuPool,
) -> Result<Ways, String> {
    let bucket = outlet.bucket.clone();
    let bucket = match makes_folders {
        true => sinks::connect(bucket, env).await,
        false => sinks::connect_as_is(bucket, env).await,
    };
    let mut bucket = bucket.map_err(|error| error.to_string())?;
    if let Some(table) = table {
        let partitions = GluePartitions::new(table, outlet.bucket.bucket.clone());
        bucket = Arc::new(Registered::new(bucket, Arc::new(partitions)));
    }
    let mut options = layers::Options::default();
    if outlet.is_partitioned() {
        options.concurrency = limits::SHIPMENTS_IN_FLIGHT_PARTITIONED;
    }
    let forever = Policy::forever(limits::S3_BACKOFF_INITIAL, limits::S3_BACKOFF_MAX);
    let objects = Way::new(layers::Attempts::new(bucket, options), forever);
    let Some(requests) = &outlet.requests else {
        return Ok(Ways { way: objects, backup: None });
    };
    let (sink, timeout) = requests.connect(owner, pool.clone())?;
    let way = Way::new(requests_layers(requests, sink, timeout), requests.retry.clone());
    Ok(Ways { way, backup: Some(objects) })
}

/// A sink of requests behind its layers.
pub fn requests_layers(
    requests: &Requests,
    sink: Arc<dyn Sink>,
    timeout: std::time::Duration,
) -> layers::Attempts {
    let options = layers::Options {
        timeout,
        concurrency: limits::REQUESTS_IN_FLIGHT,
        adaptive: true,
        timeout_code: requests.timeout_code(),
    };
    layers::Attempts::new(sink, options)
}
