//! Statistics of a column: of a row group, a stripe and the file. Readers skip what they rule out.
//!
//! Where the exact value would cost too much or mislead, they are bounds: wider is always right.

use super::proto;

/// Longer strings are cut, and stand as bounds.
const STRING_BYTES_MAX: usize = 1024;
/// The largest sum of decimals that a decimal can hold: 38 digits.
const DECIMAL_MAX: i128 = 10i128.pow(38) - 1;

/// Smallest and largest value; none without values.
pub(super) type Extent<T> = Option<(T, T)>;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statistics {
    /// Values that are not null.
    pub(super) values: u64,
    pub(super) has_null: bool,
    pub(super) of: Of,
}

/// What is known of the values of a type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Of {
    Struct,
    Boolean {
        set: u64,
    },
    Integer {
        extent: Extent<i64>,
        sum: i128,
    },
    /// `sum` is NaN if one of the values is.
    Real {
        extent: Extent<f64>,
        sum: f64,
    },
    String {
        least: Option<Bound>,
        most: Option<Bound>,
        bytes: u64,
    },
    Binary {
        bytes: u64,
    },
    /// Unscaled values; no `sum` if it would pass 38 digits.
    Decimal {
        scale: u8,
        extent: Extent<i128>,
        sum: Option<i128>,
    },
    Date {
        extent: Extent<i32>,
    },
    /// Nanoseconds since 1970-01-01 00:00:00.
    Timestamp {
        extent: Extent<i64>,
    },
    Collection {
        extent: Extent<u64>,
        children: u64,
    },
}

/// The smallest or largest string, or a bound of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bound {
    text: String,
    is_exact: bool,
}

impl Statistics {
    /// Of nothing yet.
    pub(super) fn new(of: Of) -> Self {
        Self { values: 0, has_null: false, of }
    }

    /// Adds those of other rows of the same column. They are then empty.
    pub(super) fn absorb(&mut self, other: &mut Self) {
        self.values += std::mem::take(&mut other.values);
        self.has_null |= std::mem::take(&mut other.has_null);
        let empty = other.of.emptied();
        let other = std::mem::replace(&mut other.of, empty);
        self.of.absorb(other);
    }

    /// As it stands in the file, with the bytes of the column's streams.
    pub(super) fn to_proto(&self, bytes_on_disk: Option<u64>) -> proto::ColumnStatistics {
        let mut stored = proto::ColumnStatistics {
            number_of_values: Some(self.values),
            has_null: Some(self.has_null),
            bytes_on_disk,
            ..Default::default()
        };
        self.of.store(&mut stored);
        stored
    }
}

/// Widens an extent.
pub(super) fn widen<T: PartialOrd + Copy>(extent: &mut Extent<T>, low: T, high: T) {
    *extent = Some(match *extent {
        None => (low, high),
        Some((least, most)) => {
            (if low < least { low } else { least }, if high > most { high } else { most })
        }
    });
}

impl Of {
    fn emptied(&self) -> Self {
        match self {
            Self::Struct => Self::Struct,
            Self::Boolean { .. } => Self::Boolean { set: 0 },
            Self::Integer { .. } => Self::Integer { extent: None, sum: 0 },
            Self::Real { .. } => Self::Real { extent: None, sum: 0.0 },
            Self::String { .. } => Self::String { least: None, most: None, bytes: 0 },
            Self::Binary { .. } => Self::Binary { bytes: 0 },
            Self::Decimal { scale, .. } => {
                Self::Decimal { scale: *scale, extent: None, sum: Some(0) }
            }
            Self::Date { .. } => Self::Date { extent: None },
            Self::Timestamp { .. } => Self::Timestamp { extent: None },
            Self::Collection { .. } => Self::Collection { extent: None, children: 0 },
        }
    }

    fn absorb(&mut self, other: Self) {
        fn join<T: PartialOrd + Copy>(extent: &mut Extent<T>, other: Extent<T>) {
            if let Some((low, high)) = other {
                widen(extent, low, high);
            }
        }
        match (self, other) {
            (Self::Boolean { set }, Self::Boolean { set: more }) => *set += more,
            (Self::Integer { extent, sum }, Self::Integer { extent: other, sum: more }) => {
                join(extent, other);
                *sum += more;
            }
            (Self::Real { extent, sum }, Self::Real { extent: other, sum: more }) => {
                join(extent, other);
                *sum += more;
            }
            (
                Self::String { least, most, bytes },
                Self::String { least: lower, most: upper, bytes: more },
            ) => {
                if let Some(bound) = lower.filter(|bound| is_below(&bound.text, least)) {
                    *least = Some(bound);
                }
                if let Some(bound) = upper.filter(|bound| is_above(&bound.text, most)) {
                    *most = Some(bound);
                }
                *bytes += more;
            }
            (Self::Binary { bytes }, Self::Binary { bytes: more }) => *bytes += more,
            (Self::Decimal { extent, sum, .. }, Self::Decimal { extent: other, sum: more, .. }) => {
                join(extent, other);
                *sum = sum.zip(more).and_then(|(sum, more)| decimal_sum(sum, more));
            }
            (Self::Date { extent }, Self::Date { extent: other }) => join(extent, other),
            (Self::Timestamp { extent }, Self::Timestamp { extent: other }) => join(extent, other),
            (
                Self::Collection { extent, children },
                Self::Collection { extent: other, children: more },
            ) => {
                join(extent, other);
                *children += more;
            }
            // A column's statistics are all of one kind; structs have none of their own.
            _ => {}
        }
    }

