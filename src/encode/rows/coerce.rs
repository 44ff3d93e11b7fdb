//! Values into the types of columns, as the two Java readers do.
//!
//! The reasons are those of the Java methods behind the readers (`Integer.parseInt`, Jackson's
//! accessors), for these are what the service reports.

use std::str::FromStr;

use super::{
    input::Number,
    problem::shortened,
    time::{self, Misread},
};

/// A value that is no object, no array and not null.
#[derive(Clone, Copy)]
pub(super) enum Scalar<'s> {
    Text(&'s [u8]),
    Number(Number<'s>),
    Boolean(bool),
}

impl Scalar<'_> {
    /// What stands in a column of text.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.text.as_bytes(),
            Self::Boolean(true) => b"true",
            Self::Boolean(false) => b"false",
        }
    }

    /// Jackson's name of the token.
    fn token(&self) -> &'static str {
        match self {
            Self::Text(_) => "VALUE_STRING",
            Self::Number(_) => "VALUE_NUMBER",
            Self::Boolean(true) => "VALUE_TRUE",
            Self::Boolean(false) => "VALUE_FALSE",
        }
    }

    /// The class that a value of it has in the lenient reader.
    pub fn java_class(&self) -> &'static str {
        match self {
            Self::Text(_) => "java.lang.String",
            Self::Boolean(_) => "java.lang.Boolean",
            Self::Number(number) if number.float => "java.lang.Double",
            Self::Number(number) if i64::from_str(number.text).is_ok() => "java.lang.Long",
            Self::Number(_) => "java.math.BigInteger",
        }
    }
}

/// The reason of `NumberFormatException`.
#[cold]
fn for_input(value: &[u8]) -> String {
    format!("For input string: \"{}\"", shortened(value))
}

/// The reason that Jackson's accessors for numbers give.
#[cold]
pub(super) fn not_numeric(token: &str) -> String {
    format!("Current token ({token}) not numeric, can not use numeric value accessors")
}

/// A type of whole numbers.
pub(super) struct Whole {
    pub min: i64,
    pub max: i64,
    pub java: &'static str,
}

pub(super) const TINYINT: Whole =
    Whole { min: i8::MIN as i64, max: i8::MAX as i64, java: "Java byte" };
pub(super) const SMALLINT: Whole =
    Whole { min: i16::MIN as i64, max: i16::MAX as i64, java: "Java short" };
pub(super) const INT: Whole = Whole { min: i32::MIN as i64, max: i32::MAX as i64, java: "int" };
pub(super) const BIGINT: Whole = Whole { min: i64::MIN, max: i64::MAX, java: "long" };

/// A whole number. The lenient reader takes strings of digits, the strict one cuts fractions off.
#[inline]
pub(super) fn whole(scalar: Scalar<'_>, of: &Whole, strict: bool) -> Result<i64, String> {
    if let Scalar::Number(number) = scalar
        && let Some(value) = number.whole()
        && value >= of.min
        && value <= of.max
    {
        return Ok(value);
    }
    let value = if strict { whole_strict(scalar, of)? } else { whole_of(scalar.bytes()) };
    value.filter(|value| (of.min..=of.max).contains(value)).ok_or_else(|| for_input(scalar.bytes()))
}

fn whole_strict(scalar: Scalar<'_>, of: &Whole) -> Result<Option<i64>, String> {
    let Scalar::Number(number) = scalar else { return Err(not_numeric(scalar.token())) };
    let value = if number.float {
        let value = f64::from_str(number.text).map_or(f64::NAN, f64::trunc);
        // 2^63 is the first number that no longer fits; -2^63 does.
        (value >= i64::MIN as f64 && value < -(i64::MIN as f64)).then_some(value as i64)
    } else {
        i64::from_str(number.text).ok()
    };
    match value {
        Some(value) if (of.min..=of.max).contains(&value) => Ok(Some(value)),
        _ => {
            let value = shortened(number.text.as_bytes());
            Err(format!("Numeric value ({value}) out of range of {}", of.java))
        }
    }
}

