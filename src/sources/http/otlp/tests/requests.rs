//! What requests become, in both encodings.

use proptest::prelude::*;
use prost::Message;
use serde_json::{Map, Value, json};

use super::{
    super::{answer::Encoding, record::Batch, *},
    messages::{self, *},
};

/// The documents of a request.
fn documents(encoding: Encoding, request: &[u8]) -> Result<Vec<String>, String> {
    let batch = read(encoding, request).map_err(|why| why.to_string())?;
    assert_eq!(batch.rejected, None);
    let mut documents = Vec::new();
    for part in batch.records.into_parts() {
        let mut rest = &part.data[..];
        for &length in &part.lengths {
            let (document, after) = rest.split_at(length as usize);
            documents.push(String::from_utf8(document.to_vec()).unwrap());
            rest = after;
        }
    }
    Ok(documents)
}

/// The request that `request.json` stands for.
fn example() -> ExportLogsServiceRequest {
    let array = |values| Kind::Array(ArrayValue { values });
    let map = |values| Kind::Map(KeyValueList { values });
    let attributes = vec![
        pair("string.attribute", text("some string")),
        pair("boolean.attribute", Kind::Bool(true)),
        pair("int.attribute", Kind::Int(-10)),
        pair("large", Kind::Int(i64::MAX)),
        pair("double.attribute", Kind::Double(637.704)),
        pair("nan", Kind::Double(f64::NAN)),
        pair(
            "array.attribute",
            array(vec![text("many"), Kind::Int(1).into(), AnyValue::default()]),
        ),
        pair(
            "map.attribute",
            map(vec![pair("some.map.key", text("v")), pair("empty", map(Vec::new()))]),
        ),
        pair("bytes", Kind::Bytes(vec![0, 1, 255])),
        KeyValue { key: "nothing".into(), value: None },
        pair("boolean.attribute", Kind::Bool(false)),
    ];
    let full = LogRecord {
        time_unix_nano: 1_544_712_660_300_000_000,
        observed_time_unix_nano: 1_544_712_660_300_000_001,
        severity_number: 10,
        severity_text: "Information".into(),
        event_name: "my.event".into(),
        body: Some(text("Example \"log\"\né")),
        attributes,
        dropped_attributes_count: 2,
        flags: 1,
        trace_id: hex::decode("5b8efff798038103d269b633813fc60c").unwrap(),
        span_id: hex::decode("eee19b7ec3c1b174").unwrap(),
        unknown: "passed over".into(),
    };
    let body = map(vec![pair("a", array(Vec::new()))]);
    let second = LogRecord { body: Some(body.into()), ..LogRecord::default() };
    let scope = InstrumentationScope {
        name: "my.library".into(),
        version: "1.0.0".into(),
        attributes: vec![pair("my.scope.attribute", text("some scope attribute"))],
        dropped_attributes_count: 3,
    };
    let logs =
        ScopeLogs { scope: Some(scope), log_records: vec![full, second], ..Default::default() };
    let resource = Resource {
        attributes: vec![pair("service.name", text("my.service"))],
        dropped_attributes_count: 1,
    };
    let first = ResourceLogs {
        resource: Some(resource),
        scope_logs: vec![logs],
        schema_url: "https://opentelemetry.io/schemas/1.27.0".into(),
    };
    let zeros = LogRecord { trace_id: vec![0; 16], ..LogRecord::default() };
    let mut request = messages::request(vec![LogRecord::default(), zeros]);
    request.resource_logs.insert(0, first);
    request
}

#[test]
fn both_encodings_become_the_same_documents() {
    let expected: Vec<&str> = include_str!("records.jsonl").lines().collect();
    let protobuf = documents(Encoding::Protobuf, &example().encode_to_vec());
    assert_eq!(protobuf.unwrap(), expected);
    // Values of JSON stand as they were sent, escapes and all; here they are read once more.
    let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let json = documents(Encoding::Json, include_bytes!("request.json")).unwrap();
    let json: Vec<Value> = json.iter().map(|line| read(line)).collect();
    assert_eq!(json, expected.iter().map(|line| read(line)).collect::<Vec<_>>());
}

/// The only document of a request in JSON with this one record.
fn one(record: &str) -> Result<String, String> {
    let request = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#);
    documents(Encoding::Json, request.as_bytes()).map(|documents| documents.concat())
}

