//! Sources, and journals that are Kafka topics: each source says itself what can never work.

use std::time::Duration;

use crate::{
    buffer::{self, Durability},
    config::{
        Config, SourceSpec, StreamSpec,
        yaml::{Found, problem::join},
    },
    limits,
    net::kafka::check_config,
    sources::{file, http, kafka, kinesis},
    units::Span,
};

/// The source of one stream.
pub(super) fn source(path: &str, stream: &str, spec: &StreamSpec, found: &mut Found) {
    let at = join(path, "source");
    let made = match &spec.source {
        SourceSpec::DirectPut => return,
        SourceSpec::Kinesis(options) => kinesis::check(options, stream).err(),
        SourceSpec::Kafka(options) => kafka::check(options, stream).err(),
        SourceSpec::File(options) => file::check(options, stream).err(),
        SourceSpec::Http(options) => options.check().err().map(|error| error.to_string()),
    };
    if let Some(error) = made {
        wrong(&join(&at, kind(&spec.source)), &error, found);
    }
    let pulls = !matches!(spec.source, SourceSpec::Http(_));
    // The largest record that a source takes, with what is stored beside it.
    let smallest = match spec.source {
        SourceSpec::Kinesis(_) => 16 * limits::MIB,
        SourceSpec::Kafka(_) => limits::FRAME_BYTES_MAX as u64,
        SourceSpec::DirectPut | SourceSpec::File(_) | SourceSpec::Http(_) => 0,
    };
    let buffer::Options { durability, max_size, .. } = &spec.journal;
    if *durability == Durability::Memory && max_size.0 < smallest {
        found.add(
            &join(&join(path, "journal"), "max_size"),
            "is less than the largest record of its source takes: it would wait for ever",
            Some(&format!("give it {}MiB or more", smallest / limits::MIB)),
        );
    }
    if pulls && spec.throughput.is_some() {
        found.add(
            &join(path, "throughput"),
            "has no effect on a source that pulls its records",
            Some("leave it out"),
        );
    }
}

/// A message that begins with a key stands at that key. What was left out because it is wrong is not
/// called missing.
fn wrong(at: &str, error: &str, found: &mut Found) {
    let is_key = |key: &str| {
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b"_.".contains(&b))
    };
    let (path, message) = match error.split_once(": ") {
        Some((key, message)) if is_key(key) => (join(at, key), message),
        _ => (at.to_owned(), error),
    };
    let place = if found.places.is_set(&path) { &path } else { at };
    if !found.places.is_broken_within(place) {
        found.add(&path, message, None);
    }
}

fn kind(source: &SourceSpec) -> &'static str {
    match source {
        SourceSpec::DirectPut => "direct_put",
        SourceSpec::Kinesis(_) => "kinesis",
        SourceSpec::Kafka(_) => "kafka",
        SourceSpec::File(_) => "file",
        SourceSpec::Http(_) => "http",
    }
}

/// A journal that is a topic.
pub(super) fn kafka_journal(path: &str, spec: &StreamSpec, found: &mut Found) {
    let buffer::Options { durability, kafka: Some(options), .. } = &spec.journal else { return };
    let at = join(&join(path, "journal"), "kafka");
    if let Err(error) =
        check_config(&options.brokers, &options.security(), &Default::default(), &[])
    {
        wrong(&at, &error, found);
    }
    if options.topic.is_empty() {
        found.add(&join(&at, "topic"), "must not be empty", None);
    }
    if !(1..=10_000).contains(&options.partitions) {
        found.add(&join(&at, "partitions"), "must be between 1 and 10000", None);
    }
    if options.replication_factor.is_some_and(|copies| copies < 1) {
        found.add(&join(&at, "replication_factor"), "must be 1 or more", None);
    }
    let ranges = [
        // Brokers refuse others (group.min.session.timeout.ms, group.max.session.timeout.ms).
        ("session_timeout", options.session_timeout, 6, "must be between 6s and 30m"),
        ("ack_timeout", options.ack_timeout, 1, "must be between 1s and 30m"),
    ];
    for (key, Span(time), min_secs, message) in ranges {
        if time < Duration::from_secs(min_secs) || time > Duration::from_secs(30 * 60) {
            found.add(&join(&at, key), message, None);
        }
    }
    if *durability == Durability::Memory {
        let message = "a topic is not kept in memory: durability has no effect with kafka";
        found.add(&join(&join(path, "journal"), "durability"), message, Some("leave it out"));
    }
    if spec.encrypted {
        let message = "encrypts a local journal; a topic is encrypted by its brokers";
        found.add(&join(path, "encrypted"), message, Some("leave it out"));
    }
    if !matches!(spec.source, SourceSpec::DirectPut | SourceSpec::Http(_)) {
        let message = "a source that pulls its records keeps its positions in a local journal";
        let help = "use journal.kafka with direct_put or http; several replicas share the work of \
                    kafka and kinesis sources without it";
        found.add(&at, message, Some(help));
    }
    for (index, destination) in spec.destinations.iter().enumerate() {
        if destination.replay.is_some() {
            let at = format!("{}[{index}].replay", join(path, "destinations"));
            let message = "is not available with journal.kafka: each replica would replay";
            found.add(&at, message, Some("use the command `standpipe replay`"));
        }
    }
}

/// Streams whose sources cannot share an address.
pub(super) fn shared_addresses(config: &Config, found: &mut Found) {
    let posted = config.streams.iter().filter_map(|(name, spec)| match &spec.source {
        SourceSpec::Http(options) => Some((name.as_str(), &**options)),
        _ => None,
    });
    for (stream, conflict) in http::conflicts(posted) {
        found.add(&format!("streams.{stream}.source.http"), conflict.to_string(), None);
    }
}
