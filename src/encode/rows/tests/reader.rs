//! The reader as a whole: records, the rest, what is not known, bounds.

use serde_json::json;

use super::{super::OptionsError, *};
use crate::limits;
use HiveType::{Decimal, Int, String};

fn reader(schema: &TableSchema, unknown: Unknown) -> RowReader {
    RowReader::new(schema, &openx(), unknown).unwrap()
}

fn message(reader: &mut RowReader, record: &[u8]) -> std::string::String {
    let failure = reader.read(record).unwrap_err();
    assert_eq!(failure.output_type, "format-conversion-failed");
    format!("{}: {}", failure.cause.code, failure.cause.message)
}

#[test]
fn records_hold_objects_only() {
    let mut reader = reader(&table(&[("a", Int)]), Unknown::Drop);
    assert_eq!(reader.read(b"{\"a\":1}{\"a\":2} \r\n {}\n"), Ok(3));
    for (record, expected) in [
        (&b""[..], "The record is empty: unexpected end at byte 0"),
        (b" \n", "The record is empty: unexpected end at byte 2"),
        (b"[{\"a\":1}]", "Expected an object at byte 0"),
        (b"{} 5", "Expected an object at byte 3"),
        (b"{},{}", "Expected an object at byte 2"),
        (b"{\"a\":1", "Unexpected end at byte 6"),
        (b"{\"a\":1}{\"a\"", "Unexpected end at byte 11"),
        (b"{\"b\":1,}", "Expected a key in double quotes at byte 7"),
        (b"{'b':1}", "Expected a key in double quotes at byte 1"),
        (b"{\"b\":01}", "Leading zeros in a number at byte 7"),
        (b"{\"b\":1.}", "Expected a digit at byte 7"),
        (b"{\"b\":+1}", "Expected a value at byte 5"),
        (b"{\"b\":nul}", "Unrecognized token at byte 5"),
        (b"{\"b\":\"\\x\"}", "Unrecognized character escape at byte 6"),
        (b"{\"b\":\"\\u12g4\"}", "Illegal unicode escape at byte 6"),
        (b"{\"b\":\"a\tb\"}", "Illegal unquoted control character at byte 7"),
        (b"{\"b\":\"abc", "Unexpected end in a string at byte 9"),
        (b"{\"b\":\"\xFF\"}", "Invalid UTF-8 at byte 6"),
        (b"{\"b\" 1}", "Expected ':' at byte 5"),
        (b"{\"b\":[1 2]}", "Expected ',' or ']' at byte 8"),
        (b"{\"b\":1 2}", "Expected ',' or '}' at byte 7"),
    ] {
        assert_eq!(
            message(&mut reader, record),
            format!("DataFormatConversion.ParseError: Encountered malformed JSON. {expected}")
        );
    }
    assert_eq!(show::rows(&reader.take()), [json!({"a":1}), json!({"a":2}), json!({"a":null})]);
}

#[test]
fn one_object_that_fails_takes_the_record_with_it() {
    let schema = table(&[("a", array(Int)), ("b", structure(&[("c", String)]))]);
    let mut reader = reader(&schema, Unknown::Drop);
    reader.read(b"{\"a\":[1,2],\"b\":{\"c\":\"x\"}}").unwrap();
    let bytes = reader.bytes();
    let message =
        message(&mut reader, b"{\"a\":[3]}\n{\"b\":{\"c\":\"yyy\"},\"a\":[4,null,\"z\"]}");
    assert_eq!(
        message,
        "DataFormatConversion.MalformedData: Data does not match the schema. \
         For input string: \"z\" (column `a[]`, int, value \"z\")"
    );
    assert_eq!((reader.rows(), reader.bytes()), (1, bytes));
    assert_eq!(show::rows(&reader.take()), [json!({"a": [1, 2], "b": {"c": "x"}})]);
    assert_eq!(reader.read(b"{}"), Ok(1));
    assert_eq!(show::rows(&reader.take()), [json!({"a": null, "b": null})]);
}

