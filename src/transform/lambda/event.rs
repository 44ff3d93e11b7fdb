//! The event that a function gets: Firehose's members in Firehose's order.

use std::{fmt::Write, ops::Range};

use bytes::Bytes;

use super::StreamContext;
use crate::{
    limits::LAMBDA_REQUEST_BYTES_MAX,
    record::{Place, Record, RecordOrigin},
};

/// Digits of a record's id: as many as Firehose's own have, 56 of a sequence number and 6 of a
/// place within it.
const ID_LENGTH: usize = 62;
/// What stands around the base64 of a record: names, quotes, its id, up to 20 digits of a time,
/// and the comma behind it.
const AROUND_RECORD: usize =
    r#"{"recordId":"","approximateArrivalTimestamp":,"data":""},"#.len() + ID_LENGTH + 20;
/// What tells where a record of Kinesis comes from, but for its texts: names, quotes, and up to 20
/// digits each of a place in an aggregate and of a time.
const AROUND_METADATA: usize = concat!(
    r#","kinesisRecordMetadata":{"sequenceNumber":,"subsequenceNumber":,"#,
    r#""partitionKey":,"shardId":,"approximateArrivalTimestamp":}"#
)
.len()
    + 20
    + 20;
const DATA: &str = "data";
/// The same of a record of Kafka.
const KAFKA_VALUE: &str = "kafkaRecordValue";

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

/// Where a record comes from, as far as functions are told.
enum Source<'a> {
    Elsewhere,
    Kinesis(&'a Place, &'a RecordOrigin),
    Kafka,
}

impl<'a> Source<'a> {
    fn of(record: &'a Record) -> Self {
        let Some(origin) = record.notes.origin() else { return Self::Elsewhere };
        match (origin.place(), origin.record()) {
            (Some(place), _) if place.topic.is_some() => Self::Kafka,
            (Some(place), Some(own)) if own.sequence_number.is_some() => Self::Kinesis(place, own),
            _ => Self::Elsewhere,
        }
    }

