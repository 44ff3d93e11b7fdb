use std::{
    collections::HashMap as Map,
    io::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use apache_avro::{Schema, to_avro_datum, types::Value as Avro};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{
    avro::{Unfit, to_json},
    plan::{Plan, SchemaError},
    *,
};
use crate::{
    fault::Fault,
    net::{
        aws_double::{AwsDouble, Reply},
        glue::tests::access,
    },
    record::Position,
    retry::Policy,
};

fn plan(schema: &Value) -> Plan {
    Plan::read(&schema.to_string(), &[]).unwrap()
}

fn decoded(schema: &Value, record: &[u8]) -> Result<Value, Unfit> {
    let document = to_json(&plan(schema), record)?;
    Ok(serde_json::from_slice(&document).unwrap())
}

/// What another implementation writes.
fn encoded(schema: &Value, value: Avro) -> Vec<u8> {
    to_avro_datum(&Schema::parse_str(&schema.to_string()).unwrap(), value).unwrap()
}

fn order_schema() -> Value {
    json!({
        "type": "record", "name": "Order", "namespace": "shop", "doc": "x",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "note", "type": ["null", "string"], "default": null},
            {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "SENT"]}},
            {"name": "was", "type": "State"},
            {"name": "tags", "type": {"type": "array", "items": "string"}},
            {"name": "counts", "type": {"type": "map", "values": "int"}},
            {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 2}},
            {"name": "blob", "type": "bytes"},
            {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "ratio", "type": "double"},
            {"name": "part", "type": "float"},
            {"name": "ok", "type": "boolean"},
            {"name": "next", "type": ["null", "Order"]},
        ],
    })
}

fn order(id: i64, next: Option<Avro>) -> Avro {
    let field = |name: &str, value| (name.to_owned(), value);
    let next = match next {
        None => Avro::Union(0, Box::new(Avro::Null)),
        Some(order) => Avro::Union(1, Box::new(order)),
    };
    let price = apache_avro::Decimal::from([0xcf, 0xc7]);
    Avro::Record(vec![
        field("id", Avro::Long(id)),
        field("note", Avro::Union(1, Box::new(Avro::String("a\"é\n".into())))),
        field("state", Avro::Enum(1, "SENT".into())),
        field("was", Avro::Enum(0, "NEW".into())),
        field("tags", Avro::Array(vec![Avro::String("x".into()), Avro::String(String::new())])),
        field("counts", Avro::Map(Map::from([("k".to_owned(), Avro::Int(-7))]))),
        field("hash", Avro::Fixed(2, vec![0, 255])),
        field("blob", Avro::Bytes(vec![1, 2, 3])),
        field("price", Avro::Decimal(price)),
        field("at", Avro::TimestampMillis(1_700_000_000_123)),
        field("ratio", Avro::Double(0.1)),
        field("part", Avro::Float(0.1)),
        field("ok", Avro::Boolean(true)),
        field("next", next),
    ])
}

fn order_json(id: i64, next: Value) -> Value {
    json!({
        "id": id, "note": "a\"é\n", "state": "SENT", "was": "NEW", "tags": ["x", ""],
        "counts": {"k": -7}, "hash": "AP8=", "blob": "AQID", "price": -123.45,
        "at": 1_700_000_000_123_i64, "ratio": 0.1, "part": 0.1, "ok": true, "next": next,
    })
}

#[test]
fn records_of_another_implementation_are_read() {
    let record = encoded(&order_schema(), order(i64::MIN, Some(order(i64::MAX, None))));
    let expected = order_json(i64::MIN, order_json(i64::MAX, Value::Null));
    assert_eq!(decoded(&order_schema(), &record), Ok(expected));
}

