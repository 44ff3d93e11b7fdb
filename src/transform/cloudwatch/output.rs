//! What is made of a document, in a buffer that is used again for the next.

use super::{
    super::json_scan::{BLOCK, WORD, first_special, has_special, is_special},
    cursor::Malformed,
};

/// Bytes written one behind the other, up to a limit.
pub(super) struct Output {
    buffer: Vec<u8>,
    length: usize,
    limit: usize,
}

impl Output {
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), length: 0, limit }
    }

    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    pub(super) fn written(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    /// Makes room for `bytes` more.
    pub(super) fn reserve(&mut self, bytes: usize) -> Result<(), Malformed> {
        let needed = self.length + bytes;
        if needed <= self.buffer.len() {
            return Ok(());
        }
        if needed > self.limit {
            return Err(Malformed::TooLarge { limit: self.limit });
        }
        self.buffer.resize(needed.max(self.buffer.len() * 2).min(self.limit), 0);
        Ok(())
    }

    /// Appends bytes for which there is room.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Appends bytes and makes room for them.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.reserve(bytes.len())?;
        self.push(bytes);
        Ok(())
    }

    /// Appends what the characters of a string mean, up to the first byte that is neither plain
    /// nor of an escape of two bytes, and returns how many bytes that took. There must be room for
    /// all of `text`.
    pub(super) fn push_string(&mut self, text: &[u8]) -> usize {
        let room = &mut self.buffer[self.length..][..text.len()];
        let (mut from, mut to) = (0, 0);
        // Meanings are never longer than what stands for them, so `to` does not overtake `from`.
        while let Some(word) = text[from..].first_chunk::<WORD>() {
            room[to..to + WORD].copy_from_slice(word);
            let Some(run) = first_special(*word) else {
                (from, to) = (from + WORD, to + WORD);
                while let Some(block) = text[from..].first_chunk::<BLOCK>()
                    && !has_special(block)
                {
                    room[to..to + BLOCK].copy_from_slice(block);
                    (from, to) = (from + BLOCK, to + BLOCK);
                }
                continue;
            };
            (from, to) = (from + run, to + run);
            let Some(meant) = short_escape(&text[from..]) else {
                self.length += to;
                return from;
            };
            room[to] = meant;
            (from, to) = (from + 2, to + 1);
        }
        while let Some(&byte) = text.get(from) {
            if !is_special(byte) {
                room[to] = byte;
                (from, to) = (from + 1, to + 1);
            } else if let Some(meant) = short_escape(&text[from..]) {
                room[to] = meant;
                (from, to) = (from + 2, to + 1);
            } else {
                break;
            }
        }
        self.length += to;
        from
    }
}

/// What the escape of two bytes means that `text` begins with, if it does.
pub(super) fn short_escape(text: &[u8]) -> Option<u8> {
    match *text.first_chunk()? {
        [b'\\', escaped] => Some(MEANINGS[escaped as usize]).filter(|&meant| meant != 0),
        _ => None,
    }
}

/// What a byte behind a backslash means; 0 if it means nothing, or more bytes follow.
const MEANINGS: [u8; 256] = {
    let mut meanings = [0; 256];
    meanings[b'"' as usize] = b'"';
    meanings[b'\\' as usize] = b'\\';
    meanings[b'/' as usize] = b'/';
    meanings[b'b' as usize] = 0x08;
    meanings[b'f' as usize] = 0x0c;
    meanings[b'n' as usize] = b'\n';
    meanings[b'r' as usize] = b'\r';
    meanings[b't' as usize] = b'\t';
    meanings
};
