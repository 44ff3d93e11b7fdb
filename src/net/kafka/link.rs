//! What it takes to open a client of a cluster.

use std::{fmt, sync::Arc};

use rdkafka::{ClientConfig, client::OAuthToken};

use super::TokenFeed;
use crate::limits;

/// Settings of librdkafka for one cluster, and who gives it tokens.
#[derive(Clone)]
pub struct Link {
    pub config: ClientConfig,
    pub tokens: Option<Arc<TokenFeed>>,
}

impl Link {
    /// The token, for the callback of a client. Waits for it.
    pub fn token(&self) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let feed = self.tokens.as_ref().ok_or("no tokens are configured")?;
        // It becomes a C string.
        let token = feed.get(limits::KAFKA_TOKEN_WAIT).map_err(|error| error.replace('\0', " "))?;
        Ok(OAuthToken {
            token: token.value,
            principal_name: token.principal,
            lifetime_ms: token.expires_ms,
        })
    }
}

impl fmt::Debug for Link {
    /// The settings hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brokers = self.config.get("bootstrap.servers").unwrap_or_default();
        f.debug_struct("Link").field("brokers", &brokers).finish_non_exhaustive()
    }
}
