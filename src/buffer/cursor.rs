//! Cursors: how far each destination has settled the journal, in one small durable file.
//!
//! The file `state`, all numbers little endian: magic "SPSTATE" 1A (8 bytes), version 1 (4),
//! CRC-32C of all that follows (4), journal id (16), floor (8), number of cursors (4), and for
//! each the length of its name (2), the name, its position (8). The floor is a sequence that the
//! tail had reached: what is stored next never gets a lower one, even if segments are lost.
//!
//! A cursor with an empty name says that the file was lost and written anew: it holds everything
//! back until the journal is closed in order, by when whoever reads it has opened his cursor.
//!
//! The file is replaced as a whole. Commits that wait together share one replacement.

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use parking_lot::Mutex;

use crate::env::Files;

pub const FILE: &str = "state";
const MAGIC: [u8; 8] = *b"SPSTATE\x1a";
const VERSION: u32 = 1;
const PREFIX_BYTES: usize = 16;
/// The name of a cursor that nobody can open. It stands at the oldest record while it is not known
/// who still needs what: the cursors were lost. As part of the file it outlives a crash that comes
/// when only some of them are there again.
const LOST: &str = "";

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub id: [u8; 16],
    pub floor: u64,
    pub cursors: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("the checksum or the form is wrong")]
    Damaged,
    #[error("it has version {0}, which this program does not know")]
    Newer(u32),
}

impl State {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.floor.to_le_bytes());
        out.extend_from_slice(&(self.cursors.len() as u32).to_le_bytes());
        for (name, position) in &self.cursors {
            out.extend_from_slice(&(name.len() as u16).to_le_bytes());
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&position.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&out[PREFIX_BYTES..]);
        out[12..16].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        let mut rest = bytes;
        let magic: [u8; 8] = take(&mut rest)?;
        let version = u32::from_le_bytes(take(&mut rest)?);
        let checksum = u32::from_le_bytes(take(&mut rest)?);
        if magic != MAGIC {
            return Err(StateError::Damaged);
        }
        if version != VERSION {
            return Err(StateError::Newer(version));
        }
        if checksum != crc32c::crc32c(rest) {
            return Err(StateError::Damaged);
        }
        let id = take(&mut rest)?;
        let floor = u64::from_le_bytes(take(&mut rest)?);
        let count = u32::from_le_bytes(take(&mut rest)?);
        let mut cursors = BTreeMap::new();
        for _ in 0..count {
            let length = u16::from_le_bytes(take(&mut rest)?);
            let (name, after) = rest.split_at_checked(length.into()).ok_or(StateError::Damaged)?;
            rest = after;
            let name = std::str::from_utf8(name).map_err(|_| StateError::Damaged)?;
            cursors.insert(name.to_owned(), u64::from_le_bytes(take(&mut rest)?));
        }
        if rest.is_empty() { Ok(Self { id, floor, cursors }) } else { Err(StateError::Damaged) }
    }

    /// Replaces the file durably.
    pub fn save(&self, files: &dyn Files, folder: &Path) -> io::Result<()> {
        files.replace(&folder.join(FILE), &self.encode())
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], StateError> {
    let (head, after) = rest.split_first_chunk().ok_or(StateError::Damaged)?;
    *rest = after;
    Ok(*head)
}

/// The cursors as they are, and as the file has them.
pub struct Cursors {
    inner: Mutex<Inner>,
    /// Held while the file is replaced, also when the caller has gone.
    pub saver: Arc<tokio::sync::Mutex<()>>,
}

struct Inner {
    now: BTreeMap<String, u64>,
    version: u64,
    durable: BTreeMap<String, u64>,
    durable_version: u64,
}

impl Cursors {
    pub fn new(durable: BTreeMap<String, u64>) -> Self {
        let inner = Inner { now: durable.clone(), version: 0, durable, durable_version: 0 };
        Self { inner: Mutex::new(inner), saver: Arc::default() }
    }

