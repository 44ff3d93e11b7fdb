//! Which files are known, and how far they were read; and whose continuation a file is that was
//! just found.
//!
//! | found is | and | then |
//! |---|---|---|
//! | the inode of a known file | born when it was, begins alike, is as long, has the same bytes before the place | goes on |
//! | the inode of a known file | anything else | new, from 0: truncated, or the number was given anew |
//! | another inode, begins alike, has the same bytes before the place | evidence of a copy (below) | goes on |
//! | another inode, as above | the known file is still there and may be about to be truncated | waits |
//! | anything else | | new, from 0 |
//!
//! Evidence of a copy: the known file is gone and both were last changed at the same moment (`mv`
//! to another filesystem); or it was truncated and the copy's name begins with its own (`app.log`,
//! `app.log.1`); or the copy is compressed, and its name begins so or it was last changed in the
//! same second; of one that is still there, it must have its name and no more than `.gz` or `.zst`,
//! or have been last changed at the same moment. Without it a file that only begins as another did
//! (a banner, a header) would lose its first lines.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use super::{
    FileKey,
    identity::{Candidate, FileId, Position, Stat, extends, name, unpacked_name},
};
use crate::limits;

/// What is known of one file.
#[derive(Debug, Clone)]
pub struct Known {
    pub position: Position,
    pub reading: Reading,
}

/// Whether it is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    No,
    /// Yes, and a pattern matches it.
    Yes,
    /// Yes, but it was renamed or deleted and ends soon.
    Leaving,
}

/// What to do with a file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Read on where this one stands. Of a compressed file, its unpacked bytes must show that it
    /// is the one.
    Continue(FileKey),
    /// Everything in it is in the journal, if its unpacked bytes are those of a file that is read
    /// to its end, and is still there.
    Compare(FileKey),
    /// Nothing is to be done until it changes.
    Settled,
    /// Read it from its beginning.
    Fresh,
    /// It is not to be said yet.
    Wait,
}

/// Positions by key.
#[derive(Default)]
pub struct Registry {
    files: BTreeMap<FileKey, Known>,
    /// Since when (monotonic) files are gone, while there are more of them than are remembered.
    gone_since: BTreeMap<FileKey, Duration>,
}

impl Registry {
    pub fn new(positions: impl IntoIterator<Item = (FileKey, Position)>) -> Self {
        let known = |position| Known { position, reading: Reading::No };
        let files = positions.into_iter().map(|(key, it)| (key, known(it))).collect();
        Self { files, gone_since: BTreeMap::new() }
    }

    pub fn get(&self, key: &str) -> Option<&Known> {
        self.files.get(key)
    }

    pub fn set(&mut self, key: &str, position: Position, reading: Reading) {
        self.files.insert(key.to_owned(), Known { position, reading });
    }

    pub fn remove(&mut self, key: &str) {
        self.files.remove(key);
    }

    pub fn set_reading(&mut self, key: &str, reading: Reading) {
        if let Some(known) = self.files.get_mut(key) {
            known.reading = reading;
        }
    }

    /// Files that nobody reads.
    pub fn idle(&self) -> impl Iterator<Item = (&FileKey, &Position)> {
        let idle = self.files.iter().filter(|(_, known)| known.reading == Reading::No);
        idle.map(|(key, known)| (key, &known.position))
    }

    /// A key that no file has: of a generation of a file.
    pub fn key(&self, id: FileId, now_ms: i64) -> (FileKey, i64) {
        let mut since = now_ms;
        loop {
            let key = format!("{:x}-{:x}-{since:x}", id.dev, id.ino);
            if !self.files.contains_key(&key) {
                return (key, since);
            }
            since += 1;
        }
    }

    /// Forgets the oldest of the files that nobody reads and that `keep` does not speak for, and has
    /// not for long, down to the number that is kept; however long, if there are too many of them
    /// to wait. `now` is monotonic. Answers their keys.
    pub fn forget(&mut self, keep: impl Fn(FileId) -> bool, now: Duration) -> Vec<FileKey> {
        let mut gone: Vec<(i64, FileKey)> = self
            .idle()
            .filter(|(_, position)| !keep(position.id()))
            .map(|(key, position)| (position.mtime, key.clone()))
            .collect();
        let surplus = gone.len().saturating_sub(limits::FILES_REMEMBERED);
        if surplus == 0 {
            self.gone_since.clear();
            return Vec::new();
        }
        gone.sort_unstable();
        let mut before = std::mem::take(&mut self.gone_since);
        let since = |(_, key): &(i64, FileKey)| {
            let since = before.remove(key).unwrap_or(now);
            (key.clone(), since)
        };
        self.gone_since = gone.iter().map(since).collect();
        let urgent = gone.len().saturating_sub(limits::FILES_MAX);
        let long_gone = |key: &FileKey| {
            let since = self.gone_since.get(key).copied().unwrap_or(now);
            now.saturating_sub(since) >= limits::FILE_FORGET_AFTER
        };
        let forgotten: Vec<_> = gone
            .into_iter()
            .enumerate()
            .filter(|(i, (_, key))| *i < urgent || long_gone(key))
            .map(|(_, (_, key))| key)
            .take(surplus)
            .collect();
        for key in &forgotten {
            self.files.remove(key);
            self.gone_since.remove(key);
        }
        forgotten
    }