#[test]
fn long_values_are_shortened_in_messages() {
    let mut reader = reader(&table(&[("a", Int)]), Unknown::Drop);
    let message = message(&mut reader, format!("{{\"a\":\"{}\"}}", "é".repeat(500)).as_bytes());
    assert!(message.contains(&format!("For input string: \"{}...\"", "é".repeat(80))), "{message}");
    assert!(message.ends_with(&format!("value \"{}...)", "é".repeat(79))), "{message}");
}

#[test]
fn members_that_are_no_column_are_kept_if_wanted() {
    let schema = table(&[("a", Int), ("s", structure(&[("x", Int)]))]);
    let mut reader = reader(&schema, Unknown::Rest);
    let record = br#"{"B" : [1, {"C": 1.50}], "a":1, "s":{"x":1,"y":2}, "d\u00E9":"\n" }{"a":2}"#;
    assert_eq!(reader.read(record), Ok(2));
    reader.read(b"{\"zz\":1,\"a\":\"oops\"}").unwrap_err();
    assert_eq!(reader.read(b"{\"zz\":{}}"), Ok(1));
    let batch = reader.take();
    assert_eq!(batch.schema(), *reader.schema());
    assert_eq!(batch.schema().fields().last().unwrap().name(), "_rest");
    assert_eq!(
        show::rows(&batch),
        [
            json!({"a":1, "s":{"x":1}, "_rest":"{\"b\":[1,{\"c\":1.50}],\"d\u{e9}\":\"\\n\"}"}),
            json!({"a":2, "s":null, "_rest":null}),
            json!({"a":null, "s":null, "_rest":"{\"zz\":{}}"}),
        ]
    );
    let unknown: Vec<_> = reader.unknown().into_iter().collect();
    let expected = [("b", 1), ("d\u{e9}", 1), ("s.y", 1), ("zz", 2)];
    assert_eq!(unknown, expected.map(|(name, count)| (name.to_owned(), count)));

    let mut exact = RowReader::new(&schema, &exact_case(), Unknown::Rest).unwrap();
    exact.read(br#"{"B":{"C":1},"A\"":2}"#).unwrap();
    assert_eq!(show::rows(&exact.take())[0]["_rest"], json!(r#"{"B":{"C":1},"A\"":2}"#));
}

#[test]
fn unknown_names_are_counted_with_their_paths_and_bounded() {
    let inner = structure(&[("x", Int)]);
    let schema = table(&[("l", array(inner.clone())), ("m", map(String, inner))]);
    let mut reader = reader(&schema, Unknown::Drop);
    reader.read(br#"{"l":[{"p":1},{"P":2}],"m":{"k":{"x":1,"q":null}}}"#).unwrap();
    let expected = [("l[].p", 2), ("m{}.q", 1)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(reader.unknown().into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(reader.unknown_beyond(), 0);

    for n in 0..2 * limits::ROWS_UNKNOWN_NAMES {
        reader.read(format!("{{\"n{n}\":1}}").as_bytes()).unwrap();
    }
    reader.read(format!("{{\"{}\":1}}", "n".repeat(600)).as_bytes()).unwrap();
    assert_eq!(reader.unknown().len(), limits::ROWS_UNKNOWN_NAMES);
    let beyond = limits::ROWS_UNKNOWN_NAMES as u64 + 1;
    assert_eq!(reader.unknown_beyond(), beyond);
    // Columns are still found, in any spelling.
    reader.read(br#"{"n1":2,"L":[{"\u0078":7}]}"#).unwrap();
    assert_eq!(show::rows(&reader.take()).last().unwrap()["l"], json!([{"x": 7}]));
}

#[test]
fn nesting_and_size_are_bounded() {
    let mut reader = reader(&table(&[("s", String), ("l", array(Int))]), Unknown::Drop);
    let nested = |key: &str, depth: usize| {
        format!("{{\"{key}\":{}1{}}}", "[".repeat(depth), "]".repeat(depth))
    };
    for key in ["s", "other"] {
        assert_eq!(reader.read(nested(key, 127).as_bytes()), Ok(1));
        let message = message(&mut reader, nested(key, 128).as_bytes());
        assert!(message.contains("More than 128 levels of nesting at byte"), "{message}");
    }
    message(&mut reader, "[".repeat(1_000_000).as_bytes());
    message(&mut reader, format!("{{\"o\":{}", "[".repeat(1_000_000)).as_bytes());

    let names: Vec<_> = (0..1000).map(|n| format!("f{n}")).collect();
    let wide: Vec<_> = names.iter().map(|name| (name.as_str(), Int)).collect();
    let mut reader =
        RowReader::new(&table(&[("l", array(structure(&wide)))]), &openx(), Unknown::Drop).unwrap();
    let many = |count: usize| format!("{{\"l\":[{}{{}}]}}", "{},".repeat(count));
    assert_eq!(reader.read(many(100).as_bytes()), Ok(1));
    let values = reader.values();
    assert!(values > 100_000, "{values}");
    let message = message(&mut reader, many(10_000).as_bytes());
    assert!(message.ends_with("The record unfolds into too many values"), "{message}");
    assert_eq!(reader.values(), values, "of records that fit");
    assert_eq!(reader.take().num_rows(), 1);
    assert_eq!(reader.values(), 0);
}

#[test]
fn no_columns_are_rows_nevertheless() {
    let mut reader = reader(&table(&[("s", structure(&[]))]), Unknown::Drop);
    assert_eq!(reader.read(b"{\"s\":{}}{}"), Ok(2));
    assert_eq!(show::rows(&reader.take()), [json!({"s": {}}), json!({"s": null})]);
    let mut none = RowReader::new(&table(&[]), &openx(), Unknown::Drop).unwrap();
    assert_eq!(none.read(b"{}{}"), Ok(2));
    assert_eq!(none.take().num_rows(), 2);
}

#[test]
fn options_and_schemas_that_cannot_be_are_refused() {
    let mapped = |mappings: &[(&str, &str)]| {
        let mappings = mappings.iter().map(|&(column, key)| (column.into(), key.into()));
        Deserializer::OpenxJson(OpenxJson {
            column_to_json_key_mappings: mappings.collect(),
            ..OpenxJson::default()
        })
    };
    let made = |schema: TableSchema, options: Deserializer| {
        RowReader::new(&schema, &options, Unknown::Rest).map(drop).unwrap_err()
    };
    let column = |name: &str| name.to_owned();
    assert_eq!(
        made(table(&[("a", Int)]), mapped(&[("b", "x")])),
        OptionsError::NoSuchColumn { column: column("b") }
    );
    assert_eq!(
        made(table(&[("a", Int), ("b", Int)]), mapped(&[("b", "A")])),
        OptionsError::SameKey { column: column("b") }
    );
    assert_eq!(
        made(table(&[("s", structure(&[("x", Int), ("X", Int)]))]), openx()),
        OptionsError::SameKey { column: column("s.X") }
    );
    let deep = (0..limits::ROWS_TYPE_DEPTH_MAX).fold(Int, |of, _| array(of));
    assert_eq!(made(table(&[("d", deep)]), openx()), OptionsError::TooDeep { column: column("d") });
    assert_eq!(
        made(table(&[("m", map(array(Int), Int))]), openx()),
        OptionsError::MapKey { column: column("m") }
    );
    assert_eq!(
        made(table(&[("d", Decimal { precision: 39, scale: 0 })]), openx()),
        OptionsError::Decimal { column: column("d") }
    );
    assert_eq!(made(table(&[("_rest", Int)]), openx()), OptionsError::RestColumn);
}