#[test]
fn values_are_written_as_in_a_table() {
    for (schema, record, expected) in [
        (json!("null"), &b""[..], "null"),
        (json!({"type": "string"}), b"\x02a", "\"a\""),
        (json!({"type": {"type": "int"}}), b"\x01", "-1"),
        (
            json!(["null", {"type": "array", "items": "null"}]),
            b"\x02\x04\x03\x02\0",
            "[null,null,null,null]",
        ),
        (json!("float"), b"\0\0\xc0\x7f", "\"NaN\""),
        (json!("double"), b"\0\0\0\0\0\0\xf0\xff", "\"-Infinity\""),
        (
            json!({"type": "fixed", "name": "d", "size": 12, "logicalType": "duration"}),
            b"\x01\0\0\0\x02\0\0\0\xff\xff\xff\xff",
            r#"{"months":1,"days":2,"milliseconds":4294967295}"#,
        ),
        (
            json!({"type": "fixed", "name": "u", "size": 16, "logicalType": "uuid"}),
            &[0x11; 16],
            "\"11111111-1111-1111-1111-111111111111\"",
        ),
        (
            json!({"type": "fixed", "name": "n", "size": 2, "logicalType": "decimal", "scale": 1}),
            b"\xff\xff",
            "-0.1",
        ),
        (json!({"type": "bytes", "logicalType": "decimal", "scale": -1}), b"\x02a", "\"YQ==\""),
        (json!({"type": "record", "name": "e", "fields": []}), b"", "{}"),
    ] {
        let document = to_json(&plan(&schema), record);
        assert_eq!(document.map(|d| String::from_utf8(d).unwrap()).as_deref(), Ok(expected));
    }
    assert_eq!(Plan::read(" string ", &[]), Plan::read("\"string\"", &[]));
}

#[test]
fn names_are_found_in_their_namespaces() {
    let address =
        r#"{"type":"record","name":"a.b.Address","fields":[{"name":"zip","type":"int"}]}"#;
    let person = r#"{"type":"record","name":"Person","namespace":"a.b","fields":[
        {"name":"home","type":"Address"},{"name":"work","type":"a.b.Address"}]}"#;
    let plan = Plan::read(person, &[address.to_owned()]).unwrap();
    let document = to_json(&plan, b"\x02\x04").unwrap();
    assert_eq!(document, br#"{"home":{"zip":1},"work":{"zip":2}}"#);
    for (schema, error) in [
        ("{", SchemaError::Json),
        ("\"Unknown\"", SchemaError::Unknown("Unknown".into())),
        ("{}", SchemaError::Malformed),
        (r#"{"type":"enum","name":"e","symbols":[1]}"#, SchemaError::Malformed),
        (r#"{"type":"record","fields":[]}"#, SchemaError::Malformed),
        (r#"{"type":"fixed","name":"f","size":-1}"#, SchemaError::Malformed),
    ] {
        assert_eq!(Plan::read(schema, &[]), Err(error), "{schema}");
    }
    let deep = format!("{}\"int\"{}", "[".repeat(120), "]".repeat(120));
    assert_eq!(Plan::read(&deep, &[]), Err(SchemaError::TooDeep));
}

#[test]
fn what_a_record_claims_takes_no_memory() {
    let array = |items: Value| json!({"type": "array", "items": items});
    // 2^62 items of a block.
    let many = b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01";
    for (schema, record, error) in [
        (array(json!("null")), &many[..], Unfit::TooLarge),
        (array(json!("int")), many, Unfit::Short),
        (json!("bytes"), many, Unfit::Short),
        (json!("bytes"), b"\x01", Unfit::Value),
        (json!("boolean"), b"\x02", Unfit::Value),
        (json!("int"), b"\x80\x80\x80\x80\x20", Unfit::Value),
        (json!("long"), &[0xff; 10], Unfit::Value),
        (json!(["null"]), b"\x02", Unfit::Value),
        (json!("string"), b"\x02\xff", Unfit::Utf8),
        (json!("int"), b"\x02\x02", Unfit::Left),
        (json!("int"), b"", Unfit::Short),
        (
            json!({"type": "record", "name": "r", "fields": [{"name": "r", "type": "r"}]}),
            b"",
            Unfit::TooDeep,
        ),
    ] {
        assert_eq!(decoded(&schema, record), Err(error), "{schema}");
    }
    let linked =
        json!({"type": "record", "name": "l", "fields": [{"name": "l", "type": ["null", "l"]}]});
    assert_eq!(decoded(&linked, &[2; 100_000]), Err(Unfit::TooDeep));
}

proptest! {
    #[test]
    fn garbage_is_refused_or_becomes_json(record in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(document) = to_json(&plan(&order_schema()), &record) {
            prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&document).is_ok());
        }
        if let Some(framed) = Framed::of(&record) {
            // Whatever it says, it must not panic.
            drop(framed.payload());
        }
    }

    #[test]
    fn longs_and_texts_survive(long in any::<i64>(), text in any::<String>()) {
        let record = encoded(&json!("long"), Avro::Long(long));
        prop_assert_eq!(decoded(&json!("long"), &record), Ok(json!(long)));
        let record = encoded(&json!("string"), Avro::String(text.clone()));
        prop_assert_eq!(decoded(&json!("string"), &record), Ok(json!(text)));
    }
}

/// A registry: answers by the path, or the body's version id, and counts the questions.
struct Double {
    url: String,
    questions: Arc<AtomicUsize>,
    heads: Arc<parking_lot::Mutex<Vec<String>>>,
}

/// A status and a body for what a request begins with or holds; the first that fits, and if its
/// first status is to be given once only, the next time the one behind it.
type Script = Vec<(&'static str, Vec<(u16, Value)>)>;

impl Double {
    async fn start(mut script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let questions = Arc::new(AtomicUsize::new(0));
        let heads = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let (count, log) = (questions.clone(), heads.clone());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = Vec::new();
                let text = loop {
                    let mut piece = [0; 4096];
                    let read = socket.read(&mut piece).await.unwrap_or(0);
                    request.extend_from_slice(&piece[..read]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                        !head.starts_with("POST") || body.trim_end().ends_with('}')
                    });
                    if whole || read == 0 {
                        break text;
                    }
                };
                count.fetch_add(1, Ordering::SeqCst);
                let answers = script.iter_mut().find(|(part, _)| text.contains(part));
                let (status, body) = match answers {
                    Some((_, answers)) if answers.len() > 1 => answers.remove(0),
                    Some((_, answers)) => answers[0].clone(),
                    None => (404, json!({"error_code": 40403})),
                };
                log.lock().push(text);
                let body = body.to_string();
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        Self { url, questions, heads }
    }

    fn transform(&self, more: &str) -> SchemaRegistry {
        let yaml = format!("{{confluent: {{url: '{}'{more}}}}}", self.url);
        let transform = SchemaRegistry::new(&serde_yaml::from_str(&yaml).unwrap(), access());
        let mut transform = transform.unwrap();
        let wait = Duration::from_millis(1);
        transform.registry.backoff = Policy::forever(wait, wait);
        transform
    }
}

fn records(data: &[Vec<u8>]) -> Vec<Record> {
    let record = |(index, data): (usize, &Vec<u8>)| Record {
        position: Position::new(0, index as u64),
        arrival_ms: 0,
        data: data.clone().into(),
        notes: Default::default(),
    };
    data.iter().enumerate().map(record).collect()
}

fn framed(id: u32, payload: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), payload].concat()
}

