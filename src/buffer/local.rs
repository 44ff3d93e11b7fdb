//! The local journal: a folder of segments, a writer thread, and cursors.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::{
    Options, check_put,
    crypto::{KeyError, Keyring},
    cursor::Cursors,
    frame::Identity,
    open::{self, LOCK, Opened},
    queue::Queue,
    reader,
    segment::Tuning,
    shared::Shared,
    stands::{self, Stands},
    writer::Writer,
};
use crate::{
    env::Env,
    limits,
    record::{Frame, Position, Put},
    seams::{AppendError, Appended, Entry, Journal, JournalError, JournalStats, Upstream},
};

/// Stack of the writer thread: it calls nothing deep, and there is one for each stream.
const WRITER_STACK_BYTES: usize = 256 * 1024;

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot {operation} {path}: {source}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("the journal {0} is in use by another process")]
    Locked(PathBuf),
    #[error(
        "a part of {path} cannot be read: {source}; nothing was changed in it, for it may hold acknowledged records"
    )]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} has format version {version}, which this program does not know")]
    Newer { path: PathBuf, version: u32 },
    #[error("{0} holds segments, but neither a state file nor a sound header says whose they are")]
    NoIdentity(PathBuf),
}

/// The durable log of one stream in a folder of its own.
pub struct LocalJournal {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl LocalJournal {
    /// Opens the journal in `folder`, or begins one. Blocks on the disk.
    pub fn open(
        folder: &Path,
        options: &Options,
        env: &Env,
        keys: Option<Arc<Keyring>>,
    ) -> Result<Self, OpenError> {
        Self::open_tuned(folder, options, env, keys, Tuning::default())
    }

