//! The writer: one thread that gives sequences, writes and syncs. Group commit.
//!
//! It takes all that waits, lays it out as frames, writes them with one call, syncs once, and
//! only then moves the tail and answers every caller. Because it alone decides in which order puts
//! are stored, it also recognises retried calls: the second attempt stands in line behind the
//! first, and is answered with the first's place.
//!
//! ```text
//!   callers ─▶ queue ─▶ place: repeated? full? next sequence ─▶ write ─▶ sync ─▶ tail ─▶ answers
//!                         └ no room in the segment: flush what is placed, then a new segment
//! ```

use std::{
    io::{self, IoSlice},
    sync::{Arc, atomic::Ordering},
};

use super::{
    calls::{Calls, Place},
    frame,
    options::Durability,
    queue::{Answer, Request},
    segment,
    shared::Shared,
};
use crate::{
    env::File,
    record::Position,
    seams::{AppendError, Appended},
};

/// The segment that is written.
pub struct Active {
    pub file: Box<dyn File>,
    pub offset: u64,
    /// False until disk space is reserved up to the segment's size.
    pub reserved: bool,
}

/// A put with its place, not yet written.
struct Placed {
    request: Request,
    first: u64,
    /// The whole frame, if it is encrypted.
    sealed: Option<Vec<u8>>,
}

#[derive(Default)]
struct Group {
    placed: Vec<Placed>,
    /// Retried calls whose first attempt is in this group.
    repeats: Vec<(Answer, Place)>,
    bytes: u64,
}

