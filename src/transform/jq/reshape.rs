//! Filters and maps: which records go on, and in which form.

use async_trait::async_trait;
use bytes::Bytes;
use jaq_core::ValT;

use super::{
    JqError, Program, compile, document,
    guard::with_room,
    program::{Failed, Outputs},
};
use crate::{
    fault::{Failure, output_type::PROCESSING_FAILED},
    limits,
    record::{Piece, Record},
    seams::{Transform, Verdict},
};

/// Keeps the records for which the first output of a filter is neither `false` nor `null`; the
/// others are dropped, as are those for which there is none.
#[derive(Debug)]
pub struct Filter(Program);

impl Filter {
    pub fn new(text: &str) -> Result<Self, JqError> {
        compile(text).map(Self)
    }
}

#[async_trait]
impl Transform for Filter {
    fn name(&self) -> &'static str {
        "filter"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let verdict = |record: &Record, kept| match kept {
            Ok(true) => {
                Verdict::Emit(Piece { data: record.data.clone(), notes: record.notes.clone() })
            }
            Ok(false) => Verdict::Drop,
            Err(failed) => fail("Standpipe.FilterFailed", failed),
        };
        with_room(|room| {
            let keep = |record: &Record| verdict(record, self.0.run(record, room, is_true));
            records.iter().map(keep).collect()
        })
    }
}

fn is_true(outputs: &mut Outputs<'_>) -> Result<bool, String> {
    outputs.next().map_or(Ok(false), |first| first.map(|value| value.as_bool()))
}

/// Makes each output of a filter a record, in compact JSON. A record without outputs is dropped.
#[derive(Debug)]
pub struct Map(Program);

impl Map {
    pub fn new(text: &str) -> Result<Self, JqError> {
        compile(text).map(Self)
    }
}

#[async_trait]
impl Transform for Map {
    fn name(&self) -> &'static str {
        "map"
    }

    /// A filter can make thousands of records of one, each as large as it likes.
    fn expands(&self) -> bool {
        true
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        with_room(|room| {
            let verdict = |record: &Record| match self.0.run(record, room, texts) {
                Ok(texts) => pieces(record, texts),
                Err(failed) => fail("Standpipe.MapFailed", failed),
            };
            records.iter().map(verdict).collect()
        })
    }
}

fn pieces(record: &Record, texts: Vec<Bytes>) -> Verdict {
    let piece = |data| Piece { data, notes: record.notes.clone() };
    let mut pieces: Vec<Piece> = texts.into_iter().map(piece).collect();
    match pieces.len() {
        0 => Verdict::Drop,
        1 => Verdict::Emit(pieces.remove(0)),
        _ => Verdict::Split(pieces),
    }
}

/// All outputs, one behind the other in the same bytes.
fn texts(outputs: &mut Outputs<'_>) -> Result<Vec<Bytes>, String> {
    let mut all = Vec::new();
    let mut ends = Vec::new();
    for output in outputs {
        if ends.len() == limits::JQ_OUTPUTS_MAX {
            return Err(format!("the filter has more than {} outputs", limits::JQ_OUTPUTS_MAX));
        }
        document::write(&output?, &mut all).map_err(|error| error.to_string())?;
        ends.push(all.len());
    }
    let all = Bytes::from(all);
    let mut start = 0;
    let text = |end| {
        let text = all.slice(start..end);
        start = end;
        text
    };
    Ok(ends.into_iter().map(text).collect())
}

fn fail(code: &str, failed: Failed) -> Verdict {
    let message = match failed {
        Failed::NotJson => "Non JSON record provided".to_owned(),
        Failed::Jq(message) => message,
    };
    Verdict::Fail(Failure::new(PROCESSING_FAILED, code, message))
}
