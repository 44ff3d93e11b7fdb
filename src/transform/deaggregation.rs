//! Takes records apart that hold several.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the records in a record are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubRecords {
    /// JSON objects, one behind the other with or without white space between.
    Json,
    /// Anything, with these bytes between.
    Delimited(Vec<u8>),
}

/// What stands for them in a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubRecordType {
    /// JSON objects, one behind the other, or one a line.
    Json,
    /// Anything, with a delimiter between.
    Delimited,
}
