//! The time of a signature.

use jiff::{Timestamp, civil::DateTime, fmt::strtime, tz::TimeZone};

const FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// Reads `20201013T112233Z`: milliseconds since the Unix epoch.
pub(super) fn parse_basic(text: &str) -> Option<i64> {
    // strtime allows fewer digits; the form on the wire has a fixed length.
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let civil = DateTime::strptime(FORMAT, text).ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
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
