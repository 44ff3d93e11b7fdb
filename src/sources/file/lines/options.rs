//! What a user says of lines: how they are written, which belong together, how long they may be.

use regex::bytes::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    limits,
    units::{ByteSize, Span},
};

/// How the bytes of a file become records.
///
/// A record is a line without its end, be that `\n` or `\r\n`; lines with nothing in them are
/// passed over, as nothing can be delivered of them. Objects would then hold the records one
/// behind the other: set `append_delimiter: "\n"` at such a destination, or `keep_newline` here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "FileLines")]
pub struct Options {
    /// How lines are written.
    pub format: Format,
    /// Which lines make one record; each its own if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiline: Option<Multiline>,
    /// Longest record. What is longer is cut there; the rest up to the end of the line is passed
    /// over. Up to 1,000 KiB, Firehose's largest record.
    pub max_line_size: ByteSize,
    /// End every record with a newline, as the Kinesis Agent does.
    pub keep_newline: bool,
    /// Lines at the beginning of a file that are no records.
    pub skip_header_lines: u32,
    /// Make JSON records that say which container a line is of, as Fluent Bit does:
    /// `{"log": …, "stream": …, "time": …, "kubernetes": {…}}`. Needs `cri` or `docker_json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::default(),
            multiline: None,
            max_line_size: ByteSize(limits::RECORD_BYTES_MAX as u64),
            keep_newline: false,
            skip_header_lines: 0,
            kubernetes: None,
        }
    }
}

/// How lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "LineFormat")]
pub enum Format {
    /// A line is the record.
    #[default]
    Plain,
    /// Log files of Kubernetes: `TIME stdout F text`. Lines that the runtime took apart are put
    /// together again.
    Cri,
    /// Log files of Docker's `json-file` driver: `{"log": …, "stream": …, "time": …}`.
    DockerJson,
}

/// What a record says of its container. Everything is taken from the file's path:
/// `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/0.log` or
/// `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KubernetesLines")]
pub struct Kubernetes {}

/// Which lines make one record. One of three ways:
///
/// | given | means |
/// |---|---|
/// | `start_pattern` | a line that matches begins a record; all others belong to the one before |
/// | `continue_pattern` | a line that matches belongs to the record before |
/// | `mode`, `start_pattern`, `condition_pattern` | as Vector has it |
///
/// Lines are looked at without their end; the lines of a record are joined by `\n`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Multiline {
    /// A regular expression (Rust's `regex`: no look-around, no back references).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_pattern: Option<String>,
    /// Lines that belong to the record before: `^\s` for stack traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continue_pattern: Option<String>,
    /// What `condition_pattern` means for the lines behind one that matches `start_pattern`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Looked for in every line of a record but its first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition_pattern: Option<String>,
    /// A record is complete when its file has been silent for so long.
    pub timeout: Span,
    /// Most lines of a record; the next one begins another.
    pub max_lines: u32,
    /// Most bytes of a record; a line that goes beyond begins another. `max_line_size` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
}

impl Default for Multiline {
    fn default() -> Self {
        Self {
            start_pattern: None,
            continue_pattern: None,
            mode: None,
            condition_pattern: None,
            timeout: Span(limits::MULTILINE_TIMEOUT_DEFAULT),
            max_lines: limits::MULTILINE_LINES_DEFAULT,
            max_bytes: None,
        }
    }
}

/// When a record of several lines ends. A line that belongs to none is a record of its own, unless
/// it begins one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "MultilineMode")]
pub enum Mode {
    /// Lines belong to it as long as they match.
    ContinueThrough,
    /// Lines belong to it as long as they match, and one more: a backslash at the end.
    ContinuePast,
    /// Lines belong to it until one matches, which is not of it.
    HaltBefore,
    /// Lines belong to it until one matches, which is its last: a semicolon at the end.
    HaltWith,
}

/// A mistake: under which key, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path of the key, `multiline.start_pattern`.
    pub key: &'static str,
    /// A sentence without the key.
    pub message: String,
}

impl Problem {
    fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self { key, message: message.into() }
    }
}

impl Options {
    /// Every mistake that can be found without looking at a file.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let (min, max) = (limits::LINE_BYTES_MIN, limits::RECORD_BYTES_MAX as u64);
        if !(min..=max).contains(&self.max_line_size.0) {
            let (min, max) = (ByteSize(min), ByteSize(max));
            let message = format!("must be {min} to {max}, not {}", self.max_line_size);
            problems.push(Problem::new("max_line_size", message));
        }
        if self.kubernetes.is_some() && self.format == Format::Plain {
            let message = "plain lines do not say what container they are of: set format to cri \
                           or docker_json";
            problems.push(Problem::new("kubernetes", message));
        }
        if let Some(multiline) = &self.multiline {
            multiline.problems(&mut problems);
        }
        problems
    }
}

