//! Text on its way to a record: lent, or put together of several lines.

use super::decode::Stamp;

/// Text that lies somewhere else.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub text: &'a [u8],
    /// Bytes that were cut off behind it.
    pub cut: u64,
    pub at: u64,
    pub end: u64,
    pub time: Option<Stamp>,
}

impl<'a> View<'a> {
    pub(super) fn new(text: &'a [u8], cut: u64, at: u64, end: u64) -> Self {
        Self { text, cut, at, end, time: None }
    }
}

/// Text put together of several lines.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    cut: u64,
    pub at: u64,
    end: u64,
    /// Of the first line.
    time: Option<Stamp>,
}

impl Text {
    pub(super) fn of(first: &View, limit: usize) -> Self {
        let &View { at, end, time, .. } = first;
        let mut text = Self { bytes: Vec::new(), cut: 0, at, end, time };
        text.append(&[], first, limit);
        text
    }

    /// Puts more behind it. What is beyond the limit is counted, and so is all that follows: there
    /// is no gap in what is kept.
    pub(super) fn append(&mut self, between: &[u8], more: &View, limit: usize) {
        for bytes in [between, more.text] {
            let room = if self.cut > 0 { 0 } else { limit - self.bytes.len() };
            let kept = bytes.len().min(room);
            self.bytes.extend_from_slice(&bytes[..kept]);
            self.cut += (bytes.len() - kept) as u64;
        }
        self.cut += more.cut;
        self.end = more.end;
    }

    pub(super) fn view(&self) -> View<'_> {
        let &Self { ref bytes, cut, at, end, time } = self;
        View { text: bytes, cut, at, end, time }
    }

    pub(super) fn held(&self) -> usize {
        self.bytes.len()
    }
}

/// The length without a character of UTF-8 that was cut at the end. Bytes that are no UTF-8 anyway
/// stay.
pub(super) fn whole_characters(text: &[u8]) -> usize {
    let tail = text.len().saturating_sub(3);
    let lead = text[tail..].iter().rposition(|&byte| byte & 0xc0 != 0x80);
    let Some(lead) = lead.map(|index| tail + index) else { return text.len() };
    let width = match text[lead] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    if lead + width > text.len() { lead } else { text.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_cut() {
        for character in ["a", "é", "€", "𝄞"] {
            let text = format!("x{character}");
            for length in 1..text.len() {
                assert_eq!(whole_characters(&text.as_bytes()[..length]), 1, "{text} {length}");
            }
            assert_eq!(whole_characters(text.as_bytes()), text.len());
        }
        for text in [&b""[..], b"\x80\x80\x80\x80", b"a\x80", b"\xff", b"\xc0"] {
            assert_eq!(whole_characters(text), text.len());
        }
    }
}
