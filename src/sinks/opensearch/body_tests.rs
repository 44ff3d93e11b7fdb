//! How records become lines, and which do not.

use std::sync::Arc;

use super::{super::tests::options, *};
use crate::{
    record::{Ranges, Route},
    seams::RecordList,
};

fn shipment(records: &[&[u8]], leaves: Vec<Leaf>) -> Shipment {
    let mut body = Vec::new();
    let mut ends = Vec::new();
    for record in records {
        body.extend_from_slice(record);
        ends.push(body.len() as u32);
    }
    Shipment {
        key: "k".into(),
        body: body.into(),
        content_type: "application/json",
        content_encoding: None,
        records: records.len() as u64,
        positions: Ranges::default(),
        route: Route::Objects,
        list: Some(Arc::new(RecordList { ends, leaves })),
    }
}

fn framed(options: &Options, with_ids: bool, records: &[&[u8]], leaves: Vec<Leaf>) -> Bulk {
    let framing = Framing::new(options, "idx-2026", with_ids);
    build(&shipment(records, leaves), &framing, false)
}

fn text(bulk: &Bulk) -> &str {
    std::str::from_utf8(&bulk.body).unwrap()
}

#[test]
fn ids_are_told_by_the_place_of_a_record() {
    let leaves = vec![Leaf::whole(7), Leaf { sequence: u64::MAX, index: u32::MAX, of: 2 }];
    let bulk = framed(&options("http://h"), true, &[b"{\"a\":1}\n", b" {} "], leaves.clone());
    assert_eq!(
        text(&bulk),
        "{\"create\":{\"_index\":\"idx-2026\",\"_id\":\"s1-7\"}}\n{\"a\":1}\n\
         {\"create\":{\"_index\":\"idx-2026\",\"_id\":\
         \"s1-18446744073709551615.4294967295\"}}\n{}\n"
    );
    assert_eq!(bulk.sent, [0, 1]);
    assert_eq!(document_id("s1", leaves[0]), "s1-7");
    assert_eq!(document_id("s1", leaves[1]), "s1-18446744073709551615.4294967295");
}

#[test]
fn without_ids_documents_are_indexed_and_in_data_streams_created() {
    let mut options = options("http://h");
    let line = |options: &Options| {
        let bulk = framed(options, false, &[b"{}"], vec![Leaf::whole(1)]);
        text(&bulk).lines().next().unwrap().to_owned()
    };
    assert_eq!(line(&options), r#"{"index":{"_index":"idx-2026"}}"#);
    options.type_name = Some("a \"type\"".into());
    assert_eq!(line(&options), r#"{"index":{"_index":"idx-2026","_type":"a \"type\""}}"#);
    options.data_stream = true;
    options.type_name = None;
    assert_eq!(line(&options), r#"{"create":{"_index":"idx-2026"}}"#);
}

#[test]
fn line_ends_between_tokens_are_left_out_and_nothing_else() {
    let pretty = b"{\r\n  \"a\": [1,\n\t 2],\n  \"b\": \"x \\n y\"\r}\r\n";
    let bulk = framed(&options("http://h"), false, &[pretty], vec![Leaf::whole(1)]);
    let line = text(&bulk).lines().nth(1).unwrap();
    assert_eq!(line, r#"{"a": [1,2],"b": "x \n y"}"#);
    assert_eq!(text(&bulk).matches('\n').count(), 2);
}

#[test]
fn what_is_no_object_is_put_aside_alone() {
    let deep = "[".repeat(100_000);
    let deep = format!("{{\"a\":{deep}}}");
    let bad: [&[u8]; 11] = [
        b"",
        b"\n",
        b"[]",
        b"\"text\"",
        b"{",
        b"{}{}",
        b"{} {\"delete\":{}}",
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\" 1}",
        deep.as_bytes(),
    ];
    for record in bad {
        let leaves = (1..4).map(Leaf::whole).collect();
        let bulk = framed(&options("http://h"), true, &[b"{}", record, b"{}"], leaves);
        assert_eq!(bulk.sent, [0, 2]);
        let [(1, failure)] = &bulk.unfit[..] else { panic!("{:?}", bulk.unfit) };
        assert_eq!(failure.cause.code, "OS.MalformedData");
        assert_eq!(text(&bulk).matches('\n').count(), 4);
        assert!(text(&bulk).contains("s1-1\"") && text(&bulk).contains("s1-3\""));
    }
}

#[test]
fn the_buffer_is_taken_once() {
    let records: Vec<&[u8]> = vec![b"{\"some\":\"thing\"}"; 1000];
    let framing = Framing::new(&options("http://h"), "idx", true);
    let leaves = (0..1000).map(|at| Leaf { sequence: u64::MAX - at, index: u32::MAX, of: 2 });
    let shipment = shipment(&records, leaves.collect());
    let bulk = build(&shipment, &framing, false);
    assert!(bulk.body.len() <= shipment.body.len() + 1000 * (framing.line_bytes() + 1));
}