/// What became of each: the document, or the code.
fn ends(verdicts: Vec<Verdict>) -> Vec<Result<String, String>> {
    let end = |verdict| match verdict {
        Verdict::Emit(piece) => Ok(String::from_utf8(piece.data.to_vec()).unwrap()),
        Verdict::Fail(failure) => {
            assert_eq!(failure.output_type, PROCESSING_FAILED);
            Err(failure.cause.code)
        }
        other => panic!("{other:?}"),
    };
    verdicts.into_iter().map(end).collect()
}

#[tokio::test]
async fn records_are_decoded_with_the_schemas_of_a_registry() {
    let outer = r#"{"type":"record","name":"O","fields":[{"name":"i","type":"x.I"}]}"#;
    let inner = r#"{"type":"record","name":"x.I","fields":[{"name":"a","type":"int"}]}"#;
    let reference = json!([{"name": "x.I", "subject": "x/I", "version": 2}]);
    let double = Double::start(vec![
        ("GET /schemas/ids/1 ", vec![(200, json!({"schema": "\"long\""}))]),
        ("GET /schemas/ids/2 ", vec![(200, json!({"schema": "{}", "schemaType": "JSON"}))]),
        ("GET /schemas/ids/3 ", vec![(200, json!({"schema": "", "schemaType": "PROTOBUF"}))]),
        ("GET /schemas/ids/4 ", vec![(200, json!({"schema": outer, "references": reference}))]),
        ("GET /subjects/x%2FI/versions/2 ", vec![(200, json!({"schema": inner}))]),
        ("GET /schemas/ids/5 ", vec![(200, json!({"schema": "\"nonsense\""}))]),
    ])
    .await;
    let transform = double.transform(", username: u, password: p");
    let sent = records(&[
        framed(1, b"\x04"),
        framed(2, b"{ \"as\": 1e999 }"),
        framed(3, b"x"),
        framed(4, b"\x06"),
        framed(5, b"x"),
        framed(6, b"x"),
        framed(1, b"\x04\x04"),
        framed(1, b"\x02"),
        b"{\"plain\":1}".to_vec(),
        [&[3, 0][..], &[0; 20]].concat(),
    ]);
    let err = |code: &str| Err(format!("SchemaRegistry.{code}"));
    let expected = [
        Ok("2".to_owned()),
        Ok("{ \"as\": 1e999 }".to_owned()),
        err("UnsupportedFormat"),
        Ok("{\"i\":{\"a\":3}}".to_owned()),
        err("InvalidSchema"),
        err("UnknownSchema"),
        err("InvalidPayload"),
        Ok("1".to_owned()),
        err("NoHeader"),
        err("NoRegistry"),
    ];
    assert_eq!(ends(transform.apply(&sent).await), expected);
    assert_eq!(ends(transform.apply(&sent).await), expected);
    assert_eq!(double.questions.load(Ordering::SeqCst), 7, "each was asked for once");
    let basic = format!("basic {}", base64_simd::STANDARD.encode_to_string("u:p")).to_lowercase();
    assert!(double.heads.lock().iter().all(|head| head.to_lowercase().contains(&basic)));
}

