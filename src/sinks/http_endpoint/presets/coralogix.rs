//! Coralogix' endpoints for Firehose.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    PresetError, Resolved,
    parts::{host, url_or},
};
use crate::units::Secret;

/// Coralogix' endpoints for Firehose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Coralogix {
    /// Domain of the account: `coralogix.com` (Ireland), `eu2.coralogix.com` (Stockholm),
    /// `coralogix.us`, `cx498.coralogix.com` (US 2), `coralogixsg.com`, `coralogix.in`.
    pub domain: String,
    /// Common attribute `applicationName`.
    pub application_name: Option<String>,
    /// Common attribute `subsystemName`.
    pub subsystem_name: Option<String>,
    /// Common attribute `integrationType`: how records are read, `Default`, `CloudWatch_JSON`,
    /// `RawText`.
    pub integration_type: Option<String>,
    /// Common attribute `dynamicMetadata`: whether application and subsystem are taken from the
    /// records.
    pub dynamic_metadata: Option<bool>,
}

impl Default for Coralogix {
    fn default() -> Self {
        Self {
            domain: "coralogix.com".into(),
            application_name: None,
            subsystem_name: None,
            integration_type: None,
            dynamic_metadata: None,
        }
    }
}

impl Coralogix {
    pub(super) fn resolve(&self, url: Option<&Secret>) -> Result<Resolved, PresetError> {
        let url = url_or(url, || {
            let domain = host("domain", &self.domain)?;
            Ok(format!("https://firehose-ingress.{domain}/firehose"))
        })?;
        let dynamic = self.dynamic_metadata.map(|dynamic| dynamic.to_string());
        Ok(Resolved::new("Coralogix", url, 6)
            .with_attribute("applicationName", self.application_name.as_deref())
            .with_attribute("subsystemName", self.subsystem_name.as_deref())
            .with_attribute("integrationType", self.integration_type.as_deref())
            .with_attribute("dynamicMetadata", dynamic.as_deref()))
    }
}
