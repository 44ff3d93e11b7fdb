//! Makes a JSON object of a line of a log whose form is known.
//!
//! | `log_format` | members |
//! |---|---|
//! | `commonapachelog` | host, ident, authuser, datetime, request, response, bytes |
//! | `combinedapachelog` | the same, referer, agent |
//! | `apacheerrorlog` | timestamp, module, severity, processid, threadid, client, message |
//! | `syslog`, `rfc3339syslog` | timestamp, hostname, program, processid, message |
//!
//! Values are always text. A member that a line does not have is null; in Apache's formats so is
//! `-`. The pattern must match the whole line.

use std::borrow::Cow;

use async_trait::async_trait;
use regex::{CaptureLocations, Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{super::arena::Arena, object::Names, without_newline};
use crate::{
    fault::{Failure, output_type::PROCESSING_FAILED},
    limits,
    record::{Piece, Record},
    seams::{Transform, Verdict},
};

/// Makes a JSON object of a line of a log (`LOGTOJSON` of the Kinesis Agent).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LogToJson")]
pub struct Options {
    /// The form of the lines.
    pub log_format: LogFormat,
    /// A regular expression that is used instead of the format's own; its groups become the
    /// members. Needs `custom_field_names`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_pattern: Option<String>,
    /// Names of the members instead of the format's own, as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_field_names: Option<Vec<String>>,
    /// What becomes of lines that do not have the form.
    #[serde(default)]
    pub unmatched: Unmatched,
}

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Apache's common log format.
    CommonApacheLog,
    /// Apache's combined log format.
    CombinedApacheLog,
    /// Apache's error log.
    ApacheErrorLog,
    /// Syslog as in RFC 3164, the way it stands in files.
    Syslog,
    /// The same with times as in RFC 3339.
    Rfc3339Syslog,
}

/// What becomes of lines that do not have the form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "UnmatchedLines")]
pub enum Unmatched {
    /// To the error output.
    #[default]
    Fail,
    /// Nothing: the agent's way.
    Drop,
    /// They go on as they are.
    Keep,
}

/// What is wrong with the options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    #[error("match_pattern is no regular expression: {0}")]
    Pattern(String),
    #[error("match_pattern needs custom_field_names: its groups have no names")]
    NoNames,
    #[error("custom_field_names has {names} names, but the pattern has {groups} groups")]
    Names { names: usize, groups: usize },
    #[error("the pattern has {0} groups, more than {max}", max = limits::AGENT_FIELDS_MAX)]
    Groups(usize),
}

const INTEGER: &str = r"[+-]?[0-9]+";
const HOST: &str = r"(?:[0-9A-Za-z_\-]+(?:\.[0-9A-Za-z_\-]+)*\.?|[0-9.]+)";
const USER: &str = r"[a-zA-Z0-9._-]+";
const MONTH: &str = "(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|\
                     Aug(?:ust)?|Sep(?:tember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)";
const DAY: &str = "(?:0[1-9]|[12][0-9]|3[01]|[1-9])";
const WEEKDAY: &str = "(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?";
const CLOCK: &str = r"(?:2[0-3]|[01]?[0-9]):[0-5][0-9]:(?:[0-5]?[0-9]|60)(?:[:.,][0-9]+)?";
const YEAR: &str = "[1-9][0-9]*";

impl LogFormat {
    fn pattern(self) -> String {
        let common = || {
            format!(
                r#"({HOST}) ({USER}) ({USER}) \[({DAY}/{MONTH}/{YEAR}:{CLOCK}\s{INTEGER})\] "([^"]+)" ({INTEGER}|-) ({INTEGER}|-)"#
            )
        };
        let syslog = |time: &str| {
            format!(
                r"({time}) (?:<[0-9]+\.[0-9]+> )?({USER}) ([\w./%-]+)(?:\[([1-9][0-9]*)\])?: (.*)"
            )
        };
        match self {
            Self::CommonApacheLog => common() + ".*",
            Self::CombinedApacheLog => common() + r#" "([^"]+)" "([^"]+)".*"#,
            Self::ApacheErrorLog => format!(
                r"\[({WEEKDAY}\s+{MONTH}\s+{DAY}\s+{CLOCK}\s+{YEAR})\] \[(?:(\w+):)?(\w+)\] \[pid ([0-9]+)(?::tid ([0-9]+))?\] \[client ({HOST}(?::[1-9][0-9]*)?)\] (.*)"
            ),
            Self::Syslog => syslog(&format!(r"{MONTH}\s+{DAY}\s+{CLOCK}")),
            Self::Rfc3339Syslog => syslog(
                r"[0-9]+-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])",
            ),
        }
    }

