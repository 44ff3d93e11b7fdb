//! Java's `DateTimeFormatter` patterns, as `!{timestamp:...}` takes them.
//!
//! Firehose hands the text to `DateTimeFormatter.ofPattern` (Firehose guide, "Custom prefixes"),
//! so this is that language for printing: letters, widths, quotes, optional sections and the
//! refusals, with Java's own messages. What every field of a zoned instant can be asked for is
//! there, so optional sections always print. Letters that came after Java 8, which the guide
//! refers to (`B`, `g`, `v`), are unknown here.
//!
//! Firehose does not document its locale. This is `Locale.US`: English names, and weeks that
//! begin on Sunday and count from the one that holds 1 January (`Y`, `w`, `W`, `e`, `c`).
//!
//! `tests/fixtures/java_time.tsv` holds what Java 17 printed for every letter; the tests compare.

mod print;
mod zone;

#[cfg(test)]
mod tests;

pub use print::PadTooNarrow;
pub use zone::{Moment, Zone, ZoneError};

/// Java's upper bound for the width of a number.
const NUMBER_WIDTH_MAX: usize = 19;

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    elements: Vec<Element>,
}

/// Why Java refuses a pattern, in its words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("Unknown pattern letter: {0}")]
    UnknownLetter(char),
    #[error("Too many pattern letters: {0}")]
    TooManyLetters(char),
    #[error("Pattern letter count must be 2: V")]
    ZoneIdCount,
    #[error("Pattern letter count must be 1 or 4: O")]
    LocalizedOffsetCount,
    #[error("Invalid pattern \"cc\"")]
    DoubleC,
    #[error("The minimum width must be from 1 to 19 inclusive but was {0}")]
    Width(usize),
    #[error("Minimum width must be from 0 to 9 inclusive but was {0}")]
    FractionWidth(usize),
    #[error("Pad letter 'p' must be followed by valid pad pattern: {0}")]
    PadWithoutField(String),
    #[error("Pattern ends with an incomplete string literal: {0}")]
    OpenQuote(String),
    #[error("Pattern invalid as it contains ] without previous [")]
    StrayBracket,
    #[error("Pattern includes reserved character: '{0}'")]
    Reserved(char),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    Literal(String),
    Number {
        field: Field,
        width: Width,
    },
    /// The last two digits of a year.
    TwoDigits(Field),
    Text {
        field: TextField,
        style: Style,
    },
    /// That many digits of the fraction of a second, cut, not rounded.
    Fraction(usize),
    Offset {
        shape: OffsetShape,
        zero: &'static str,
    },
    LocalizedOffset(Style),
    ZoneId,
    ZoneName(Style),
    /// Filled up with spaces on the left.
    Pad {
        width: usize,
        inner: Box<Element>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    YearOfEra,
    WeekBasedYear,
    Quarter,
    Month,
    WeekOfYear,
    WeekOfMonth,
    DayOfYear,
    Day,
    DayOfWeek,
    AlignedDayOfWeek,
    Hour,
    ClockHour,
    HourOfHalfDay,
    ClockHourOfHalfDay,
    Minute,
    Second,
    NanoOfSecond,
    MilliOfDay,
    NanoOfDay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextField {
    Era,
    Quarter,
    Month,
    DayOfWeek,
    HalfDay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Short,
    Full,
    Narrow,
}

/// Zeros to the left up to `min` digits; with `plus`, a larger number gets a plus sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Width {
    min: usize,
    plus: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OffsetShape {
    minutes_even_if_zero: bool,
    seconds: bool,
    colon: bool,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Parser { text, chars: text.chars().collect(), at: 0, open: 0, elements: Vec::new() }.run()
    }
}

impl Pattern {
    /// Whether it prints nothing finer than minutes.
    pub fn is_by_minute(&self) -> bool {
        self.elements.iter().all(Element::is_by_minute)
    }
}

