//! The part of a stream that is being looked at.

use std::io::{self, Read};

use crate::limits;

/// Bytes read and not yet consumed, and the number of the line that they begin in.
pub(super) struct Window<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
    /// Met behind the data.
    trouble: Option<io::Error>,
    line: u64,
}

impl<R: Read> Window<R> {
    pub fn new(source: R) -> Self {
        Self { source, buffer: Vec::new(), start: 0, ended: false, trouble: None, line: 1 }
    }

    pub fn data(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The line in which the data begins, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Whether nothing follows the data.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether there is as much as one line may have.
    pub fn is_full(&self) -> bool {
        self.data().len() >= limits::REPLAY_LINE_BYTES_MAX
    }

    pub fn consume(&mut self, bytes: usize) {
        let consumed = &self.buffer[self.start..self.start + bytes];
        self.line += memchr::memchr_iter(b'\n', consumed).count() as u64;
        self.start += bytes;
    }

    /// Reads on. The data at least doubles unless the stream ends, so that who searches it again
    /// from its beginning does so a bounded number of times. Trouble is told only after the bytes
    /// before it.
    pub fn more(&mut self) -> io::Result<()> {
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > 4 * limits::REPLAY_WINDOW_BYTES {
            // One long line must not hold its memory to the end of the object.
            self.buffer = Vec::new();
        }
        let missing = self.buffer.len().max(limits::REPLAY_WINDOW_BYTES);
        self.buffer.reserve(missing);
        let before = self.buffer.len();
        match self.source.by_ref().take(missing as u64).read_to_end(&mut self.buffer) {
            Ok(read) => self.ended = read < missing,
            Err(error) if self.buffer.len() == before => return Err(error),
            Err(error) => self.trouble = Some(error),
        }
        Ok(())
    }
}