    fn store(&self, stored: &mut proto::ColumnStatistics) {
        match self {
            Self::Struct => {}
            Self::Boolean { set } => {
                stored.bucket_statistics = Some(proto::BucketStatistics { count: vec![*set] });
            }
            Self::Integer { extent, sum } => {
                stored.int_statistics = Some(proto::IntegerStatistics {
                    minimum: extent.map(|(low, _)| low),
                    maximum: extent.map(|(_, high)| high),
                    sum: i64::try_from(*sum).ok(),
                });
            }
            Self::Real { extent, sum } => {
                let extent = real_extent(*extent, *sum);
                stored.double_statistics = Some(proto::DoubleStatistics {
                    minimum: extent.map(|(low, _)| low),
                    maximum: extent.map(|(_, high)| high),
                    sum: Some(*sum),
                });
            }
            Self::String { least, most, bytes } => {
                stored.string_statistics = Some(string_statistics(least, most, *bytes));
            }
            Self::Binary { bytes } => {
                let sum = i64::try_from(*bytes).ok();
                stored.binary_statistics = Some(proto::BinaryStatistics { sum });
            }
            Self::Decimal { scale, extent, sum } => {
                stored.decimal_statistics = Some(proto::DecimalStatistics {
                    minimum: extent.map(|(low, _)| decimal_text(low, *scale)),
                    maximum: extent.map(|(_, high)| decimal_text(high, *scale)),
                    sum: sum.map(|sum| decimal_text(sum, *scale)),
                });
            }
            Self::Date { extent } => {
                stored.date_statistics = Some(proto::DateStatistics {
                    minimum: extent.map(|(low, _)| low),
                    maximum: extent.map(|(_, high)| high),
                });
            }
            Self::Timestamp { extent } => {
                stored.timestamp_statistics = Some(timestamp_statistics(*extent));
            }
            Self::Collection { extent, children } => {
                stored.collection_statistics = Some(proto::CollectionStatistics {
                    min_children: extent.map(|(low, _)| low),
                    max_children: extent.map(|(_, high)| high),
                    total_children: Some(*children),
                });
            }
        }
    }
}

/// Adds a string: `low` and `high` are the same, but for those that compare in two ways.
pub(super) fn note_string(
    least: &mut Option<Bound>,
    most: &mut Option<Bound>,
    low: &str,
    high: &str,
) {
    if is_below(low, least) {
        *least = Some(lower(low));
    }
    if is_above(high, most) {
        *most = Some(upper(high));
    }
}

fn is_below(text: &str, least: &Option<Bound>) -> bool {
    least.as_ref().is_none_or(|bound| text.as_bytes() < bound.text.as_bytes())
}

fn is_above(text: &str, most: &Option<Bound>) -> bool {
    most.as_ref().is_none_or(|bound| text.as_bytes() > bound.text.as_bytes())
}

fn lower(text: &str) -> Bound {
    let end = text.floor_char_boundary(STRING_BYTES_MAX);
    Bound { text: text[..end].to_owned(), is_exact: end == text.len() }
}

/// A long string is cut, and the last character that has a next one replaced by it. A string
/// without such a character stays whole.
fn upper(text: &str) -> Bound {
    let exact = || Bound { text: text.to_owned(), is_exact: true };
    if text.len() <= STRING_BYTES_MAX {
        return exact();
    }
    // Room for a next character that is one byte longer.
    let cut = &text[..text.floor_char_boundary(STRING_BYTES_MAX - 1)];
    for (at, last) in cut.char_indices().rev() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            return Bound { text: format!("{}{next}", &cut[..at]), is_exact: false };
        }
    }
    exact()
}

fn string_statistics(
    least: &Option<Bound>,
    most: &Option<Bound>,
    bytes: u64,
) -> proto::StringStatistics {
    let of = |bound: &Option<Bound>, is_exact: bool| {
        bound.as_ref().filter(|bound| bound.is_exact == is_exact).map(|bound| bound.text.clone())
    };
    proto::StringStatistics {
        minimum: of(least, true),
        maximum: of(most, true),
        sum: i64::try_from(bytes).ok(),
        lower_bound: of(least, false),
        upper_bound: of(most, false),
    }
}

