//! LogicMonitor's endpoint for Firehose.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    PresetError, Resolved,
    parts::{host, url_or},
};
use crate::units::Secret;

/// LogicMonitor's endpoint for Firehose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogicMonitor {
    /// Account: the `acme` of `https://acme.logicmonitor.com`.
    pub account: String,
}

impl LogicMonitor {
    pub(super) fn resolve(&self, url: Option<&Secret>) -> Result<Resolved, PresetError> {
        let url = url_or(url, || {
            Ok(format!("https://{}.logicmonitor.com", host("account", &self.account)?))
        })?;
        Ok(Resolved::new("LogicMonitor", url, 5))
    }
}
