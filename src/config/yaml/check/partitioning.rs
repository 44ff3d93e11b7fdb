//! Partition keys, the time of events, and the table that is told of partitions.

use std::time::Duration;

use super::{not_empty, quoting, role, s3, span, transforms::place};
use crate::{
    config::{
        AddPartitions, DestinationSpec, EventTimeSpec, S3Destination, TransformSpec,
        yaml::{Found, problem::join},
    },
    limits,
    partition::KeyNaming,
    transform::{
        event_time::{EventTime, OptionsError},
        jq,
    },
};

pub(super) fn destination(path: &str, destination: &DestinationSpec, found: &mut Found) {
    let at = join(path, "s3");
    let Some(s3) = &destination.s3 else { return };
    if let Some(partitioning) = &s3.dynamic_partitioning {
        let at = join(&at, "dynamic_partitioning");
        if !(1..=limits::PARTITIONS_MAX).contains(&partitioning.max_active_partitions) {
            let message = format!("must be 1 to {}", limits::PARTITIONS_MAX);
            found.add(&join(&at, "max_active_partitions"), message, None);
        }
        let retry = join(&at, "retry_duration");
        span(&retry, partitioning.retry_duration, limits::PARTITION_RETRY_MAX, found);
    }
    keys(path, s3, destination, found);
    event_time(&at, s3, found);
    add_partitions(&at, s3, found);
}

/// The keys in the prefix, and those who give them.
fn keys(path: &str, s3: &S3Destination, destination: &DestinationSpec, found: &mut Found) {
    let extraction = destination.transforms.iter().enumerate().find_map(|(index, spec)| {
        let TransformSpec::MetadataExtraction(query) = spec else { return None };
        Some((place(path, index, spec), query.query()))
    });
    if s3.partitioning().is_none() {
        let off = join(&join(path, "s3"), "dynamic_partitioning");
        if let Some((at, _)) = extraction
            && !found.places.is_broken(&off)
            && !s3.prefix.contains("!{partitionKeyFrom")
        {
            let help = Some("set s3.dynamic_partitioning: {enabled: true}");
            found.add(&at, "has no effect without dynamic partitioning", help);
        }
        return;
    }
    // What is wrong with the prefix itself is told elsewhere.
    let Ok(naming) = KeyNaming::parse(&s3.key_options()) else { return };
    let prefix = join(&join(path, "s3"), "prefix");
    let (from_query, from_lambda) = (naming.query_keys(), naming.lambda_keys());
    // A transform that could not be read may be the one that is looked for.
    let unclear = (0..destination.transforms.len())
        .any(|index| found.places.is_broken(&format!("{path}.transforms[{index}]")))
        || found.places.is_broken(&join(path, "transforms"));
    let has_lambda = destination.transforms.iter().any(|spec| spec.key() == "lambda");
    if !from_lambda.is_empty() && !has_lambda && !unclear {
        let help = Some("add the transform lambda, whose answers give the keys");
        found.add(&prefix, "has keys from partitionKeyFromLambda, but nothing gives them", help);
    }
    match extraction {
        Some((at, query)) => query_keys(&at, &prefix, query, &from_query, found),
        None if !from_query.is_empty() && !unclear => {
            let help = Some("add the transform metadata_extraction: '{key: .path}'");
            found.add(&prefix, "has keys from partitionKeyFromQuery, but nothing gives them", help);
        }
        None => {}
    }
}

/// The query gives the keys of the prefix, no more and no fewer.
fn query_keys(at: &str, prefix: &str, query: &str, wanted: &[&str], found: &mut Found) {
    let Some(given) = jq::Extraction::new(query).ok().and_then(|query| query.keys()) else {
        return;
    };
    let surplus: Vec<&str> =
        given.iter().map(String::as_str).filter(|key| !wanted.contains(key)).collect();
    if !surplus.is_empty() {
        // Firehose's words: "MetaDataExtraction JQ Query can't contain keys that are not present in
        // the S3 Prefix expression".
        let message =
            format!("the query can't contain keys that are not in prefix: {}", surplus.join(", "));
        quoting(at, message, "the query has keys that are not in prefix", found);
    }
    let missing: Vec<&str> =
        wanted.iter().copied().filter(|key| !given.iter().any(|of| of == key)).collect();
    if !missing.is_empty() {
        let message = format!("has keys that the query does not give: {}", missing.join(", "));
        quoting(prefix, message, "has keys that the query does not give", found);
    }
}

fn event_time(path: &str, s3: &S3Destination, found: &mut Found) {
    let at = join(path, "event_time");
    if let Some(spec) = &s3.event_time
        && let Err(error) = EventTime::new(&spec.options())
    {
        let key = match error {
            OptionsError::Path(_) | OptionsError::NoPath(_) => "path",
            OptionsError::Pattern(_) => "format",
            OptionsError::Zone(_) => "zone",
        };
        let place = match spec {
            EventTimeSpec::Path(_) => at.clone(),
            EventTimeSpec::Detailed(_) => join(&at, key),
        };
        let message = error.to_string();
        let message = message.strip_prefix(&format!("{key}: ")).unwrap_or(&message);
        quoting(&place, message, "does not say when a record happened", found);
    }
    let Some(late) = &s3.late else { return };
    let place = join(path, "late");
    if late.after.0 == Duration::ZERO {
        found.add(&join(&place, "after"), "must be more than 0s", None);
    }
    span(&join(&place, "after"), late.after, limits::LATE_AFTER_MAX, found);
}

fn add_partitions(path: &str, s3: &S3Destination, found: &mut Found) {
    let at = join(path, "add_partitions");
    let Some(add) = &s3.add_partitions else { return };
    if s3.partition_table().is_none() && !found.places.is_broken(&join(path, "format_conversion")) {
        let help = Some("set add_partitions: {glue: {database: …, table: …}}");
        found.add(&at, "does not say which table: format_conversion.schema names none", help);
    }
    if s3.bucket.starts_with("file:") {
        found.add(&at, "tells a catalog of objects in S3, and the bucket is a local folder", None);
    }
    if !s3.prefix.contains('=') {
        let help = Some("write prefix like dt=!{timestamp:yyyy-MM-dd}/");
        found.add(&at, "takes partitions from folders like dt=…/, and prefix has none", help);
    }
    let AddPartitions::Named { glue } = add else { return };
    let at = join(&at, "glue");
    for (key, text) in [
        ("database", &glue.database),
        ("table", &glue.table),
        ("catalog_id", &glue.catalog_id),
        ("region", &glue.region),
    ] {
        not_empty(&join(&at, key), text.as_deref(), found);
    }
    role(&join(&at, "role_arn"), glue.role_arn.as_deref(), found);
    s3::endpoint(&join(&at, "endpoint"), glue.endpoint.as_deref(), found);
}