#[derive(Default)]
struct Heard {
    codes: parking_lot::Mutex<Vec<String>>,
    successes: AtomicUsize,
}

impl Observer for Heard {
    fn attempt_failed(&self, fault: &Fault, _attempts: u32, _wait: Duration) {
        let kind = if matches!(fault, Fault::Halt { .. }) { "halt" } else { "retry" };
        self.codes.lock().push(format!("{kind} {}", fault.cause().code));
    }

    fn attempt_succeeded(&self) {
        self.successes.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_registry_in_trouble_holds_the_records() {
    let double = Double::start(vec![(
        "/schemas/ids/1 ",
        vec![
            (500, json!({"error_code": 50001})),
            (401, json!({"error_code": 401})),
            (404, json!({"message": "another server"})),
            (200, json!("not what was asked for")),
            (200, json!({"schema": "\"int\""})),
        ],
    )])
    .await;
    let heard = Arc::new(Heard::default());
    let transform = double.transform("").observed(heard.clone());
    let verdicts = transform.apply(&records(&[framed(1, b"\x02")])).await;
    assert_eq!(ends(verdicts), [Ok("1".to_owned())]);
    let expected = [
        "retry SchemaRegistry.Unavailable",
        "halt SchemaRegistry.AccessDenied",
        "halt SchemaRegistry.Refused",
        "retry SchemaRegistry.Unavailable",
    ];
    assert_eq!(*heard.codes.lock(), expected);
    assert_eq!(heard.successes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_schema_that_is_missing_is_asked_for_again_later() {
    let late = vec![(404, json!({"error_code": 40403})), (200, json!({"schema": "\"int\""}))];
    let double = Double::start(vec![("/schemas/ids/1 ", late)]).await;
    let transform = double.transform("");
    let sent = records(&[framed(1, b"\x02")]);
    let unknown = [Err("SchemaRegistry.UnknownSchema".to_owned())];
    assert_eq!(ends(transform.apply(&sent).await), unknown);
    assert_eq!(ends(transform.apply(&sent).await), unknown);
    tokio::time::pause();
    tokio::time::advance(limits::SCHEMA_MISSING_FOR).await;
    tokio::time::resume();
    assert_eq!(ends(transform.apply(&sent).await), [Ok("1".to_owned())]);
    assert_eq!(double.questions.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn tasks_that_need_one_schema_ask_for_it_once() {
    let broken = (500, json!({"error_code": 50001}));
    let double = Double::start(vec![
        ("/schemas/ids/1 ", vec![broken, (200, json!({"schema": "\"int\""}))]),
        ("/schemas/ids/2 ", vec![(404, json!({"error_code": 40403}))]),
    ])
    .await;
    let transform = double.transform("");
    let sent = records(&[framed(1, b"\x02"), framed(2, b"x")]);
    let expected = [Ok("1".to_owned()), Err("SchemaRegistry.UnknownSchema".to_owned())];
    for verdicts in futures::future::join_all([(); 8].map(|()| transform.apply(&sent))).await {
        assert_eq!(ends(verdicts), expected);
    }
    assert_eq!(double.questions.load(Ordering::SeqCst), 3, "one failed, and one for each schema");
}

#[tokio::test]
async fn a_question_that_is_given_up_is_asked_by_who_waits_for_it() {
    let double =
        Double::start(vec![("/schemas/ids/1 ", vec![(200, json!({"schema": "\"int\""}))])]).await;
    let transform = double.transform("");
    let sent = records(&[framed(1, b"\x02")]);
    let mut first = transform.apply(&sent);
    assert!(futures::poll!(&mut first).is_pending(), "it asks");
    let mut second = transform.apply(&sent);
    assert!(futures::poll!(&mut second).is_pending(), "it waits");
    drop(first);
    assert_eq!(ends(second.await), [Ok("1".to_owned())]);
}

#[tokio::test]
async fn glue_is_asked_for_versions() {
    let version = uuid::Uuid::from_u128(7);
    let double = AwsDouble::start(Some("glue"), move |call| {
        assert_eq!(call.header("x-amz-target"), "AWSGlue.GetSchemaVersion");
        let question: Value = serde_json::from_slice(&call.body).unwrap();
        if question == json!({"SchemaVersionId": version.to_string()}) {
            Reply::json(
                json!({"SchemaDefinition": "\"int\"", "DataFormat": "AVRO", "Status": "AVAILABLE"}),
            )
        } else {
            Reply::error(400, "EntityNotFoundException")
        }
    })
    .await;
    let yaml = format!("{{glue: {{endpoint: '{}'}}}}", double.url);
    let options = serde_yaml::from_str(&yaml).unwrap();
    let transform = SchemaRegistry::new(&options, access()).unwrap();
    let framed = |id: u128, payload: &[u8]| {
        [&[3, 0], &uuid::Uuid::from_u128(id).as_bytes()[..], payload].concat()
    };
    let sent = records(&[framed(7, b"\x02"), framed(8, b"x"), b"\0\0\0\0\x01".to_vec()]);
    let err = |code: &str| Err(format!("SchemaRegistry.{code}"));
    let expected = [Ok("1".to_owned()), err("UnknownSchema"), err("NoRegistry")];
    assert_eq!(ends(transform.apply(&sent).await), expected);
}

#[test]
fn options_say_what_can_never_work() {
    let of = |yaml: &str| serde_yaml::from_str::<Options>(yaml).unwrap().validate();
    for (yaml, expected) in [
        ("{glue: {}}", Ok(())),
        ("{confluent: {url: 'http://r:8081/'}, unframed: pass, timeout: 3s}", Ok(())),
        ("{}", Err(OptionsError::Nothing)),
        ("{confluent: {url: r}}", Err(OptionsError::Url(crate::net::http::UrlError))),
        ("{confluent: {url: 'http://u:p@r'}}", Err(OptionsError::Secrets)),
        ("{confluent: {url: 'http://r?key=1'}}", Err(OptionsError::Secrets)),
        ("{confluent: {url: 'http://r', username: u}}", Err(OptionsError::Half)),
        ("{glue: {endpoint: x}}", Err(OptionsError::Endpoint(crate::net::http::UrlError))),
        ("{glue: {}, timeout: 0s}", Err(OptionsError::Timeout)),
    ] {
        assert_eq!(of(yaml), expected, "{yaml}");
    }
}

#[tokio::test]
async fn packed_records_and_records_without_a_header() {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(b"{}").unwrap();
    let version = uuid::Uuid::from_u128(9);
    let packed = [&[3, 5], &version.as_bytes()[..], &zlib.finish().unwrap()].concat();
    let forms = HashMap::from([(SchemaId::Glue(version), Arc::new(Form::Json))]);
    let sent = records(&[packed.clone(), packed[..20].to_vec(), b"plain".to_vec()]);
    let of = |unframed| sent.iter().map(|r| verdict(r, &forms, unframed)).collect();
    let invalid = Err("SchemaRegistry.InvalidPayload".to_owned());
    let no_header = Err("SchemaRegistry.NoHeader".to_owned());
    let good = Ok("{}".to_owned());
    assert_eq!(ends(of(Unframed::Fail)), [good.clone(), invalid.clone(), no_header]);
    assert_eq!(ends(of(Unframed::Pass)), [good, invalid, Ok("plain".to_owned())]);
}
