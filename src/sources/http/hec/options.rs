//! What a user says of the HTTP event collector.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What of an event becomes the record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HecOutput {
    /// The whole JSON object as it was sent: `event` with `time`, `host`, `source`, `sourcetype`,
    /// `index` and `fields`. Lines of the raw endpoint get one made of the query. Nothing is lost.
    #[default]
    Envelope,
    /// What stands under `event` alone: a string without its quotes, anything else as it was sent.
    /// Lines of the raw endpoint as they are.
    Event,
}
