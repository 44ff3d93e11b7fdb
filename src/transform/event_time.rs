//! Finds out when what a record tells of happened.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where in a record its time stands, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// jq path of the time: `.ts`, `.event.time`.
    pub path: String,
    /// `iso8601`, `unix`, `unix_ms`, `unix_us`, `unix_ns`, `auto` (all of these), or a pattern of
    /// Java's DateTimeFormatter: `yyyy-MM-dd HH:mm:ss`.
    #[serde(default = "auto")]
    pub format: String,
    /// IANA time zone of times that name none; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What becomes of records without a time that can be read.
    #[serde(default)]
    pub missing: Missing,
}

fn auto() -> String {
    "auto".into()
}

/// What becomes of records without a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// To the error output.
    #[default]
    Fail,
    /// Their arrival counts.
    Arrival,
}
