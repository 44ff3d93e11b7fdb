//! What a trial of a bucket says, and what it leaves.

use standpipe::{
    seams::{Sink, Trial},
    sinks::s3::{CredentialSource, Encryption, Options, S3Sink},
    units::Secret,
};

use crate::{
    conformance::{Destination, S3},
    double::{Double, Reply},
    options,
    servers::{ACCESS_KEY, Server},
};

async fn trials(options: Options) -> Vec<Trial> {
    S3Sink::connect(options).await.unwrap().check().await
}

/// The words of a trial that stopped at its first step.
async fn refusal(options: Options) -> String {
    let [trial]: [Trial; 1] = trials(options).await.try_into().unwrap();
    assert_eq!(trial.step, "write");
    trial.result.unwrap_err().to_string()
}

#[tokio::test]
async fn an_object_is_written_below_the_prefix_and_removed() {
    for server in [Server::versity(), Server::moto()] {
        let options = Options { check_prefix: "errors/".into(), ..options(&server.endpoint()) };
        let destination = S3::new(options.clone()).await;
        destination.make().await;
        let [written, removed]: [Trial; 2] = trials(options).await.try_into().unwrap();
        let place = written.result.unwrap();
        assert!(place.starts_with("s3://logs/errors/.standpipe-check/"), "{place}");
        assert_eq!(removed.step, "remove");
        assert_eq!(removed.result.as_deref(), Ok("nothing is left behind"));
        let left = destination.client.list_objects_v2().bucket("logs").send().await.unwrap();
        assert!(left.contents().is_empty());
    }
}

#[tokio::test]
async fn real_servers_say_what_is_wrong() {
    let server = Server::versity();
    let said = refusal(options(&server.endpoint())).await;
    assert!(said.starts_with("S3.NoSuchBucket: 404 on PutObject: "), "{said}");
    assert!(said.ends_with(&format!("; no bucket \"logs\" at {}", server.endpoint())), "{said}");
    let wrong = CredentialSource {
        access_key_id: Secret::Value(ACCESS_KEY.into()),
        secret_access_key: Secret::Value("wrong".into()),
        session_token: None,
    };
    let said = refusal(Options { credentials: Some(wrong), ..options(&server.endpoint()) }).await;
    assert!(said.starts_with("S3.SignatureDoesNotMatch: "), "{said}");
    let endpoint = server.endpoint();
    drop(server);
    let said = refusal(options(&endpoint)).await;
    assert!(said.starts_with("S3.ConnectionFailed: PutObject: "), "{said}");
    assert!(said.ends_with(&format!("; asked: {endpoint}")), "{said}");
}

#[tokio::test]
async fn a_name_that_nobody_has_is_told() {
    let said = refusal(options("http://nowhere.invalid:9000")).await;
    assert!(said.starts_with("S3.ConnectionFailed: PutObject: "), "{said}");
    assert!(said.ends_with("; asked: http://nowhere.invalid:9000"), "{said}");
}

#[tokio::test]
async fn refusals_say_what_is_needed() {
    let kms = Encryption::SseKms("alias/logs".into());
    for (reply, encryption, prefix, expected) in [
        (
            Reply::error(403, "AccessDenied", "Access Denied"),
            Encryption::None,
            "",
            "S3.AccessDenied: 403 on PutObject: Access Denied; \
             needed: s3:PutObject on arn:aws:s3:::logs/*",
        ),
        (
            Reply::error(403, "AccessDenied", "Access Denied"),
            kms.clone(),
            "errors/",
            "S3.AccessDenied: 403 on PutObject: Access Denied; \
             needed: s3:PutObject on arn:aws:s3:::logs/errors/*, \
             and kms:GenerateDataKey and kms:Decrypt on alias/logs",
        ),
        (
            Reply::error(400, "KMS.NotFoundException", "Key is not found"),
            kms,
            "",
            "S3.KMS.NotFoundException: 400 on PutObject: Key is not found; \
             needed: kms:GenerateDataKey and kms:Decrypt on the key, in the bucket's region",
        ),
        (
            Reply::error(301, "PermanentRedirect", "Use another endpoint.")
                .with("x-amz-bucket-region", "eu-west-1"),
            Encryption::None,
            "",
            "S3.PermanentRedirect: 301 on PutObject: Use another endpoint. \
             (the bucket is in region eu-west-1); the region of this destination is us-east-1",
        ),
        (
            Reply::error(503, "SlowDown", "Please reduce your request rate."),
            Encryption::None,
            "",
            "S3.SlowDown: 503 on PutObject: Please reduce your request rate.",
        ),
    ] {
        let double = Double::start(move |_| reply.clone()).await;
        let check_prefix = prefix.to_owned();
        let options = Options { encryption, check_prefix, ..options(double.endpoint()) };
        assert_eq!(refusal(options).await, expected);
    }
}

#[tokio::test]
async fn an_object_that_may_not_be_removed_is_a_remark() {
    let double = Double::start(|seen| match seen.method.as_str() {
        "DELETE" => Reply::error(403, "AccessDenied", "Access Denied"),
        _ => Reply::usual(seen),
    })
    .await;
    let [written, removed]: [Trial; 2] =
        trials(options(double.endpoint())).await.try_into().unwrap();
    assert!(written.result.is_ok());
    assert_eq!(
        removed.result.as_deref(),
        Ok("the object stays, which deliveries do not mind: \
            S3.AccessDenied: 403 on DeleteObject: Access Denied")
    );
}
