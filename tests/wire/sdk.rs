//! The Rust SDK for Firehose, unchanged but for the URL.

use aws_sdk_firehose::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::ProvideErrorMetadata,
    primitives::Blob,
    types::Record,
};

use crate::fake::{Running, start};

fn client(server: &Running, id: &str) -> Client {
    let config = aws_sdk_firehose::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(format!("http://{}", server.address))
        .region(Region::new("ap-southeast-2"))
        .credentials_provider(Credentials::new(id, "secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

fn record(bytes: &[u8]) -> Record {
    Record::builder().data(Blob::new(bytes)).build().unwrap()
}

#[tokio::test]
async fn the_sdk_puts_and_lists() {
    let server = start().await;
    let client = client(&server, "AKID");
    let answer =
        client.put_record().delivery_stream_name("s").record(record(b"\x00one")).send().await;
    assert_eq!(answer.unwrap().record_id(), "5a00000100000000000000000000");
    let answer = client
        .put_record_batch()
        .delivery_stream_name("limited")
        .records(record(b"two"))
        .records(record(b""))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.failed_put_count(), 1);
    let entries = answer.request_responses();
    assert_eq!(entries[0].record_id(), Some("5a00000100000000000000000001"));
    assert_eq!(entries[0].error_code(), None);
    assert_eq!(entries[1].error_code(), Some("ServiceUnavailableException"));
    assert_eq!(server.fake.records(), [&b"\x00one"[..], b"two", b""]);
    // The SDK names its calls, so that a retried one can be recognised.
    assert!(server.fake.puts.lock().iter().all(|(_, put)| put.call.is_some()));
    let list = client.list_delivery_streams().send().await.unwrap();
    assert_eq!(list.delivery_stream_names(), ["a", "b"]);
}

#[tokio::test]
async fn the_sdk_understands_the_errors() {
    let server = start().await;
    let put = async |client: Client, stream: &str| {
        let put = client.put_record().delivery_stream_name(stream).record(record(b"x"));
        put.send().await.unwrap_err().into_service_error()
    };
    let error = put(client(&server, "AKID"), "missing").await;
    assert!(error.is_resource_not_found_exception(), "{error:?}");
    let error = put(client(&server, "AKID"), "full").await;
    assert!(error.is_service_unavailable_exception(), "{error:?}");
    let error = put(client(&server, "NOBODY"), "s").await;
    assert_eq!(error.code(), Some("UnrecognizedClientException"));
    assert!(error.meta().message().is_some());
}
