//! The least and the largest value of a page or a chunk.

use parquet::{
    basic::Type as Physical,
    data_type::{
        BoolType, ByteArray, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
        FloatType, Int32Type, Int64Type,
    },
    file::statistics::{Statistics, ValueStatistics},
};

/// Longest bound of a text that is written: a longer one is cut, and says so.
const BOUND_BYTES: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bounds {
    Boolean(bool, bool),
    Int32(i32, i32),
    Int64(i64, i64),
    Float(f32, f32),
    Double(f64, f64),
    Decimal(i128, i128),
    Text(Vec<u8>, Vec<u8>),
    Binary(Vec<u8>, Vec<u8>),
}

impl Bounds {
    /// Both together. Bounds of one column are of one type.
    pub fn merge(into: &mut Option<Self>, other: Option<Self>) {
        let Some(other) = other else { return };
        let Some(bounds) = into else {
            *into = Some(other);
            return;
        };
        match (bounds, other) {
            (Self::Boolean(least, most), Self::Boolean(low, high)) => widen(least, most, low, high),
            (Self::Int32(least, most), Self::Int32(low, high)) => widen(least, most, low, high),
            (Self::Int64(least, most), Self::Int64(low, high)) => widen(least, most, low, high),
            (Self::Float(least, most), Self::Float(low, high)) => widen(least, most, low, high),
            (Self::Double(least, most), Self::Double(low, high)) => widen(least, most, low, high),
            (Self::Decimal(least, most), Self::Decimal(low, high)) => widen(least, most, low, high),
            (Self::Text(least, most), Self::Text(low, high))
            | (Self::Binary(least, most), Self::Binary(low, high)) => widen(least, most, low, high),
            _ => unreachable!("a column has values of one type"),
        }
    }

    /// Least and largest of floats. NaN has no place in an order; a zero may be either zero.
    pub fn of_doubles(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
        let (least, most) = min_max(values.filter(|value| !value.is_nan()))?;
        let least = if least == 0.0 { -0.0 } else { least };
        Some((least, if most == 0.0 { 0.0 } else { most }))
    }

    /// As they stand in the page index.
    pub fn to_bytes(&self, decimal_bytes: usize) -> (Vec<u8>, Vec<u8>) {
        match self {
            Self::Boolean(least, most) => (vec![u8::from(*least)], vec![u8::from(*most)]),
            Self::Int32(least, most) => (least.to_le_bytes().into(), most.to_le_bytes().into()),
            Self::Int64(least, most) => (least.to_le_bytes().into(), most.to_le_bytes().into()),
            Self::Float(least, most) => (least.to_le_bytes().into(), most.to_le_bytes().into()),
            Self::Double(least, most) => (least.to_le_bytes().into(), most.to_le_bytes().into()),
            Self::Decimal(least, most) => {
                let bytes = |value: &i128| value.to_be_bytes()[16 - decimal_bytes..].to_vec();
                (bytes(least), bytes(most))
            }
            Self::Text(least, most) => (cut_text(least).0, cut_text_above(most).0),
            Self::Binary(least, most) => (cut(least, BOUND_BYTES).0, cut_above(most).0),
        }
    }

    /// As they stand in the footer.
    pub fn statistics(self, nulls: u64, decimal_bytes: usize) -> Statistics {
        match self {
            Self::Boolean(least, most) => exact::<BoolType>(least, most, nulls, false),
            Self::Int32(least, most) => exact::<Int32Type>(least, most, nulls, true),
            Self::Int64(least, most) => exact::<Int64Type>(least, most, nulls, true),
            Self::Float(least, most) => exact::<FloatType>(least, most, nulls, true),
            Self::Double(least, most) => exact::<DoubleType>(least, most, nulls, true),
            Self::Decimal(..) => {
                let (least, most) = self.to_bytes(decimal_bytes);
                let (least, most) = (FixedLenByteArray::from(least), FixedLenByteArray::from(most));
                exact::<FixedLenByteArrayType>(least, most, nulls, true)
            }
            Self::Text(least, most) => cut_short(cut_text(&least), cut_text_above(&most), nulls),
            Self::Binary(least, most) => {
                cut_short(cut(&least, BOUND_BYTES), cut_above(&most), nulls)
            }
        }
    }
}

fn widen<T: PartialOrd>(least: &mut T, most: &mut T, low: T, high: T) {
    if low < *least {
        *least = low;
    }
    if high > *most {
        *most = high;
    }
}

pub(super) fn min_max<T: PartialOrd + Copy>(values: impl Iterator<Item = T>) -> Option<(T, T)> {
    values.fold(None, |bounds, value| {
        let (least, most) = bounds.unwrap_or((value, value));
        Some((if value < least { value } else { least }, if value > most { value } else { most }))
    })
}

/// Where numbers compare as signed ones, the fields that old readers look at hold them too.
fn exact<T: DataType>(least: T::T, most: T::T, nulls: u64, signed: bool) -> Statistics {
    let statistics = ValueStatistics::new(Some(least), Some(most), None, Some(nulls), false);
    Statistics::from(statistics.with_backwards_compatible_min_max(signed))
}