    /// The same with other sizes, for tests.
    pub fn open_tuned(
        folder: &Path,
        options: &Options,
        env: &Env,
        keys: Option<Arc<Keyring>>,
        tuning: Tuning,
    ) -> Result<Self, OpenError> {
        let files = &*env.files;
        let error = |operation, source| OpenError::Io { operation, path: folder.into(), source };
        files.create_dir_all(folder).map_err(|source| error("create", source))?;
        let lock = files.lock(&folder.join(LOCK)).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked(folder.to_owned()),
            _ => error("lock", source),
        })?;
        let Opened { state, cursors_lost, table, next, calls, active, damaged, failed } =
            open::open(files, folder, &tuning)?;
        let is_new = next == 0 && state.cursors.is_empty() && active.is_none();
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            env: env.clone(),
            identity: Identity::new(state.id),
            durability: options.durability,
            keys,
            encrypted: AtomicBool::new(false),
            max_bytes: AtomicU64::new(options.max_size.0),
            table: Mutex::new(table),
            tail: watch::Sender::new(Position::new(0, next)),
            queue: Queue::new(tuning.append_queue_bytes),
            failed: OnceLock::new(),
            syncs: AtomicU64::new(0),
            sync_micros: AtomicU64::new(0),
            damaged: Mutex::default(),
            settled: watch::Sender::new(Position::new(
                0,
                state.cursors.values().min().copied().unwrap_or(0),
            )),
            stands: Mutex::default(),
            cursors: Cursors::new(state.cursors.clone()),
            places: Mutex::default(),
            handles: Mutex::default(),
            forgotten: Mutex::default(),
            ended: watch::Sender::new(false),
            tuning,
            lock: Mutex::new(Some(lock)),
        });
        if cursors_lost {
            shared.cursors.lost(shared.table.lock().oldest());
        }
        if let Some(failed) = failed {
            shared.fail("recovery", &failed);
        }
        for (first, end) in damaged {
            shared.report_damage(first, end);
        }
        if is_new {
            // The id must be durable before the first segment bears it, and the folder before
            // its first file.
            shared.save_cursors().map_err(|source| error("write the state of", source))?;
            if let Some(parent) = folder.parent() {
                files.sync_dir(parent).map_err(|source| error("sync the folder of", source))?;
            }
        } else {
            shared.reclaim();
        }
        let writer = Writer::new(Arc::clone(&shared), active, next, calls);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .stack_size(WRITER_STACK_BYTES)
            .spawn(move || writer.run())
            .map_err(|source| error("start the writer of", source))?;
        Ok(Self { shared, writer: Mutex::new(Some(thread)) })
    }

    /// Random, given when the journal was begun, and kept in every segment.
    pub fn id(&self) -> [u8; 16] {
        self.shared.identity.id
    }

    /// Whether puts from now on are encrypted. What is stored stays as it is, and readable.
    pub fn set_encrypted(&self, encrypted: bool) -> Result<(), KeyError> {
        if encrypted && self.shared.keys.is_none() {
            return Err(KeyError::Missing);
        }
        self.shared.encrypted.store(encrypted, Ordering::Relaxed);
        Ok(())
    }

    pub fn is_encrypted(&self) -> bool {
        self.shared.encrypted.load(Ordering::Relaxed)
    }

    /// The limit at which puts are refused, from now on.
    pub fn set_max_bytes(&self, max_bytes: u64) {
        self.shared.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    /// True if the record at this position is still kept and not known to be damaged.
    pub fn contains(&self, position: Position) -> bool {
        let oldest = self.shared.table.lock().oldest();
        position.lane == 0
            && (oldest..self.shared.tail.borrow().sequence).contains(&position.sequence)
            && !self.shared.damaged.lock().contains(position.sequence)
    }

    /// Waits for the end of a writer that dropped a put, and answers with its cause.
    async fn ended_without_answer(&self) -> AppendError {
        self.ended().await;
        let cause = self.shared.failed.get().cloned();
        AppendError::Failed(cause.unwrap_or_else(|| "the writer has ended unexpectedly".into()))
    }

    async fn ended(&self) {
        let mut ended = self.shared.ended.subscribe();
        // The sender lives in `shared`, so waiting cannot fail.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Returns once a version of the cursors is in the file. Callers that wait together share one
    /// replacement of it.
    async fn persist(&self, version: u64) -> Result<(), JournalError> {
        let guard = Arc::clone(&self.shared.cursors.saver).lock_owned().await;
        if self.shared.cursors.is_durable(version) {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        // The guard goes along: a caller that goes away must not let two replacements meet.
        let saved = tokio::task::spawn_blocking(move || {
            let _guard = guard;
            if shared.is_left() {
                return Err(io::Error::other("the journal is closed"));
            }
            shared.save_cursors()
        });
        let saved = saved.await.map_err(io::Error::other).flatten();
        saved.map_err(|error| JournalError::Io { operation: "commit", message: error.to_string() })
    }
}

#[async_trait]
impl Journal for LocalJournal {
    async fn append(&self, put: Put) -> Result<Appended, AppendError> {
        self.append_shared(Arc::new(put)).await
    }

    async fn append_shared(&self, put: Arc<Put>) -> Result<Appended, AppendError> {
        let encrypted = self.is_encrypted();
        check_put(&put, encrypted)?;
        if let Some(cause) = self.shared.failed.get() {
            return Err(AppendError::Failed(Arc::clone(cause)));
        }
        if put.lengths.is_empty() {
            let first = *self.shared.tail.borrow();
            return Ok(Appended { first, records: 0, repeated: false, places: None });
        }
        let (answer, waiting) = oneshot::channel();
        match self.shared.queue.push(put, encrypted, answer).await {
            Ok(()) => match waiting.await {
                Ok(result) => result,
                Err(_) => Err(self.ended_without_answer().await),
            },
            // The writer may have ended without being told to.
            Err(error) => match self.shared.failed.get() {
                Some(cause) => Err(AppendError::Failed(Arc::clone(cause))),
                None => Err(error),
            },
        }
    }

    fn tail(&self) -> watch::Receiver<Position> {
        self.shared.tail.subscribe()
    }

    async fn read(
        &self,
        from: Position,
        before: Position,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, JournalError> {
        let tail = self.shared.tail.borrow().sequence;
        let (from, before) = (from.sequence, before.sequence.min(tail));
        if from >= before {
            return Ok(Vec::new());
        }
        let shared = Arc::clone(&self.shared);
        let read = move || reader::read(&shared, from, before, max_bytes);
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| JournalError::Io { operation: "read", message: error.to_string() })?
    }

    async fn open_cursor(&self, name: &str, from_tail: bool) -> Result<Position, JournalError> {
        if !Cursors::is_name(name) {
            let text = "(a name that is empty or has more than 65,535 bytes)";
            return Err(JournalError::UnknownCursor(text.to_owned()));
        }
        let shared = &self.shared;
        let (position, version) = shared.cursors.open(name, |lost| {
            let tail = shared.tail.borrow().sequence;
            if from_tail && !lost { tail } else { shared.table.lock().oldest() }
        });
        self.persist(version).await?;
        Ok(Position::new(0, position))
    }

    async fn commit(&self, cursor: &str, before: Position) -> Result<(), JournalError> {
        let before = before.sequence.min(self.shared.tail.borrow().sequence);
        let version = Cursors::is_name(cursor).then(|| self.shared.cursors.advance(cursor, before));
        let version = version.flatten();
        self.persist(version.ok_or_else(|| JournalError::UnknownCursor(cursor.to_owned()))?).await
    }

    fn cursors(&self) -> Vec<String> {
        self.shared.cursors.names()
    }

    async fn drop_cursor(&self, name: &str) -> Result<(), JournalError> {
        let version = Cursors::is_name(name).then(|| self.shared.cursors.drop(name)).flatten();
        self.persist(version.ok_or_else(|| JournalError::UnknownCursor(name.to_owned()))?).await
    }

    async fn upstream(&self) -> Result<Upstream, JournalError> {
        let shared = Arc::clone(&self.shared);
        let loaded = tokio::task::spawn_blocking(move || load_stands(&shared)).await;
        let failed = |message: String| JournalError::Io { operation: "read of positions", message };
        let positions = loaded.map_err(|error| failed(error.to_string()))??;
        Ok(Upstream { positions, durable: true })
    }

    fn settled(&self) -> watch::Receiver<Position> {
        self.shared.settled.subscribe()
    }

    fn stats(&self) -> JournalStats {
        JournalStats {
            used_bytes: self.shared.used_bytes(),
            max_bytes: self.shared.max_bytes(),
            failed: self.shared.failed.get().cloned(),
            syncs: self.shared.syncs.load(Ordering::Relaxed),
            sync_micros: self.shared.sync_micros.load(Ordering::Relaxed),
            damaged: self.shared.damaged.lock().count(),
        }
    }

    async fn close(&self) {
        self.shared.queue.close();
        self.ended().await;
        // A replacement of the state that is under way ends before the folder is let go.
        let guard = Arc::clone(&self.shared.cursors.saver).lock_owned().await;
        let shared = Arc::clone(&self.shared);
        let left = tokio::task::spawn_blocking(move || {
            let _guard = guard;
            shared.leave();
        });
        // A panic in it was reported where it happened; the folder then stays ours.
        let _ = left.await;
    }
}

/// Where the source stands: what the file says, and the frames behind it. From then on the writer
/// keeps it up to date.
fn load_stands(shared: &Shared) -> Result<BTreeMap<String, String>, JournalError> {
    if let Some(stands) = &*shared.stands.lock() {
        return Ok(stands.positions.clone());
    }
    let loaded = Stands::load(&*shared.env.files, &shared.folder, shared.identity.id);
    let mut stands = loaded.map_err(|error| JournalError::Io {
        operation: "read of positions",
        message: format!("{}: {error}", shared.folder.join(stands::FILE).display()),
    })?;
    stands.through = stands.through.max(shared.table.lock().oldest());
    loop {
        let mut kept = shared.stands.lock();
        let tail = shared.tail.borrow().sequence;
        if stands.through >= tail {
            let positions = stands.positions.clone();
            *kept = Some(stands);
            return Ok(positions);
        }
        // Not while the writer waits for it.
        drop(kept);
        for entry in reader::read(shared, stands.through, tail, limits::READ_BYTES)? {
            let end = entry.end().sequence;
            match entry {
                Entry::Frame(Frame { provenance: Some(provenance), .. }) => {
                    stands.apply(&provenance.get().steps, end);
                }
                _ => stands.through = end,
            }
        }
    }
}

impl Drop for LocalJournal {
    /// Waits for the writer, so that the folder can be opened again at once.
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(thread) = self.writer.lock().take() {
            // A panic of the writer was reported when it happened.
            let _ = thread.join();
        }
    }
}
