//! The vocabulary: records, positions and the sets of positions that are settled together.
//!
//! ```text
//! journal of one stream      seq 0        1        2        3        4        5 ...
//!                                |---- frame (one put) ---|----- frame ------|
//! Position{lane, sequence}       ^ first record of the put
//! Ranges                         [0,3) [4,5)   half open, sorted, never touching
//! ```

mod members;
mod provenance;
mod ranges;

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use members::{Leaf, Members, Part};
pub use provenance::{
    FrameProvenance, Header, Origin, Place, Provenance, RecordOrigin, Step, Unfit,
};
pub use ranges::Ranges;

/// One ordered sequence of a journal. The local journal has lane 0 only.
pub type Lane = u16;

/// A record's place in the journal of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    pub lane: Lane,
    pub sequence: u64,
}

impl Position {
    pub const START: Self = Self { lane: 0, sequence: 0 };

    pub fn new(lane: Lane, sequence: u64) -> Self {
        Self { lane, sequence }
    }

    /// The position `records` further on in the same lane.
    pub fn plus(self, records: u64) -> Self {
        Self { lane: self.lane, sequence: self.sequence + records }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.lane, self.sequence)
    }
}

/// A record's place in the whole daemon: which journal, and where in it.
///
/// On the wire 28 lower-case hexadecimal digits: 8 of the journal, 4 of the lane, 16 of the
/// sequence, so that ids of one journal sort as their records lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordId {
    pub journal: [u8; 4],
    pub position: Position,
}

impl RecordId {
    /// The length of an id on the wire.
    pub const HEX_LENGTH: usize = 28;

    pub fn to_hex(self) -> [u8; Self::HEX_LENGTH] {
        let mut bytes = [0; Self::HEX_LENGTH / 2];
        bytes[..4].copy_from_slice(&self.journal);
        bytes[4..6].copy_from_slice(&self.position.lane.to_be_bytes());
        bytes[6..].copy_from_slice(&self.position.sequence.to_be_bytes());
        let mut digits = [0; Self::HEX_LENGTH];
        hex::encode_to_slice(bytes, &mut digits).expect("two digits for each byte");
        digits
    }

    /// Reads what `to_hex` wrote, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.bytes().any(|digit| digit.is_ascii_uppercase()) {
            return None;
        }
        let mut bytes = [0; Self::HEX_LENGTH / 2];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        let [j0, j1, j2, j3, l0, l1, sequence @ ..] = bytes;
        let position = Position::new(Lane::from_be_bytes([l0, l1]), u64::from_be_bytes(sequence));
        Some(Self { journal: [j0, j1, j2, j3], position })
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_hex()).expect("digits are ASCII"))
    }
}

/// One record on its way: bytes that are never assumed to be text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub position: Position,
    /// When the journal's stream received it, in milliseconds since the Unix epoch.
    pub arrival_ms: i64,
    pub data: Bytes,
    /// What transforms have found out about it so far.
    pub notes: Notes,
}

/// What is known of a record beside its bytes: where it comes from, and what transforms found out.
/// Costs little while there is nothing; clones share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    findings: Option<Arc<Findings>>,
    origin: Option<Origin>,
}

/// The findings of transforms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Values of the namespace `partitionKeyFromQuery`, in the order of the query.
    pub from_query: Vec<(Arc<str>, String)>,
    /// Values of the namespace `partitionKeyFromLambda`.
    pub from_lambda: Vec<(Arc<str>, String)>,
    /// When what the record tells of happened, in milliseconds since 1970.
    pub event_ms: Option<i64>,
    /// Where an Iceberg destination puts it (`otfMetadata` of a Lambda's answer).
    pub table: Option<TableTarget>,
}

/// `otfMetadata` of a Lambda's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableTarget {
    pub destination_database_name: Option<String>,
    pub destination_table_name: Option<String>,
    /// `insert`, `update` or `delete`.
    pub operation: Option<String>,
}

impl Notes {
    /// Of a record that was pulled from somewhere.
    pub fn of(origin: Origin) -> Self {
        Self { findings: None, origin: Some(origin) }
    }

    /// Where the record comes from, if it was pulled from somewhere that has places.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    pub fn get(&self) -> Option<&Findings> {
        self.findings.as_deref()
    }

    /// The findings, to be added to. Notes that others share are copied first.
    pub fn edit(&mut self) -> &mut Findings {
        Arc::make_mut(self.findings.get_or_insert_default())
    }
}

