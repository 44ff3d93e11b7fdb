//! Which registries are asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    limits,
    net::http::{UrlError, parse_url},
    units::{Secret, Span},
};

/// Decodes records that were written with a schema of a registry: Avro becomes JSON, JSON loses
/// its header. A record's first bytes say which registry and which schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DecodeSchemaRegistry")]
pub struct Options {
    /// Registry of records with Confluent's header. Apicurio, Karapace and Redpanda speak the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confluent: Option<ConfluentOptions>,
    /// Registry of records with the header of the AWS Glue Schema Registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glue: Option<GlueOptions>,
    /// What becomes of records without such a header.
    #[serde(default)]
    pub unframed: Unframed,
    /// Time for one question to a registry.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
}

/// A registry that speaks Confluent's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ConfluentRegistry")]
pub struct ConfluentOptions {
    /// URL of the registry: `https://registry.example:8081`.
    pub url: String,
    /// Name for basic authentication: an API key's, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password for basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

/// The AWS Glue Schema Registry. Schemas are named by version ids, so no registry is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GlueRegistry")]
pub struct GlueOptions {
    /// Region of the registry; the destination's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Role to assume for the questions; the destination's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// URL of a server that speaks Glue's API; AWS if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// What becomes of records that no serializer of a registry wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unframed {
    /// They go to the error output as `processing-failed`.
    #[default]
    Fail,
    /// They go on as they are.
    Pass,
}

/// Why no transform can be made of these options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    #[error("name a registry: `confluent`, `glue` or both")]
    Nothing,
    #[error("confluent.url: {0}")]
    Url(UrlError),
    #[error(
        "confluent.url must not hold a name, a password or a query: use `username` and `password`"
    )]
    Secrets,
    #[error("confluent needs `username` and `password`, or neither")]
    Half,
    #[error("glue.endpoint: {0}")]
    Endpoint(UrlError),
    #[error("timeout must be more than nothing")]
    Timeout,
}

impl Options {
    /// Checks what can be checked without asking anybody.
    pub fn validate(&self) -> Result<(), OptionsError> {
        if self.confluent.is_none() && self.glue.is_none() {
            return Err(OptionsError::Nothing);
        }
        if self.timeout.0.is_zero() {
            return Err(OptionsError::Timeout);
        }
        if let Some(endpoint) = self.glue.as_ref().and_then(|glue| glue.endpoint.as_ref()) {
            parse_url(endpoint).map_err(OptionsError::Endpoint)?;
        }
        let Some(ConfluentOptions { url, username, password }) = &self.confluent else {
            return Ok(());
        };
        let url = parse_url(url).map_err(OptionsError::Url)?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(OptionsError::Secrets);
        }
        if username.is_some() != password.is_some() {
            return Err(OptionsError::Half);
        }
        Ok(())
    }
}

fn default_timeout() -> Span {
    Span(limits::SCHEMA_TIMEOUT)
}
