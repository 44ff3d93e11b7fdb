//! Answers without a request's shape.

use serde_json::json;

use crate::config::firehose::{
    Operation, PutMember, already_exists, batch_too_large, check, check_put_name, missing_member,
    no_records, not_found, parse_name, quota_consumed, record_too_large, too_many_records,
};

#[test]
fn the_set_of_streams() {
    let error = not_found("x", "123456789012");
    assert_eq!((error.kind, error.status), ("ResourceNotFoundException", 400));
    assert_eq!(error.message, "Firehose x under account 123456789012 not found.");
    let error = already_exists("x", "123456789012");
    assert_eq!(error.kind, "ResourceInUseException");
    assert_eq!(error.message, "Firehose x under accountId 123456789012 already exists");
    let error = quota_consumed();
    assert_eq!(error.kind, "LimitExceededException");
    assert_eq!(error.message, "You have already consumed your firehose quota of 5000 hoses.");
}

/// The hot path and the table must say the same.
#[test]
fn put_answers_are_the_tables() {
    let long = "n".repeat(65);
    for name in [None, Some(""), Some("a b"), Some(&long), Some("ü")] {
        let body = json!({"DeliveryStreamName": name, "Record": {"Data": ""}});
        let from_table = check(Operation::PutRecord, &body).expect_err("the name is wrong");
        assert_eq!(check_put_name(name), Err(from_table), "{name:?}");
    }
    check_put_name(Some("a_b.c-9")).unwrap();

    let table = |operation, body| check(operation, &body).expect_err("the request is wrong");
    let large = "A".repeat(1_365_340);
    let batch = |records| json!({"DeliveryStreamName": "s", "Records": records});
    let record = json!({"Data": "QQ=="});
    for (operation, body, answer) in [
        (
            Operation::PutRecord,
            json!({"DeliveryStreamName": "s"}),
            missing_member(PutMember::Record),
        ),
        (
            Operation::PutRecord,
            json!({"DeliveryStreamName": "s", "Record": {}}),
            missing_member(PutMember::Data(None)),
        ),
        (
            Operation::PutRecord,
            json!({"DeliveryStreamName": "s", "Record": {"Data": large}}),
            record_too_large(None),
        ),
        (
            Operation::PutRecordBatch,
            json!({"DeliveryStreamName": "s"}),
            missing_member(PutMember::Records),
        ),
        (Operation::PutRecordBatch, batch(json!([])), no_records()),
        (
            Operation::PutRecordBatch,
            batch(json!([record, null])),
            missing_member(PutMember::Element(1)),
        ),
        (
            Operation::PutRecordBatch,
            batch(json!([record, {}])),
            missing_member(PutMember::Data(Some(1))),
        ),
        (
            Operation::PutRecordBatch,
            batch(json!([record, {"Data": large}])),
            record_too_large(Some(1)),
        ),
        (Operation::PutRecordBatch, batch(json!(vec![&record; 501])), too_many_records()),
    ] {
        assert_eq!(table(operation, body), answer);
    }
    check(Operation::PutRecordBatch, &batch(json!(vec![&record; 500]))).unwrap();
    let largest = json!({"Data": "A".repeat(1_365_334) + "=="});
    check(Operation::PutRecord, &json!({"DeliveryStreamName": "s", "Record": largest})).unwrap();
    assert_eq!(batch_too_large().kind, "InvalidArgumentException");
}

#[test]
fn operations_have_names() {
    for operation in Operation::ALL {
        assert_eq!(Operation::from_name(operation.name()), Some(operation));
    }
    assert_eq!(Operation::from_name("PutRecords"), None);
    let body = json!({"DeliveryStreamName": "s"});
    assert_eq!(parse_name(Operation::DeleteDeliveryStream, &body), Ok("s"));
    assert!(parse_name(Operation::DeleteDeliveryStream, &json!({})).is_err());
}
