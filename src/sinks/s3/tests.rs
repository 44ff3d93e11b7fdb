//! What a request looks like before it leaves, at endpoints no test can reach.

use std::sync::Arc;

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
    shared::IntoShared,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use parking_lot::Mutex;

use super::*;
use crate::{
    record::{Ranges, Route},
    units::{ByteSize, Secret},
};

/// Takes every request for granted and keeps it.
#[derive(Debug, Clone, Default)]
struct Taken(Arc<Mutex<Vec<HttpRequest>>>);

impl HttpConnector for Taken {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.0.lock().push(request);
        let ok = StatusCode::try_from(200).expect("200 is a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(ok, SdkBody::empty())))
    }
}

impl HttpClient for Taken {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.clone().into_shared()
    }
}

fn options() -> Options {
    let value = |text: &str| Secret::Value(text.into());
    Options {
        bucket: "my-logs".into(),
        region: "eu-west-1".into(),
        endpoint: None,
        path_style: false,
        credentials: Some(CredentialSource {
            access_key_id: value("AKIAEXAMPLE"),
            secret_access_key: value("hush"),
            session_token: None,
        }),
        role_arn: None,
        external_id: None,
        sts_endpoint: None,
        encryption: Encryption::None,
        checksums: Checksums::WhenSupported,
        multipart_threshold: ByteSize(limits::MULTIPART_BYTES_DEFAULT),
        check_prefix: String::new(),
    }
}

async fn sent(options: Options) -> HttpRequest {
    let taken = Taken::default();
    let config = aws::config(&access(&options)).await;
    let config = config.into_builder().http_client(taken.clone()).build();
    let shipment = Shipment {
        key: "a b/c=d+e".into(),
        body: Bytes::from_static(b"{}\n"),
        content_type: "application/octet-stream",
        content_encoding: None,
        records: 1,
        positions: Ranges::of(0, 1),
        route: Route::Objects,
        list: None,
    };
    S3Sink::with_config(options, &config).deliver(&shipment).await.unwrap();
    let mut requests = taken.0.lock();
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

#[tokio::test]
async fn buckets_are_addressed_by_host_name_or_by_path() {
    let key = "a%20b/c%3Dd%2Be?x-id=PutObject";
    for (endpoint, path_style, expected) in [
        (None, false, format!("https://my-logs.s3.eu-west-1.amazonaws.com/{key}")),
        (None, true, format!("https://s3.eu-west-1.amazonaws.com/my-logs/{key}")),
        (Some("http://store:9000"), false, format!("http://my-logs.store:9000/{key}")),
        (Some("http://store:9000"), true, format!("http://store:9000/my-logs/{key}")),
    ] {
        let endpoint = endpoint.map(Into::into);
        let request = sent(Options { endpoint, path_style, ..options() }).await;
        assert_eq!(request.uri(), expected);
    }
}

#[tokio::test]
async fn a_body_is_hashed_only_where_nothing_else_guards_it() {
    let sha256 = "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356";
    for (endpoint, checksums, expected) in [
        (None, Checksums::WhenSupported, "UNSIGNED-PAYLOAD"),
        (None, Checksums::WhenRequired, sha256),
        (Some("https://store"), Checksums::WhenSupported, "UNSIGNED-PAYLOAD"),
        (Some("http://store"), Checksums::WhenSupported, sha256),
    ] {
        let endpoint = endpoint.map(Into::into);
        let request = sent(Options { endpoint, checksums, ..options() }).await;
        assert_eq!(request.headers().get("x-amz-content-sha256"), Some(expected));
    }
}

#[tokio::test]
async fn an_endpoint_must_be_a_url() {
    for wrong in ["store:9000", "ftp://store", "http://", "a b"] {
        for options in [
            Options { endpoint: Some(wrong.into()), ..options() },
            Options { sts_endpoint: Some(wrong.into()), ..options() },
        ] {
            let error = S3Sink::connect(options).await.err();
            assert_eq!(error, Some(SinkError::Endpoint(wrong.into())));
        }
    }
}
