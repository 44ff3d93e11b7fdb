//! Hands records to a function and takes back what it made of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{ByteSize, Span};

/// The function to call: on AWS Lambda by `function`, or anywhere by `url`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// ARN of the function, with or without a version or an alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// URL that takes the same event by POST and gives the same answer (beyond Firehose).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Tries after the first.
    #[serde(default = "default_retries")]
    pub number_of_retries: u32,
    /// Bytes of records in one call. Firehose: 0.2 to 3 MB.
    #[serde(default = "default_size")]
    pub buffer_size: ByteSize,
    /// How long records are gathered for a call at the most. Firehose: 0 to 900 s.
    #[serde(default = "default_interval")]
    pub buffer_interval: Span,
    /// Calls under way at a time.
    #[serde(default = "default_concurrency")]
    pub concurrency: u32,
    /// Time for one call.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// Role to assume for the calls; the destination's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// URL of a server that speaks Lambda's API; AWS if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Region of the function; that of its ARN if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

fn default_retries() -> u32 {
    3
}

fn default_size() -> ByteSize {
    ByteSize(crate::limits::MIB)
}

fn default_interval() -> Span {
    Span(std::time::Duration::from_secs(60))
}

fn default_concurrency() -> u32 {
    5
}

fn default_timeout() -> Span {
    Span(std::time::Duration::from_secs(300))
}
