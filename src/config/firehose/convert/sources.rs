//! What feeds a stream: KinesisStreamSourceConfiguration and MSKSourceConfiguration, and the sources
//! of the configuration.

use serde_json::{Value, json};

use super::{Document, Hose, StreamType, optional, text};
use crate::{
    config::SourceSpec,
    net::kafka::{Sasl, Security},
    sources::{kafka, kinesis},
};

/// The source that the daemon runs for a stream made by the API.
///
/// Firehose reads what comes in from the moment that the stream is active. Here that is the time of
/// its creation: what came in between then and the first read is not missed.
pub(super) fn to_source(hose: &Hose) -> SourceSpec {
    let source = &hose.source;
    match hose.stream_type {
        StreamType::DirectPut => SourceSpec::DirectPut,
        StreamType::KinesisStreamAsSource => SourceSpec::Kinesis(Box::new(kinesis::Options {
            role_arn: optional(source, "RoleARN"),
            start: kinesis::Start::AtTimestamp(rfc3339(hose.created_ms)),
            ..kinesis::Options::of_arn(text(source, "KinesisStreamARN"))
        })),
        StreamType::MskAsSource => SourceSpec::Kafka(Box::new(to_kafka(hose, source))),
    }
}

fn to_kafka(hose: &Hose, source: &Document) -> kafka::Options {
    let authentication = source.get("AuthenticationConfiguration").cloned().unwrap_or_default();
    let role_arn = authentication["RoleARN"].as_str().map(str::to_owned);
    let arn = text(source, "MSKClusterARN");
    let region = arn.split(':').nth(3).filter(|region| !region.is_empty()).map(str::to_owned);
    let start = match source.get("ReadFromTimestamp").and_then(Value::as_f64) {
        Some(0.0) => kafka::Start::Earliest,
        Some(seconds) => kafka::Start::AtTimestamp(rfc3339((seconds * 1000.0) as i64)),
        None => kafka::Start::AtTimestamp(rfc3339(hose.created_ms)),
    };
    let connectivity = match authentication["Connectivity"] == "PUBLIC" {
        true => kafka::Connectivity::Public,
        false => kafka::Connectivity::Private,
    };
    kafka::Options {
        start,
        security: Security { tls: None, sasl: Some(Sasl::AwsMskIam { region, role_arn }) },
        ..kafka::Options::of_cluster(arn, connectivity, text(source, "TopicName"))
    }
}

/// A source of the configuration file as the API shows it, as far as the API has words for it.
pub(super) fn from_source(spec: &SourceSpec) -> Document {
    let described = match spec {
        SourceSpec::Kinesis(options) => json!({
            "KinesisStreamARN": options.stream_arn, "RoleARN": options.role_arn,
        }),
        SourceSpec::Kafka(options) => json!({
            "MSKClusterARN": options.cluster_arn,
            "TopicName": options.topics.first().filter(|_| options.cluster_arn.is_some()),
        }),
        SourceSpec::DirectPut | SourceSpec::File(_) | SourceSpec::Http(_) => Value::Null,
    };
    let members = described.as_object().cloned().unwrap_or_default();
    members.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string()
}
