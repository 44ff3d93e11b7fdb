//! Takes records apart that hold several.
//!
//! What cannot be taken apart goes on whole, as Firehose has it: a record with more than
//! [`limits::SUB_RECORDS_MAX`] in it, JSON that is not made of objects (a list, bare values), an
//! object that is cut off, a record with nothing in it. With dynamic partitioning such a record
//! fails later, when its keys are looked for, and so reaches the error output in one piece.

mod json;

use std::ops::Range;

use async_trait::async_trait;
use memchr::memmem::Finder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    limits,
    record::{Piece, Record},
    seams::{Transform, Verdict},
};

/// How the records in a record are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubRecords {
    /// JSON objects, one behind the other with or without white space between.
    Json,
    /// Anything, with these bytes between.
    Delimited(Vec<u8>),
}

/// What stands for them in a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubRecordType {
    /// JSON objects, one behind the other, or one a line.
    Json,
    /// Anything, with a delimiter between.
    Delimited,
}

/// What is wrong with a delimiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DelimiterError {
    #[error("the delimiter is not base64")]
    NotBase64,
    #[error("the delimiter is empty")]
    Empty,
    #[error("the delimiter has {0} bytes, more than {max}", max = limits::DELIMITER_BYTES_MAX)]
    TooLong(usize),
}

/// The bytes of the parameter `Delimiter` of Firehose's processor, which is base64 of them.
pub fn delimiter_from_base64(text: &str) -> Result<Vec<u8>, DelimiterError> {
    let delimiter =
        base64_simd::STANDARD.decode_to_vec(text.trim()).map_err(|_| DelimiterError::NotBase64)?;
    match delimiter.len() {
        0 => Err(DelimiterError::Empty),
        length if length > limits::DELIMITER_BYTES_MAX => Err(DelimiterError::TooLong(length)),
        _ => Ok(delimiter),
    }
}

/// The step of the chain.
#[derive(Debug, Clone)]
pub struct Deaggregation {
    how: How,
}

#[derive(Debug, Clone)]
enum How {
    Json,
    Delimited(Box<Finder<'static>>),
}

impl Deaggregation {
    /// An empty delimiter takes nothing apart.
    pub fn new(sub_records: SubRecords) -> Self {
        let how = match sub_records {
            SubRecords::Json => How::Json,
            SubRecords::Delimited(delimiter) => {
                How::Delimited(Box::new(Finder::new(&delimiter).into_owned()))
            }
        };
        Self { how }
    }

    fn verdict(&self, record: &Record) -> Verdict {
        let spans = match &self.how {
            How::Json => json::objects(&record.data),
            How::Delimited(finder) => delimited(&record.data, finder),
        };
        let piece = |span: Range<usize>| Piece {
            data: record.data.slice(span),
            notes: record.notes.clone(),
        };
        match spans.as_deref() {
            None | Some([]) => Verdict::Emit(piece(0..record.data.len())),
            Some([span]) => Verdict::Emit(piece(span.clone())),
            Some(spans) => Verdict::Split(spans.iter().cloned().map(piece).collect()),
        }
    }
}

#[async_trait]
impl Transform for Deaggregation {
    fn name(&self) -> &'static str {
        "deaggregation"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        records.iter().map(|record| self.verdict(record)).collect()
    }
}

/// What stands between the delimiters, without what is empty; `None` for more than may be.
fn delimited(data: &[u8], finder: &Finder) -> Option<Vec<Range<usize>>> {
    let width = finder.needle().len();
    if width == 0 {
        return None;
    }
    let mut spans = Vec::new();
    let mut start = 0;
    for end in finder.find_iter(data).chain([data.len()]) {
        if start < end {
            if spans.len() == limits::SUB_RECORDS_MAX {
                return None;
            }
            spans.push(start..end);
        }
        start = end + width;
    }
    Some(spans)
}

#[cfg(test)]
mod tests;
