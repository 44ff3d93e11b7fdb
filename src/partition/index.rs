//! The names of indexes that rotate: `idx-2026-11-21`.
//!
//! Source: Firehose guide, "Configure index rotation for OpenSearch Service". Weeks follow its
//! note: they begin on Sunday, and the first of a year is the first with a Saturday in that year.
//! So a week has the year and the number of its Saturday: 27 December 2026 is in `2027-w01`. With
//! the calendar's year it would be `2026-w01`, an index eleven months old. (The guide's example
//! beside it, w08 for 25 February 2016, is the week of ISO 8601; by the note it is w09.)

use std::{ops::Range, sync::Arc};

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often a new index begins (`IndexRotationPeriod`), by the arrival of a record in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IndexRotation {
    /// `idx`
    NoRotation,
    /// `idx-2026-11-21-13`
    OneHour,
    /// `idx-2026-11-21`
    #[default]
    OneDay,
    /// `idx-2026-w47`: weeks begin on Sunday, the first is the one that holds a Saturday.
    OneWeek,
    /// `idx-2026-11`
    OneMonth,
}

/// An index whose name may rotate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexNaming {
    pub name: String,
    pub rotation: IndexRotation,
}

impl IndexNaming {
    /// The index of a record that arrived then, in milliseconds since 1970.
    pub fn index(&self, arrival_ms: i64) -> String {
        let name = &self.name;
        let at = utc(arrival_ms);
        let (year, month) = (at.year(), at.month());
        match self.rotation {
            IndexRotation::NoRotation => name.clone(),
            IndexRotation::OneHour => {
                format!("{name}-{year:04}-{month:02}-{:02}-{:02}", at.day(), at.hour())
            }
            IndexRotation::OneDay => format!("{name}-{year:04}-{month:02}-{:02}", at.day()),
            IndexRotation::OneWeek => {
                let (year, week) = week(at.date());
                format!("{name}-{year:04}-w{week:02}")
            }
            IndexRotation::OneMonth => format!("{name}-{year:04}-{month:02}"),
        }
    }

    /// The arrivals around this one that share its index, as far as whole hours tell: names change
    /// at full hours alone.
    fn hour(&self, arrival_ms: i64) -> Range<i64> {
        if self.rotation == IndexRotation::NoRotation {
            return i64::MIN..i64::MAX;
        }
        let start = arrival_ms.saturating_sub(arrival_ms.rem_euclid(HOUR_MS));
        start..start.saturating_add(HOUR_MS)
    }
}

const HOUR_MS: i64 = 3_600_000;

/// The indexes of one record after another: a name is made once an hour of arrivals, not once a
/// record.
#[derive(Debug, Clone)]
pub struct IndexNames {
    naming: IndexNaming,
    last: Arc<str>,
    /// The arrivals for which `last` is known to be right.
    known: Range<i64>,
}

impl IndexNames {
    pub fn new(naming: IndexNaming) -> Self {
        Self { naming, last: Arc::from(""), known: 0..0 }
    }

    /// The index of a record that arrived then, in milliseconds since 1970.
    pub fn of(&mut self, arrival_ms: i64) -> Arc<str> {
        if !self.known.contains(&arrival_ms) {
            self.known = self.naming.hour(arrival_ms);
            let name = self.naming.index(arrival_ms);
            // The same index goes on over many hours: routes then stay the same piece of memory.
            if *name != *self.last {
                self.last = name.into();
            }
        }
        self.last.clone()
    }
}

/// The calendar in UTC. What lies past its ends is taken for the end.
fn utc(arrival_ms: i64) -> DateTime {
    let end = if arrival_ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let at = Timestamp::from_millisecond(arrival_ms).unwrap_or(end);
    at.to_zoned(TimeZone::UTC).datetime()
}

/// The year and the number of the week that holds this day: those of its Saturday.
fn week(day: Date) -> (i16, i16) {
    let left = 6 - i64::from(day.weekday().to_sunday_zero_offset());
    let saturday = day.saturating_add(SignedDuration::from_hours(24 * left));
    (saturday.year(), (saturday.day_of_year() - 1) / 7 + 1)
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
