//! Which trouble is a record's own, for functions by URL.

use serde_json::json;

use super::{
    tests::{emitted, lambda, options, records},
    *,
};
use crate::{
    net::aws_double::{AwsDouble, Call, Reply},
    seams::Transform,
};

fn by_url(double: &AwsDouble) -> Options {
    options(json!({"url": double.url}))
}

fn holds(call: &Call, text: &str) -> bool {
    call.records().iter().any(|(_, data)| data == text)
}

/// What a function by URL gives while it, or a record, is out of order.
fn troubles() -> [(Reply, &'static str); 4] {
    [
        (Reply::new(400, ""), "Lambda.InvocationFailure 1"),
        (Reply::new(422, ""), "Lambda.InvocationFailure 1"),
        (Reply::new(500, "traceback"), "Lambda.FunctionError 4"),
        (Reply::cut(), "Lambda.TargetServerFailedToRespond 4"),
    ]
}

#[tokio::test]
async fn the_one_record_to_blame_is_found_by_halves() {
    for (reply, expected) in troubles() {
        let double = AwsDouble::start(None, move |call| match holds(call, "poison") {
            true => reply.clone(),
            false => Reply::echo(call),
        })
        .await;
        let verdicts =
            lambda(by_url(&double)).apply(&records(&["a", "b", "poison", "d", "e"])).await;
        assert_eq!(emitted(&verdicts), ["a", "b", expected, "d", "e"]);
    }
}

#[tokio::test]
async fn a_server_that_is_started_anew_costs_no_records() {
    for (reply, _) in troubles() {
        // Longer than the retries of one batch: no call of several records passes at all.
        let double = AwsDouble::start(None, move |call| match call.records().len() {
            1 => Reply::echo(call),
            _ => reply.clone(),
        })
        .await;
        let verdicts = lambda(by_url(&double)).apply(&records(&["a", "b", "c", "d"])).await;
        assert_eq!(emitted(&verdicts), ["a", "b", "c", "d"]);
    }
}

#[tokio::test]
async fn other_refusals_by_url_hold_the_records() {
    for status in [301, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 415, 418, 425, 429, 431] {
        let double = AwsDouble::start(None, move |call| match call.number {
            0..9 => Reply::new(status, ""),
            _ => Reply::echo(call),
        })
        .await;
        let verdicts = lambda(by_url(&double)).apply(&records(&["a", "b"])).await;
        assert_eq!(emitted(&verdicts), ["a", "b"], "{status}");
        assert_eq!(double.calls().len(), 10, "{status}");
    }
}

#[tokio::test]
async fn where_nothing_is_held_nothing_is_halved() {
    for (reply, expected) in troubles() {
        let double = AwsDouble::start(None, move |_| reply.clone()).await;
        let failing = Options { on_unavailable: OnUnavailable::Fail, ..by_url(&double) };
        let verdicts = lambda(failing).apply(&records(&["a", "b"])).await;
        assert_eq!(emitted(&verdicts), [expected, expected]);
    }
}
