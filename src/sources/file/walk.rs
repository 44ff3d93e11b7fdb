//! Which files there are: folders are listed when they have changed, files are asked for once per
//! listing.
//!
//! A folder's time changes with every name that comes, goes or is replaced in it. Its resolution is
//! that of the kernel's tick, so a folder that changed just now is listed again; and every folder
//! is listed from time to time, because network filesystems answer from a cache.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use super::{
    glob::{Part, Pattern},
    identity::{FileId, Stat},
};
use crate::limits;

/// A change within so many milliseconds of the listing may have come after it.
const TICK_MS: i64 = 2_000;

/// A file that a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    /// What it was when its folder was listed.
    pub stat: Stat,
}

/// What one look around found.
#[derive(Default)]
pub struct Walked {
    /// By path; a file with two of them is there twice.
    pub found: Vec<Found>,
    /// The folders that were gone through: what happens in them is of interest.
    pub folders: Vec<PathBuf>,
    /// Folders that could not be listed.
    pub failed: Vec<(PathBuf, io::Error)>,
    /// There is more than is looked at.
    pub overflowed: bool,
}

/// Goes through folders, and remembers what it saw.
pub struct Walker {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    seen: HashMap<PathBuf, Arc<Listing>>,
}

struct Listing {
    changed_ns: i64,
    listed_ms: i64,
    entries: Vec<Entry>,
}

struct Entry {
    name: OsString,
    kind: Kind,
    /// What it is, of a file that is no link: as long as the folder has not changed, it has not.
    file: OnceLock<Option<Stat>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    Link,
    Other,
}

/// One look around.
struct Walk<'a> {
    walker: &'a Walker,
    now_ms: i64,
    /// `None`: could not be listed.
    listed: HashMap<PathBuf, Option<Arc<Listing>>>,
    /// By path, compared as bytes: to compare paths part by part takes several times as long, and
    /// this is done with every file at every look.
    found: BTreeMap<OsString, Stat>,
    failed: Vec<(PathBuf, io::Error)>,
    overflowed: bool,
}

impl Walker {
    pub fn new(include: Vec<Pattern>, exclude: Vec<Pattern>) -> Self {
        Self { include, exclude, seen: HashMap::new() }
    }

    /// Looks around. Blocks.
    pub fn walk(&mut self, now_ms: i64) -> Walked {
        let mut walk = Walk {
            walker: self,
            now_ms,
            listed: HashMap::new(),
            found: BTreeMap::new(),
            failed: Vec::new(),
            overflowed: false,
        };
        for pattern in &self.include {
            // A folder is gone into once for each place in the pattern.
            let mut been = HashSet::new();
            walk.visit(Path::new("/"), &pattern.parts, &mut been, 0);
        }
        let Walk { listed, found, failed, overflowed, .. } = walk;
        let folders = listed.keys().cloned().collect();
        self.seen = listed.into_iter().filter_map(|(path, it)| Some((path, it?))).collect();
        let found =
            found.into_iter().map(|(path, stat)| Found { path: path.into(), stat }).collect();
        Walked { found, folders, failed, overflowed }
    }
}

impl Walk<'_> {
    fn visit(
        &mut self,
        folder: &Path,
        parts: &[Part],
        been: &mut HashSet<(PathBuf, usize)>,
        depth: usize,
    ) {
        let Some((part, rest)) = parts.split_first() else { return };
        if depth > limits::FILE_DEPTH_MAX || been.len() > limits::FILE_FOLDERS_MAX {
            self.overflowed = true;
            return;
        }
        match part {
            Part::Literal(name) if rest.is_empty() => {
                // Listed so that its coming and going is noticed, though its name is known.
                self.list(folder);
                self.add(folder.join(name), None);
            }
            Part::Literal(name) => self.visit(&folder.join(name), rest, been, depth + 1),
            Part::Match(_) => self.each(folder, part, rest, been, depth),
            Part::AnyDepth => {
                if !been.insert((folder.to_owned(), parts.len())) {
                    return;
                }
                self.visit(folder, rest, been, depth);
                let Some(listing) = self.list(folder) else { return };
                for entry in &listing.entries {
                    // Links are not gone down into: they may lead back up.
                    if entry.kind == Kind::Folder && !entry.is_hidden() {
                        self.visit(&folder.join(&entry.name), parts, been, depth + 1);
                    }
                }
            }
        }
    }

    fn each(
        &mut self,
        folder: &Path,
        part: &Part,
        rest: &[Part],
        been: &mut HashSet<(PathBuf, usize)>,
        depth: usize,
    ) {
        let Some(listing) = self.list(folder) else { return };
        for entry in listing.entries.iter().filter(|entry| part.matches(&entry.name, false)) {
            let path = folder.join(&entry.name);
            match entry.kind {
                Kind::Folder | Kind::Link if !rest.is_empty() => {
                    self.visit(&path, rest, been, depth + 1);
                }
                Kind::File | Kind::Link if rest.is_empty() => self.add(path, Some(entry)),
                _ => {}
            }
        }
    }

    fn add(&mut self, path: PathBuf, entry: Option<&Entry>) {
        if self.found.contains_key(path.as_os_str()) {
            return;
        }
        let file = match entry {
            Some(entry) if entry.kind == Kind::File => *entry.file.get_or_init(|| file_at(&path)),
            _ => file_at(&path),
        };
        let Some(file) = file else { return };
        if self.walker.exclude.iter().any(|pattern| pattern.matches(&path)) {
            return;
        }
        if self.found.len() == limits::FILES_MAX {
            self.overflowed = true;
            return;
        }
        self.found.insert(path.into_os_string(), file);
    }

    /// What is in a folder, from memory if it has not changed.
    fn list(&mut self, folder: &Path) -> Option<Arc<Listing>> {
        if let Some(listing) = self.listed.get(folder) {
            return listing.clone();
        }
        let listing = match self.listing(folder) {
            Ok(listing) => Some(listing),
            Err(error) => {
                // What is not there yet may come.
                let ordinary = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
                if !ordinary.contains(&error.kind()) {
                    self.failed.push((folder.to_owned(), error));
                }
                None
            }
        };
        self.listed.insert(folder.to_owned(), listing.clone());
        listing
    }

    fn listing(&self, folder: &Path) -> io::Result<Arc<Listing>> {
        let meta = fs::metadata(folder)?;
        let changed_ns = meta.mtime() * 1_000_000_000 + meta.mtime_nsec();
        if let Some(seen) = self.walker.seen.get(folder)
            && seen.changed_ns == changed_ns
            && seen.listed_ms - changed_ns / 1_000_000 > TICK_MS
            && (0..limits::FILE_RELIST_INTERVAL.as_millis() as i64)
                .contains(&(self.now_ms - seen.listed_ms))
        {
            return Ok(seen.clone());
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_dir() => Kind::Folder,
                Ok(kind) if kind.is_file() => Kind::File,
                Ok(kind) if kind.is_symlink() => Kind::Link,
                _ => Kind::Other,
            };
            entries.push(Entry { name: entry.file_name(), kind, file: OnceLock::new() });
        }
        Ok(Arc::new(Listing { changed_ns, listed_ms: self.now_ms, entries }))
    }
}

