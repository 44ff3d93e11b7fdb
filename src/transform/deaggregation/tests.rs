use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::record::Position;

const OPEN: u8 = b'{';

fn verdict(how: SubRecords, data: &[u8]) -> Verdict {
    let mut record = Record {
        position: Position::START,
        arrival_ms: 0,
        data: Bytes::copy_from_slice(data),
        notes: Default::default(),
    };
    record.notes.edit().event_ms = Some(7);
    let verdicts = futures::executor::block_on(Deaggregation::new(how).apply(&[record]));
    let [verdict] = verdicts.try_into().unwrap();
    verdict
}

/// The pieces, or `None` if the record goes on as it came.
fn pieces(how: SubRecords, data: &[u8]) -> Option<Vec<Bytes>> {
    let pieces = match verdict(how, data) {
        Verdict::Emit(piece) if piece.data == data => return None,
        Verdict::Emit(piece) => vec![piece],
        Verdict::Split(pieces) => {
            assert!(pieces.len() > 1);
            pieces
        }
        other => panic!("{other:?}"),
    };
    assert!(pieces.iter().all(|piece| piece.notes.get().unwrap().event_ms == Some(7)));
    Some(pieces.into_iter().map(|piece| piece.data).collect())
}

fn json(data: &str) -> Option<Vec<Bytes>> {
    pieces(SubRecords::Json, data.as_bytes())
}

fn delimited(delimiter: &str, data: &str) -> Option<Vec<Bytes>> {
    pieces(SubRecords::Delimited(delimiter.into()), data.as_bytes())
}

