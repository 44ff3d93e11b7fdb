//! Integer run lengths, version 2: short repeats, direct and delta runs of at most 512 values.
//!
//! Patched base, the fourth kind, is a choice of the writer for values with a few outliers; direct
//! says the same in more bits, which the compressor mostly takes back. It is not written.

use super::{stored, varint, zigzag};

/// Values of the longest run.
const RUN_MAX: usize = 512;
const REPEAT_MIN: usize = 3;
const SHORT_REPEAT_MAX: usize = 10;
const DIRECT: u8 = 0b0100_0000;
const DELTA: u8 = 0b1100_0000;
/// Of a direct or delta run.
const HEADER_BITS: usize = 16;

#[derive(Debug)]
pub(in super::super) struct Encoder {
    signed: bool,
    held: Vec<i64>,
}

impl Encoder {
    pub(in super::super) fn new(signed: bool) -> Self {
        Self { signed, held: Vec::new() }
    }

    pub(in super::super) fn push(&mut self, value: i64, out: &mut Vec<u8>) {
        self.held.push(value);
        if self.held.len() == RUN_MAX {
            self.flush(out);
        }
    }

    pub(in super::super) fn flush(&mut self, out: &mut Vec<u8>) {
        block(&self.held, self.signed, out);
        self.held.clear();
    }
}

/// At most 512 values: stretches that repeat or rise evenly, where that is shorter, and what lies
/// between them.
fn block(values: &[i64], signed: bool, out: &mut Vec<u8>) {
    let width = width_of(values.iter().map(|value| stored(*value, signed)));
    let (mut written, mut at) = (0, 0);
    while at < values.len() {
        let length = even_stretch(&values[at..]);
        let stretch = &values[at..at + length];
        if length >= REPEAT_MIN && stretch_bits(stretch, signed) < length * width as usize {
            literals(&values[written..at], signed, out);
            even(stretch, signed, out);
            at += length;
            written = at;
        } else {
            // The last value may be the first of another stretch.
            at += (length - 1).max(1);
        }
    }
    literals(&values[written..], signed, out);
}

/// How many values from the first on lie equally far apart.
fn even_stretch(values: &[i64]) -> usize {
    let Some(delta) = values.get(1).and_then(|second| second.checked_sub(values[0])) else {
        return 1;
    };
    1 + values.windows(2).take_while(|pair| pair[1].checked_sub(pair[0]) == Some(delta)).count()
}

/// What a stretch costs as a run of its own, with the header that the values after it then need.
fn stretch_bits(values: &[i64], signed: bool) -> usize {
    let base = stored(values[0], signed);
    if values[0] == values[1] && values.len() <= SHORT_REPEAT_MAX {
        return 8 + bytes_of(base) * 8 + HEADER_BITS;
    }
    let delta = zigzag(values[1].wrapping_sub(values[0]));
    HEADER_BITS + varint_bits(base) + varint_bits(delta) + HEADER_BITS
}

/// A stretch of equal distances.
fn even(values: &[i64], signed: bool, out: &mut Vec<u8>) {
    let delta = values[1].wrapping_sub(values[0]);
    let base = stored(values[0], signed);
    if delta == 0 && values.len() <= SHORT_REPEAT_MAX {
        let bytes = bytes_of(base);
        out.push(((bytes - 1) << 3 | (values.len() - REPEAT_MIN)) as u8);
        out.extend_from_slice(&base.to_be_bytes()[8 - bytes..]);
        return;
    }
    header(DELTA, 0, values.len(), out);
    varint(base.into(), out);
    varint(zigzag(delta).into(), out);
}

/// Any values: as deltas if they all rise or all fall and that is shorter, else as they are.
fn literals(values: &[i64], signed: bool, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let width = fixed_width(width_of(values.iter().map(|value| stored(*value, signed))));
    if let Some(delta_width) = monotonic_width(values) {
        let first = stored(values[0], signed);
        let delta = zigzag(values[1] - values[0]);
        let bits =
            varint_bits(first) + varint_bits(delta) + (values.len() - 2) * delta_width as usize;
        if bits < values.len() * width as usize {
            header(DELTA, width_code(delta_width), values.len(), out);
            varint(first.into(), out);
            varint(delta.into(), out);
            let deltas = values[1..].windows(2).map(|pair| pair[1].abs_diff(pair[0]));
            return pack(deltas, delta_width, out);
        }
    }
    header(DIRECT, width_code(width), values.len(), out);
    pack(values.iter().map(|value| stored(*value, signed)), width, out);
}

/// The width of the deltas of at least three values of which none turns back. The first delta
/// tells the direction, so it is not 0.
fn monotonic_width(values: &[i64]) -> Option<u32> {
    let first = values.get(1)?.checked_sub(values[0])?;
    if values.len() < 3 || first == 0 {
        return None;
    }
    let mut all = 0;
    for pair in values[1..].windows(2) {
        let delta = pair[1].checked_sub(pair[0])?;
        if delta != 0 && (delta < 0) != (first < 0) {
            return None;
        }
        all |= delta.unsigned_abs();
    }
    // The code of width 1 means "all deltas are the same" here.
    Some(fixed_width((64 - all.leading_zeros()).max(2)))
}

fn header(kind: u8, width_code: u8, length: usize, out: &mut Vec<u8>) {
    let length = length - 1;
    out.push(kind | width_code << 1 | (length >> 8) as u8);
    out.push(length as u8);
}

/// Bits of the widest value, at least 1.
fn width_of(values: impl Iterator<Item = u64>) -> u32 {
    (64 - values.fold(0, |all, value| all | value).leading_zeros()).max(1)
}

/// The next width that a header can say.
fn fixed_width(width: u32) -> u32 {
    match width {
        0..=24 => width.max(1),
        25..=32 => width.next_multiple_of(2),
        _ => width.next_multiple_of(8),
    }
}

/// The header's five bits for a width that it can say.
fn width_code(width: u32) -> u8 {
    (match width {
        0..=24 => width - 1,
        25..=32 => 24 + (width - 26) / 2,
        _ => 28 + (width - 40) / 8,
    }) as u8
}

fn bytes_of(value: u64) -> usize {
    (8 - value.leading_zeros() as usize / 8).max(1)
}

fn varint_bits(value: u64) -> usize {
    (64 - value.leading_zeros() as usize).max(1).div_ceil(7) * 8
}

/// `width` bits of each value, the highest first, the last byte filled up with zeros.
fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    if width.is_multiple_of(8) {
        let skipped = 8 - width as usize / 8;
        values.for_each(|value| out.extend_from_slice(&value.to_be_bytes()[skipped..]));
        return;
    }
    // Fewer than 8 bits are left over from the last value: 72 are never passed.
    let (mut bits, mut count) = (0u128, 0);
    for value in values {
        bits = bits << width | u128::from(value);
        count += width;
        while count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    if count > 0 {
        out.push((bits << (8 - count)) as u8);
    }
}

#[cfg(test)]
#[path = "int_v2_tests.rs"]
pub(in super::super) mod tests;
