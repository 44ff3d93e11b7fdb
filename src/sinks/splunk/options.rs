//! What the Splunk sink needs to know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    net::{http::Tls, keys::KeySource},
    units::Span,
};

/// Where and how events are sent. Every default is already resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Base URL of the HTTP Event Collector, `https://host:8088`.
    pub endpoint: String,
    pub endpoint_type: EndpointType,
    pub token: KeySource,
    /// How long an acknowledgement is waited for (Firehose: 180 to 600 s).
    pub acknowledgment_timeout: Span,
    /// Pause between two questions for acknowledgements.
    pub acknowledgment_poll: Span,
    /// Whether the indexer's acknowledgement is waited for (beyond Firehose, where it always is).
    pub acknowledgment: bool,
    /// Whether requests go under gzip.
    pub gzip: bool,
    /// Metadata of the raw endpoint, sent in the query.
    pub metadata: Metadata,
    pub tls: Tls,
    /// One request, to the end of its answer.
    pub timeout: Span,
}

/// Which endpoint of the collector takes the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointType {
    /// Bytes, which Splunk cuts into events by the source type.
    #[default]
    Raw,
    /// Records that are the collector's JSON envelopes already.
    Event,
}

/// What Splunk is told of raw records; the token's own settings hold where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Metadata {
    /// Index to write to.
    pub index: Option<String>,
    /// `source` of the events.
    pub source: Option<String>,
    /// `sourcetype` of the events.
    pub sourcetype: Option<String>,
    /// `host` of the events.
    pub host: Option<String>,
}