impl Entry {
    fn is_hidden(&self) -> bool {
        self.name.as_encoded_bytes().starts_with(b".")
    }
}

fn file_at(path: &Path) -> Option<Stat> {
    let meta = fs::metadata(path).ok()?;
    meta.is_file().then(|| Stat::of(&meta))
}

/// The names in the folders of these files, to find those that were renamed to names that no
/// pattern matches. Blocks.
pub fn renamed(lost: &HashMap<FileId, PathBuf>) -> Vec<Found> {
    let folders: HashSet<&Path> = lost.values().filter_map(|path| path.parent()).collect();
    let mut found = Vec::new();
    for folder in folders {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if let Some(stat) = file_at(&path)
                && lost.contains_key(&stat.id)
            {
                found.push(Found { path, stat });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(walked: &Walked, root: &Path) -> Vec<String> {
        let below = |found: &Found| found.path.strip_prefix(root).unwrap().display().to_string();
        walked.found.iter().map(below).collect()
    }

    fn walker(root: &Path, include: &[&str], exclude: &[&str]) -> Walker {
        let parse = |texts: &[&str], root: &Path| -> Vec<Pattern> {
            let full = |text: &&str| Pattern::parse(&format!("{}/{text}", root.display())).unwrap();
            texts.iter().flat_map(full).collect()
        };
        let exclude = exclude.iter().flat_map(|text| Pattern::parse(text).unwrap()).collect();
        Walker::new(parse(include, root), exclude)
    }

    #[test]
    fn folders_are_gone_through_and_changes_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["a/x.log", "a/b/y.log", "c/z.log", "c/z.tmp", ".h/h.log", "c/.w.log"] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), path).unwrap();
        }
        let mut walker = walker(root, &["**/*", "a/x.log", "{a,c}/*.log"], &["*.tmp"]);
        assert_eq!(names(&walker.walk(0), root), ["a/b/y.log", "a/x.log", "c/z.log"]);
        fs::rename(root.join("a/x.log"), root.join("a/x.log.1")).unwrap();
        fs::write(root.join("a/x.log"), "new").unwrap();
        let expected = ["a/b/y.log", "a/x.log", "a/x.log.1", "c/z.log"];
        assert_eq!(names(&walker.walk(10), root), expected);
        fs::remove_dir_all(root.join("c")).unwrap();
        assert_eq!(names(&walker.walk(20), root), &expected[..3]);
    }

    #[test]
    fn links_lead_to_files_and_circles_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("pods/p")).unwrap();
        fs::write(root.join("pods/p/0.log"), "x").unwrap();
        std::os::unix::fs::symlink(root.join("pods/p/0.log"), root.join("c.log")).unwrap();
        std::os::unix::fs::symlink(root, root.join("pods/p/up")).unwrap();
        std::os::unix::fs::symlink(root.join("nothing"), root.join("dead.log")).unwrap();
        let walked = walker(root, &["*.log", "**/*.log"], &[]).walk(0);
        assert_eq!(names(&walked, root), ["c.log", "pods/p/0.log"]);
        assert_eq!(walked.found[0].stat.id, walked.found[1].stat.id);
    }

    #[test]
    fn what_has_not_changed_is_not_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("a.log"), "x").unwrap();
        let mut walker = walker(root, &["*.log"], &[]);
        let later = (Stat::of(&fs::metadata(root).unwrap()).mtime_ns / 1_000_000) + TICK_MS + 1_000;
        walker.walk(later);
        let listing = walker.seen[root].clone();
        walker.walk(later + 1_000);
        assert!(Arc::ptr_eq(&listing, &walker.seen[root]));
        walker.walk(later + limits::FILE_RELIST_INTERVAL.as_millis() as i64);
        assert!(!Arc::ptr_eq(&listing, &walker.seen[root]));
    }
}