/// The two zeros are equal, but not to every reader; and what is a NaN, readers order as they like.
fn real_extent(extent: Extent<f64>, sum: f64) -> Extent<f64> {
    if sum.is_nan() {
        return Some((f64::NEG_INFINITY, f64::INFINITY));
    }
    extent.map(|(low, high)| {
        (if low == 0.0 { -0.0 } else { low }, if high == 0.0 { 0.0 } else { high })
    })
}

fn timestamp_statistics(extent: Extent<i64>) -> proto::TimestampStatistics {
    const PER_MILLI: i64 = 1_000_000;
    let millis = |nanos: i64| nanos.div_euclid(PER_MILLI);
    let below = |nanos: i64| nanos.rem_euclid(PER_MILLI) as i32;
    let least = extent.map(|(low, _)| low);
    let most = extent.map(|(_, high)| high);
    proto::TimestampStatistics {
        minimum: least.map(millis),
        maximum: most.map(millis),
        minimum_utc: least.map(millis),
        maximum_utc: most.map(millis),
        minimum_nanos: least.map(below).filter(|nanos| *nanos != 0).map(|nanos| nanos + 1),
        maximum_nanos: most.map(below).filter(|nanos| *nanos != 999_999).map(|nanos| nanos + 1),
    }
}

/// The sum of two sums, if a decimal can hold it.
pub(super) fn decimal_sum(sum: i128, more: i128) -> Option<i128> {
    sum.checked_add(more).filter(|sum| sum.abs() <= DECIMAL_MAX)
}

/// An unscaled value as a plain number with all digits of its scale.
pub(super) fn decimal_text(unscaled: i128, scale: u8) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_as_text() {
        for (unscaled, scale, text) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (-5, 2, "-0.05"),
            (12345, 2, "123.45"),
            (-12345, 0, "-12345"),
            (DECIMAL_MAX, 38, "0.99999999999999999999999999999999999999"),
        ] {
            assert_eq!(decimal_text(unscaled, scale), text);
        }
        assert_eq!(decimal_sum(DECIMAL_MAX, 1), None);
        assert_eq!(decimal_sum(DECIMAL_MAX, -1), Some(DECIMAL_MAX - 1));
    }

    #[test]
    fn long_strings_are_bounds() {
        let long = format!("{}é", "a".repeat(1022));
        assert!(lower(&long).is_exact && upper(&long).is_exact);
        let long = format!("{}é", "a".repeat(1023));
        let (low, high) = (lower(&long), upper(&long));
        assert!(!low.is_exact && !high.is_exact);
        assert_eq!(low.text, "a".repeat(1023));
        assert_eq!(high.text, format!("{}b", "a".repeat(1022)));
        let last = char::MAX.to_string().repeat(300);
        assert_eq!(upper(&last), Bound { text: last, is_exact: true });
        // The next character of U+D7FF is not a surrogate.
        let surrogate = format!("{}{}", "a".repeat(1020), "\u{d7ff}".repeat(2));
        assert_eq!(upper(&surrogate).text, format!("{}\u{e000}", "a".repeat(1020)));
    }

    #[test]
    fn nan_opens_the_extent_and_zeros_have_both_signs() {
        let mut all = Statistics::new(Of::Real { extent: Some((1.0, 2.0)), sum: 3.0 });
        all.absorb(&mut Statistics::new(Of::Real { extent: None, sum: f64::NAN }));
        let stored = all.to_proto(None).double_statistics.unwrap();
        assert_eq!(
            (stored.minimum, stored.maximum),
            (Some(f64::NEG_INFINITY), Some(f64::INFINITY))
        );
        let (low, high) = real_extent(Some((0.0, -0.0)), 0.0).unwrap();
        assert!(low.is_sign_negative() && high.is_sign_positive());
    }

    #[test]
    fn timestamps_are_floored_to_millis() {
        let stored = timestamp_statistics(Some((-1, 1_999_999)));
        assert_eq!((stored.minimum_utc, stored.minimum_nanos), (Some(-1), Some(1_000_000)));
        assert_eq!((stored.maximum_utc, stored.maximum_nanos), (Some(1), None));
    }

    #[test]
    fn absorbing_empties_the_other() {
        let mut all = Statistics::new(Of::Integer { extent: None, sum: 0 });
        let mut group = Statistics {
            values: 2,
            has_null: true,
            of: Of::Integer { extent: Some((i64::MAX, i64::MAX)), sum: 2 * i128::from(i64::MAX) },
        };
        all.absorb(&mut group);
        assert_eq!(group, Statistics::new(Of::Integer { extent: None, sum: 0 }));
        let stored = all.to_proto(Some(7));
        assert_eq!(stored.number_of_values, Some(2));
        assert_eq!(stored.bytes_on_disk, Some(7));
        let of = stored.int_statistics.unwrap();
        assert_eq!((of.minimum, of.sum), (Some(i64::MAX), None));
    }
}
