//! What Kinesis answers. Records are decoded into one piece of memory that all of them share.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;

use super::{
    super::{Batch, ReadError, Shard, StoredRecord},
    Read, StreamInfo,
};

/// An answer that says nothing that can be used. Its contents are not repeated: they may be records.
pub(super) fn unreadable(why: &str) -> ReadError {
    let message = format!("the answer of Kinesis cannot be used: {why}");
    ReadError::Trouble { code: "Kinesis.UnreadableAnswer".into(), message }
}

/// Deepest nesting of an answer: the ranges of a child shard stand in the fourth level, and there
/// is room for members that are new.
const DEPTH_MAX: usize = 32;

/// Reads an answer. The reader's own error would quote the body, which may hold records.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ReadError> {
    // The reader passes over unknown members by calling itself for each level.
    if is_deeper_than(DEPTH_MAX, body) {
        return Err(unreadable("it is nested too deeply"));
    }
    sonic_rs::from_slice(body).map_err(|_| unreadable("it is not the expected JSON"))
}

/// Whether brackets outside of texts are nested deeper than this. Texts, which are most of an
/// answer, are passed over at once.
fn is_deeper_than(max: usize, mut rest: &[u8]) -> bool {
    let mut depth: usize = 0;
    loop {
        let outside = memchr::memchr(b'"', rest).unwrap_or(rest.len());
        for byte in &rest[..outside] {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > max {
                return true;
            }
        }
        let Some(text) = rest.get(outside + 1..) else { return false };
        let Some(end) = end_of_text(text) else { return false };
        rest = &text[end..];
    }
}

/// Where what follows a text begins.
fn end_of_text(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let next = at + memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[next] == b'"' {
            return Some(next + 1);
        }
        // What is escaped ends nothing.
        at = next + 2;
    }
}

/// Reads an answer of GetRecords.
pub(super) fn records(body: &[u8]) -> Result<Read, ReadError> {
    let answer: RecordsAnswer<'_> = parse(body)?;
    let digits: usize = answer.records.iter().map(|record| record.data.len()).sum();
    let mut data = Vec::with_capacity(digits.div_ceil(4) * 3);
    let mut ends = Vec::with_capacity(answer.records.len());
    for record in &answer.records {
        let text = record.data.as_bytes();
        base64_simd::STANDARD
            .decode_append(text, &mut data)
            .map_err(|_| unreadable("a record's Data is not base64"))?;
        ends.push(data.len());
    }
    let data = Bytes::from(data);
    let mut start = 0;
    let stored = answer.records.into_iter().zip(ends).map(|(record, end)| {
        let piece = data.slice(start..end);
        start = end;
        record.understood(piece)
    });
    let records = stored.collect::<Result<Vec<_>, _>>()?;
    let next = answer.next_shard_iterator.filter(|next| !next.is_empty());
    let children = answer.child_shards.unwrap_or_default();
    let ended = next
        .is_none()
        .then(|| children.into_iter().map(|child| (child.shard_id, child.parent_shards)).collect());
    let millis_behind_latest = answer.millis_behind_latest.unwrap_or(0).max(0);
    let batch = Batch { records, continuation: None, millis_behind_latest, ended };
    Ok(Read { batch, next, data_bytes: data.len() as u64, answer_bytes: body.len() })
}

/// Sequence numbers are decimal, and up to 129 digits long.
fn is_number(text: &str) -> bool {
    (1..=129).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct RecordsAnswer<'a> {
    records: Vec<RecordData<'a>>,
    #[serde(default)]
    next_shard_iterator: Option<String>,
    #[serde(default)]
    millis_behind_latest: Option<i64>,
    #[serde(default)]
    child_shards: Option<Vec<ChildData>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordData<'a> {
    sequence_number: String,
    /// Seconds with a fraction.
    #[serde(default)]
    approximate_arrival_timestamp: Option<f64>,
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(default)]
    partition_key: String,
}

impl RecordData<'_> {
    fn understood(self, data: Bytes) -> Result<StoredRecord, ReadError> {
        if !is_number(&self.sequence_number) {
            return Err(unreadable("a sequence number is no number"));
        }
        let arrival_s = self.approximate_arrival_timestamp.unwrap_or(0.0);
        Ok(StoredRecord {
            sequence_number: self.sequence_number,
            partition_key: self.partition_key,
            arrival_ms: (arrival_s * 1000.0).round() as i64,
            data,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChildData {
    shard_id: String,
    #[serde(default)]
    parent_shards: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct IteratorAnswer {
    pub shard_iterator: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListAnswer {
    pub shards: Vec<ShardData>,
    #[serde(default)]
    pub next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ShardData {
    shard_id: String,
    #[serde(default)]
    parent_shard_id: Option<String>,
    #[serde(default)]
    adjacent_parent_shard_id: Option<String>,
    hash_key_range: HashKeyRange,
    sequence_number_range: SequenceNumberRange,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HashKeyRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceNumberRange {
    #[serde(default)]
    ending_sequence_number: Option<String>,
}

impl ShardData {
    pub fn understood(self) -> Result<Shard, ReadError> {
        let key = |text: &str| text.parse().map_err(|_| unreadable("a hash key is no number"));
        let range = &self.hash_key_range;
        let parents = [self.parent_shard_id, self.adjacent_parent_shard_id];
        Ok(Shard {
            hash_range: (key(&range.starting_hash_key)?, key(&range.ending_hash_key)?),
            id: self.shard_id,
            parents: parents.into_iter().flatten().filter(|id| !id.is_empty()).collect(),
            closed: self.sequence_number_range.ending_sequence_number.is_some(),
        })
    }
}

/// The answer of DescribeStreamSummary, or of DescribeStream.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeAnswer {
    #[serde(default)]
    stream_description_summary: Option<Description>,
    #[serde(default)]
    stream_description: Option<Description>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    #[serde(default, rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(default)]
    stream_status: String,
    #[serde(default)]
    retention_period_hours: Option<u32>,
}

impl DescribeAnswer {
    pub fn understood(self) -> Result<StreamInfo, ReadError> {
        let described = self.stream_description_summary.or(self.stream_description);
        let described = described.ok_or_else(|| unreadable("it describes no stream"))?;
        Ok(StreamInfo {
            arn: described.stream_arn,
            status: described.stream_status,
            retention_hours: described.retention_period_hours,
        })
    }
}