/// `Long.parseLong`, and hexadecimal digits behind `0x` as the OpenX reader has them.
fn whole_of(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Powers of ten that a double holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// A double: `Double.parseDouble`.
#[inline]
pub(super) fn double(scalar: Scalar<'_>, strict: bool) -> Result<f64, String> {
    if let Scalar::Number(number) = scalar
        && number.count <= 15
        && !number.exponent
    {
        // Both operands are exact, so the quotient is the nearest double (Clinger).
        let value = number.digits as f64 / TENS[number.fraction as usize];
        return Ok(if number.negative { -value } else { value });
    }
    float(scalar, strict)
}

/// Whether a double holds an integer as it is, and its neighbours as others.
pub(in crate::encode) fn is_exact_as_double(value: i64) -> bool {
    value.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS
}

/// Whether a double holds something else: an integer that it rounds, or an infinite number.
#[inline]
pub(super) fn is_changed_as_double(scalar: Scalar<'_>) -> bool {
    /// Integers of so many digits are exact.
    const DIGITS_SURE: usize = 15;
    match scalar {
        Scalar::Number(number) if number.float => number.is_beyond_double(),
        Scalar::Number(Number { text, .. }) => {
            text.len() > DIGITS_SURE && !text.parse().is_ok_and(is_exact_as_double)
        }
        Scalar::Text(text) => text.len() > DIGITS_SURE && is_rounded_text(text),
        Scalar::Boolean(_) => false,
    }
}

fn is_rounded_text(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let value = || std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    digits.iter().all(u8::is_ascii_digit) && !value().is_some_and(is_exact_as_double)
}

/// A float or double from its text.
pub(super) fn float<F: FromStr>(scalar: Scalar<'_>, strict: bool) -> Result<F, String> {
    let parsed = match scalar {
        Scalar::Number(number) => number.text.parse().ok(),
        _ if strict => return Err(not_numeric(scalar.token())),
        Scalar::Text(text) => parse_double(text),
        Scalar::Boolean(_) => None,
    };
    parsed.ok_or_else(|| for_input(scalar.bytes()))
}

/// The syntax of `Double.parseDouble`, without hexadecimal floats.
fn parse_double<F: FromStr>(text: &[u8]) -> Option<F> {
    let text = std::str::from_utf8(text).ok()?.trim_matches(|char| char <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return text.parse().ok();
    }
    let digits = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    let numeric = |byte: u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    if digits.bytes().all(numeric) { digits.parse().ok() } else { None }
}

/// `true` and `false`, also as strings, in any case. (Hive's own reader takes every other text for
/// false; a wrong value is worse than a failed record.)
pub(super) fn boolean(scalar: Scalar<'_>) -> Result<bool, String> {
    match scalar {
        Scalar::Boolean(value) => Ok(value),
        Scalar::Text(text) if text.eq_ignore_ascii_case(b"true") => Ok(true),
        Scalar::Text(text) if text.eq_ignore_ascii_case(b"false") => Ok(false),
        _ => Err(format!("For input: \"{}\" is not a boolean", shortened(scalar.bytes()))),
    }
}

/// A decimal, rounded half up to its scale; both readers take strings.
#[inline]
pub(super) fn decimal(scalar: Scalar<'_>, precision: u8, scale: u8) -> Result<i128, String> {
    let (max, scale) = (10_i128.pow(u32::from(precision)), u32::from(scale));
    if let Scalar::Number(number) = scalar
        && number.plain()
        && number.fraction <= scale
        && number.count + scale - number.fraction <= 38
    {
        let value = i128::from(number.digits) * 10_i128.pow(scale - number.fraction);
        if value < max {
            return Ok(if number.negative { -value } else { value });
        }
        return Err(too_many_digits(scalar, precision, scale));
    }
    match scalar {
        Scalar::Boolean(_) => Err(for_input(scalar.bytes())),
        _ => match decimal_of(scalar.bytes(), u32::from(precision), scale) {
            Ok(value) => Ok(value),
            Err(Misread::Form) => Err(for_input(scalar.bytes())),
            Err(Misread::Range) => Err(too_many_digits(scalar, precision, scale)),
        },
    }
}

#[cold]
fn too_many_digits(scalar: Scalar<'_>, precision: u8, scale: u32) -> String {
    let value = shortened(scalar.bytes());
    format!("{value} has too many digits for decimal({precision},{scale})")
}

/// The syntax of Java's `BigDecimal`: sign, digits with a point, exponent.
pub(super) fn decimal_of(text: &[u8], precision: u32, scale: u32) -> Result<i128, Misread> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mantissa_end = memchr::memchr2(b'e', b'E', rest).unwrap_or(rest.len());
    let (mantissa, exponent) = rest.split_at(mantissa_end);
    let exponent = exponent.get(1..).map_or(Ok(0), exponent_of)?;
    let point = memchr::memchr(b'.', mantissa).unwrap_or(mantissa.len());
    let (whole, fraction) = mantissa.split_at(point);
    let fraction = fraction.get(1..).unwrap_or_default();
    if whole.len() + fraction.len() == 0 || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(Misread::Form);
    }
    let value = scaled(whole, fraction, exponent + i64::from(scale), precision)?;
    Ok(if negative { -value } else { value })
}

