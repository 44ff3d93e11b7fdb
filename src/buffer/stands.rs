//! Where the source of a journal stands upstream: what the frames' provenance adds up to.
//!
//! The file `upstream` holds the sum over all frames before a segment; it is replaced whenever a
//! segment is begun, so that opening reads one segment of frames at the most, and segments can be
//! given back. Its content: magic "SPUPSTR" 1A (8 bytes), version 1 (4, little endian), CRC-32C of
//! all that follows (4), then JSON: the journal's id, the sequence up to which it counts, and the
//! positions by key.

use std::{collections::BTreeMap, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{env::Files, record::Step};

pub const FILE: &str = "upstream";
const MAGIC: [u8; 8] = *b"SPUPSTR\x1a";
const VERSION: u32 = 1;
const PREFIX_BYTES: usize = 16;

/// Positions by key, and up to which sequence of the journal they count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stands {
    id: String,
    pub through: u64,
    pub positions: BTreeMap<String, String>,
}

impl Stands {
    pub fn apply(&mut self, steps: &[Step], end: u64) {
        self.through = self.through.max(end);
        for step in steps {
            match &step.position {
                Some(position) => self.positions.insert(step.key.clone(), position.clone()),
                None => self.positions.remove(&step.key),
            };
        }
    }

    /// Reads the file. What is not there, or is another journal's, is empty.
    pub fn load(files: &dyn Files, folder: &Path, id: [u8; 16]) -> io::Result<Self> {
        let id = hex::encode(id);
        let empty = Self { id: id.clone(), ..Self::default() };
        let bytes = match files.read(&folder.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty),
            Err(error) => return Err(error),
        };
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let (prefix, content) =
            bytes.split_at_checked(PREFIX_BYTES).ok_or_else(|| wrong("it is cut off"))?;
        if prefix[..8] != MAGIC || prefix[12..] != crc32c::crc32c(content).to_le_bytes() {
            return Err(wrong("its checksum or form is wrong"));
        }
        if prefix[8..12] != VERSION.to_le_bytes() {
            return Err(wrong("it has a version that this program does not know"));
        }
        let stands: Self = serde_json::from_slice(content).map_err(io::Error::other)?;
        Ok(if stands.id == id { stands } else { empty })
    }

    /// Replaces the file durably.
    pub fn save(&self, files: &dyn Files, folder: &Path) -> io::Result<()> {
        let content = serde_json::to_vec(self).map_err(io::Error::other)?;
        let mut out = Vec::with_capacity(PREFIX_BYTES + content.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&content).to_le_bytes());
        out.extend_from_slice(&content);
        files.replace(&folder.join(FILE), &out)
    }
}
