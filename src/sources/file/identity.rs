//! What a file is known by: device and inode, its birth, its first bytes, and the bytes before the
//! place where reading goes on.
//!
//! ```text
//!   0          head (up to 1 KiB)        before (256 bytes)  at           size
//!   |───────────────────|─────────── ... ──|──────────────────|─────────────|
//!   hashed: is it the same file?           hashed: was it     read on
//!                                          written anew?      from here
//! ```
//!
//! The inode alone is not enough: it is used again as soon as a file is deleted. The first bytes
//! alone are not enough: many files begin alike.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::unpack::{Packing, Unpacker};
use crate::{limits, net::sigv4::sha256};

/// Which file it is, for as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    pub dev: u64,
    pub ino: u64,
}

/// What the filesystem says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub id: FileId,
    pub size: u64,
    /// Nanoseconds since the Unix epoch.
    pub mtime_ns: i64,
    /// The same, where the filesystem keeps it.
    pub born_ns: Option<i64>,
}

impl Stat {
    pub fn of(meta: &Metadata) -> Self {
        let born = meta.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        Self {
            id: FileId { dev: meta.dev(), ino: meta.ino() },
            size: meta.len(),
            mtime_ns: meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec()),
            born_ns: born.map(|since| since.as_nanos() as i64),
        }
    }

    pub fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::of(&file.metadata()?))
    }
}

/// Some bytes, by their number and a hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(u32, u64)", from = "(u32, u64)")]
pub struct Print {
    pub bytes: u32,
    pub hash: u64,
}

impl Print {
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        let [a, b, c, d, e, f, g, h, ..] = sha256(bytes);
        Self { bytes: bytes.len() as u32, hash: u64::from_be_bytes([a, b, c, d, e, f, g, h]) }
    }

    /// Whether these are the first bytes of `bytes`.
    pub fn begins(self, bytes: &[u8]) -> bool {
        bytes.get(..self.bytes as usize).is_some_and(|head| Self::of(head) == self)
    }

    /// Whether these are the last bytes of `bytes`.
    pub fn ends(self, bytes: &[u8]) -> bool {
        let start = bytes.len().checked_sub(self.bytes as usize);
        start.is_some_and(|start| Self::of(&bytes[start..]) == self)
    }
}

impl From<Print> for (u32, u64) {
    fn from(Print { bytes, hash }: Print) -> Self {
        (bytes, hash)
    }
}

impl From<(u32, u64)> for Print {
    fn from((bytes, hash): (u32, u64)) -> Self {
        Self { bytes, hash }
    }
}

/// Where reading of a file goes on, and what it is known by: the position of a step, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Its path when it was met: its records carry it, also after a rename.
    pub path: PathBuf,
    /// Where it lies now, if it was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<PathBuf>,
    pub dev: u64,
    pub ino: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<i64>,
    /// Everything before is given out; in the unpacked bytes, of a compressed file.
    pub at: u64,
    /// Bytes at its beginning that were not read but passed over (`start: end`).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub passed_over: u64,
    /// Size and time of change when it was last read.
    pub size: u64,
    pub mtime: i64,
    /// When it was met, in milliseconds since the Unix epoch: later generations of an inode have
    /// later times.
    pub since: i64,
    pub head: Print,
    pub before: Print,
    /// Where reading goes on exactly, where streams of a container are interleaved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub packed: bool,
    /// There is nothing more to read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub done: bool,
    /// The file was truncated: what was read of it may live on in a copy.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Position {
    pub fn id(&self) -> FileId {
        FileId { dev: self.dev, ino: self.ino }
    }

    /// Where it lies.
    pub fn place(&self) -> &Path {
        self.moved.as_deref().unwrap_or(&self.path)
    }

    pub fn encode(&self) -> String {
        // A path that is no UTF-8 has no form in JSON: it is written as well as can be, because
        // nothing is identified by it.
        serde_json::to_string(self).unwrap_or_else(|_| {
            let lossy = |path: &PathBuf| PathBuf::from(path.to_string_lossy().into_owned());
            let text = Self {
                path: lossy(&self.path),
                moved: self.moved.as_ref().map(lossy),
                ..self.clone()
            };
            serde_json::to_string(&text).expect("numbers and text have a form in JSON")
        })
    }

    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Whether an inode that is found is the one that is meant, and not another one that was given
    /// the same number.
    pub fn may_be(&self, stat: &Stat) -> bool {
        !matches!((self.born, stat.born_ns), (Some(a), Some(b)) if a != b)
    }

    /// Whether a plain file has, where reading would go on, what was read before.
    pub fn continues_in(&self, candidate: &Candidate) -> bool {
        candidate.packing.is_none()
            && candidate.stat.size >= self.at
            && self.head.begins(&candidate.head)
            && matches!(window(&candidate.file, self.at, self.before), Ok(true))
    }
}

