//! Answers of every kind.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    fault::output_type::PROCESSING_FAILED,
    record::{Origin, Place, Position, Provenance},
    transform::lambda::event::ids,
};

fn records(count: u64) -> Vec<Record> {
    let record = |sequence| Record {
        position: Position::new(0, sequence),
        arrival_ms: 0,
        data: "was".into(),
        notes: Default::default(),
    };
    (0..count).map(record).collect()
}

/// The verdicts about `count` records; `#0`, `#1` in the answer stand for their ids.
fn judged(count: u64, answer: &str) -> Vec<String> {
    let records = records(count);
    let ids = ids(&records);
    let mut text = answer.to_owned();
    for (i, id) in ids.iter().enumerate() {
        text = text.replace(&format!("#{i}"), id.as_str());
    }
    verdicts(text.as_bytes(), &records, &ids).iter().map(spell).collect()
}

fn spell(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Emit(piece) => format!("ok {}", String::from_utf8_lossy(&piece.data)),
        Verdict::Drop => "dropped".into(),
        Verdict::Fail(failure) => {
            assert_eq!((failure.output_type, failure.attempts), (PROCESSING_FAILED, 1));
            failure.cause.code.clone()
        }
        Verdict::Split(_) => "split".into(),
    }
}

#[test]
fn a_record_of_kafka_comes_back_as_its_value() {
    let place = Place { topic: Some("t".into()), ..Place::default() };
    let provenance = Provenance { place: Some(place), ..Provenance::default() };
    let notes = Notes::of(Origin::new(provenance, 0));
    let [plain] = &records(1)[..] else { panic!("one was asked for") };
    let kafka = Record { notes, ..plain.clone() };
    let judged = |record: &Record, members: Value| {
        let record = std::slice::from_ref(record);
        let ids = ids(record);
        let mut returned = json!({"recordId": ids[0].as_str(), "result": "Ok"});
        returned.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let answer = json!({"records": [returned]}).to_string();
        spell(&verdicts(answer.as_bytes(), record, &ids)[0])
    };
    let invalid = "Lambda.InvalidReturnFormat";
    for (members, of_kafka, of_others) in [
        (json!({"kafkaRecordValue": "bmV3"}), "ok new", invalid),
        (json!({"kafkaRecordValue": "bmV3", "data": "b2xk"}), "ok new", "ok old"),
        (json!({"kafkaRecordValue": null, "data": "b2xk"}), "ok old", "ok old"),
        (json!({"data": "b2xk"}), "ok old", "ok old"),
        (json!({"kafkaRecordValue": null}), invalid, invalid),
        (json!({}), invalid, invalid),
    ] {
        assert_eq!(judged(&kafka, members.clone()), of_kafka, "{members}");
        assert_eq!(judged(plain, members.clone()), of_others, "{members}");
    }
}

const MISSING: &str = "Lambda.MissingRecordId";

#[test]
fn every_status_has_its_verdict_whatever_the_order() {
    let answer = json!({"other": {"deep": [1, {}]}, "records": [
        {"metadata": null, "data": "", "result": "Ok", "recordId": "#2", "more": [[]]},
        {"recordId": "#0", "result": "Dropped", "data": 7},
        {"recordId": "#3", "result": "ProcessingFailed"},
        {"recordId": "#1", "result": "Ok", "data": "bmV3"},
        {"recordId": "unknown", "result": "Ok", "data": "bmV3"},
        {"recordId": "unknown", "result": "Ok", "data": "bmV3"},
        {"recordId": 5, "result": "Ok"}, {}, 5, null, "x", [], true, 1.5, -1,
    ]});
    assert_eq!(
        judged(5, &answer.to_string()),
        ["dropped", "ok new", "ok ", "Lambda.ProcessingFailedStatus", MISSING]
    );
}

#[test]
fn a_record_that_is_wrong_fails_alone() {
    for (members, expected) in [
        (json!({"result": "Ok"}), "Lambda.InvalidReturnFormat"),
        (json!({"result": "Ok", "data": null}), "Lambda.InvalidReturnFormat"),
        (json!({"result": "Ok", "data": 7}), "Lambda.JsonMappingException"),
        (json!({"result": "Ok", "data": "no base64!"}), "Lambda.JsonMappingException"),
        (json!({"result": "Ok", "data": "bm\nV3 "}), "ok new"),
        (json!({"result": "Ok", "data": "bmU"}), "ok ne"),
        (json!({"result": "ok", "data": ""}), "Lambda.JsonProcessingException"),
        (json!({"result": ["Ok"], "data": ""}), "Lambda.JsonProcessingException"),
        (json!({"data": ""}), "Lambda.JsonProcessingException"),
        (json!({"result": "Ok", "data": "", "metadata": 7}), "Lambda.InvalidReturnFormat"),
        (
            json!({"result": "Ok", "data": "", "metadata": {"partitionKeys": {"a": 7}}}),
            "Lambda.InvalidReturnFormat",
        ),
        (
            json!({"result": "Ok", "data": "", "metadata": {"partitionKeys": "a"}}),
            "Lambda.InvalidReturnFormat",
        ),
        (
            json!({"result": "Ok", "data": "", "metadata": {"otfMetadata": []}}),
            "Lambda.InvalidReturnFormat",
        ),
        (
            json!({"result": "Ok", "data": "", "metadata": {"otfMetadata": {"operation": {}}}}),
            "Lambda.InvalidReturnFormat",
        ),
        (json!({"result": "Dropped", "metadata": 7}), "dropped"),
    ] {
        let mut record = members.clone();
        record["recordId"] = "#0".into();
        let good = json!({"recordId": "#1", "result": "Ok", "data": ""});
        let answer = json!({"records": [record, good]});
        assert_eq!(judged(2, &answer.to_string()), [expected, "ok "], "{members}");
    }
}

