//! A bucket as far as a replay asks one.

use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpConnector,
        },
        orchestrator::HttpRequest,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
    shared::IntoShared,
};
use aws_smithy_types::body::SdkBody;
use parking_lot::Mutex;

use super::*;
use crate::replay::{
    Form, Store, Wanted,
    reading::{self, Reading},
};

/// A server that lists two objects a page and sends fifty bytes an answer, however many it
/// promises.
#[derive(Debug, Clone, Default)]
struct Bucket {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    requests: Arc<Mutex<Vec<String>>>,
    /// Answers that fail before the next that does not.
    busy: Arc<Mutex<u32>>,
}

const SENT_BYTES: usize = 50;

impl Bucket {
    fn answer(&self, request: &HttpRequest) -> (u16, Vec<u8>) {
        let uri: http::Uri = request.uri().parse().unwrap();
        let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
        let range = request.headers().get("range").unwrap_or_default().to_owned();
        self.requests.lock().push(format!("{} {path} {range}", request.method()));
        let mut busy = self.busy.lock();
        if *busy > 0 {
            *busy -= 1;
            return (503, b"<Error><Code>SlowDown</Code><Message>slow</Message></Error>".to_vec());
        }
        let key = percent_encoding::percent_decode_str(&path).decode_utf8().unwrap();
        let key = key.strip_prefix("/logs/").unwrap_or_default().to_owned();
        let mut objects = self.objects.lock();
        match request.method() {
            "GET" if query.contains("list-type=2") => {
                (200, self.page(&objects, &query).into_bytes())
            }
            "GET" | "HEAD" => match objects.get(&key) {
                None => (404, b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
                Some(object) => {
                    let from: usize =
                        range.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
                    (200, object[from..object.len().min(from + SENT_BYTES)].to_vec())
                }
            },
            "PUT" => {
                let source = request.headers().get("x-amz-copy-source").unwrap();
                let source = percent_encoding::percent_decode_str(source).decode_utf8().unwrap();
                let copied = objects[source.strip_prefix("logs/").unwrap()].clone();
                objects.insert(key, copied);
                (200, b"<CopyObjectResult></CopyObjectResult>".to_vec())
            }
            "DELETE" => {
                objects.remove(&key);
                (204, Vec::new())
            }
            other => panic!("{other}"),
        }
    }

    fn page(&self, objects: &BTreeMap<String, Vec<u8>>, query: &str) -> String {
        let token = query.split('&').find_map(|pair| pair.strip_prefix("continuation-token="));
        let from: usize = token.map_or(0, |token| token.parse().unwrap());
        let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or("");
        let found: Vec<_> = objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix.replace("%2F", "/")))
            .collect();
        let mut page = "<ListBucketResult>".to_owned();
        for (key, object) in found.iter().skip(from).take(2) {
            page += &format!(
                "<Contents><Key>{key}</Key><Size>{}</Size><ETag>\"e\"</ETag>\
                 <LastModified>2026-07-13T14:05:12.345Z</LastModified></Contents>",
                object.len()
            );
        }
        if from + 2 < found.len() {
            page += &format!("<NextContinuationToken>{}</NextContinuationToken>", from + 2);
        }
        page + "</ListBucketResult>"
    }
}

impl HttpConnector for Bucket {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (status, body) = self.answer(&request);
        let status = StatusCode::try_from(status).unwrap();
        let length = body.len().to_string();
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        if request.method() == "HEAD" {
            response.headers_mut().insert("content-length", length);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl HttpClient for Bucket {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.clone().into_shared()
    }
}

fn store(bucket: &Bucket) -> Store {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("a", "b", None, None, "test"))
        .endpoint_url("http://store")
        .force_path_style(true)
        .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
        .http_client(bucket.clone())
        .build();
    Store::S3(S3Bucket { client: Client::from_conf(config), bucket: "logs".into() })
}

fn with(objects: &[(&str, &str)]) -> Bucket {
    let bucket = Bucket::default();
    for (key, text) in objects {
        bucket.objects.lock().insert((*key).to_owned(), text.as_bytes().to_vec());
    }
    bucket
}

#[tokio::test(start_paused = true)]
async fn objects_are_listed_page_by_page_through_passing_trouble() {
    let bucket =
        with(&[("e/", ""), ("e/0/", ""), ("e/1", "x"), ("e/2", ""), ("e/3", "yz"), ("f", "")]);
    *bucket.busy.lock() = 3;
    let store = store(&bucket);
    let mut listing = store.list("e/");
    let mut found = Vec::new();
    loop {
        let page = listing.next().await.unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(
            page.into_iter().map(|object| (object.key, object.size_bytes, object.modified_ms)),
        );
    }
    // Where consoles draw a folder is no object.
    let at = 1_783_951_512_345;
    let expected = [("e/1", 1, at), ("e/2", 0, at), ("e/3", 2, at)];
    assert_eq!(found, expected.map(|(key, size, at)| (key.to_owned(), size, at)));
    *bucket.busy.lock() = u32::MAX;
    assert!(matches!(store.list("e/").next().await, Err(StoreError::Store(_))));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_asked_for_again_from_there() {
    let text: String =
        (0..6).map(|n| format!("{{\"rawData\":\"{}\"}}\n", "QUFB".repeat(n))).collect();
    let bucket = with(&[("a", &text)]);
    let store = Arc::new(store(&bucket));
    let object = store.list("").next().await.unwrap().remove(0);
    let mut pieces = reading::start(store, object, Form::Errors, Wanted::default(), false);
    let mut lengths = Vec::new();
    let end = loop {
        match pieces.recv().await.unwrap() {
            Reading::Piece(piece) => lengths.extend(piece.lines.iter().map(|line| line.raw.len())),
            Reading::End(end) => break end,
        }
    };
    assert_eq!((end, lengths), (Ok(()), vec![0, 3, 6, 9, 12, 15]));
    let requests = bucket.requests.lock().clone();
    let expected =
        ["GET /logs/ ", "GET /logs/a ", "GET /logs/a bytes=50-", "GET /logs/a bytes=100-"];
    assert_eq!(requests, expected);
}

#[tokio::test]
async fn objects_are_moved_by_copy_and_named_by_manifests() {
    let bucket = with(&[("e/a b+c", "x")]);
    let store = store(&bucket);
    let object = store.named("s3://logs/e/a b+c").await.unwrap();
    assert_eq!(
        (object.bucket.as_str(), object.key.as_str(), object.size_bytes),
        ("logs", "e/a b+c", 1)
    );
    store.move_to(&object, "done/a b+c").await.unwrap();
    let keys: Vec<String> = bucket.objects.lock().keys().cloned().collect();
    assert_eq!(keys, ["done/a b+c"]);
    for url in ["s3://logs/e/gone", "s3://logs/", "s3://logs", "file:/etc/passwd"] {
        assert!(matches!(store.named(url).await, Err(StoreError::Object(_))), "{url}");
    }
    let gone = store.open(&object, 0).await.err();
    assert!(matches!(gone, Some(StoreError::Object(_))), "{gone:?}");
}
