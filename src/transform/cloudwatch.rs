//! Takes the log events out of what a CloudWatch Logs subscription sends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reads the documents of a CloudWatch Logs subscription; they must be unpacked already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Leaves the messages of the log events only, each followed by a newline.
    pub data_message_extraction: bool,
    /// Instead of bare messages one JSON object per log event, with the message and these members
    /// (beyond Firehose).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<Member>,
}

/// What may be kept of a log event and of the document around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Member {
    /// The event's id.
    Id,
    /// The event's time in milliseconds since 1970.
    Timestamp,
    LogGroup,
    LogStream,
    /// The account that the logs come from.
    Owner,
    SubscriptionFilters,
}
