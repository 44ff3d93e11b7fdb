//! The S3 sink against real servers.

use standpipe::{
    env::Env,
    fault::Fault,
    limits,
    seams::{Delivered, Shipment, Sink},
    sinks::{
        self,
        s3::{Checksums, CredentialSource, Encryption, Options, S3Sink},
    },
    units::{ByteSize, Secret},
};
use tempfile::TempDir;

use crate::{
    conformance::{self, Destination, S3},
    noise, options,
    servers::{ACCESS_KEY, SECRET_KEY, Server},
    shipment,
};

fn code(outcome: Result<Delivered, Fault>) -> String {
    match outcome {
        Ok(_) => "delivered".into(),
        Err(Fault::Halt { cause }) => format!("halt {}", cause.code),
        Err(fault) => format!("{fault:?}"),
    }
}

#[tokio::test]
async fn versity_conforms_with_and_without_checksums() {
    let server = Server::versity();
    for (bucket, checksums) in
        [("supported", Checksums::WhenSupported), ("required", Checksums::WhenRequired)]
    {
        let options = Options { bucket: bucket.into(), checksums, ..options(&server.endpoint()) };
        conformance::run(&S3::new(options).await).await;
    }
}

#[tokio::test]
async fn moto_conforms_with_and_without_checksums() {
    let server = Server::moto();
    for (bucket, checksums) in
        [("supported", Checksums::WhenSupported), ("required", Checksums::WhenRequired)]
    {
        let options = Options { bucket: bucket.into(), checksums, ..options(&server.endpoint()) };
        conformance::run(&S3::new(options).await).await;
    }
}

#[tokio::test]
async fn wrong_keys_hold_until_the_file_holds_the_right_ones() {
    let server = Server::versity();
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    let id = folder.path().join("id");
    let options = Options {
        credentials: Some(CredentialSource {
            access_key_id: Secret::File { file: id.clone() },
            secret_access_key: Secret::File { file: secret.clone() },
            session_token: None,
        }),
        ..options(&server.endpoint())
    };
    S3::new(crate::options(&server.endpoint())).await.make().await;
    let sink = S3Sink::connect(options).await.unwrap();
    for (key_id, key, expected) in [
        (None, None, "halt S3.CredentialsInvalid"),
        // This server's word for InvalidAccessKeyId.
        (Some("AKIAUNKNOWN"), Some(SECRET_KEY), "halt S3.XAdminUserNotFound"),
        (Some(ACCESS_KEY), Some("wrong"), "halt S3.SignatureDoesNotMatch"),
        (Some(ACCESS_KEY), Some(SECRET_KEY), "delivered"),
        (Some(ACCESS_KEY), Some("revoked"), "halt S3.SignatureDoesNotMatch"),
        (Some(ACCESS_KEY), Some(SECRET_KEY), "delivered"),
    ] {
        if let (Some(key_id), Some(key)) = (key_id, key) {
            std::fs::write(&id, key_id).unwrap();
            std::fs::write(&secret, key).unwrap();
        }
        assert_eq!(code(sink.deliver(&shipment("a", "x")).await), expected, "{key_id:?}");
    }
}

#[tokio::test]
async fn what_the_server_calls_missing_holds_and_is_named() {
    for server in [Server::versity(), Server::moto()] {
        let sink = S3Sink::connect(options(&server.endpoint())).await.unwrap();
        for body in [noise(10), noise(limits::MULTIPART_BYTES_DEFAULT as usize + 1)] {
            let outcome = sink.deliver(&shipment("a", body)).await;
            assert_eq!(code(outcome), "halt S3.NoSuchBucket");
        }
    }
}

#[tokio::test]
async fn headers_and_encryption_are_kept_with_the_object() {
    let server = Server::moto();
    let small = ByteSize(0);
    let large = ByteSize(limits::MULTIPART_BYTES_DEFAULT);
    let arn = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let destination = S3::new(options(&server.endpoint())).await;
    destination.make().await;
    for multipart_threshold in [small, large] {
        for (encryption, expected) in [
            (Encryption::SseS3, ("AES256", None)),
            (Encryption::SseKms(arn.into()), ("aws:kms", Some(arn))),
        ] {
            let options =
                Options { encryption, multipart_threshold, ..options(&server.endpoint()) };
            let sink = sinks::connect(options, &Env::real()).await.unwrap();
            let gzip = Some("gzip");
            let shipment = Shipment { content_encoding: gzip, ..shipment("sse", "abc") };
            sink.deliver(&shipment).await.unwrap();
            let head =
                destination.client.head_object().bucket("logs").key("sse").send().await.unwrap();
            assert_eq!(head.content_type(), Some("application/octet-stream"));
            assert_eq!(head.content_encoding(), gzip);
            let algorithm = head.server_side_encryption().unwrap().as_str();
            assert_eq!((algorithm, head.ssekms_key_id()), expected, "{multipart_threshold}");
        }
    }
}

#[tokio::test]
async fn a_role_is_assumed_before_the_delivery() {
    let server = Server::moto();
    S3::new(options(&server.endpoint())).await.make().await;
    let options = Options {
        role_arn: Some("arn:aws:iam::123456789012:role/firehose".into()),
        external_id: Some("123456789012".into()),
        sts_endpoint: Some(server.endpoint()),
        ..options(&server.endpoint())
    };
    let sink = S3Sink::connect(options).await.unwrap();
    assert_eq!(code(sink.deliver(&shipment("a", "x")).await), "delivered");
}

#[tokio::test]
async fn a_server_that_is_down_is_tried_again() {
    let server = Server::versity();
    let endpoint = server.endpoint();
    S3::new(options(&endpoint)).await.make().await;
    let sink = S3Sink::connect(options(&endpoint)).await.unwrap();
    assert_eq!(code(sink.deliver(&shipment("a", "x")).await), "delivered");
    drop(server);
    let outcome = sink.deliver(&shipment("a", "x")).await;
    let Err(Fault::Retry { cause, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(cause.code, "S3.ConnectionFailed");
}

#[tokio::test]
async fn a_start_waits_for_nobody() {
    // Nobody listens here: neither S3 nor STS.
    let nobody = "http://127.0.0.1:1";
    let options = Options {
        role_arn: Some("arn:aws:iam::123456789012:role/firehose".into()),
        sts_endpoint: Some(nobody.into()),
        ..options(nobody)
    };
    let sink = S3Sink::connect(options).await.unwrap();
    let outcome = sink.deliver(&shipment("a", "x")).await;
    let Err(Fault::Retry { cause, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(cause.code, "S3.CredentialsUnavailable");
}
