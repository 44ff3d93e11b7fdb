//! Which positions ended in which object: what `standpipe trace` looks up. Bounded: the oldest
//! part is forgotten.

use std::{
    fs,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    limits,
    record::{Ranges, Route},
};

/// A shipment that arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    pub key: String,
    pub route: Route,
    pub positions: Ranges,
    pub at_ms: i64,
    /// For error objects: why each record failed (sequence, code, message).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<(u64, String, String)>,
}

/// The history of one destination: a file that is appended to, and the one before it.
pub struct History {
    path: PathBuf,
    /// `None` after an error: opened again for the next line.
    file: Option<fs::File>,
    len: u64,
}

impl History {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = fs::File::options().create(true).append(true).open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file: Some(file), len })
    }

    /// Adds a line. Not synced: it serves curiosity, not delivery.
    pub fn add(&mut self, arrived: &Arrived) -> io::Result<()> {
        let mut line = serde_json::to_vec(arrived)?;
        line.push(b'\n');
        let full = self.len + line.len() as u64 > limits::HISTORY_BYTES / 2;
        let mut file = match self.file.take() {
            Some(file) if !full => file,
            _ => {
                if full {
                    fs::rename(&self.path, before(&self.path))?;
                }
                let opened = Self::open(&self.path)?;
                self.len = opened.len;
                opened.file.ok_or(io::ErrorKind::NotFound)?
            }
        };
        file.write_all(&line)?;
        self.len += line.len() as u64;
        self.file = Some(file);
        Ok(())
    }
}

fn before(path: &Path) -> PathBuf {
    path.with_extension("1")
}

/// The shipments in which a position arrived, newest last. Blocking: reads the files.
pub fn find(path: &Path, sequence: u64) -> io::Result<Vec<Arrived>> {
    let mut found = Vec::new();
    for path in [before(path), path.to_owned()] {
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in io::BufReader::new(file).lines() {
            // A torn or damaged line is passed over: the others still answer.
            if let Ok(arrived) = serde_json::from_str::<Arrived>(&line?)
                && arrived.positions.contains(sequence)
            {
                found.push(arrived);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_found_also_after_the_file_was_turned_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let mut history = History::open(&path).unwrap();
        let arrived = |sequence: u64| Arrived {
            key: format!("{sequence}-{}", "k".repeat(1000)),
            route: Route::Objects,
            positions: Ranges::of(sequence, sequence + 1),
            at_ms: 5,
            reasons: Vec::new(),
        };
        let count = limits::HISTORY_BYTES / 2 / 1000 + 10;
        for sequence in 0..count {
            history.add(&arrived(sequence)).unwrap();
        }
        for sequence in [0, count / 2, count - 1] {
            assert_eq!(find(&path, sequence).unwrap(), vec![arrived(sequence)], "{sequence}");
        }
        assert_eq!(find(&path, count).unwrap(), vec![]);
    }
}
