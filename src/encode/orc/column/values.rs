//! The streams of each type, and what goes into them.

use std::ops::Range;

use arrow_array::{
    Array, ArrowPrimitiveType,
    cast::AsArray,
    types::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, TimestampNanosecondType,
    },
};

use super::{super::proto::StreamKind, Column, text::Text};
use crate::encode::orc::{
    WriteError,
    bloom::Bloom,
    rle::{Integers, Plain, bits, bytes, varint, zigzag_wide},
    stats::{Of, decimal_sum, decimal_text, widen},
    stream::{Codec, Stream},
};

/// Seconds from 1970-01-01 to 2015-01-01 00:00:00 UTC, which timestamps count from.
const EPOCH_S: i64 = 1_420_070_400;
const NANOS_PER_S: i64 = 1_000_000_000;
const NANOS_PER_MS: i64 = 1_000_000;

pub(super) enum Values {
    Boolean(Stream<bits::Encoder>),
    Tinyint(Stream<bytes::Encoder>),
    Smallint(Stream<Integers>),
    Int(Stream<Integers>),
    Bigint(Stream<Integers>),
    Float(Stream<Plain>),
    Double(Stream<Plain>),
    Decimal { unscaled: Stream<Plain>, scales: Stream<Integers>, scale: u8 },
    Text(Box<Text>),
    Binary { data: Stream<Plain>, lengths: Stream<Integers> },
    Date(Stream<Integers>),
    Timestamp { seconds: Stream<Integers>, nanos: Stream<Integers> },
    List { lengths: Stream<Integers>, children: Vec<Column> },
    Map { lengths: Stream<Integers>, children: Vec<Column> },
    Struct(Vec<Column>),
}

/// What a column's values come to at the end of a stripe.
#[derive(Default)]
pub(super) struct Finished {
    pub(super) streams: Vec<(StreamKind, Vec<u8>)>,
    pub(super) dictionary_size: Option<u32>,
    /// Where the row groups begin, if that is known only now.
    pub(super) positions: Option<Vec<Vec<u64>>>,
}

impl Values {
    /// Adds values, none of which is null.
    pub(super) fn write(
        &mut self,
        array: &dyn Array,
        valid: &[Range<usize>],
        of: &mut Of,
        bloom: Option<&mut Bloom>,
    ) {
        match self {
            Self::Boolean(stream) => booleans(array, valid, stream, of),
            Self::Tinyint(stream) => {
                let push = |value| stream.push(value as i8);
                integers::<Int8Type>(array, valid, push, of, bloom);
            }
            Self::Smallint(stream) => {
                integers::<Int16Type>(array, valid, |value| stream.push(value), of, bloom);
            }
            Self::Int(stream) => {
                integers::<Int32Type>(array, valid, |value| stream.push(value), of, bloom);
            }
            Self::Bigint(stream) => {
                integers::<Int64Type>(array, valid, |value| stream.push(value), of, bloom);
            }
            Self::Float(stream) => {
                let out = stream.buffer();
                let push = |value: f32| out.extend_from_slice(&value.to_le_bytes());
                reals::<Float32Type>(array, valid, push, of, bloom);
            }
            Self::Double(stream) => {
                let out = stream.buffer();
                let push = |value: f64| out.extend_from_slice(&value.to_le_bytes());
                reals::<Float64Type>(array, valid, push, of, bloom);
            }
            Self::Decimal { unscaled, scales, scale } => {
                for range in valid {
                    scales.repeat((*scale).into(), range.len());
                }
                decimals(array, valid, unscaled.buffer(), of, bloom);
            }
            Self::Text(text) => text.write(array.as_string(), valid, of, bloom),
            Self::Binary { data, lengths } => binaries(array, valid, data, lengths, of, bloom),
            Self::Date(stream) => dates(array, valid, stream, of, bloom),
            Self::Timestamp { seconds, nanos } => {
                timestamps(array, valid, (seconds, nanos), of, bloom);
            }
            Self::List { lengths, children } => {
                let list = array.as_list::<i32>();
                let below = children_of(list.value_offsets(), valid, lengths, of);
                children[0].write(list.values(), &below);
            }
            Self::Map { lengths, children } => {
                let map = array.as_map();
                let below = children_of(map.value_offsets(), valid, lengths, of);
                children[0].write(map.keys(), &below);
                children[1].write(map.values(), &below);
            }
            Self::Struct(children) => {
                let columns = array.as_struct().columns();
                for (child, column) in children.iter_mut().zip(columns) {
                    child.write(column, valid);
                }
            }
        }
    }

