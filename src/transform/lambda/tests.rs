//! Against a double of Lambda's Invoke API, and against a plain server.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tokio::sync::Notify;

use super::*;
use crate::{
    net::{
        aws::StaticKeys,
        aws_double::{ACCESS_KEY, AwsDouble, Call, Reply, SECRET_KEY, ok},
    },
    record::Position,
    seams::Transform,
    units::{ByteSize, Secret, Span},
};

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:my-fn:live";
const STREAM: &str = "arn:aws:firehose:us-east-1:000000000000:deliverystream/x";

fn access(secret: &str) -> Access {
    Access {
        region: "us-east-1".into(),
        keys: Some(StaticKeys {
            access_key_id: Secret::Value(ACCESS_KEY.into()),
            secret_access_key: Secret::Value(secret.into()),
            session_token: None,
        }),
        role: None,
        sts_endpoint: None,
    }
}

pub(super) fn options(json: serde_json::Value) -> Options {
    serde_json::from_value(json).unwrap()
}

pub(super) fn lambda(options: Options) -> Lambda {
    let stream = StreamContext { arn: STREAM.into(), region: "us-east-1".into() };
    let mut lambda = Lambda::new(options, stream, access(SECRET_KEY)).unwrap();
    lambda.backoff.initial = Duration::from_millis(1);
    lambda.backoff.cap = Duration::from_millis(2);
    lambda
}

fn at(double: &AwsDouble) -> Options {
    options(json!({"function": ARN, "endpoint": double.url}))
}

