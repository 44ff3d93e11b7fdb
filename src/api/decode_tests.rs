use proptest::prelude::*;

use super::*;

fn batch(body: &str) -> Result<Decoded, ApiError> {
    decode(PutKind::Batch, body.as_bytes())
}

fn one(body: &str) -> Result<Decoded, ApiError> {
    decode(PutKind::One, body.as_bytes())
}

fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

fn batch_of(records: &[Vec<u8>]) -> String {
    let records: Vec<_> =
        records.iter().map(|record| format!("{{\"Data\":\"{}\"}}", base64(record))).collect();
    format!("{{\"DeliveryStreamName\":\"s\",\"Records\":[{}]}}", records.join(","))
}

fn put_of(records: &[&[u8]]) -> Put {
    let mut put = Put::default();
    records.iter().for_each(|record| put.push(record));
    put
}

#[test]
fn members_in_any_order_with_strangers_and_space_are_read() {
    let plain = put_of(&[b"ab", b"", b"\x00\xff\n"]);
    for body in [
        r#"{"DeliveryStreamName":"s","Records":[{"Data":"YWI="},{"Data":""},{"Data":"AP8K"}]}"#,
        r#"{"Records":[{"Data":"YWI="},{"Data":""},{"Data":"AP8K"}],"DeliveryStreamName":"s"}"#,
        " {\n\"Records\" : [ { \"Data\"\t: \"YWI=\" } , {\"Data\":\"\"}, {\"Data\":\"AP8K\"} ] ,\r\n \"DeliveryStreamName\" : \"s\" } \n",
        r#"{"More":{"a":[1,-2,3.5e9,null,true,"x\"y"],"Records":[]},"DeliveryStreamName":"s","Records":[{"x":[],"Data":"YWI="},{"Data":"","y":{}},{"Data":"AP8K"}]}"#,
        r#"{"DeliveryStreamName":"\u0073","Records":[{"Dat\u0061":"Y\u0057I="},{"Data":""},{"Data":"AP8K"}]}"#,
        r#"{"DeliveryStreamName":"t","Records":[{"Data":"YWI="}],"DeliveryStreamName":"s","Records":[{"Data":"eHg=","Data":"YWI="},{"Data":""},{"Data":"AP8K"}]}"#,
    ] {
        let decoded = batch(body).unwrap_or_else(|error| panic!("{error}: {body}"));
        assert_eq!(decoded, Decoded { stream: "s".into(), put: plain.clone() }, "{body}");
    }
    let decoded = one(r#"{"Record":{"Data":"YWI="},"DeliveryStreamName":"s"}"#).unwrap();
    assert_eq!(decoded.put, put_of(&[b"ab"]));
    // A slash may be escaped, and some libraries do.
    let decoded = one(r#"{"DeliveryStreamName":"s","Record":{"Data":"\/\/8="}}"#).unwrap();
    assert_eq!(decoded.put, put_of(&[b"\xff\xff"]));
}

#[test]
fn what_is_not_a_put_is_a_serialization_error() {
    let deep = format!(
        r#"{{"x":{}{},"DeliveryStreamName":"s","Records":[]}}"#,
        "[".repeat(1_000_000),
        "]".repeat(1_000_000)
    );
    let open = format!(r#"{{"x":{}"#, r#"{"a":"#.repeat(1_000_000));
    for body in [
        "",
        "null",
        "[]",
        "\"x\"",
        "{",
        r#"{"DeliveryStreamName":"s","Records":[{"Data":"YWI="}]"#,
        r#"{"DeliveryStreamName":"s","Records":[{"Data":"YWI="}]}}"#,
        r#"{"DeliveryStreamName":"s","Records":[{"Data":"YWI="},]}"#,
        r#"{"DeliveryStreamName":"s","Records":{"Data":"YWI="}}"#,
        r#"{"DeliveryStreamName":"s","Records":["YWI="]}"#,
        r#"{"DeliveryStreamName":"s","Records":[{"Data":5}]}"#,
        r#"{"DeliveryStreamName":"s","Records":[{"Data":["YWI="]}]}"#,
        r#"{"DeliveryStreamName":5,"Records":[{"Data":"YWI="}]}"#,
        &deep,
        &open,
    ] {
        let error = batch(body).unwrap_err();
        assert_eq!((error.kind, error.status), ("SerializationException", 400), "{body:.80}");
    }
    let error = decode(PutKind::Batch, b"{\"DeliveryStreamName\":\"\xff\"}").unwrap_err();
    assert_eq!(error.kind, "SerializationException");
}

#[test]
fn base64_is_read_strictly_and_not_repeated_in_the_answer() {
    for text in ["YWI", "YWJ=", "YW I=", "YWI=\\n", "YW-_", "=", "Y", "YWI=YWI=", "secret!"] {
        let body = format!(r#"{{"DeliveryStreamName":"s","Records":[{{"Data":"{text}"}}]}}"#);
        let error = batch(&body).unwrap_err();
        assert_eq!(error.kind, "SerializationException", "{text}");
        assert!(error.message.starts_with("a record's Data is not valid base64"), "{error}");
        assert!(!error.message.contains(text) || text.len() < 4, "{error}");
    }
}

#[test]
fn violations_are_gathered_in_the_services_words() {
    let cases = [
        (
            batch(r#"{"DeliveryStreamName":"s","Records":[{"Data":null}]}"#),
            "1 validation error detected: Value at 'records.1.member.data' failed to satisfy constraint: Member must not be null",
        ),
        (
            batch(r#"{"DeliveryStreamName":"s","Records":[{"Data":""},null,{}]}"#),
            "2 validation errors detected: Value at 'records.2.member' failed to satisfy constraint: Member must not be null; Value at 'records.3.member.data' failed to satisfy constraint: Member must not be null",
        ),
        (
            batch("{}"),
            "2 validation errors detected: Value at 'deliveryStreamName' failed to satisfy constraint: Member must not be null; Value at 'records' failed to satisfy constraint: Member must not be null",
        ),
        (
            batch(r#"{"DeliveryStreamName":"s","Records":[]}"#),
            "1 validation error detected: Value at 'records' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            one(r#"{"DeliveryStreamName":"s","Record":{}}"#),
            "1 validation error detected: Value at 'record.data' failed to satisfy constraint: Member must not be null",
        ),
        (
            one(r#"{"DeliveryStreamName":null,"Record":null}"#),
            "2 validation errors detected: Value at 'deliveryStreamName' failed to satisfy constraint: Member must not be null; Value at 'record' failed to satisfy constraint: Member must not be null",
        ),
        (
            one(r#"{"DeliveryStreamName":"","Record":{"Data":""}}"#),
            "2 validation errors detected: Value at 'deliveryStreamName' failed to satisfy constraint: Member must have length greater than or equal to 1; Value at 'deliveryStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
        (
            one(r#"{"DeliveryStreamName":"a/b","Record":{"Data":""}}"#),
            "1 validation error detected: Value at 'deliveryStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
    ];
    for (result, message) in cases {
        assert_eq!(result.unwrap_err(), ApiError::validation(message));
    }
    let named =
        |name: &str| one(&format!(r#"{{"DeliveryStreamName":"{name}","Record":{{"Data":""}}}}"#));
    assert!(named(&"a".repeat(64)).is_ok());
    let error = named(&"a".repeat(65)).unwrap_err();
    assert!(error.message.contains("less than or equal to 64"), "{error}");
}

#[test]
fn limits_hold_to_the_byte() {
    let full = vec![7; RECORD_BYTES_MAX];
    assert!(batch(&batch_of(std::slice::from_ref(&full))).is_ok());
    let over = vec![7; RECORD_BYTES_MAX + 1];
    assert_eq!(
        batch(&batch_of(&[vec![], over])).unwrap_err(),
        ApiError::validation(
            "1 validation error detected: Value at 'records.2.member.data' failed to satisfy constraint: Member must have length less than or equal to 1024000"
        )
    );
    assert!(batch(&batch_of(&vec![vec![]; 500])).is_ok());
    let error = batch(&batch_of(&vec![vec![]; 501])).unwrap_err();
    assert!(error.message.contains(
        "'records' failed to satisfy constraint: Member must have length less than or equal to 500"
    ));
    let rest = BATCH_BYTES_MAX - 4 * RECORD_BYTES_MAX;
    let records = |last: usize| {
        let mut records = vec![full.clone(); 4];
        records.push(vec![1; last]);
        batch_of(&records)
    };
    let decoded = batch(&records(rest)).unwrap();
    assert_eq!(decoded.put.data.len(), BATCH_BYTES_MAX);
    assert_eq!(
        batch(&records(rest + 1)).unwrap_err(),
        ApiError::invalid_argument("Records size exceeds 4 MB limit")
    );
}

#[test]
fn many_violations_do_not_make_a_huge_answer() {
    let body = format!(r#"{{"Records":[{}null]}}"#, "null,".repeat(499));
    assert!(batch(&body).unwrap_err().message.len() < 2000);
    let body =
        format!(r#"{{"DeliveryStreamName":"s","Records":[{}{{}}]}}"#, "{},".repeat(1_000_000));
    assert!(batch(&body).unwrap_err().message.len() < 200);
}

const PIECES: [&str; 14] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\"Records\":[",
    "\"Record\":",
    "\"DeliveryStreamName\":\"s\"",
    "{\"Data\":\"eA==\"}",
    "{ \"Data\" : \"eHh4\" }",
    "{\"Data\":\"e\\u0041==\"}",
    "null",
];

#[test]
fn the_usual_shapes_take_the_fast_way() {
    for body in [
        r#"{"DeliveryStreamName":"s","Records":[{"Data":"YWI="},{"Data":""},{"Data":"AP8K"}]}"#,
        r#"{"DeliveryStreamName": "s", "Records": [{"Data": "YWI="}, {"Data": ""}, {"Data": "AP8K"}]}"#,
        r#"{"Records":[{"Data":"YWI="},{"Data":""},{"Data":"AP8K"}],"DeliveryStreamName":"s"}"#,
    ] {
        let state = read_usual(PutKind::Batch, body.as_bytes()).expect(body);
        assert_eq!(state.put, put_of(&[b"ab", b"", b"\x00\xff\n"]));
        assert_eq!(read_any(PutKind::Batch, body.as_bytes()), Ok(state));
    }
    let one = br#"{"DeliveryStreamName":"s","Record":{"Data":"YWI="}}"#;
    assert_eq!(read_usual(PutKind::One, one).map(|s| s.put), Some(put_of(&[b"ab"])));
}

proptest! {
    #[test]
    fn any_bytes_survive(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..40)) {
        let decoded = batch(&batch_of(&records)).unwrap();
        let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(decoded.put, put_of(&slices));
    }

    /// Bodies put together from pieces, whole or damaged at one place: what the fast reader takes,
    /// the general one takes with the same outcome.
    #[test]
    fn both_readers_agree(
        pieces in prop::collection::vec(0..PIECES.len(), 0..14),
        is_usual in any::<bool>(),
        lengths in prop::collection::vec(0usize..80, 1..6),
        damage in prop::option::of((0usize..400, any::<u8>())),
        kind in prop_oneof![Just(PutKind::One), Just(PutKind::Batch)],
    ) {
        let mut body = if is_usual {
            let records: Vec<_> = lengths.iter().map(|&length| vec![b'q'; length]).collect();
            batch_of(&records).into_bytes()
        } else {
            pieces.iter().flat_map(|&piece| PIECES[piece].bytes()).collect()
        };
        if let Some((at, byte)) = damage && at < body.len() {
            body[at] = byte;
        }
        if let Some(fast) = read_usual(kind, &body) {
            prop_assert_eq!(Ok(fast), read_any(kind, &body));
        } else if is_usual && kind == PutKind::Batch {
            prop_assert!(damage.is_some(), "the usual shape was not recognised");
        }
    }

    #[test]
    fn nonsense_never_panics(body in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..120) {
        let _ = decode(PutKind::Batch, &body);
        let whole = batch_of(&[b"hello".to_vec(), vec![0; 40]]);
        let cut = &whole.as_bytes()[..cut.min(whole.len() - 1)];
        prop_assert!(decode(PutKind::Batch, cut).is_err());
    }
}
