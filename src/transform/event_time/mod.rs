//! Finds out when what a record tells of happened.
//!
//! | `format` | reads |
//! |---|---|
//! | `iso8601` | RFC 3339 and its relatives: with `T` or a space, with or without seconds, fractions, offset; a date alone is its midnight |
//! | `unix`, `unix_ms`, `unix_us`, `unix_ns` | numbers, also as text, also with a fraction |
//! | `auto` | all of these: numbers by their size, text of eight digits as a date |
//! | a pattern | what Java's DateTimeFormatter reads by it (`pattern`) |
//!
//! By their size numbers are taken for seconds up to 10^11 (the year 5138), for milliseconds up to
//! 10^14, for microseconds up to 10^17, and for nanoseconds beyond. Times before the year 1 or
//! after 9999 are no times. The record is searched as by `jq`'s plain paths: up to the time and no
//! further.

mod parse;
mod pattern;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::parse::Format;
use super::jq::{
    self, JqError,
    scan::{Found, Search},
};
use crate::{
    fault::{Failure, output_type::METADATA_EXTRACTION_FAILED},
    record::{Piece, Record},
    seams::{Transform, Verdict},
};

/// Where in a record its time stands, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// jq path of the time: `.ts`, `.event.time`.
    pub path: String,
    /// `iso8601`, `unix`, `unix_ms`, `unix_us`, `unix_ns`, `auto` (all of these), or a pattern of
    /// Java's DateTimeFormatter: `yyyy-MM-dd HH:mm:ss`.
    #[serde(default = "auto")]
    pub format: String,
    /// IANA time zone of times that name none; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What becomes of records without a time that can be read.
    #[serde(default)]
    pub missing: Missing,
}

fn auto() -> String {
    "auto".into()
}

/// What becomes of records without a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// To the error output.
    #[default]
    Fail,
    /// Their arrival counts.
    Arrival,
}

/// What is wrong with the options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    #[error("path: {0}")]
    Path(#[from] JqError),
    #[error("path {0:?} is no plain jq path; write for example .event.time")]
    NoPath(String),
    #[error(
        "format: {0}; write iso8601, unix, unix_ms, unix_us, unix_ns, auto or a pattern like \
         yyyy-MM-dd HH:mm:ss"
    )]
    Pattern(#[from] pattern::PatternError),
    #[error("zone {0:?} is not an IANA time zone; write for example Europe/Berlin")]
    Zone(String),
}

/// Notes the time of each record.
#[derive(Debug)]
pub struct EventTime {
    path: String,
    search: Search,
    format: Format,
    missing: Missing,
}

impl EventTime {
    pub fn new(options: &Options) -> Result<Self, OptionsError> {
        let no_path = || OptionsError::NoPath(options.path.clone());
        let steps = jq::path_of(&options.path)?.ok_or_else(no_path)?;
        Ok(Self {
            path: options.path.clone(),
            search: Search::new(&[steps]).ok_or_else(no_path)?,
            format: Format::new(&options.format, parse::zone(options.zone.as_deref())?)?,
            missing: options.missing,
        })
    }

    fn verdict<'a>(&self, record: &'a Record, found: &mut Vec<Option<Found<'a>>>) -> Verdict {
        let mut notes = record.notes.clone();
        match (self.event_ms(&record.data, found), self.missing) {
            (Ok(event_ms), _) => notes.edit().event_ms = Some(event_ms),
            (Err(_), Missing::Arrival) => {}
            (Err(message), Missing::Fail) => {
                return Verdict::Fail(Failure::new(
                    METADATA_EXTRACTION_FAILED,
                    "DynamicPartitioning.MetadataExtractionFailed",
                    message,
                ));
            }
        }
        Verdict::Emit(Piece { data: record.data.clone(), notes })
    }

    /// The time in milliseconds since 1970, or why there is none.
    fn event_ms<'a>(
        &self,
        record: &'a [u8],
        found: &mut Vec<Option<Found<'a>>>,
    ) -> Result<i64, String> {
        if !self.search.run_to_last(record, found) {
            return Err("Non JSON record provided".to_owned());
        }
        let unreadable =
            || format!("the value at {} is no time of the configured format", self.path);
        match found.first().copied().flatten() {
            None | Some(Found::Word(b"null")) => {
                Err(format!("the record has no time at {}", self.path))
            }
            Some(Found::Word(word)) => self.format.number(word).ok_or_else(unreadable),
            Some(Found::String(quoted)) => {
                quoted.text().and_then(|text| self.format.text(&text)).ok_or_else(unreadable)
            }
            Some(Found::Nested) => Err(unreadable()),
        }
    }
}

#[async_trait]
impl Transform for EventTime {
    fn name(&self) -> &'static str {
        "event_time"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let mut found = Vec::new();
        records.iter().map(|record| self.verdict(record, &mut found)).collect()
    }
}
