//! One file that is read: a pass reads a piece of it and makes a put of the lines in it.

use std::{fs::File, io, path::PathBuf, sync::Arc, time::Duration};

use rustix::{buffer::spare_capacity, io::Errno};

use super::{
    FileKey,
    identity::{Candidate, Position, Print, Stat, head},
    lines::{Assembler, Mark, Out, Plan, Resume},
    unpack::{Packing, Unpacker},
};
use crate::{
    limits,
    record::{Place, Provenance, Put, RecordOrigin, Step},
};

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Read what is there.
    Read,
    /// Give out what is due by the clock.
    Flush,
    /// Read what is there, and give out the last line though it has no newline.
    LastLine,
    /// The same, and it is the end of the file.
    Finish,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Read to its end; more may be written to it.
    AtEnd,
    More,
    /// The file is not what it was: truncated, or written anew. What was read is given out.
    Truncated,
    /// A compressed file, or one that is gone, is read to its end for good.
    Finished,
    /// A compressed file ends in the middle: it is still being written.
    Incomplete,
    /// A compressed file is damaged; what came before is given out.
    Damaged,
    /// A compressed file does not hold what it was taken for.
    Mismatch,
    /// It was empty when it was opened, and turns out to be compressed.
    Packed,
}

/// What a pass made.
pub struct Pass {
    /// Lines to store, if there were any.
    pub put: Option<Put>,
    /// Where the source stands once they are.
    pub position: Position,
    pub outcome: Outcome,
    pub cut_lines: u64,
    /// Size and time of change before the pass.
    pub seen: (u64, i64),
}

/// How the files of a source are read.
pub struct Rules {
    pub plan: Arc<Plan>,
    /// Whether each record carries its offset.
    pub offsets: bool,
}

/// A file that is open.
pub struct Follow {
    pub key: FileKey,
    pub position: Position,
    file: Arc<File>,
    assembler: Assembler,
    unpacking: Option<Unpacking>,
    /// The next byte to read.
    read_at: u64,
    /// The last bytes before it.
    before: Vec<u8>,
    offsets: bool,
}

/// Where a compressed file stands.
struct Unpacking {
    packing: Packing,
    unpacker: Option<Unpacker>,
    /// Unpacked bytes so far.
    at: u64,
    /// Where reading goes on, and what stands before: unpacked bytes up to there are passed over.
    target: Option<(u64, Print)>,
}

/// What a pass gives out.
#[derive(Default)]
struct Given {
    lengths: Vec<u32>,
    data: Vec<u8>,
    /// Where each begins, and what was cut off.
    places: Vec<(u64, u64)>,
}

impl Out for Given {
    fn line(&mut self, data: &[u8], mark: &Mark) {
        self.lengths.push(data.len() as u32);
        self.data.extend_from_slice(data);
        self.places.push((mark.at, mark.cut_bytes));
    }
}

impl Follow {
    /// A file that goes on at a position, or begins with one.
    pub fn new(key: FileKey, position: Position, candidate: &Candidate, rules: &Rules) -> Self {
        let unpacking = candidate.packing.map(|packing| Unpacking {
            packing,
            unpacker: None,
            at: 0,
            target: (position.at > 0).then_some((position.at, position.before)),
        });
        let resume = position.resume.as_deref().and_then(|text| text.parse().ok());
        // What was written by hand, or by another version, is not believed.
        let resume = resume.filter(|resume: &Resume| resume.offset() == position.at);
        let resume = resume.unwrap_or_else(|| Resume::at(position.at));
        Self {
            key,
            file: candidate.file.clone(),
            assembler: Assembler::resumed(&rules.plan, &position.path, resume),
            unpacking,
            read_at: position.at,
            before: Vec::new(),
            position,
            offsets: rules.offsets,
        }
    }

