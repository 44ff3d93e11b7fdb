//! A walk over the frames of one segment: what readers and recovery have in common.
//!
//! It never modifies a file. Behind damage it looks for the next header that verifies; the
//! positions in between are reported as one stretch.

use std::io;

use bytes::Bytes;

use super::{
    frame::{HEADER_BYTES, Header, Identity, MAGIC},
    segment,
};
use crate::env::File;

/// Bytes read at a time while only headers matter, or the way is searched behind damage.
const WINDOW_BYTES: u64 = 64 * 1024;
/// Unreadable stretches are narrowed down to pieces of this size: a page, the unit in which the
/// kernel reads.
const PIECE_BYTES: usize = 4096;

/// What a walk meets.
#[derive(Debug)]
pub enum Step {
    /// A frame whose body was verified.
    Frame { header: Header, offset: u64, body: Bytes },
    /// A frame that was passed by its header; its body was not looked at.
    Passed { header: Header },
    /// Positions whose bytes are damaged; what comes next is sound, or damaged by itself.
    Damaged { first: u64, end: u64 },
    /// No sound frame follows.
    End,
}

/// The bounds of a walk.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// No frame may reach past this sequence.
    pub end: u64,
    /// Bytes of the file that count.
    pub len: u64,
}

pub struct Walk<'a> {
    file: &'a dyn File,
    identity: Identity,
    bounds: Bounds,
    strict: bool,
    /// The sequence expected next.
    pub sequence: u64,
    /// Where its frame should start.
    pub offset: u64,
    window: Bytes,
    window_at: u64,
}

impl<'a> Walk<'a> {
    /// Starts at the first frame of a segment.
    pub fn new(file: &'a dyn File, identity: Identity, first: u64, bounds: Bounds) -> Self {
        Self::at(file, identity, first, segment::HEADER_BYTES, bounds)
    }

    /// Starts at a frame whose place is known.
    pub fn at(
        file: &'a dyn File,
        identity: Identity,
        sequence: u64,
        offset: u64,
        bounds: Bounds,
    ) -> Self {
        let (window, strict) = (Bytes::new(), false);
        Self { file, identity, bounds, strict, sequence, offset, window, window_at: 0 }
    }

    /// What the disk cannot read is an error, not damage: whoever is going to cut a file must not
    /// take a passing trouble for the end of it.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// The next step. Frames that end at or below `pass_below` are passed by their headers.
    /// `want_bytes` is how much the caller is going to read in all.
    pub fn step(&mut self, pass_below: u64, want_bytes: u64) -> io::Result<Step> {
        if self.offset >= self.bounds.len || self.sequence >= self.bounds.end {
            return Ok(Step::End);
        }
        // Far from where the caller reads, only headers matter.
        let header_want = if pass_below > self.sequence { WINDOW_BYTES } else { want_bytes };
        let Some(header) = self.header_at(self.offset, header_want)? else {
            return self.resync(self.offset);
        };
        if header.first > self.sequence {
            let first = std::mem::replace(&mut self.sequence, header.first);
            return Ok(Step::Damaged { first, end: header.first });
        }
        let offset = self.offset;
        if header.end() <= pass_below {
            self.pass(&header);
            return Ok(Step::Passed { header });
        }
        let want = header.frame_bytes().max(want_bytes);
        self.fill(offset, header.frame_bytes(), want)?;
        let start = (offset - self.window_at) as usize + HEADER_BYTES;
        let body = self.window.slice(start..start + header.body_bytes as usize);
        self.pass(&header);
        if header.verify(&body) {
            return Ok(Step::Frame { header, offset, body });
        }
        Ok(Step::Damaged { first: header.first, end: header.end() })
    }

    fn pass(&mut self, header: &Header) {
        self.offset += header.frame_bytes();
        self.sequence = header.end();
    }

    /// A header that is sound, does not go back, and whose frame lies within the bounds.
    fn header_at(&mut self, offset: u64, want: u64) -> io::Result<Option<Header>> {
        if offset + HEADER_BYTES as u64 > self.bounds.len {
            return Ok(None);
        }
        self.fill(offset, HEADER_BYTES as u64, want)?;
        let at = (offset - self.window_at) as usize;
        let header = Header::decode(&self.window[at..], self.identity);
        Ok(header.filter(|header| {
            header.first >= self.sequence
                && header.end() <= self.bounds.end
                && offset + header.frame_bytes() <= self.bounds.len
        }))
    }

