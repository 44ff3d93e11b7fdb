//! Printing a moment by a pattern.

use jiff::civil::{Date, DateTime};

use super::{Element, Field, Moment, OffsetShape, Pattern, Style, TextField, Width};

/// A padded field came out longer than its pad, which Java refuses to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Cannot print as output of {chars} characters exceeds pad width of {width}")]
pub struct PadTooNarrow {
    pub chars: usize,
    pub width: usize,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const QUARTERS: [&str; 4] = ["1st quarter", "2nd quarter", "3rd quarter", "4th quarter"];

impl Pattern {
    /// Appends the text of `moment` to `out`. On an error `out` holds the part before it.
    pub fn print(&self, moment: &Moment<'_>, out: &mut String) -> Result<(), PadTooNarrow> {
        self.elements.iter().try_for_each(|element| element.print(moment, out))
    }
}

impl Element {
    fn print(&self, moment: &Moment<'_>, out: &mut String) -> Result<(), PadTooNarrow> {
        match self {
            Self::Literal(text) => out.push_str(text),
            Self::Number { field, width } => number(out, field.value(&moment.local), *width),
            Self::TwoDigits(field) => {
                let two = (field.value(&moment.local).unsigned_abs() % 100).to_string();
                zeros(out, &two, 2);
            }
            Self::Text { field, style } => field.print(*style, &moment.local, out),
            Self::Fraction(digits) => {
                let nanos = format!("{:09}", moment.local.subsec_nanosecond());
                out.push_str(&nanos[..*digits]);
            }
            Self::Offset { shape, zero } => shape.print(moment.offset_s, zero, out),
            Self::LocalizedOffset(style) => localized_offset(*style, moment.offset_s, out),
            Self::ZoneId => out.push_str(moment.zone.id()),
            Self::ZoneName(style) => {
                out.push_str(moment.zone.name(*style == Style::Full, moment.daylight));
            }
            Self::Pad { width, inner } => {
                let mut text = String::new();
                inner.print(moment, &mut text)?;
                let chars = text.chars().count();
                let Some(spaces) = width.checked_sub(chars) else {
                    return Err(PadTooNarrow { chars, width: *width });
                };
                out.extend(std::iter::repeat_n(' ', spaces));
                out.push_str(&text);
            }
        }
        Ok(())
    }
}

fn number(out: &mut String, value: i64, width: Width) {
    let digits = value.unsigned_abs().to_string();
    if value < 0 {
        out.push('-');
    } else if width.plus && width.min < super::NUMBER_WIDTH_MAX && digits.len() > width.min {
        out.push('+');
    }
    zeros(out, &digits, width.min);
}

fn zeros(out: &mut String, digits: &str, min: usize) {
    out.extend(std::iter::repeat_n('0', min.saturating_sub(digits.len())));
    out.push_str(digits);
}

impl Field {
    fn value(self, at: &DateTime) -> i64 {
        let year = i64::from(at.year());
        let hour = i64::from(at.hour());
        match self {
            Self::Year => year,
            Self::YearOfEra if year < 1 => 1 - year,
            Self::YearOfEra => year,
            Self::WeekBasedYear => week_of_year(at.date()).0,
            Self::Quarter => (i64::from(at.month()) - 1) / 3 + 1,
            Self::Month => i64::from(at.month()),
            Self::WeekOfYear => week_of_year(at.date()).1,
            Self::WeekOfMonth => week(i64::from(at.day()), day_of_week(at.date())),
            Self::DayOfYear => i64::from(at.day_of_year()),
            Self::Day => i64::from(at.day()),
            Self::DayOfWeek => day_of_week(at.date()),
            Self::AlignedDayOfWeek => (i64::from(at.day()) - 1) % 7 + 1,
            Self::Hour => hour,
            Self::ClockHour => (hour + 23) % 24 + 1,
            Self::HourOfHalfDay => hour % 12,
            Self::ClockHourOfHalfDay => (hour + 11) % 12 + 1,
            Self::Minute => i64::from(at.minute()),
            Self::Second => i64::from(at.second()),
            Self::NanoOfSecond => i64::from(at.subsec_nanosecond()),
            Self::MilliOfDay => nano_of_day(at) / 1_000_000,
            Self::NanoOfDay => nano_of_day(at),
        }
    }
}

fn nano_of_day(at: &DateTime) -> i64 {
    let minutes = i64::from(at.hour()) * 60 + i64::from(at.minute());
    let seconds = minutes * 60 + i64::from(at.second());
    seconds * 1_000_000_000 + i64::from(at.subsec_nanosecond())
}

/// Sunday is 1.
fn day_of_week(date: Date) -> i64 {
    i64::from(date.weekday().to_sunday_one_offset())
}

/// The week that holds day number `day` of a month or year, the one with the first being week 1.
fn week(day: i64, day_of_week: i64) -> i64 {
    // Days of the first week that lie before the month or year.
    let before = (day_of_week - day).rem_euclid(7);
    (before + day - 1) / 7 + 1
}

/// Week-based year and week. The last days of December belong to week 1 of the next year if
/// 1 January falls into their week.
fn week_of_year(date: Date) -> (i64, i64) {
    let year = i64::from(date.year());
    let (day, day_of_week) = (i64::from(date.day_of_year()), day_of_week(date));
    let saturday = day + 7 - day_of_week;
    if saturday > i64::from(date.days_in_year()) {
        return (year + 1, 1);
    }
    (year, week(day, day_of_week))
}

impl TextField {
    fn print(self, style: Style, at: &DateTime, out: &mut String) {
        let month = usize::from(at.month().unsigned_abs()) - 1;
        match self {
            Self::Era => out.push_str(match (at.year() > 0, style) {
                (true, Style::Short) => "AD",
                (true, Style::Full) => "Anno Domini",
                (true, Style::Narrow) => "A",
                (false, Style::Short) => "BC",
                (false, Style::Full) => "Before Christ",
                (false, Style::Narrow) => "B",
            }),
            Self::HalfDay => out.push_str(if at.hour() < 12 { "AM" } else { "PM" }),
            Self::Month => name(MONTHS[month], style, out),
            Self::DayOfWeek => {
                let day = at.date().weekday().to_sunday_zero_offset().unsigned_abs();
                name(DAYS[usize::from(day)], style, out);
            }
            Self::Quarter => match style {
                Style::Full => out.push_str(QUARTERS[month / 3]),
                Style::Short => {
                    out.push('Q');
                    out.push_str(&QUARTERS[month / 3][..1]);
                }
                Style::Narrow => out.push_str(&QUARTERS[month / 3][..1]),
            },
        }
    }
}

/// English names of months and days are cut to three letters, or to one.
fn name(full: &str, style: Style, out: &mut String) {
    out.push_str(match style {
        Style::Full => full,
        Style::Short => &full[..3],
        Style::Narrow => &full[..1],
    });
}

/// Sign, hours, minutes and seconds.
fn split_offset(offset_s: i32) -> (char, u32, u32, u32) {
    let sign = if offset_s < 0 { '-' } else { '+' };
    let total = offset_s.unsigned_abs();
    (sign, total / 3600, total / 60 % 60, total % 60)
}

impl OffsetShape {
    fn print(self, offset_s: i32, zero: &str, out: &mut String) {
        let (sign, hours, minutes, seconds) = split_offset(offset_s);
        let minutes_shown = self.minutes_even_if_zero || minutes > 0;
        let seconds_shown = self.seconds && seconds > 0;
        // Nothing but zeros would be shown: Java then prints the text for zero, even where the
        // seconds that are left out are not.
        if hours == 0 && minutes == 0 && !seconds_shown {
            out.push_str(zero);
            return;
        }
        let colon = if self.colon { ":" } else { "" };
        out.push_str(&format!("{sign}{hours:02}"));
        if minutes_shown {
            out.push_str(&format!("{colon}{minutes:02}"));
        }
        if seconds_shown {
            out.push_str(&format!("{colon}{seconds:02}"));
        }
    }
}

fn localized_offset(style: Style, offset_s: i32, out: &mut String) {
    out.push_str("GMT");
    if offset_s == 0 {
        return;
    }
    let (sign, hours, minutes, seconds) = split_offset(offset_s);
    if style == Style::Full {
        out.push_str(&format!("{sign}{hours:02}:{minutes:02}"));
    } else {
        out.push_str(&format!("{sign}{hours}"));
        if minutes > 0 || seconds > 0 {
            out.push_str(&format!(":{minutes:02}"));
        }
    }
    if seconds > 0 {
        out.push_str(&format!(":{seconds:02}"));
    }
}
