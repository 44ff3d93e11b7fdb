//! Makes one line of a record of several: every line without the white space around it, one behind
//! the other.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{super::arena::Arena, without_newline};
use crate::{
    record::{Piece, Record},
    seams::{Transform, Verdict},
};

/// Makes one line of a record of several. There is nothing to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SingleLine")]
pub struct Options {}

/// The step of the chain.
#[derive(Debug, Clone, Copy)]
pub struct SingleLine;

impl SingleLine {
    pub fn new(_: Options) -> Self {
        Self
    }
}

/// White space and control characters, as Java's `trim` has it.
fn is_blank(byte: &u8) -> bool {
    *byte <= b' '
}

fn trimmed(line: &[u8]) -> &[u8] {
    let Some(first) = line.iter().position(|byte| !is_blank(byte)) else { return &[] };
    let last = line.iter().rposition(|byte| !is_blank(byte)).unwrap_or(first);
    &line[first..=last]
}

#[async_trait]
impl Transform for SingleLine {
    fn name(&self) -> &'static str {
        "single_line"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let mut arena = Arena::default();
        let mut joined = Vec::new();
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            joined.clear();
            let (text, newline) = without_newline(&record.data);
            for line in text.split(|&byte| byte == b'\n') {
                joined.extend_from_slice(trimmed(line));
            }
            joined.extend_from_slice(newline);
            places.push(arena.store(&joined));
        }
        let bytes = arena.finish();
        let verdict = |(place, record): (_, &Record)| {
            Verdict::Emit(Piece { data: bytes(place), notes: record.notes.clone() })
        };
        places.into_iter().zip(records).map(verdict).collect()
    }
}
