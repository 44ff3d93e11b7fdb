//! What the data directory keeps of streams beside their journals: those made by the API, and the
//! version of those from the file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{DaemonError, stream_folder};
use crate::{
    config::{
        StreamSpec,
        firehose::{Hose, HoseContext, Origin},
    },
    env::Env,
};

/// The file in a stream's folder.
const STREAM_FILE: &str = "stream.json";

/// Held as long as the daemon runs: two daemons must not share a data directory.
pub struct DataDirLock(#[expect(dead_code, reason = "held for its lock")] fs::File);

/// Takes the data directory for this process, making it if need be.
pub fn lock(data_dir: &Path) -> Result<DataDirLock, DaemonError> {
    let failed = |error| DaemonError::DataDir { path: data_dir.to_owned(), error };
    fs::create_dir_all(data_dir).map_err(failed)?;
    let file = fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(data_dir.join("lock"))
        .map_err(failed)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| DaemonError::InUse(data_dir.to_owned()))?;
    Ok(DataDirLock(file))
}

/// A stream's file: the API's view of it, and for a stream from the configuration file what it
/// was made from, to tell when that changes.
#[derive(Serialize, Deserialize)]
struct Stored {
    hose: Hose,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<StreamSpec>,
}

/// The streams' files. Its calls block for the length of a small write.
pub struct Store {
    data_dir: PathBuf,
    env: Env,
}

impl Store {
    pub fn open(data_dir: &Path, env: Env) -> Result<Self, DaemonError> {
        let store = Self { data_dir: data_dir.to_owned(), env };
        let streams = data_dir.join("streams");
        store.env.files.create_dir_all(&streams).map_err(|error| store.failed(error))?;
        store.finish_removals(&streams);
        Ok(store)
    }

    pub fn folder(&self, stream: &str) -> PathBuf {
        stream_folder(&self.data_dir, stream)
    }

    /// The streams made by the API.
    pub fn hoses(&self) -> Result<Vec<Hose>, DaemonError> {
        let streams = self.data_dir.join("streams");
        let names = self.env.files.list(&streams).map_err(|error| self.failed(error))?;
        let mut hoses = Vec::new();
        for name in names.iter().filter_map(|name| name.strip_prefix("stream-")) {
            match self.load(name)? {
                Some(stored) if stored.hose.origin == Origin::Api => hoses.push(stored.hose),
                Some(_) => {}
                None => {
                    let folder = self.folder(name);
                    let folder = folder.display();
                    tracing::warn!(%folder, "folder holds no stream: left alone");
                }
            }
        }
        Ok(hoses)
    }

    /// Writes a stream made by the API down. Durable on Ok.
    pub fn save(&self, hose: &Hose) -> Result<(), DaemonError> {
        self.write(&Stored { hose: hose.clone(), spec: None })
    }

    /// The API's view of a stream from the file: created when first seen, its version counting
    /// the changes of what the file says.
    pub fn file_hose(
        &self,
        name: &str,
        spec: &StreamSpec,
        context: &HoseContext,
    ) -> Result<Hose, DaemonError> {
        let before = self.load(name)?.filter(|stored| stored.hose.origin == Origin::File);
        let spec = StreamSpec { version_id: 1, ..spec.clone() };
        let mut hose = Hose::from_spec(name, &spec, context, context.now_ms);
        if let Some(Stored { hose: old, spec: old_spec }) = before {
            hose.created_ms = old.created_ms;
            hose.version_id = old.version_id;
            hose.updated_ms = old.updated_ms;
            if old_spec.as_ref() == Some(&spec) {
                return Ok(hose);
            }
            hose.version_id += 1;
            hose.updated_ms = Some(context.now_ms);
        }
        self.write(&Stored { hose: hose.clone(), spec: Some(spec) })?;
        Ok(hose)
    }

    /// Forgets a stream and everything it holds, in one step that a crash cannot halve.
    pub fn remove(&self, name: &str) -> Result<(), DaemonError> {
        let folder = self.folder(name);
        let streams = self.data_dir.join("streams");
        let doomed = streams.join(format!("removed-{}", uuid::Uuid::new_v4()));
        self.env.files.rename(&folder, &doomed).map_err(|error| self.failed(error))?;
        self.env.files.sync_dir(&streams).map_err(|error| self.failed(error))?;
        self.finish_removals(&streams);
        Ok(())
    }

    /// Keeps what an earlier stream of the same name left behind out of the way of a new one.
    pub fn set_aside(&self, name: &str) -> Result<(), DaemonError> {
        let folder = self.folder(name);
        let aside =
            self.data_dir.join("streams").join(format!("left-{name}-{}", self.env.clock.now_ms()));
        match self.env.files.rename(&folder, &aside) {
            Ok(()) => {
                let aside = aside.display();
                tracing::warn!(stream = name, %aside, "files of an earlier stream are set aside");
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn finish_removals(&self, streams: &Path) {
        for name in self.env.files.list(streams).unwrap_or_default() {
            if name.starts_with("removed-")
                && let Err(error) = fs::remove_dir_all(streams.join(&name))
            {
                tracing::warn!(folder = name, %error, "removed stream leaves files behind");
            }
        }
    }

    fn load(&self, name: &str) -> Result<Option<Stored>, DaemonError> {
        let path = self.folder(name).join(STREAM_FILE);
        let content = match self.env.files.read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DaemonError::DataDir { path, error }),
        };
        serde_json::from_slice(&content)
            .map(Some)
            .map_err(|error| DaemonError::DataDir { path, error: error.into() })
    }

    fn write(&self, stored: &Stored) -> Result<(), DaemonError> {
        let folder = self.folder(&stored.hose.name);
        let path = folder.join(STREAM_FILE);
        let written = (|| {
            self.env.files.create_dir_all(&folder)?;
            self.env.files.replace(&path, &serde_json::to_vec_pretty(stored)?)?;
            self.env.files.sync_dir(&self.data_dir.join("streams"))
        })();
        written.map_err(|error| DaemonError::DataDir { path, error })
    }

    fn failed(&self, error: io::Error) -> DaemonError {
        DaemonError::DataDir { path: self.data_dir.clone(), error }
    }
}