pub(super) fn records(texts: &[&'static str]) -> Vec<Record> {
    let record = |(i, text): (usize, &&'static str)| Record {
        position: Position::new(0, i as u64),
        arrival_ms: 1_495_072_949_453,
        data: Bytes::from_static(text.as_bytes()),
        notes: Default::default(),
    };
    texts.iter().enumerate().map(record).collect()
}

pub(super) fn emitted(verdicts: &[Verdict]) -> Vec<String> {
    let text = |verdict: &Verdict| match verdict {
        Verdict::Emit(piece) => String::from_utf8_lossy(&piece.data).into_owned(),
        Verdict::Drop => "(dropped)".into(),
        Verdict::Fail(failure) => format!("{} {}", failure.cause.code, failure.attempts),
        Verdict::Split(_) => "(split)".into(),
    };
    verdicts.iter().map(text).collect()
}

#[tokio::test]
async fn a_call_is_signed_and_complete_and_verdicts_keep_their_order() {
    let double = AwsDouble::start(Some("lambda"), |call| {
        let mut reply = Reply::records(call, |i, id, data| match i {
            0 => ok(id, &data.to_ascii_uppercase()),
            1 => json!({"recordId": id, "result": "Dropped"}),
            2 => json!({"recordId": id, "result": "ProcessingFailed", "data": ""}),
            _ => ok(id, data),
        });
        let mut answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        answer["records"].as_array_mut().unwrap().reverse();
        reply.body = answer.to_string().into();
        reply
    })
    .await;
    let lambda = lambda(at(&double));
    let verdicts = lambda.apply(&records(&["a", "b", "c", "d"])).await;
    assert_eq!(emitted(&verdicts), ["A", "(dropped)", "Lambda.ProcessingFailedStatus 1", "d"]);

    assert_eq!(double.refused(), Vec::<String>::new());
    let [call] = &double.calls()[..] else { panic!("one call is enough") };
    let arn = ARN.replace(':', "%3A");
    assert_eq!(call.path, format!("/2015-03-31/functions/{arn}/invocations"));
    assert_eq!(call.header("x-amz-invocation-type"), "RequestResponse");
    assert_eq!(call.header("content-type"), "application/json");
    // The function's region, not the stream's.
    assert!(call.header("authorization").contains("/eu-west-1/lambda/aws4_request"));
    let event = call.json();
    let members: Vec<_> = event.as_object().unwrap().keys().collect();
    assert_eq!(members, ["invocationId", "deliveryStreamArn", "region", "records"]);
    assert_eq!(
        (&event["deliveryStreamArn"], &event["region"]),
        (&json!(STREAM), &json!("us-east-1"))
    );
    assert_eq!(event["records"][0]["approximateArrivalTimestamp"], json!(1_495_072_949_453_i64));

    let remote = lambda.remote().unwrap();
    assert_eq!((remote.gather_bytes, remote.concurrency), (1 << 20, 5));
    assert_eq!(remote.gather_for, Duration::from_secs(60));
}

/// What a trouble that never ends comes to, and how many calls it took.
async fn given_up(reply: Reply, on_unavailable: OnUnavailable) -> (String, usize) {
    let double = AwsDouble::start(Some("lambda"), move |_| reply.clone()).await;
    let verdicts = lambda(Options { on_unavailable, ..at(&double) }).apply(&records(&["a"])).await;
    (emitted(&verdicts).remove(0), double.calls().len())
}

#[tokio::test]
async fn errors_of_a_function_are_retried_then_fail_the_batch() {
    for (reply, code) in [
        (Reply::function_error("Error", "boom"), "Lambda.FunctionError"),
        (
            Reply::function_error(
                "Sandbox.Timedout",
                "RequestId: 1 Error: Task timed out after 3.00 seconds",
            ),
            "Lambda.FunctionTimedOut",
        ),
        (
            Reply::json(json!({"errorMessage": "2026-11-21 Task timed out after 3.00 seconds"}))
                .with("x-amz-function-error", "Unhandled"),
            "Lambda.FunctionTimedOut",
        ),
        (
            Reply::new(200, "no json").with("x-amz-function-error", "Handled"),
            "Lambda.FunctionError",
        ),
    ] {
        for policy in [OnUnavailable::Hold, OnUnavailable::Fail] {
            assert_eq!(given_up(reply.clone(), policy).await, (format!("{code} 4"), 4));
        }
    }
    let double = AwsDouble::start(Some("lambda"), |_| Reply::function_error("E", "m")).await;
    let some = Options { number_of_retries: 1, ..at(&double) };
    let verdicts = lambda(some).apply(&records(&["a", "b"])).await;
    let [Verdict::Fail(first), second] = &verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!(Verdict::Fail(first.clone()), *second);
    assert_eq!(first.output_type, "processing-failed");
    assert_eq!(
        first.cause.message,
        "The Lambda function was successfully invoked but it returned an error result."
    );
    assert_eq!(first.attempts, 2);
    let ids: std::collections::HashSet<_> =
        double.calls().iter().map(|call| call.json()["invocationId"].to_string()).collect();
    assert_eq!(ids.len(), 1, "a retry keeps the id of its call");
}

#[tokio::test]
async fn an_answer_that_is_malformed_is_final() {
    for body in ["", "{}", r#"{"records": []}"#, "<html>"] {
        let ended = given_up(Reply::new(200, body), OnUnavailable::Hold).await;
        assert_eq!(ended, ("Lambda.MissingRecordId 1".into(), 1), "{body}");
    }
}

/// Every error of the Invoke API: status, name, code, tries where it fails as with Firehose, and
/// whether the records wait instead unless that is asked for.
const INVOKE_ERRORS: &[(u16, &str, &str, usize, bool)] = &[
    (429, "TooManyRequestsException", "InvokeLimitExceeded", 4, true),
    (403, "AccessDeniedException", "InvokeAccessDenied", 1, true),
    (403, "UnrecognizedClientException", "InvalidSecurityToken", 1, true),
    (403, "ExpiredTokenException", "InvalidSecurityToken", 1, true),
    (403, "InvalidSignatureException", "InvalidSecurityToken", 1, true),
    (404, "ResourceNotFoundException", "ResourceNotFound", 1, true),
    (500, "ServiceException", "InternalServerError", 4, true),
    (500, "InternalFailure", "InternalServerError", 4, true),
    (503, "ServiceUnavailableException", "ServiceUnavailable", 4, true),
    (502, "InvalidSubnetIDException", "InvalidSubnetIDException", 1, true),
    (502, "InvalidSecurityGroupIDException", "InvalidSecurityGroupIDException", 1, true),
    (502, "SubnetIPAddressLimitReachedException", "SubnetIPAddressLimitReachedException", 4, true),
    (502, "ENILimitReachedException", "ENILimitReachedException", 4, true),
    (502, "InvalidZipFileException", "InvalidZipFileException", 1, true),
    (502, "InvalidRuntimeException", "InvocationFailure", 1, true),
    (502, "KMSAccessDeniedException", "FunctionError", 1, true),
    (502, "KMSDisabledException", "InvocationFailure", 1, true),
    (502, "KMSInvalidStateException", "InvocationFailure", 1, true),
    (502, "KMSNotFoundException", "InvocationFailure", 1, true),
    (502, "EC2AccessDeniedException", "InvocationFailure", 1, true),
    (502, "EC2ThrottledException", "InvocationFailure", 4, true),
    (502, "EC2UnexpectedException", "InvocationFailure", 4, true),
    (502, "ResourceNotReadyException", "InvocationFailure", 4, true),
    (409, "ResourceConflictException", "InvocationFailure", 4, true),
    (410, "EFSIOException", "InvocationFailure", 4, true),
    (408, "EFSMountConnectivityException", "InvocationFailure", 4, true),
    (403, "EFSMountFailureException", "InvocationFailure", 1, true),
    (408, "EFSMountTimeoutException", "InvocationFailure", 4, true),
    (400, "SnapStartException", "InvocationFailure", 1, true),
    (409, "SnapStartNotReadyException", "InvocationFailure", 4, true),
    (408, "SnapStartTimeoutException", "InvocationFailure", 4, true),
    (400, "RecursiveInvocationException", "InvocationFailure", 1, true),
    (400, "InvalidParameterValueException", "InvocationFailure", 1, true),
    (400, "InvalidRequestContentException", "InvocationFailure", 1, true),
    (415, "UnsupportedMediaTypeException", "InvocationFailure", 1, true),
    (502, "Unheard", "TargetServerFailedToRespond", 4, true),
    (504, "Unheard", "TargetServerFailedToRespond", 4, true),
    (503, "Unheard", "ServiceUnavailable", 4, true),
    (400, "Unheard", "InvocationFailure", 1, true),
    (408, "Unheard", "FunctionRequestTimedOut", 4, true),
    (422, "Unheard", "InvocationFailure", 1, true),
    (418, "Unheard", "InvocationFailure", 1, true),
    (307, "Unheard", "InvocationFailure", 1, true),
];

#[tokio::test]
async fn every_error_of_the_api_has_its_code_and_its_tries() {
    for &(status, name, code, tries, _) in INVOKE_ERRORS {
        let ended = given_up(Reply::error(status, name), OnUnavailable::Fail).await;
        assert_eq!(ended, (format!("Lambda.{code} {tries}"), tries), "{status} {name}");
    }
}

#[tokio::test]
async fn what_is_not_the_records_fault_holds_them() {
    for &(status, name, code, _, holds) in INVOKE_ERRORS {
        let double = AwsDouble::start(Some("lambda"), move |call| match call.number {
            0..9 => Reply::error(status, name),
            _ => Reply::echo(call),
        })
        .await;
        let verdicts = lambda(at(&double)).apply(&records(&["a"])).await;
        let expected = if holds { "a".to_owned() } else { format!("Lambda.{code} 1") };
        assert_eq!(emitted(&verdicts), [expected], "{status} {name}");
    }
}

#[tokio::test]
async fn waiting_does_not_use_up_the_retries() {
    let double = AwsDouble::start(Some("lambda"), |call| match call.number % 3 {
        0 | 1 => Reply::error(429, "TooManyRequestsException").with("retry-after", "0"),
        _ => Reply::function_error("E", "m"),
    })
    .await;
    let verdicts = lambda(at(&double)).apply(&records(&["a"])).await;
    // Four errors of the function, and two refusals before each.
    assert_eq!(emitted(&verdicts), ["Lambda.FunctionError 12"]);
}

#[tokio::test]
async fn trouble_below_http_is_classified_too() {
    let fail = |options| Options { on_unavailable: OnUnavailable::Fail, ..options };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = options(json!({"function": ARN, "endpoint": format!("http://{closed}")}));
    let verdicts = lambda(fail(nowhere)).apply(&records(&["a"])).await;
    assert_eq!(emitted(&verdicts), ["Lambda.TargetServerFailedToRespond 4"]);

    let cut = given_up(Reply::cut(), OnUnavailable::Fail).await;
    assert_eq!(cut.0, "Lambda.TargetServerFailedToRespond 4");

    let silent = AwsDouble::waiting(Some("lambda"), |_| std::future::pending()).await;
    let short = Options { timeout: Span(Duration::from_millis(20)), ..at(&silent) };
    let verdicts = lambda(short).apply(&records(&["a"])).await;
    assert_eq!(emitted(&verdicts), ["Lambda.FunctionRequestTimedOut 4"]);

    let stream = StreamContext { arn: STREAM.into(), region: "us-east-1".into() };
    let keys = StaticKeys {
        secret_access_key: Secret::File { file: "/no/such/file".into() },
        ..access("").keys.unwrap()
    };
    let access = Access { keys: Some(keys), ..access("") };
    let keyless = Lambda::new(fail(at(&silent)), stream, access).unwrap();
    assert_eq!(emitted(&keyless.apply(&records(&["a"])).await), ["Lambda.InvalidSecurityToken 1"]);
}

#[tokio::test]
async fn too_large_answers_and_events_are_halved_before_a_record_is_blamed() {
    let answers: [fn() -> Reply; 4] = [
        || {
            Reply::function_error(
                "Function.ResponseSizeTooLarge",
                "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            )
        },
        || {
            Reply::function_error(
                "",
                "Response payload size (7 bytes) exceeded maximum allowed payload size (6291556 bytes).",
            )
        },
        || Reply::new(200, vec![b' '; limits::LAMBDA_ANSWER_BYTES_MAX + 1]),
        || Reply::error(413, "RequestTooLargeException"),
    ];
    for (i, too_large) in answers.into_iter().enumerate() {
        let double = AwsDouble::start(Some("lambda"), move |call| {
            let data: Vec<_> = call.records().into_iter().map(|(_, data)| data).collect();
            if data.len() > 2 || data.iter().any(|data| data == "huge") {
                too_large()
            } else {
                Reply::echo(call)
            }
        })
        .await;
        let verdicts = lambda(at(&double)).apply(&records(&["a", "b", "c", "huge", "e"])).await;
        let code = if i == 3 { "Lambda.InvocationFailure 1" } else { "Lambda.FunctionError 1" };
        assert_eq!(emitted(&verdicts), ["a", "b", "c", code, "e"]);
        assert_eq!(double.refused(), Vec::<String>::new());
        let sizes: Vec<_> = double.calls().iter().map(|call| call.records().len()).collect();
        assert_eq!(sizes, [5, 2, 3, 1, 2, 1, 1]);
        let ids: std::collections::HashMap<_, _> =
            double.calls().iter().flat_map(Call::records).map(|(id, data)| (data, id)).collect();
        assert_eq!(ids.len(), 5, "a record keeps its id over the calls");
    }
}

#[tokio::test]
async fn no_event_is_larger_than_lambda_takes() {
    let double = AwsDouble::start(Some("lambda"), Reply::echo).await;
    let everything = Options { buffer_size: ByteSize(1 << 30), ..at(&double) };
    let mut records = records(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]);
    for record in &mut records {
        record.data = vec![record.data[0]; 1_000_000].into();
    }
    records[5].data = vec![b'X'; 4_800_000].into();
    let verdicts = lambda(everything).apply(&records).await;
    let lengths: Vec<_> = verdicts
        .iter()
        .map(|verdict| match verdict {
            Verdict::Emit(piece) => piece.data.len(),
            _ => 0,
        })
        .collect();
    let mut expected = vec![1_000_000; 12];
    expected[5] = 0;
    assert_eq!(lengths, expected);
    assert_eq!(emitted(&verdicts[5..6]), ["Lambda.InvocationFailure 0"]);
    assert_eq!(double.refused(), Vec::<String>::new());
    let sizes: Vec<_> = double.calls().iter().map(|call| call.records().len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 11);
    assert!(sizes.iter().all(|&size| size <= 4), "{sizes:?}");
}

#[tokio::test]
async fn calls_go_side_by_side_up_to_the_limit_and_answers_keep_their_order() {
    let arrived = Arc::new(Notify::new());
    let (gate, seen) = (Arc::new(Notify::new()), Arc::new(Mutex::new(0)));
    let double = AwsDouble::waiting(Some("lambda"), {
        let (arrived, gate, seen) = (arrived.clone(), gate.clone(), seen.clone());
        move |call| {
            let (arrived, gate, seen) = (arrived.clone(), gate.clone(), seen.clone());
            async move {
                *seen.lock().unwrap() += 1;
                arrived.notify_one();
                // The first is answered last of the three that fit.
                if call.records()[0].1 == "a" {
                    gate.notified().await;
                }
                Reply::echo(&call)
            }
        }
    })
    .await;
    let lambda = lambda(Options { buffer_size: ByteSize(1), concurrency: 3, ..at(&double) });
    let all = records(&["a", "b", "c", "d", "e", "f", "g"]);
    let opening = async {
        while *seen.lock().unwrap() < 3 {
            arrived.notified().await;
        }
        gate.notify_one();
    };
    let (verdicts, ()) = tokio::join!(lambda.apply(&all), opening);
    assert_eq!(emitted(&verdicts), ["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(double.calls().len(), 7);
    assert!((2..=3).contains(&double.most_under_way()), "{}", double.most_under_way());
}

#[tokio::test]
async fn several_gathered_batches_share_the_limit() {
    let double = AwsDouble::waiting(Some("lambda"), |call| async move {
        tokio::task::yield_now().await;
        Reply::echo(&call)
    })
    .await;
    let lambda = lambda(Options { concurrency: 2, ..at(&double) });
    let batches: Vec<_> = (0..20).map(|_| records(&["a", "b"])).collect();
    let verdicts = futures::future::join_all(batches.iter().map(|batch| lambda.apply(batch))).await;
    assert!(verdicts.iter().all(|verdicts| emitted(verdicts) == ["a", "b"]));
    assert!(double.most_under_way() <= 2);
}

#[tokio::test]
async fn a_url_gets_the_same_event_and_is_judged_alike() {
    let double = AwsDouble::start(None, |call| match call.number {
        0 => Reply::error(503, "AnyException"),
        _ => Reply::echo(call),
    })
    .await;
    let url = double.url.replace("http://", "http://user:pass@");
    let by_url = options(json!({"url": format!("{url}/transform?v=1")}));
    let verdicts = lambda(by_url).apply(&records(&["a", "b"])).await;
    assert_eq!(emitted(&verdicts), ["a", "b"]);
    let call = &double.calls()[1];
    assert_eq!(
        (call.path.as_str(), call.header("content-type")),
        ("/transform", "application/json")
    );
    assert_eq!(call.header("authorization"), "Basic dXNlcjpwYXNz");
    assert_eq!(call.json()["deliveryStreamArn"], STREAM);

    for (reply, expected) in [
        (Reply::new(500, "traceback"), "Lambda.FunctionError 4"),
        (Reply::new(502, ""), "Lambda.TargetServerFailedToRespond 4"),
        (Reply::new(429, ""), "Lambda.InvokeLimitExceeded 4"),
        (Reply::new(404, ""), "Lambda.ResourceNotFound 1"),
        (Reply::new(401, ""), "Lambda.InvokeAccessDenied 1"),
        (Reply::new(422, ""), "Lambda.InvocationFailure 1"),
        (Reply::new(413, ""), "Lambda.InvocationFailure 1"),
        (Reply::cut(), "Lambda.TargetServerFailedToRespond 4"),
        (Reply::new(200, "{}"), "Lambda.MissingRecordId 1"),
        (Reply::function_error("E", "m"), "Lambda.FunctionError 4"),
    ] {
        let double = AwsDouble::start(None, move |_| reply.clone()).await;
        let by_url =
            Options { on_unavailable: OnUnavailable::Fail, ..options(json!({"url": double.url})) };
        let verdicts = lambda(by_url).apply(&records(&["a"])).await;
        assert_eq!(emitted(&verdicts), [expected]);
    }
}

#[tokio::test]
async fn nothing_is_called_for_nothing() {
    let double = AwsDouble::start(Some("lambda"), Reply::echo).await;
    assert_eq!(lambda(at(&double)).apply(&[]).await, []);
    assert!(double.calls().is_empty());
}