impl Element {
    fn is_by_minute(&self) -> bool {
        match self {
            Self::Number { field, .. } => !matches!(
                field,
                Field::Second | Field::NanoOfSecond | Field::MilliOfDay | Field::NanoOfDay
            ),
            Self::Fraction(_) => false,
            Self::Pad { inner, .. } => inner.is_by_minute(),
            Self::Literal(_)
            | Self::TwoDigits(_)
            | Self::Text { .. }
            | Self::Offset { .. }
            | Self::LocalizedOffset(_)
            | Self::ZoneId
            | Self::ZoneName(_) => true,
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    chars: Vec<char>,
    at: usize,
    /// Optional sections that are open.
    open: usize,
    elements: Vec<Element>,
}

impl Parser<'_> {
    fn run(mut self) -> Result<Pattern, PatternError> {
        while let Some(&char) = self.chars.get(self.at) {
            match char {
                letter if letter.is_ascii_alphabetic() => self.letters(letter)?,
                '\'' => self.quoted()?,
                '[' => {
                    self.open += 1;
                    self.at += 1;
                }
                ']' => {
                    self.open = self.open.checked_sub(1).ok_or(PatternError::StrayBracket)?;
                    self.at += 1;
                }
                '{' | '}' | '#' => return Err(PatternError::Reserved(char)),
                other => {
                    self.literal(other);
                    self.at += 1;
                }
            }
        }
        Ok(Pattern { elements: self.elements })
    }

    /// A run of one letter, or of `p` and the run that it pads.
    fn letters(&mut self, letter: char) -> Result<(), PatternError> {
        let count = self.count(letter);
        if letter != 'p' {
            self.elements.push(element(letter, count)?);
            return Ok(());
        }
        let Some(padded) = self.chars.get(self.at).copied().filter(char::is_ascii_alphabetic)
        else {
            return Err(PatternError::PadWithoutField(self.text.to_owned()));
        };
        let inner = self.count(padded);
        let inner = Box::new(element(padded, inner)?);
        self.elements.push(Element::Pad { width: count, inner });
        Ok(())
    }

    fn count(&mut self, letter: char) -> usize {
        let count = self.chars[self.at..].iter().take_while(|&&c| c == letter).count();
        self.at += count;
        count
    }

    /// A quoted text; `''` is a quote, inside and outside.
    fn quoted(&mut self) -> Result<(), PatternError> {
        self.at += 1;
        let start = self.at;
        loop {
            let ahead = (self.chars.get(self.at), self.chars.get(self.at + 1));
            match ahead {
                (None, _) => return Err(PatternError::OpenQuote(self.text.to_owned())),
                (Some('\''), Some('\'')) => {
                    self.literal('\'');
                    self.at += 2;
                }
                (Some('\''), _) => break,
                (Some(&other), _) => {
                    self.literal(other);
                    self.at += 1;
                }
            }
        }
        if self.at == start {
            self.literal('\'');
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, char: char) {
        if let Some(Element::Literal(text)) = self.elements.last_mut() {
            text.push(char);
        } else {
            self.elements.push(Element::Literal(char.to_string()));
        }
    }
}

/// What a run of letters stands for.
fn element(letter: char, count: usize) -> Result<Element, PatternError> {
    match letter {
        'G' => text(TextField::Era, letter, count),
        'y' => year(Field::YearOfEra, count),
        'u' => year(Field::Year, count),
        'Y' if count == 2 => Ok(Element::TwoDigits(Field::WeekBasedYear)),
        // Java checks no width here.
        'Y' => Ok(number(Field::WeekBasedYear, count, count >= 4)),
        'M' | 'L' => number_or_text(Field::Month, TextField::Month, letter, count),
        'Q' | 'q' => number_or_text(Field::Quarter, TextField::Quarter, letter, count),
        'e' => number_or_text(Field::DayOfWeek, TextField::DayOfWeek, letter, count),
        'c' if count == 2 => Err(PatternError::DoubleC),
        'c' => number_or_text(Field::DayOfWeek, TextField::DayOfWeek, letter, count),
        'E' => text(TextField::DayOfWeek, letter, count),
        'a' if count == 1 => text(TextField::HalfDay, letter, count),
        'D' => up_to(3, Field::DayOfYear, letter, count),
        'd' => up_to(2, Field::Day, letter, count),
        'w' => up_to(2, Field::WeekOfYear, letter, count),
        'W' => up_to(1, Field::WeekOfMonth, letter, count),
        'F' => up_to(1, Field::AlignedDayOfWeek, letter, count),
        'H' => up_to(2, Field::Hour, letter, count),
        'k' => up_to(2, Field::ClockHour, letter, count),
        'K' => up_to(2, Field::HourOfHalfDay, letter, count),
        'h' => up_to(2, Field::ClockHourOfHalfDay, letter, count),
        'm' => up_to(2, Field::Minute, letter, count),
        's' => up_to(2, Field::Second, letter, count),
        'S' if count > 9 => Err(PatternError::FractionWidth(count)),
        'S' => Ok(Element::Fraction(count)),
        'A' => wide(Field::MilliOfDay, count, false),
        'n' => wide(Field::NanoOfSecond, count, false),
        'N' => wide(Field::NanoOfDay, count, false),
        'V' if count == 2 => Ok(Element::ZoneId),
        'V' => Err(PatternError::ZoneIdCount),
        'O' if count == 1 => Ok(Element::LocalizedOffset(Style::Short)),
        'O' if count == 4 => Ok(Element::LocalizedOffset(Style::Full)),
        'O' => Err(PatternError::LocalizedOffsetCount),
        'z' if count <= 3 => Ok(Element::ZoneName(Style::Short)),
        'z' if count == 4 => Ok(Element::ZoneName(Style::Full)),
        'X' if count <= 5 => Ok(offset(count, "Z")),
        'x' if count <= 5 => Ok(offset(count, zero_offset(count))),
        'Z' if count <= 3 => Ok(offset(2, "+0000")),
        'Z' if count == 4 => Ok(Element::LocalizedOffset(Style::Full)),
        'Z' if count == 5 => Ok(offset(5, "Z")),
        'a' | 'z' | 'X' | 'x' | 'Z' => Err(PatternError::TooManyLetters(letter)),
        _ => Err(PatternError::UnknownLetter(letter)),
    }
}

fn number(field: Field, min: usize, plus: bool) -> Element {
    Element::Number { field, width: Width { min, plus } }
}

fn up_to(max: usize, field: Field, letter: char, count: usize) -> Result<Element, PatternError> {
    if count > max {
        return Err(PatternError::TooManyLetters(letter));
    }
    Ok(number(field, count, false))
}

fn wide(field: Field, count: usize, plus: bool) -> Result<Element, PatternError> {
    if count > NUMBER_WIDTH_MAX {
        return Err(PatternError::Width(count));
    }
    Ok(number(field, count, plus))
}

fn year(field: Field, count: usize) -> Result<Element, PatternError> {
    if count == 2 { Ok(Element::TwoDigits(field)) } else { wide(field, count, count >= 4) }
}

fn text(field: TextField, letter: char, count: usize) -> Result<Element, PatternError> {
    let style = match count {
        1..=3 => Style::Short,
        4 => Style::Full,
        5 => Style::Narrow,
        _ => return Err(PatternError::TooManyLetters(letter)),
    };
    Ok(Element::Text { field, style })
}

fn number_or_text(
    field: Field,
    name: TextField,
    letter: char,
    count: usize,
) -> Result<Element, PatternError> {
    if count <= 2 { Ok(number(field, count, false)) } else { text(name, letter, count) }
}

fn offset(count: usize, zero: &'static str) -> Element {
    let shape = OffsetShape {
        minutes_even_if_zero: count > 1,
        seconds: count >= 4,
        colon: count == 3 || count == 5,
    };
    Element::Offset { shape, zero }
}

fn zero_offset(count: usize) -> &'static str {
    match count {
        1 => "+00",
        2 | 4 => "+0000",
        _ => "+00:00",
    }
}