pub struct Writer {
    shared: Arc<Shared>,
    active: Option<Active>,
    /// The sequence of the next record that is placed.
    next: u64,
    /// The sequence up to which everything is written and published.
    stored: u64,
    calls: Calls,
    group: Group,
    /// Headers and record lengths of a group, kept for its memory.
    scratch: Vec<u8>,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, active: Option<Active>, next: u64, calls: Calls) -> Self {
        let (group, scratch) = (Group::default(), Vec::new());
        Self { shared, active, next, stored: next, calls, group, scratch }
    }

    /// Serves the queue until it is closed and empty.
    pub fn run(mut self) {
        let _ended = Ended(Arc::clone(&self.shared));
        let mut requests = Vec::new();
        while self.shared.queue.take(self.shared.tuning.group_commit_bytes, &mut requests) {
            for request in requests.drain(..) {
                self.accept(request);
            }
            self.flush();
        }
        self.finish();
    }

    /// Places a request in the group, or answers it.
    fn accept(&mut self, request: Request) {
        if let Some(cause) = self.shared.failed.get() {
            answer(request.answer, Err(AppendError::Failed(Arc::clone(cause))));
            return;
        }
        if let Some(place) = request.put.call.and_then(|call| self.calls.get(&call)) {
            if place.first >= self.stored {
                self.group.repeats.push((request.answer, place));
            } else {
                answer(request.answer, Ok(appended(place, true)));
            }
            return;
        }
        let placed = self.make_room(request.frame_bytes as u64).and_then(|()| self.place(&request));
        match placed {
            Ok((first, sealed)) => {
                self.group.bytes += request.frame_bytes as u64;
                self.group.placed.push(Placed { request, first, sealed });
            }
            Err(error) => answer(request.answer, Err(error)),
        }
    }

    /// Gives the put its sequence.
    fn place(&mut self, request: &Request) -> Result<(u64, Option<Vec<u8>>), AppendError> {
        let put = &request.put;
        let first = self.next;
        let sealed = match &self.shared.keys {
            Some(keys) if request.encrypted => {
                let back = (first - self.stored) as u32;
                let sealed = frame::encode_encrypted(put, first, back, self.shared.identity, keys);
                Some(sealed.map_err(|error| AppendError::Failed(error.to_string().into()))?)
            }
            _ => None,
        };
        if let Some(call) = put.call {
            self.calls.insert(call, Place { first, records: put.lengths.len() as u32 });
        }
        self.next += put.lengths.len() as u64;
        Ok((first, sealed))
    }

    /// Sees to it that a frame fits the limit, the disk and the segment.
    fn make_room(&mut self, bytes: u64) -> Result<(), AppendError> {
        let (used, settled) = {
            let table = self.shared.table.lock();
            (table.used_bytes(), table.last_is_released())
        };
        let max = self.shared.max_bytes();
        if used + self.group.bytes + bytes > max {
            return Err(AppendError::Full { used_bytes: used + self.group.bytes, max_bytes: max });
        }
        let size = self.shared.tuning.segment_bytes;
        // A delivered segment is released as a whole once another one follows it; a small limit
        // must not be taken up by it.
        let size = if settled && self.group.placed.is_empty() { size.min(max / 2) } else { size };
        let fits = |active: &Active, placed: u64| {
            active.offset + placed + bytes <= size
                || active.offset + placed == segment::HEADER_BYTES
        };
        match &mut self.active {
            Some(active) if fits(active, self.group.bytes) => {
                if !active.reserved {
                    let reserved = active.file.reserve(size.max(active.offset + bytes));
                    reserved.map_err(|error| self.refuse("reserve", &error))?;
                    if let Some(active) = &mut self.active {
                        active.reserved = true;
                    }
                }
                Ok(())
            }
            _ => {
                self.flush();
                if let Some(cause) = self.shared.failed.get() {
                    return Err(AppendError::Failed(Arc::clone(cause)));
                }
                self.rotate(bytes)
            }
        }
    }

    /// Closes the segment and begins the next one.
    fn rotate(&mut self, frame_bytes: u64) -> Result<(), AppendError> {
        if let Some(active) = self.active.take() {
            if self.shared.durability == Durability::Os {
                // Not promised, but it keeps what a power failure can take to the last segment.
                self.sync(&*active.file)?;
            }
            trim(&active);
        }
        self.active = Some(self.create(frame_bytes)?);
        // Everything before may be settled already.
        self.shared.reclaim();
        Ok(())
    }

    fn create(&self, frame_bytes: u64) -> Result<Active, AppendError> {
        let shared = &*self.shared;
        let files = &*shared.env.files;
        let size = shared.tuning.segment_bytes.max(segment::HEADER_BYTES + frame_bytes);
        // An unanswered question is no reason to refuse: the reservation will tell.
        let free = files.free_bytes(&shared.folder).unwrap_or(u64::MAX);
        if free < size.saturating_add(shared.tuning.disk_reserve_bytes) {
            return Err(self.full());
        }
        let path = shared.path_of(self.next);
        let file = files.create_new(&path).map_err(|error| self.refuse("create", &error))?;
        if let Err(error) = file.reserve(size) {
            drop(file);
            // Nothing is in it. Should the removal fail, opening the journal removes it.
            let _ = files.remove(&path);
            return Err(self.refuse("reserve", &error));
        }
        let header = segment::encode_header(shared.identity, self.next, shared.env.clock.now_ms());
        let written = file.write_all_at(&[IoSlice::new(&header)], 0);
        if let Err(error) = written {
            drop(file);
            let _ = files.remove(&path);
            if is_full(&error) {
                return Err(self.full());
            }
            return Err(AppendError::Failed(shared.fail("write", &error)));
        }
        self.sync(&*file)?;
        let synced = files.sync_dir(&shared.folder);
        synced.map_err(|error| AppendError::Failed(shared.fail("sync of the folder", &error)))?;
        shared.table.lock().push(self.next, segment::HEADER_BYTES);
        Ok(Active { file, offset: segment::HEADER_BYTES, reserved: true })
    }

    /// What a caller is told when there is no file to write to. Nothing was stored and nothing is
    /// in doubt, so it does not stick.
    fn refuse(&self, operation: &'static str, error: &io::Error) -> AppendError {
        if is_full(error) {
            return self.full();
        }
        let folder = self.shared.folder.display();
        tracing::error!(%folder, operation, %error, "cannot begin a journal segment");
        AppendError::Failed(format!("{operation} of a segment: {error}").into())
    }

    /// The disk is full: the limit is what is used now.
    fn full(&self) -> AppendError {
        let used_bytes = self.shared.used_bytes() + self.group.bytes;
        AppendError::Full { used_bytes, max_bytes: self.shared.max_bytes().min(used_bytes) }
    }

    /// Writes and syncs the group, moves the tail, answers.
    fn flush(&mut self) {
        if self.group.placed.is_empty() {
            return;
        }
        let group = std::mem::take(&mut self.group);
        match self.store(&group) {
            Ok(()) => {
                self.stored = self.next;
                for placed in group.placed {
                    let records = placed.request.put.lengths.len() as u32;
                    let place = Place { first: placed.first, records };
                    answer(placed.request.answer, Ok(appended(place, false)));
                }
                for (waiting, place) in group.repeats {
                    answer(waiting, Ok(appended(place, true)));
                }
            }
            Err(error) => {
                self.next = self.stored;
                self.calls.forget_from(self.stored);
                let answers = group.placed.into_iter().map(|placed| placed.request.answer);
                for waiting in answers.chain(group.repeats.into_iter().map(|(waiting, _)| waiting))
                {
                    answer(waiting, Err(error.clone()));
                }
            }
        }
    }

    fn store(&mut self, group: &Group) -> Result<(), AppendError> {
        let mut active = self.active.take().ok_or(AppendError::Closed)?;
        let stored = self.write(&mut active, group);
        let offset = active.offset;
        self.active = Some(active);
        stored?;
        self.shared.table.lock().grow(self.next, offset);
        self.shared.tail.send_replace(Position::new(0, self.next));
        Ok(())
    }

    fn write(&mut self, active: &mut Active, group: &Group) -> Result<(), AppendError> {
        self.scratch.clear();
        let mut heads = Vec::with_capacity(group.placed.len());
        for placed in &group.placed {
            let start = self.scratch.len();
            if placed.sealed.is_none() {
                let back = (placed.first - self.stored) as u32;
                let identity = self.shared.identity;
                let put = &placed.request.put;
                frame::encode_plain(put, placed.first, back, identity, &mut self.scratch);
            }
            heads.push(start..self.scratch.len());
        }
        let mut slices = Vec::with_capacity(group.placed.len() * 2);
        for (placed, head) in group.placed.iter().zip(heads) {
            match &placed.sealed {
                Some(sealed) => slices.push(IoSlice::new(sealed)),
                None => {
                    slices.push(IoSlice::new(&self.scratch[head]));
                    slices.push(IoSlice::new(&placed.request.put.data));
                }
            }
        }
        if let Err(error) = active.file.write_all_at(&slices, active.offset) {
            // Where space could not be reserved a write may meet a full disk. What it left is cut
            // off again: no byte of the group was acknowledged.
            if is_full(&error) && active.file.set_len(active.offset).is_ok() {
                active.reserved = false;
                return Err(self.full());
            }
            return Err(AppendError::Failed(self.shared.fail("write", &error)));
        }
        if self.shared.durability == Durability::Fsync {
            self.sync(&*active.file)?;
        }
        active.offset += group.bytes;
        Ok(())
    }

    fn sync(&self, file: &dyn File) -> Result<(), AppendError> {
        let clock = &self.shared.env.clock;
        let start = clock.monotonic();
        let synced = file.sync_data();
        let took = clock.monotonic().saturating_sub(start);
        self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        self.shared.sync_micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        synced.map_err(|error| AppendError::Failed(self.shared.fail("sync", &error)))
    }

    fn finish(&mut self) {
        let Some(active) = self.active.take() else { return };
        if self.shared.failed.get().is_none() {
            if self.shared.durability == Durability::Os {
                // A failure is remembered and logged by `sync` itself.
                let _ = self.sync(&*active.file);
            }
            trim(&active);
        }
    }
}

/// Gives back the space that is reserved behind the end of a segment.
fn trim(active: &Active) {
    if let Err(error) = active.file.set_len(active.offset) {
        tracing::warn!(%error, "cannot give back the reserved space of a segment");
    }
}

fn appended(place: Place, repeated: bool) -> Appended {
    let Place { first, records } = place;
    Appended { first: Position::new(0, first), records, repeated }
}

fn answer(waiting: Answer, result: Result<Appended, AppendError>) {
    // A caller that has gone away needs no answer.
    let _ = waiting.send(result);
}

pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Tells everyone that the writer has ended, also if it panicked.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.queue.close();
        self.0.queue.clear();
        self.0.ended.send_replace(true);
    }
}
