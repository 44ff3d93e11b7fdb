//! What the options come to, made once for all files of a source.

use regex::bytes::Regex;

use super::options::{Format, Mode, Options, Problem, compile};
use crate::limits;

/// The options, compiled. Shared by the assemblers of all files.
#[derive(Debug)]
pub struct Plan {
    pub(super) format: Format,
    /// Most bytes of a record, its newline not counted.
    pub(super) limit: usize,
    /// Most bytes that are kept of a line as it stands in the file.
    pub(super) line_limit: usize,
    pub(super) keep_newline: bool,
    pub(super) header_lines: u32,
    pub(super) kubernetes: bool,
    pub(super) rules: Option<Rules>,
}

impl Plan {
    /// # Errors
    /// Every mistake in the options.
    pub fn new(options: &Options) -> Result<Self, Vec<Problem>> {
        let problems = options.problems();
        if problems.is_empty() { Ok(Self::of_sound(options)) } else { Err(problems) }
    }

    /// The plan of options without mistakes.
    pub(super) fn of_sound(options: &Options) -> Self {
        let longest = usize::try_from(options.max_line_size.0).unwrap_or(usize::MAX);
        let longest = longest.min(limits::RECORD_BYTES_MAX);
        let limit = longest - usize::from(options.keep_newline && longest > 0);
        let line_limit = match options.format {
            Format::Plain => limit,
            Format::Cri => limit + limits::CRI_PREFIX_BYTES,
            Format::DockerJson => 2 * limit + limits::DOCKER_JSON_BYTES,
        };
        Self {
            format: options.format,
            limit,
            line_limit,
            keep_newline: options.keep_newline,
            header_lines: options.skip_header_lines,
            kubernetes: options.kubernetes.is_some(),
            rules: Rules::of(options, limit),
        }
    }
}

/// Which lines make one record.
#[derive(Debug)]
pub(super) struct Rules {
    /// What the first line looks like; any line if absent.
    first: Option<Regex>,
    mode: Mode,
    condition: Regex,
    pub(super) timeout: std::time::Duration,
    max_lines: u32,
    max_bytes: usize,
}

/// What a line is to the record that is being put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It is of it, and more may follow.
    More,
    /// It is of it and ends it.
    Last,
    /// It is not of it: the record ended before.
    Not,
}

impl Rules {
    fn of(options: &Options, limit: usize) -> Option<Self> {
        let multiline = options.multiline.as_ref()?;
        let (first, mode, condition) = multiline.way().ok()?;
        let max_bytes = multiline.max_bytes.map_or(limit, |size| size.0 as usize);
        Some(Self {
            first: first.map(compile).transpose().ok()?,
            mode,
            condition: compile(condition).ok()?,
            timeout: multiline.timeout.0,
            max_lines: multiline.max_lines,
            max_bytes: max_bytes.min(limit),
        })
    }

    /// Whether a line that is of no record begins one.
    pub(super) fn begins(&self, line: &[u8]) -> bool {
        self.max_lines > 1 && self.first.as_ref().is_none_or(|first| first.is_match(line))
    }

    /// What `line` is to a record of so many lines and bytes.
    pub(super) fn part(&self, line: &[u8], lines: u32, bytes: usize) -> Part {
        let part = match (self.mode, self.condition.is_match(line)) {
            (Mode::ContinueThrough, true) | (Mode::ContinuePast, true) => Part::More,
            (Mode::HaltBefore, false) | (Mode::HaltWith, false) => Part::More,
            (Mode::ContinuePast, false) | (Mode::HaltWith, true) => Part::Last,
            (Mode::ContinueThrough, false) | (Mode::HaltBefore, true) => Part::Not,
        };
        match part {
            Part::Not => Part::Not,
            _ if bytes + 1 + line.len() > self.max_bytes => Part::Not,
            _ if lines + 1 >= self.max_lines => Part::Last,
            part => part,
        }
    }
}
