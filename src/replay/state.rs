//! What a replay remembers, so that the next run goes on where this one stopped.
//!
//! The file is lines of JSON, each of which says one thing for good:
//!
//! | line | meaning |
//! |---|---|
//! | `{"standpipe_replay":1,"purpose":"…"}` | the first: what is replayed to where; another purpose does not use this file |
//! | `{"run":1,"started_ms":…}` | a run began |
//! | `{"finished":ID,"key":"…","whole":true}` | an object is done; `whole` if all of its records were taken |
//! | `{"gone":ID}` | a finished object is deleted or moved: it needs to be known no longer |
//! | `{"partly":ID,"records":n,"left":m}` | the first `n` records of an object are done, `m` of them were not taken |
//! | `{"again":c,"run":1,"records":"…"}` | these records (digests of 16 bytes, in base64) were handed on in a run, for the `c`-th time |
//!
//! `ID` is a digest of the object's bucket, key, size, time and ETag: an object that is replaced
//! under its key is another one. Lines are appended with one write each time something is settled;
//! they are synced before an object is deleted or moved, when one is finished, and otherwise
//! every second. A torn last line is cut off, which repeats what it told of and loses nothing.
//! When the file is opened it is written anew without what is over, under another name, synced,
//! and put in its place.
//!
//! # Circles
//!
//! A record that fails again comes back as a new line in a new object, and Firehose's API has no
//! place where a count of attempts could travel with it. So the state remembers digests of the
//! records themselves (without white space at the end, for streams add line breaks), and in which
//! run each was handed on. A line whose last attempt ended *after* that run began tells of a
//! failure since then: the record has come back. Lines from before are the same record written
//! twice, as heartbeats are, and count once. After so many rounds (`max_replays`) the record is
//! not handed on any more, and the report says so.
//!
//! The memory is bounded: a million records, for thirty days. What does not fit is handed on
//! without being remembered, and counted.

use std::{
    collections::{HashMap, hash_map::Entry},
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{line::FailedLine, store::Object};
use crate::{
    env::{Clock, Env, File},
    limits,
};

const VERSION: u32 = 1;
/// Bytes of digests of one line: long lines are read as a whole.
const DIGESTS_PER_LINE: usize = 4096;

/// The first half of a SHA-256.
pub type Digest = [u8; 16];

fn short(bytes: &[u8]) -> Digest {
    let mut short = [0; 16];
    short.copy_from_slice(&digest(&SHA256, bytes).as_ref()[..16]);
    short
}

/// What a record is recognised by.
pub fn digest_of(raw: &[u8]) -> Digest {
    short(raw.trim_ascii_end())
}

/// What an object is recognised by. One that a manifest names is read in another way than where a
/// listing comes upon it, so it is another one.
pub fn id_of(object: &Object, is_named: bool) -> Digest {
    let Object { bucket, key, size_bytes, modified_ms, etag } = object;
    let named = if is_named { "\0named" } else { "" };
    short(format!("{bucket}\0{key}\0{size_bytes}\0{modified_ms}\0{etag}{named}").as_bytes())
}

/// A short name for a purpose, for the name of its file.
pub fn fingerprint(purpose: &str) -> String {
    hex::encode(&short(purpose.as_bytes())[..8])
}

/// How far an object has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records from its beginning that are settled.
    pub records: u64,
    /// Those among them that were not taken.
    pub left: u64,
}

/// What is settled at one time.
#[derive(Debug, Default)]
pub struct Changes {
    /// With the key, for whoever reads the file, and whether all records were taken.
    pub finished: Vec<(Digest, String, bool)>,
    pub partly: Vec<(Digest, Progress)>,
    /// Records that were handed on.
    pub records: Vec<Digest>,
}

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("the state file {path} is of another replay ({found}); give another with --state")]
    Purpose { path: PathBuf, found: String },
    #[error("the state file {path} is no state file of a replay")]
    Foreign { path: PathBuf },
    #[error("the state file {path} is in use by another replay")]
    InUse { path: PathBuf },
    #[error("the state file {path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// When and how often a record was handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Replays {
    /// The run in which it was counted last.
    run: u16,
    count: u8,
}

/// The memory of a replay.
pub struct State {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    file: Box<dyn File>,
    end: u64,
    synced: Duration,
    finished: HashMap<Digest, bool>,
    partly: HashMap<Digest, Progress>,
    /// When each run began; the last is this one.
    runs: Vec<i64>,
    replays: HashMap<Digest, Replays>,
    unremembered: u64,
    /// Held as long as the file is used.
    _lock: Box<dyn std::any::Any + Send + Sync>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Header { standpipe_replay: u32, purpose: String },
    Finished { finished: String, key: String, whole: bool },
    Partly { partly: String, records: u64, left: u64 },
    Gone { gone: String },
    Again { again: u8, run: u16, records: String },
    Run { run: u16, started_ms: i64 },
}

