//! Dynatrace's endpoints for Firehose, which pass on to an environment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    PresetError, Resolved,
    parts::{base, url_or},
};
use crate::units::Secret;

/// Dynatrace's endpoints for Firehose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dynatrace {
    /// Which of the endpoints is next to the environment.
    #[serde(default)]
    pub region: DynatraceRegion,
    /// URL of the environment, `https://abc12345.live.dynatrace.com`: sent as the common attribute
    /// `dt-url`.
    pub environment_url: String,
}

/// Where an endpoint is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DynatraceRegion {
    /// Anywhere.
    #[default]
    Global,
    /// United States.
    Us,
    /// European Union.
    Eu,
}

impl Dynatrace {
    pub(super) fn resolve(&self, url: Option<&Secret>) -> Result<Resolved, PresetError> {
        let environment = base("environment_url", &self.environment_url)?;
        let own = match self.region {
            DynatraceRegion::Global => "https://aws.cloud.dynatrace.com",
            DynatraceRegion::Us => "https://us.aws.cloud.dynatrace.com",
            DynatraceRegion::Eu => "https://eu.aws.cloud.dynatrace.com",
        };
        let resolved = Resolved::new("Dynatrace", url_or(url, || Ok(own.into()))?, 5);
        Ok(resolved.with_attribute("dt-url", Some(environment)))
    }
}
