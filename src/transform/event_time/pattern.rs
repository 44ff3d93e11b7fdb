//! Patterns of Java's `DateTimeFormatter`, for reading.
//!
//! | letters | read |
//! |---|---|
//! | `y`, `u` | year: `yy` from 2000 on, else as many digits as letters (four from `yyy` on, one to four for `y`) |
//! | `M`, `L` | month: digits, `MMM` and `MMMM` English names |
//! | `d`, `D` | day of the month, of the year |
//! | `E` | English name of the day of the week; read and not checked |
//! | `a` | AM or PM |
//! | `H`, `k`, `K`, `h` | hour: 0-23, 1-24, 0-11, 1-12 |
//! | `m`, `s`, `S`, `n`, `A` | minute, second, fraction, nanosecond, millisecond of the day |
//! | `X`, `x`, `Z` | offset from UTC, with or without a colon, minutes optional; `X` and `Z` also `Z` |
//! | `V`, `z` | IANA name of a zone, or UTC, GMT, Z |
//! | `'text'`, `[`, `]` | literal text, an optional part |
//!
//! One letter reads as many digits as there are (up to the field's width), several read exactly
//! so many. Names are read in any case. Other letters of Java's are refused.

use jiff::{
    ToSpan,
    civil::{Date, DateTime, Time},
    tz::{Offset, TimeZone, TimeZoneDatabase},
};

use super::parse::at;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// Deepest nesting of optional parts.
const DEPTH_MAX: usize = 8;

/// Why a pattern cannot be read by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("the pattern letter {0} is not supported")]
    Letter(char),
    #[error("there are too many pattern letters {0}")]
    Count(char),
    #[error("the pattern has a quote without its end")]
    OpenQuote,
    #[error("the pattern has a bracket without its other")]
    Bracket,
    #[error("the pattern has no year, or a day without its month")]
    Incomplete,
}

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Element>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    Literal(String),
    Digits {
        field: Field,
        min: usize,
        max: usize,
    },
    /// `yy`.
    ShortYear,
    /// `S`: a fraction of this many digits.
    Fraction(usize),
    MonthName,
    DayName,
    HalfDay,
    /// With `zero`, `Z` means UTC.
    Offset {
        zero: bool,
    },
    Zone,
    Optional(Vec<Element>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    Month,
    Day,
    DayOfYear,
    Hour,
    ClockHour,
    HourOfHalfDay,
    ClockHourOfHalfDay,
    Minute,
    Second,
    Nano,
    MilliOfDay,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut chars = text.chars().peekable();
        let mut open: Vec<Vec<Element>> = vec![Vec::new()];
        while let Some(char) = chars.next() {
            let depth = open.len();
            let last = open.last_mut().expect("the outermost part is never closed");
            match char {
                letter if letter.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while chars.next_if_eq(&letter).is_some() {
                        count += 1;
                    }
                    last.push(element(letter, count)?);
                }
                '\'' => literal(last, &quoted(&mut chars)?),
                '[' if depth <= DEPTH_MAX => open.push(Vec::new()),
                ']' if depth > 1 => {
                    let part = open.pop().expect("there are two");
                    open.last_mut().expect("one is left").push(Element::Optional(part));
                }
                '[' | ']' => return Err(PatternError::Bracket),
                other => literal(last, other.encode_utf8(&mut [0; 4])),
            }
        }
        // As in Java, an optional part ends with the pattern at the latest.
        while open.len() > 1 {
            let part = open.pop().expect("there are two");
            open.last_mut().expect("one is left").push(Element::Optional(part));
        }
        let elements = open.pop().expect("one is left");
        if names_a_day(&elements) { Ok(Self(elements)) } else { Err(PatternError::Incomplete) }
    }

    /// Milliseconds since 1970 of a text that matches as a whole.
    pub fn read(&self, text: &str, zone: &TimeZone) -> Option<i64> {
        let mut fields = Fields::default();
        let rest = read(&self.0, text, &mut fields)?;
        if rest.is_empty() { fields.instant(zone) } else { None }
    }
}

fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, PatternError> {
    let mut text = String::new();
    loop {
        match chars.next().ok_or(PatternError::OpenQuote)? {
            '\'' if chars.next_if_eq(&'\'').is_some() => text.push('\''),
            '\'' if text.is_empty() => return Ok("'".to_owned()),
            '\'' => return Ok(text),
            other => text.push(other),
        }
    }
}

fn literal(elements: &mut Vec<Element>, text: &str) {
    if let Some(Element::Literal(before)) = elements.last_mut() {
        before.push_str(text);
    } else {
        elements.push(Element::Literal(text.to_owned()));
    }
}