    pub(super) fn children_ref(&self) -> &[Column] {
        match self {
            Self::List { children, .. } | Self::Map { children, .. } | Self::Struct(children) => {
                children
            }
            _ => &[],
        }
    }

    pub(super) fn children(&mut self) -> impl Iterator<Item = &mut Column> {
        match self {
            Self::List { children, .. } | Self::Map { children, .. } | Self::Struct(children) => {
                children.iter_mut()
            }
            _ => (&mut []).into_iter(),
        }
    }

    /// Whether the encoding tells the version of the run lengths.
    pub(super) fn has_integers(&self) -> bool {
        !matches!(
            self,
            Self::Boolean(_)
                | Self::Tinyint(_)
                | Self::Float(_)
                | Self::Double(_)
                | Self::Struct(_)
        )
    }

    pub(super) fn spill(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        match self {
            Self::Boolean(stream) => stream.spill(codec),
            Self::Tinyint(stream) => stream.spill(codec),
            Self::Smallint(stream)
            | Self::Int(stream)
            | Self::Bigint(stream)
            | Self::Date(stream) => stream.spill(codec),
            Self::Float(stream) | Self::Double(stream) => stream.spill(codec),
            Self::Decimal { unscaled: data, scales: integers, .. }
            | Self::Binary { data, lengths: integers } => {
                data.spill(codec)?;
                integers.spill(codec)
            }
            Self::Text(text) => text.spill(codec),
            Self::Timestamp { seconds, nanos } => {
                seconds.spill(codec)?;
                nanos.spill(codec)
            }
            Self::List { lengths, .. } | Self::Map { lengths, .. } => lengths.spill(codec),
            Self::Struct(_) => Ok(()),
        }
    }

    /// Ends runs and adds the position that the next value will have.
    pub(super) fn mark(
        &mut self,
        codec: &mut Codec,
        positions: &mut Vec<u64>,
    ) -> Result<(), WriteError> {
        match self {
            Self::Boolean(stream) => stream.mark(codec, positions),
            Self::Tinyint(stream) => stream.mark(codec, positions),
            Self::Smallint(stream)
            | Self::Int(stream)
            | Self::Bigint(stream)
            | Self::Date(stream) => stream.mark(codec, positions),
            Self::Float(stream) | Self::Double(stream) => stream.mark(codec, positions),
            Self::Decimal { unscaled: data, scales: integers, .. }
            | Self::Binary { data, lengths: integers } => {
                data.mark(codec, positions)?;
                integers.mark(codec, positions)
            }
            Self::Text(text) => text.mark(codec),
            Self::Timestamp { seconds, nanos } => {
                seconds.mark(codec, positions)?;
                nanos.mark(codec, positions)
            }
            Self::List { lengths, .. } | Self::Map { lengths, .. } => {
                lengths.mark(codec, positions)
            }
            Self::Struct(_) => Ok(()),
        }
    }

    /// Ends the streams.
    pub(super) fn finish(&mut self, codec: &mut Codec) -> Result<Finished, WriteError> {
        let streams = match self {
            Self::Boolean(stream) => vec![(StreamKind::Data, stream.finish(codec)?)],
            Self::Tinyint(stream) => vec![(StreamKind::Data, stream.finish(codec)?)],
            Self::Smallint(stream)
            | Self::Int(stream)
            | Self::Bigint(stream)
            | Self::Date(stream) => vec![(StreamKind::Data, stream.finish(codec)?)],
            Self::Float(stream) | Self::Double(stream) => {
                vec![(StreamKind::Data, stream.finish(codec)?)]
            }
            Self::Decimal { unscaled, scales, .. } => vec![
                (StreamKind::Data, unscaled.finish(codec)?),
                (StreamKind::Secondary, scales.finish(codec)?),
            ],
            Self::Binary { data, lengths } => vec![
                (StreamKind::Data, data.finish(codec)?),
                (StreamKind::Length, lengths.finish(codec)?),
            ],
            Self::Text(text) => return text.finish(codec),
            Self::Timestamp { seconds, nanos } => vec![
                (StreamKind::Data, seconds.finish(codec)?),
                (StreamKind::Secondary, nanos.finish(codec)?),
            ],
            Self::List { lengths, .. } | Self::Map { lengths, .. } => {
                vec![(StreamKind::Length, lengths.finish(codec)?)]
            }
            Self::Struct(_) => Vec::new(),
        };
        Ok(Finished { streams, ..Finished::default() })
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        match self {
            Self::Boolean(stream) => stream.buffered_bytes(),
            Self::Tinyint(stream) => stream.buffered_bytes(),
            Self::Smallint(stream)
            | Self::Int(stream)
            | Self::Bigint(stream)
            | Self::Date(stream) => stream.buffered_bytes(),
            Self::Float(stream) | Self::Double(stream) => stream.buffered_bytes(),
            Self::Decimal { unscaled: data, scales: integers, .. }
            | Self::Binary { data, lengths: integers } => {
                data.buffered_bytes() + integers.buffered_bytes()
            }
            Self::Text(text) => text.buffered_bytes(),
            Self::Timestamp { seconds, nanos } => seconds.buffered_bytes() + nanos.buffered_bytes(),
            Self::List { lengths, .. } | Self::Map { lengths, .. } => lengths.buffered_bytes(),
            Self::Struct(_) => 0,
        }
    }
}