    /// Where a cursor stands; a new one at what `new_at` says, which is asked under the lock so
    /// that nothing is released below it meanwhile. With the version that must become durable.
    ///
    /// `new_at` is told whether the cursors were lost.
    pub fn open(&self, name: &str, new_at: impl FnOnce(bool) -> u64) -> (u64, u64) {
        let mut inner = self.inner.lock();
        if let Some(&position) = inner.now.get(name) {
            return (position, inner.version);
        }
        let position = new_at(inner.now.contains_key(LOST));
        inner.now.insert(name.to_owned(), position);
        inner.version += 1;
        (position, inner.version)
    }

    /// Moves a cursor on, never back. `None` if there is no such cursor.
    pub fn advance(&self, name: &str, before: u64) -> Option<u64> {
        let mut inner = self.inner.lock();
        let position = inner.now.get_mut(name)?;
        if *position < before {
            *position = before;
            inner.version += 1;
        }
        Some(inner.version)
    }

    /// Forgets a cursor. `None` if there is no such cursor.
    pub fn drop(&self, name: &str) -> Option<u64> {
        let mut inner = self.inner.lock();
        inner.now.remove(name)?;
        inner.version += 1;
        Some(inner.version)
    }

    /// The cursors were lost: nothing from `oldest` on is given back, in this opening and in those
    /// that follow, until `found_again`.
    pub fn lost(&self, oldest: u64) {
        let mut inner = self.inner.lock();
        inner.now.entry(LOST.to_owned()).or_insert(oldest);
        inner.version += 1;
    }

    /// The end of that, if any cursor is there. True if something is to be saved.
    pub fn found_again(&self) -> bool {
        let mut inner = self.inner.lock();
        let found = inner.now.keys().any(|name| name != LOST) && inner.now.remove(LOST).is_some();
        inner.version += u64::from(found);
        found
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<String> {
        self.inner.lock().now.keys().filter(|name| *name != LOST).cloned().collect()
    }

    /// True for a name that a cursor can have.
    pub fn is_name(name: &str) -> bool {
        name != LOST && name.len() <= usize::from(u16::MAX)
    }

    pub fn is_durable(&self, version: u64) -> bool {
        self.inner.lock().durable_version >= version
    }

    /// What is to be saved, with its version.
    pub fn snapshot(&self) -> (BTreeMap<String, u64>, u64) {
        let inner = self.inner.lock();
        (inner.now.clone(), inner.version)
    }

    pub fn saved(&self, cursors: BTreeMap<String, u64>, version: u64) {
        let mut inner = self.inner.lock();
        (inner.durable, inner.durable_version) = (cursors, version);
    }

    /// Calls `release` with what every cursor has durably settled; `None` without cursors. No
    /// cursor is opened meanwhile.
    pub fn with_released<T>(&self, release: impl FnOnce(Option<u64>) -> T) -> T {
        let inner = self.inner.lock();
        let lowest = inner.now.values().chain(inner.durable.values()).min().copied();
        release(lowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_comes_back_and_damage_is_seen() {
        let cursors = [("a".to_owned(), 5), ("destination 2".to_owned(), 77)].into();
        let state = State { id: [7; 16], floor: 99, cursors };
        let bytes = state.encode();
        assert_eq!(State::decode(&bytes), Ok(state));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(State::decode(&damaged).is_err(), "byte {at}");
            assert!(State::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn retention_waits_for_the_file() {
        let cursors = Cursors::new([("a".to_owned(), 5)].into());
        let version = cursors.advance("a", 9).unwrap();
        assert_eq!(cursors.advance("a", 3), Some(version), "a cursor never goes back");
        assert_eq!(cursors.with_released(|lowest| lowest), Some(5));
        let (snapshot, version) = cursors.snapshot();
        cursors.saved(snapshot, version);
        assert!(cursors.is_durable(version));
        assert_eq!(cursors.with_released(|lowest| lowest), Some(9));
        assert_eq!(cursors.advance("b", 1), None);
    }
}