    /// A new generation of the same file, from its beginning.
    pub fn restarted(self, key: FileKey, since: i64, rules: &Rules) -> Self {
        let Position { path, moved, dev, ino, born, packed, size, mtime, .. } = self.position;
        let position = Position {
            path,
            moved,
            dev,
            ino,
            born,
            packed,
            size,
            mtime,
            since,
            ..Position::default()
        };
        let assembler = Assembler::resumed(&rules.plan, &position.path, Resume::default());
        let unpacking = self.unpacking.map(|Unpacking { packing, .. }| Unpacking {
            packing,
            unpacker: None,
            at: 0,
            target: None,
        });
        Self { key, position, assembler, unpacking, read_at: 0, before: Vec::new(), ..self }
    }

    pub fn is_packed(&self) -> bool {
        self.unpacking.is_some()
    }

    /// Whether a compressed file is still to show that it holds what it was taken for.
    pub fn is_comparing(&self) -> bool {
        self.unpacking.as_ref().is_some_and(|unpacking| unpacking.target.is_some())
    }

    /// Whether something was read that is not given out yet.
    pub fn is_pending(&self) -> bool {
        self.assembler.resume_at() < self.read_at && self.read_at > self.position.at
    }

    /// When lines are due that wait for others.
    pub fn due(&self) -> Option<Duration> {
        self.assembler.due()
    }

    /// The file lies elsewhere now.
    pub fn moved_to(&mut self, path: PathBuf) {
        self.position.moved = (path != self.position.path).then_some(path);
    }

    /// Reads a piece. Blocks.
    pub fn pass(&mut self, task: Task, now: Duration, arrival_ms: i64) -> io::Result<Pass> {
        let stat = Stat::of_file(&self.file)?;
        let mut lines = Given::default();
        // The bytes around the place where reading goes on; they end at `read_at`.
        let mut buffer = std::mem::take(&mut self.before);
        let read = match (task, &self.unpacking) {
            (Task::Flush, _) => {
                self.assembler.flush(now, false, &mut lines);
                // Nothing was read: what has come in meanwhile is not to be taken for read.
                let is_read = self.is_packed() || stat.size == self.read_at;
                Ok(if is_read { Outcome::AtEnd } else { Outcome::More })
            }
            (_, Some(_)) => self.read_packed(&mut buffer, now, &mut lines),
            (_, None) => self.read_plain(&stat, &mut buffer, now, &mut lines),
        };
        let mut outcome = match read {
            Ok(outcome) => outcome,
            Err(error) => {
                self.before = buffer;
                return Err(error);
            }
        };
        if task == Task::Read && outcome == Outcome::AtEnd {
            // Of a file that grows all the time lines are due, too.
            self.assembler.flush(now, false, &mut lines);
        }
        if task == Task::Finish && matches!(outcome, Outcome::AtEnd | Outcome::Incomplete) {
            outcome = Outcome::Finished;
        }
        let last = task == Task::LastLine && outcome == Outcome::AtEnd;
        let ended = matches!(outcome, Outcome::Finished | Outcome::Truncated | Outcome::Damaged);
        if ended || last {
            self.assembler.flush(now, true, &mut lines);
        }
        let mut position = self.position_at(self.assembler.resume(), &buffer, &stat);
        position.done = matches!(outcome, Outcome::Finished | Outcome::Damaged) && self.is_packed();
        position.truncated = outcome == Outcome::Truncated;
        let keep = buffer.len().saturating_sub(limits::FILE_WINDOW_BYTES);
        self.before = buffer.split_off(keep);
        self.before.shrink_to_fit();
        let cut_lines = lines.places.iter().filter(|(_, cut_bytes)| *cut_bytes > 0).count() as u64;
        let put = self.put_of(lines, cut_lines > 0, &position, arrival_ms);
        Ok(Pass { put, position, outcome, cut_lines, seen: (stat.size, stat.mtime_ns) })
    }

    /// The lines were stored, or there were none.
    pub fn stored(&mut self, position: Position) {
        self.position = position;
    }

