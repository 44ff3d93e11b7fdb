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
    cell::Cell,
    io::{self, IoSlice},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    calls::{Calls, Place},
    frame,
    options::Durability,
    queue::{self, Answer, Request},
    segment,
    shared::Shared,
};
use crate::{
    env::File,
    limits,
    record::Position,
    seams::{AppendError, Appended},
};

/// The segment that is written.
pub struct Active {
    pub file: Box<dyn File>,
    pub offset: u64,
    /// Up to where disk space is reserved.
    pub reserved: u64,
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
    /// How long puts may gather before the next group.
    gather: Duration,
    /// When it was last said that a segment cannot begin.
    refused_at: Cell<Option<Duration>>,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, active: Option<Active>, next: u64, calls: Calls) -> Self {
        Self {
            shared,
            active,
            next,
            stored: next,
            calls,
            group: Group::default(),
            scratch: Vec::new(),
            gather: Duration::ZERO,
            refused_at: Cell::new(None),
        }
    }

    /// Serves the queue until it is closed and empty.
    pub fn run(mut self) {
        let _ended = Ended(Arc::clone(&self.shared));
        let mut requests = Vec::new();
        let most = self.shared.tuning.group_commit_bytes;
        while self.shared.queue.take(most, std::mem::take(&mut self.gather), &mut requests) {
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
                let end = active.offset + self.group.bytes + bytes;
                let (has, holds) = (active.reserved, active.offset > segment::HEADER_BYTES);
                match self.reserve_in_active(has, end) {
                    // What it holds is delivered: giving it back may make the room.
                    Err(AppendError::Full { .. })
                        if settled && holds && self.group.placed.is_empty() =>
                    {
                        self.rotate(bytes)
                    }
                    other => other,
                }
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
            self.active = Some(Active { reserved: active.offset, ..active });
        }
        if let Err(error) = self.shared.save_stands() {
            // Without it a segment that is given back would take positions with it.
            return Err(self.refuse("write of the positions", &error));
        }
        self.active = None;
        self.active = Some(self.create(frame_bytes)?);
        // Everything before may be settled already.
        self.shared.reclaim();
        Ok(())
    }

    /// Reserves space for the frames up to `end`, if it is not there yet.
    fn reserve_in_active(&mut self, has: u64, end: u64) -> Result<(), AppendError> {
        let Some(active) = &self.active else { return Err(AppendError::Closed) };
        if end <= has {
            return Ok(());
        }
        let reserved = self.reserve(&*active.file, has, end)?;
        if let Some(active) = &mut self.active {
            active.reserved = reserved;
        }
        Ok(())
    }

    /// Reserves a file up to `end`, and ahead of it if the disk has so much. Answers up to where.
    fn reserve(&self, file: &dyn File, has: u64, end: u64) -> Result<u64, AppendError> {
        for to in self.shared.tuning.reserve_steps(end) {
            if !self.disk_has(to - has.min(to)) {
                continue;
            }
            match file.reserve(to) {
                Ok(()) => return Ok(to),
                Err(error) if is_full(&error) => {}
                Err(error) => return Err(self.refuse("reserve", &error)),
            }
        }
        Err(self.full())
    }

    /// True if so much may be taken of the disk.
    fn disk_has(&self, bytes: u64) -> bool {
        let shared = &*self.shared;
        // An unanswered question is no reason to refuse: the reservation will tell.
        let free = shared.env.files.free_bytes(&shared.folder).unwrap_or(u64::MAX);
        free >= bytes.saturating_add(shared.tuning.disk_reserve_bytes)
    }

    /// Begins a segment; on a full disk in the place of the last one, if that is delivered.
    fn create(&self, frame_bytes: u64) -> Result<Active, AppendError> {
        match self.try_create(frame_bytes) {
            Err(AppendError::Full { .. }) if self.shared.reclaim_last() => {
                self.try_create(frame_bytes)
            }
            other => other,
        }
    }

    fn try_create(&self, frame_bytes: u64) -> Result<Active, AppendError> {
        let shared = &*self.shared;
        let files = &*shared.env.files;
        let end = segment::HEADER_BYTES + frame_bytes;
        let [_, least] = shared.tuning.reserve_steps(end);
        if !self.disk_has(least) {
            return Err(self.full());
        }
        let path = shared.path_of(self.next);
        let created = match files.create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.sweep() => {
                files.create_new(&path)
            }
            other => other,
        };
        let file = created.map_err(|error| self.refuse("create", &error))?;
        let reserved = self.reserve(&*file, 0, end).inspect_err(|_| {
            // Nothing is in it. Should the removal fail, the next attempt sweeps it up.
            let _ = files.remove(&path);
        })?;
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
        Ok(Active { file, offset: segment::HEADER_BYTES, reserved })
    }

    /// Removes what a failed creation left under the next segment's name: a file that is none of
    /// the journal's segments and holds no frame. True if it is gone.
    fn sweep(&self) -> bool {
        let files = &*self.shared.env.files;
        let path = self.shared.path_of(self.next);
        let len = files.open_read(&path).and_then(|file| file.len());
        !self.shared.table.lock().has(self.next)
            && len.is_ok_and(|len| len <= segment::HEADER_BYTES)
            && files.remove(&path).is_ok()
    }

    /// What a caller is told when there is no file to write to. Nothing was stored and nothing is
    /// in doubt, so it does not stick.
    fn refuse(&self, operation: &'static str, error: &io::Error) -> AppendError {
        if is_full(error) {
            return self.full();
        }
        let now = self.shared.env.clock.monotonic();
        let recent = |at| now.saturating_sub(at) < limits::REFUSAL_LOG_INTERVAL;
        if !self.refused_at.get().is_some_and(recent) {
            self.refused_at.set(Some(now));
            let folder = self.shared.folder.display();
            tracing::error!(%folder, operation, %error, "cannot begin a journal segment");
        }
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
        self.note_stands(group);
        self.shared.tail.send_replace(Position::new(0, self.next));
        Ok(())
    }

    /// What the stored puts say of their source's place upstream.
    fn note_stands(&self, group: &Group) {
        let mut stands = self.shared.stands.lock();
        let Some(stands) = &mut *stands else { return };
        for Placed { request, first, .. } in &group.placed {
            if let Some(provenance) = &request.put.provenance {
                stands.apply(&provenance.steps, first + request.put.lengths.len() as u64);
            }
        }
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
                active.reserved = active.offset;
                return Err(self.full());
            }
            return Err(AppendError::Failed(self.shared.fail("write", &error)));
        }
        if self.shared.durability == Durability::Fsync {
            let took = self.sync(&*active.file)?;
            self.gather = queue::gather_time(group.bytes, took);
        }
        active.offset += group.bytes;
        Ok(())
    }

    /// Answers with the time it took.
    fn sync(&self, file: &dyn File) -> Result<Duration, AppendError> {
        let clock = &self.shared.env.clock;
        let start = clock.monotonic();
        let synced = file.sync_data();
        let took = clock.monotonic().saturating_sub(start);
        self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        self.shared.sync_micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        synced.map(|()| took).map_err(|error| AppendError::Failed(self.shared.fail("sync", &error)))
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
        // What it says can be found out again from the frames, as long as they are kept.
        if let Err(error) = self.shared.save_stands() {
            tracing::warn!(folder = %self.shared.folder.display(), %error, "positions are not saved");
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
    Appended { first: Position::new(0, first), records, repeated, places: None }
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
        if std::thread::panicking() {
            self.0.fail("writer", &io::Error::other("it has panicked"));
        }
        self.0.queue.close();
        self.0.queue.clear();
        self.0.ended.send_replace(true);
    }
}