fn exponent_of(text: &[u8]) -> Result<i64, Misread> {
    let text = std::str::from_utf8(text).map_err(|_| Misread::Form)?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Misread::Form);
    }
    // Java's exponents have 32 bits, too.
    i32::from_str(text).map(i64::from).map_err(|_| Misread::Range)
}

/// The digits with the point moved by `shift` to the right, rounded half up there.
fn scaled(whole: &[u8], fraction: &[u8], shift: i64, precision: u32) -> Result<i128, Misread> {
    let significant = whole.iter().chain(fraction).skip_while(|&&digit| digit == b'0');
    let count = significant.clone().count() as i64;
    if count == 0 {
        return Ok(0);
    }
    // How many of them stand before the point afterwards.
    let before = count - fraction.len() as i64 + shift;
    if before < 0 {
        return Ok(0);
    }
    if before > i64::from(precision) {
        return Err(Misread::Range);
    }
    let mut digits = significant.map(|digit| i128::from(digit - b'0')).chain(std::iter::repeat(0));
    let value = digits.by_ref().take(before as usize).fold(0, |value, digit| value * 10 + digit);
    let value = value + i128::from(digits.next() >= Some(5));
    if value >= 10_i128.pow(precision) { Err(Misread::Range) } else { Ok(value) }
}

/// A timestamp of the lenient reader: text, or time since 1970.
#[inline]
pub(super) fn timestamp(scalar: Scalar<'_>) -> Result<i64, String> {
    let read = match scalar {
        Scalar::Text(text) if memchr::memchr(b':', text).is_some() => {
            return time::openx(text).map_err(|misread| no_time(misread, scalar));
        }
        Scalar::Boolean(_) => Err(Misread::Form),
        Scalar::Number(number) if let Some(value) = number.whole() => time::epoch(value),
        _ => epoch_of(scalar.bytes()),
    };
    read.map_err(|misread| match misread {
        Misread::Form => for_input(scalar.bytes()),
        Misread::Range => no_time(misread, scalar),
    })
}

/// Whole numbers are seconds or milliseconds, by their size; others are seconds.
fn epoch_of(text: &[u8]) -> Result<i64, Misread> {
    if text.iter().all(|&byte| byte.is_ascii_digit() || byte == b'-' || byte == b'+') {
        let text = std::str::from_utf8(text).map_err(|_| Misread::Form)?;
        return match i64::from_str(text) {
            Ok(value) => time::epoch(value),
            Err(error) => Err(match error.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                    Misread::Range
                }
                _ => Misread::Form,
            }),
        };
    }
    let nanos = decimal_of(text, 38, 9)?;
    i64::try_from(nanos).map_err(|_| Misread::Range)
}

/// A timestamp of the strict reader: its patterns in their order, then the syntax of
/// `Timestamp.valueOf`.
pub(super) fn timestamp_strict(
    scalar: Scalar<'_>,
    formats: &[super::joda::Format],
) -> Result<i64, String> {
    let misread = |misread| no_time(misread, scalar);
    if let Scalar::Boolean(_) = scalar {
        return Err(misread(Misread::Form));
    }
    let Ok(text) = std::str::from_utf8(scalar.bytes()) else {
        return Err(misread(Misread::Form));
    };
    for format in formats {
        match format.parse(text) {
            Err(Misread::Form) => {}
            read => return read.map_err(misread),
        }
    }
    time::sql(text.as_bytes()).map_err(misread)
}

#[cold]
fn no_time(misread: Misread, scalar: Scalar<'_>) -> String {
    match misread {
        Misread::Form => "Timestamp format must be yyyy-mm-dd hh:mm:ss[.fffffffff]".into(),
        Misread::Range => {
            let value = shortened(scalar.bytes());
            format!("{value} lies outside the years 1677 to 2262 that a timestamp can hold")
        }
    }
}

/// A date: text only.
pub(super) fn date(scalar: Scalar<'_>) -> Result<i32, String> {
    match scalar {
        Scalar::Text(text) => time::date(text),
        _ => None,
    }
    .ok_or_else(|| "Date format must be yyyy-[m]m-[d]d".into())
}