/// Whether these bytes stand before `at`.
pub fn window(file: &File, at: u64, before: Print) -> io::Result<bool> {
    let Some(from) = at.checked_sub(u64::from(before.bytes)) else { return Ok(false) };
    if before.bytes as usize > limits::FILE_WINDOW_BYTES {
        return Ok(false);
    }
    let mut bytes = vec![0; before.bytes as usize];
    match file.read_exact_at(&mut bytes, from) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        other => other.map(|()| Print::of(&bytes) == before),
    }
}

/// A file that was opened, and is not known yet.
pub struct Candidate {
    pub path: PathBuf,
    pub file: Arc<File>,
    pub stat: Stat,
    /// Its first bytes; unpacked, of a compressed one.
    pub head: Vec<u8>,
    pub packing: Option<Packing>,
    /// Keys whose continuation it turned out not to be.
    pub refused: Vec<String>,
    /// It was looked at before, and had to wait.
    pub waited: bool,
    /// No pattern matches it any more: nothing is waited for.
    pub gone: bool,
}

impl Candidate {
    /// Opens a file. Blocks.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        // A pipe in the place of a file is not waited for.
        options.read(true).custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
        let file = options.open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut candidate = Self {
            path: path.to_owned(),
            file: Arc::new(file),
            stat: Stat::of(&meta),
            head: Vec::new(),
            packing: None,
            refused: Vec::new(),
            waited: false,
            gone: false,
        };
        candidate.refresh()?;
        Ok(candidate)
    }

    /// Looks again at what it is. Blocks.
    pub fn refresh(&mut self) -> io::Result<()> {
        self.stat = Stat::of_file(&self.file)?;
        self.head = head(&self.file)?;
        self.packing = Packing::of(&self.head);
        if let Some(packing) = self.packing {
            self.head = Unpacker::new(self.file.clone(), packing)?.head();
        }
        Ok(())
    }
}

/// The last part of a path.
pub fn name(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_encoded_bytes()
}

/// What a compressed file was called before: `app.log.1`, of `app.log.1.gz`.
pub fn unpacked_name(copy: &Path) -> Option<PathBuf> {
    let end = copy.extension()?.as_encoded_bytes();
    [b"gz".as_slice(), b"zst"].contains(&end).then(|| copy.with_extension(""))
}

/// Whether a file lies beside another one, under its name and something more.
pub fn extends(copy: &Path, original: &Path) -> bool {
    let [longer, name] = [name(copy), name(original)];
    copy.parent() == original.parent() && longer.len() > name.len() && longer.starts_with(name)
}

/// The first bytes of a file.
pub fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; limits::FILE_HEAD_BYTES];
    let mut filled = 0;
    while filled < head.len() {
        match file.read_at(&mut head[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(filled);
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_and_stay_short() {
        let position = Position {
            path: "/var/log/app.log".into(),
            dev: 64769,
            ino: 1_234_567,
            born: Some(1_700_000_000_123_456_789),
            at: 10_000_000,
            head: Print::of(&[7; 1024]),
            before: Print::of(b"before"),
            ..Position::default()
        };
        let text = position.encode();
        assert_eq!(Position::decode(&text), Some(position));
        assert!(text.len() < 300, "{text}");
        assert_eq!(Position::decode("{}"), None);
    }

    #[test]
    fn a_path_that_is_no_text_has_a_form_too() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/a/\xff.log")).to_owned();
        let position = Position { path, at: 7, ..Position::default() };
        assert_eq!(Position::decode(&position.encode()).unwrap().at, 7);
    }

    #[test]
    fn a_copy_is_told_by_its_name() {
        let original = Path::new("/logs/app.log");
        // Whether it extends the original's name, and what it was called before it was compressed.
        let cases = [
            ("/logs/app.log.gz", true, Some("/logs/app.log")),
            ("/logs/app.log.10.zst", true, Some("/logs/app.log.10")),
            ("/logs/app.log.1", true, None),
            ("/logs/app.log", false, None),
            ("/logs/app.log/a.gz", false, Some("/logs/app.log/a")),
            ("/other/app.log.gz", false, Some("/other/app.log")),
        ];
        for (copy, extended, before) in cases {
            assert_eq!(extends(Path::new(copy), original), extended, "{copy}");
            assert_eq!(unpacked_name(Path::new(copy)), before.map(PathBuf::from), "{copy}");
        }
    }

    #[test]
    fn prints_are_of_beginnings_and_ends() {
        let print = Print::of(b"abc");
        assert!(print.begins(b"abcd") && !print.begins(b"ab") && !print.begins(b"xabc"));
        assert!(print.ends(b"xabc") && !print.ends(b"abcd") && !print.ends(b"bc"));
        assert!(Print::default().begins(b"") && Print::default().ends(b"x"));
    }
}
