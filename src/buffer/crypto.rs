//! Encryption of frames at rest: AES-256-GCM with a key from a file.
//!
//! The nonce is random for each frame: 96 random bits stay safe for 2^32 frames under one key
//! (NIST SP 800-38D, 8.3). A key's id is taken from a digest of the key, so that the same key file
//! always gives the same id and another key never passes for it.

use std::{
    collections::HashMap,
    fmt,
    io::{self, IoSlice},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, rand,
};

use crate::env::Files;

/// Bytes of a data key.
pub const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const PREFIX_BYTES: usize = 4 + NONCE_LEN;
/// What encryption adds to a frame: key id, nonce and tag.
pub const OVERHEAD_BYTES: usize = PREFIX_BYTES + TAG_BYTES;

/// Why a frame could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    #[error("the frame is encrypted with key {0:08x}, but no key is configured")]
    NoKey(u32),
    #[error("the frame is encrypted with key {0:08x}, which is not among the configured keys")]
    UnknownKey(u32),
    #[error("the frame does not open with key {0:08x}")]
    Refused(u32),
    #[error("the frame is too short to be encrypted")]
    Short,
    #[error("the operating system gives no random numbers, or the cipher failed")]
    Unavailable,
}

/// Why a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot read the key file {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write the key file {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "the key file {path} holds no key: it must be 32 bytes, 64 hexadecimal digits or 44 base64 digits"
    )]
    Form { path: PathBuf },
    #[error("the journal is to be encrypted, but no key is configured")]
    Missing,
    #[error("the operating system gives no random numbers")]
    Random,
}

/// The keys a journal can be read with, and the one it is written with.
pub struct Keyring {
    current: u32,
    keys: HashMap<u32, LessSafeKey>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring(current {:08x}, {} keys)", self.current, self.keys.len())
    }
}

impl Keyring {
    /// Writes with `current`; also reads what was written with `previous` keys.
    pub fn new(
        current: [u8; KEY_BYTES],
        previous: impl IntoIterator<Item = [u8; KEY_BYTES]>,
    ) -> Self {
        let mut ring = Self { current: key_id(&current), keys: HashMap::new() };
        for key in std::iter::once(current).chain(previous) {
            let unbound = UnboundKey::new(&AES_256_GCM, &key)
                .expect("the type gives AES-256 the 32 bytes it takes");
            ring.keys.insert(key_id(&key), LessSafeKey::new(unbound));
        }
        ring
    }

    /// Reads keys from files: 32 raw bytes, 64 hexadecimal digits or 44 base64 digits each.
    pub fn from_files(
        files: &dyn Files,
        current: &Path,
        previous: &[PathBuf],
    ) -> Result<Self, KeyError> {
        let older: Result<Vec<_>, _> = previous.iter().map(|path| read_key(files, path)).collect();
        Ok(Self::new(read_key(files, current)?, older?))
    }

    /// Reads the key file, or makes one with a random key that only its owner may read.
    pub fn load_or_generate(files: &dyn Files, path: &Path) -> Result<Self, KeyError> {
        match read_key(files, path) {
            Err(KeyError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let mut key = [0; KEY_BYTES];
                rand::fill(&mut key).map_err(|_| KeyError::Random)?;
                write_key(files, path, &key)
                    .map_err(|source| KeyError::Write { path: path.to_owned(), source })?;
                Ok(Self::new(key, []))
            }
            other => Ok(Self::new(other?, [])),
        }
    }

    /// The id of the key that new frames are written with.
    pub fn current(&self) -> u32 {
        self.current
    }

