//! What a user says of files to follow.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{glob::Pattern, lines};
use crate::{limits, units::Span};

/// Files to follow, line by line.
///
/// A file is known by its inode and its first bytes, not by its name: one that is renamed is read
/// on, one that is truncated is read from its beginning. Patterns should match the names that
/// files are rotated to as well (`/var/log/app.log*`): what was rotated while Standpipe did not
/// run is found by them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FileSource")]
pub struct Options {
    /// Files, as absolute globs (`/var/log/app/*.log`): `*`, `?`, `[a-z]`, `{a,b}`, and `**` for
    /// folders at any depth. Names that begin with a dot are matched by a pattern with a dot only.
    pub include: Vec<String>,
    /// Files that are left out all the same: globs of whole paths, or of names if they have no
    /// slash (`*.tmp`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Where reading begins in files that are there when the stream is run for the first time:
    /// at their `beginning` or at their `end`. Files that appear later are read from their
    /// beginning.
    #[serde(default)]
    pub start: Start,
    /// Files that have not changed for so long, and that nothing is known of, are left alone
    /// until they change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_older: Option<Span>,
    /// Files held open at a time. Above it those that are read to their end are closed, and opened
    /// again when they change; what is written to a closed file just before it is deleted may be
    /// missed.
    #[serde(default = "Options::default_max_open_files")]
    pub max_open_files: u32,
    /// A file that was renamed to a name that no pattern matches, or deleted, is read on until it
    /// has not grown for so long.
    #[serde(default = "Options::default_rotate_wait")]
    pub rotate_wait: Span,
    /// A last line without its newline is given out when its file has not grown for so long.
    #[serde(default = "Options::default_last_line_timeout")]
    pub last_line_timeout: Span,
    /// Whether each record carries the offset that it stands at (`$source.offset`): costs CPU time
    /// and some 10 bytes of journal for each.
    #[serde(default)]
    pub offsets: bool,
    #[serde(flatten)]
    pub lines: lines::Options,
}

/// Where reading begins in files that are there at the first start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    #[default]
    Beginning,
    End,
}

impl Options {
    fn default_max_open_files() -> u32 {
        limits::FILES_OPEN_DEFAULT
    }

    fn default_rotate_wait() -> Span {
        Span(limits::FILE_ROTATE_WAIT)
    }

    fn default_last_line_timeout() -> Span {
        Span(limits::FILE_LAST_LINE_TIMEOUT)
    }

    /// The patterns, or what is wrong with them.
    pub(super) fn patterns(&self) -> Result<(Vec<Pattern>, Vec<Pattern>), String> {
        let (mut include, mut exclude) = (Vec::new(), Vec::new());
        for text in &self.include {
            if !text.starts_with('/') {
                return Err(format!("include {text:?} is no absolute path: begin it with /"));
            }
            include.extend(Pattern::parse(text)?);
        }
        for text in &self.exclude {
            exclude.extend(Pattern::parse(text)?);
        }
        if include.is_empty() {
            return Err("include names no file: give at least one path or glob".to_owned());
        }
        if include.len() + exclude.len() > limits::FILE_PATTERNS_MAX {
            return Err(format!(
                "include and exclude are more than {} patterns, each {{a,b}} written out",
                limits::FILE_PATTERNS_MAX
            ));
        }
        Ok((include, exclude))
    }

    pub(super) fn ignore_older(&self) -> Option<Duration> {
        self.ignore_older.map(|span| span.0)
    }
}
