//! Credentials for requests that are signed here and not by the SDK, kept until they expire.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_types::SdkConfig;
use tokio::sync::Mutex;

use super::{
    aws::{self, Access, SharedKey},
    http::SendError,
};
use crate::limits;

/// Credentials that say nothing of their end are asked for again after this time, as the SDK does.
const LIFE_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// New ones are asked for this long before the old ones expire: a signature lasts five minutes at
/// AWS, but a session token ends sharply.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// A source of credentials, asked once for all who wait, and the endpoint that the machine's
/// configuration names.
pub(super) struct Wallet {
    provider: Option<SharedCredentialsProvider>,
    pub(super) endpoint: Option<String>,
    /// Static keys are read anew for every request, so that rotated files are picked up.
    keep: bool,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    credentials: Credentials,
    /// Milliseconds since 1970.
    renew_at_ms: i64,
    expires_ms: Option<i64>,
}

/// Wallets whose credentials come from the machine: a thousand clients with the same role ask STS
/// once an hour together.
static SHARED: LazyLock<Mutex<HashMap<SharedKey, Arc<Wallet>>>> = LazyLock::new(Mutex::default);

/// The wallet for this access. Asks nobody yet.
pub(super) async fn wallet(access: &Access) -> Arc<Wallet> {
    if access.keys.is_some() {
        return Arc::new(Wallet::new(&aws::config(access).await, access.role.is_some()));
    }
    let key = aws::shared_key(access);
    let mut shared = SHARED.lock().await;
    if let Some(wallet) = shared.get(&key) {
        return wallet.clone();
    }
    if shared.len() >= limits::AWS_IDENTITIES_SHARED {
        shared.clear();
    }
    let wallet = Arc::new(Wallet::new(&aws::config(access).await, true));
    shared.insert(key, wallet.clone());
    wallet
}

impl Wallet {
    fn new(config: &SdkConfig, keep: bool) -> Self {
        Self {
            provider: config.credentials_provider(),
            endpoint: config.endpoint_url().map(Into::into),
            keep,
            kept: Mutex::default(),
        }
    }

    /// Credentials that are good for a request now. Old ones serve until they expire when no new
    /// ones are to be had.
    pub(super) async fn credentials(&self, now_ms: i64) -> Result<Credentials, SendError> {
        if !self.keep {
            return self.load().await;
        }
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| now_ms < kept.renew_at_ms) {
            return Ok(kept.credentials.clone());
        }
        match (self.load().await, &*kept) {
            (Ok(credentials), _) => {
                *kept = Some(Kept::new(credentials.clone(), now_ms));
                Ok(credentials)
            }
            (Err(_), Some(old)) if old.expires_ms.is_some_and(|end| now_ms < end) => {
                Ok(old.credentials.clone())
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Asks for new credentials the next time: those at hand were refused as expired or unknown.
    pub(super) async fn forget(&self) {
        *self.kept.lock().await = None;
    }

    async fn load(&self) -> Result<Credentials, SendError> {
        let failed = |text: String| {
            SendError::Credentials(text.chars().take(limits::MESSAGE_CHARS_MAX).collect())
        };
        let Some(provider) = &self.provider else {
            return Err(failed("none are configured".into()));
        };
        let loading = provider.provide_credentials();
        match tokio::time::timeout(limits::CREDENTIALS_TIMEOUT, loading).await {
            Ok(Ok(credentials)) => Ok(credentials),
            Ok(Err(error)) => Err(failed(innermost(&error))),
            Err(_) => Err(failed("their source does not answer".into())),
        }
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

impl Kept {
    fn new(credentials: Credentials, now_ms: i64) -> Self {
        let expires_ms = credentials.expiry().map(epoch_ms);
        let renew_at_ms = match expires_ms {
            Some(end) => end - RENEW_BEFORE.as_millis() as i64,
            None => now_ms + LIFE_DEFAULT.as_millis() as i64,
        };
        Self { credentials, renew_at_ms, expires_ms }
    }
}

fn epoch_ms(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_credential_types::provider::{self, error::CredentialsError, future};

    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Gives credentials that live for an hour, while it has any.
    #[derive(Debug)]
    struct Till {
        asked: AtomicU32,
        gives: u32,
        lasting_ms: Option<i64>,
    }

    impl Till {
        fn give(&self) -> provider::Result {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            if asked > self.gives {
                return Err(CredentialsError::provider_error("the till is empty"));
            }
            let end = self
                .lasting_ms
                .map(|ms| UNIX_EPOCH + Duration::from_millis((ms * i64::from(asked)) as u64));
            Ok(Credentials::new(format!("AKIA{asked}"), "secret", None, end, "Till"))
        }
    }

    impl ProvideCredentials for Till {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(self.give())
        }
    }

    fn wallet(gives: u32, lasting_ms: Option<i64>, keep: bool) -> Wallet {
        let till = Till { asked: AtomicU32::new(0), gives, lasting_ms };
        Wallet {
            provider: Some(SharedCredentialsProvider::new(till)),
            endpoint: None,
            keep,
            kept: Mutex::default(),
        }
    }

    async fn id(wallet: &Wallet, now_ms: i64) -> Result<String, SendError> {
        Ok(wallet.credentials(now_ms).await?.access_key_id().to_owned())
    }

    #[tokio::test]
    async fn credentials_are_kept_until_shortly_before_they_expire() {
        let wallet = wallet(2, Some(HOUR_MS), true);
        for (now_ms, expected) in [
            (0, "AKIA1"),
            (HOUR_MS - 60_001, "AKIA1"),
            (HOUR_MS - 60_000, "AKIA2"),
            (HOUR_MS, "AKIA2"),
            // The till is empty from here on: the old ones serve to their end, and not beyond.
            (2 * HOUR_MS - 1, "AKIA2"),
        ] {
            assert_eq!(id(&wallet, now_ms).await.as_deref(), Ok(expected), "{now_ms}");
        }
        let error = id(&wallet, 2 * HOUR_MS).await.unwrap_err();
        assert_eq!(error, SendError::Credentials("the till is empty".into()));
    }

    #[tokio::test]
    async fn lasting_ones_are_asked_for_every_quarter_of_an_hour_and_refused_ones_at_once() {
        let lasting = wallet(9, None, true);
        assert_eq!(id(&lasting, 0).await.as_deref(), Ok("AKIA1"));
        assert_eq!(id(&lasting, 899_999).await.as_deref(), Ok("AKIA1"));
        assert_eq!(id(&lasting, 900_000).await.as_deref(), Ok("AKIA2"));
        lasting.forget().await;
        assert_eq!(id(&lasting, 900_001).await.as_deref(), Ok("AKIA3"));

        let fixed = wallet(9, None, false);
        assert_eq!(id(&fixed, 0).await.as_deref(), Ok("AKIA1"));
        assert_eq!(id(&fixed, 0).await.as_deref(), Ok("AKIA2"));
    }
}
