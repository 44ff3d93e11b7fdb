//! Run lengths of the ORC v1 specification ("Run Length Encoding"), and the varints they share.
//!
//! Each encoder gets its values one by one and writes whole runs to the buffer it is handed. Runs
//! end where a row group ends, so that a reader who enters there has nothing to skip.

pub(super) mod bits;
pub(super) mod bytes;
pub(super) mod int_v1;
pub(super) mod int_v2;

use super::FormatVersion;

/// What a stream's encoder has to offer, whatever its values are.
pub(super) trait Runs {
    /// Ends the open run, as a row group ends.
    fn pause(&mut self, out: &mut Vec<u8>);

    /// Ends the stream; the encoder is as new.
    fn close(&mut self, out: &mut Vec<u8>) {
        self.pause(out);
    }

    /// Adds its part of the present position, right after `pause`.
    fn position(&self, positions: &mut Vec<u64>);
}

/// No runs: values are written as they are.
#[derive(Debug, Default)]
pub(super) struct Plain;

impl Runs for Plain {
    fn pause(&mut self, _: &mut Vec<u8>) {}

    fn position(&self, _: &mut Vec<u64>) {}
}

/// Integers, in the run lengths of the file's version.
#[derive(Debug)]
pub(super) enum Integers {
    V1(int_v1::Encoder),
    V2(int_v2::Encoder),
}

impl Integers {
    pub(super) fn new(version: FormatVersion, signed: bool) -> Self {
        match version {
            FormatVersion::V0_11 => Self::V1(int_v1::Encoder::new(signed)),
            FormatVersion::V0_12 => Self::V2(int_v2::Encoder::new(signed)),
        }
    }

    pub(super) fn push(&mut self, value: i64, out: &mut Vec<u8>) {
        match self {
            Self::V1(encoder) => encoder.push(value, out),
            Self::V2(encoder) => encoder.push(value, out),
        }
    }
}

impl Runs for Integers {
    fn pause(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::V1(encoder) => encoder.flush(out),
            Self::V2(encoder) => encoder.flush(out),
        }
    }

    fn position(&self, positions: &mut Vec<u64>) {
        positions.push(0);
    }
}

/// Base-128 varint of any width, least significant group first.
pub(super) fn varint(mut value: u128, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Zigzag: small magnitudes of either sign become small numbers.
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Zigzag of 128 bits, for decimals.
pub(super) fn zigzag_wide(value: i128) -> u128 {
    ((value << 1) ^ (value >> 127)) as u128
}

/// The bits that a stream stores of a value.
fn stored(value: i64, signed: bool) -> u64 {
    if signed { zigzag(value) } else { value as u64 }
}
