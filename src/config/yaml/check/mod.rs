//! What a schema cannot say: ranges with units, what must go together, files that must be there.

mod api;
mod conversion;
mod endpoint;
mod http_endpoint;
mod kinds;
mod opensearch;
mod partitioning;
mod pem;
mod replays;
mod s3;
mod sources;
mod splunk;
mod transforms;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::LazyLock,
};

use regex::Regex;

use super::{Found, problem::join};
use crate::{
    buffer::{self, Durability},
    config::{Config, DestinationSpec, JournalKey, SourceSpec, StreamSpec, Throughput},
    limits,
    sinks::s3::CredentialSource,
    units::{ByteSize, Secret, Span},
};

pub(super) use api::credentials;

pub(super) fn config(config: &Config, found: &mut Found) {
    if config.data_dir.as_os_str().is_empty() {
        found.add("data_dir", "must not be empty", None);
    } else if config.data_dir.exists() && !config.data_dir.is_dir() {
        found.add("data_dir", "is no folder", None);
    }
    span("shutdown_timeout", config.shutdown_timeout, limits::SHUTDOWN_TIMEOUT_MAX, found);
    size("memory_budget", config.memory_budget, limits::OPEN_BYTES_MIN, u64::MAX, found);
    if let JournalKey::File(file) = &config.journal_key {
        journal_key(file, "journal_key.file", found);
    }
    let broken = |name: &str| found.places.is_broken(&join(&join("streams", name), "source"));
    let direct = |(name, spec): (&String, &StreamSpec)| {
        spec.source == SourceSpec::DirectPut && !broken(name)
    };
    // Without any stream they are made by the API.
    let takes_puts = config.streams.is_empty() || config.streams.iter().any(direct);
    api::options(&config.api, takes_puts, found);
    aws(&config.aws, found);
    streams(&config.streams, found);
    replays::places(config, found);
    sources::shared_addresses(config, found);
}

fn aws(aws: &crate::config::AwsOptions, found: &mut Found) {
    not_empty("aws.region", aws.region.as_deref(), found);
    s3::endpoint("aws.endpoint", aws.endpoint.as_deref(), found);
    s3::endpoint("aws.sts_endpoint", aws.sts_endpoint.as_deref(), found);
    s3::endpoint("aws.lambda_endpoint", aws.lambda_endpoint.as_deref(), found);
    s3::endpoint("aws.glue_endpoint", aws.glue_endpoint.as_deref(), found);
    s3::endpoint("aws.kinesis_endpoint", aws.kinesis_endpoint.as_deref(), found);
    s3::endpoint("aws.dynamodb_endpoint", aws.dynamodb_endpoint.as_deref(), found);
    s3::endpoint("aws.msk_endpoint", aws.msk_endpoint.as_deref(), found);
    if let Some(CredentialSource { access_key_id, secret_access_key, session_token }) =
        &aws.credentials
    {
        secret("aws.credentials.access_key_id", access_key_id, found);
        secret("aws.credentials.secret_access_key", secret_access_key, found);
        if let Some(token) = session_token {
            secret("aws.credentials.session_token", token, found);
        }
    }
}

fn streams(streams: &BTreeMap<String, StreamSpec>, found: &mut Found) {
    for (name, spec) in streams {
        let path = join("streams", name);
        if let Err(why) = check_name(name) {
            found.add(&path, format!("{name:?} is no name for a stream: {why}"), None);
        }
        stream(&path, spec, found);
        sources::source(&path, name, spec, found);
        sources::kafka_journal(&path, spec, found);
    }
}

/// Names become folders, labels of metrics and parts of ARNs (CreateDeliveryStream's pattern).
fn check_name(name: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    match name {
        "" => Err("it is empty"),
        "." | ".." | "_" => Err("it is reserved"),
        _ if name.len() > limits::NAME_CHARS_MAX => Err("it is longer than 64 characters"),
        _ if !name.chars().all(allowed) => Err("only a-z A-Z 0-9 _ . - are allowed"),
        _ => Ok(()),
    }
}

fn stream(path: &str, spec: &StreamSpec, found: &mut Found) {
    journal(&join(path, "journal"), &spec.journal, found);
    if let Some(limits) = &spec.throughput {
        throughput(&join(path, "throughput"), limits, found);
    }
    let list = join(path, "destinations");
    if spec.destinations.is_empty() {
        found.add(&list, "a stream needs at least one destination", None);
    }
    let mut known: HashMap<String, usize> = HashMap::new();
    let names = spec.destination_names();
    for (index, (destination, name)) in spec.destinations.iter().zip(names).enumerate() {
        let path = format!("{list}[{index}]");
        // One that says neither who nor what it is has no name to be taken.
        let is_named = destination.name.is_some() || destination.target().is_some();
        if is_named && let Some(first) = known.insert(name.clone(), index) {
            let message = format!("the name {name:?} is taken by destinations[{first}]");
            found.add(&join(&path, "name"), message, Some("give each destination its own name"));
        }
        self::destination(&path, destination, found);
    }
}

