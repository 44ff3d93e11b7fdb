//! Patterns of Joda time, for reading (`DateTimeFormat`): the strict reader's timestamp formats.
//!
//! | letters | meaning | digits or text |
//! |---|---|---|
//! | `y` `Y` | year | up to 9 digits (as many as letters, if digits follow); `yy` is 1970 to 2069 |
//! | `M` | month | 1 or 2 digits; `MMM` and more: a name in English |
//! | `d` `D` | day of month, of year | up to 2, 3 digits |
//! | `H` `k` `K` `h` | hour 0-23, 1-24, 0-11, 1-12 | up to 2 digits |
//! | `m` `s` | minute, second | up to 2 digits |
//! | `S` | fraction of a second | up to as many digits as letters |
//! | `a` | half of the day | AM, PM in any case |
//! | `E` | day of the week | a name in English; it says nothing about the time |
//! | `Z` | offset from UTC | `Z`, `+01`, `+0100`, `+01:00` |
//! | `'text'`, `''` | itself | |
//!
//! `millis` instead of a pattern is a number of milliseconds since 1970. What a pattern leaves out
//! is that of 1970-01-01T00:00:00Z.

use super::time::{self, Civil, Misread};

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
const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// One of the strict reader's formats.
#[derive(Debug)]
pub(super) enum Format {
    Millis,
    Pattern(Vec<Item>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Number(Unit, usize),
    Year { letters: usize, digits_max: usize },
    Fraction(usize),
    Month,
    Weekday,
    Half,
    Offset,
    Literal(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Month,
    Day,
    DayOfYear,
    /// Hours of the day; 24 is 0.
    Hour,
    /// Hours of half a day; 12 is 0.
    HalfHour,
    Minute,
    Second,
}

impl Format {
    /// Reads a pattern; the error says what about it is not understood.
    pub fn new(pattern: &str) -> Result<Self, String> {
        if pattern == "millis" {
            return Ok(Self::Millis);
        }
        let mut items = Vec::new();
        let mut rest = pattern;
        while let Some(letter) = rest.chars().next() {
            let length = rest.len() - rest.trim_start_matches(letter).len();
            let (item, used) = match letter {
                '\'' => quoted(rest)?,
                'a'..='z' | 'A'..='Z' => (item(letter, length)?, length),
                _ => (Item::Literal(letter.into()), letter.len_utf8()),
            };
            items.push(item);
            rest = &rest[used..];
        }
        if items.is_empty() {
            return Err("the pattern is empty".into());
        }
        bound_years(&mut items);
        Ok(Self::Pattern(items))
    }

    /// The time that the whole text says.
    pub fn parse(&self, text: &str) -> Result<i64, Misread> {
        match self {
            Self::Millis => {
                // Fractions of milliseconds are cut off.
                let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
                if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(Misread::Form);
                }
                time::millis(whole.parse().map_err(|_| Misread::Form)?)
            }
            Self::Pattern(items) => {
                let mut found = Found::default();
                let mut rest = text;
                for item in items {
                    rest = found.read(item, rest).ok_or(Misread::Form)?;
                }
                if rest.is_empty() { found.nanos() } else { Err(Misread::Form) }
            }
        }
    }
}

/// The text between quotes; two quotes are one.
fn quoted(pattern: &str) -> Result<(Item, usize), String> {
    if pattern.starts_with("''") {
        return Ok((Item::Literal("'".into()), 2));
    }
    let mut text = String::new();
    let mut chars = pattern.char_indices().skip(1).peekable();
    while let Some((at, char)) = chars.next() {
        if char != '\'' {
            text.push(char);
        } else if chars.next_if(|&(_, next)| next == '\'').is_some() {
            text.push('\'');
        } else {
            return Ok((Item::Literal(text), at + 1));
        }
    }
    Err("a quote is not closed".into())
}

fn item(letter: char, length: usize) -> Result<Item, String> {
    Ok(match letter {
        'y' | 'Y' => Item::Year { letters: length, digits_max: length.max(9) },
        'M' if length > 2 => Item::Month,
        'M' => Item::Number(Unit::Month, 2),
        'd' => Item::Number(Unit::Day, 2),
        'D' => Item::Number(Unit::DayOfYear, 3),
        'H' | 'k' => Item::Number(Unit::Hour, 2),
        'K' | 'h' => Item::Number(Unit::HalfHour, 2),
        'm' => Item::Number(Unit::Minute, 2),
        's' => Item::Number(Unit::Second, 2),
        'S' => Item::Fraction(length),
        'a' => Item::Half,
        'E' => Item::Weekday,
        'Z' if length <= 2 => Item::Offset,
        other => return Err(format!("`{}` is not supported", other.to_string().repeat(length))),
    })
}

/// A year right before other digits takes as many digits as it has letters.
fn bound_years(items: &mut [Item]) {
    for at in 1..items.len() {
        let numeric = matches!(items[at], Item::Number(..) | Item::Fraction(_) | Item::Year { .. });
        if let (true, Item::Year { letters, digits_max }) = (numeric, &mut items[at - 1]) {
            *digits_max = *letters;
        }
    }
}

/// What was read so far.
#[derive(Debug, Default)]
struct Found {
    year: Option<i64>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    hour: u32,
    afternoon: bool,
    minute: u32,
    second: u32,
    nanos: u32,
    offset_s: i64,
}

impl Found {
    /// Reads what an item stands for off the beginning of a text; the rest of it.
    fn read<'t>(&mut self, item: &Item, text: &'t str) -> Option<&'t str> {
        match item {
            Item::Literal(literal) => text.strip_prefix(literal.as_str()),
            &Item::Number(unit, digits_max) => {
                let (value, rest) = digits(text, digits_max)?;
                self.set(unit, value)?;
                Some(rest)
            }
            &Item::Year { letters, digits_max } => {
                let (sign, unsigned) = match text.strip_prefix('-') {
                    Some(rest) => (-1, rest),
                    None => (1, text.strip_prefix('+').unwrap_or(text)),
                };
                let (value, rest) = digits(unsigned, digits_max)?;
                let count = unsigned.len() - rest.len();
                let plain = letters == 2 && count == 2 && unsigned.len() == text.len();
                let pivot = if value < 70 { 2000 } else { 1900 };
                self.year = Some(i64::from(value) * sign + if plain { pivot } else { 0 });
                Some(rest)
            }
            &Item::Fraction(digits_max) => {
                let (_, rest) = digits(text, digits_max.min(text.len()))?;
                let read = &text[..text.len() - rest.len()];
                let nanos = read.bytes().chain(std::iter::repeat(b'0')).take(9);
                self.nanos = nanos.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
                Some(rest)
            }
            Item::Month => {
                let (month, rest) = name(&MONTHS, text)?;
                self.month = Some(month as u32 + 1);
                Some(rest)
            }
            Item::Weekday => name(&WEEKDAYS, text).map(|(_, rest)| rest),
            Item::Half => {
                let (half, rest) = text.split_at_checked(2)?;
                self.afternoon = half.eq_ignore_ascii_case("pm");
                (self.afternoon || half.eq_ignore_ascii_case("am")).then_some(rest)
            }
            Item::Offset => {
                let (offset_s, rest) = offset(text)?;
                self.offset_s = offset_s;
                Some(rest)
            }
        }
    }

    fn set(&mut self, unit: Unit, value: u32) -> Option<()> {
        match unit {
            Unit::Month => self.month = Some(value),
            Unit::Day => self.day = Some(value),
            Unit::DayOfYear => self.day_of_year = Some(value),
            Unit::Hour if value <= 24 => self.hour = value % 24,
            Unit::HalfHour if value <= 12 => self.hour = value % 12,
            Unit::Hour | Unit::HalfHour => return None,
            Unit::Minute => self.minute = value,
            Unit::Second => self.second = value,
        }
        Some(())
    }

    fn nanos(&self) -> Result<i64, Misread> {
        let year = self.year.unwrap_or(1970);
        let (mut month, mut day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        if let Some(of_year) = self.day_of_year {
            (month, day) = month_and_day(year, of_year).ok_or(Misread::Form)?;
        }
        let hour = if self.afternoon && self.hour < 12 { self.hour + 12 } else { self.hour };
        let &Self { minute, second, nanos, .. } = self;
        Civil { year, month, day, hour, minute, second, nanos }.nanos(self.offset_s)
    }
}