/// A record as a transform leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    pub data: Bytes,
    pub notes: Notes,
}

/// What makes two calls the same call: an SDK sends one invocation id on every attempt of a call.
///
/// The checksum covers the records, so that the same id with another body is another call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId {
    /// A digest of the invocation id and the access key that signed the call.
    pub digest: [u8; 16],
    /// A checksum of the request body: a part of its SHA-256, or its CRC-32C where it is not
    /// signed.
    pub body_checksum: u32,
}

/// The records of one put, laid out as the journal writes them: lengths, then all bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Put {
    pub lengths: Vec<u32>,
    pub data: Vec<u8>,
    pub arrival_ms: i64,
    pub call: Option<CallId>,
    /// Where pulled records come from, and where their source stands once they are stored.
    pub provenance: Option<Box<Provenance>>,
}

impl Put {
    pub fn records(&self) -> usize {
        self.lengths.len()
    }

    pub fn push(&mut self, record: &[u8]) {
        self.lengths.push(record.len() as u32);
        self.data.extend_from_slice(record);
    }

    /// Leaves the first `records` records.
    pub fn truncate(&mut self, records: usize) {
        self.lengths.truncate(records);
        let bytes = self.lengths.iter().map(|&length| length as usize).sum();
        self.data.truncate(bytes);
    }
}

/// The records of one put as the journal hands them out. `data` is shared, never copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub first: Position,
    pub arrival_ms: i64,
    pub lengths: Vec<u32>,
    pub data: Bytes,
    /// Where its records come from, if they were pulled.
    pub provenance: Option<FrameProvenance>,
    /// Its records cannot be delivered: their provenance says why.
    pub unfit: bool,
}

impl Frame {
    pub fn records(&self) -> u64 {
        self.lengths.len() as u64
    }

    /// The position after the last record.
    pub fn end(&self) -> Position {
        self.first.plus(self.records())
    }

    /// The records with their sequence numbers, without copying.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut offset = 0;
        self.lengths.iter().enumerate().map(move |(i, &length)| {
            let start = offset;
            offset += length as usize;
            (self.first.sequence + i as u64, &self.data[start..offset])
        })
    }

    /// The records as owned values that share the frame's bytes.
    pub fn to_records(&self) -> Vec<Record> {
        let mut offset = 0;
        self.lengths
            .iter()
            .enumerate()
            .map(|(i, &length)| {
                let start = offset;
                offset += length as usize;
                Record {
                    position: self.first.plus(i as u64),
                    arrival_ms: self.arrival_ms,
                    data: self.data.slice(start..offset),
                    notes: self
                        .provenance
                        .as_ref()
                        .map_or_else(Notes::default, |provenance| Notes::of(provenance.of(i))),
                }
            })
            .collect()
    }
}

/// Where a record goes at its destination.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// To the destination itself.
    Objects,
    /// To a partition of the destination, named by what its prefix takes from the record: the
    /// values of the dynamic expressions in their order, each followed by U+001F.
    Partition(Arc<str>),
    /// To the error output, under this category (`!{firehose:error-output-type}`).
    Errors(Cow<'static, str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_ids_survive_the_wire() {
        let id = RecordId { journal: [0xde, 0xad, 0xbe, 0xef], position: Position::new(258, 77) };
        assert_eq!(id.to_string(), "deadbeef0102000000000000004d");
        assert_eq!(RecordId::parse(&id.to_string()), Some(id));
        let long = format!("{id}0");
        for text in ["", "deadbeef", "DEADBEEF0102000000000000004D", long.as_str()] {
            assert_eq!(RecordId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn frame_iterates_records_with_positions() {
        let frame = Frame {
            first: Position::new(0, 7),
            arrival_ms: 5,
            lengths: vec![2, 0, 3],
            data: Bytes::from_static(b"abcde"),
            provenance: None,
            unfit: false,
        };
        let seen: Vec<_> = frame.iter().collect();
        assert_eq!(seen, vec![(7, &b"ab"[..]), (8, &b""[..]), (9, &b"cde"[..])]);
        assert_eq!(frame.to_records()[2].data, Bytes::from_static(b"cde"));
        assert_eq!(frame.end(), Position::new(0, 10));
    }
}
