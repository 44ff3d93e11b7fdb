//! Datadog's intakes for Firehose (hosts and paths as the AWS CDK has them; those of sites that it
//! does not name follow the newer form).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    PresetError, Resolved,
    parts::{host, url_or},
};
use crate::units::Secret;

/// Datadog's intakes for Firehose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Datadog {
    /// Site: `datadoghq.com`, `us3.datadoghq.com`, `us5.datadoghq.com`, `ap1.datadoghq.com`,
    /// `datadoghq.eu`, `ddog-gov.com`.
    pub site: String,
    /// What the records are.
    pub kind: DatadogKind,
}

/// What the records are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatadogKind {
    /// Logs; common attributes become tags.
    #[default]
    Logs,
    /// CloudWatch metric streams.
    Metrics,
    /// Changes of configuration (AWS Config).
    Changes,
}

impl Default for Datadog {
    fn default() -> Self {
        Self { site: "datadoghq.com".into(), kind: DatadogKind::default() }
    }
}

impl Datadog {
    pub(super) fn resolve(&self, url: Option<&Secret>) -> Result<Resolved, PresetError> {
        let url = url_or(url, || Ok(self.url(host("site", &self.site)?)))?;
        Ok(Resolved::new("Datadog", url, 4))
    }

    fn url(&self, site: &str) -> String {
        const PROTOCOL: &str = "dd-protocol=aws-kinesis-firehose";
        match (self.kind, site) {
            (DatadogKind::Logs, "datadoghq.com" | "datadoghq.eu" | "ddog-gov.com") => {
                format!("https://aws-kinesis-http-intake.logs.{site}/v1/input")
            }
            (DatadogKind::Logs, _) => {
                format!("https://aws-kinesis-http-intake.logs.{site}/api/v2/logs?{PROTOCOL}")
            }
            (DatadogKind::Metrics, "datadoghq.com" | "datadoghq.eu") => {
                format!("https://awsmetrics-intake.{site}/v1/input")
            }
            (DatadogKind::Metrics, _) => {
                format!("https://event-platform-intake.{site}/api/v2/awsmetrics?{PROTOCOL}")
            }
            (DatadogKind::Changes, _) => {
                format!("https://cloudplatform-intake.{site}/api/v2/cloudchanges?{PROTOCOL}")
            }
        }
    }
}
