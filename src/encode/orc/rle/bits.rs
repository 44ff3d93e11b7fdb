//! Boolean run lengths: eight values a byte, the first in the highest bit, and the bytes as byte
//! run lengths.

use super::{Runs, bytes};

#[derive(Debug, Default)]
pub(in super::super) struct Encoder {
    bytes: bytes::Encoder,
    partial: u8,
    /// Bits taken of `partial`, 0 to 7.
    used: u32,
}

impl Encoder {
    pub(in super::super) fn push(&mut self, bit: bool, out: &mut Vec<u8>) {
        self.partial = self.partial << 1 | u8::from(bit);
        self.used += 1;
        if self.used == 8 {
            self.bytes.push(self.partial, out);
            self.used = 0;
        }
    }

    /// The same bit `count` times.
    pub(in super::super) fn repeat(&mut self, bit: bool, count: usize, out: &mut Vec<u8>) {
        let mut left = count;
        while left > 0 && self.used != 0 {
            self.push(bit, out);
            left -= 1;
        }
        for _ in 0..left / 8 {
            self.bytes.push(if bit { 0xff } else { 0 }, out);
        }
        for _ in 0..left % 8 {
            self.push(bit, out);
        }
    }
}

impl Runs for Encoder {
    /// A byte that is not full stays: the next row group begins within it.
    fn pause(&mut self, out: &mut Vec<u8>) {
        self.bytes.flush(out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.used > 0 {
            self.bytes.push(self.partial << (8 - self.used), out);
            self.used = 0;
        }
        self.bytes.flush(out);
    }

    /// No byte of the run to skip, and the bits of the byte after.
    fn position(&self, positions: &mut Vec<u64>) {
        positions.extend([0, u64::from(self.used)]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::bytes::tests::decode, *};

    fn bits(data: &[u8], count: usize) -> Vec<bool> {
        let bytes = decode(data);
        (0..count).map(|at| bytes[at / 8] >> (7 - at % 8) & 1 == 1).collect()
    }

    #[test]
    fn the_specification_s_example() {
        let (mut encoder, mut out) = (Encoder::default(), Vec::new());
        encoder.push(true, &mut out);
        encoder.repeat(false, 7, &mut out);
        encoder.close(&mut out);
        assert_eq!(out, [0xff, 0x80]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_across_pauses(
            runs in prop::collection::vec((any::<bool>(), 0usize..40, any::<bool>()), 0..40)
        ) {
            let (mut encoder, mut out, mut expected) = (Encoder::default(), Vec::new(), Vec::new());
            for (bit, count, pause) in runs {
                encoder.repeat(bit, count, &mut out);
                expected.extend(std::iter::repeat_n(bit, count));
                if pause {
                    encoder.pause(&mut out);
                    let mut position = Vec::new();
                    encoder.position(&mut position);
                    // Whoever enters here finds so many whole bytes before him, and these bits.
                    prop_assert_eq!(decode(&out).len(), expected.len() / 8);
                    prop_assert_eq!(position, vec![0, expected.len() as u64 % 8]);
                }
            }
            encoder.close(&mut out);
            prop_assert_eq!(bits(&out, expected.len()), expected);
        }
    }
}
