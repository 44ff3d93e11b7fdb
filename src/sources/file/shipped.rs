//! Whether a file is through: what `standpipe shipped FILE` answers.

use std::{collections::BTreeMap, io, path::Path};

use super::identity::{Candidate, Position};

/// How much of a file is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// Bytes from its beginning that are safe; of a compressed file, all or none.
    pub bytes: u64,
    /// Its size.
    pub size: u64,
}

impl Shipped {
    /// Whether every byte is safe.
    pub fn is_complete(self) -> bool {
        self.bytes >= self.size
    }
}

/// How much of a file these positions speak for ([`FileSource::positions`]). Blocks.
///
/// A file that none of them speaks for has 0 bytes that are safe, and so has one that was truncated,
/// or of which something was passed over when the source was first started. A last line without its newline
/// is not safe before it was given out.
///
/// [`FileSource::positions`]: super::FileSource::positions
///
/// # Errors
/// The file cannot be opened or read.
pub fn is_shipped(positions: &BTreeMap<String, String>, path: &Path) -> io::Result<Shipped> {
    let candidate = Candidate::open(path)?;
    let size = candidate.stat.size;
    let known = positions.values().filter_map(|text| Position::decode(text));
    let bytes = known.map(|position| safe(&position, &candidate)).max().unwrap_or(0);
    Ok(Shipped { bytes, size })
}

fn safe(position: &Position, candidate: &Candidate) -> u64 {
    let stat = &candidate.stat;
    let is_it = position.id() == stat.id && position.may_be(stat);
    if !is_it || position.truncated || position.passed_over > 0 {
        return 0;
    }
    if position.packed {
        let unchanged = (position.size, position.mtime) == (stat.size, stat.mtime_ns);
        return if position.done && unchanged { stat.size } else { 0 };
    }
    if position.continues_in(candidate) { position.at } else { 0 }
}