    fn read_plain(
        &mut self,
        stat: &Stat,
        buffer: &mut Vec<u8>,
        now: Duration,
        lines: &mut Given,
    ) -> io::Result<Outcome> {
        if let Some(other) = self.look_at_head(stat)? {
            return Ok(other);
        }
        if buffer.is_empty() && self.read_at > 0 {
            // Just opened: the bytes that were hashed when it was last read.
            let bytes = u64::from(self.position.before.bytes).min(self.read_at);
            read_at(&self.file, buffer, self.read_at - bytes, bytes as usize)?;
            if !self.position.before.ends(buffer) || (buffer.len() as u64) < bytes {
                return Ok(Outcome::Truncated);
            }
        }
        // A file that was truncated and has grown past the place again is told by the bytes
        // before it: they are read again with what is new.
        let known = buffer.len();
        let behind = stat.size.saturating_sub(self.read_at).min(limits::FILE_READ_BYTES as u64);
        let room = (behind as usize).max(4096);
        let mut piece = Vec::with_capacity(known + room);
        read_at(&self.file, &mut piece, self.read_at - known as u64, known + room)?;
        if stat.size < self.read_at || !piece.starts_with(buffer) {
            return Ok(Outcome::Truncated);
        }
        *buffer = piece;
        let new = &buffer[known..];
        // What a put of it takes: it does not grow in steps, each a copy.
        lines.data.reserve_exact(self.assembler.pending_bytes() + new.len());
        self.assembler.push(new, self.read_at, now, lines);
        self.read_at += new.len() as u64;
        Ok(if new.len() == room { Outcome::More } else { Outcome::AtEnd })
    }

    /// As long as the file is short, it is known by few bytes: they become more as it grows.
    /// Answers what it is if it is another file.
    fn look_at_head(&mut self, stat: &Stat) -> io::Result<Option<Outcome>> {
        let known = self.position.head.bytes as usize;
        if known == limits::FILE_HEAD_BYTES || stat.size <= known as u64 {
            return Ok(None);
        }
        let head = head(&self.file)?;
        if self.position.at == 0 && Packing::of(&head).is_some() {
            return Ok(Some(Outcome::Packed));
        }
        if !self.position.head.begins(&head) {
            return Ok(Some(Outcome::Truncated));
        }
        self.position.head = Print::of(&head);
        Ok(None)
    }

    fn read_packed(
        &mut self,
        buffer: &mut Vec<u8>,
        now: Duration,
        lines: &mut Given,
    ) -> io::Result<Outcome> {
        let unpacking = self.unpacking.as_mut().expect("it is compressed");
        let unpacker = match &mut unpacking.unpacker {
            Some(unpacker) => unpacker,
            None => {
                unpacking.at = 0;
                buffer.clear();
                unpacking.unpacker.insert(Unpacker::new(self.file.clone(), unpacking.packing)?)
            }
        };
        let known = buffer.len();
        let passed = unpacking.target.map_or(0, |(target, _)| target - unpacking.at);
        let room = match passed {
            0 => limits::FILE_READ_BYTES as u64,
            // What was read before is passed over, in pieces too.
            passed => passed.min(limits::FILE_READ_BYTES as u64),
        };
        let read = unpacker.read(buffer, room as usize);
        let new = buffer.len() - known;
        unpacking.at += new as u64;
        if let Some((target, before)) = unpacking.target {
            if unpacking.at == target {
                let is_the_one = before.ends(buffer);
                unpacking.target = None;
                return Ok(if is_the_one { Outcome::More } else { Outcome::Mismatch });
            }
            return match read {
                Ok(_) if new as u64 == room => Ok(Outcome::More),
                Err(error) if error.raw_os_error().is_some() => Err(error),
                _ => Ok(Outcome::Mismatch),
            };
        }
        if self.position.head.bytes == 0 && self.read_at == 0 {
            let head = &buffer[known..];
            self.position.head = Print::of(&head[..head.len().min(limits::FILE_HEAD_BYTES)]);
        }
        self.assembler.push(&buffer[known..], self.read_at, now, lines);
        self.read_at += new as u64;
        match read {
            Ok(_) if new as u64 == room => Ok(Outcome::More),
            Ok(_) => Ok(Outcome::Finished),
            Err(error) if is_end(&error) => {
                // Read from the beginning again once there is more of it.
                unpacking.unpacker = None;
                unpacking.target = (self.read_at > 0).then(|| {
                    let from = buffer.len().saturating_sub(limits::FILE_WINDOW_BYTES);
                    (self.read_at, Print::of(&buffer[from..]))
                });
                Ok(Outcome::Incomplete)
            }
            Err(error) if error.raw_os_error().is_none() => Ok(Outcome::Damaged),
            Err(error) => Err(error),
        }
    }

