//! Partners whose endpoints speak the delivery protocol: what is known of each.
//!
//! A preset knows the URL, how requests are best buffered (the console's defaults: developer
//! guide, "Configure buffering hints") and what the partner wants to be told. What the user says
//! comes first.

mod coralogix;
mod datadog;
mod dynatrace;
mod elastic;
mod honeycomb;
mod logic_monitor;
mod logz_io;
mod mongodb;
mod new_relic;
mod parts;
mod splunk_observability;
mod sumo_logic;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ContentEncoding;
use crate::{
    limits::{MIB, PARTNER_INTERVAL, RETRY_DURATION_DEFAULT},
    units::{ByteSize, Secret, Span},
};

pub use coralogix::Coralogix;
pub use datadog::{Datadog, DatadogKind};
pub use dynatrace::{Dynatrace, DynatraceRegion};
pub use elastic::Elastic;
pub use honeycomb::Honeycomb;
pub use logic_monitor::LogicMonitor;
pub use logz_io::{LogzIo, LogzIoKind, LogzIoRegion};
pub use mongodb::MongoDb;
pub use new_relic::{NewRelic, NewRelicKind, NewRelicRegion};
pub use splunk_observability::SplunkObservability;
pub use sumo_logic::{SumoLogic, SumoLogicKind};

/// A partner, and what must be known to find its endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Datadog: logs, metrics or changes of configuration. The access key is an API key.
    Datadog(Datadog),
    /// New Relic: logs or metrics. The access key is a licence key for ingest.
    NewRelic(NewRelic),
    /// Dynatrace. The access key is an API token.
    Dynatrace(Dynatrace),
    /// Sumo Logic. The token stands in the URL; there is no access key.
    SumoLogic(SumoLogic),
    /// Coralogix. The access key is a key for sending data.
    Coralogix(Coralogix),
    /// Honeycomb. The access key is an API key.
    Honeycomb(Honeycomb),
    /// Logz.io: logs or metrics. The access key is the shipping token.
    LogzIo(LogzIo),
    /// LogicMonitor. The access key is an API token.
    LogicMonitor(LogicMonitor),
    /// MongoDB Cloud: a webhook or API gateway, whose `url` must be given. The access key is an
    /// API key.
    #[serde(rename = "mongodb")]
    MongoDb(MongoDb),
    /// Elastic Cloud, whose `url` must be given. The access key is an API key in base64.
    Elastic(Elastic),
    /// Splunk Observability Cloud: metrics. The access key is an organization's access token.
    SplunkObservability(SplunkObservability),
}

/// What comes of a preset; the user's own settings come before each of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The partner's name, as the console has it for the endpoint.
    pub name: &'static str,
    /// Where requests go. It may hold a token: it is never logged.
    pub url: Secret,
    pub buffering_size: ByteSize,
    pub buffering_interval: Span,
    pub content_encoding: ContentEncoding,
    /// What the partner is told with each request, names and values.
    pub common_attributes: Vec<(String, Secret)>,
    /// Whether the partner knows us by the access key.
    pub needs_access_key: bool,
    /// How long trouble is retried.
    pub retry: Span,
}

/// Why no endpoint comes of a preset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PresetError {
    #[error("{partner} gives every customer an endpoint of their own: its url must be given")]
    UrlNeeded { partner: &'static str },
    #[error("{field}: {text:?} is no part of a host name: write letters, digits, dots and hyphens")]
    Host { field: &'static str, text: String },
    #[error("{field} must not be empty")]
    Empty { field: &'static str },
    #[error("{field}: this is no URL: write https://host")]
    Url { field: &'static str },
    #[error("the token cannot be read: {0}")]
    Token(String),
}

impl Preset {
    /// The endpoint and its settings. `url` is the one the user gave, if any; it is taken as it
    /// stands.
    pub fn resolve(&self, url: Option<&Secret>) -> Result<Resolved, PresetError> {
        match self {
            Self::Datadog(preset) => preset.resolve(url),
            Self::NewRelic(preset) => preset.resolve(url),
            Self::Dynatrace(preset) => preset.resolve(url),
            Self::SumoLogic(preset) => preset.resolve(url),
            Self::Coralogix(preset) => preset.resolve(url),
            Self::Honeycomb(preset) => preset.resolve(url),
            Self::LogzIo(preset) => preset.resolve(url),
            Self::LogicMonitor(preset) => preset.resolve(url),
            Self::MongoDb(preset) => preset.resolve(url),
            Self::Elastic(preset) => preset.resolve(url),
            Self::SplunkObservability(preset) => preset.resolve(url),
        }
    }
}

impl Resolved {
    /// What most partners have in common; the size is in MiB.
    fn new(name: &'static str, url: Secret, buffering_mib: u64) -> Self {
        Self {
            name,
            url,
            buffering_size: ByteSize(buffering_mib * MIB),
            buffering_interval: Span(PARTNER_INTERVAL),
            content_encoding: ContentEncoding::Gzip,
            common_attributes: Vec::new(),
            needs_access_key: true,
            retry: Span(RETRY_DURATION_DEFAULT),
        }
    }

    fn with_attribute(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.common_attributes.push((name.into(), Secret::Value(value.into())));
        }
        self
    }
}
