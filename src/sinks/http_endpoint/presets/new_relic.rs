//! New Relic's endpoints for Firehose.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PresetError, Resolved, parts::url_or};
use crate::units::Secret;

/// New Relic's endpoints for Firehose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewRelic {
    /// What the records are.
    pub kind: NewRelicKind,
    /// Region of the account.
    pub region: NewRelicRegion,
}

/// What the records are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewRelicKind {
    /// Logs; common attributes become attributes of each log.
    #[default]
    Logs,
    /// CloudWatch metric streams.
    Metrics,
}

/// Region of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewRelicRegion {
    /// United States.
    #[default]
    Us,
    /// European Union.
    Eu,
}

impl NewRelic {
    pub(super) fn resolve(&self, url: Option<&Secret>) -> Result<Resolved, PresetError> {
        let own = match (self.kind, self.region) {
            (NewRelicKind::Logs, NewRelicRegion::Us) => "https://aws-api.newrelic.com/firehose/v1",
            (NewRelicKind::Logs, NewRelicRegion::Eu) => {
                "https://aws-api.eu.newrelic.com/firehose/v1"
            }
            (NewRelicKind::Metrics, NewRelicRegion::Us) => {
                "https://aws-api.newrelic.com/cloudwatch-metrics/v1"
            }
            (NewRelicKind::Metrics, NewRelicRegion::Eu) => {
                "https://aws-api.eu01.nr-data.net/cloudwatch-metrics/v1"
            }
        };
        // New Relic asks for less than the 5 MiB that the console suggests.
        Ok(Resolved::new("New Relic", url_or(url, || Ok(own.into()))?, 1))
    }
}