fn booleans(
    array: &dyn Array,
    valid: &[Range<usize>],
    stream: &mut Stream<bits::Encoder>,
    of: &mut Of,
) {
    let values = array.as_boolean().values();
    let mut count = 0;
    for at in valid.iter().cloned().flatten() {
        let value = values.value(at);
        stream.push(value);
        count += u64::from(value);
    }
    if let Of::Boolean { set } = of {
        *set += count;
    }
}

fn integers<T: ArrowPrimitiveType>(
    array: &dyn Array,
    valid: &[Range<usize>],
    mut push: impl FnMut(i64),
    of: &mut Of,
    mut bloom: Option<&mut Bloom>,
) where
    T::Native: Into<i64>,
{
    let values = array.as_primitive::<T>().values();
    let Of::Integer { extent, sum } = of else { return };
    for range in valid {
        for value in &values[range.clone()] {
            let value: i64 = (*value).into();
            push(value);
            widen(extent, value, value);
            *sum += i128::from(value);
            if let Some(bloom) = &mut bloom {
                bloom.add_integer(value);
            }
        }
    }
}

fn reals<T: ArrowPrimitiveType>(
    array: &dyn Array,
    valid: &[Range<usize>],
    mut push: impl FnMut(T::Native),
    of: &mut Of,
    mut bloom: Option<&mut Bloom>,
) where
    T::Native: Into<f64>,
{
    let values = array.as_primitive::<T>().values();
    let Of::Real { extent, sum } = of else { return };
    for range in valid {
        for value in &values[range.clone()] {
            push(*value);
            let value: f64 = (*value).into();
            if !value.is_nan() {
                widen(extent, value, value);
            }
            *sum += value;
            if let Some(bloom) = &mut bloom {
                bloom.add_real(value);
            }
        }
    }
}

fn decimals(
    array: &dyn Array,
    valid: &[Range<usize>],
    out: &mut Vec<u8>,
    of: &mut Of,
    mut bloom: Option<&mut Bloom>,
) {
    let values = array.as_primitive::<Decimal128Type>().values();
    let Of::Decimal { scale, extent, sum } = of else { return };
    for value in valid.iter().flat_map(|range| &values[range.clone()]) {
        varint(zigzag_wide(*value), out);
        widen(extent, *value, *value);
        *sum = sum.and_then(|sum| decimal_sum(sum, *value));
        if let Some(bloom) = &mut bloom {
            // Other writers, and all who look for it, leave the zeros at the end away.
            let text = decimal_text(*value, *scale);
            let is_whole = !text.contains('.');
            let short = text.trim_end_matches('0').trim_end_matches('.');
            bloom.add_bytes(if is_whole { &text } else { short }.as_bytes());
        }
    }
}

fn binaries(
    array: &dyn Array,
    valid: &[Range<usize>],
    data: &mut Stream<Plain>,
    lengths: &mut Stream<Integers>,
    of: &mut Of,
    mut bloom: Option<&mut Bloom>,
) {
    let values = array.as_binary::<i32>();
    let Of::Binary { bytes } = of else { return };
    for at in valid.iter().cloned().flatten() {
        let value = values.value(at);
        data.buffer().extend_from_slice(value);
        lengths.push(value.len() as i64);
        *bytes += value.len() as u64;
        if let Some(bloom) = &mut bloom {
            bloom.add_bytes(value);
        }
    }
}

fn dates(
    array: &dyn Array,
    valid: &[Range<usize>],
    stream: &mut Stream<Integers>,
    of: &mut Of,
    mut bloom: Option<&mut Bloom>,
) {
    let values = array.as_primitive::<Date32Type>().values();
    let Of::Date { extent } = of else { return };
    for days in valid.iter().flat_map(|range| &values[range.clone()]) {
        stream.push((*days).into());
        widen(extent, *days, *days);
        if let Some(bloom) = &mut bloom {
            bloom.add_integer((*days).into());
        }
    }
}

