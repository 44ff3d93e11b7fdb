//! Frames and what is in them.

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use serde_json::json;

use super::double::{event, frame};
use crate::{
    limits,
    sources::kinesis::{
        Batch, StoredRecord,
        fan_out::event::{Event, Unreadable, take},
    },
};

fn only(bytes: &[u8]) -> Result<Event, Unreadable> {
    let mut buffer = BytesMut::from(bytes);
    let event = take(&mut buffer)?.expect("it is whole");
    assert!(buffer.is_empty());
    Ok(event)
}

fn batch(told: serde_json::Value) -> Result<Batch, Unreadable> {
    match only(&event(&told))? {
        Event::Batch(batch) => Ok(batch),
        other => panic!("{other:?}"),
    }
}

#[test]
fn events_are_taken_as_their_bytes_come_in() {
    let told = json!({"Records": [
        {"SequenceNumber": "1", "PartitionKey": "\u{e4}\n", "Data": "AP8="},
        {"SequenceNumber": "2", "PartitionKey": "k", "Data": "AP8",
         "ApproximateArrivalTimestamp": 1_795_279_572.644, "Unknown": {}},
    ], "ContinuationSequenceNumber": "3", "MillisBehindLatest": 5, "ChildShards": null});
    let record = |sequence_number: &str, partition_key: &str, arrival_ms| StoredRecord {
        sequence_number: sequence_number.into(),
        partition_key: partition_key.into(),
        arrival_ms,
        data: vec![0, 255].into(),
    };
    let expected = Event::Batch(Batch {
        records: vec![record("1", "\u{e4}\n", 0), record("2", "k", 1_795_279_572_644)],
        continuation: Some("3".into()),
        millis_behind_latest: 5,
        ended: None,
    });
    let bytes = [event(&told), frame(&[(":message-type", "event")], "")].concat();
    let mut buffer = BytesMut::new();
    let mut taken = Vec::new();
    for byte in bytes {
        buffer.put_u8(byte);
        taken.extend(take(&mut buffer).unwrap());
    }
    assert_eq!(taken, [expected, Event::Other]);
    assert!(buffer.is_empty());
}

#[test]
fn the_end_of_a_shard_is_told_from_a_shard_with_nothing_in_it() {
    let children = json!([{"ShardId": "a", "ParentShards": ["p", "q"]}, {"ShardId": "b"}]);
    let named = vec![("a".to_owned(), vec!["p".into(), "q".into()]), ("b".to_owned(), vec![])];
    for (told, continuation, ended) in [
        (json!({"ChildShards": children}), None, Some(named.clone())),
        (
            json!({"ChildShards": children, "ContinuationSequenceNumber": "7"}),
            Some("7"),
            Some(named),
        ),
        (json!({"ChildShards": []}), None, Some(vec![])),
        (json!({"ChildShards": [], "ContinuationSequenceNumber": "7"}), Some("7"), None),
        (json!({"ChildShards": [], "ContinuationSequenceNumber": "0"}), None, None),
        (json!({"ChildShards": null, "ContinuationSequenceNumber": "0"}), None, None),
        (json!({"ContinuationSequenceNumber": "x", "Records": null}), None, None),
        (json!({}), None, None),
    ] {
        let batch = batch(told.clone()).unwrap();
        assert_eq!((batch.continuation.as_deref(), batch.ended), (continuation, ended), "{told}");
    }
}

#[test]
fn what_is_no_event_is_refused() {
    let with = |length: u32| [&length.to_be_bytes()[..], &[0; 20]].concat();
    for length in [0, 1, 3, 4, 11, 12, 15, 16, 20] {
        let refused = only(&with(length));
        assert!(matches!(refused, Err(Unreadable::Frame(_))), "{length}: {refused:?}");
    }
    let max = limits::FAN_OUT_EVENT_BYTES_MAX;
    let refused = only(&with(max as u32 + 1));
    assert_eq!(refused, Err(Unreadable::TooLarge(max + 1)));
    assert_eq!(take(&mut BytesMut::from(&with(max as u32)[..])), Ok(None));

    assert_eq!(only(&frame(&[], "{}")), Err(Unreadable::NoType));
    assert_eq!(only(&frame(&[(":message-type", "exception")], "")), Err(Unreadable::NoType));
    let of = |payload| {
        let headers = [(":message-type", "event"), (":event-type", "SubscribeToShardEvent")];
        only(&frame(&headers, payload))
    };
    for payload in ["", "7", "{\"Records\":[{}]}", "{\"Records\":7}"] {
        assert!(matches!(of(payload), Err(Unreadable::Json(_))), "{payload}");
    }
    let record = json!({"SequenceNumber": "1", "PartitionKey": "k", "Data": "secret!"});
    let refused = batch(json!({"Records": [record]})).unwrap_err();
    assert_eq!(refused, Unreadable::NotBase64);
    let error =
        |name: &str, message: &str| Ok(Event::Error { name: name.into(), message: message.into() });
    let exception = [(":message-type", "exception"), (":exception-type", "E")];
    assert_eq!(only(&frame(&exception, r#"{"Message":"m"}"#)), error("E", "m"));
    assert_eq!(only(&frame(&exception, "<html>")), error("E", ""));
    assert_eq!(only(&frame(&[(":message-type", "error")], "")), error("", ""));
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused_without_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let _ = take(&mut BytesMut::from(&bytes[..]));
        let mut bent = event(&json!({"Records": [], "ContinuationSequenceNumber": "7"}));
        let at = at.index(bent.len());
        if bent[at] != byte {
            bent[at] = byte;
            prop_assert!(!matches!(take(&mut BytesMut::from(&bent[..])), Ok(Some(_))));
        }
    }
}