fn element(letter: char, count: usize) -> Result<Element, PatternError> {
    use Field::*;
    let digits = |field, width: usize| match count {
        1 => Ok(Element::Digits { field, min: 1, max: width }),
        _ if count <= width => Ok(Element::Digits { field, min: count, max: count }),
        _ => Err(PatternError::Count(letter)),
    };
    let bounded =
        |element, max| if count <= max { Ok(element) } else { Err(PatternError::Count(letter)) };
    match letter {
        'y' | 'u' if count == 2 => Ok(Element::ShortYear),
        'y' | 'u' if count == 3 => Ok(Element::Digits { field: Year, min: 4, max: 4 }),
        'y' | 'u' => digits(Year, 4),
        'M' | 'L' if count > 2 => bounded(Element::MonthName, 4),
        'M' | 'L' => digits(Month, 2),
        'd' => digits(Day, 2),
        'D' => digits(DayOfYear, 3),
        'E' => bounded(Element::DayName, 4),
        'a' => bounded(Element::HalfDay, 1),
        'H' => digits(Hour, 2),
        'k' => digits(ClockHour, 2),
        'K' => digits(HourOfHalfDay, 2),
        'h' => digits(ClockHourOfHalfDay, 2),
        'm' => digits(Minute, 2),
        's' => digits(Second, 2),
        'S' => bounded(Element::Fraction(count), 9),
        'n' => digits(Nano, 9),
        'A' => digits(MilliOfDay, 8),
        'X' => bounded(Element::Offset { zero: true }, 5),
        'x' => bounded(Element::Offset { zero: false }, 5),
        'Z' => bounded(Element::Offset { zero: true }, 5),
        'V' if count == 2 => Ok(Element::Zone),
        'z' => bounded(Element::Zone, 4),
        letter => Err(PatternError::Letter(letter)),
    }
}

/// Whether the pattern always tells the day: a year, and no day without its month.
fn names_a_day(elements: &[Element]) -> bool {
    let has = |wanted: Field| {
        elements.iter().any(|e| matches!(e, Element::Digits { field, .. } if *field == wanted))
    };
    let year = elements.contains(&Element::ShortYear) || has(Field::Year);
    let month = elements.contains(&Element::MonthName) || has(Field::Month);
    year && (month || !has(Field::Day))
}

#[derive(Debug, Clone, Default)]
struct Fields {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    hour: i8,
    /// Whether the hour counts from noon or midnight.
    of_half_day: bool,
    afternoon: bool,
    minute: i8,
    second: i8,
    nano: i32,
    milli_of_day: Option<i64>,
    offset: Option<Offset>,
    zone: Option<TimeZone>,
}

/// What is left of the text behind the elements; `None` if they do not match.
fn read<'t>(elements: &[Element], mut text: &'t str, fields: &mut Fields) -> Option<&'t str> {
    for element in elements {
        text = element.read(text, fields)?;
    }
    Some(text)
}

/// What is left behind a part that may be missing.
fn optional<'t>(part: &[Element], text: &'t str, fields: &mut Fields) -> &'t str {
    let before = fields.clone();
    read(part, text, fields).unwrap_or_else(|| {
        *fields = before;
        text
    })
}

impl Element {
    fn read<'t>(&self, text: &'t str, fields: &mut Fields) -> Option<&'t str> {
        match self {
            Self::Literal(literal) => text.strip_prefix(literal.as_str()),
            Self::Digits { field, min, max } => {
                let (number, rest) = digits(text, *min, *max)?;
                fields.set(*field, number)?;
                Some(rest)
            }
            Self::ShortYear => {
                let (number, rest) = digits(text, 2, 2)?;
                fields.year = 2000 + i16::try_from(number).ok()?;
                Some(rest)
            }
            Self::Fraction(count) => {
                let (number, rest) = digits(text, *count, *count)?;
                fields.nano = i32::try_from(number * 10i64.pow(9 - *count as u32)).ok()?;
                Some(rest)
            }
            Self::MonthName => {
                let (index, rest) = name(text, &MONTHS)?;
                fields.month = Some(index as i8 + 1);
                Some(rest)
            }
            Self::DayName => name(text, &DAYS).map(|(_, rest)| rest),
            Self::HalfDay => {
                let half = text.get(..2)?;
                fields.afternoon = half.eq_ignore_ascii_case("pm");
                (fields.afternoon || half.eq_ignore_ascii_case("am")).then(|| &text[2..])
            }
            Self::Offset { zero } => {
                let (offset, rest) = offset(text, *zero)?;
                fields.offset = Some(offset);
                Some(rest)
            }
            Self::Zone => {
                let in_name = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
                let end = text.find(|c| !in_name(c)).unwrap_or(text.len());
                fields.zone = Some(match &text[..end] {
                    "Z" | "UTC" | "GMT" => TimeZone::UTC,
                    name => TimeZoneDatabase::bundled().get(name).ok()?,
                });
                Some(&text[end..])
            }
            Self::Optional(part) => Some(optional(part, text, fields)),
        }
    }
}

