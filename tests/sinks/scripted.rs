//! The S3 sink against a server that misbehaves on cue, and what exactly it sends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use standpipe::{
    fault::Fault,
    limits,
    seams::{Delivered, Shipment, Sink},
    sinks::{
        layers::{self, Attempts},
        s3::{Checksums, Encryption, Options, S3Sink},
    },
    units::ByteSize,
};

use crate::{
    double::{Double, Reply, Seen},
    noise, options, shipment,
};

async fn sink(double: &Double) -> S3Sink {
    S3Sink::connect(options(double.endpoint())).await.unwrap()
}

/// A body of three parts.
fn three_parts() -> Shipment {
    shipment("a/b", noise(2 * limits::PART_BYTES as usize + 1))
}

/// Options under which even small bodies go up in parts.
fn in_parts(double: &Double) -> Options {
    Options { multipart_threshold: ByteSize(0), ..options(double.endpoint()) }
}

async fn delivered(sink: &S3Sink) {
    assert_eq!(sink.deliver(&shipment("a/b", "abc")).await, Ok(Delivered::default()));
}

#[tokio::test]
async fn refusals_are_told_apart_and_never_repeated_by_the_sdk() {
    let halt = Fault::halt;
    let retry = |code: &str, message: &str, after: u64| match Fault::retry(code, message) {
        Fault::Retry { cause, .. } => {
            Fault::Retry { cause, after: (after > 0).then(|| Duration::from_secs(after)) }
        }
        other => other,
    };
    let slow = || Reply::error(503, "SlowDown", "Please reduce your request rate.");
    for (reply, expected) in [
        (
            slow().with("retry-after", "7"),
            retry("S3.SlowDown", "503 on PutObject: Please reduce your request rate.", 7),
        ),
        (slow(), retry("S3.SlowDown", "503 on PutObject: Please reduce your request rate.", 1)),
        (
            Reply::error(403, "AccessDenied", "Access Denied"),
            halt("S3.AccessDenied", "403 on PutObject: Access Denied"),
        ),
        (
            Reply::error(404, "NoSuchBucket", "The specified bucket does not exist"),
            halt("S3.NoSuchBucket", "404 on PutObject: The specified bucket does not exist"),
        ),
        (
            Reply::error(400, "KMS.NotFoundException", "Key is not found"),
            halt("S3.KMS.NotFoundException", "400 on PutObject: Key is not found"),
        ),
        (
            Reply::error(500, "InternalError", "We encountered an internal error."),
            retry("S3.InternalError", "500 on PutObject: We encountered an internal error.", 0),
        ),
        (
            Reply::error(301, "PermanentRedirect", "Use another endpoint.")
                .with("x-amz-bucket-region", "eu-west-1")
                .with("location", "http://127.0.0.1:1/"),
            halt(
                "S3.PermanentRedirect",
                "301 on PutObject: Use another endpoint. (the bucket is in region eu-west-1)",
            ),
        ),
        (
            Reply::error(400, "AuthorizationHeaderMalformed", "The region is wrong"),
            halt("S3.AuthorizationHeaderMalformed", "400 on PutObject: The region is wrong"),
        ),
        (
            Reply::answer(502, "<html>Bad Gateway</html>"),
            retry("S3.InternalError", "502 on PutObject: InternalError", 0),
        ),
        (Reply::answer(403, ""), halt("S3.AccessDenied", "403 on PutObject: AccessDenied")),
    ] {
        let double = Double::start(move |_| reply.clone()).await;
        let outcome = sink(&double).await.deliver(&shipment("a", "x")).await;
        assert_eq!(outcome, Err(expected));
        assert_eq!(double.operations(), ["PutObject"]);
    }
}

