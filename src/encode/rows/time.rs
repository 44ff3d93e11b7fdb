//! Texts of times, into nanoseconds since 1970.
//!
//! Times without a zone are UTC, as the service has it. Impossible dates (February 30) and times
//! beyond what 64 bits of nanoseconds hold (1677 to 2262) are not read: the service wraps the
//! latter around silently, and a wrong year is worse than a failed record.

/// Why a text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misread {
    /// It does not have the form.
    Form,
    /// What it says does not fit.
    Range,
}

const SECOND: i128 = 1_000_000_000;
/// From this number on, a whole number counts milliseconds rather than seconds.
const MILLIS_FROM: u64 = 1_000_000_000_000;

/// A time of day and calendar, as it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Civil {
    pub year: i64,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub nanos: u32,
}

impl Civil {
    /// Nanoseconds since 1970, if such a time exists and fits; `offset_s` is that of its zone.
    pub fn nanos(&self, offset_s: i64) -> Result<i64, Misread> {
        let days = days(self.year, self.month, self.day).ok_or(Misread::Form)?;
        if self.hour > 23 || self.minute > 59 || self.second > 59 {
            return Err(Misread::Form);
        }
        let clock = i64::from(self.hour * 3600 + self.minute * 60 + self.second);
        let seconds = days * 86_400 + clock - offset_s;
        narrowed(i128::from(seconds) * SECOND + i128::from(self.nanos))
    }
}

#[inline]
fn narrowed(nanos: i128) -> Result<i64, Misread> {
    i64::try_from(nanos).map_err(|_| Misread::Range)
}

/// Seconds or milliseconds since 1970, by their size.
#[inline]
pub(super) fn epoch(value: i64) -> Result<i64, Misread> {
    let unit = if value.unsigned_abs() < MILLIS_FROM { SECOND } else { SECOND / 1000 };
    narrowed(i128::from(value) * unit)
}

/// Milliseconds since 1970.
pub(super) fn millis(value: i64) -> Result<i64, Misread> {
    narrowed(i128::from(value) * (SECOND / 1000))
}

/// The texts of the lenient reader: `yyyy-MM-dd'T'HH:mm:ss[.S]'Z'` by the letter, or
/// `yyyy-[M]M-[d]d [H]H:[m]m:[s]s[.S]`.
pub(super) fn openx(text: &[u8]) -> Result<i64, Misread> {
    let strict = text.get(10) == Some(&b'T');
    let civil = if strict { civil(text, b'T', 2) } else { civil(text, b' ', 1) };
    let (civil, rest) = civil.ok_or(Misread::Form)?;
    if rest != if strict { b"Z".as_slice() } else { b"" } {
        return Err(Misread::Form);
    }
    civil.nanos(0)
}

/// The text of `java.sql.Timestamp.valueOf`.
pub(super) fn sql(text: &[u8]) -> Result<i64, Misread> {
    match civil(text.trim_ascii(), b' ', 1) {
        Some((civil, [])) => civil.nanos(0),
        _ => Err(Misread::Form),
    }
}

/// Days since 1970 of `yyyy-[M]M-[d]d`.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    let ((year, month, day), rest) = calendar(text, 1)?;
    if !rest.is_empty() {
        return None;
    }
    i32::try_from(days(year, month, day)?).ok()
}

/// A date, `between`, a time of day and its fraction; numbers of two digits have at least
/// `digits_min`.
#[inline]
fn civil(text: &[u8], between: u8, digits_min: usize) -> Option<(Civil, &[u8])> {
    let ((year, month, day), text) = calendar(text, digits_min)?;
    let (hour, text) = number(after(text, between)?, digits_min)?;
    let (minute, text) = number(after(text, b':')?, digits_min)?;
    let (second, text) = number(after(text, b':')?, digits_min)?;
    let (nanos, text) = match after(text, b'.') {
        Some(text) => fraction(text)?,
        None => (0, text),
    };
    Some((Civil { year, month, day, hour, minute, second, nanos }, text))
}

type Calendar = (i64, u32, u32);

#[inline]
fn calendar(text: &[u8], digits_min: usize) -> Option<(Calendar, &[u8])> {
    let (year, text) = text.split_first_chunk::<4>()?;
    let mut sum = 0;
    for &byte in year {
        sum = sum * 10 + i64::from(digit(byte)?);
    }
    let (month, text) = number(after(text, b'-')?, digits_min)?;
    let (day, text) = number(after(text, b'-')?, digits_min)?;
    Some(((sum, month, day), text))
}

#[inline]
fn after(text: &[u8], byte: u8) -> Option<&[u8]> {
    match text {
        [first, rest @ ..] if *first == byte => Some(rest),
        _ => None,
    }
}

#[inline]
fn digit(byte: u8) -> Option<u32> {
    let digit = byte.wrapping_sub(b'0');
    (digit < 10).then_some(u32::from(digit))
}

/// A number of one or two digits.
#[inline]
fn number(text: &[u8], digits_min: usize) -> Option<(u32, &[u8])> {
    let tens = digit(*text.first()?)?;
    match text.get(1).and_then(|&byte| digit(byte)) {
        Some(ones) => Some((tens * 10 + ones, &text[2..])),
        None if digits_min == 1 => Some((tens, &text[1..])),
        None => None,
    }
}

/// One to nine digits behind the point, as nanoseconds.
#[inline]
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let mut nanos = 0;
    let mut count = 0;
    while let Some(digit) = text.get(count).and_then(|&byte| digit(byte)) {
        if count == 9 {
            return None;
        }
        nanos = nanos * 10 + digit;
        count += 1;
    }
    if count == 0 {
        return None;
    }
    Some((nanos * 10_u32.pow(9 - count as u32), &text[count..]))
}

/// Days since 1970 of a date in the Gregorian calendar, if there is such a day. (Howard Hinnant,
/// "chrono-compatible low-level date algorithms": years begin in March, eras have 400 years.)
pub(super) fn days(year: i64, month: u32, day: u32) -> Option<i64> {
    if !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = i64::from((153 * ((month + 9) % 12) + 2) / 5 + day - 1);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn days_in(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
