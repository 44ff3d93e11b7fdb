//! Sumo Logic's HTTP sources for Firehose.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    PresetError, Resolved,
    parts::{host, segment, url_or},
};
use crate::units::Secret;

/// Sumo Logic's HTTP sources for Firehose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SumoLogic {
    /// Deployment, the first part of the source's host name: `endpoint4.collection.us2`.
    pub deployment: String,
    /// What the records are.
    #[serde(default)]
    pub kind: SumoLogicKind,
    /// Token of the source, the last part of its URL.
    pub token: Secret,
}

/// What the records are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SumoLogicKind {
    /// Logs.
    #[default]
    Log,
    /// CloudWatch metric streams.
    Metric,
}

impl SumoLogic {
    pub(super) fn resolve(&self, url: Option<&Secret>) -> Result<Resolved, PresetError> {
        let resolved = Resolved::new("Sumo Logic", url_or(url, || self.url())?, 1);
        Ok(Resolved { needs_access_key: false, ..resolved })
    }

    fn url(&self) -> Result<String, PresetError> {
        let deployment = host("deployment", &self.deployment)?;
        let kind = match self.kind {
            SumoLogicKind::Log => "log",
            SumoLogicKind::Metric => "metric",
        };
        let token = self.token.reveal().map_err(|error| PresetError::Token(error.to_string()))?;
        let token = segment("token", &token)?;
        Ok(format!("https://{deployment}.sumologic.net/receiver/v1/kinesis/{kind}/{token}"))
    }
}
