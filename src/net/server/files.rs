//! Files that are read again when they change: keys and certificates.

use std::{
    fmt::Display,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

/// What changes when a file is written or replaced: inode, length, time. `None` if it is missing.
type Stamp = Vec<Option<(u64, u64, Option<SystemTime>)>>;

/// A set of files, and how they looked when they were last read.
pub struct Watch {
    files: Vec<PathBuf>,
    seen: Stamp,
}

impl Watch {
    /// Call this before the files are read for the first time: a change in between is then found.
    pub fn new(files: Vec<PathBuf>) -> Self {
        let seen = stamp(&files);
        Self { files, seen }
    }

    /// Calls `reload` whenever a file has changed, until `stop`. A failed reload is logged once
    /// and tried again until it succeeds, for a file may have been seen half written.
    pub async fn run<E: Display + Send + 'static>(
        mut self,
        what: &'static str,
        interval: Duration,
        stop: CancellationToken,
        reload: impl Fn() -> Result<(), E> + Send + Sync + 'static,
    ) {
        let reload = Arc::new(reload);
        let mut is_broken = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let (files, reload) = (self.files.clone(), reload.clone());
            let seen = self.seen.clone();
            // Files may lie on a disk that hangs.
            let look = tokio::task::spawn_blocking(move || {
                let now = stamp(&files);
                let result = (now != seen || is_broken).then(|| reload());
                (now, result)
            });
            let Ok((now, result)) = look.await else { continue };
            let is_new = now != self.seen;
            self.seen = now;
            match result {
                None => {}
                Some(Ok(())) => {
                    is_broken = false;
                    tracing::info!(what, "files read again");
                }
                Some(Err(error)) => {
                    is_broken = true;
                    if is_new {
                        tracing::error!(what, %error, "files changed but unusable, the old ones stay in force");
                    }
                }
            }
        }
    }
}

fn stamp(files: &[PathBuf]) -> Stamp {
    let one = |path: &PathBuf| {
        let meta = fs::metadata(Path::new(path)).ok()?;
        Some((meta.ino(), meta.len(), meta.modified().ok()))
    };
    files.iter().map(one).collect()
}
