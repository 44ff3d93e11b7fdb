//! Times as they are written, into milliseconds since 1970.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::{TimeZone, TimeZoneDatabase},
};

use super::{
    OptionsError,
    pattern::{Pattern, PatternError},
};
use crate::transform::jq::number;

/// The first millisecond of the year 1, and the last of the year 9999, in UTC.
const EVENT_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;
/// Digits of a date without hyphens.
const DATE_DIGITS: usize = 8;

/// How times are written.
#[derive(Debug)]
pub(super) struct Format {
    kind: Kind,
    zone: TimeZone,
}

#[derive(Debug)]
enum Kind {
    Iso,
    /// Units in a second.
    Unix(Unit),
    Auto,
    Pattern(Pattern),
}

/// A unit by its power of ten: how many of it are a second.
#[derive(Debug, Clone, Copy)]
struct Unit(u32);

const SECONDS: Unit = Unit(0);
const MILLIS: Unit = Unit(3);
const MICROS: Unit = Unit(6);
const NANOS: Unit = Unit(9);

/// The zone of times that name none.
pub(super) fn zone(name: Option<&str>) -> Result<TimeZone, OptionsError> {
    match name {
        None | Some("") => Ok(TimeZone::UTC),
        Some(name) => {
            TimeZoneDatabase::bundled().get(name).map_err(|_| OptionsError::Zone(name.to_owned()))
        }
    }
}

impl Format {
    pub(super) fn new(format: &str, zone: TimeZone) -> Result<Self, PatternError> {
        let kind = match format {
            "iso8601" => Kind::Iso,
            "unix" => Kind::Unix(SECONDS),
            "unix_ms" => Kind::Unix(MILLIS),
            "unix_us" => Kind::Unix(MICROS),
            "unix_ns" => Kind::Unix(NANOS),
            "auto" => Kind::Auto,
            pattern => Kind::Pattern(Pattern::parse(pattern)?),
        };
        Ok(Self { kind, zone })
    }

    /// The time that a JSON number gives.
    pub(super) fn number(&self, word: &[u8]) -> Option<i64> {
        number::canonical(word)?;
        let text = std::str::from_utf8(word).ok()?;
        let time = match &self.kind {
            Kind::Iso => None,
            Kind::Unix(unit) => unit.read(text),
            Kind::Auto => by_size(text),
            Kind::Pattern(pattern) => pattern.read(text, &self.zone),
        };
        time.filter(|time| EVENT_MS.contains(time))
    }

    /// The time that a text gives.
    pub(super) fn text(&self, text: &str) -> Option<i64> {
        let text = text.trim();
        let number = || number::canonical(text.as_bytes()).is_some().then_some(text);
        let time = match &self.kind {
            Kind::Iso => self.iso(text),
            Kind::Unix(unit) => unit.read(number()?),
            Kind::Auto => match number() {
                Some(number) if number.len() != DATE_DIGITS => by_size(number),
                _ => self.iso(text),
            },
            Kind::Pattern(pattern) => pattern.read(text, &self.zone),
        };
        time.filter(|time| EVENT_MS.contains(time))
    }

    fn iso(&self, text: &str) -> Option<i64> {
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Some(instant.as_millisecond());
        }
        let local = text.parse::<DateTime>();
        let local = local.or_else(|_| text.parse::<Date>().map(DateTime::from)).ok()?;
        at(local, &self.zone)
    }
}

/// The instant of a local time. Where clocks are put back, the earlier of two; where they are put
/// forward, the time as far behind the gap.
pub(super) fn at(local: DateTime, zone: &TimeZone) -> Option<i64> {
    Some(zone.to_ambiguous_timestamp(local).compatible().ok()?.as_millisecond())
}

impl Unit {
    /// Milliseconds; what is finer is cut towards the past.
    fn read(self, text: &str) -> Option<i64> {
        let Unit(power) = self;
        if let Ok(whole) = text.parse::<i128>() {
            let millis = match power {
                0..=3 => whole.checked_mul(10i128.pow(3 - power))?,
                _ => whole.div_euclid(10i128.pow(power - 3)),
            };
            return millis.try_into().ok();
        }
        if let Some(millis) = decimal(text, power) {
            return Some(millis);
        }
        let value: f64 = text.parse().ok()?;
        let millis = (value * 10f64.powi(3 - power as i32)).floor();
        // A double holds the calendar's milliseconds exactly; beyond them it is no time anyway.
        (millis.abs() < 1e15).then_some(millis as i64)
    }
}

/// Seconds with a fraction and no exponent, without the rounding of a double.
fn decimal(text: &str, power: u32) -> Option<i64> {
    let (whole, fraction) =
        text.split_once('.').filter(|_| power == 0 && !text.starts_with('-'))?;
    let whole: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digit = |at: usize| i64::from(fraction.as_bytes().get(at).map_or(0, |byte| byte - b'0'));
    whole.checked_mul(1000)?.checked_add(digit(0) * 100 + digit(1) * 10 + digit(2))
}

fn by_size(text: &str) -> Option<i64> {
    let size = text.parse::<f64>().ok()?.abs();
    let unit = match size {
        _ if size < 1e11 => SECONDS,
        _ if size < 1e14 => MILLIS,
        _ if size < 1e17 => MICROS,
        _ => NANOS,
    };
    unit.read(text)
}
