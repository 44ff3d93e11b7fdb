//! The records of an object, read as a stream.
//!
//! An error object is a line of JSON for each record, says Firehose's guide. Objects without a line
//! break between two records exist, and whoever looked at one with a tool may have saved it
//! indented or as an array; all of them are read. What is no record is named with its line and left
//! out; reading goes on at the next line, or at the next `}{`.
//!
//! Everything is bounded by the longest line ([`crate::limits::REPLAY_LINE_BYTES_MAX`]); no object is ever
//! held as a whole.

use std::{
    io::{self, Read},
    sync::Arc,
};

use bytes::Bytes;
use memchr::memmem;

use super::{
    filter::Filter,
    kind::Kind,
    line::{self, FailedLine, Head, Parsed, Unfit},
    scan::{self, Found},
    window::Window,
};

/// A place in an object that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// From 1.
    pub line: u64,
    pub reason: String,
}

/// What was met in an object.
#[derive(Debug, PartialEq)]
pub enum Step {
    Line(FailedLine),
    /// A record that was handed on before.
    Passed,
    /// A record that the filter does not admit.
    Filtered,
    Damaged(Damage),
    /// A Redshift manifest: the URLs of its objects.
    Manifest(Vec<String>),
}

/// How an object is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Error records, or a manifest.
    Errors,
    /// Records one behind the other.
    Records(Records),
}

/// Records without a failure around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    pub kind: Kind,
    /// Ends each record; empty means that the whole object is one.
    pub delimiter: Vec<u8>,
    /// Whether the delimiter is a part of its record, so that a stream that adds none writes the
    /// same object again.
    pub keep_delimiter: bool,
    /// The time of arrival that records have, for they do not tell their own.
    pub arrival_ms: Option<i64>,
}

/// What is wanted of an object.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub filter: Arc<Filter>,
    /// Records that were handed on before.
    pub passed: u64,
    /// The kind that the object's key names.
    pub kind: Option<Kind>,
}

/// Reads an object step by step.
pub struct Lines<R> {
    window: Window<R>,
    form: Form,
    wanted: Wanted,
    ordinal: u64,
    /// The last code and message: thousands of lines have the same.
    code: Arc<str>,
    message: Arc<str>,
}

impl<R: Read> Lines<R> {
    /// `source` gives the object's bytes, unpacked.
    pub fn new(source: R, form: Form, wanted: Wanted) -> Self {
        Self {
            window: Window::new(source),
            form,
            wanted,
            ordinal: 0,
            code: Arc::default(),
            message: Arc::default(),
        }
    }

    /// The number of records met so far.
    pub fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// The next step, or nothing at the end.
    pub fn step(&mut self) -> io::Result<Option<Step>> {
        match &self.form {
            Form::Errors => self.next_error(),
            Form::Records(records) => {
                let records = records.clone();
                self.next_record(&records)
            }
        }
    }

    // ------------------------------------------------------------------------------ error records

    fn next_error(&mut self) -> io::Result<Option<Step>> {
        if !self.begin()? {
            return Ok(None);
        }
        let line = self.window.line();
        if self.window.data()[0] != b'{' {
            return self.damaged(line, "neither an object nor white space").map(Some);
        }
        loop {
            match scan::object(self.window.data()) {
                Found::End(length) => return self.value(length, line).map(Some),
                Found::Broken => {
                    return self.damaged(line, "the line is torn or no JSON").map(Some);
                }
                Found::Incomplete if self.window.ended() => {
                    return self.damaged(line, "the object ends within it").map(Some);
                }
                Found::Incomplete if self.window.is_full() => {
                    return self.damaged(line, "longer than any error record").map(Some);
                }
                Found::Incomplete => self.window.more()?,
            }
        }
    }

