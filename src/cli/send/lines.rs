//! Lines of a file or of stdin as records: bytes, never assumed to be text.

use std::io::{self, BufRead, Read};

use clap::ValueEnum;
use serde::de::IgnoredAny;

use crate::limits;

/// What the input is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Every line is a record, whatever is in it; also an empty one.
    Lines,
    /// Every line is a JSON value; empty lines are skipped, anything else is an error.
    Ndjson,
}

/// One record and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Counts from 1.
    pub number: u64,
    pub data: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error(
        "line {0} is longer than a record may be ({max} bytes); --skip-oversize leaves such lines out",
        max = limits::RECORD_BYTES_MAX
    )]
    Oversize(u64),
    #[error("line {0} is no JSON: {1}")]
    NoJson(u64, serde_json::Error),
}

/// How lines become records.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub format: Format,
    /// Every record ends with a newline, as it stood in the file; one is added to a last line
    /// without. Otherwise `\n` and `\r\n` are cut off.
    pub keep_newline: bool,
    pub skip_oversize: bool,
}

/// Reads records from an input, never holding more than one line of the largest size.
pub struct Lines<R> {
    input: R,
    rules: Rules,
    number: u64,
    skipped: u64,
}

impl<R: BufRead> Lines<R> {
    pub fn new(input: R, rules: Rules) -> Self {
        Self { input, rules, number: 0, skipped: 0 }
    }

    /// Lines left out because they were too long.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next record, or `None` at the end.
    pub fn next(&mut self) -> Result<Option<Line>, LineError> {
        loop {
            let mut data = Vec::new();
            // Two bytes more than a record: its `\r\n` where newlines are cut off.
            let limit = limits::RECORD_BYTES_MAX as u64 + 2;
            let read = self.input.by_ref().take(limit).read_until(b'\n', &mut data)? as u64;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let number = self.number;
            let cut = read == limit && data.last() != Some(&b'\n');
            if cut {
                skip_line(&mut self.input)?;
            }
            self.end(&mut data);
            if cut || data.len() > limits::RECORD_BYTES_MAX {
                if !self.rules.skip_oversize {
                    return Err(LineError::Oversize(number));
                }
                self.skipped += 1;
                continue;
            }
            if self.rules.format == Format::Ndjson {
                if data.trim_ascii().is_empty() {
                    continue;
                }
                serde_json::from_slice::<IgnoredAny>(&data)
                    .map_err(|error| LineError::NoJson(number, error))?;
            }
            return Ok(Some(Line { number, data }));
        }
    }

    fn end(&self, data: &mut Vec<u8>) {
        let ended = data.last() == Some(&b'\n');
        if self.rules.keep_newline {
            if !ended {
                data.push(b'\n');
            }
        } else if ended {
            data.pop();
            if data.last() == Some(&b'\r') {
                data.pop();
            }
        }
    }
}

/// Passes over the rest of a line without keeping it.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let newline = buffer.iter().position(|byte| *byte == b'\n');
        let used = newline.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        if newline.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: Rules = Rules { format: Format::Lines, keep_newline: true, skip_oversize: false };

    type Numbered = Vec<(u64, Vec<u8>)>;

    fn read(input: &[u8], rules: Rules) -> Result<(Numbered, u64), LineError> {
        let mut lines = Lines::new(input, rules);
        let mut records = Vec::new();
        while let Some(line) = lines.next()? {
            records.push((line.number, line.data));
        }
        Ok((records, lines.skipped()))
    }

    fn numbered(records: &[(u64, &[u8])]) -> Numbered {
        records.iter().map(|(number, data)| (*number, data.to_vec())).collect()
    }

    #[test]
    fn newlines_are_kept_or_cut() {
        let input = b"a\r\n\n\xff\xfe\nlast";
        let (records, _) = read(input, LINES).unwrap();
        assert_eq!(
            records,
            numbered(&[(1, b"a\r\n"), (2, b"\n"), (3, b"\xff\xfe\n"), (4, b"last\n")])
        );
        let (records, _) = read(input, Rules { keep_newline: false, ..LINES }).unwrap();
        assert_eq!(records, numbered(&[(1, b"a"), (2, b""), (3, b"\xff\xfe"), (4, b"last")]));
        assert!(read(b"", LINES).unwrap().0.is_empty());
    }

    #[test]
    fn a_line_may_be_as_long_as_a_record_and_no_longer() {
        let max = limits::RECORD_BYTES_MAX;
        let line = |length: usize, end: &str| {
            let mut line = vec![b'x'; length];
            line.extend_from_slice(end.as_bytes());
            line.extend_from_slice(b"next\n");
            line
        };
        let cut = Rules { keep_newline: false, ..LINES };
        let lengths = |rules, input: &[u8]| {
            let (records, _) = read(input, rules).unwrap();
            records.iter().map(|(_, data)| data.len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(LINES, &line(max - 1, "\n")), [max, 5]);
        assert_eq!(lengths(cut, &line(max, "\n")), [max, 4]);
        assert_eq!(lengths(cut, &line(max, "\r\n")), [max, 4]);
        for (rules, input) in [
            (LINES, line(max, "\n")),
            (cut, line(max + 1, "\n")),
            (cut, line(max + 2, "\n")),
            (cut, line(3 * max, "\n")),
        ] {
            let error = read(&input, rules).unwrap_err();
            assert!(matches!(error, LineError::Oversize(1)), "{error}");
            let skipping = Rules { skip_oversize: true, ..rules };
            let (records, skipped) = read(&input, skipping).unwrap();
            assert_eq!((records.len(), records[0].0, skipped), (1, 2, 1));
        }
    }

    #[test]
    fn ndjson_is_looked_at() {
        let rules = Rules { format: Format::Ndjson, ..LINES };
        let (records, _) = read(b"{\"a\": 1}\n\n  \n[2]\n", rules).unwrap();
        assert_eq!(records, numbered(&[(1, b"{\"a\": 1}\n"), (4, b"[2]\n")]));
        let error = read(b"1\n{\"a\n", rules).unwrap_err();
        assert!(error.to_string().starts_with("line 2 is no JSON"), "{error}");
    }
}