    fn names(self) -> &'static [&'static str] {
        const COMBINED: [&str; 9] = [
            "host", "ident", "authuser", "datetime", "request", "response", "bytes", "referer",
            "agent",
        ];
        match self {
            Self::CommonApacheLog => &COMBINED[..7],
            Self::CombinedApacheLog => &COMBINED,
            Self::ApacheErrorLog => {
                &["timestamp", "module", "severity", "processid", "threadid", "client", "message"]
            }
            Self::Syslog | Self::Rfc3339Syslog => {
                &["timestamp", "hostname", "program", "processid", "message"]
            }
        }
    }

    fn is_apache(self) -> bool {
        matches!(self, Self::CommonApacheLog | Self::CombinedApacheLog | Self::ApacheErrorLog)
    }
}

/// A pattern that must match all of a text.
fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
        .size_limit(limits::PATTERN_BYTES_MAX)
        .dfa_size_limit(limits::PATTERN_BYTES_MAX)
        .build()
}

/// What is wrong, without the picture of where: it takes several lines.
fn told(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// The step of the chain.
#[derive(Debug, Clone)]
pub struct LogToJson {
    pattern: Regex,
    names: Names,
    places: Vec<usize>,
    dash_is_null: bool,
    unmatched: Unmatched,
}

impl LogToJson {
    /// # Errors
    /// The pattern is none, or names and groups do not fit together.
    pub fn new(options: &Options) -> Result<Self, OptionsError> {
        let format = options.log_format;
        let own = || format.names().iter().map(|name| name.to_string()).collect();
        let (pattern, names) = match (&options.match_pattern, &options.custom_field_names) {
            (Some(_), None) => return Err(OptionsError::NoNames),
            (Some(pattern), Some(names)) => (pattern.clone(), names.clone()),
            (None, names) => (format.pattern(), names.clone().unwrap_or_else(own)),
        };
        let pattern = compile(&pattern).map_err(|error| OptionsError::Pattern(told(&error)))?;
        let groups = pattern.captures_len() - 1;
        if groups > limits::AGENT_FIELDS_MAX {
            return Err(OptionsError::Groups(groups));
        }
        if groups != names.len() {
            return Err(OptionsError::Names { names: names.len(), groups });
        }
        let (names, places) = Names::new(&names);
        let dash_is_null = format.is_apache();
        Ok(Self { pattern, names, places, dash_is_null, unmatched: options.unmatched })
    }

    /// Writes the object; `None` if the line does not have the form.
    fn convert(
        &self,
        record: &[u8],
        groups: &mut CaptureLocations,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let (line, newline) = without_newline(record);
        let line = String::from_utf8_lossy(line);
        self.pattern.captures_read(groups, &line)?;
        let mut values: Vec<Option<Cow<str>>> = vec![None; self.names.count()];
        for (group, &place) in (1..).zip(&self.places) {
            let value = groups.get(group).map(|(start, end)| &line[start..end]);
            let value = value.filter(|value| !(self.dash_is_null && *value == "-"));
            values[place] = value.map(Cow::Borrowed);
        }
        self.names.object(&values, out);
        out.extend_from_slice(newline);
        Some(())
    }

    fn unmatched(&self, record: &Record) -> Verdict {
        match self.unmatched {
            Unmatched::Fail => Verdict::Fail(Failure::new(
                PROCESSING_FAILED,
                "LogToJson.NoMatch",
                "The record does not have the form of the log format or of match_pattern.",
            )),
            Unmatched::Drop => Verdict::Drop,
            Unmatched::Keep => {
                Verdict::Emit(Piece { data: record.data.clone(), notes: record.notes.clone() })
            }
        }
    }
}

#[async_trait]
impl Transform for LogToJson {
    fn name(&self) -> &'static str {
        "log_to_json"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let mut arena = Arena::default();
        let mut groups = self.pattern.capture_locations();
        let mut object = Vec::new();
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            object.clear();
            let written = self.convert(&record.data, &mut groups, &mut object);
            places.push(written.map(|()| arena.store(&object)));
        }
        let bytes = arena.finish();
        let verdict = |(place, record): (Option<_>, &Record)| match place {
            Some(place) => Verdict::Emit(Piece { data: bytes(place), notes: record.notes.clone() }),
            None => self.unmatched(record),
        };
        places.into_iter().zip(records).map(verdict).collect()
    }
}