fn timestamps(
    array: &dyn Array,
    valid: &[Range<usize>],
    (seconds, nanos): (&mut Stream<Integers>, &mut Stream<Integers>),
    of: &mut Of,
    mut bloom: Option<&mut Bloom>,
) {
    let values = array.as_primitive::<TimestampNanosecondType>().values();
    let Of::Timestamp { extent } = of else { return };
    for value in valid.iter().flat_map(|range| &values[range.clone()]) {
        let value = representable(*value);
        let (second, nano) = split(value);
        seconds.push(second);
        nanos.push(nano);
        widen(extent, value, value);
        if let Some(bloom) = &mut bloom {
            bloom.add_integer(value.div_euclid(NANOS_PER_MS));
        }
    }
}

/// The nearest timestamp that ORC can say. Readers take one second off those before 1970 that have
/// a millisecond or more in their fraction, because the first writers rounded seconds towards
/// 1970. So the second before 1970 has no fractions of a millisecond or more: they are 1969's last
/// second with 999,999 ns, or 1970.
fn representable(nanos: i64) -> i64 {
    const FIRST: i64 = -NANOS_PER_S + NANOS_PER_MS;
    match nanos {
        FIRST..0 if nanos < -NANOS_PER_S / 2 => FIRST - 1,
        FIRST..0 => 0,
        _ => nanos,
    }
}

/// The seconds since 2015 and the nanoseconds with their trailing zeros counted, as they are
/// stored.
fn split(value: i64) -> (i64, i64) {
    let (mut second, nano) = (value.div_euclid(NANOS_PER_S), value.rem_euclid(NANOS_PER_S));
    if second < 0 && nano >= NANOS_PER_MS {
        second += 1;
    }
    (second - EPOCH_S, trimmed(nano))
}

/// In the low three bits the number of zeros cut, less one; 0 is none. One zero is never cut.
fn trimmed(mut nanos: i64) -> i64 {
    if nanos == 0 || nanos % 100 != 0 {
        return nanos << 3;
    }
    nanos /= 100;
    let mut code = 1;
    while nanos % 10 == 0 && code < 7 {
        nanos /= 10;
        code += 1;
    }
    nanos << 3 | code
}

/// The ranges of the elements of lists or maps, whose lengths are written.
fn children_of(
    offsets: &[i32],
    valid: &[Range<usize>],
    lengths: &mut Stream<Integers>,
    of: &mut Of,
) -> Vec<Range<usize>> {
    let Of::Collection { extent, children } = of else { return Vec::new() };
    for pair in valid.iter().flat_map(|range| offsets[range.start..=range.end].windows(2)) {
        let length = i64::from(pair[1] - pair[0]);
        lengths.push(length);
        widen(extent, length as u64, length as u64);
        *children += length as u64;
    }
    valid
        .iter()
        .map(|range| offsets[range.start] as usize..offsets[range.end] as usize)
        .filter(|range| !range.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_zeros_are_counted() {
        for (nanos, stored) in [
            (0, 0),
            (1000, 0b1010),
            (100_000, 0b1100),
            (10, 80),
            (999, 7992),
            (100_000_000, 0b1111),
        ] {
            assert_eq!(trimmed(nanos), stored, "{nanos}");
        }
    }

    #[test]
    fn fractions_before_1970() {
        let read = |(second, nanos): (i64, i64)| {
            let zeros = nanos & 7;
            let nanos = (nanos >> 3) * if zeros == 0 { 1 } else { 10i64.pow(zeros as u32 + 1) };
            let second = second + EPOCH_S;
            let second = if second < 0 && nanos > 999_999 { second - 1 } else { second };
            second * NANOS_PER_S + nanos
        };
        for value in [
            0,
            1,
            -NANOS_PER_S,
            -NANOS_PER_S + 999_999,
            -NANOS_PER_S - 1,
            -2 * NANOS_PER_S + 500,
            -1_500_000_000,
            1_500_000_000,
            -9_000_000_000_000_000_001,
            9_000_000_000_000_000_001,
        ] {
            assert_eq!(representable(value), value);
            assert_eq!(read(split(value)), value);
        }
        for (value, nearest) in [
            (-1, 0),
            (-500_000_000, 0),
            (-500_000_001, -NANOS_PER_S + 999_999),
            (-999_000_000, -NANOS_PER_S + 999_999),
        ] {
            assert_eq!(representable(value), nearest);
            assert_eq!(read(split(nearest)), nearest);
        }
    }
}