    /// The position behind what is given out; `buffer` ends at `read_at`.
    fn position_at(&self, resume: Resume, buffer: &[u8], stat: &Stat) -> Position {
        // Nothing was read yet, or what was is passed over.
        let resume = if self.read_at == self.position.at { None } else { Some(resume) };
        let at = resume.map_or(self.position.at, |resume| resume.offset());
        let exact = match resume {
            Some(resume) if resume != Resume::at(at) => Some(resume.to_string()),
            Some(_) => None,
            None => self.position.resume.clone(),
        };
        let bytes = at.min(limits::FILE_WINDOW_BYTES as u64);
        let back = self.read_at.saturating_sub(at).saturating_add(bytes);
        let before = if at == self.position.at {
            self.position.before
        } else if let Some(from) = (buffer.len() as u64).checked_sub(back) {
            Print::of(&buffer[from as usize..(from + bytes) as usize])
        } else {
            self.print_before(at, bytes)
        };
        let Stat { id, size, mtime_ns, born_ns } = *stat;
        Position {
            at,
            before,
            resume: exact,
            dev: id.dev,
            ino: id.ino,
            born: born_ns,
            size,
            mtime: mtime_ns,
            done: false,
            truncated: false,
            packed: self.is_packed(),
            ..self.position.clone()
        }
    }

    /// Of a line that began long ago. What cannot be had is not hashed, and not compared.
    fn print_before(&self, at: u64, bytes: u64) -> Print {
        let mut before = Vec::new();
        if self.is_packed()
            || read_at(&self.file, &mut before, at - bytes, bytes as usize).is_err()
            || (before.len() as u64) < bytes
        {
            return Print::default();
        }
        Print::of(&before)
    }

    fn put_of(&self, lines: Given, cut: bool, position: &Position, arrival_ms: i64) -> Option<Put> {
        if lines.lengths.is_empty() {
            return None;
        }
        // Each has one, or none: they cost more than a short line.
        let marked = self.offsets || cut;
        let records = if marked { lines.places.iter().map(origin).collect() } else { Vec::new() };
        let path = self.position.path.to_string_lossy().into_owned();
        let provenance = Provenance {
            steps: vec![Step::to(self.key.clone(), position.encode())],
            place: Some(Place { path: Some(path), ..Place::default() }),
            records,
            unfit: None,
        };
        let Given { lengths, data, .. } = lines;
        Some(Put { lengths, data, arrival_ms, provenance: Some(Box::new(provenance)), call: None })
    }
}

fn origin(&(at, cut_bytes): &(u64, u64)) -> RecordOrigin {
    RecordOrigin {
        offset: Some(at as i64),
        cut_bytes: (cut_bytes > 0).then_some(cut_bytes),
        ..RecordOrigin::default()
    }
}

/// Whether a compressed file ends too early.
fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// Reads up to `bytes` bytes into the memory as it is; fewer at the end of the file only.
fn read_at(file: &File, buffer: &mut Vec<u8>, at: u64, bytes: usize) -> io::Result<()> {
    let (start, end) = (buffer.len(), buffer.len() + bytes);
    buffer.reserve_exact(bytes);
    while buffer.len() < end {
        let offset = at + (buffer.len() - start) as u64;
        match rustix::io::pread(file, spare_capacity(buffer), offset) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The allocator may have given more than was asked for.
    buffer.truncate(end);
    Ok(())
}
