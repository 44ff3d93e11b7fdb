//! Where pulled records come from: what a source stores beside them, in the same frame.
//!
//! ```text
//! put of a shard, a partition or a file
//!   steps     where the source stands once this put is stored: what it goes on from after a restart
//!   place     what all records have in common: topic and partition, stream and shard, path
//!   records   what each has of its own: offset, sequence number, key, headers, time
//! ```
//!
//! The form on disk is Protocol Buffers: members can be added, and what is absent costs nothing.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use prost::Message;
use serde_json::{Map, Value, json};

/// What a source says of the records of one put.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Provenance {
    /// Where the source stands once the put is stored.
    #[prost(message, repeated, tag = "1")]
    pub steps: Vec<Step>,
    /// What all records have in common.
    #[prost(message, optional, tag = "2")]
    pub place: Option<Place>,
    /// What each has of its own; empty, or one for each record of the put.
    #[prost(message, repeated, tag = "3")]
    pub records: Vec<RecordOrigin>,
    /// Why none of the records can be delivered: they go to the error output with this reason.
    #[prost(message, optional, tag = "4")]
    pub unfit: Option<Unfit>,
}

/// A source's new position in one of the things it reads.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Step {
    /// What is read: a shard, a topic's partition, a file. The source's own words.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Where the source stands in it, in its own words; absent once it is done with it for good.
    #[prost(string, optional, tag = "2")]
    pub position: Option<String>,
}

impl Step {
    pub fn to(key: impl Into<String>, position: impl Into<String>) -> Self {
        Self { key: key.into(), position: Some(position.into()) }
    }

    /// The key needs no position any more.
    pub fn done(key: impl Into<String>) -> Self {
        Self { key: key.into(), position: None }
    }
}

/// What the records of a put have in common. Sources fill what they have.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Place {
    #[prost(string, optional, tag = "1")]
    pub stream_arn: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub shard_id: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub topic: Option<String>,
    #[prost(int32, optional, tag = "4")]
    pub partition: Option<i32>,
    #[prost(string, optional, tag = "5")]
    pub path: Option<String>,
}

/// What a record has of its own. Sources fill what they have.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RecordOrigin {
    /// Kinesis: decimal, up to 129 digits.
    #[prost(string, optional, tag = "1")]
    pub sequence_number: Option<String>,
    /// Kinesis: the place in an aggregate of the Kinesis Producer Library.
    #[prost(uint64, optional, tag = "2")]
    pub sub_sequence_number: Option<u64>,
    #[prost(string, optional, tag = "3")]
    pub partition_key: Option<String>,
    /// When the service received it, in milliseconds since the Unix epoch: Kinesis' approximate
    /// arrival, Kafka's timestamp.
    #[prost(int64, optional, tag = "4")]
    pub timestamp_ms: Option<i64>,
    /// Kafka: the record's offset. File: where its first byte stands.
    #[prost(int64, optional, tag = "5")]
    pub offset: Option<i64>,
    #[prost(bytes = "bytes", optional, tag = "6")]
    pub key: Option<Bytes>,
    #[prost(message, repeated, tag = "7")]
    pub headers: Vec<Header>,
    /// Kafka: a tombstone, a record with a key and no value. Its data is empty.
    #[prost(bool, tag = "8")]
    pub tombstone: bool,
    /// File: bytes of the line that were cut off at the limit.
    #[prost(uint64, optional, tag = "9")]
    pub cut_bytes: Option<u64>,
}

/// A header of a Kafka record.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Header {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
}

/// Why records cannot be delivered as they came.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Unfit {
    #[prost(string, tag = "1")]
    pub code: String,
    #[prost(string, tag = "2")]
    pub message: String,
}

/// The provenance of a frame: taken apart when somebody asks, for all records at once.
#[derive(Debug, Clone)]
pub struct FrameProvenance {
    block: Arc<Block>,
    /// Records of the put before the first one of the frame: a frame may be a part of its put.
    pub skipped: u32,
}

#[derive(Debug)]
struct Block {
    bytes: Bytes,
    decoded: OnceLock<Provenance>,
}

