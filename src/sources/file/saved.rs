//! Positions in a file of the source's own: for a journal that forgets, what all destinations have
//! settled; and that the stream has been run before.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::env::Env;

const NAME: &str = "positions.json";

/// The version that is written.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    positions: BTreeMap<String, String>,
}

/// Positions by key, on disk.
pub struct Saved {
    env: Env,
    folder: PathBuf,
    positions: BTreeMap<String, String>,
    /// There was a file: this is not the first start.
    exists: bool,
}

impl Saved {
    /// Reads what was saved. Blocks. A file that cannot be read is an error: taken for a first
    /// start it would have everything read again, or nothing.
    pub fn load(env: Env, folder: &Path) -> io::Result<Self> {
        let folder = folder.to_owned();
        let (positions, exists) = match env.files.read(&folder.join(NAME)) {
            Ok(bytes) => (serde_json::from_slice::<Stored>(&bytes)?.positions, true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (BTreeMap::new(), false),
            Err(error) => return Err(error),
        };
        Ok(Self { env, folder, positions, exists })
    }

    pub fn positions(&self) -> &BTreeMap<String, String> {
        &self.positions
    }

    pub fn exists(&self) -> bool {
        self.exists
    }

    /// Replaces what is saved, durably. Blocks. Answers whether there was anything to write.
    pub fn save(&mut self, positions: BTreeMap<String, String>) -> io::Result<bool> {
        if self.exists && self.positions == positions {
            return Ok(false);
        }
        let stored = Stored { version: VERSION, positions };
        let text = serde_json::to_vec(&stored)?;
        self.env.files.create_dir_all(&self.folder)?;
        self.env.files.replace(&self.folder.join(NAME), &text)?;
        self.positions = stored.positions;
        self.exists = true;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_found_again_and_damage_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("files");
        let mut saved = Saved::load(Env::real(), &at).unwrap();
        assert!(!saved.exists());
        let positions: BTreeMap<_, _> = [("a".to_owned(), "{}".to_owned())].into();
        assert!(saved.save(BTreeMap::new()).unwrap(), "that it was run is worth a file");
        assert!(saved.save(positions.clone()).unwrap());
        assert!(!saved.save(positions.clone()).unwrap());
        let saved = Saved::load(Env::real(), &at).unwrap();
        assert!(saved.exists() && *saved.positions() == positions);
        std::fs::write(at.join(NAME), "{").unwrap();
        assert!(Saved::load(Env::real(), &at).is_err());
    }
}