    /// What to do with a file; `busy` are those of which a pass is waiting or under way: what is
    /// known of them is about to change. Reads it, and blocks.
    pub fn decide(
        &mut self,
        candidate: &Candidate,
        busy: &HashSet<FileKey>,
        now_ms: i64,
    ) -> Decision {
        if let Some(decision) = self.same_inode(candidate) {
            return decision;
        }
        let quiet_for = now_ms - candidate.stat.mtime_ns / 1_000_000;
        let quiet = candidate.gone || quiet_for >= limits::FILE_QUIET.as_millis() as i64;
        match candidate.packing {
            // At first sight its original may be about to be found, too.
            Some(_) if !quiet || !candidate.waited => Decision::Wait,
            Some(_) => self.packed_copy(candidate, busy),
            None => self.plain_copy(candidate, busy, quiet),
        }
    }

    fn same_inode(&mut self, candidate: &Candidate) -> Option<Decision> {
        let stat = &candidate.stat;
        let exact = self.files.values().any(|known| known.position.id() == stat.id);
        let mut keys: Vec<(i64, FileKey)> = self
            .files
            .iter()
            .filter(|(key, known)| {
                let position = &known.position;
                // Devices are numbered anew when a machine starts: then the path speaks for it.
                let renumbered =
                    !exact && position.ino == stat.id.ino && position.place() == candidate.path;
                known.reading == Reading::No
                    && !position.truncated
                    && (position.id() == stat.id || renumbered)
                    && !candidate.refused.contains(*key)
            })
            .map(|(key, known)| (known.position.since, key.clone()))
            .collect();
        keys.sort_unstable();
        for (_, key) in keys.into_iter().rev() {
            let known = self.files.get_mut(&key).expect("it was found there");
            let position = &mut known.position;
            if position.may_be(stat) && position.packed == candidate.packing.is_some() {
                if position.packed {
                    return Some(packed_on(key, position, candidate));
                }
                if position.continues_in(candidate) {
                    return Some(Decision::Continue(key));
                }
            }
            // A file born at another time is another one: this one is gone, and not truncated.
            position.truncated |= position.may_be(stat);
        }
        None
    }

    /// A plain file that may be a copy of one that is known.
    fn plain_copy(&self, candidate: &Candidate, busy: &HashSet<FileKey>, quiet: bool) -> Decision {
        let mut decision = Decision::Fresh;
        for (key, Known { position, reading }) in self.alike(candidate, busy) {
            let is_busy = busy.contains(key);
            if position.at == 0 && !is_busy {
                continue;
            }
            let renamed_copy = extends_any(candidate, position);
            // A second is not exact enough here: a new file may be written in the one in which
            // another was deleted.
            let moved = candidate.stat.mtime_ns == position.mtime;
            match reading {
                Reading::No
                    if (moved || (position.truncated && renamed_copy))
                        && position.continues_in(candidate) =>
                {
                    return Decision::Continue(key.clone());
                }
                Reading::Leaving if moved || is_busy => decision = Decision::Wait,
                Reading::Yes if renamed_copy && (!quiet || is_busy) => decision = Decision::Wait,
                _ => {}
            }
        }
        decision
    }

    /// A compressed file that may hold one that is known.
    fn packed_copy(&self, candidate: &Candidate, busy: &HashSet<FileKey>) -> Decision {
        let original = unpacked_name(&candidate.path);
        for (key, Known { position, reading }) in self.alike(candidate, busy) {
            let is_its_name = original.as_deref() == Some(position.place());
            return match reading {
                Reading::No if position.at == 0 => continue,
                Reading::No => Decision::Continue(key.clone()),
                Reading::Leaving => Decision::Wait,
                Reading::Yes if busy.contains(key) => Decision::Wait,
                // It is still there, and what it has in common with this one may be its first
                // line: that it was copied must show in more.
                Reading::Yes if !is_its_name && candidate.stat.mtime_ns != position.mtime => {
                    continue;
                }
                Reading::Yes if position.at < position.size => Decision::Wait,
                Reading::Yes => Decision::Compare(key.clone()),
            };
        }
        Decision::Fresh
    }

    /// Plain files of other inodes that begin alike, the most telling one first; with them those
    /// of which it is not known yet how they begin.
    ///
    /// Of many files little is known but a first line that all have: one that was changed at the
    /// same moment comes before them, and one that was read further. None is copied before it is
    /// written.
    fn alike<'a>(
        &'a self,
        candidate: &'a Candidate,
        busy: &HashSet<FileKey>,
    ) -> impl Iterator<Item = (&'a FileKey, &'a Known)> {
        let alike = |(key, known): &(&FileKey, &Known)| {
            let position = &known.position;
            !position.packed
                && position.id() != candidate.stat.id
                && (position.head.bytes > 0 || busy.contains(*key))
                && !candidate.refused.contains(*key)
                && (extends_any(candidate, position) || same_second(&candidate.stat, position))
                && position.head.begins(&candidate.head)
        };
        let mut files: Vec<_> = self.files.iter().filter(alike).collect();
        let mtime = candidate.stat.mtime_ns;
        files.sort_by_key(|(_, Known { position, .. })| {
            let place = name(position.place()).len();
            Reverse((position.mtime == mtime, position.mtime <= mtime, position.at, place))
        });
        files.into_iter()
    }
}

