//! Integer run lengths, version 1 (files of Hive 0.11): a control byte 0 to 127, a signed delta of
//! one byte and a varint make a run of 3 to 130; a control byte -1 to -128 comes before as many
//! varints.

use super::{stored, varint};

const RUN_MIN: usize = 3;
const RUN_MAX: usize = 130;
const LITERALS_MAX: usize = 128;

/// Holds either literals that may end in the beginning of a run, or one run.
#[derive(Debug)]
pub(in super::super) struct Encoder {
    signed: bool,
    literals: Vec<i64>,
    /// Distance of the last two values; none if it is no delta a run can have.
    delta: Option<i8>,
    /// Values at the end that lie `delta` apart; the run's length if it is a run.
    length: usize,
    is_run: bool,
    last: i64,
}

impl Encoder {
    pub(in super::super) fn new(signed: bool) -> Self {
        Self { signed, literals: Vec::new(), delta: None, length: 0, is_run: false, last: 0 }
    }

    pub(in super::super) fn push(&mut self, value: i64, out: &mut Vec<u8>) {
        let delta = value.checked_sub(self.last).and_then(|delta| i8::try_from(delta).ok());
        if self.is_run {
            if delta == self.delta && self.length < RUN_MAX {
                self.length += 1;
                self.last = value;
                return;
            }
            self.flush(out);
        }
        self.length = match delta {
            _ if self.literals.is_empty() => 1,
            Some(_) if delta == self.delta && self.length > 1 => self.length + 1,
            Some(_) => 2,
            None => 1,
        };
        self.delta = if self.literals.is_empty() { None } else { delta };
        self.literals.push(value);
        self.last = value;
        if self.length == RUN_MIN {
            self.begin_run(out);
        } else if self.literals.len() == LITERALS_MAX {
            self.flush(out);
        }
    }

    /// The last three literals become a run; those before them are written.
    fn begin_run(&mut self, out: &mut Vec<u8>) {
        let base = self.literals[self.literals.len() - RUN_MIN];
        let (delta, last) = (self.delta, self.last);
        self.literals.truncate(self.literals.len() - RUN_MIN);
        self.flush(out);
        self.literals.push(base);
        (self.delta, self.last, self.length, self.is_run) = (delta, last, RUN_MIN, true);
    }

    pub(in super::super) fn flush(&mut self, out: &mut Vec<u8>) {
        if self.is_run {
            out.push((self.length - RUN_MIN) as u8);
            out.push(self.delta.unwrap_or_default() as u8);
        } else if !self.literals.is_empty() {
            out.push((-(self.literals.len() as i16)) as u8);
        }
        for value in self.literals.drain(..) {
            varint(stored(value, self.signed).into(), out);
        }
        self.delta = None;
        self.length = 0;
        self.is_run = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::int_v2::tests::Reader, *};

    fn encode(values: &[i64], signed: bool) -> Vec<u8> {
        let (mut encoder, mut out) = (Encoder::new(signed), Vec::new());
        values.iter().for_each(|value| encoder.push(*value, &mut out));
        encoder.flush(&mut out);
        out
    }

    fn decode(data: &[u8], signed: bool) -> Vec<i64> {
        let (mut reader, mut values) = (Reader::new(data, signed), Vec::new());
        while !reader.is_done() {
            let control = reader.byte() as i8;
            if control < 0 {
                (0..-i16::from(control)).for_each(|_| values.push(reader.value()));
                continue;
            }
            let delta = i64::from(reader.byte() as i8);
            let base = reader.value();
            values.extend((0..i64::from(control) + 3).map(|at| base + at * delta));
        }
        values
    }

    #[test]
    fn the_specification_s_examples() {
        assert_eq!(encode(&[7; 100], false), [0x61, 0x00, 0x07]);
        let down: Vec<i64> = (1..=100).rev().collect();
        assert_eq!(encode(&down, false), [0x61, 0xff, 0x64]);
        assert_eq!(encode(&[2, 3, 6, 7, 11], false), [0xfb, 0x02, 0x03, 0x06, 0x07, 0x0b]);
    }

    #[test]
    fn extremes_and_long_runs() {
        let values = [i64::MIN, i64::MAX, i64::MIN, 0, -1, i64::MAX, i64::MAX, i64::MAX];
        assert_eq!(decode(&encode(&values, true), true), values);
        let values: Vec<i64> = (0..1000).map(|at| at * 127).chain(vec![5; 500]).collect();
        assert_eq!(decode(&encode(&values, true), true), values);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            values in prop::collection::vec(prop_oneof![0i64..4, -300i64..300, any::<i64>()], 0..600)
        ) {
            prop_assert_eq!(decode(&encode(&values, true), true), values);
        }

        #[test]
        fn unsigned_too(values in prop::collection::vec(0i64..6, 0..600)) {
            prop_assert_eq!(decode(&encode(&values, false), false), values);
        }
    }
}
