use std::sync::Arc;

use super::*;
use crate::{
    record::{Leaf, Ranges, Route},
    seams::RecordList,
};

fn shipment(records: &[&[u8]]) -> Shipment {
    let mut list = RecordList::default();
    let mut body = Vec::new();
    for (index, record) in records.iter().enumerate() {
        body.extend_from_slice(record);
        list.ends.push(body.len() as u32);
        list.leaves.push(Leaf::whole(index as u64));
    }
    Shipment {
        key: "1f0c0ed2-8a4b-4d35-93b1-5f3f2ab1c8a1".into(),
        body: body.into(),
        content_type: "application/octet-stream",
        content_encoding: None,
        records: records.len() as u64,
        positions: Ranges::of(0, records.len() as u64),
        route: Route::Objects,
        list: Some(Arc::new(list)),
    }
}

fn text(format: BodyFormat, records: &[&[u8]]) -> String {
    let body = build(format, &shipment(records), 1_700_000_000_123).unwrap();
    String::from_utf8(body.bytes.to_vec()).unwrap()
}

#[test]
fn the_envelope_is_firehoses_to_the_byte() {
    let long = vec![b'x'; 100];
    assert_eq!(
        text(BodyFormat::Firehose, &[b"a", b"", b"bc", b"def\n", &long]),
        format!(
            concat!(
                r#"{{"requestId":"1f0c0ed2-8a4b-4d35-93b1-5f3f2ab1c8a1","timestamp":1700000000123,"#,
                r#""records":[{{"data":"YQ=="}},{{"data":""}},{{"data":"YmM="}},{{"data":"ZGVmCg=="}},"#,
                r#"{{"data":"{}"}}]}}"#
            ),
            base64_simd::STANDARD.encode_to_string(&long)
        )
    );
    // Room for it is taken once.
    let records: Vec<&[u8]> = vec![b"abcd"; 1000];
    let body = envelope("id", 7, &records).unwrap();
    let bytes: Vec<u8> = body.bytes.into();
    assert!(bytes.capacity() <= bytes.len() + 1, "{} of {}", bytes.len(), bytes.capacity());
}

#[test]
fn the_protocols_bounds_are_kept() {
    let record: &[u8] = b"";
    assert!(envelope("id", 0, &vec![record; limits::ENDPOINT_RECORDS_MAX]).is_ok());
    let error = envelope("id", 0, &vec![record; limits::ENDPOINT_RECORDS_MAX + 1]).err().unwrap();
    assert!(matches!(error, Fault::TooLarge { .. }), "{error:?}");
    // 48 MiB are 64 MiB in base64, without what stands around them.
    let large = vec![0; limits::ENDPOINT_BODY_BYTES_MAX / 4 * 3];
    let error = envelope("id", 0, &[&large]).err().unwrap();
    assert!(matches!(error, Fault::TooLarge { .. }), "{error:?}");
    let body = envelope("id", 0, &[&large[..large.len() - 60]]).unwrap();
    assert!(body.bytes.len() <= limits::ENDPOINT_BODY_BYTES_MAX);
}

#[test]
fn lines_hold_a_record_each() {
    for (record, line) in [
        (&b"{\"a\":1}"[..], "{\"a\":1}\n"),
        (b"{\"a\":1}\n", "{\"a\":1}\n"),
        (b"{\"a\":1}\r\n", "{\"a\":1}\n"),
        (b"{ \"a\": 1 }", "{ \"a\": 1 }\n"),
        (b"{\n  \"a b\": [1,\r\n\t\"x \\\" y\\\\\"]\n}\n", "{\"a b\":[1,\"x \\\" y\\\\\"]}\n"),
        (b"{\n\"a\":\n", "{\n\"a\":\n"),
        (b"plain\ntext\n", "plain\ntext\n"),
        (b"text\n\n", "text\n\n"),
        (b"", ""),
        (b"\n", ""),
    ] {
        assert_eq!(text(BodyFormat::Ndjson, &[record]), line);
    }
    assert_eq!(text(BodyFormat::Ndjson, &[b"1", b"2\n", b"3"]), "1\n2\n3\n");
}

#[test]
fn an_array_holds_what_is_json_and_the_rest_is_refused() {
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let records: [&[u8]; 9] = [
        b"{\"a\":1}\n",
        b"no",
        b" [2] ",
        b"{\"a\":1}{\"a\":2}",
        b"",
        b"\"\xff\"",
        b"\"line\nbreak\"",
        &deep,
        b"null",
    ];
    let body = build(BodyFormat::JsonArray, &shipment(&records), 0).unwrap();
    let refused: Vec<_> = body.rejected.iter().map(|(index, _)| *index).collect();
    assert_eq!((body.records, &refused[..]), (4, &[1, 3, 4, 5, 6][..]));
    let expected = format!("[{{\"a\":1}},[2],{},null]", String::from_utf8(deep).unwrap());
    assert_eq!(body.bytes, expected);
    let failure = &body.rejected[0].1;
    assert_eq!(failure.output_type, "http-endpoint-failed");
    assert!(!failure.cause.message.contains("no\n"));

    let body = build(BodyFormat::JsonArray, &shipment(&[b"no"]), 0).unwrap();
    assert_eq!((body.records, &body.bytes[..]), (0, &b"[]"[..]));
}

#[test]
fn raw_bodies_are_the_shipment_itself() {
    let shipment = shipment(&[b"a", b"\n", b"b"]);
    let body = build(BodyFormat::Raw, &shipment, 0).unwrap();
    assert_eq!(body.bytes.as_ptr(), shipment.body.as_ptr());
    assert_eq!(body.bytes.len(), 3);
}

#[test]
fn what_has_no_list_is_one_record() {
    let shipment = Shipment { list: None, ..shipment(&[b"abc"]) };
    let body = build(BodyFormat::Firehose, &shipment, 0).unwrap();
    assert!(body.bytes.ends_with(br#""records":[{"data":"YWJj"}]}"#));
}

proptest::proptest! {
    #[test]
    fn compacted_json_means_the_same(json in proptest::string::string_regex(
        "(\\{\n? \"[a-z\\\\\" ]{0,5}\":\t[0-9\"a \\\\]{0,6}\r\n\\}|[\\[\\]\",\\\\a1\n ]{0,20})"
    ).unwrap()) {
        if is_json(json.as_bytes()) {
            let before: serde_json::Value = serde_json::from_str(&json).unwrap();
            let mut compacted = Vec::new();
            compact(json.as_bytes(), &mut compacted);
            let after: serde_json::Value = serde_json::from_slice(&compacted).unwrap();
            proptest::prop_assert_eq!(before, after);
            proptest::prop_assert!(!compacted.contains(&b'\n'));
        }
    }
}
