//! Who may call: good signatures, and everything that is wrong with bad ones.

use bytes::Bytes;
use http::{HeaderValue, Request};

use crate::{
    client::{SIGNER, Signer, ask, batch, call, head_of, raw, send},
    fake::{Running, options, start, start_with, until},
};
use standpipe::api::ServerLimits;

fn refused(kind: &str) -> (u16, String) {
    (403, kind.to_owned())
}

async fn put_as(server: &Running, signer: Signer) -> crate::client::Answer {
    send(signer.sign(call(server.address, "PutRecordBatch", batch("s", &[b"x"])))).await
}

#[tokio::test]
async fn signed_puts_are_stored_byte_for_byte() {
    let server = start().await;
    let records: [&[u8]; 4] = [b"text\n", b"", b"\x00", &[0xff, 0x00, 0xfe, 0x0a]];
    let answer = ask(server.address, "PutRecordBatch", batch("s", &records)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(server.fake.records(), records);
    let presigned = Signer { presigned_s: Some(60), ..SIGNER };
    assert_eq!(put_as(&server, presigned).await.status, 200);
    let temporary = Signer { id: "TEMPORARY", token: Some("token"), ..SIGNER };
    assert_eq!(put_as(&server, temporary).await.status, 200);
    for ahead_s in [-890, 890] {
        assert_eq!(put_as(&server, Signer { ahead_s, ..SIGNER }).await.status, 200);
    }
    assert_eq!(server.fake.records().len(), 8);
}

#[tokio::test]
async fn wrong_signers_are_refused() {
    let server = start().await;
    for (signer, kind) in [
        (Signer { id: "NOBODY", ..SIGNER }, "UnrecognizedClientException"),
        (Signer { secret: "guess", ..SIGNER }, "InvalidSignatureException"),
        (Signer { service: "kinesis", ..SIGNER }, "InvalidSignatureException"),
        (Signer { ahead_s: 920, ..SIGNER }, "InvalidSignatureException"),
        (Signer { ahead_s: -920, ..SIGNER }, "InvalidSignatureException"),
        (Signer { ahead_s: -70, presigned_s: Some(60), ..SIGNER }, "InvalidSignatureException"),
        (Signer { token: Some("token"), ..SIGNER }, "UnrecognizedClientException"),
        (Signer { id: "TEMPORARY", ..SIGNER }, "UnrecognizedClientException"),
        (Signer { id: "TEMPORARY", token: Some("other"), ..SIGNER }, "UnrecognizedClientException"),
        (Signer { id: "OLD", ..SIGNER }, "ExpiredTokenException"),
    ] {
        let answer = put_as(&server, signer).await;
        assert_eq!(answer.outcome(), refused(kind), "{}", answer.body);
    }
    let unsigned = send(call(server.address, "ListDeliveryStreams", "{}")).await;
    assert_eq!(unsigned.outcome(), refused("MissingAuthenticationTokenException"));
    let mut half = SIGNER.sign(call(server.address, "ListDeliveryStreams", "{}"));
    half.headers_mut().insert("authorization", HeaderValue::from_static("AWS4-HMAC-SHA256 x"));
    assert_eq!(send(half).await.outcome(), refused("IncompleteSignatureException"));
    assert!(server.fake.records().is_empty() && server.fake.controls.lock().is_empty());
}

#[tokio::test]
async fn tampered_requests_are_refused() {
    let server = start().await;
    let body = batch("s", &[b"x"]);
    for presigned_s in [None, Some(60)] {
        let signer = Signer { presigned_s, ..SIGNER };
        let signed = || signer.sign(call(server.address, "PutRecordBatch", body.clone()));
        let changes: [fn(&mut Request<Bytes>); 4] = [
            |request| *request.body_mut() = batch("s", &[b"y"]).into(),
            |request| {
                let other = HeaderValue::from_static("Firehose_20150804.DeleteDeliveryStream");
                request.headers_mut().insert("x-amz-target", other);
            },
            |request| {
                let uri = request.uri().to_string();
                let sign = if uri.contains('?') { '&' } else { '?' };
                *request.uri_mut() = format!("{uri}{sign}a=b").parse().unwrap();
            },
            |request| {
                request.headers_mut().insert("x-amz-more", HeaderValue::from_static("1"));
            },
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut request = signed();
            change(&mut request);
            let outcome = send(request).await.outcome();
            assert_eq!(outcome, refused("InvalidSignatureException"), "change {number}");
        }
        assert_eq!(send(signed()).await.status, 200);
    }
    assert_eq!(server.fake.records(), [b"x", b"x"]);
    assert!(server.fake.controls.lock().is_empty());
}

/// The body never comes, so an answer proves that it was not waited for.
#[tokio::test]
async fn strangers_are_turned_away_before_their_body() {
    let server = start().await;
    let request = Signer { id: "NOBODY", ..SIGNER }.sign(call(server.address, "PutRecord", "{}"));
    let head =
        format!("{}content-length: 1000000\r\nexpect: 100-continue\r\n\r\n", head_of(&request));
    let answer = raw(server.address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden"), "{answer}");
    assert!(answer.contains("UnrecognizedClientException"), "{answer}");
}

#[tokio::test]
async fn the_credentials_file_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.yaml");
    let write = |id: &str| {
        std::fs::write(&path, format!("- {{access_key_id: {id}, secret_access_key: secret}}"))
            .unwrap();
    };
    write("FIRST");
    let mut options = options();
    options.credentials_file = Some(path.clone());
    let limits = ServerLimits {
        files_poll_interval: std::time::Duration::from_millis(10),
        ..ServerLimits::default()
    };
    let server = start_with(options, limits).await;
    let status = async |id| put_as(&server, Signer { id, ..SIGNER }).await.status.as_u16();
    assert_eq!((status("FIRST").await, status("SECOND").await), (200, 403));
    write("SECOND");
    until("the new key is known", async || status("SECOND").await == 200).await;
    assert_eq!((status("FIRST").await, status("AKID").await), (403, 200));
    std::fs::write(&path, "- {access_key_id").unwrap();
    write("THIRD");
    until("the file is mended", async || status("THIRD").await == 200).await;
}
