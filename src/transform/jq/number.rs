//! Numbers as jq 1.6 prints them.
//!
//! jq 1.6 holds every number as a double and prints the shortest digits that give that double
//! again: `1.50` becomes `1.5`, `1e3` becomes `1000`, `0.00001` becomes `1e-05`. So it is here,
//! with one difference: an integer that is written as such keeps all its digits, where jq 1.6
//! rounds beyond 2^53 and would make one partition out of different ids.

use std::borrow::Cow;

/// Digits that any decimal keeps through a double.
const SAFE_DIGITS: usize = 15;

/// The number that a JSON text writes, as jq 1.6 prints it; `None` if it is no JSON number.
pub(in crate::transform) fn canonical(word: &[u8]) -> Option<Cow<'_, str>> {
    let shape = Shape::of(word)?;
    let text = std::str::from_utf8(word).ok()?;
    if shape.is_integer() || shape.prints_as_written(word) {
        return Some(Cow::Borrowed(text));
    }
    let value: f64 = text.parse().ok()?;
    Some(Cow::Owned(print(value).unwrap_or_else(|| text.to_owned())))
}

/// Whether a text is a JSON number.
pub(super) fn is_number(word: &[u8]) -> bool {
    Shape::of(word).is_some()
}

/// A double as jq 1.6 prints it; `None` for what is not a number. Infinity is the largest double.
pub(super) fn print(value: f64) -> Option<String> {
    if value.is_nan() {
        return None;
    }
    let value = value.clamp(f64::MIN, f64::MAX);
    let shortest = format!("{:e}", value.abs());
    let (mantissa, exponent) = shortest.split_once('e').expect("the format writes an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent of a double is a number");
    let digits = mantissa.replace('.', "");
    let sign = if value.is_sign_negative() { "-" } else { "" };
    Some(format!("{sign}{}", place_point(&digits, exponent + 1)))
}

/// `point` is where the decimal point stands in the digits.
fn place_point(digits: &str, point: i32) -> String {
    let length = digits.len() as i32;
    if point <= -4 || point > length + 15 {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let exponent = point - 1;
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{first}{dot}{rest}e{sign}{:02}", exponent.abs());
    }
    if point <= 0 {
        return format!("0.{}{digits}", "0".repeat(-point as usize));
    }
    if point >= length {
        return format!("{digits}{}", "0".repeat((point - length) as usize));
    }
    let (whole, fraction) = digits.split_at(point as usize);
    format!("{whole}.{fraction}")
}

/// The parts of a JSON number.
struct Shape {
    /// Digits before the point.
    whole: usize,
    /// Digits behind it; 0 without a point.
    fraction: usize,
    exponent: bool,
}

impl Shape {
    /// The grammar of RFC 8259.
    fn of(word: &[u8]) -> Option<Self> {
        let digits =
            |from: usize| word[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let start = usize::from(word.first() == Some(&b'-'));
        let whole = digits(start);
        if whole == 0 || (whole > 1 && word[start] == b'0') {
            return None;
        }
        let mut at = start + whole;
        let mut fraction = 0;
        if word.get(at) == Some(&b'.') {
            fraction = digits(at + 1);
            at += 1 + fraction;
            if fraction == 0 {
                return None;
            }
        }
        let exponent = matches!(word.get(at), Some(b'e' | b'E'));
        if exponent {
            at += 1 + usize::from(matches!(word.get(at + 1), Some(b'+' | b'-')));
            let length = digits(at.min(word.len()));
            if length == 0 {
                return None;
            }
            at += length;
        }
        (at == word.len()).then_some(Self { whole, fraction, exponent })
    }

    fn is_integer(&self) -> bool {
        self.fraction == 0 && !self.exponent
    }

    /// Whether it plainly is the shortest form of its double, so that none has to be made of it.
    fn prints_as_written(&self, word: &[u8]) -> bool {
        !self.exponent
            && self.whole + self.fraction <= SAFE_DIGITS
            && word.last() != Some(&b'0')
            && (self.whole > 1 || !matches!(word, [b'0', ..] | [b'-', b'0', ..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What jq prints, but for the last two rows.
    #[test]
    fn numbers_are_printed_as_jq_1_6_does() {
        for (written, printed) in [
            ("0", "0"),
            ("-0", "-0"),
            ("-17", "-17"),
            ("2.0", "2"),
            ("1.000", "1"),
            ("100e-2", "1"),
            ("1e3", "1000"),
            ("1.50", "1.5"),
            ("-12.25", "-12.25"),
            ("0.1", "0.1"),
            ("0.000135", "0.000135"),
            ("0.00009212", "9.212e-05"),
            ("1e-8", "1e-08"),
            ("31.39999999999999999999999", "31.4"),
            ("16992566.8081159", "16992566.8081159"),
            ("1e15", "1000000000000000"),
            ("1e17", "1e+17"),
            ("1505253645e15", "1505253645000000000000000"),
            ("1505253645e16", "1.505253645e+25"),
            ("1e1000", "1.7976931348623157e+308"),
            ("-1e1000", "-1.7976931348623157e+308"),
            // jq 1.6 rounds these.
            ("200424030000041504", "200424030000041504"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ] {
            assert_eq!(canonical(written.as_bytes()).as_deref(), Some(printed), "{written}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for word in ["", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "0x1", "1 ", "NaN", "1_0"]
        {
            assert_eq!(canonical(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn what_is_not_a_number_has_no_text() {
        assert_eq!(print(f64::NAN), None);
        assert_eq!(print(f64::INFINITY).as_deref(), Some("1.7976931348623157e+308"));
    }

    proptest::proptest! {
        #[test]
        fn the_short_cut_changes_nothing(value in -1e9f64..1e9, places in 0usize..8) {
            let written = format!("{value:.places$}");
            let through: f64 = written.parse().unwrap();
            let printed = canonical(written.as_bytes()).unwrap();
            proptest::prop_assert_eq!(printed.as_ref(), print(through).unwrap());
        }
    }
}
