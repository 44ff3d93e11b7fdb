//! The keys that may sign requests: from the configuration and from a file of its own.

use std::{collections::HashMap, fs, io, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;

use crate::{
    config::{ApiOptions, Credential},
    net::sigv4::{Key, NewKey},
    units::Secret,
};

/// What is wrong with the keys. The texts hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// The parser's own text may quote the file, so only the place is told.
    #[error("{path} is not a list of credentials (line {line}, column {column})")]
    Parse { path: PathBuf, line: usize, column: usize },
    #[error("the secret of access key {access_key_id} cannot be read: {source}")]
    Secret { access_key_id: String, source: io::Error },
    #[error("access key {0:?} is empty, has white space or a slash, or its secret is empty")]
    Unfit(String),
    #[error("access key {0} is there twice")]
    Twice(String),
    #[error("expiry of access key {0} is not an RFC 3339 time")]
    Expiry(String),
}

type Keys = HashMap<String, Arc<Key>>;

/// All keys, replaced as a whole when they are read again.
pub struct Credentials {
    keys: ArcSwap<Keys>,
    fixed: Vec<Credential>,
    file: Option<PathBuf>,
}

impl Credentials {
    pub fn load(options: &ApiOptions) -> Result<Self, CredentialError> {
        let (fixed, file) = (options.credentials.clone(), options.credentials_file.clone());
        let keys = read_all(&fixed, file.as_ref())?;
        Ok(Self { keys: ArcSwap::from_pointee(keys), fixed, file })
    }

    pub fn find(&self, access_key_id: &str) -> Option<Arc<Key>> {
        self.keys.load().get(access_key_id).cloned()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.load().is_empty()
    }

    /// Reads everything again. On an error the old keys stay in force.
    pub fn reload(&self) -> Result<(), CredentialError> {
        self.keys.store(Arc::new(read_all(&self.fixed, self.file.as_ref())?));
        Ok(())
    }

    /// The files that keys are read from.
    pub fn files(options: &ApiOptions) -> Vec<PathBuf> {
        let secrets = options
            .credentials
            .iter()
            .flat_map(|c| [Some(&c.secret_access_key), c.session_token.as_ref()])
            .flatten();
        let files = secrets.filter_map(|secret| match secret {
            Secret::File { file } => Some(file.clone()),
            Secret::Value(_) => None,
        });
        files.chain(options.credentials_file.clone()).collect()
    }
}

fn read_all(fixed: &[Credential], file: Option<&PathBuf>) -> Result<Keys, CredentialError> {
    let listed = match file {
        Some(path) => read_file(path)?,
        None => Vec::new(),
    };
    let mut keys = Keys::new();
    for credential in fixed.iter().chain(&listed) {
        let id = credential.access_key_id.clone();
        if keys.insert(id.clone(), Arc::new(read_key(credential)?)).is_some() {
            return Err(CredentialError::Twice(id));
        }
    }
    Ok(keys)
}

fn read_file(path: &PathBuf) -> Result<Vec<Credential>, CredentialError> {
    let text = fs::read_to_string(path)
        .map_err(|source| CredentialError::Read { path: path.clone(), source })?;
    serde_yaml::from_str(&text).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |l| (l.line(), l.column()));
        CredentialError::Parse { path: path.clone(), line, column }
    })
}

fn read_key(credential: &Credential) -> Result<Key, CredentialError> {
    let id = &credential.access_key_id;
    let reveal = |secret: &Secret| {
        secret
            .reveal()
            .map_err(|source| CredentialError::Secret { access_key_id: id.clone(), source })
    };
    let secret = reveal(&credential.secret_access_key)?;
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ',');
    if id.is_empty() || id.contains(is_odd) || secret.is_empty() {
        return Err(CredentialError::Unfit(id.clone()));
    }
    let session_token = credential.session_token.as_ref().map(reveal).transpose()?;
    let expires_ms = match &credential.expires {
        None => None,
        Some(text) => {
            let time: jiff::Timestamp =
                text.parse().map_err(|_| CredentialError::Expiry(id.clone()))?;
            Some(time.as_millisecond())
        }
    };
    Ok(Key::new(NewKey { secret, session_token, expires_ms }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(yaml: &str) -> ApiOptions {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn keys_come_from_both_places_and_follow_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let (list, secret) = (folder.path().join("keys.yaml"), folder.path().join("secret"));
        fs::write(&secret, "first\n").unwrap();
        fs::write(&list, "- {access_key_id: B, secret_access_key: b}").unwrap();
        let options = options(&format!(
            "credentials_file: {}\ncredentials: [{{access_key_id: A, secret_access_key: {{file: {}}}}}]",
            list.display(),
            secret.display()
        ));
        assert_eq!(Credentials::files(&options), [secret, list.clone()]);
        let keys = Credentials::load(&options).unwrap();
        let found = |id| keys.find(id).is_some();
        assert!(found("A") && found("B") && !found("C"));
        fs::write(&list, "- {access_key_id: C, secret_access_key: c}").unwrap();
        keys.reload().unwrap();
        assert!(found("A") && !found("B") && found("C"));
        fs::write(&list, "- {access_key_id: D, secret_access_key: [hunter2").unwrap();
        let error = keys.reload().unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(found("A") && found("C") && !found("D"));
    }

    #[test]
    fn unfit_keys_are_refused() {
        for (yaml, text) in [
            ("{access_key_id: '', secret_access_key: x}", "is empty"),
            ("{access_key_id: 'a/b', secret_access_key: x}", "slash"),
            ("{access_key_id: a, secret_access_key: ''}", "its secret is empty"),
            ("{access_key_id: a, secret_access_key: x, expires: tomorrow}", "RFC 3339"),
            ("{access_key_id: a, secret_access_key: {file: /nonexistent}}", "cannot be read"),
            (
                "{access_key_id: a, secret_access_key: x}, {access_key_id: a, secret_access_key: y}",
                "twice",
            ),
        ] {
            let options = options(&format!("credentials: [{yaml}]"));
            let error = Credentials::load(&options).err().expect(yaml).to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