impl FrameProvenance {
    pub fn encoded(bytes: Bytes) -> Self {
        Self { block: Arc::new(Block { bytes, decoded: OnceLock::new() }), skipped: 0 }
    }

    pub fn get(&self) -> &Provenance {
        // The bytes stand under the frame's checksum: what does not decode is of a newer version,
        // and says nothing that this one knows.
        self.block
            .decoded
            .get_or_init(|| Provenance::decode(self.block.bytes.clone()).unwrap_or_default())
    }

    /// Bytes of the stored form.
    pub fn encoded_bytes(&self) -> usize {
        self.block.bytes.len()
    }

    /// The same for the records from this one on.
    pub fn from_record(&self, skip: usize) -> Self {
        Self { block: self.block.clone(), skipped: self.skipped + skip as u32 }
    }

    /// Of one record of the frame.
    pub fn of(&self, index: usize) -> Origin {
        Origin { block: self.clone(), index: self.skipped + index as u32 }
    }
}

impl PartialEq for FrameProvenance {
    fn eq(&self, other: &Self) -> bool {
        self.skipped == other.skipped && self.block.bytes == other.block.bytes
    }
}

impl Eq for FrameProvenance {}

/// Where one record comes from. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    block: FrameProvenance,
    index: u32,
}

impl Origin {
    pub fn new(provenance: Provenance, index: u32) -> Self {
        Self { block: FrameProvenance::encoded(provenance.encode_to_vec().into()), index }
    }

    pub fn place(&self) -> Option<&Place> {
        self.block.get().place.as_ref()
    }

    pub fn record(&self) -> Option<&RecordOrigin> {
        self.block.get().records.get(self.index as usize)
    }

    /// What a transform or a prefix sees of it, under the names that the documents give. Bytes
    /// that are not UTF-8 are shown with U+FFFD.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                out.insert(name.to_owned(), value);
            }
        };
        let text = |bytes: &Bytes| Value::from(String::from_utf8_lossy(bytes).into_owned());
        if let Some(place) = self.place() {
            put("stream_arn", place.stream_arn.clone().map(Value::from));
            put("shard_id", place.shard_id.clone().map(Value::from));
            put("topic", place.topic.clone().map(Value::from));
            put("partition", place.partition.map(Value::from));
            put("path", place.path.clone().map(Value::from));
        }
        if let Some(record) = self.record() {
            put("sequence_number", record.sequence_number.clone().map(Value::from));
            put("sub_sequence_number", record.sub_sequence_number.map(Value::from));
            put("partition_key", record.partition_key.clone().map(Value::from));
            put("timestamp_ms", record.timestamp_ms.map(Value::from));
            put("offset", record.offset.map(Value::from));
            put("key", record.key.as_ref().map(text));
            if !record.headers.is_empty() {
                let headers = record.headers.iter();
                let headers: Map<_, _> = headers
                    .map(|header| {
                        (header.name.clone(), header.value.as_ref().map_or(Value::Null, text))
                    })
                    .collect();
                put("headers", Some(headers.into()));
            }
            put("tombstone", record.tombstone.then(|| json!(true)));
            put("cut_bytes", record.cut_bytes.map(Value::from));
        }
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_finds_its_own() {
        let record = |offset| RecordOrigin {
            offset: Some(offset),
            key: Some(Bytes::from_static(b"k\xff")),
            headers: vec![Header { name: "h".into(), value: None }],
            ..RecordOrigin::default()
        };
        let provenance = Provenance {
            steps: vec![Step::to("t/0", "9"), Step::done("t/1")],
            place: Some(Place { topic: Some("t".into()), partition: Some(0), ..Place::default() }),
            records: vec![record(7), record(8)],
            unfit: None,
        };
        let frame = FrameProvenance::encoded(provenance.encode_to_vec().into());
        assert_eq!(frame.get(), &provenance);
        let second = frame.from_record(1).of(0);
        assert_eq!(second.record().unwrap().offset, Some(8));
        assert_eq!(
            second.to_json(),
            json!({"topic": "t", "partition": 0, "offset": 8, "key": "k\u{fffd}", "headers": {"h": null}})
        );
        assert_eq!(frame.of(2).record(), None);
    }
}