#[tokio::test]
async fn one_request_carries_everything() {
    let double = Double::start(Reply::usual).await;
    let sink = sink(&double).await;
    let shipment = Shipment { content_encoding: Some("gzip"), ..shipment("a b/c=d+e", "abc") };
    sink.deliver(&shipment).await.unwrap();
    let [seen]: [Seen; 1] = double.seen().try_into().unwrap();
    assert_eq!(seen.path, "/logs/a%20b/c%3Dd%2Be");
    assert_eq!(seen.body, "abc");
    for (name, value) in [
        ("content-type", Some("application/octet-stream")),
        ("content-encoding", Some("gzip")),
        ("content-length", Some("3")),
        ("transfer-encoding", None),
        ("x-amz-server-side-encryption", None),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
    }
    delivered(&sink).await;
    assert_eq!(double.seen()[1].header("content-encoding"), None);
}

#[tokio::test]
async fn encryption_is_asked_for_with_the_object() {
    let algorithm = "x-amz-server-side-encryption";
    let key_id = "x-amz-server-side-encryption-aws-kms-key-id";
    for (encryption, expected) in [
        (Encryption::None, [None, None]),
        (Encryption::SseS3, [Some("AES256"), None]),
        (Encryption::SseKms("alias/logs".into()), [Some("aws:kms"), Some("alias/logs")]),
    ] {
        for threshold in [0, 100] {
            let double = Double::start(Reply::usual).await;
            let options = Options {
                encryption: encryption.clone(),
                multipart_threshold: ByteSize(threshold),
                ..options(double.endpoint())
            };
            delivered(&S3Sink::connect(options).await.unwrap()).await;
            let first = double.seen().remove(0);
            assert_eq!([first.header(algorithm), first.header(key_id)], expected);
        }
    }
}

