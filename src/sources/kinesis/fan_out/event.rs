//! The events of a subscription: frames of AWS's event stream encoding around JSON.

use std::borrow::Cow;

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::{HeaderValue, Message};
use bytes::{Buf, BytesMut};
use serde::Deserialize;

use crate::{
    limits,
    sources::kinesis::{Batch, StoredRecord},
};

/// What a frame says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Batch(Batch),
    /// The subscription ends with this error.
    Error {
        name: String,
        message: String,
    },
    /// Something that asks for nothing, such as the answer to the request itself.
    Other,
}

/// Why bytes are no event. The texts hold nothing of the bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("an event has {0} bytes, more than {max}", max = limits::FAN_OUT_EVENT_BYTES_MAX)]
    TooLarge(usize),
    #[error("a frame of the event stream is damaged: {0}")]
    Frame(String),
    #[error("an event has no type")]
    NoType,
    #[error("an event is not the JSON that it should be, at byte {0}")]
    Json(usize),
    #[error("the data of a record is not base64")]
    NotBase64,
}

/// Takes the next event off the buffer, once it is there whole.
pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Event>, Unreadable> {
    let Some(mut length) = buffer.get(..size_of::<u32>()) else { return Ok(None) };
    let length = length.get_u32() as usize;
    if length > limits::FAN_OUT_EVENT_BYTES_MAX {
        return Err(Unreadable::TooLarge(length));
    }
    // A frame of less than its own frame is for the decoder to refuse.
    if buffer.len() < length.max(size_of::<u32>()) {
        return Ok(None);
    }
    let frame = buffer.split_to(length).freeze();
    let message = read_message_from(frame).map_err(|error| Unreadable::Frame(error.to_string()))?;
    read(&message).map(Some)
}

fn read(message: &Message) -> Result<Event, Unreadable> {
    let header = |name: &str| {
        let found = message.headers().iter().find(|header| header.name().as_str() == name)?;
        match found.value() {
            HeaderValue::String(text) => Some(text.as_str()),
            _ => None,
        }
    };
    match header(":message-type").ok_or(Unreadable::NoType)? {
        "event" if header(":event-type") == Some("SubscribeToShardEvent") => {
            batch(message.payload()).map(Event::Batch)
        }
        "exception" => {
            let name = header(":exception-type").ok_or(Unreadable::NoType)?.to_owned();
            let said =
                serde_json::from_slice(message.payload()).unwrap_or_else(|_| Said::default());
            Ok(Event::Error { name, message: said.message })
        }
        "error" => {
            let text = |name| header(name).unwrap_or_default().to_owned();
            Ok(Event::Error { name: text(":error-code"), message: text(":error-message") })
        }
        _ => Ok(Event::Other),
    }
}

#[derive(Default, Deserialize)]
struct Said {
    #[serde(default, alias = "Message")]
    message: String,
}

/// SubscribeToShardEvent.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told<'a> {
    #[serde(borrow, default)]
    records: Option<Vec<Record<'a>>>,
    #[serde(default)]
    continuation_sequence_number: Option<String>,
    #[serde(default)]
    millis_behind_latest: Option<i64>,
    #[serde(default)]
    child_shards: Option<Vec<Child>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    sequence_number: String,
    partition_key: String,
    #[serde(borrow)]
    data: Cow<'a, str>,
    /// In seconds, with decimals.
    #[serde(default)]
    approximate_arrival_timestamp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Child {
    shard_id: String,
    #[serde(default)]
    parent_shards: Vec<String>,
}

fn batch(payload: &[u8]) -> Result<Batch, Unreadable> {
    let told: Told<'_> =
        serde_json::from_slice(payload).map_err(|error| Unreadable::Json(error.column()))?;
    let records =
        told.records.unwrap_or_default().into_iter().map(stored).collect::<Result<_, _>>()?;
    // The last event of a shard names what follows, and no place to go on from.
    let number = told.continuation_sequence_number;
    let ended = told.child_shards.filter(|children| !children.is_empty() || number.is_none()).map(
        |children| {
            children.into_iter().map(|child| (child.shard_id, child.parent_shards)).collect()
        },
    );
    let continuation = number.filter(|number| is_a_place(number));
    let millis_behind_latest = told.millis_behind_latest.unwrap_or(0);
    Ok(Batch { records, continuation, millis_behind_latest, ended })
}

/// Whether a subscription can begin behind it: `0` is how some say that there was nothing yet.
fn is_a_place(number: &str) -> bool {
    let fits = (1..=129).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    fits && number != "0"
}

fn stored(record: Record<'_>) -> Result<StoredRecord, Unreadable> {
    let text = record.data.as_bytes();
    let data = base64_simd::STANDARD
        .decode_to_vec(text)
        .or_else(|_| base64_simd::forgiving_decode_to_vec(text))
        .map_err(|_| Unreadable::NotBase64)?;
    Ok(StoredRecord {
        sequence_number: record.sequence_number,
        partition_key: record.partition_key,
        arrival_ms: (record.approximate_arrival_timestamp.unwrap_or(0.0) * 1000.0).round() as i64,
        data: data.into(),
    })
}