    /// Goes to the beginning of the next value; `false` at the end.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            let data = self.window.data();
            // What arrays and separators are made of, and the mark that some editors begin with.
            let noise = |byte: &u8| {
                byte.is_ascii_whitespace()
                    || matches!(byte, b',' | b'[' | b']' | 0x1e | 0xef | 0xbb | 0xbf)
            };
            let skipped = data.iter().take_while(|byte| noise(byte)).count();
            let found = skipped < data.len();
            self.window.consume(skipped);
            if found {
                return Ok(true);
            }
            if self.window.ended() {
                return Ok(false);
            }
            self.window.more()?;
        }
    }

    fn value(&mut self, length: usize, line: u64) -> io::Result<Step> {
        let value = &self.window.data()[..length];
        let step = match line::parse(value) {
            Ok(Parsed::Manifest(urls)) => Step::Manifest(urls),
            Ok(Parsed::Line(head)) => {
                let ordinal = self.ordinal;
                self.ordinal += 1;
                let kind = head.kind(self.wanted.kind);
                if !self.wanted.filter.admits(&head, kind) {
                    Step::Filtered
                } else {
                    // Damage first: nobody took such a record, however far the object has come.
                    match head.raw() {
                        Err(unfit) => Step::Damaged(Damage { line, reason: unfit.to_string() }),
                        Ok(_) if ordinal < self.wanted.passed => Step::Passed,
                        Ok(raw) => {
                            intern(&mut self.code, &head.code);
                            intern(&mut self.message, &head.message);
                            let (code, message) = (self.code.clone(), self.message.clone());
                            Step::Line(failed(head, raw, code, message, kind, ordinal, line))
                        }
                    }
                }
            }
            Err(Unfit::NoJson(reason)) => {
                return self.damaged(line, &format!("no JSON: {reason}"));
            }
            Err(unfit) => Step::Damaged(Damage { line, reason: unfit.to_string() }),
        };
        self.window.consume(length);
        Ok(step)
    }

    /// Goes behind a line break, or between two objects, whatever comes first.
    fn damaged(&mut self, line: u64, reason: &str) -> io::Result<Step> {
        let damaged = Step::Damaged(Damage { line, reason: reason.to_owned() });
        loop {
            let data = self.window.data();
            let newline = memchr::memchr(b'\n', data).map(|at| at + 1);
            let within = &data[..newline.unwrap_or(data.len())];
            let between = memmem::find(within, b"}{").map(|at| at + 1);
            if let Some(behind) = between.or(newline) {
                self.window.consume(behind);
                return Ok(damaged);
            }
            // The last byte may be the first of the two.
            let kept = usize::from(!self.window.ended() && data.last() == Some(&b'}'));
            let gone = data.len() - kept;
            self.window.consume(gone);
            if self.window.ended() {
                return Ok(damaged);
            }
            self.window.more()?;
        }
    }

    // ------------------------------------------------------------------------------ plain records

    fn next_record(&mut self, records: &Records) -> io::Result<Option<Step>> {
        loop {
            let Some((length, end)) = self.record_end(&records.delimiter)? else {
                return self.oversize(&records.delimiter).map(Some);
            };
            if end == 0 {
                return Ok(None);
            }
            let line = self.window.line();
            let kept = if records.keep_delimiter { end } else { length };
            let raw = &self.window.data()[..kept];
            if raw.is_empty() {
                self.window.consume(end);
                continue;
            }
            let ordinal = self.ordinal;
            self.ordinal += 1;
            let step = if !self.wanted.filter.admits_plain(records.kind, records.arrival_ms) {
                Step::Filtered
            } else if ordinal < self.wanted.passed {
                Step::Passed
            } else {
                let raw = Bytes::copy_from_slice(raw);
                let head = Head { arrival_ms: records.arrival_ms, ..Head::default() };
                let (code, message) = (self.code.clone(), self.message.clone());
                Step::Line(failed(head, raw, code, message, records.kind, ordinal, line))
            };
            self.window.consume(end);
            return Ok(Some(step));
        }
    }

    /// Where the next record ends without and with its delimiter; nothing if that is too far.
    fn record_end(&mut self, delimiter: &[u8]) -> io::Result<Option<(usize, usize)>> {
        let mut searched = 0;
        loop {
            let data = self.window.data();
            if !delimiter.is_empty()
                && let Some(at) = memmem::find(&data[searched..], delimiter)
            {
                return Ok(Some((searched + at, searched + at + delimiter.len())));
            }
            if self.window.ended() {
                return Ok(Some((data.len(), data.len())));
            }
            if self.window.is_full() {
                return Ok(None);
            }
            searched = (data.len() + 1).saturating_sub(delimiter.len().max(1));
            self.window.more()?;
        }
    }

    fn oversize(&mut self, delimiter: &[u8]) -> io::Result<Step> {
        let reason = "longer than any record".to_owned();
        let damaged = Step::Damaged(Damage { line: self.window.line(), reason });
        self.ordinal += 1;
        loop {
            let data = self.window.data();
            let found = if delimiter.is_empty() { None } else { memmem::find(data, delimiter) };
            if let Some(at) = found {
                self.window.consume(at + delimiter.len());
                return Ok(damaged);
            }
            let kept = if self.window.ended() { 0 } else { delimiter.len().saturating_sub(1) };
            let gone = data.len().saturating_sub(kept);
            self.window.consume(gone);
            if self.window.ended() {
                return Ok(damaged);
            }
            self.window.more()?;
        }
    }
}

fn intern(last: &mut Arc<str>, text: &str) {
    if **last != *text {
        *last = text.into();
    }
}

fn failed(
    head: Head<'_>,
    raw: Bytes,
    code: Arc<str>,
    message: Arc<str>,
    kind: Kind,
    ordinal: u64,
    line: u64,
) -> FailedLine {
    FailedLine {
        kind,
        raw,
        code,
        message,
        attempts: head.attempts,
        arrival_ms: head.arrival_ms,
        ended_ms: head.ended_ms,
        details: head.details,
        ordinal,
        line,
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
