//! Whatever arrives gets an answer; where a strict reader of JSON takes the record, too, it finds
//! the same messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use standpipe::{
    seams::Verdict,
    transform::cloudwatch::{CloudWatchLogs, Member, Options},
};
use standpipe_fuzz::{documents, verdict};

const MEMBERS: [Member; 6] = [
    Member::Id,
    Member::Timestamp,
    Member::LogGroup,
    Member::LogStream,
    Member::Owner,
    Member::SubscriptionFilters,
];

fuzz_target!(|data: &[u8]| {
    let options = |data_message_extraction, metadata: &[Member]| {
        CloudWatchLogs::new(&Options { data_message_extraction, metadata: metadata.to_vec() })
    };
    let documents = documents(data);
    match verdict(&options(false, &[]), data) {
        Verdict::Emit(piece) => assert_eq!(piece.data, data),
        Verdict::Fail(_) => {}
        other => panic!("neither passed on nor failed: {other:?}"),
    }
    let lines = match verdict(&options(true, &[]), data) {
        Verdict::Emit(piece) => Some(piece.data.to_vec()),
        Verdict::Drop => Some(Vec::new()),
        _ => None,
    };
    if let (Some(lines), Some(documents)) = (lines, &documents) {
        let expected: String = messages(documents).map(|text| format!("{text}\n")).collect();
        assert_eq!(lines, expected.into_bytes());
    }
    let objects = verdict(&options(true, &MEMBERS), data);
    if let (Verdict::Emit(piece), Some(documents)) = (objects, &documents) {
        let text = std::str::from_utf8(&piece.data).expect("a part of what is UTF-8");
        let read = |line| serde_json::from_str::<Value>(line).expect("an object a line");
        let found: Vec<Value> = text.lines().map(read).collect();
        assert!(found.iter().all(|object| object.as_object().is_some_and(|o| o.len() == 7)));
        assert!(found.iter().map(|object| &object["message"]).eq(messages(documents)));
    }
});

/// The messages of all data messages.
fn messages(documents: &[Value]) -> impl Iterator<Item = &str> {
    documents
        .iter()
        .filter(|document| document["messageType"] == "DATA_MESSAGE")
        .flat_map(|document| document["logEvents"].as_array().expect("it was taken for a list"))
        .map(|event| event["message"].as_str().expect("it was taken for a string"))
}