    /// Appends an encrypted body to `out`: what `fill` appends, sealed.
    pub fn seal(
        &self,
        associated: &[u8],
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), CryptoError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| CryptoError::Unavailable)?;
        out.extend_from_slice(&self.current.to_le_bytes());
        out.extend_from_slice(&nonce);
        let start = out.len();
        fill(out);
        let tag = self.keys[&self.current]
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated),
                &mut out[start..],
            )
            .map_err(|_| CryptoError::Unavailable)?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// The plain bytes of an encrypted body.
    pub fn open(
        keys: Option<&Self>,
        associated: &[u8],
        body: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        if body.len() < OVERHEAD_BYTES {
            return Err(CryptoError::Short);
        }
        let id = u32::from_le_bytes([body[0], body[1], body[2], body[3]]);
        let ring = keys.ok_or(CryptoError::NoKey(id))?;
        let key = ring.keys.get(&id).ok_or(CryptoError::UnknownKey(id))?;
        let nonce = Nonce::try_assume_unique_for_key(&body[4..PREFIX_BYTES])
            .map_err(|_| CryptoError::Short)?;
        let mut plain = body[PREFIX_BYTES..].to_vec();
        key.open_in_place(nonce, Aad::from(associated), &mut plain)
            .map_err(|_| CryptoError::Refused(id))?;
        plain.truncate(body.len() - OVERHEAD_BYTES);
        Ok(plain)
    }
}

fn key_id(key: &[u8; KEY_BYTES]) -> u32 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"standpipe journal key id");
    context.update(key);
    let digest = context.finish();
    let bytes = digest.as_ref();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn read_key(files: &dyn Files, path: &Path) -> Result<[u8; KEY_BYTES], KeyError> {
    let content =
        files.read(path).map_err(|source| KeyError::Read { path: path.to_owned(), source })?;
    parse_key(&content).ok_or_else(|| KeyError::Form { path: path.to_owned() })
}

fn parse_key(content: &[u8]) -> Option<[u8; KEY_BYTES]> {
    if let Ok(raw) = content.try_into() {
        return Some(raw);
    }
    let text = content.trim_ascii();
    let decoded = match text.len() {
        64 => hex::decode(text).ok()?,
        44 => base64_simd::STANDARD.decode_to_vec(text).ok()?,
        _ => return None,
    };
    decoded.try_into().ok()
}

fn write_key(files: &dyn Files, path: &Path, key: &[u8; KEY_BYTES]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    match files.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut text = hex::encode(key);
    text.push('\n');
    let file = files.create_private(&temporary)?;
    file.write_all_at(&[IoSlice::new(text.as_bytes())], 0)?;
    file.sync_data()?;
    files.rename(&temporary, path)?;
    files.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::RealFiles;

    #[test]
    fn keys_are_read_in_three_forms() {
        let key = [0xA5; KEY_BYTES];
        let base64 = base64_simd::STANDARD.encode_to_string(key);
        assert_eq!(parse_key(&key), Some(key));
        assert_eq!(parse_key(format!("{}\n", hex::encode(key)).as_bytes()), Some(key));
        assert_eq!(parse_key(format!("{base64}\n").as_bytes()), Some(key));
        assert_eq!(parse_key(b"short"), None);
        assert_eq!(parse_key(&[b'x'; 64]), None);
    }

    #[test]
    fn a_generated_key_is_private_and_stays() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.key");
        let made = Keyring::load_or_generate(&RealFiles, &path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Keyring::load_or_generate(&RealFiles, &path).unwrap().current(), made.current());
        std::fs::write(&path, "no key").unwrap();
        let error = Keyring::load_or_generate(&RealFiles, &path).unwrap_err();
        assert!(matches!(error, KeyError::Form { .. }), "{error}");
    }

    #[test]
    fn bodies_open_with_an_older_key_and_with_no_other() {
        let (old, new) = ([1; KEY_BYTES], [2; KEY_BYTES]);
        let mut sealed = Vec::new();
        Keyring::new(old, [])
            .seal(b"head", &mut sealed, |out| out.extend_from_slice(b"secret"))
            .unwrap();
        let ring = Keyring::new(new, [old]);
        assert_eq!(Keyring::open(Some(&ring), b"head", &sealed).unwrap(), b"secret");
        let refused = Keyring::open(Some(&ring), b"other head", &sealed);
        assert_eq!(refused, Err(CryptoError::Refused(key_id(&old))));
        let alone = Keyring::new(new, []);
        let unknown = Keyring::open(Some(&alone), b"head", &sealed);
        assert_eq!(unknown, Err(CryptoError::UnknownKey(key_id(&old))));
        assert_eq!(Keyring::open(None, b"head", &sealed), Err(CryptoError::NoKey(key_id(&old))));
    }
}