#[test]
fn json_is_read_generously() {
    for (record, expected) in [
        (r#"{"body":{"stringValue":"\ud800\/"}}"#, r#"{"body":"\ud800\/"}"#),
        (r#"{"body":{"doubleValue":1e999}}"#, r#"{"body":1e999}"#),
        (r#"{"body":{"doubleValue":"1.5"}}"#, r#"{"body":1.5}"#),
        (r#"{"body":{"doubleValue":"-Infinity"}}"#, r#"{"body":"-Infinity"}"#),
        (r#"{"body":{"intValue":"9223372036854775808"}}"#, r#"{"body":"9223372036854775808"}"#),
        (r#"{"body":{"intValue":"+1"}}"#, r#"{"body":"+1"}"#),
        (r#"{"body":{"intValue":"01"}}"#, r#"{"body":"01"}"#),
        (r#"{"body":{"stringValue":null,"intValue":5,"boolValue":true}}"#, r#"{"body":5}"#),
        (r#"{"body":{"future":{}}}"#, r#"{"body":null}"#),
        (r#"{"\u0062ody":{"boolValue":false}}"#, r#"{"body":false}"#),
        (
            r#"{"timeUnixNano":"18446744073709551615"}"#,
            r#"{"timeUnixNano":"18446744073709551615"}"#,
        ),
        (r#"{"timeUnixNano":1.5e18}"#, r#"{"timeUnixNano":"1500000000000000000"}"#),
        (r#"{"severityNumber":"9","flags":null}"#, r#"{"severityNumber":9}"#),
        (r#"{"attributes":[{"key":"a"}],"attributes":[]}"#, "{}"),
        (
            r#"{"attributes":[{"key":"a","value":{"arrayValue":{}}},{"value":{}}]}"#,
            r#"{"attributes":{"a":[],"":null}}"#,
        ),
    ] {
        assert_eq!(one(record).as_deref(), Ok(expected), "{record}");
    }
}

#[test]
fn json_of_the_wrong_kind_is_refused_by_name() {
    for (record, expected) in [
        ("1", r#""a log record" is not an object"#),
        (r#"{"body":"text"}"#, r#""a value" is not an object"#),
        (r#"{"body":{"boolValue":1}}"#, r#""boolValue" is not true or false"#),
        (r#"{"body":{"intValue":true}}"#, r#""intValue" is not a number"#),
        (r#"{"body":{"arrayValue":[]}}"#, r#""arrayValue" is not an object"#),
        (r#"{"attributes":{"a":1}}"#, r#""attributes" is not an array"#),
        (r#"{"attributes":[{"key":1}]}"#, r#""key" is not a string"#),
        (r#"{"timeUnixNano":-1}"#, r#""timeUnixNano" is not a whole number in its range"#),
        (r#"{"timeUnixNano":1.5}"#, r#""timeUnixNano" is not a whole number in its range"#),
        (r#"{"traceId":"xyz"}"#, r#""traceId" is not a string of hexadecimal digits"#),
        (
            r#"{"severityNumber":"SEVERITY_NUMBER_INFO"}"#,
            r#""severityNumber" is not a whole number in its range"#,
        ),
        (r#"{"flags":,}"#, "the body is no JSON from byte 55 on"),
    ] {
        assert_eq!(one(record), Err(expected.to_owned()), "{record}");
    }
    assert!(documents(Encoding::Json, b"{} tail").unwrap_err().contains("byte 3"));
    assert!(documents(Encoding::Json, b"[]").unwrap_err().contains("not an object"));
}

#[test]
fn texts_that_are_no_utf8_are_mended() {
    // LogRecord{severity_text: "a\xff"}, wrapped twice in field 2 and once in field 1.
    let record = b"\x1a\x02a\xff";
    let mut request = vec![0x0a, 8, 0x12, 6, 0x12, 4];
    request.extend_from_slice(record);
    let documents = documents(Encoding::Protobuf, &request).unwrap();
    assert_eq!(documents, ["{\"severityText\":\"a\u{fffd}\"}"]);
}

#[test]
fn a_large_resource_is_not_repeated_without_end() {
    let mut request = messages::request(vec![LogRecord::default(); 10_000]);
    let resource = |size| Resource {
        attributes: vec![pair("a", text(&"x".repeat(size)))],
        dropped_attributes_count: 0,
    };
    request.resource_logs[0].resource = Some(resource(1_000_000));
    let refused = documents(Encoding::Protobuf, &request.encode_to_vec()).unwrap_err();
    assert!(refused.contains("send smaller batches"), "{refused}");
    request.resource_logs[0].resource = Some(resource(2_000_000));
    let batch = read(Encoding::Protobuf, &request.encode_to_vec()).unwrap();
    assert_eq!(batch.rejected.map(|(count, _)| count), Some(10_000));
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Kind::String),
        any::<bool>().prop_map(Kind::Bool),
        any::<i64>().prop_map(Kind::Int),
        any::<f64>().prop_map(Kind::Double),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(Kind::Bytes),
    ];
    let leaf = prop::option::of(leaf).prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 24, 5, |inner| {
        let pairs = prop::collection::btree_map("[a-c\"é]{0,3}", inner.clone(), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..5)
                .prop_map(|values| Kind::Array(ArrayValue { values }).into()),
            pairs.prop_map(|pairs| {
                let values = pairs.into_iter().map(|(key, value)| pair(&key, value)).collect();
                Kind::Map(KeyValueList { values }).into()
            }),
        ]
    })
}

/// What a value should become.
fn plain(value: &AnyValue) -> Value {
    match &value.value {
        None => Value::Null,
        Some(Kind::String(text)) => json!(text),
        Some(Kind::Bool(truth)) => json!(truth),
        Some(Kind::Int(number)) => json!(number),
        Some(Kind::Double(number)) if number.is_nan() => json!("NaN"),
        Some(Kind::Double(number)) if *number == f64::INFINITY => json!("Infinity"),
        Some(Kind::Double(number)) if number.is_infinite() => json!("-Infinity"),
        Some(Kind::Double(number)) => json!(number),
        Some(Kind::Bytes(bytes)) => json!(base64_simd::STANDARD.encode_to_string(bytes)),
        Some(Kind::Array(array)) => array.values.iter().map(plain).collect(),
        Some(Kind::Map(map)) => {
            let member = |pair: &KeyValue| {
                (pair.key.clone(), pair.value.as_ref().map_or(Value::Null, plain))
            };
            Value::Object(map.values.iter().map(member).collect::<Map<_, _>>())
        }
    }
}

/// The value in OTLP's JSON.
fn mapped(value: &AnyValue) -> Value {
    match &value.value {
        None => json!({}),
        Some(Kind::String(text)) => json!({"stringValue": text}),
        Some(Kind::Bool(truth)) => json!({"boolValue": truth}),
        Some(Kind::Int(number)) => json!({"intValue": number.to_string()}),
        Some(Kind::Double(_)) => json!({"doubleValue": plain(value)}),
        Some(Kind::Bytes(_)) => json!({"bytesValue": plain(value)}),
        Some(Kind::Array(array)) => {
            let values: Value = array.values.iter().map(mapped).collect();
            json!({"arrayValue": {"values": values}})
        }
        Some(Kind::Map(map)) => {
            let member = |pair: &KeyValue| json!({"value": pair.value.as_ref().map(mapped), "key": pair.key});
            let values: Value = map.values.iter().map(member).collect();
            json!({"kvlistValue": {"values": values}})
        }
    }
}

proptest! {
    #[test]
    fn values_become_plain_json(value in any_value()) {
        // Read as the documents are: not every double survives that reader to its last bit.
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let expected = read(&json!({"body": plain(&value)}).to_string());
        let record = LogRecord { body: Some(value.clone()), ..LogRecord::default() };
        let request = messages::request(vec![record]).encode_to_vec();
        let document = documents(Encoding::Protobuf, &request).unwrap().concat();
        prop_assert_eq!(read(&document), expected.clone());
        let document = one(&json!({"body": mapped(&value)}).to_string()).unwrap();
        prop_assert_eq!(read(&document), expected);
    }

    #[test]
    fn a_damaged_request_never_makes_a_damaged_document(
        at in 0usize..700, byte in any::<u8>(), cut in 0usize..700,
    ) {
        for (encoding, mut request) in [
            (Encoding::Protobuf, example().encode_to_vec()),
            (Encoding::Json, include_bytes!("request.json").to_vec()),
        ] {
            let place = at * request.len() / 700;
            request[place] = byte;
            request.truncate(request.len() - cut % 50);
            let Ok(batch) = read(encoding, &request) else { continue };
            check(batch)?;
        }
    }

    #[test]
    fn garbage_is_refused_or_read(request in prop::collection::vec(any::<u8>(), 0..200)) {
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            if let Ok(batch) = read(encoding, &request) {
                check(batch)?;
            }
        }
    }
}

/// Every document is one.
fn check(batch: Batch) -> Result<(), TestCaseError> {
    for part in batch.records.into_parts() {
        let mut rest = &part.data[..];
        for &length in &part.lengths {
            let (document, after) = rest.split_at(length as usize);
            prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(document).is_ok());
            rest = after;
        }
    }
    Ok(())
}
