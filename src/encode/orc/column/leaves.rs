//! Values of each type without children, and the lengths of those with: encoded, counted, and added
//! to the Bloom filter.

use std::ops::Range;

use arrow_array::{
    Array, ArrowPrimitiveType,
    cast::AsArray,
    types::{Date32Type, Decimal128Type, TimestampNanosecondType},
};

use crate::encode::orc::{
    bloom::Bloom,
    rle::{Integers, Plain, bits, varint, zigzag_wide},
    stats::{Of, decimal_sum, decimal_text, widen},
    stream::Stream,
};

/// Seconds from 1970-01-01 to 2015-01-01 00:00:00 UTC, which timestamps count from.
const EPOCH_S: i64 = 1_420_070_400;
const NANOS_PER_S: i64 = 1_000_000_000;
const NANOS_PER_MS: i64 = 1_000_000;

pub(super) fn booleans(
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

pub(super) fn integers<T: ArrowPrimitiveType>(
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

pub(super) fn reals<T: ArrowPrimitiveType>(
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

pub(super) fn decimals(
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

pub(super) fn binaries(
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

pub(super) fn dates(
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

pub(super) fn timestamps(
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
pub(super) fn children_of(
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
