//! A local folder as a bucket: the same promises as S3, kept with rename and fsync.
//!
//! An object is written under a temporary name in `.standpipe-tmp` inside the root, synced,
//! renamed to its place and the folders synced, so it is there whole or not at all, and there for
//! good once `deliver` says so. The same key is replaced in one step.
//!
//! The root itself is made once, when the process first uses it, and only if its parent exists.
//! After that a missing root, or one that has lost its `.standpipe-tmp`, is taken for a disk that
//! is not mounted: the destination is held rather than filling the disk below the mount point.
//!
//! Keys cannot leave the root (see [`key`]) and cannot make symbolic links; links that an operator
//! puts into the root are followed.

pub mod key;

use std::{
    collections::HashSet,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::{
    env::Files,
    fault::{Cause, Fault},
    limits,
    seams::{Delivered, Shipment, Sink, Trial},
};

/// Where files are written before they are renamed to their place.
pub const TEMPORARY: &str = ".standpipe-tmp";

/// Begins the temporary names of this process; all others are leftovers of one that is gone.
static RUN: LazyLock<String> = LazyLock::new(|| uuid::Uuid::new_v4().simple().to_string());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A folder that takes objects.
pub struct FileSink {
    folder: Arc<Folder>,
    /// A write cannot be called off once a thread is at it. On a disk that hangs, attempts that
    /// were given up would otherwise take up every thread of the pool.
    writers: Arc<Semaphore>,
}

impl FileSink {
    pub fn new(root: PathBuf, files: Arc<dyn Files>) -> Self {
        let folder = Folder { root, files, state: Mutex::default() };
        Self {
            folder: Arc::new(folder),
            writers: Arc::new(Semaphore::new(limits::SHIPMENTS_IN_FLIGHT)),
        }
    }

    /// Makes the folder ready and removes what a crash left behind. What fails here shows again
    /// at the first delivery, which does the same if it has not been done.
    pub async fn prepare(&self) {
        if let Err(fault) = self.run(|folder| folder.prepare()).await {
            let root = self.folder.root.display();
            tracing::warn!(%root, error = %fault, "local bucket is not ready");
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let closed = |_| Fault::retry("File.Closed", "the sink is shutting down");
        let writer = self.writers.clone().acquire_owned().await.map_err(closed)?;
        let folder = self.folder.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _writer = writer;
            work(&folder)
        });
        task.await.unwrap_or_else(|error| Err(Fault::retry("File.Aborted", error.to_string())))
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn deliver(&self, shipment: &Shipment) -> Result<Delivered, Fault> {
        let (key, body) = (shipment.key.clone(), shipment.body.clone());
        self.run(move |folder| folder.store(&key, &body)).await?;
        Ok(Delivered::default())
    }

    async fn check(&self) -> Vec<Trial> {
        let attempt = tokio::time::timeout(limits::CHECK_TIMEOUT, self.run(Folder::try_out)).await;
        let result = match attempt {
            Ok(outcome) => outcome.map_err(|fault| fault.cause().clone()),
            Err(_) => {
                let (root, seconds) = (self.folder.root.display(), limits::CHECK_TIMEOUT.as_secs());
                let message = format!("{root} does not answer within {seconds} s");
                Err(Cause::new("File.Timeout", message))
            }
        };
        vec![Trial { step: "write", result }]
    }
}

/// The blocking half.
struct Folder {
    root: PathBuf,
    files: Arc<dyn Files>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    prepared: bool,
    /// Folders whose names are known to be on disk up to the root.
    durable: HashSet<PathBuf>,
}

impl Folder {
    fn prepare(&self) -> Result<(), Fault> {
        let mut state = self.state.lock();
        if state.prepared {
            return Ok(());
        }
        self.make_root().map_err(|error| self.fault("making the folder", &error))?;
        self.clean().map_err(|error| self.fault("tidying the folder", &error))?;
        state.prepared = true;
        Ok(())
    }

    fn make_root(&self) -> io::Result<()> {
        match self.files.sync_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = self.root.parent().unwrap_or(Path::new(""));
                // Fails where the parent is missing too: that is no folder of ours to make.
                self.files.sync_dir(parent)?;
                self.files.create_dir_all(&self.root)?;
                self.files.sync_dir(parent)?;
            }
            other => other?,
        }
        self.files.create_dir_all(&self.root.join(TEMPORARY))?;
        self.files.sync_dir(&self.root)
    }

    /// Removes temporary files of processes that are gone. Should one be alive after all and lose
    /// a file, its rename fails and it writes the file again.
    fn clean(&self) -> io::Result<()> {
        let folder = self.root.join(TEMPORARY);
        for name in self.files.list(&folder)? {
            if name.starts_with(RUN.as_str()) {
                continue;
            }
            match self.files.remove(&folder.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn store(&self, key: &str, body: &[u8]) -> Result<(), Fault> {
        let path = key::path(key).map_err(|error| Fault::halt(error.code(), error.to_string()))?;
        self.prepare()?;
        let path = self.root.join(path);
        let temporary = self.temporary();
        let stored = self.write(&temporary, body).and_then(|()| self.place(&temporary, &path));
        if stored.is_err() {
            // What cannot be removed now is removed at the next start.
            let _ = self.files.remove(&temporary);
        }
        stored
    }

    /// Writes, syncs and removes a temporary file; no key is touched.
    fn try_out(&self) -> Result<String, Fault> {
        self.prepare()?;
        let temporary = self.temporary();
        let written = self.write(&temporary, b"written by standpipe check\n");
        // What cannot be removed now is removed at the next start.
        let removed = self.files.remove(&temporary);
        written?;
        removed.map_err(|error| self.fault("removing a file", &error))?;
        Ok(format!("{}, synced", self.root.display()))
    }

    /// A name that nobody else has.
    fn temporary(&self) -> PathBuf {
        let name = format!("{}-{}", *RUN, NEXT.fetch_add(1, Ordering::Relaxed));
        self.root.join(TEMPORARY).join(name)
    }

    fn write(&self, temporary: &Path, body: &[u8]) -> Result<(), Fault> {
        let file = self
            .files
            .create_new(temporary)
            .map_err(|error| self.fault("creating a file", &error))?;
        file.write_all_at(&[IoSlice::new(body)], 0)
            .and_then(|()| file.sync_data())
            .map_err(|error| self.fault("writing", &error))
    }

    fn place(&self, temporary: &Path, path: &Path) -> Result<(), Fault> {
        let parent = path.parent().unwrap_or(&self.root);
        self.make_durable(parent).map_err(|error| self.fault("making folders", &error))?;
        let renamed = self.files.rename(temporary, path);
        if let Err(error) = &renamed
            && error.kind() == io::ErrorKind::NotFound
        {
            // Somebody tidied up an empty folder, or the temporary file. The next attempt makes
            // both again.
            self.state.lock().durable.remove(parent);
            return Err(Fault::retry("File.Vanished", "the folder vanished while writing to it"));
        }
        renamed
            .and_then(|()| self.files.sync_dir(parent))
            .map_err(|error| self.fault("renaming", &error))
    }

    /// Makes a folder below the root, and every name on the way to it durable.
    fn make_durable(&self, folder: &Path) -> io::Result<()> {
        if folder == self.root || self.state.lock().durable.contains(folder) {
            return Ok(());
        }
        self.files.create_dir_all(folder)?;
        let mut holder = folder;
        while holder != self.root {
            let Some(parent) = holder.parent() else { break };
            self.files.sync_dir(parent)?;
            holder = parent;
        }
        let mut state = self.state.lock();
        if state.durable.len() >= limits::FOLDERS_REMEMBERED {
            state.durable.clear();
        }
        state.durable.insert(folder.to_owned());
        Ok(())
    }

    fn fault(&self, doing: &str, error: &io::Error) -> Fault {
        let message = format!("{doing} in {}: {error}", self.root.display());
        match code(error.kind()) {
            Some("File.NoSuchFolder") => Fault::halt(
                "File.NoSuchFolder",
                format!("{message}; is its disk mounted? It goes on once {TEMPORARY} is there"),
            ),
            Some(code) => Fault::halt(code, message),
            None => Fault::retry("File.IoError", message),
        }
    }
}

/// The code of what somebody has to mend; `None` for what may pass.
fn code(kind: io::ErrorKind) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    Some(match kind {
        Kind::StorageFull | Kind::QuotaExceeded => "File.NoSpace",
        Kind::PermissionDenied => "File.AccessDenied",
        Kind::ReadOnlyFilesystem => "File.ReadOnly",
        Kind::NotFound | Kind::StaleNetworkFileHandle => "File.NoSuchFolder",
        Kind::InvalidFilename => "File.KeyTooLong",
        Kind::FileTooLarge => "File.TooLarge",
        // A file stands where the key needs a folder, or the other way round.
        Kind::NotADirectory
        | Kind::IsADirectory
        | Kind::AlreadyExists
        | Kind::DirectoryNotEmpty => "File.Conflict",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
