//! Byte run lengths: a control byte 0 to 127 and one byte that comes 3 to 130 times, or a control
//! byte -1 to -128 and as many bytes as they are.

use super::Runs;

const RUN_MIN: usize = 3;
const RUN_MAX: usize = 130;
const LITERALS_MAX: usize = 128;

/// Holds either literals that may end in the beginning of a run, or one run.
#[derive(Debug, Default)]
pub(in super::super) struct Encoder {
    literals: Vec<u8>,
    /// How often the last byte came at the end of `literals`; the run's length if it is a run.
    repeats: usize,
    is_run: bool,
}

impl Encoder {
    pub(in super::super) fn push(&mut self, byte: u8, out: &mut Vec<u8>) {
        let is_same = self.literals.last() == Some(&byte);
        if self.is_run {
            if is_same && self.repeats < RUN_MAX {
                self.repeats += 1;
                return;
            }
            self.flush(out);
            self.literals.push(byte);
            self.repeats = 1;
            return;
        }
        self.repeats = if is_same { self.repeats + 1 } else { 1 };
        if self.repeats == RUN_MIN {
            self.literals.truncate(self.literals.len() - (RUN_MIN - 1));
            self.flush(out);
            self.literals.push(byte);
            self.repeats = RUN_MIN;
            self.is_run = true;
            return;
        }
        self.literals.push(byte);
        if self.literals.len() == LITERALS_MAX {
            self.flush(out);
        }
    }

    pub(in super::super) fn flush(&mut self, out: &mut Vec<u8>) {
        if self.is_run {
            out.push((self.repeats - RUN_MIN) as u8);
            out.push(self.literals[0]);
        } else if !self.literals.is_empty() {
            out.push((-(self.literals.len() as i16)) as u8);
            out.extend_from_slice(&self.literals);
        }
        self.literals.clear();
        self.repeats = 0;
        self.is_run = false;
    }
}

impl Runs for Encoder {
    fn pause(&mut self, out: &mut Vec<u8>) {
        self.flush(out);
    }

    fn position(&self, positions: &mut Vec<u64>) {
        positions.push(0);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) fn decode(mut data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let [control, rest @ ..] = data {
            if *control < 128 {
                bytes.extend(std::iter::repeat_n(rest[0], usize::from(*control) + 3));
                data = &rest[1..];
            } else {
                let length = 256 - usize::from(*control);
                bytes.extend_from_slice(&rest[..length]);
                data = &rest[length..];
            }
        }
        bytes
    }

    fn encode(bytes: &[u8]) -> Vec<u8> {
        let (mut encoder, mut out) = (Encoder::default(), Vec::new());
        bytes.iter().for_each(|byte| encoder.push(*byte, &mut out));
        encoder.flush(&mut out);
        out
    }

    #[test]
    fn the_specification_s_examples() {
        assert_eq!(encode(&[0; 100]), [0x61, 0x00]);
        assert_eq!(encode(&[0x44, 0x45]), [0xfe, 0x44, 0x45]);
    }

    #[test]
    fn runs_and_literals_end_at_their_longest() {
        assert_eq!(encode(&[7; 131]), [127, 7, 0xff, 7]);
        let up: Vec<u8> = (0..=255).collect();
        assert_eq!(encode(&up).len(), 258);
        assert_eq!(decode(&encode(&up)), up);
        assert_eq!(encode(&[1, 2, 2, 2, 3]), [0xff, 1, 0, 2, 0xff, 3]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in prop::collection::vec(0u8..3, 0..700)) {
            prop_assert_eq!(decode(&encode(&bytes)), bytes);
        }
    }
}
