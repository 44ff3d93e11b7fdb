//! The event that a function gets: Firehose's members in Firehose's order.

use std::{fmt::Write, ops::Range};

use bytes::Bytes;

use super::StreamContext;
use crate::{limits::LAMBDA_REQUEST_BYTES_MAX, record::Record};

/// Digits of a record's id: as many as Firehose's own have, 56 of a sequence number and 6 of a
/// place within it.
const ID_LENGTH: usize = 62;
/// What stands around the base64 of a record: names, quotes, its id, up to 20 digits of a time,
/// and the comma behind it.
const AROUND_RECORD: usize =
    r#"{"recordId":"","approximateArrivalTimestamp":,"data":""},"#.len() + ID_LENGTH + 20;

/// A record's name within a call. The same record has the same id in every call, also after a
/// restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id([u8; ID_LENGTH]);

impl Id {
    fn new(record: &Record, piece: u32) -> Self {
        let mut text = String::with_capacity(ID_LENGTH);
        let position = record.position;
        // A piece beyond six digits would make the id longer: its high digits move into the room
        // before the sequence.
        let (high, low) = (piece / 1_000_000, piece % 1_000_000);
        write!(text, "49{:05}{high:029}{:020}{low:06}", position.lane, position.sequence)
            .expect("a String takes all that is written");
        Self(text.as_bytes().try_into().expect("the widths add up to the id's length"))
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

/// The id of every record: its place in the journal, and which of the pieces it is that came of
/// that place.
pub(super) fn ids(records: &[Record]) -> Vec<Id> {
    let mut last = None;
    let mut piece = 0;
    let id = |record: &Record| {
        piece = if last == Some(record.position) { piece + 1 } else { 0 };
        last = Some(record.position);
        Id::new(record, piece)
    };
    records.iter().map(id).collect()
}

/// The constant parts of every event of a stream.
pub(super) struct Envelope {
    head: String,
}

const BEFORE_INVOCATION: &str = r#"{"invocationId":""#;
const INVOCATION_LENGTH: usize = 36;
const END: &str = "]}";

impl Envelope {
    pub(super) fn new(stream: &StreamContext) -> Self {
        let text = |text: &str| serde_json::to_string(text).expect("a text is JSON");
        let head = format!(
            r#"","deliveryStreamArn":{},"region":{},"records":["#,
            text(&stream.arn),
            text(&stream.region)
        );
        Self { head }
    }

    fn around(&self) -> usize {
        BEFORE_INVOCATION.len() + INVOCATION_LENGTH + self.head.len() + END.len()
    }

    /// Whether the record alone fits in an event.
    pub(super) fn fits(&self, record: &Record) -> bool {
        self.around() + encoded_bytes(record) <= LAMBDA_REQUEST_BYTES_MAX
    }

    /// Cuts records into calls: no more than `buffer_bytes` of records in each unless one alone
    /// is larger, and no event above Lambda's limit unless one record alone exceeds it.
    pub(super) fn cut(&self, records: &[Record], buffer_bytes: u64) -> Vec<Range<usize>> {
        let mut calls = Vec::new();
        let mut start = 0;
        let (mut raw, mut encoded) = (0, self.around());
        for (i, record) in records.iter().enumerate() {
            let (more_raw, more) = (record.data.len() as u64, encoded_bytes(record));
            let full = raw + more_raw > buffer_bytes || encoded + more > LAMBDA_REQUEST_BYTES_MAX;
            if full && i > start {
                calls.push(start..i);
                start = i;
                (raw, encoded) = (0, self.around());
            }
            raw += more_raw;
            encoded += more;
        }
        if start < records.len() {
            calls.push(start..records.len());
        }
        calls
    }

    /// The event.
    pub(super) fn event(&self, invocation_id: &str, records: &[Record], ids: &[Id]) -> Bytes {
        let room: usize = records.iter().map(encoded_bytes).sum();
        let mut out = Vec::with_capacity(self.around() + room);
        for part in [BEFORE_INVOCATION, invocation_id, &self.head] {
            out.extend_from_slice(part.as_bytes());
        }
        for (i, (record, id)) in records.iter().zip(ids).enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(br#"{"recordId":""#);
            out.extend_from_slice(&id.0);
            out.extend_from_slice(br#"","approximateArrivalTimestamp":"#);
            out.extend_from_slice(record.arrival_ms.to_string().as_bytes());
            out.extend_from_slice(br#","data":""#);
            base64_simd::STANDARD.encode_append(&record.data, &mut out);
            out.extend_from_slice(br#""}"#);
        }
        out.extend_from_slice(END.as_bytes());
        Bytes::from(out)
    }
}

/// The most that a record takes in an event.
fn encoded_bytes(record: &Record) -> usize {
    AROUND_RECORD + record.data.len().div_ceil(3) * 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Position;

    fn record(sequence: u64, bytes: usize) -> Record {
        Record {
            position: Position::new(0, sequence),
            arrival_ms: 1_495_072_949_453,
            data: vec![b'x'; bytes].into(),
            notes: Default::default(),
        }
    }

    fn envelope() -> Envelope {
        Envelope::new(&StreamContext {
            arn: "arn:aws:firehose:us-east-1:000000000000:deliverystream/x".into(),
            region: "us-east-1".into(),
        })
    }

    #[test]
    fn the_event_is_firehoses_to_the_byte() {
        let records = [record(7, 3), record(7, 0), Record { arrival_ms: -1, ..record(8, 1) }];
        let id = "0e2bd5e5-6ba0-4a1b-a3d5-2f6bf2e6a8a5";
        let event = envelope().event(id, &records, &ids(&records));
        let expected = concat!(
            r#"{"invocationId":"0e2bd5e5-6ba0-4a1b-a3d5-2f6bf2e6a8a5","#,
            r#""deliveryStreamArn":"arn:aws:firehose:us-east-1:000000000000:deliverystream/x","#,
            r#""region":"us-east-1","records":["#,
            r#"{"recordId":"49000000000000000000000000000000000000000000000000000007000000","#,
            r#""approximateArrivalTimestamp":1495072949453,"data":"eHh4"},"#,
            r#"{"recordId":"49000000000000000000000000000000000000000000000000000007000001","#,
            r#""approximateArrivalTimestamp":1495072949453,"data":""},"#,
            r#"{"recordId":"49000000000000000000000000000000000000000000000000000008000000","#,
            r#""approximateArrivalTimestamp":-1,"data":"eA=="}]}"#,
        );
        assert_eq!(event, expected);
    }

    #[test]
    fn ids_tell_lanes_sequences_and_pieces_apart() {
        let records: Vec<_> = [(0, 1), (1, 1), (1, 1), (1, 2), (u16::MAX, u64::MAX)]
            .map(|(lane, sequence)| Record {
                position: Position::new(lane, sequence),
                ..record(0, 0)
            })
            .into();
        let all = ids(&records);
        let unique: std::collections::HashSet<_> = all.iter().map(Id::as_str).collect();
        assert_eq!(unique.len(), all.len());
        let far = Id::new(&records[0], u32::MAX);
        assert_ne!(far, Id::new(&records[0], u32::MAX % 1_000_000));
    }

    #[test]
    fn calls_keep_to_the_buffer_and_to_lambdas_limit() {
        let envelope = envelope();
        let records: Vec<_> = [3, 3, 3, 20, 1, 9].into_iter().map(|n| record(0, n)).collect();
        assert_eq!(envelope.cut(&records, 9), [0..3, 3..4, 4..5, 5..6]);
        assert_eq!(envelope.cut(&records, 10), [0..3, 3..4, 4..6]);
        assert!(envelope.cut(&[], 10).is_empty());

        // Fifty thousand empty records are no bytes of data, but more than 6 MiB of event.
        let records: Vec<_> = (0..50_000).map(|sequence| record(sequence, 0)).collect();
        let calls = envelope.cut(&records, 1 << 20);
        assert_eq!(calls.len(), 2);
        let ids = ids(&records);
        for call in calls {
            let event = envelope.event(&"0".repeat(36), &records[call.clone()], &ids[call]);
            assert!(event.len() <= LAMBDA_REQUEST_BYTES_MAX);
        }

        let largest = (LAMBDA_REQUEST_BYTES_MAX - envelope.around() - AROUND_RECORD) / 4 * 3;
        assert!(envelope.fits(&record(0, largest)));
        assert!(!envelope.fits(&record(0, largest + 1)));
    }
}