impl Multiline {
    fn problems(&self, problems: &mut Vec<Problem>) {
        for (key, pattern) in [
            ("multiline.start_pattern", &self.start_pattern),
            ("multiline.continue_pattern", &self.continue_pattern),
            ("multiline.condition_pattern", &self.condition_pattern),
        ] {
            if let Some(Err(message)) = pattern.as_deref().map(compile) {
                problems.push(Problem::new(key, message));
            }
        }
        if let Err(message) = self.way() {
            problems.push(Problem::new("multiline", message));
        }
        let most = limits::MULTILINE_TIMEOUT_MAX;
        if self.timeout.0.is_zero() || self.timeout.0 > most {
            let message = format!("must be more than 0s and at most {}", Span(most));
            problems.push(Problem::new("multiline.timeout", message));
        }
        if self.max_lines == 0 {
            problems.push(Problem::new("multiline.max_lines", "must be at least 1"));
        }
        if let Some(size) = self.max_bytes
            && !(1..=limits::RECORD_BYTES_MAX as u64).contains(&size.0)
        {
            let max = ByteSize(limits::RECORD_BYTES_MAX as u64);
            let message = format!("must be 1B to {max}, not {size}");
            problems.push(Problem::new("multiline.max_bytes", message));
        }
    }

    /// Which of the three ways it is: the pattern of a first line, and what ends a record.
    pub(super) fn way(&self) -> Result<(Option<&str>, Mode, &str), &'static str> {
        let texts = (&self.start_pattern, &self.continue_pattern, &self.condition_pattern);
        match (self.mode, texts) {
            (None, (Some(start), None, None)) => Ok((None, Mode::HaltBefore, start)),
            (None, (None, Some(more), None)) => Ok((None, Mode::ContinueThrough, more)),
            (Some(mode), (Some(start), None, Some(condition))) => {
                Ok((Some(start), mode, condition))
            }
            (None, (None, None, None)) => Err("set start_pattern or continue_pattern"),
            (Some(_), _) => Err("mode goes with start_pattern and condition_pattern, and with \
                                 nothing else"),
            (None, (_, _, Some(_))) => Err("condition_pattern goes with mode: set it too"),
            (None, (Some(_), Some(_), None)) => {
                Err("start_pattern and continue_pattern say two things: set one of them")
            }
        }
    }
}

/// A pattern with a bound on the memory it takes. The message names what is wrong in it.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(limits::PATTERN_BYTES_MAX)
        .dfa_size_limit(limits::PATTERN_BYTES_MAX)
        .build()
        .map_err(|error| format!("{pattern:?} is no regular expression: {}", told(&error)))
}

/// What is wrong, without the picture of where: it takes several lines.
fn told(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(value: serde_json::Value) -> Vec<String> {
        let options: Options = serde_json::from_value(value).unwrap();
        let problems = options.problems().into_iter();
        problems.map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
    }

    #[test]
    fn sound_options() {
        for value in [
            json!({}),
            json!({"format": "cri", "kubernetes": {}}),
            json!({"multiline": {"start_pattern": "^\\d{4}-"}, "max_line_size": "64KiB"}),
            json!({"multiline": {"continue_pattern": "^\\s", "timeout": "1s", "max_lines": 1}}),
            json!({"multiline": {
                "mode": "halt_with", "start_pattern": "^", "condition_pattern": ";$", "max_bytes": "1MB",
            }}),
        ] {
            assert_eq!(problems(value.clone()), Vec::<String>::new(), "{value}");
        }
    }

    #[test]
    fn mistakes_are_all_found() {
        for (value, expected) in [
            (json!({"max_line_size": "1MiB"}), "max_line_size: must be 1KiB to 1000KiB, not 1MiB"),
            (json!({"max_line_size": 1}), "max_line_size: must be 1KiB to 1000KiB, not 1B"),
            (json!({"kubernetes": {}}), "kubernetes: plain lines do not say"),
            (json!({"multiline": {}}), "multiline: set start_pattern or"),
            (json!({"multiline": {"condition_pattern": "x"}}), "multiline: condition_pattern goes"),
            (json!({"multiline": {"mode": "halt_with", "start_pattern": "x"}}), "multiline: mode"),
            (
                json!({"multiline": {"start_pattern": "x", "continue_pattern": "y"}}),
                "multiline: start_pattern and continue_pattern say two things",
            ),
            (
                json!({"multiline": {"start_pattern": "(?=x)"}}),
                "multiline.start_pattern: \"(?=x)\" is no regular expression",
            ),
            (
                json!({"multiline": {"start_pattern": "(\\w{1000}){1000}"}}),
                "multiline.start_pattern: \"(\\\\w{1000}){1000}\" is no regular expression",
            ),
            (
                json!({"multiline": {"start_pattern": "x", "timeout": 0}}),
                "multiline.timeout: must be more than 0s",
            ),
            (
                json!({"multiline": {"start_pattern": "x", "max_lines": 0}}),
                "multiline.max_lines: must be at least 1",
            ),
            (
                json!({"multiline": {"start_pattern": "x", "max_bytes": "2MiB"}}),
                "multiline.max_bytes: must be 1B to 1000KiB, not 2MiB",
            ),
        ] {
            let found = problems(value.clone());
            assert!(found.len() == 1 && found[0].starts_with(expected), "{value}: {found:?}");
        }
    }
}