/// A compressed file that is known.
fn packed_on(key: FileKey, position: &Position, candidate: &Candidate) -> Decision {
    let Stat { size, mtime_ns, .. } = candidate.stat;
    if position.done && (position.size, position.mtime) == (size, mtime_ns) {
        return Decision::Settled;
    }
    Decision::Continue(key)
}

/// Whether it lies beside the known file, under one of its names and something more.
fn extends_any(candidate: &Candidate, position: &Position) -> bool {
    [position.place(), &position.path].iter().any(|path| extends(&candidate.path, path))
}

fn same_second(stat: &Stat, position: &Position) -> bool {
    stat.mtime_ns.div_euclid(1_000_000_000) == position.mtime.div_euclid(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::{super::identity::Print, *};

    fn position(ino: u64, mtime: i64) -> Position {
        Position { ino, mtime, ..Position::default() }
    }

    #[test]
    fn of_files_that_are_gone_the_oldest_are_forgotten() {
        let gone = limits::FILES_REMEMBERED as u64 + 3;
        let known = (0..gone).map(|i| (format!("{i}"), position(i, i as i64)));
        let mut registry = Registry::new(known);
        registry.set("read", position(gone, -5), Reading::Yes);
        let start = Duration::from_secs(5);
        let long = start + limits::FILE_FORGET_AFTER;
        let none: [&str; 0] = [];
        assert_eq!(registry.forget(|_| false, start), none, "a folder may be away for a while");
        assert_eq!(registry.forget(|_| true, start), none);
        assert_eq!(registry.forget(|id| id.ino == 0, long), none, "they were there in between");
        // The oldest is there, and closed.
        let longer = long + limits::FILE_FORGET_AFTER;
        let mut forgotten = registry.forget(|id| id.ino == 0, longer);
        forgotten.sort_unstable();
        assert_eq!(forgotten, ["1", "2"]);
        assert!(registry.get("0").is_some() && registry.get("read").is_some());
        assert!(registry.get("1").is_none() && registry.get("3").is_some());
        assert!(registry.forget(|id| id.ino == 0, longer * 2).is_empty());
    }

    #[test]
    fn too_many_files_that_are_gone_are_not_waited_for() {
        let gone = limits::FILES_MAX as u64 + 2;
        let known = (0..gone).map(|i| (format!("{i}"), position(i, i as i64)));
        let mut registry = Registry::new(known);
        assert_eq!(registry.forget(|_| false, Duration::ZERO), ["0", "1"]);
        assert!(registry.forget(|_| false, Duration::ZERO).is_empty());
    }

    #[test]
    fn a_copy_is_of_the_file_of_which_most_tells() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log.1.zst");
        std::fs::write(&path, zstd::stream::encode_all(&b"begin\nline\n"[..], 1).unwrap()).unwrap();
        let mut candidate = Candidate::open(&path).unwrap();
        candidate.waited = true;
        let mtime = candidate.stat.mtime_ns;
        let now_ms = mtime / 1_000_000 + limits::FILE_QUIET.as_millis() as i64 + 1;
        let known = |ino, read: &[u8], mtime| Position {
            path: folder.path().join("app.log"),
            ino,
            at: read.len() as u64,
            mtime,
            head: Print::of(read),
            before: Print::of(read),
            ..Position::default()
        };
        let earlier = mtime - 1;
        let cases = [
            ("read further", (&b"begin\nline\n"[..], earlier), (&b"begin\n"[..], earlier)),
            ("changed at the same moment", (b"begin\n", mtime), (b"begin\nline\n", earlier)),
            ("not changed since", (b"begin\n", earlier), (b"begin\nline\n", mtime + 1)),
        ];
        for (what, (read, at), (other, other_at)) in cases {
            for [it, not_it] in [["a", "b"], ["b", "a"]] {
                let both = [(it, known(1, read, at)), (not_it, known(2, other, other_at))];
                let both = both.map(|(key, position)| (key.to_owned(), position));
                let decision = Registry::new(both).decide(&candidate, &HashSet::new(), now_ms);
                assert_eq!(decision, Decision::Continue(it.to_owned()), "{what}");
            }
        }
    }

    #[test]
    fn two_generations_of_an_inode_have_two_keys() {
        let mut registry = Registry::default();
        let id = FileId { dev: 1, ino: 2 };
        let (first, since) = registry.key(id, 100);
        registry.set(&first, position(2, 0), Reading::No);
        let (second, later) = registry.key(id, 100);
        assert!(first != second && later > since);
    }
}
