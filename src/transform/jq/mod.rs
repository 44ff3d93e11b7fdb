//! What jq does to records: keys for partitions, a filter, another form.
//!
//! | transform | configured as | gives |
//! |---|---|---|
//! | [`Extraction`] | MetadataExtraction | values of `partitionKeyFromQuery` |
//! | [`Filter`] | `filter` | the records for which it is true |
//! | [`Map`] | `map` | a record for each output |
//!
//! The language is jaq's, which is jq's but for details. A filter reads its record, and where that
//! comes from (`source`), and nothing else: no file, no environment, no clock (`natives`). It is bounded in steps and in the depth of its
//! recursion (`guard`), in the number and the size of its outputs and in the strings that `*`
//! makes (`natives`); what it puts together from one record by other means is bounded by its steps
//! only, so a filter of the user's own making that doubles a string forty times still takes all
//! memory.
//!
//! A query that follows paths only (`{a: .x.y, b}`) never makes values of the record: the paths are
//! looked for in its bytes (`scan`). Values off the paths are gone past by their strings and
//! brackets alone and may be no JSON; but a record that is cut off, or is more than one document,
//! fails, and of a key that comes twice the last counts. In every case that does not end in
//! strings, numbers and booleans, jaq has the last word.
//!
//! jaq gets values of those fields only that a filter looks at, where its text tells which
//! (`query`); the rest of the record is checked for being JSON and left out (`document`).
//!
//! Differences from jq 1.6, which Firehose runs: integers keep all their digits (`number`);
//! `tostring` writes a computed whole number as `2.0`; `.a |= empty` on objects may reorder keys;
//! messages are jaq's.

mod document;
mod extraction;
mod guard;
mod natives;
pub(super) mod number;
mod program;
mod query;
mod reshape;
mod rewrite;
pub(super) mod scan;
mod source;

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod tests;

pub use extraction::Extraction;
pub use program::{Program, compile};
pub use reshape::{Filter, Map};

pub(super) use program::path_of;

use crate::limits;

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JqError {
    #[error("jq: {problem} at line {line}, column {column} (byte {offset})")]
    Text { problem: String, offset: usize, line: usize, column: usize },
    #[error("the jq filter has {bytes} bytes, more than {}; shorten it", limits::JQ_TEXT_BYTES_MAX)]
    Long { bytes: usize },
    #[error("the query must give one object, as in {{customer: .customer.id}}")]
    NoObject,
    #[error(
        "the query gives {keys} keys, but must give between 1 and {}",
        limits::EXTRACTION_KEYS_MAX
    )]
    Keys { keys: usize },
}
