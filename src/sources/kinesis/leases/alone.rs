//! One replica alone: every shard is its own, and its positions lie in a file.
//!
//! With a durable journal the file is not needed, for the positions lie beside the records and win
//! where they are further. With a journal in memory the file is what is known after a restart.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::plan::{self, Absences, Known};
use crate::{
    env::Env,
    limits,
    sources::kinesis::{Checkpoint, CheckpointError, Coordinator, Held, Shard},
};

const FILE: &str = "positions.json";
/// A file of another version is not ours to read.
const VERSION: u32 = 1;

/// Holds every shard whose parents are at their end, or gone.
pub struct Alone {
    path: PathBuf,
    stream: String,
    env: Env,
    state: Mutex<State>,
    held: watch::Sender<Arc<BTreeMap<String, Held>>>,
    /// There is something to write.
    changed: Notify,
}

#[derive(Default)]
struct State {
    known: Known,
    parents: BTreeMap<String, Vec<String>>,
    /// Shards that were listed: only these can be read.
    listed: BTreeMap<String, u64>,
    /// Shards that came to be known since the start.
    fresh: BTreeSet<String>,
    holdings: u64,
    absences: Absences,
    is_dirty: bool,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    stream: String,
    /// Checkpoints by shard, as texts.
    shards: BTreeMap<String, String>,
}

impl Alone {
    /// Reads the file in `folder`, which is made when it is first written to. `known` are positions
    /// that a durable journal has.
    pub fn open(
        folder: PathBuf,
        stream: &str,
        known: BTreeMap<String, Checkpoint>,
        env: &Env,
    ) -> Result<Self, String> {
        let path = folder.join(FILE);
        let mut all = stored(&path, stream, env)?;
        for (id, at) in known {
            match all.get(&id) {
                Some(stored) if plan::compare(stored, &at).is_gt() => {}
                _ => {
                    all.insert(id, at);
                }
            }
        }
        Ok(Self {
            path,
            stream: stream.to_owned(),
            env: env.clone(),
            state: Mutex::new(State { known: all, ..State::default() }),
            held: watch::Sender::default(),
            changed: Notify::new(),
        })
    }

    fn publish(&self, state: &State) {
        let held = Arc::new(state.held());
        self.held.send_if_modified(|before| {
            let changes = *before != held;
            *before = held;
            changes
        });
    }

    /// Writes what has changed. Positions that could not be written are tried again later.
    async fn write(&self) {
        let content = {
            let mut state = self.state.lock();
            if !std::mem::take(&mut state.is_dirty) {
                return;
            }
            let shards = state.known.iter().map(|(id, at)| (id.clone(), at.to_string()));
            Stored { version: VERSION, stream: self.stream.clone(), shards: shards.collect() }
        };
        let (env, path) = (self.env.clone(), self.path.clone());
        let written = tokio::task::spawn_blocking(move || replace(&env, &path, &content)).await;
        let error = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(stream = self.stream, error, "cannot write the positions of shards");
        self.state.lock().is_dirty = true;
        self.changed.notify_one();
    }
}

fn replace(env: &Env, path: &Path, content: &Stored) -> io::Result<()> {
    let bytes = serde_json::to_vec(content)?;
    env.files.create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    env.files.replace(path, &bytes)
}

fn stored(path: &Path, stream: &str, env: &Env) -> Result<Known, String> {
    let bytes = match env.files.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Known::new()),
        Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
    };
    let damaged = |what: &str| {
        format!(
            "{} holds no positions ({what}): restore it, or delete it to begin where `start` says",
            path.display()
        )
    };
    let stored: Stored =
        serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))?;
    if stored.version != VERSION {
        return Err(damaged(&format!("version {} is not known", stored.version)));
    }
    if stored.stream != stream {
        tracing::warn!(
            stream,
            of = stored.stream,
            "the stored positions are those of another stream and are not used"
        );
        return Ok(Known::new());
    }
    let read = |(id, text): (String, String)| match Checkpoint::parse(&text) {
        Some(at) => Ok((id, at)),
        None => Err(damaged(&format!("no position of {id}"))),
    };
    stored.shards.into_iter().map(read).collect()
}

impl State {
    fn sync(&mut self, shards: &[Shard], initial: &Checkpoint) {
        let fresh = plan::missing(shards, &self.known, &Known::new(), initial);
        for (shard, at) in fresh.into_iter().flatten() {
            self.known.insert(shard.id.clone(), at);
            self.fresh.insert(shard.id.clone());
            self.is_dirty = true;
        }
        for id in self.absences.note(shards, &self.known) {
            self.known.remove(&id);
            self.parents.remove(&id);
            self.listed.remove(&id);
            self.fresh.remove(&id);
            self.is_dirty = true;
        }
        for shard in shards.iter().filter(|shard| self.known.contains_key(&shard.id)) {
            self.parents.insert(shard.id.clone(), shard.parents.clone());
            self.listed.entry(shard.id.clone()).or_insert_with(|| {
                self.holdings += 1;
                self.holdings
            });
        }
    }

    fn held(&self) -> BTreeMap<String, Held> {
        let mut held = BTreeMap::new();
        for (id, &holding) in &self.listed {
            let (Some(at), Some(parents)) = (self.known.get(id), self.parents.get(id)) else {
                continue;
            };
            if *at == Checkpoint::ShardEnd || !plan::is_readable(parents, |id| self.known.get(id)) {
                continue;
            }
            let lease = Held {
                shard_id: id.clone(),
                checkpoint: at.clone(),
                parents: parents.clone(),
                since_ms: None,
                is_new: self.fresh.contains(id),
                holding,
            };
            held.insert(id.clone(), lease);
        }
        held
    }
}

#[async_trait]
impl Coordinator for Alone {
    async fn sync(&self, shards: &[Shard], initial: &Checkpoint) -> Result<(), CheckpointError> {
        let mut state = self.state.lock();
        state.sync(shards, initial);
        self.publish(&state);
        if state.is_dirty {
            self.changed.notify_one();
        }
        Ok(())
    }

    fn held(&self) -> watch::Receiver<Arc<BTreeMap<String, Held>>> {
        self.held.subscribe()
    }

    /// The position is written within a second; until then a crash makes it be read again.
    async fn checkpoint(&self, held: &Held, to: &Checkpoint) -> Result<(), CheckpointError> {
        let mut state = self.state.lock();
        if state.listed.get(&held.shard_id) != Some(&held.holding) {
            return Err(CheckpointError::Lost);
        }
        let Some(at) = state.known.get_mut(&held.shard_id) else {
            return Err(CheckpointError::Lost);
        };
        if plan::compare(to, at).is_le() {
            return Ok(());
        }
        *at = to.clone();
        state.is_dirty = true;
        // What was read of a shard changes nothing for who reads it, until its end.
        if *to == Checkpoint::ShardEnd {
            self.publish(&state);
        }
        self.changed.notify_one();
        Ok(())
    }

    async fn run(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.changed.notified() => {}
            }
            self.write().await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(limits::POSITIONS_WRITE_INTERVAL) => {}
            }
        }
        self.write().await;
    }
}

#[cfg(test)]
mod tests;
