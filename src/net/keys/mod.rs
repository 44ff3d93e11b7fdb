//! Keys and tokens for destinations: given, in a file, or in AWS Secrets Manager.

mod cached;
mod manager;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{aws::Access, http::UrlError};
use crate::{
    env::{Clock, SystemClock},
    fault::Fault,
    units::Secret,
};
use cached::CachedKey;
use manager::Manager;

/// The code of a key that cannot be had.
const NOT_READ: &str = "Standpipe.KeyNotRead";

/// A secret of AWS Secrets Manager: a JSON object of which one member is the key
/// (`{"api_key": "…"}` for HTTP endpoints, `{"hec_token": "…"}` for Splunk; developer guide,
/// "Authenticate with AWS Secrets Manager").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretsManager {
    /// ARN or name of the secret.
    pub secret_arn: String,
    /// Role to assume for reading it; the destination's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// Region of the secret; that of its ARN, else the destination's, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// URL of a server that speaks the Secrets Manager API; AWS if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a destination has one, and it is seldom moved")]
pub enum KeySource {
    Given(Secret),
    /// The secret, and as whom it is read.
    Managed(SecretsManager, Access),
}

/// A key that is looked up when it is needed.
pub struct Key {
    from: From,
}

enum From {
    Given(Secret),
    Managed(Box<CachedKey>),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            From::Given(secret) => f.debug_tuple("Key").field(secret).finish(),
            From::Managed(_) => f.write_str("Key(managed)"),
        }
    }
}

impl Key {
    /// `member` is the name of the key in a managed secret: `api_key`, `hec_token`. Asks nobody.
    pub fn new(source: KeySource, member: &'static str) -> Result<Self, UrlError> {
        Self::by_clock(source, member, Arc::new(SystemClock::default()))
    }

    /// [`Key::new`] by another clock.
    pub(crate) fn by_clock(
        source: KeySource,
        member: &'static str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, UrlError> {
        let from = match source {
            KeySource::Given(secret) => From::Given(secret),
            KeySource::Managed(secret, access) => {
                let manager = Manager::new(&secret, access, member)?;
                From::Managed(Box::new(CachedKey::new(manager, clock)))
            }
        };
        Ok(Self { from })
    }

    /// The key as of now. A file is read each time; a managed secret is remembered until it is
    /// refused or old. Never log the answer.
    pub async fn get(&self) -> Result<String, Fault> {
        match &self.from {
            From::Given(secret) => {
                secret.reveal().map_err(|error| Fault::halt(NOT_READ, not_read(secret, &error)))
            }
            From::Managed(key) => key.get().await,
        }
    }

    /// The destination refused this key: a managed secret is asked for again before its next use.
    /// A key that is no longer the one in use says nothing.
    pub fn refused(&self, key: &str) {
        if let From::Managed(managed) = &self.from {
            managed.refused(key);
        }
    }
}

/// Why a given key cannot be had: an error of the system does not name its file.
fn not_read(secret: &Secret, error: &std::io::Error) -> String {
    match secret {
        Secret::File { file } => format!("{}: {error}", file.display()),
        Secret::Value(_) => error.to_string(),
    }
}