/// Statistics of a chunk that has no least value: it holds nulls, or not a number, alone.
pub(super) fn nulls_alone(physical: Physical, nulls: u64) -> Statistics {
    let nulls = Some(nulls);
    match physical {
        Physical::BOOLEAN => Statistics::boolean(None, None, None, nulls, false),
        Physical::INT32 => Statistics::int32(None, None, None, nulls, false),
        Physical::INT64 => Statistics::int64(None, None, None, nulls, false),
        Physical::INT96 => Statistics::int96(None, None, None, nulls, false),
        Physical::FLOAT => Statistics::float(None, None, None, nulls, false),
        Physical::DOUBLE => Statistics::double(None, None, None, nulls, false),
        Physical::BYTE_ARRAY => Statistics::byte_array(None, None, None, nulls, false),
        Physical::FIXED_LEN_BYTE_ARRAY => {
            Statistics::fixed_len_byte_array(None, None, None, nulls, false)
        }
    }
}

fn cut_short(least: (Vec<u8>, bool), most: (Vec<u8>, bool), nulls: u64) -> Statistics {
    let statistics: ValueStatistics<ByteArray> =
        ValueStatistics::new(Some(least.0.into()), Some(most.0.into()), None, Some(nulls), false);
    Statistics::from(statistics.with_min_is_exact(!least.1).with_max_is_exact(!most.1))
}

/// The beginning of a value, which is no larger than it, and whether something was cut off.
fn cut(value: &[u8], length: usize) -> (Vec<u8>, bool) {
    (value[..value.len().min(length)].to_vec(), value.len() > length)
}

/// The longest beginning that ends with a whole character.
fn cut_text(value: &[u8]) -> (Vec<u8>, bool) {
    cut(value, text_end(value))
}

fn text_end(value: &[u8]) -> usize {
    if value.len() <= BOUND_BYTES {
        return value.len();
    }
    let begins = |at: &usize| value[*at] & 0xc0 != 0x80;
    (0..=BOUND_BYTES).rfind(begins).unwrap_or(BOUND_BYTES)
}

/// The beginning with its last byte one larger, which is larger than the value.
fn cut_above(value: &[u8]) -> (Vec<u8>, bool) {
    if value.len() <= BOUND_BYTES {
        return (value.to_vec(), false);
    }
    let Some(last) = value[..BOUND_BYTES].iter().rposition(|byte| *byte < u8::MAX) else {
        return (value.to_vec(), false);
    };
    let mut above = value[..=last].to_vec();
    above[last] += 1;
    (above, true)
}

/// The same for text, which stays text: a character becomes the next of the same length.
fn cut_text_above(value: &[u8]) -> (Vec<u8>, bool) {
    let text = str::from_utf8(&value[..text_end(value)]).unwrap_or_default();
    if text.len() == value.len() {
        return (value.to_vec(), false);
    }
    for (at, last) in text.char_indices().rev() {
        let next = char::from_u32(u32::from(last) + 1);
        if let Some(next) = next.filter(|next| next.len_utf8() == last.len_utf8()) {
            let above = format!("{}{next}", &text[..at]);
            return (above.into_bytes(), true);
        }
    }
    (value.to_vec(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_to_characters_below_and_above() {
        let text = format!("{}ü{}", "a".repeat(63), "z".repeat(9));
        let (least, most) = Bounds::Text(text.clone().into(), text.clone().into()).to_bytes(0);
        assert_eq!(least, "a".repeat(63).into_bytes());
        assert_eq!(most, format!("{}b", "a".repeat(62)).into_bytes());
        assert!(least < text.clone().into_bytes() && most > text.into_bytes());
        // The last character of all has no next, and the last of two bytes would need three.
        let ends = format!("x{}", "\u{10ffff}\u{7ff}".repeat(20));
        let (_, most) = Bounds::Text(Vec::new(), ends.into_bytes()).to_bytes(0);
        assert_eq!(most, b"y");
        let whole = "\u{10ffff}".repeat(17).into_bytes();
        assert_eq!(cut_text_above(&whole), (whole, false));
    }

    #[test]
    fn long_bytes_are_cut_below_and_above() {
        let value = [&[7; 60][..], &[255; 10][..]].concat();
        let (least, most) = Bounds::Binary(value.clone(), value.clone()).to_bytes(0);
        assert_eq!((least.len(), most.len()), (64, 60));
        assert!(least < value && most > value);
        assert_eq!(cut_above(&[255; 70]), (vec![255; 70], false));
    }

    #[test]
    fn floats_have_no_nan_and_both_zeros() {
        let (least, most) = Bounds::of_doubles([0.0, f64::NAN, -0.0].into_iter()).unwrap();
        assert!(least.is_sign_negative() && most.is_sign_positive());
        assert_eq!(Bounds::of_doubles([f64::NAN].into_iter()), None);
    }
}