#[tokio::test]
async fn checksums_go_along_only_where_they_are_wanted() {
    for threshold in [0, 100] {
        for (checksums, expected) in [
            // CRC-32 of "abc".
            (Checksums::WhenSupported, Some("NSRBwg==")),
            (Checksums::WhenRequired, None),
        ] {
            let double = Double::start(Reply::usual).await;
            let options = Options {
                checksums,
                multipart_threshold: ByteSize(threshold),
                ..options(double.endpoint())
            };
            delivered(&S3Sink::connect(options).await.unwrap()).await;
            let seen = double.seen();
            let body = seen.iter().find(|one| one.method == "PUT").unwrap();
            assert_eq!(body.header("x-amz-checksum-crc32"), expected);
            assert_eq!(body.body, "abc", "no chunk markers inside the body");
            for request in seen.iter().filter(|_| expected.is_none()) {
                for name in request.headers.keys() {
                    assert!(!name.as_str().contains("checksum"), "{name}");
                    assert!(!name.as_str().contains("trailer"), "{name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn large_bodies_go_up_in_parts_three_at_a_time() {
    let together = limits::PARTS_IN_FLIGHT;
    let most = Arc::new(AtomicUsize::new(0));
    let open = most.clone();
    let double = Double::start(move |seen| match seen.operation() {
        "UploadPart" => Reply::Together(together),
        _ => Reply::usual(seen),
    })
    .await;
    // Looks at every change: how many parts have arrived and are not answered.
    let sink = S3Sink::connect(in_parts(&double)).await.unwrap();
    let body = noise(6 * limits::PART_BYTES as usize + 5);
    let mut watching = double.watch();
    let watcher = tokio::spawn(async move {
        while watching.changed().await.is_ok() {
            let unanswered = |one: &&Seen| one.operation() == "UploadPart" && !one.answered;
            let count = watching.borrow_and_update().iter().filter(unanswered).count();
            open.fetch_max(count, Ordering::SeqCst);
        }
    });
    let shipment = Shipment { content_encoding: Some("gzip"), ..shipment("a/b", body.clone()) };
    sink.deliver(&shipment).await.unwrap();
    let seen = double.seen();
    drop(double);
    watcher.abort();
    assert!(most.load(Ordering::SeqCst) <= together, "{most:?}");

    assert_eq!(seen[0].operation(), "CreateMultipartUpload");
    assert_eq!(seen[0].header("content-encoding"), Some("gzip"));
    assert_eq!(seen[0].header("content-type"), Some("application/octet-stream"));
    let mut parts: Vec<&Seen> = seen.iter().filter(|one| one.operation() == "UploadPart").collect();
    let number = |one: &Seen| -> u32 {
        let mut pairs = one.query.split('&');
        pairs.find_map(|pair| pair.strip_prefix("partNumber=")).unwrap().parse().unwrap()
    };
    parts.sort_by_key(|one| number(one));
    assert_eq!(parts.iter().map(|one| number(one)).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    let sent: Vec<u8> = parts.iter().flat_map(|one| one.body.to_vec()).collect();
    assert!(sent == body, "the parts are not the body");

    let last = seen.last().unwrap();
    assert_eq!(last.operation(), "CompleteMultipartUpload");
    assert!(last.query.contains("uploadId=upload-1"), "{}", last.query);
    let listed = String::from_utf8(last.body.to_vec()).unwrap();
    assert_eq!(listed.matches("<PartNumber>").count(), 7);
    assert!(!seen.iter().any(|one| one.operation() == "AbortMultipartUpload"));
}

/// Delivers three parts to a server that fails one request, and expects the upload to be aborted.
async fn aborted(failing: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Fault {
    let double =
        Double::start(move |seen| failing(seen).unwrap_or_else(|| Reply::usual(seen))).await;
    let sink = S3Sink::connect(in_parts(&double)).await.unwrap();
    let fault = sink.deliver(&three_parts()).await.unwrap_err();
    let abort = double.arrival("AbortMultipartUpload").await;
    assert_eq!(abort.path, "/logs/a/b");
    assert!(abort.query.contains("uploadId=upload-1"), "{}", abort.query);
    fault
}

fn second_part(seen: &Seen) -> bool {
    seen.query.contains("partNumber=2")
}

#[tokio::test]
async fn a_connection_cut_in_a_part_is_tried_again_and_the_upload_aborted() {
    let fault = aborted(|seen| second_part(seen).then_some(Reply::Cut)).await;
    assert!(matches!(fault, Fault::Retry { .. }), "{fault:?}");
    assert_eq!(fault.cause().code, "S3.ConnectionFailed");
}

#[tokio::test]
async fn a_part_that_is_refused_aborts_the_upload() {
    let denied = || Reply::error(403, "AccessDenied", "Access Denied");
    let fault = aborted(move |seen| second_part(seen).then(denied)).await;
    assert_eq!(fault, Fault::halt("S3.AccessDenied", "403 on UploadPart: Access Denied"));
}

#[tokio::test]
async fn an_error_inside_the_success_of_a_completion_is_an_error() {
    for (code, retried) in [("InternalError", true), ("AccessDenied", false)] {
        let fault = aborted(move |seen| {
            let completing = seen.operation() == "CompleteMultipartUpload";
            completing.then(|| Reply::error(200, code, "so it is"))
        })
        .await;
        assert_eq!(matches!(fault, Fault::Retry { .. }), retried, "{fault:?}");
        assert_eq!(fault.cause().code, format!("S3.{code}"));
    }
}

#[tokio::test]
async fn a_delivery_that_is_called_off_aborts_its_upload() {
    let double = Double::start(|seen| match seen.operation() {
        "UploadPart" => Reply::Hang,
        _ => Reply::usual(seen),
    })
    .await;
    let sink = S3Sink::connect(in_parts(&double)).await.unwrap();
    let task = tokio::spawn(async move { sink.deliver(&three_parts()).await });
    double.arrival("UploadPart").await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    double.arrival("AbortMultipartUpload").await;
}

#[tokio::test]
async fn a_server_that_never_answers_ends_the_attempt() {
    for threshold in [0, 100] {
        let double = Double::start(|seen| match seen.operation() {
            "PutObject" | "UploadPart" => Reply::Hang,
            _ => Reply::usual(seen),
        })
        .await;
        let multipart_threshold = ByteSize(threshold);
        let options = Options { multipart_threshold, ..options(double.endpoint()) };
        let sink = Arc::new(S3Sink::connect(options).await.unwrap());
        let timeout = Duration::from_millis(1000);
        let attempts = Attempts::new(
            sink,
            layers::Options { timeout, concurrency: 1, ..layers::Options::default() },
        );
        let outcome = attempts.deliver(shipment("a/b", "abc")).await;
        let expected = Fault::retry("S3.RequestTimeout", "no answer within 1000 ms");
        assert_eq!(outcome, Err(expected));
        if threshold == 0 {
            double.arrival("AbortMultipartUpload").await;
        }
    }
}

#[tokio::test]
async fn destinations_at_one_endpoint_share_their_connections() {
    let double = Double::start(Reply::usual).await;
    for n in 0..20 {
        let options = Options { bucket: format!("logs-{n}"), ..options(double.endpoint()) };
        delivered(&S3Sink::connect(options).await.unwrap()).await;
    }
    assert_eq!(double.seen().len(), 20);
    assert!(double.connections() < 20, "every destination has a connection of its own");
}

fn with_role(double: &Double) -> Options {
    Options {
        role_arn: Some("arn:aws:iam::123456789012:role/firehose".into()),
        external_id: Some("external-7".into()),
        sts_endpoint: Some(double.endpoint().into()),
        ..options(double.endpoint())
    }
}

#[tokio::test]
async fn a_role_is_assumed_once_and_used() {
    let double = Double::start(|seen| match seen.operation() {
        "AssumeRole" => Reply::answer(
            200,
            "<AssumeRoleResponse><AssumeRoleResult><Credentials>\
             <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey>\
             <SessionToken>role-token</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>\
             </Credentials></AssumeRoleResult></AssumeRoleResponse>",
        ),
        _ => Reply::usual(seen),
    })
    .await;
    let sink = S3Sink::connect(with_role(&double)).await.unwrap();
    delivered(&sink).await;
    delivered(&sink).await;
    assert_eq!(double.operations(), ["AssumeRole", "PutObject", "PutObject"]);
    let seen = double.seen();
    let form = String::from_utf8(seen[0].body.to_vec()).unwrap();
    for expected in [
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Ffirehose",
        "RoleSessionName=standpipe",
        "ExternalId=external-7",
    ] {
        assert!(form.contains(expected), "{form}");
    }
    for put in &seen[1..] {
        assert_eq!(put.header("x-amz-security-token"), Some("role-token"));
        assert!(put.header("authorization").unwrap().contains("Credential=ASIAROLE/"));
    }
}

#[tokio::test]
async fn a_role_that_is_refused_holds_and_an_sts_in_trouble_is_tried_again() {
    let refused = "not authorized to perform: sts:AssumeRole";
    let denied = format!(
        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>{refused}</Message></Error>\
         </ErrorResponse>"
    );
    for (reply, expected) in [
        (
            Reply::answer(403, denied),
            Fault::halt("S3.AccessDenied", format!("credentials for PutObject: {refused}")),
        ),
        (
            Reply::answer(503, "<html>no</html>"),
            Fault::retry("S3.CredentialsUnavailable", "credentials for PutObject: "),
        ),
        (Reply::Cut, Fault::retry("S3.CredentialsUnavailable", "credentials for PutObject: ")),
    ] {
        let double = Double::start(move |_| reply.clone()).await;
        let sink = S3Sink::connect(with_role(&double)).await.unwrap();
        let fault = sink.deliver(&shipment("a", "x")).await.unwrap_err();
        let kinds = (std::mem::discriminant(&fault), std::mem::discriminant(&expected));
        assert_eq!(kinds.0, kinds.1, "{fault:?}");
        assert_eq!(fault.cause().code, expected.cause().code, "{fault:?}");
        assert!(fault.cause().message.starts_with(&expected.cause().message), "{fault:?}");
        assert_eq!(double.operations(), ["AssumeRole"]);
    }
}