#[test]
fn an_id_that_comes_back_twice_fails() {
    let ok = json!({"recordId": "#0", "result": "Ok", "data": ""});
    let other = json!({"recordId": "#1", "result": "Dropped"});
    for list in [json!([ok, ok, other]), json!([ok, other, ok, ok])] {
        let answer = json!({"records": list}).to_string();
        assert_eq!(judged(2, &answer), ["Lambda.DuplicatedRecordId", "dropped"]);
    }
}

#[test]
fn an_answer_that_cannot_be_read_returned_nothing() {
    let whole = json!({"records": [{"recordId": "#0", "result": "Ok", "data": ""}]}).to_string();
    let nested = format!("{{\"records\": [{}", "[".repeat(100_000));
    for answer in [
        "",
        "null",
        "\"text\"",
        "[]",
        "{}",
        r#"{"records": null}"#,
        r#"{"records": {}}"#,
        r#"{"records": [}"#,
        &whole[..whole.len() - 1],
        &format!("{whole} x"),
        &nested,
    ] {
        assert_eq!(judged(1, answer), [MISSING], "{}", &answer[..answer.len().min(60)]);
    }
    assert_eq!(judged(1, &format!(" {whole}\n")), ["ok "]);
}

#[test]
fn metadata_becomes_notes_in_order() {
    let mut records = records(1);
    records[0].notes.edit().from_lambda =
        vec![("old".into(), "1".into()), ("z".into(), "2".into())];
    let ids = ids(&records);
    let answer = format!(
        r#"{{"records": [{{"recordId": "{}", "result": "Ok", "data": "", "metadata": {{
            "partitionKeys": {{"z": "9", "b": "x", "none": null, "a": ""}},
            "otfMetadata": {{"operation": "update", "destinationTableName": "t",
                             "destinationDatabaseName": null, "more": 1}}, "other": 7}}}}]}}"#,
        ids[0].as_str()
    );
    let verdicts = verdicts(answer.as_bytes(), &records, &ids);
    let Verdict::Emit(piece) = &verdicts[0] else { panic!("{verdicts:?}") };
    let findings = piece.notes.get().unwrap();
    let keys: Vec<_> = findings.from_lambda.iter().map(|(k, v)| (&**k, v.as_str())).collect();
    assert_eq!(keys, [("old", "1"), ("z", "9"), ("b", "x"), ("a", "")]);
    assert_eq!(
        findings.table,
        Some(TableTarget {
            destination_database_name: None,
            destination_table_name: Some("t".into()),
            operation: Some("update".into()),
        })
    );
}

#[test]
fn more_keys_than_are_allowed_fail_the_record() {
    let keys = |count: usize| -> Value {
        let keys: serde_json::Map<_, _> =
            (0..count).map(|i| (format!("k{i}"), "v".into())).collect();
        json!({"records": [{"recordId": "#0", "result": "Ok", "data": "",
            "metadata": {"partitionKeys": keys}}]})
    };
    assert_eq!(judged(1, &keys(LAMBDA_PARTITION_KEYS_MAX).to_string()), ["ok "]);
    let more = keys(LAMBDA_PARTITION_KEYS_MAX + 1).to_string();
    assert_eq!(judged(1, &more), ["Lambda.InvalidReturnFormat"]);
}

proptest! {
    #[test]
    fn no_answer_breaks_the_reader(answer in prop::collection::vec(any::<u8>(), 0..200)) {
        let records = records(2);
        prop_assert_eq!(verdicts(&answer, &records, &ids(&records)).len(), 2);
    }

    #[test]
    fn no_json_breaks_the_reader(picks in prop::collection::vec(0..19usize, 0..40)) {
        const TOKENS: [&str; 19] = [
            "{", "}", "[", "]", ",", ":", "\"records\"", "\"recordId\"", "\"result\"", "\"Ok\"",
            "\"data\"", "\"metadata\"", "\"partitionKeys\"", "{\"records\":[", "]}", "null", "1",
            "\"#0\"", "\"\\u00e9\"",
        ];
        let text: String = picks.into_iter().map(|pick| TOKENS[pick]).collect();
        prop_assert_eq!(judged(2, &text).len(), 2);
    }
}