fn journal(path: &str, journal: &buffer::Options, found: &mut Found) {
    // In memory there are no segments to reclaim: one frame must fit, no more.
    let smallest = match journal.durability {
        Durability::Fsync | Durability::Os => limits::JOURNAL_BYTES_MIN,
        Durability::Memory => limits::JOURNAL_MEMORY_BYTES_MIN,
    };
    size(&join(path, "max_size"), journal.max_size, smallest, u64::MAX, found);
}

fn throughput(path: &str, limit: &Throughput, found: &mut Found) {
    let given = [
        ("records_per_second", limit.records_per_second),
        ("bytes_per_second", limit.bytes_per_second.map(|size| size.0)),
        ("requests_per_second", limit.requests_per_second),
    ];
    for (key, _) in given.into_iter().filter(|(_, value)| *value == Some(0)) {
        let help = Some("leave it out for no limit");
        found.add(&join(path, key), "0 would refuse everything", help);
    }
}

fn destination(path: &str, destination: &DestinationSpec, found: &mut Found) {
    if let Some(name) = &destination.name
        && let Err(why) = check_name(name)
    {
        let at = join(path, "name");
        let shown = found.places.shown(&at, name);
        found.add(&at, format!("{shown} is no name for a destination: {why}"), None);
    }
    kinds::destination(path, destination, found);
}

fn delimiter_bytes(path: &str, bytes: &[u8], found: &mut Found) {
    if bytes.is_empty() {
        found.add(path, "an empty delimiter", Some("leave it out for none"));
    } else if bytes.len() > limits::DELIMITER_BYTES_MAX {
        found.add(path, format!("must be at most {} bytes", limits::DELIMITER_BYTES_MAX), None);
    }
}

fn journal_key(file: &Path, path: &str, found: &mut Found) {
    match std::fs::read(file) {
        Err(error) => found.add(path, format!("cannot be read: {error}"), None),
        Ok(bytes) if matches!(bytes.len(), 32) => {}
        Ok(bytes) if matches!(bytes.trim_ascii().len(), 44 | 64) => {}
        Ok(_) => found.add(
            path,
            "holds no key",
            Some("write 32 bytes, or 64 hexadecimal or 44 base64 digits: openssl rand -hex 32"),
        ),
    }
}

fn size(path: &str, value: ByteSize, min: u64, max: u64, found: &mut Found) {
    if value.0 < min {
        found.add(path, format!("must be at least {}, not {value}", ByteSize(min)), None);
    } else if value.0 > max {
        found.add(path, format!("must be at most {}, not {value}", ByteSize(max)), None);
    }
}

/// What a piece that checks itself says of a text. Such words may quote it: what came from the
/// environment is not repeated.
fn quoting(path: &str, message: impl ToString, otherwise: &str, found: &mut Found) {
    match found.places.is_from_environment(path) {
        true => found.add(path, otherwise, None),
        false => found.add(path, message.to_string(), None),
    }
}

/// What the ARN of a role looks like (API reference, RoleARN).
pub(super) fn role_pattern() -> &'static Regex {
    static ROLE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\Aarn:[^:]*:iam::[0-9]{12}:role/[a-zA-Z_0-9+=,.@/-]{1,512}\z")
            .expect("a test compiles it")
    });
    &ROLE
}

fn role(path: &str, role: Option<&str>, found: &mut Found) {
    if role.is_some_and(|role| !role_pattern().is_match(role)) {
        let help = Some("write it like arn:aws:iam::123456789012:role/name");
        found.add(path, "is no ARN of a role", help);
    }
}

fn span(path: &str, value: Span, max: std::time::Duration, found: &mut Found) {
    if value.0 > max {
        found.add(path, format!("must be at most {}, not {value}", Span(max)), None);
    }
}

fn not_empty(path: &str, value: Option<&str>, found: &mut Found) {
    if value.is_some_and(|text| text.trim().is_empty()) {
        found.add(path, "must not be empty", None);
    }
}

/// A secret must be there and not be empty; it is never part of the message.
fn secret(path: &str, secret: &Secret, found: &mut Found) {
    let path = secret_place(path, secret);
    match secret.reveal() {
        Ok(value) if value.is_empty() => found.add(&path, "must not be empty", None),
        Ok(_) => {}
        Err(error) => found.add(&path, format!("cannot be read: {error}"), None),
    }
}

/// Where it is told what is wrong with a secret: at its file, if it has one.
fn secret_place(path: &str, secret: &Secret) -> String {
    match secret {
        Secret::Value(_) => path.to_owned(),
        Secret::File { .. } => join(path, "file"),
    }
}
