//! Who may post: bearer tokens, a name and a password, access keys.
//!
//! Only digests of the secrets are kept, and every one is compared, whatever the ones before said:
//! how long it takes tells nothing.

use std::path::PathBuf;

use arc_swap::ArcSwap;
use http::{HeaderValue, request::Parts};
use subtle::ConstantTimeEq;

use super::{options::Basic, protocol::Caller};
use crate::{net::sigv4::sha256, units::Secret};

/// The digest of a credential: what it admits, and what is compared.
pub fn digest(credential: &[u8]) -> Caller {
    sha256(credential)
}

/// Secrets of one kind, and the files that some of them stand in.
pub struct Keys {
    secrets: Vec<Secret>,
    /// Put before each secret before it is digested (the name of basic authentication).
    prefix: String,
    current: ArcSwap<Vec<Caller>>,
}

impl Keys {
    pub fn load(secrets: Vec<Secret>) -> Result<Self, String> {
        Self::with_prefix(String::new(), secrets)
    }

    /// The password of a name.
    pub fn basic(basic: &Basic) -> Result<Self, String> {
        Self::with_prefix(format!("{}:", basic.username), vec![basic.password.clone()])
    }

    fn with_prefix(prefix: String, secrets: Vec<Secret>) -> Result<Self, String> {
        let keys = Self { secrets, prefix, current: ArcSwap::default() };
        keys.reload()?;
        Ok(keys)
    }

    /// Reads the secrets again. On an error the old ones stay in force.
    pub fn reload(&self) -> Result<(), String> {
        let mut digests = Vec::with_capacity(self.secrets.len());
        for secret in &self.secrets {
            let text =
                secret.reveal().map_err(|error| format!("cannot read {secret:?}: {error}"))?;
            if text.is_empty() {
                return Err(format!("{secret:?} is empty: everybody would know it"));
            }
            digests.push(digest(format!("{}{text}", self.prefix).as_bytes()));
        }
        self.current.store(digests.into());
        Ok(())
    }

    /// The credential that this is, if it is one of these.
    pub fn find(&self, credential: &[u8]) -> Option<Caller> {
        let given = digest(credential);
        let mut found = subtle::Choice::from(0);
        for known in self.current.load().iter() {
            found |= known[..].ct_eq(&given[..]);
        }
        bool::from(found).then_some(given)
    }

    pub fn digests(&self) -> Vec<Caller> {
        self.current.load().to_vec()
    }

    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }
}

/// The files that secrets are read from.
pub fn files<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Vec<PathBuf> {
    let file = |secret: &Secret| match secret {
        Secret::File { file } => Some(file.clone()),
        Secret::Value(_) => None,
    };
    secrets.into_iter().filter_map(file).collect()
}

/// What follows `scheme` in the Authorization header. Schemes have no case (RFC 9110, 11.1).
pub fn authorization<'a>(head: &'a Parts, scheme: &str) -> Option<&'a [u8]> {
    let given = head.headers.get(http::header::AUTHORIZATION).map(HeaderValue::as_bytes)?;
    let (name, rest) = given.split_at_checked(scheme.len())?;
    let rest = rest.strip_prefix(b" ")?;
    name.eq_ignore_ascii_case(scheme.as_bytes()).then(|| rest.trim_ascii())
}

/// `name:password` of basic authentication (RFC 7617).
pub fn basic(head: &Parts) -> Option<Vec<u8>> {
    base64_simd::STANDARD.decode_to_vec(authorization(head, "Basic")?).ok()
}

/// Bearer tokens (RFC 6750) and names with passwords, either of which admits.
pub struct Auth {
    tokens: Keys,
    basic: Option<Keys>,
    anonymous: bool,
}

impl Auth {
    pub fn load(
        tokens: Vec<Secret>,
        basic: Option<&Basic>,
        anonymous: bool,
    ) -> Result<Self, String> {
        let basic = basic.map(Keys::basic).transpose()?;
        Ok(Self { tokens: Keys::load(tokens)?, basic, anonymous })
    }

    pub fn reload(&self) -> Result<(), String> {
        self.tokens.reload()?;
        self.basic.as_ref().map_or(Ok(()), Keys::reload)
    }

    /// Who this is, if he may post.
    pub fn admit(&self, head: &Parts) -> Option<Caller> {
        if self.anonymous {
            return Some(Caller::default());
        }
        if let Some(token) = authorization(head, "Bearer") {
            return self.tokens.find(token);
        }
        self.basic.as_ref()?.find(&basic(head)?)
    }

    /// What WWW-Authenticate says: how one may say who one is.
    pub fn challenge(&self) -> HeaderValue {
        HeaderValue::from_static(match (self.tokens.is_empty(), &self.basic) {
            (true, Some(_)) => "Basic realm=\"standpipe\", charset=\"UTF-8\"",
            (false, Some(_)) => {
                "Bearer realm=\"standpipe\", Basic realm=\"standpipe\", charset=\"UTF-8\""
            }
            (_, None) => "Bearer realm=\"standpipe\"",
        })
    }

    pub fn digests(&self) -> Vec<Caller> {
        let basic = self.basic.iter().flat_map(Keys::digests);
        self.tokens.digests().into_iter().chain(basic).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(authorization: &str) -> Parts {
        let request = http::Request::builder().header("authorization", authorization);
        request.body(()).unwrap().into_parts().0
    }

    fn secret(text: &str) -> Secret {
        Secret::Value(text.into())
    }

    #[test]
    fn tokens_and_passwords_admit() {
        let basic = Basic { username: "ann".into(), password: secret("p:w") };
        let auth = Auth::load(vec![secret("old"), secret("new")], Some(&basic), false).unwrap();
        let of = |text: &str| auth.admit(&head(text));
        let ann = base64_simd::STANDARD.encode_to_string("ann:p:w");
        assert_eq!(of("Bearer new"), Some(digest(b"new")));
        assert_eq!(of("bearer  old "), Some(digest(b"old")));
        assert_eq!(of(&format!("Basic {ann}")), Some(digest(b"ann:p:w")));
        for wrong in ["", "Bearer", "Bearer ", "Bearer olde", "Bearer ann:p:w", "Basic b2xk", "old"]
        {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(auth.digests().len(), 3);
        let nobody = Auth::load(Vec::new(), None, true).unwrap();
        assert!(nobody.admit(&head("")).is_some() && nobody.digests().is_empty());
    }

    #[test]
    fn a_file_is_read_again_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "first\n").unwrap();
        let secrets = vec![Secret::File { file: file.clone() }];
        assert_eq!(files(&secrets), std::slice::from_ref(&file));
        let keys = Keys::load(secrets).unwrap();
        assert!(keys.find(b"first").is_some());
        std::fs::write(&file, "\n").unwrap();
        assert!(keys.reload().unwrap_err().contains("empty"));
        assert!(keys.find(b"first").is_some() && keys.find(b"").is_none());
        std::fs::write(&file, "second").unwrap();
        keys.reload().unwrap();
        assert!(keys.find(b"first").is_none() && keys.find(b"second").is_some());
    }
}
