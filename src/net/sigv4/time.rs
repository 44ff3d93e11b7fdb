//! The time of a signature.

use jiff::{Timestamp, civil::DateTime, fmt::strtime, tz::TimeZone};

const FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// Reads `20201013T112233Z`, in this very form: milliseconds since the Unix epoch.
pub(super) fn parse_basic(text: &str) -> Option<i64> {
    let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
    let [date @ .., b'T', _, _, _, _, _, _, b'Z'] = bytes else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_i16, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + i16::from(digit - b'0'))
        })
    };
    let two = |digits: &[u8]| Some(number(digits)? as i8);
    let civil = DateTime::new(
        number(&date[..4])?,
        two(&date[4..6])?,
        two(&date[6..])?,
        two(&bytes[9..11])?,
        two(&bytes[11..13])?,
        two(&bytes[13..15])?,
        0,
    );
    Some(civil.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Reads a `Date` header: basic ISO 8601, or the form of RFC 9110 (`Tue, 13 Oct 2020 11:22:33 GMT`).
pub(super) fn parse_date_header(text: &str) -> Option<i64> {
    parse_basic(text).or_else(|| {
        let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
        Some(zoned.timestamp().as_millisecond())
    })
}

/// Writes the basic ISO 8601 form. Times outside of jiff's range come back as the range's end.
pub(super) fn format_basic(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
    strtime::format(FORMAT, &time.to_zoned(TimeZone::UTC)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_basic_form_is_read_in_its_own_shape_only() {
        for text in ["20201013T112233Z", "20240229T235959Z", "19700101T000000Z"] {
            assert_eq!(format_basic(parse_basic(text).unwrap()), text);
        }
        for text in [
            "",
            "20201013T112233",
            "20201013t112233Z",
            "20201013T11223 Z",
            "+2020101T112233Z",
            "20201313T112233Z",
            "20230229T112233Z",
            "20201013T242233Z",
            "20201013T112233é",
        ] {
            assert_eq!(parse_basic(text), None, "{text}");
        }
    }
}
