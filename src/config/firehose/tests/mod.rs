//! Tests of the shapes, by occasion.

mod answers;
mod convert;
mod create;
mod describe;
mod kinds;
mod kinds_convert;
mod kinds_rules;
mod kinds_update;
mod lists;
mod mangled;
mod pipeline;
mod rules;
mod update;

use serde_json::{Value, json};

use super::{ApiError, Hose, HoseContext};

pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/firehose";
pub(super) const LAMBDA: &str = "arn:aws:lambda:us-east-1:123456789012:function:change:1";

pub(super) fn ctx() -> HoseContext {
    HoseContext {
        account_id: "123456789012".into(),
        region: "us-east-1".into(),
        partition: "aws".into(),
        now_ms: 1_700_000_000_250,
    }
}

/// The smallest CreateDeliveryStream, with more members of the destination.
pub(super) fn create_body(more: Value) -> Value {
    let mut destination = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::bucket"});
    if let (Some(destination), Value::Object(more)) = (destination.as_object_mut(), more) {
        destination.extend(more);
    }
    json!({"DeliveryStreamName": "hose", "ExtendedS3DestinationConfiguration": destination})
}

pub(super) fn create(more: Value) -> Result<Hose, ApiError> {
    Hose::create(&create_body(more), &ctx())
}

pub(super) fn hose() -> Hose {
    create(json!({})).unwrap()
}

/// The extended description of the destination.
pub(super) fn extended(hose: &Hose) -> Value {
    hose.describe()["DeliveryStreamDescription"]["Destinations"][0]
        ["ExtendedS3DestinationDescription"]
        .clone()
}

/// The message of an InvalidArgumentException.
#[track_caller]
pub(super) fn invalid<T: std::fmt::Debug>(result: Result<T, ApiError>) -> String {
    let error = result.expect_err("the request is refused");
    assert_eq!((error.kind, error.status), ("InvalidArgumentException", 400), "{error}");
    error.message
}
