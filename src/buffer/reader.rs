//! Reading: positioned reads of the segments, every checksum verified, nothing modified.
//!
//! A reader remembers where it stopped, so that the next read starts at the right byte. Plain
//! frames are slices of what was read in one piece.

use std::io;

use super::{
    frame::{self, BodyError},
    segment::{Place, Segment},
    shared::Shared,
    walk::{Bounds, Step, Walk},
};
use crate::{
    limits,
    record::{Frame, Position},
    seams::{Entry, JournalError},
};

/// Most bytes read with one call, however much is asked for.
const READ_BYTES_MAX: u64 = 4 * limits::MIB;

/// What is collected for one read.
struct Collected {
    from: u64,
    before: u64,
    left_bytes: usize,
    full: bool,
    entries: Vec<Entry>,
}

impl Collected {
    fn frame(&mut self, frame: Frame) {
        if let Some(frame) = frame::cut(frame, self.from, self.before) {
            let bytes = frame::footprint_of(&frame);
            self.full = bytes >= self.left_bytes;
            self.left_bytes = self.left_bytes.saturating_sub(bytes);
            self.entries.push(Entry::Frame(frame));
        }
    }

    fn damaged(&mut self, first: u64, end: u64) {
        let (first, end) = (first.max(self.from), end.min(self.before));
        if first >= end {
            return;
        }
        let (first, end) = (Position::new(0, first), Position::new(0, end));
        if let Some(Entry::Damaged { end: last, .. }) = self.entries.last_mut()
            && *last == first
        {
            *last = end;
            return;
        }
        self.entries.push(Entry::Damaged { first, end });
    }
}

/// Entries of `from..before` until `max_bytes` are exceeded. `before` is at most the tail.
pub fn read(
    shared: &Shared,
    from: u64,
    before: u64,
    max_bytes: usize,
) -> Result<Vec<Entry>, JournalError> {
    let mut out =
        Collected { from, before, left_bytes: max_bytes, full: false, entries: Vec::new() };
    let mut at = from;
    while at < before && !out.full {
        let place = shared.table.lock().locate(at);
        at = match place {
            Place::Gap(end) => {
                // Below the oldest segment lies what was settled and given back.
                if at >= shared.table.lock().oldest() {
                    shared.report_damage(at, end.min(before));
                }
                out.damaged(at, end);
                end
            }
            Place::In(segment) => read_segment(shared, segment, at, &mut out)?,
        };
    }
    Ok(out.entries)
}

/// Reads on in one segment; answers where to go on.
fn read_segment(
    shared: &Shared,
    segment: Segment,
    at: u64,
    out: &mut Collected,
) -> Result<u64, JournalError> {
    let file = match shared.handle(segment.first) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Given back meanwhile, also by who has the folder now, or taken away behind our back.
            if !shared.is_left() && shared.table.lock().locate(at) == Place::In(segment) {
                shared.report_damage(at, segment.end);
            }
            out.damaged(at, segment.end);
            return Ok(segment.end);
        }
        Err(error) => return Err(io_error("open", &error)),
    };
    let bounds = Bounds { end: segment.end, len: segment.len };
    let mut walk = match shared.place_before(segment.first, at) {
        Some((sequence, offset)) => Walk::at(&*file, shared.identity, sequence, offset, bounds),
        None => Walk::new(&*file, shared.identity, segment.first, bounds),
    };
    while walk.sequence < out.before && !out.full {
        let want = (out.left_bytes as u64).saturating_add(2 * frame::HEADER_BYTES as u64);
        let want = want.min(READ_BYTES_MAX);
        match walk.step(at, want).map_err(|error| io_error("read", &error))? {
            Step::Passed { .. } => {}
            Step::Frame { header, offset, body } => {
                match frame::decode_body(&header, body, shared.identity, shared.keys.as_deref()) {
                    Ok(frame) => out.frame(frame),
                    Err(BodyError::Lengths) => {
                        shared.report_damage(header.first, header.end());
                        out.damaged(header.first, header.end());
                    }
                    Err(BodyError::Crypto(error)) => {
                        // The bytes are sound: with the right key nothing is lost.
                        return Err(JournalError::Io {
                            operation: "decrypt",
                            message: format!("position 0/{}: {error}", header.first),
                        });
                    }
                }
                if header.end() > out.before {
                    shared.remember(segment.first, header.first, offset);
                    return Ok(out.before);
                }
            }
            Step::Damaged { first, end } => {
                shared.report_damage(first, end);
                out.damaged(first, end);
            }
            Step::End => {
                if walk.sequence < segment.end {
                    shared.report_damage(walk.sequence, segment.end);
                    out.damaged(walk.sequence, segment.end);
                }
                return Ok(segment.end);
            }
        }
    }
    shared.remember(segment.first, walk.sequence, walk.offset);
    Ok(walk.sequence)
}

fn io_error(operation: &'static str, error: &io::Error) -> JournalError {
    JournalError::Io { operation, message: error.to_string() }
}