#[test]
fn objects_are_told_apart() {
    for data in [
        r#"{"a":1}{"b":[2,{"c":"}"}]}"#,
        "{\"a\":1}\n{\"b\":[2,{\"c\":\"}\"}]}\n",
        " \r\n{\"a\":1}\t \n\n{\"b\":[2,{\"c\":\"}\"}]}  ",
    ] {
        assert_eq!(json(data).unwrap(), [r#"{"a":1}"#, r#"{"b":[2,{"c":"}"}]}"#], "{data}");
    }
    let quotes = r#"{"a\"}{":"\\"}{"b":"\\\"{[é"}"#;
    assert_eq!(json(quotes).unwrap(), [r#"{"a\"}{":"\\"}"#, r#"{"b":"\\\"{[é"}"#]);
    assert_eq!(json("{}{}").unwrap(), ["{}", "{}"]);
}

#[test]
fn one_object_loses_the_white_space_around_it() {
    assert_eq!(json(" {\"a\": 1}\n").unwrap(), ["{\"a\": 1}"]);
    assert_eq!(json("{\"a\": 1}"), None);
}

#[test]
fn what_is_not_objects_goes_on_whole() {
    for data in [
        "",
        " \n",
        "[{\"a\":1},{\"b\":2}]",
        "1 2",
        "\"{}\"",
        "{\"a\":1},{\"b\":2}",
        "{}[]{}",
        "{}x",
        "{\"a\":1}{\"b\":",
        "{\"a\":1}{\"b\":\"",
        "{\"a\":1}{\"b\\",
        "{\"a\":1}{\"b\":\"\\",
        "}{",
    ] {
        assert_eq!(json(data), None, "{data}");
    }
}

#[test]
fn depth_is_only_counted() {
    let deep = format!("{}{}", "{\"a\":[".repeat(100_000), "]}".repeat(100_000));
    assert_eq!(json(&format!("{deep}{deep}")).unwrap(), [deep.as_str(), deep.as_str()]);
    assert_eq!(json(&"{".repeat(1_000_000)), None);
}

#[test]
fn five_hundred_are_taken_apart_and_more_are_not() {
    let max = limits::SUB_RECORDS_MAX;
    for (how, one) in
        [(SubRecords::Json, "{\"a\":1}\n"), (SubRecords::Delimited(b"\n".to_vec()), "x\n")]
    {
        let full = one.repeat(max);
        let one = Bytes::from(one.trim());
        assert_eq!(pieces(how.clone(), full.as_bytes()).unwrap(), vec![one.clone(); max]);
        let over = full + std::str::from_utf8(&one).unwrap();
        assert_eq!(pieces(how, over.as_bytes()), None);
    }
}

#[test]
fn delimiters_go_and_so_does_what_is_empty() {
    assert_eq!(delimited("\n", "a\n\nb\n").unwrap(), ["a", "b"]);
    assert_eq!(delimited("####", "a#####b####").unwrap(), ["a", "#b"]);
    assert_eq!(delimited("aa", "aaaaa").unwrap(), ["a"]);
    assert_eq!(delimited("|", "a|").unwrap(), ["a"]);
    assert_eq!(delimited("|", "a"), None);
    assert_eq!(delimited("|", ""), None);
    assert_eq!(delimited("|", "||"), None, "nothing to take apart is nothing to lose");
    assert_eq!(delimited("", "ab"), None);
    let full = "x".repeat(limits::SUB_RECORDS_MAX);
    let empties = full.chars().map(|c| format!("{c},,")).collect::<String>();
    assert_eq!(delimited(",", &empties).unwrap().len(), limits::SUB_RECORDS_MAX);
}

#[test]
fn pieces_share_the_memory_of_the_record() {
    let data = Bytes::from_static(b"{\"a\":1}{\"b\":2}");
    let record = Record {
        position: Position::START,
        arrival_ms: 0,
        data: data.clone(),
        notes: Default::default(),
    };
    let transform = Deaggregation::new(SubRecords::Json);
    let verdicts = futures::executor::block_on(transform.apply(&[record]));
    let [Verdict::Split(pieces)] = &verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!(pieces[1].data.as_ptr(), data[7..].as_ptr());
}

#[test]
fn the_delimiter_parameter_is_base64() {
    assert_eq!(delimiter_from_base64("Cg=="), Ok(b"\n".to_vec()));
    assert_eq!(delimiter_from_base64("IyMjIw=="), Ok(b"####".to_vec()));
    assert_eq!(delimiter_from_base64(" /+8= "), Ok(vec![0xff, 0xef]));
    for wrong in ["Cg", "C=g=", "###", "_-8="] {
        assert_eq!(delimiter_from_base64(wrong), Err(DelimiterError::NotBase64), "{wrong}");
    }
    assert_eq!(delimiter_from_base64(""), Err(DelimiterError::Empty));
    let long = base64_simd::STANDARD.encode_to_string([b'x'; limits::DELIMITER_BYTES_MAX + 1]);
    assert_eq!(delimiter_from_base64(&long), Err(DelimiterError::TooLong(65)));
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[\"\\\\{}\\[\\]\n]{0,6}".prop_map(Into::into),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into), object(inner),]
    })
}

fn object(
    inner: impl Strategy<Value = serde_json::Value>,
) -> impl Strategy<Value = serde_json::Value> {
    prop::collection::vec((any::<String>(), inner), 0..5)
        .prop_map(|members| serde_json::Value::Object(members.into_iter().collect()))
}

proptest! {
    #[test]
    fn joined_objects_come_apart_again(
        objects in prop::collection::vec(object(value()), 2..8),
        space in "[ \r\n\t]{0,3}",
    ) {
        let texts: Vec<String> = objects.iter().map(ToString::to_string).collect();
        prop_assert_eq!(json(&texts.join(&space)).unwrap(), texts);
    }

    #[test]
    fn pieces_and_delimiters_are_all_there_is(
        data in "[ab|]{0,40}", delimiter in "[ab|]{1,3}",
    ) {
        let expected: Vec<&str> = data.split(&delimiter).filter(|part| !part.is_empty()).collect();
        match delimited(&delimiter, &data) {
            Some(pieces) => prop_assert_eq!(pieces, expected),
            None => prop_assert!(expected.is_empty() || expected == [&data[..]]),
        }
    }

    #[test]
    fn pieces_and_white_space_are_all_there_is(data in "[{}\\[\\]\" \n\\\\a]{0,40}") {
        let Some(pieces) = json(&data) else { return Ok(()) };
        let mut rest = data.as_bytes();
        for piece in &pieces {
            rest = rest.trim_ascii_start();
            rest = rest.strip_prefix(&piece[..]).expect("pieces come in order, without gaps");
            prop_assert!(piece.first() == Some(&OPEN), "an object begins with a brace");
        }
        prop_assert!(rest.trim_ascii().is_empty());
    }

    #[test]
    fn any_bytes_get_an_answer(data in prop::collection::vec(any::<u8>(), 0..200)) {
        for how in [SubRecords::Json, SubRecords::Delimited(data.iter().take(2).copied().collect())] {
            verdict(how, &data);
        }
    }
}
