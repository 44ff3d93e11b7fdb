//! Splunk Observability Cloud's endpoint for CloudWatch metric streams.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    PresetError, Resolved,
    parts::{host, url_or},
};
use crate::units::Secret;

/// Splunk Observability Cloud's endpoint for CloudWatch metric streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplunkObservability {
    /// Realm of the organization: `us0`, `us1`, `eu0`, `jp0`.
    pub realm: String,
}

impl SplunkObservability {
    pub(super) fn resolve(&self, url: Option<&Secret>) -> Result<Resolved, PresetError> {
        let url = url_or(url, || {
            let realm = host("realm", &self.realm)?;
            Ok(format!("https://ingest.{realm}.signalfx.com/v1/cloudwatch_metric_stream"))
        })?;
        Ok(Resolved::new("Splunk Observability Cloud", url, 1))
    }
}
