//! Counts of what was met, by kind and code, with one sample of each.

use std::{collections::BTreeMap, sync::Arc};

use super::{kind::Kind, line::FailedLine};
use crate::limits;

/// Records of one kind and code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub records: u64,
    pub bytes: u64,
    pub sample: Sample,
}

/// One record as it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The beginning of the record: text as text, anything else as hexadecimal digits behind `0x`.
    pub record: String,
    /// The beginning of the failure's message.
    pub message: String,
    /// The object and the line where it stands.
    pub object: Arc<str>,
    pub line: u64,
}

/// What was met, by kind and code.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    rows: BTreeMap<Kind, BTreeMap<Arc<str>, Row>>,
    len: usize,
    /// Records whose kind and code are counted together, for there were too many others.
    pub others: u64,
    pub records: u64,
    pub bytes: u64,
}

impl Summary {
    pub fn add(&mut self, object: &Arc<str>, line: &FailedLine) {
        let bytes = line.raw.len() as u64;
        self.records += 1;
        self.bytes += bytes;
        let codes = self.rows.entry(line.kind).or_default();
        let plain = line.code.len() <= limits::REPLAY_SAMPLE_BYTES
            && !line.code.chars().any(char::is_control);
        let code = if plain { line.code.clone() } else { printable(line.code.as_bytes()).into() };
        if let Some(row) = codes.get_mut(&code) {
            row.records += 1;
            row.bytes += bytes;
        } else if self.len < limits::REPLAY_SUMMARY_ROWS {
            self.len += 1;
            let sample = Sample {
                record: printable(&line.raw),
                message: printable(line.message.as_bytes()),
                object: object.clone(),
                line: line.line,
            };
            codes.insert(code, Row { records: 1, bytes, sample });
        } else {
            self.others += 1;
        }
    }

    /// The rows by kind and code.
    pub fn rows(&self) -> impl Iterator<Item = (Kind, &str, &Row)> {
        self.rows
            .iter()
            .flat_map(|(kind, codes)| codes.iter().map(|(code, row)| (*kind, &**code, row)))
    }
}

/// What can be printed of some bytes: text without control characters, or hexadecimal digits.
pub fn printable(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(limits::REPLAY_SAMPLE_BYTES)];
    let cut = head.len() < bytes.len();
    let text = match std::str::from_utf8(head) {
        Ok(text) => Some(text),
        // Only the last character was cut through.
        Err(error) if cut && error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let is_text = |text: &&str| text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace());
    let mut shown = match text.filter(is_text) {
        Some(text) => text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"),
        None => format!("0x{}", hex::encode(&head[..head.len().min(32)])),
    };
    if cut || (shown.starts_with("0x") && bytes.len() > 32) {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: Kind, code: &str, raw: &'static [u8]) -> FailedLine {
        FailedLine {
            kind,
            raw: raw.into(),
            code: code.into(),
            message: "why".into(),
            attempts: 1,
            arrival_ms: None,
            ended_ms: None,
            details: Vec::new(),
            ordinal: 0,
            line: 3,
        }
    }

    #[test]
    fn records_are_counted_by_kind_and_code_with_the_first_as_sample() {
        let mut summary = Summary::default();
        let object: Arc<str> = "o".into();
        for (kind, code, raw) in [
            (Kind::Splunk, "B", &b"first"[..]),
            (Kind::Splunk, "A", b"x"),
            (Kind::Splunk, "B", b"second"),
            (Kind::Processing, "B", b"y"),
        ] {
            summary.add(&object, &line(kind, code, raw));
        }
        let rows: Vec<_> = summary
            .rows()
            .map(|(kind, code, row)| {
                (kind, code, row.records, row.bytes, row.sample.record.as_str())
            })
            .collect();
        assert_eq!(
            rows,
            [
                (Kind::Processing, "B", 1, 1, "y"),
                (Kind::Splunk, "A", 1, 1, "x"),
                (Kind::Splunk, "B", 2, 11, "first"),
            ]
        );
        assert_eq!((summary.records, summary.bytes, summary.others), (4, 13, 0));
    }

    #[test]
    fn codes_without_end_are_counted_together() {
        let mut summary = Summary::default();
        for number in 0..limits::REPLAY_SUMMARY_ROWS + 5 {
            let line = line(Kind::Unknown, &number.to_string(), b"");
            summary.add(&"o".into(), &line);
        }
        assert_eq!(summary.others, 5);
        assert_eq!(summary.rows().count(), limits::REPLAY_SUMMARY_ROWS);
    }

    #[test]
    fn samples_can_be_printed() {
        for (bytes, expected) in [
            (&b"{\"a\": 'b'}\n"[..], "{\"a\": 'b'}\\n"),
            ("grün".as_bytes(), "grün"),
            (b"\x1f\x8b\x08", "0x1f8b08"),
            (b"a\x1b[31m", "0x611b5b33316d"),
            (b"", ""),
        ] {
            assert_eq!(printable(bytes), expected);
        }
        let long = "ü".repeat(limits::REPLAY_SAMPLE_BYTES);
        // 200 bytes are 100 of them; one byte more cuts through the next.
        assert_eq!(printable(long.as_bytes()).chars().count(), 101);
        assert_eq!(printable(format!("x{long}").as_bytes()).chars().count(), 101);
        assert!(printable(&[0xff; 300]).ends_with("ff…"));
    }
}
