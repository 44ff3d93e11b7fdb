//! Bearer tokens: fetched ahead by a task, handed to librdkafka at once when it asks.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::{Condvar, Mutex};
use tokio_util::sync::CancellationToken;

use super::{Sasl, Security, iam::MskIam, oidc::Oidc};
use crate::{env::Clock, limits, net::aws::Access};

/// A bearer token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What is sent. Never log it.
    pub value: String,
    /// Who we are by it; brokers take it from the token itself.
    pub principal: String,
    /// When it was made, and until when librdkafka may use it, in milliseconds since 1970.
    pub made_ms: i64,
    pub expires_ms: i64,
}

/// Where tokens come from.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// A new one. The error is for people to read.
    async fn fetch(&self, now_ms: i64) -> Result<Token, String>;
}

/// Where the tokens of this cluster come from, if it wants any. Fails only for what can never
/// work.
pub fn tokens(security: &Security, access: &Access) -> Result<Option<Arc<dyn Tokens>>, String> {
    Ok(match &security.sasl {
        Some(Sasl::Oauthbearer { token_endpoint, client_id, client_secret, scope }) => Some(
            Arc::new(Oidc::new(token_endpoint, client_id, client_secret.clone(), scope.clone())?),
        ),
        Some(Sasl::AwsMskIam { region, role_arn }) => {
            let access = access.clone().redirected(region.as_deref(), role_arn.as_deref());
            Some(Arc::new(MskIam::new(access)?))
        }
        _ => None,
    })
}

/// Keeps a token at hand. The task that fetches them ends with `stop`.
pub struct TokenFeed {
    state: Mutex<Result<Token, String>>,
    changed: Condvar,
    clock: Arc<dyn Clock>,
}

impl TokenFeed {
    pub fn start(
        tokens: Arc<dyn Tokens>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let none = Err("there is no token yet".to_owned());
        let feed = Arc::new(Self { state: Mutex::new(none), changed: Condvar::new(), clock });
        let feeding = feed.clone();
        tokio::spawn(async move {
            let _ = stop.run_until_cancelled(feeding.feed(&*tokens)).await;
        });
        feed
    }

    async fn feed(&self, tokens: &dyn Tokens) {
        let mut failures = 0;
        loop {
            let now_ms = self.clock.now_ms();
            let fetching = tokio::time::timeout(limits::KAFKA_TOKEN_TIMEOUT, tokens.fetch(now_ms));
            let fetched = fetching.await.unwrap_or_else(|_| Err("no answer in time".into()));
            let wait = match &fetched {
                Ok(token) => {
                    failures = 0;
                    // librdkafka asks after 80 % of the time: by then there is a new one.
                    let life_ms = u64::try_from(token.expires_ms - now_ms).unwrap_or(0);
                    Duration::from_millis(life_ms / 2).max(limits::KAFKA_RETRY_MIN)
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(%error, "no token for kafka");
                    }
                    failures += 1;
                    (limits::KAFKA_RETRY_MIN * (1 << failures.min(6))).min(limits::KAFKA_RETRY_MAX)
                }
            };
            self.keep(fetched);
            tokio::time::sleep(wait).await;
        }
    }

    /// An old token that is still good serves on while there is no new one.
    fn keep(&self, fetched: Result<Token, String>) {
        let mut state = self.state.lock();
        if fetched.is_ok() || !is_good(&state, self.clock.now_ms()) {
            *state = fetched;
        }
        self.changed.notify_all();
    }

    /// The token at hand. Waits for it for this long; never on a thread of the runtime.
    pub fn get(&self, patience: Duration) -> Result<Token, String> {
        let mut state = self.state.lock();
        if !is_good(&state, self.clock.now_ms()) {
            let not_good = |state: &mut Result<Token, String>| !is_good(state, self.clock.now_ms());
            self.changed.wait_while_for(&mut state, not_good, patience);
        }
        match &*state {
            Ok(token) if token.expires_ms <= self.clock.now_ms() => Err("the token expired".into()),
            other => other.clone(),
        }
    }
}

fn is_good(state: &Result<Token, String>, now_ms: i64) -> bool {
    state.as_ref().is_ok_and(|token| token.expires_ms > now_ms)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::env::SystemClock;

    /// Fails first, then gives tokens that live for a minute.
    struct Till(AtomicU32);

    #[async_trait]
    impl Tokens for Till {
        async fn fetch(&self, now_ms: i64) -> Result<Token, String> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => Err("closed".into()),
                nth => Ok(Token {
                    value: format!("t{nth}"),
                    principal: "p".into(),
                    made_ms: now_ms,
                    expires_ms: now_ms + 60_000,
                }),
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_is_waited_for_and_then_at_hand() {
        let stop = CancellationToken::new();
        let till = Arc::new(Till(AtomicU32::new(0)));
        let feed = TokenFeed::start(till.clone(), Arc::new(SystemClock::default()), stop.clone());
        let asking = feed.clone();
        let get = move |patience| asking.get(patience);
        let token = tokio::task::spawn_blocking(move || get(Duration::from_secs(60)));
        assert_eq!(token.await.unwrap().ok().unwrap().value, "t1");
        assert_eq!(feed.get(Duration::ZERO).ok().unwrap().value, "t1");
        feed.keep(Err("closed again".into()));
        assert_eq!(feed.get(Duration::ZERO).ok().unwrap().value, "t1", "it is still good");
        stop.cancel();
    }
}
