//! A line whose newline has not been read yet, held up to a limit.

/// The beginning of a line.
#[derive(Debug, Default)]
pub(super) struct Partial {
    kept: Vec<u8>,
    limit: usize,
    /// Where it begins.
    pub(super) at: u64,
    /// Bytes that were read of it, those included that are not kept.
    length: u64,
    last: Option<u8>,
}

/// Room that is kept for the next line: a file that once had a long one does not hold on to it.
const ROOM_KEPT: usize = 64 * 1024;

impl Partial {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn held(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn begin(&mut self, at: u64) {
        self.clear();
        self.at = at;
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        let room = self.limit - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length += bytes.len() as u64;
        self.last = bytes.last().copied().or(self.last);
    }

    /// What is kept of it without its end, and how many bytes are not.
    pub(super) fn text(&self) -> (&[u8], u64) {
        without_end(&self.kept, self.length, self.last)
    }

    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.kept.shrink_to(ROOM_KEPT);
        self.length = 0;
        self.last = None;
    }
}

/// A line of `length` bytes of which the first are kept, without the `\r` at its end: what is kept
/// of that, and how many bytes are not.
pub(super) fn without_end(kept: &[u8], length: u64, last: Option<u8>) -> (&[u8], u64) {
    let length = length - u64::from(last == Some(b'\r'));
    // Kept is no more than there is, so what is shorter fits.
    let text = &kept[..(kept.len() as u64).min(length) as usize];
    (text, length - text.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_line() {
        for (pieces, expected) in [
            (&["abc"][..], ("abc", 0)),
            (&["ab", "cd\r"][..], ("abcd", 0)),
            (&["abcd", "\r"][..], ("abcd", 0)),
            (&["abcd", "e", "", "f\r"][..], ("abcd", 2)),
            (&["abcd", "\r", "f"][..], ("abcd", 2)),
            (&["\r"][..], ("", 0)),
            (&[][..], ("", 0)),
        ] {
            let mut partial = Partial::new(4);
            partial.begin(7);
            pieces.iter().for_each(|piece| partial.add(piece.as_bytes()));
            assert_eq!(partial.text(), (expected.0.as_bytes(), expected.1), "{pieces:?}");
        }
    }
}
