//! What every sink of objects must do. A destination shows its objects to the suite.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use standpipe::{
    env::{Env, RealFiles},
    fault::Fault,
    limits, retry,
    seams::{Delivered, Sink},
    sinks::{self, file::FileSink, file::key, s3::Options},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{noise, options, shipment};

/// A destination seen from both sides.
#[async_trait]
pub trait Destination: Send + Sync {
    fn sink(&self) -> Arc<dyn Sink>;
    /// Makes the bucket; without it the sink must hold.
    async fn make(&self);
    async fn object(&self, key: &str) -> Option<Bytes>;
    async fn keys(&self) -> Vec<String>;
}

/// Runs the suite against a destination whose bucket does not exist yet.
pub async fn run(destination: &dyn Destination) {
    a_missing_bucket_holds(destination).await;
    destination.make().await;
    objects_arrive_as_they_were_sent(destination).await;
    the_same_key_is_replaced(destination).await;
    deliveries_at_a_time_do_not_mix(destination).await;
    no_other_object_is_there(destination).await;
}

async fn store(destination: &dyn Destination, key: &str, body: Bytes) {
    let delivered = destination.sink().deliver(&shipment(key, body)).await;
    assert_eq!(delivered, Ok(Delivered::default()), "{key}");
}

/// As the daemon does: a server may ask to come again (Moto answers 500 to some of those who
/// write one key at a time), but must not hold.
async fn store_in_the_end(destination: &dyn Destination, key: &str, body: &Bytes) {
    let policy = retry::Policy::forever(Duration::from_millis(10), Duration::from_millis(100));
    let (sink, never) = (destination.sink(), CancellationToken::new());
    let delivered = retry::until_done(
        &policy,
        &never,
        |fault, _, _| assert!(matches!(fault, Fault::Retry { .. }), "{fault:?}"),
        |_| async { sink.deliver(&shipment(key, body.clone())).await },
    );
    assert_eq!(delivered.await, Ok(Delivered::default()));
}

async fn a_missing_bucket_holds(destination: &dyn Destination) {
    let delivered = destination.sink().deliver(&shipment("early", "x")).await;
    assert!(matches!(delivered, Err(Fault::Halt { .. })), "{delivered:?}");
}

async fn objects_arrive_as_they_were_sent(destination: &dyn Destination) {
    let part = limits::PART_BYTES as usize;
    for (key, len) in [
        ("as-sent/empty", 0),
        ("as-sent/dt=2026-01-02/hour=03/clicks-1-2026.gz", 1),
        ("as-sent/with space/ü+&%25=@,;'()!$*~", 1000),
        ("as-sent/parts/one-below", limits::MULTIPART_BYTES_DEFAULT as usize),
        ("as-sent/parts/whole", 5 * part),
        ("as-sent/parts/and-a-rest", 5 * part + 1),
    ] {
        store(destination, key, noise(len)).await;
        let object = destination.object(key).await;
        assert!(object.is_some_and(|object| object == noise(len)), "{key}");
    }
}

async fn the_same_key_is_replaced(destination: &dyn Destination) {
    for body in ["a longer first", "second"] {
        store(destination, "replaced", body.into()).await;
        assert_eq!(destination.object("replaced").await.unwrap(), body);
    }
}

async fn deliveries_at_a_time_do_not_mix(destination: &dyn Destination) {
    let bodies: Vec<Bytes> = (1..=8).map(|n| noise(n * 50_000)).collect();
    join_all(bodies.iter().map(|body| store_in_the_end(destination, "contended", body))).await;
    let object = destination.object("contended").await.unwrap();
    assert!(bodies.contains(&object), "{} bytes are none of the bodies", object.len());
}

async fn no_other_object_is_there(destination: &dyn Destination) {
    let mut keys = destination.keys().await;
    keys.retain(|key| !key.starts_with("as-sent/"));
    assert_eq!(keys, ["contended", "replaced"]);
}

/// A bucket of a real server.
pub struct S3 {
    sink: Arc<dyn Sink>,
    pub client: aws_sdk_s3::Client,
    bucket: String,
}

impl S3 {
    pub async fn new(options: Options) -> Self {
        let credentials = aws_sdk_s3::config::Credentials::new(
            crate::servers::ACCESS_KEY,
            crate::servers::SECRET_KEY,
            None,
            None,
            "test",
        );
        let config = aws_sdk_s3::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_s3::config::Region::new("us-east-1"))
            .endpoint_url(options.endpoint.clone().unwrap())
            .force_path_style(true)
            .credentials_provider(credentials)
            .build();
        let bucket = options.bucket.clone();
        let sink = sinks::connect(options, &Env::real()).await.unwrap();
        Self { sink, client: aws_sdk_s3::Client::from_conf(config), bucket }
    }
}

#[async_trait]
impl Destination for S3 {
    fn sink(&self) -> Arc<dyn Sink> {
        self.sink.clone()
    }

    async fn make(&self) {
        self.client.create_bucket().bucket(&self.bucket).send().await.unwrap();
    }

    async fn object(&self, key: &str) -> Option<Bytes> {
        let object = self.client.get_object().bucket(&self.bucket).key(key).send().await.ok()?;
        Some(object.body.collect().await.unwrap().into_bytes())
    }

    async fn keys(&self) -> Vec<String> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).send().await.unwrap();
        list.contents().iter().filter_map(|object| object.key.clone()).collect()
    }
}

/// A folder on this disk.
struct Folder {
    sink: Arc<dyn Sink>,
    place: TempDir,
}

impl Folder {
    fn root(&self) -> std::path::PathBuf {
        self.place.path().join("mount/logs")
    }
}

#[async_trait]
impl Destination for Folder {
    fn sink(&self) -> Arc<dyn Sink> {
        self.sink.clone()
    }

    async fn make(&self) {
        std::fs::create_dir_all(self.root()).unwrap();
    }

    async fn object(&self, key: &str) -> Option<Bytes> {
        std::fs::read(self.root().join(key::path(key).unwrap())).ok().map(Into::into)
    }

    async fn keys(&self) -> Vec<String> {
        let mut folders = vec![self.root()];
        let mut keys = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let key = path.strip_prefix(self.root()).unwrap();
                    keys.push(key.to_str().unwrap().to_owned());
                }
            }
        }
        keys.sort();
        keys
    }
}

#[tokio::test]
async fn a_folder_conforms() {
    let place = TempDir::new().unwrap();
    let root = place.path().join("mount/logs");
    let sink = Arc::new(FileSink::new(root, Arc::new(RealFiles)));
    run(&Folder { sink, place }).await;
}

#[tokio::test]
async fn a_folder_is_named_like_a_bucket() {
    let place = TempDir::new().unwrap();
    let options = Options {
        bucket: format!("file://{}/mount/logs", place.path().display()),
        ..options("http://127.0.0.1:1")
    };
    let sink = sinks::connect(options, &Env::real()).await.unwrap();
    run(&Folder { sink, place }).await;
}
