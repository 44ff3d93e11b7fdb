//! Encoded bodies on disk, for shipments that cannot be built again from the journal: after a
//! crash a Lambda may answer otherwise, a query may have been changed, a table have a new column.
//! What was about to leave then leaves as it was.

use std::{
    collections::BTreeSet,
    io::{self, IoSlice},
    path::PathBuf,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::env::Env;

/// The folder of kept bodies of one destination.
#[derive(Clone)]
pub struct Bodies {
    env: Env,
    folder: PathBuf,
}

/// A body that is on disk, durably.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub name: String,
    pub bytes: u64,
    pub crc32c: u32,
}

impl Bodies {
    pub fn new(env: Env, folder: PathBuf) -> Self {
        Self { env, folder }
    }

    /// Makes the folder, durably. Blocking.
    pub fn prepare(&self) -> io::Result<()> {
        self.env.files.create_dir_all(&self.folder)?;
        for folder in self.folder.ancestors().skip(1).take(3) {
            if !folder.as_os_str().is_empty() {
                self.env.files.sync_dir(folder)?;
            }
        }
        Ok(())
    }

    /// Writes a body. Durable on Ok. Blocking.
    pub fn keep(&self, name: &str, body: &Bytes) -> io::Result<Kept> {
        let kept = self.write(name, body);
        if kept.is_err() {
            // On a full disk the part that was written takes the room that another one needs.
            self.remove(name)?;
        }
        kept
    }

    fn write(&self, name: &str, body: &Bytes) -> io::Result<Kept> {
        let path = self.folder.join(name);
        // An attempt before this one may have left the file behind, whole or in part.
        self.remove(name)?;
        let file = self.env.files.create_private(&path)?;
        file.write_all_at(&[IoSlice::new(body)], 0)?;
        file.sync_data()?;
        self.env.files.sync_dir(&self.folder)?;
        Ok(Kept { name: name.to_owned(), bytes: body.len() as u64, crc32c: crc32c::crc32c(body) })
    }

    /// Reads a body back, and checks that it is what was written. Blocking.
    pub fn load(&self, kept: &Kept) -> io::Result<Bytes> {
        let file = self.env.files.open_read(&self.folder.join(&kept.name))?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a kept body is damaged");
        if file.len()? != kept.bytes {
            return Err(damaged());
        }
        let mut body = vec![0; kept.bytes as usize];
        file.read_exact_at(&mut body, 0)?;
        if crc32c::crc32c(&body) != kept.crc32c {
            return Err(damaged());
        }
        Ok(Bytes::from(body))
    }

    /// Removes a body; one that is not there is removed already. Blocking.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match self.env.files.remove(&self.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes every body that nobody needs any more. Blocking.
    pub fn sweep(&self, needed: &BTreeSet<String>) -> io::Result<()> {
        let names = self.env.files.list(&self.folder)?;
        for name in names.iter().filter(|name| !needed.contains(*name)) {
            self.remove(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_as_it_was_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let bodies = Bodies::new(Env::real(), folder.path().join("bodies"));
        bodies.prepare().unwrap();
        bodies.sweep(&BTreeSet::new()).unwrap();
        let body = Bytes::from_static(b"encoded");
        let kept = bodies.keep("one", &body).unwrap();
        assert_eq!(bodies.keep("one", &body).unwrap(), kept, "a second try is no trouble");
        assert_eq!(bodies.load(&kept).unwrap(), body);
        for damaged in ["encodet", "encode", ""] {
            std::fs::write(folder.path().join("bodies/one"), damaged).unwrap();
            assert!(bodies.load(&kept).is_err(), "{damaged}");
        }
        bodies.keep("two", &body).unwrap();
        bodies.sweep(&BTreeSet::from(["two".to_owned()])).unwrap();
        assert_eq!(bodies.load(&kept).unwrap_err().kind(), io::ErrorKind::NotFound);
        bodies.remove("two").unwrap();
        bodies.remove("two").unwrap();
    }
}
