//! Honeycomb's endpoint for Firehose.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    PresetError, Resolved,
    parts::{base, segment, url_or},
};
use crate::units::Secret;

/// Honeycomb's endpoint for Firehose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Honeycomb {
    /// URL of the API, `https://api.honeycomb.io` or `https://api.eu1.honeycomb.io`.
    #[serde(default = "default_api_host")]
    pub api_host: String,
    /// Dataset that takes the events.
    pub dataset: String,
}

fn default_api_host() -> String {
    "https://api.honeycomb.io".into()
}

impl Honeycomb {
    pub(super) fn resolve(&self, url: Option<&Secret>) -> Result<Resolved, PresetError> {
        let url = url_or(url, || {
            let api_host = base("api_host", &self.api_host)?;
            let dataset = segment("dataset", &self.dataset)?;
            Ok(format!("{api_host}/1/kinesis_events/{dataset}"))
        })?;
        Ok(Resolved::new("Honeycomb", url, 15))
    }
}
