//! What the sink of Datadog's logs intake needs to know.

use crate::{
    net::{http::Tls, keys::KeySource},
    units::Span,
};

/// Where and how logs are sent. Every default is already resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Site, `datadoghq.com`.
    pub site: String,
    /// URL instead of the site's.
    pub endpoint: Option<String>,
    pub api_key: KeySource,
    /// `service` of logs that have none of their own.
    pub service: Option<String>,
    /// `ddsource` of logs that have none of their own.
    pub source: Option<String>,
    /// `hostname` of logs that have none of their own.
    pub hostname: Option<String>,
    /// `ddtags`, each `name:value`, added to those of the log.
    pub tags: Vec<String>,
    /// Whether requests go under gzip.
    pub gzip: bool,
    pub tls: Tls,
    pub timeout: Span,
}