    /// Looks for the next sound header behind `offset`.
    fn resync(&mut self, offset: u64) -> io::Result<Step> {
        let mut at = offset + 1;
        while at + HEADER_BYTES as u64 <= self.bounds.len {
            self.fill(at, HEADER_BYTES as u64, WINDOW_BYTES)?;
            let start = (at - self.window_at) as usize;
            // A magic that begins in this window, even if it ends behind it.
            let Some(found) = self.window[start..].iter().position(|&byte| byte == MAGIC[0]) else {
                at = self.window_at + self.window.len() as u64;
                continue;
            };
            at += found as u64;
            if let Some(header) = self.header_at(at, WINDOW_BYTES)? {
                let first = std::mem::replace(&mut self.sequence, header.first);
                self.offset = at;
                if first == header.first {
                    // Rubbish between two frames that belong together: nothing is missing.
                    return self.step(0, header.frame_bytes());
                }
                return Ok(Step::Damaged { first, end: header.first });
            }
            at += 1;
        }
        self.offset = self.bounds.len;
        Ok(Step::End)
    }

    /// Makes sure that `need` bytes from `offset` on are in the window; reads up to `want`.
    fn fill(&mut self, offset: u64, need: u64, want: u64) -> io::Result<()> {
        let window_end = self.window_at + self.window.len() as u64;
        if offset >= self.window_at && offset + need <= window_end {
            return Ok(());
        }
        let size = want.max(need).min(self.bounds.len - offset) as usize;
        let mut buffer = Vec::with_capacity(size);
        // The start of a frame that crosses the window's end is not read again.
        if (self.window_at..window_end).contains(&offset) {
            buffer.extend_from_slice(&self.window[(offset - self.window_at) as usize..]);
        }
        let (rest, at) = (size - buffer.len(), offset + buffer.len() as u64);
        if self.strict {
            self.file.read_more_at(&mut buffer, rest, at)?;
        } else {
            read_what_is_there(self.file, &mut buffer, rest, at)?;
        }
        self.window = buffer.into();
        self.window_at = offset;
        Ok(())
    }
}

/// Reads, and leaves zeros where the disk has lost a sector or the file has been cut: checksums
/// will tell, and the frames around it still come through.
fn read_what_is_there(
    file: &dyn File,
    buffer: &mut Vec<u8>,
    bytes: usize,
    offset: u64,
) -> io::Result<()> {
    match file.read_more_at(buffer, bytes, offset) {
        Err(error) if is_loss(&error) => {}
        other => return other,
    }
    let len = file.len()?;
    let start = buffer.len();
    buffer.resize(start + bytes, 0);
    for (index, piece) in buffer[start..].chunks_mut(PIECE_BYTES).enumerate() {
        let at = offset + (index * PIECE_BYTES) as u64;
        let there = len.saturating_sub(at).min(piece.len() as u64) as usize;
        let (there, _) = piece.split_at_mut(there);
        match file.read_exact_at(there, at) {
            Err(error) if is_loss(&error) => there.fill(0),
            other => other?,
        }
    }
    Ok(())
}

fn is_loss(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
        || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::{
        io::IoSlice,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{buffer::frame, record::Put};

    /// A file in memory that counts the bytes that are read.
    struct Counted {
        bytes: Vec<u8>,
        read: AtomicUsize,
    }

    impl File for Counted {
        fn write_all_at(&self, _: &[IoSlice<'_>], _: u64) -> io::Result<()> {
            unreachable!("a walk never writes")
        }
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            let bytes = self.bytes.get(offset as usize..offset as usize + buffer.len());
            buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            self.read.fetch_add(buffer.len(), Ordering::Relaxed);
            Ok(())
        }
        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            unreachable!("a walk never writes")
        }
        fn len(&self) -> io::Result<u64> {
            Ok(self.bytes.len() as u64)
        }
        fn reserve(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_byte_is_read_twice_where_frames_cross_the_window() {
        let identity = Identity::new([1; 16]);
        let mut bytes = vec![0; segment::HEADER_BYTES as usize];
        for n in 0..100u8 {
            let mut put = Put::default();
            put.push(&vec![n; 30_000]);
            frame::encode_plain(&put, n.into(), 0, identity, &mut bytes);
            bytes.extend_from_slice(&put.data);
        }
        let bounds = Bounds { end: 100, len: bytes.len() as u64 };
        let file = Counted { bytes, read: AtomicUsize::new(0) };
        let mut walk = Walk::new(&file, identity, 0, bounds);
        for n in 0..100u8 {
            let Step::Frame { header, body, .. } = walk.step(0, 100_000).unwrap() else {
                panic!("a frame")
            };
            assert_eq!((header.first, &body[4..]), (n.into(), &[n; 30_000][..]));
        }
        let expected = file.bytes.len() - segment::HEADER_BYTES as usize;
        assert_eq!(file.read.into_inner(), expected);
    }
}
