//! Files that are opened: what they are, and where reading of them begins.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    FileKey,
    identity::{Candidate, FileId, Position, Print, Stat, head},
    registry::{Decision, Registry},
    walk::{Found, renamed},
};
use crate::limits;

/// A file that was opened, or could not be.
pub struct Opened {
    pub found: Found,
    pub result: io::Result<(Candidate, Decision)>,
    /// Where reading begins, of a file that is new.
    pub begin: Position,
    /// It was found under a name that no pattern matches.
    pub renamed: bool,
}

/// What is opened, on the blocking threads.
pub struct Opening {
    pub registry: Arc<Mutex<Registry>>,
    pub refused: HashMap<FileId, Vec<FileKey>>,
    /// Files of which a pass is waiting or under way.
    pub busy: HashSet<FileKey>,
    pub now_ms: i64,
    /// Files that nothing is known of are passed over.
    pub at_end: bool,
}

impl Opening {
    pub fn open(&self, found: Found) -> Opened {
        let opened = Candidate::open(&found.path);
        let result = opened.map(|mut candidate| {
            candidate.refused = self.refused.get(&candidate.stat.id).cloned().unwrap_or_default();
            let decision = self.registry.lock().decide(&candidate, &self.busy, self.now_ms);
            (candidate, decision)
        });
        self.begun(found, result)
    }

    /// A file that was not to be said of yet.
    pub fn waited(&self, mut candidate: Candidate) -> Opened {
        let found = Found { path: candidate.path.clone(), stat: candidate.stat };
        candidate.waited = true;
        let result = candidate.refresh().map(|()| {
            let decision = self.registry.lock().decide(&candidate, &self.busy, self.now_ms);
            (candidate, decision)
        });
        self.begun(found, result)
    }

    fn begun(&self, found: Found, result: io::Result<(Candidate, Decision)>) -> Opened {
        let begin = match &result {
            Ok((candidate, _)) => beginning(candidate, self.at_end),
            Err(_) => Position::default(),
        };
        Opened { found, result, begin, renamed: false }
    }

    /// Files that were renamed to names that no pattern matches while the source did not run: the
    /// rest of them is read.
    pub fn renamed(&self, opened: &mut Vec<Opened>) {
        let decided = |opened: &Opened| match &opened.result {
            Ok((_, Decision::Continue(key))) => Some(key.clone()),
            _ => None,
        };
        let taken: HashSet<FileKey> = opened.iter().filter_map(decided).collect();
        let missing: HashMap<FileId, PathBuf> = self
            .registry
            .lock()
            .idle()
            .filter(|(key, it)| !taken.contains(*key) && !it.packed && !it.truncated)
            .map(|(_, it)| (it.id(), it.place().to_owned()))
            .collect();
        let seen: HashSet<FileId> = opened.iter().map(|opened| opened.found.stat.id).collect();
        for found in renamed(&missing) {
            if seen.contains(&found.stat.id) {
                continue;
            }
            let mut found = self.open(found);
            let unread = match &found.result {
                Ok((candidate, Decision::Continue(key))) => {
                    let registry = self.registry.lock();
                    registry.get(key).is_some_and(|it| it.position.at < candidate.stat.size)
                }
                _ => false,
            };
            if unread {
                found.renamed = true;
                opened.push(found);
            }
        }
    }
}

/// The position of a file that nothing is known of.
fn beginning(candidate: &Candidate, at_end: bool) -> Position {
    let Stat { id, size, mtime_ns, born_ns } = candidate.stat;
    let is_passed = at_end && candidate.packing.is_some();
    let mut position = Position {
        path: candidate.path.clone(),
        dev: id.dev,
        ino: id.ino,
        born: born_ns,
        size,
        mtime: mtime_ns,
        packed: candidate.packing.is_some(),
        done: is_passed,
        passed_over: if is_passed { size } else { 0 },
        ..Position::default()
    };
    if at_end && candidate.packing.is_none() && size > 0 {
        // A file that changes meanwhile is read from its beginning: twice is better than never.
        let _ = pass_over(&candidate.file, &mut position);
    }
    position
}

/// Moves the position behind the last whole line.
fn pass_over(file: &File, position: &mut Position) -> io::Result<()> {
    let mut tail = vec![0; 2 * limits::FILE_WINDOW_BYTES.min(position.size as usize)];
    let bytes = (tail.len() as u64).min(position.size);
    tail.truncate(bytes as usize);
    file.read_exact_at(&mut tail, position.size - bytes)?;
    let newline = memchr::memrchr(b'\n', &tail);
    // In the middle of a very long line: its rest is a record.
    let end = newline.map_or(tail.len(), |at| at + 1);
    let from = end.saturating_sub(limits::FILE_WINDOW_BYTES);
    position.at = position.size - bytes + end as u64;
    position.before = Print::of(&tail[from..end]);
    position.head = Print::of(&head(file)?);
    position.passed_over = position.at;
    Ok(())
}

/// The position of a known file, as the file lies now.
pub fn continued(position: Position, candidate: &Candidate) -> Position {
    let Stat { id, size, mtime_ns, born_ns } = candidate.stat;
    let moved = (candidate.path != position.path).then(|| candidate.path.clone());
    Position {
        moved,
        dev: id.dev,
        ino: id.ino,
        born: born_ns,
        size,
        mtime: mtime_ns,
        packed: candidate.packing.is_some(),
        done: false,
        truncated: false,
        ..position
    }
}
