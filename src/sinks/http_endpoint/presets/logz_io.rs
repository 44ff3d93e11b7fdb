//! Logz.io's listeners for Firehose (metrics: Firehose developer guide; logs: Logz.io's own
//! template for CloudFormation). Neither asks for compressed requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    PresetError, Resolved,
    parts::{segment, url_or},
};
use crate::{sinks::http_endpoint::ContentEncoding, units::Secret};

/// Logz.io's listeners for Firehose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogzIo {
    /// What the records are.
    pub kind: LogzIoKind,
    /// Region of the account.
    pub region: LogzIoRegion,
    /// Type of the logs, by which Logz.io chooses how to read them.
    pub log_type: String,
}

/// What the records are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogzIoKind {
    /// Logs.
    #[default]
    Logs,
    /// CloudWatch metric streams.
    Metrics,
}

/// Region of an account, as Logz.io codes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogzIoRegion {
    /// US East.
    #[default]
    Us,
    /// Australia.
    Au,
    /// Canada.
    Ca,
    /// Frankfurt.
    Eu,
    /// West Europe.
    Nl,
    /// London.
    Uk,
    /// West US 2.
    Wa,
}

impl Default for LogzIo {
    fn default() -> Self {
        let (kind, region) = Default::default();
        Self { kind, region, log_type: "logzio_firehose".into() }
    }
}

impl LogzIo {
    pub(super) fn resolve(&self, url: Option<&Secret>) -> Result<Resolved, PresetError> {
        let resolved = Resolved::new("Logz.io", url_or(url, || self.url())?, 5);
        Ok(Resolved { content_encoding: ContentEncoding::None, ..resolved })
    }

    fn url(&self) -> Result<String, PresetError> {
        let region = match self.region {
            LogzIoRegion::Us => "us",
            LogzIoRegion::Au => "au",
            LogzIoRegion::Ca => "ca",
            LogzIoRegion::Eu => "eu",
            LogzIoRegion::Nl => "nl",
            LogzIoRegion::Uk => "uk",
            LogzIoRegion::Wa => "wa",
        };
        if self.kind == LogzIoKind::Metrics {
            return Ok(format!("https://listener-aws-metrics-stream-{region}.logz.io/"));
        }
        let log_type = segment("log_type", &self.log_type)?;
        let region = if region == "us" { String::new() } else { format!("-{region}") };
        Ok(format!("https://aws-firehose-logs-listener{region}.logz.io/?type={log_type}"))
    }
}