    fn data(&self) -> &'static str {
        if matches!(self, Self::Kafka) { KAFKA_VALUE } else { DATA }
    }

    /// The ARN of the Kinesis data stream.
    fn stream_arn(&self) -> Option<&'a str> {
        match self {
            Self::Kinesis(place, _) => place.stream_arn.as_deref(),
            _ => None,
        }
    }

    /// Bytes of what an event says of it.
    fn encoded_bytes(&self) -> usize {
        match self {
            Self::Elsewhere => 0,
            Self::Kafka => KAFKA_VALUE.len() - DATA.len(),
            Self::Kinesis(place, own) => {
                let texts = [&own.sequence_number, &own.partition_key, &place.shard_id];
                let texts = texts.into_iter().map(|text| quoted_bytes(text.as_deref()));
                AROUND_METADATA + texts.sum::<usize>()
            }
        }
    }

    /// `arrival_ms` is that of the record itself.
    fn write(&self, arrival_ms: i64, out: &mut Vec<u8>) {
        let Self::Kinesis(place, own) = self else { return };
        out.extend_from_slice(br#","kinesisRecordMetadata":{"sequenceNumber":"#);
        quote(own.sequence_number.as_deref(), out);
        out.extend_from_slice(br#","subsequenceNumber":"#);
        out.extend_from_slice(own.sub_sequence_number.unwrap_or(0).to_string().as_bytes());
        out.extend_from_slice(br#","partitionKey":"#);
        quote(own.partition_key.as_deref(), out);
        out.extend_from_slice(br#","shardId":"#);
        quote(place.shard_id.as_deref(), out);
        out.extend_from_slice(br#","approximateArrivalTimestamp":"#);
        out.extend_from_slice(arrival_ms.to_string().as_bytes());
        out.push(b'}');
    }
}

/// Whether the function is given, and gives back, `kafkaRecordValue` instead of `data`.
pub(super) fn is_of_kafka(record: &Record) -> bool {
    matches!(Source::of(record), Source::Kafka)
}

/// When the service that a record comes from received it, or else we did.
fn arrival_ms(record: &Record) -> i64 {
    let origin = record.notes.origin().and_then(|origin| origin.record());
    origin.and_then(|own| own.timestamp_ms).unwrap_or(record.arrival_ms)
}

/// Writes a text as JSON; one that is absent is empty.
fn quote(text: Option<&str>, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text.unwrap_or_default()).expect("a text is JSON");
}

/// Bytes of a text as JSON.
fn quoted_bytes(text: Option<&str>) -> usize {
    let bytes = |byte: u8| match byte {
        b'"' | b'\\' | 8 | b'\t' | b'\n' | 12 | b'\r' => 2,
        0..0x20 => r"\u0000".len(),
        _ => 1,
    };
    2 + text.unwrap_or_default().bytes().map(bytes).sum::<usize>()
}

/// The constant parts of every event of a stream.
pub(super) struct Envelope {
    head: String,
}

const BEFORE_INVOCATION: &str = r#"{"invocationId":""#;
const INVOCATION_LENGTH: usize = 36;
const SOURCE: &str = r#","sourceKinesisStreamArn":"#;
const RECORDS: &str = r#","records":["#;
const END: &str = "]}";

impl Envelope {
    pub(super) fn new(stream: &StreamContext) -> Self {
        let text = |text: &str| serde_json::to_string(text).expect("a text is JSON");
        let head = format!(
            r#"","deliveryStreamArn":{},"region":{}"#,
            text(&stream.arn),
            text(&stream.region)
        );
        Self { head }
    }

    /// What stands around the records at most: all of a stream come from one Kinesis data stream,
    /// or from none.
    fn around(&self, records: &[Record]) -> usize {
        let arns = records.iter().filter_map(|record| Source::of(record).stream_arn());
        let source = arns.map(|arn| SOURCE.len() + quoted_bytes(Some(arn))).max().unwrap_or(0);
        let constant = BEFORE_INVOCATION.len() + self.head.len() + RECORDS.len() + END.len();
        constant + INVOCATION_LENGTH + source
    }

    /// Whether the record alone fits in an event.
    pub(super) fn fits(&self, record: &Record) -> bool {
        self.around(std::slice::from_ref(record)) + encoded_bytes(record)
            <= LAMBDA_REQUEST_BYTES_MAX
    }

    /// Cuts records into calls: no more than `buffer_bytes` of records in each unless one alone
    /// is larger, and no event above Lambda's limit unless one record alone exceeds it.
    pub(super) fn cut(&self, records: &[Record], buffer_bytes: u64) -> Vec<Range<usize>> {
        let mut calls = Vec::new();
        let mut start = 0;
        let around = self.around(records);
        let (mut raw, mut encoded) = (0, around);
        for (i, record) in records.iter().enumerate() {
            let (more_raw, more) = (record.data.len() as u64, encoded_bytes(record));
            let full = raw + more_raw > buffer_bytes || encoded + more > LAMBDA_REQUEST_BYTES_MAX;
            if full && i > start {
                calls.push(start..i);
                start = i;
                (raw, encoded) = (0, around);
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
        let mut out = Vec::with_capacity(self.around(records) + room);
        for part in [BEFORE_INVOCATION, invocation_id, &self.head] {
            out.extend_from_slice(part.as_bytes());
        }
        if let Some(arn) = records.iter().find_map(|record| Source::of(record).stream_arn()) {
            out.extend_from_slice(SOURCE.as_bytes());
            quote(Some(arn), &mut out);
        }
        out.extend_from_slice(RECORDS.as_bytes());
        for (i, (record, id)) in records.iter().zip(ids).enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(br#"{"recordId":""#);
            out.extend_from_slice(&id.0);
            out.extend_from_slice(br#"","approximateArrivalTimestamp":"#);
            let (source, arrival_ms) = (Source::of(record), arrival_ms(record));
            out.extend_from_slice(arrival_ms.to_string().as_bytes());
            for part in [r#",""#, source.data(), r#"":""#] {
                out.extend_from_slice(part.as_bytes());
            }
            base64_simd::STANDARD.encode_append(&record.data, &mut out);
            out.push(b'"');
            source.write(arrival_ms, &mut out);
            out.push(b'}');
        }
        out.extend_from_slice(END.as_bytes());
        Bytes::from(out)
    }
}

/// The most that a record takes in an event.
fn encoded_bytes(record: &Record) -> usize {
    AROUND_RECORD + record.data.len().div_ceil(3) * 4 + Source::of(record).encoded_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Notes, Origin, Position, Provenance};

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

    /// A record that comes from there.
    fn from(place: Place, own: RecordOrigin, bytes: usize) -> Record {
        let provenance =
            Provenance { place: Some(place), records: vec![own], ..Provenance::default() };
        Record { notes: Notes::of(Origin::new(provenance, 0)), ..record(7, bytes) }
    }

    fn of_kinesis(partition_key: &str, sub_sequence_number: Option<u64>, bytes: usize) -> Record {
        let place = Place {
            stream_arn: Some("arn:aws:kinesis:us-east-1:000000000000:stream/s".into()),
            shard_id: Some("shardId-000000000000".into()),
            ..Place::default()
        };
        let own = RecordOrigin {
            sequence_number: Some("4959".into()),
            sub_sequence_number,
            partition_key: Some(partition_key.into()),
            timestamp_ms: Some(1_495_072_949_001),
            ..RecordOrigin::default()
        };
        from(place, own, bytes)
    }

    fn of_kafka(bytes: usize) -> Record {
        let place = Place { topic: Some("t".into()), partition: Some(0), ..Place::default() };
        from(place, RecordOrigin { offset: Some(3), ..RecordOrigin::default() }, bytes)
    }

    #[test]
    fn functions_are_told_which_record_of_kinesis_it_is() {
        let records = [of_kinesis("a\"b", Some(2), 3), of_kinesis("", None, 0)];
        let event = envelope().event("id", &records, &ids(&records));
        let record = |piece: u32, data: &str, sub: u32, key: &str| {
            format!(
                concat!(
                    r#"{{"recordId":"4900000000000000000000000000000000000000000000000000000700000{}","#,
                    r#""approximateArrivalTimestamp":1495072949001,"data":"{}","#,
                    r#""kinesisRecordMetadata":{{"sequenceNumber":"4959","subsequenceNumber":{},"#,
                    r#""partitionKey":"{}","shardId":"shardId-000000000000","#,
                    r#""approximateArrivalTimestamp":1495072949001}}}}"#,
                ),
                piece, data, sub, key
            )
        };
        let expected = format!(
            concat!(
                r#"{{"invocationId":"id","#,
                r#""deliveryStreamArn":"arn:aws:firehose:us-east-1:000000000000:deliverystream/x","#,
                r#""region":"us-east-1","#,
                r#""sourceKinesisStreamArn":"arn:aws:kinesis:us-east-1:000000000000:stream/s","#,
                r#""records":[{},{}]}}"#,
            ),
            record(0, "eHh4", 2, r#"a\"b"#),
            record(1, "", 0, "")
        );
        assert_eq!(String::from_utf8_lossy(&event), expected);
    }

    #[test]
    fn records_of_kafka_have_a_value_and_others_data() {
        let file = Place { path: Some("/var/log/x".into()), ..Place::default() };
        let records = [of_kafka(1), from(file, RecordOrigin::default(), 1)];
        let event = envelope().event("id", &records, &ids(&records));
        let event: serde_json::Value = serde_json::from_slice(&event).unwrap();
        let members: Vec<_> = event.as_object().unwrap().keys().collect();
        assert_eq!(members, ["invocationId", "deliveryStreamArn", "region", "records"]);
        let members = |i: usize| -> Vec<_> {
            event["records"][i].as_object().unwrap().keys().cloned().collect()
        };
        let id = "recordId";
        assert_eq!(members(0), [id, "approximateArrivalTimestamp", "kafkaRecordValue"]);
        assert_eq!(members(1), [id, "approximateArrivalTimestamp", "data"]);
        assert_eq!(event["records"][0]["kafkaRecordValue"], "eA==");
        assert_eq!(event["records"][0]["approximateArrivalTimestamp"], 1_495_072_949_453_i64);
    }

    #[test]
    fn no_event_takes_more_room_than_was_counted() {
        let controls: String = (0..0x80_u8).map(char::from).collect();
        let records = [
            of_kinesis(&controls, Some(u64::MAX), 5),
            of_kinesis("schl\u{fc}ssel \u{1f600} \u{2028}", None, 0),
            of_kafka(7),
            record(8, 1),
        ];
        let ids = ids(&records);
        for i in 0..records.len() {
            let records = &records[i..=i];
            let counted = envelope().around(records) + encoded_bytes(&records[0]);
            let event = envelope().event(&"0".repeat(36), records, &ids[i..=i]);
            // Times and numbers are counted with all digits that they may have, and one comma.
            assert!(event.len() <= counted, "{} > {counted}", event.len());
            assert!(event.len() + 50 > counted, "{} << {counted}", event.len());
        }
        assert_eq!(quoted_bytes(Some(&controls)), serde_json::to_string(&controls).unwrap().len());
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

        let largest = (LAMBDA_REQUEST_BYTES_MAX - envelope.around(&[]) - AROUND_RECORD) / 4 * 3;
        assert!(envelope.fits(&record(0, largest)));
        assert!(!envelope.fits(&record(0, largest + 1)));
    }
}
