//! What the HTTP endpoint sink needs to know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    net::{http::Tls, keys::KeySource},
    units::{Secret, Span},
};

/// Where and how requests are sent. Every default is already resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The URL, verbatim. It may hold a key: it is never logged.
    pub url: Secret,
    /// Sent as `X-Amz-Firehose-Access-Key`; other bodies send it nowhere by themselves.
    pub access_key: Option<KeySource>,
    pub content_encoding: ContentEncoding,
    /// Names and values in the order of the configuration.
    pub common_attributes: Vec<(String, Secret)>,
    pub body: BodyFormat,
    /// Further headers, beyond Firehose. Not those that frame the message, nor the protocol's own.
    pub headers: Vec<(String, Secret)>,
    pub tls: Tls,
    /// One attempt, to the end of the answer (Firehose: 3 minutes).
    pub timeout: Span,
    /// ARN of the stream, for `X-Amz-Firehose-Source-Arn`.
    pub stream_arn: String,
}

/// Whether requests are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContentEncoding {
    /// As they are.
    #[default]
    None,
    /// gzip, level 1.
    Gzip,
}

/// What a request's body holds. Of a plain one a request that is answered with 400 or 422 is halved
/// until the record that is to blame is alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BodyFormat {
    /// The delivery protocol of Amazon Data Firehose: JSON with the records in base64.
    #[default]
    Firehose,
    /// A record a line (`application/x-ndjson`); any 2xx is success.
    Ndjson,
    /// A JSON array of the records, each of which must be JSON (`application/json`); any 2xx is
    /// success.
    JsonArray,
    /// The records one behind the other (`application/octet-stream`); any 2xx is success.
    Raw,
}
