//! A secret key, and the signing keys derived from it.

use std::{fmt, sync::Arc};

use aws_lc_rs::hmac;
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use super::TERMINATOR;

/// Derived keys kept per secret key: clients use one region, around midnight two days.
const DERIVED_MAX: usize = 8;

/// What a key is made of.
pub struct NewKey {
    pub secret: String,
    /// The session token that requests must carry with it, if it is a temporary key.
    pub session_token: Option<String>,
    /// Milliseconds since the Unix epoch from which on it is refused.
    pub expires_ms: Option<i64>,
}

/// A secret key that requests may be signed with. Prints nothing of itself.
pub struct Key {
    parts: NewKey,
    derived: Mutex<Vec<(Scope, Arc<hmac::Key>)>>,
}

/// What a signing key is derived for.
#[derive(Clone, PartialEq, Eq)]
struct Scope {
    date: String,
    region: String,
    service: String,
}

impl Key {
    pub fn new(parts: NewKey) -> Self {
        Self { parts, derived: Mutex::default() }
    }

    pub(super) fn expires_ms(&self) -> Option<i64> {
        self.parts.expires_ms
    }

    /// Whether the request carries the token that belongs to this key, or neither has one.
    pub(super) fn has_token(&self, token: Option<&str>) -> bool {
        match (&self.parts.session_token, token) {
            (None, None) => true,
            (Some(own), Some(given)) => own.as_bytes().ct_eq(given.as_bytes()).into(),
            _ => false,
        }
    }

    /// Checks the signature of `text`. The derived key is kept only once a signature was right,
    /// so that a stranger cannot wash out the cache.
    pub(super) fn check(
        &self,
        date: &str,
        region: &str,
        service: &str,
        text: &[u8],
        signature: &[u8],
    ) -> bool {
        let known = {
            let derived = self.derived.lock();
            derived
                .iter()
                .find(|(s, _)| s.date == date && s.region == region && s.service == service)
                .map(|(_, key)| key.clone())
        };
        let is_known = known.is_some();
        let key = known.unwrap_or_else(|| Arc::new(self.derive(date, region, service)));
        let right: bool = hmac::sign(&key, text).as_ref().ct_eq(signature).into();
        if right && !is_known {
            let scope = Scope { date: date.into(), region: region.into(), service: service.into() };
            let mut derived = self.derived.lock();
            if derived.len() == DERIVED_MAX {
                derived.remove(0);
            }
            derived.push((scope, key));
        }
        right
    }

    fn derive(&self, date: &str, region: &str, service: &str) -> hmac::Key {
        let mut seed = b"AWS4".to_vec();
        seed.extend_from_slice(self.parts.secret.as_bytes());
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, &seed);
        for part in [date, region, service, TERMINATOR] {
            let tag = hmac::sign(&key, part.as_bytes());
            key = hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref());
        }
        key
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}