impl State {
    /// Opens or begins the file and begins a run. `purpose` says what is replayed to where, with
    /// everything that decides which records are meant.
    pub fn open(env: &Env, path: &Path, purpose: &str) -> Result<Self, StateError> {
        let failed = |error| StateError::Io { path: path.to_owned(), error };
        let files = env.files.clone();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            files.create_dir_all(folder).map_err(failed)?;
        }
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock = files.lock(Path::new(&lock)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StateError::InUse { path: path.to_owned() },
            _ => failed(error),
        })?;
        let text = match files.read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let now_ms = env.clock.now_ms();
        let loaded = Loaded::read(path, &text, purpose, now_ms)?;
        let content = loaded.compacted(purpose, &text);
        drop(text);
        files.replace(path, &content).map_err(failed)?;
        let file = files.open(path).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            clock: env.clock.clone(),
            file,
            end: content.len() as u64,
            synced: env.clock.monotonic(),
            finished: loaded.finished,
            partly: loaded.partly,
            runs: loaded.runs,
            replays: loaded.replays,
            unremembered: 0,
            _lock: lock,
        })
    }

    /// Whether an object is done, and if so, whether all of its records were taken.
    pub fn finished(&self, id: &Digest) -> Option<bool> {
        self.finished.get(id).copied()
    }

    pub fn progress(&self, id: &Digest) -> Progress {
        self.partly.get(id).copied().unwrap_or_default()
    }

    /// How often a record came back after it was handed on, this time included.
    pub fn returns(&self, record: &Digest, line: &FailedLine) -> u32 {
        match self.replays.get(record) {
            Some(replays) if self.has_come_back(replays, line) => u32::from(replays.count),
            Some(replays) => u32::from(replays.count).saturating_sub(1),
            None => 0,
        }
    }

    fn has_come_back(&self, replays: &Replays, line: &FailedLine) -> bool {
        if usize::from(replays.run) + 1 == self.runs.len() {
            return false;
        }
        let Some(began_ms) = self.runs.get(usize::from(replays.run)) else { return true };
        let skew = limits::REPLAY_CLOCK_SKEW.as_millis() as i64;
        line.ended_ms
            .or(line.arrival_ms)
            .is_none_or(|ended| ended.saturating_add(skew) >= *began_ms)
    }

    /// Counts a record that is being handed on; answers with what belongs into [`Changes`].
    pub fn count(&mut self, record: Digest, line: &FailedLine) -> Option<Digest> {
        let run = (self.runs.len() - 1) as u16;
        if let Some(replays) = self.replays.get(&record).copied() {
            if !self.has_come_back(&replays, line) {
                return None;
            }
            let count = replays.count.saturating_add(1);
            self.replays.insert(record, Replays { run, count });
            return Some(record);
        }
        if self.replays.len() >= limits::REPLAY_REMEMBERED {
            self.unremembered += 1;
            return None;
        }
        self.replays.insert(record, Replays { run, count: 1 });
        Some(record)
    }

    /// Records for which there was no room.
    pub fn unremembered(&self) -> u64 {
        self.unremembered
    }

    /// Writes down what is settled. Once this returned Ok, finished objects may be deleted.
    pub fn commit(&mut self, changes: &Changes) -> Result<(), StateError> {
        let mut text = Vec::new();
        self.write_records(&changes.records, &mut text);
        for (id, progress) in &changes.partly {
            let Progress { records, left } = *progress;
            push(&mut text, &Line::Partly { partly: hex::encode(id), records, left });
            self.partly.insert(*id, *progress);
        }
        for (id, key, whole) in &changes.finished {
            let (finished, key) = (hex::encode(id), key.clone());
            push(&mut text, &Line::Finished { finished, key, whole: *whole });
            self.partly.remove(id);
            self.finished.insert(*id, *whole);
        }
        if text.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all_at(&[IoSlice::new(&text)], self.end);
        written.map_err(|error| self.failed(error))?;
        self.end += text.len() as u64;
        let now = self.clock.monotonic();
        if !changes.finished.is_empty() || now - self.synced >= limits::REPLAY_SYNC_INTERVAL {
            self.sync()?;
        }
        Ok(())
    }

    /// A finished object is not there any more. If this is lost the object stays known, no more.
    pub fn forget(&mut self, id: &Digest) -> Result<(), StateError> {
        let mut text = Vec::new();
        push(&mut text, &Line::Gone { gone: hex::encode(id) });
        let written = self.file.write_all_at(&[IoSlice::new(&text)], self.end);
        written.map_err(|error| self.failed(error))?;
        self.end += text.len() as u64;
        self.finished.remove(id);
        Ok(())
    }

    pub fn sync(&mut self) -> Result<(), StateError> {
        self.file.sync_data().map_err(|error| self.failed(error))?;
        self.synced = self.clock.monotonic();
        Ok(())
    }

    fn failed(&self, error: io::Error) -> StateError {
        StateError::Io { path: self.path.clone(), error }
    }

    fn write_records(&self, records: &[Digest], text: &mut Vec<u8>) {
        let run = (self.runs.len() - 1) as u16;
        let mut by_count: HashMap<u8, Vec<Digest>> = HashMap::new();
        for record in records {
            let count = self.replays.get(record).map_or(1, |replays| replays.count);
            by_count.entry(count).or_default().push(*record);
        }
        for (count, records) in by_count {
            push_records(text, count, run, &records);
        }
    }
}