fn month_and_day(year: i64, day_of_year: u32) -> Option<(u32, u32)> {
    let new_year = time::days(year, 1, 1)?;
    let wanted = new_year + i64::from(day_of_year.checked_sub(1)?);
    (1..=12).rev().find_map(|month| {
        let first = time::days(year, month, 1)?;
        let day = u32::try_from(wanted - first).ok()? + 1;
        time::days(year, month, day).map(|_| (month, day))
    })
}

/// One to `max` digits, as a number (only its first nine count).
fn digits(text: &str, max: usize) -> Option<(u32, &str)> {
    let count = text.bytes().take(max).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(count);
    digits.get(..count.min(9))?.parse().ok().map(|value| (value, rest))
}

/// A name of the list, whole or its first three letters, in any case.
fn name<'t>(names: &[&str], text: &'t str) -> Option<(usize, &'t str)> {
    let begins = |name: &str| text.get(..name.len()).is_some_and(|t| t.eq_ignore_ascii_case(name));
    names.iter().enumerate().find_map(|(at, name)| {
        let length = [name, &name[..3]].into_iter().find(|name| begins(name))?.len();
        Some((at, &text[length..]))
    })
}

/// An offset from UTC, in seconds.
fn offset(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let two =
        |text| digits(text, 2).filter(|(_, rest): &(u32, &str)| rest.len() + 2 == str::len(text));
    let (hours, rest) = two(text)?;
    let (minutes, rest) = match rest.strip_prefix(':') {
        Some(rest) => two(rest)?,
        None => two(rest).unwrap_or((0, rest)),
    };
    let fits = hours < 24 && minutes < 60;
    fits.then_some((sign * i64::from(hours * 3600 + minutes * 60), rest))
}
