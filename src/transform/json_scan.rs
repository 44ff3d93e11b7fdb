//! Where a JSON string (RFC 8259, section 7) stops meaning itself, eight bytes at a time.

/// Bytes looked at in one step.
pub(super) const WORD: usize = 8;

const ONES: u64 = u64::from_le_bytes([0x01; WORD]);
const HIGH_BITS: u64 = u64::from_le_bytes([0x80; WORD]);

/// Whether a byte of a string ends it, begins an escape, or may not stand there.
pub(super) fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// The index of the first special byte of a word.
///
/// Subtracting borrows from the byte above only out of a byte that is special itself, so the
/// lowest mark is always true.
pub(super) fn first_special(word: [u8; WORD]) -> Option<usize> {
    let word = u64::from_le_bytes(word);
    let quote = word ^ (ONES * b'"' as u64);
    let escape = word ^ (ONES * b'\\' as u64);
    let marks = (quote.wrapping_sub(ONES) & !quote)
        | (escape.wrapping_sub(ONES) & !escape)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    let marks = marks & HIGH_BITS;
    (marks != 0).then(|| marks.trailing_zeros() as usize / WORD)
}

/// Bytes looked at in one step where nothing special is near.
pub(super) const BLOCK: usize = 32;

/// Whether there is a special byte in a block.
pub(super) fn has_special(block: &[u8; BLOCK]) -> bool {
    block.iter().fold(false, |found, &byte| found | is_special(byte))
}

/// How many bytes mean themselves before the first special one.
pub(super) fn plain_run(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<WORD>();
    for (index, &word) in words.iter().enumerate() {
        if let Some(first) = first_special(word) {
            return index * WORD + first;
        }
    }
    let tail = rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len());
    text.len() - rest.len() + tail
}

/// Whether a byte is white space between the tokens of JSON.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            any::<u8>(),
            0x1du8..0x24,
            Just(b'\\'),
            Just(0xa2),
            Just(0xdc),
            Just(b'a'),
            Just(0x80)
        ];
        prop::collection::vec(byte, 0..40)
    }

    proptest! {
        #[test]
        fn the_run_ends_at_the_first_special_byte(text in bytes()) {
            let expected = text.iter().position(|&b| is_special(b)).unwrap_or(text.len());
            prop_assert_eq!(plain_run(&text), expected);
        }
    }
}