fn push(text: &mut Vec<u8>, line: &Line) {
    serde_json::to_writer(&mut *text, line).expect("texts and numbers serialize");
    text.push(b'\n');
}

fn push_records(text: &mut Vec<u8>, again: u8, run: u16, records: &[Digest]) {
    for some in records.chunks(DIGESTS_PER_LINE) {
        let records = base64_simd::STANDARD.encode_to_string(some.as_flattened());
        push(text, &Line::Again { again, run, records });
    }
}

/// A file as it was read.
#[derive(Default)]
struct Loaded {
    finished: HashMap<Digest, bool>,
    partly: HashMap<Digest, Progress>,
    runs: Vec<i64>,
    replays: HashMap<Digest, Replays>,
}

impl Loaded {
    fn read(path: &Path, text: &[u8], purpose: &str, now_ms: i64) -> Result<Self, StateError> {
        let mut loaded = Self::default();
        for (number, line) in whole_lines(text).enumerate() {
            match (number, serde_json::from_slice(line)) {
                (0, Ok(Line::Header { standpipe_replay: VERSION, purpose: found })) => {
                    if found != purpose {
                        return Err(StateError::Purpose { path: path.to_owned(), found });
                    }
                }
                (0, _) => return Err(StateError::Foreign { path: path.to_owned() }),
                // A line torn by a crash and written behind: what it told of is done again.
                (_, Err(_)) => tracing::warn!(number, "line of the state file is left out"),
                (_, Ok(line)) => loaded.take(line),
            }
        }
        loaded.forget(now_ms);
        // More runs than can be numbered: the oldest are over long since.
        if loaded.runs.len() >= usize::from(u16::MAX) {
            loaded.runs.clear();
            loaded.replays.clear();
        }
        loaded.runs.push(now_ms);
        Ok(loaded)
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Header { .. } => {}
            Line::Run { started_ms, .. } => self.runs.push(started_ms),
            Line::Finished { finished, whole, .. } => {
                if let Some(id) = digest_from_hex(&finished) {
                    self.partly.remove(&id);
                    self.finished.insert(id, whole);
                }
            }
            Line::Gone { gone } => {
                if let Some(id) = digest_from_hex(&gone) {
                    self.finished.remove(&id);
                }
            }
            Line::Partly { partly, records, left } => {
                if let Some(id) = digest_from_hex(&partly) {
                    self.partly.insert(id, Progress { records, left });
                }
            }
            Line::Again { again, run, records } => {
                let bytes = base64_simd::STANDARD.decode_to_vec(records).unwrap_or_default();
                for record in bytes.as_chunks::<16>().0 {
                    let full = self.replays.len() >= limits::REPLAY_REMEMBERED;
                    match self.replays.entry(*record) {
                        Entry::Vacant(_) if full => {}
                        entry => {
                            entry.insert_entry(Replays { run, count: again });
                        }
                    }
                }
            }
        }
    }

    fn forget(&mut self, now_ms: i64) {
        let oldest = now_ms - limits::REPLAY_REMEMBERED_FOR.as_millis() as i64;
        let runs = &self.runs;
        self.replays.retain(|_, replays| {
            runs.get(usize::from(replays.run)).is_some_and(|began| *began >= oldest)
        });
    }

    /// The file without what is over. Lines of finished objects stay as they are.
    fn compacted(&self, purpose: &str, text: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        let header = Line::Header { standpipe_replay: VERSION, purpose: purpose.to_owned() };
        push(&mut content, &header);
        for (run, started_ms) in self.runs.iter().enumerate() {
            push(&mut content, &Line::Run { run: run as u16, started_ms: *started_ms });
        }
        let is_there = |line: &&[u8]| match serde_json::from_slice(line) {
            Ok(Line::Finished { finished, .. }) => {
                digest_from_hex(&finished).is_some_and(|id| self.finished.contains_key(&id))
            }
            _ => false,
        };
        let finished = whole_lines(text).filter(|line| line.starts_with(b"{\"finished\""));
        for line in finished.filter(is_there) {
            content.extend_from_slice(line);
            content.push(b'\n');
        }
        for (id, Progress { records, left }) in &self.partly {
            let line = Line::Partly { partly: hex::encode(id), records: *records, left: *left };
            push(&mut content, &line);
        }
        let mut groups: HashMap<(u8, u16), Vec<Digest>> = HashMap::new();
        for (record, Replays { run, count }) in &self.replays {
            groups.entry((*count, *run)).or_default().push(*record);
        }
        for ((count, run), records) in groups {
            push_records(&mut content, count, run, &records);
        }
        content
    }
}

/// Lines that end in a line break: the last one may be torn.
fn whole_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = memchr::memrchr(b'\n', text).map_or(0, |at| at + 1);
    text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn digest_from_hex(text: &str) -> Option<Digest> {
    let mut id = [0; 16];
    hex::decode_to_slice(text, &mut id).ok()?;
    Some(id)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
