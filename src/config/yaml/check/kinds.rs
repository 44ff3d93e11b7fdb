//! What a destination is: one thing, with transforms that suit it.

use super::{endpoint, http_endpoint, opensearch, partitioning, s3, splunk, transforms};
use crate::{
    config::{
        DestinationSpec, Target, TransformSpec,
        yaml::{Found, problem::join},
    },
    limits,
    transform::cloudwatch,
};

/// Transforms that make other records out of what they get.
const REMAKING: [&str; 3] = ["record_deaggregation", "lambda", "map"];

pub(super) fn destination(path: &str, destination: &DestinationSpec, found: &mut Found) {
    one_kind(path, destination, found);
    for target in destination.targets() {
        let at = join(path, target.kind());
        match target {
            Target::S3(s3) => {
                s3::destination(&at, s3, found);
                super::conversion::destination(&at, s3, found);
            }
            Target::HttpEndpoint(http) => http_endpoint::destination(&at, http, found),
            Target::Splunk(splunk) => self::splunk::destination(&at, splunk, found),
            Target::OpenSearch(search) | Target::Elasticsearch(search) => {
                opensearch::destination(&at, target.kind(), search, found);
            }
            Target::Datadog(datadog) => splunk::datadog(&at, datadog, found),
        }
        if target.backup().is_some() {
            endpoint::shared(&at, target, found);
        }
    }
    transforms::list(path, destination, found);
    partitioning::destination(path, destination, found);
    if let Some(target) = destination.target() {
        suiting(path, destination, target, found);
        replay(path, destination, target, found);
    }
}

/// A replay by itself takes whatever lies below the plain beginning of the error prefix.
fn replay(path: &str, destination: &DestinationSpec, target: Target, found: &mut Found) {
    let Some(replay) = &destination.replay else { return };
    let at = join(path, "replay");
    super::span(&join(&at, "after"), replay.after, limits::RETRY_DURATION_MAX, found);
    let Some(backup) = target.backup() else {
        let help = Some("an object of S3 is tried again until it is there");
        return found.add(&at, "has no effect with s3", help);
    };
    let plain = super::replays::plain(&backup.error_output_prefix);
    if replay.after_recovery && !plain.contains('/') {
        let help = Some("begin backup.error_output_prefix with a folder: errors/!{…}");
        found.add(&join(&at, "after_recovery"), "does not know where failed records are", help);
    }
}

fn one_kind(path: &str, destination: &DestinationSpec, found: &mut Found) {
    let mut targets = destination.targets();
    let Some(first) = targets.next() else {
        let unclear = |kind: &&str| found.places.is_broken(&join(path, kind));
        if !Target::KINDS.iter().any(unclear) {
            let help = format!("set one of {}", Target::KINDS.join(", "));
            found.add(path, "does not say where to", Some(&help));
        }
        return;
    };
    for other in targets {
        let message = format!("{:?} cannot stand beside {:?}", other.kind(), first.kind());
        let help = Some("make it an entry of its own in destinations");
        found.add(&join(path, other.kind()), message, help);
    }
}

/// Transforms against what they are for.
fn suiting(path: &str, destination: &DestinationSpec, target: Target, found: &mut Found) {
    let specs = &destination.transforms;
    for (index, spec) in specs.iter().enumerate() {
        let at = transforms::place(path, index, spec);
        let behind = &specs[index + 1..];
        let is_remade = behind.iter().any(|spec| REMAKING.contains(&spec.key()));
        match (spec, target) {
            (_, Target::S3(_)) => {}
            (TransformSpec::MetadataExtraction(_), _) => {
                let message = format!("gives keys to the prefix of s3: {} has none", target.kind());
                found.add(&at, message, Some("leave it out"));
            }
            // Firehose refuses it too: what is unpacked is a document with many events.
            (TransformSpec::Decompression(_), Target::Splunk(_))
                if !is_remade && !behind.iter().any(extracts) =>
            {
                let help = Some("add cloudwatch_log_processing: {data_message_extraction: true}");
                found.add(&at, "needs the log events taken out for splunk", help);
            }
            // All events of a document stay one record, and a document of an index is one object.
            (spec, Target::OpenSearch(_) | Target::Elasticsearch(_))
                if extracts(spec) && !is_remade =>
            {
                let message = format!(
                    "leaves several events in one record, and {} takes one JSON object",
                    target.kind()
                );
                let help = Some("give metadata, and add record_deaggregation: json behind it");
                found.add(&at, message, help);
            }
            _ => {}
        }
    }
}

/// Whether a transform takes the log events out of their documents.
fn extracts(spec: &TransformSpec) -> bool {
    matches!(spec, TransformSpec::CloudwatchLogProcessing(
        cloudwatch::Options { data_message_extraction, metadata }
    ) if *data_message_extraction || !metadata.is_empty())
}