fn digits(text: &str, min: usize, max: usize) -> Option<(i64, &str)> {
    let count = text.bytes().take(max).take_while(u8::is_ascii_digit).count();
    if count < min {
        return None;
    }
    Some((text[..count].parse().ok()?, &text[count..]))
}

/// A full name, or its first three letters.
fn name<'t>(text: &'t str, names: &[&str]) -> Option<(usize, &'t str)> {
    let starts = |name: &str| text.get(..name.len()).is_some_and(|t| t.eq_ignore_ascii_case(name));
    let full = names.iter().position(|name| starts(name));
    if let Some(index) = full {
        return Some((index, &text[names[index].len()..]));
    }
    let index = names.iter().position(|name| starts(&name[..3]))?;
    Some((index, &text[3..]))
}

fn offset(text: &str, zero: bool) -> Option<(Offset, &str)> {
    if zero && let Some(rest) = text.strip_prefix(['Z', 'z']) {
        return Some((Offset::UTC, rest));
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, mut rest) = digits(&text[1..], 2, 2)?;
    let (mut minutes, mut seconds) = (0, 0);
    for part in [&mut minutes, &mut seconds] {
        let Some((number, behind)) = digits(rest.strip_prefix(':').unwrap_or(rest), 2, 2) else {
            break;
        };
        (*part, rest) = (number, behind);
    }
    if hours > 18 || minutes > 59 || seconds > 59 {
        return None;
    }
    let seconds = i32::try_from(sign * (hours * 3600 + minutes * 60 + seconds)).ok()?;
    Some((Offset::from_seconds(seconds).ok()?, rest))
}

impl Fields {
    /// `None` if the number is out of the field's range.
    fn set(&mut self, field: Field, number: i64) -> Option<()> {
        let within =
            |range: std::ops::RangeInclusive<i64>| range.contains(&number).then_some(number);
        match field {
            Field::Year => self.year = within(1..=9999)? as i16,
            Field::Month => self.month = Some(within(1..=12)? as i8),
            Field::Day => self.day = Some(within(1..=31)? as i8),
            Field::DayOfYear => self.day_of_year = Some(within(1..=366)? as i16),
            Field::Hour => self.hour = within(0..=23)? as i8,
            Field::ClockHour => self.hour = (within(1..=24)? % 24) as i8,
            Field::HourOfHalfDay => {
                (self.hour, self.of_half_day) = (within(0..=11)? as i8, true);
            }
            Field::ClockHourOfHalfDay => {
                (self.hour, self.of_half_day) = ((within(1..=12)? % 12) as i8, true);
            }
            Field::Minute => self.minute = within(0..=59)? as i8,
            // A leap second counts as the one before it.
            Field::Second => self.second = within(0..=60)?.min(59) as i8,
            Field::Nano => self.nano = within(0..=999_999_999)? as i32,
            Field::MilliOfDay => self.milli_of_day = Some(within(0..=86_399_999)?),
        }
        Some(())
    }

    fn instant(self, zone: &TimeZone) -> Option<i64> {
        let date = match self.day_of_year {
            Some(day) => {
                let date =
                    Date::new(self.year, 1, 1).ok()?.checked_add((i64::from(day) - 1).days());
                date.ok().filter(|date| date.year() == self.year)?
            }
            None => Date::new(self.year, self.month.unwrap_or(1), self.day.unwrap_or(1)).ok()?,
        };
        let hour = if self.of_half_day && self.afternoon { self.hour + 12 } else { self.hour };
        let time = Time::new(hour, self.minute, self.second, self.nano).ok()?;
        let local = match self.milli_of_day {
            Some(millis) => DateTime::from(date).checked_add(millis.milliseconds()).ok()?,
            None => DateTime::from_parts(date, time),
        };
        match (self.offset, self.zone) {
            (Some(offset), _) => Some(offset.to_timestamp(local).ok()?.as_millisecond()),
            (None, Some(named)) => at(local, &named),
            (None, None) => at(local, zone),
        }
    }
}
