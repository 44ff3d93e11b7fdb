//! Against `kinesis-local`, which closes iterators as the service does. The test that starts it
//! (`tests/e2e/test_sources_within.py`) tells its URL in `STANDPIPE_TEST_KINESIS`.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{super::super::client::Listing, *};
use crate::{
    net::{aws::StaticKeys, signed::SignedClient},
    units::Secret,
};

struct Kinesis {
    signed: SignedClient,
    url: String,
    access: Access,
}

impl Kinesis {
    fn at(url: String) -> Self {
        let secret = |text: &str| Secret::Value(text.into());
        let access = Access {
            region: "us-east-1".into(),
            keys: Some(StaticKeys {
                access_key_id: secret("AKIAEXAMPLE"),
                secret_access_key: secret("example"),
                session_token: None,
            }),
            role: None,
            sts_endpoint: None,
        };
        let signed = SignedClient::new(&access, "kinesis", Some(url.clone())).unwrap();
        Self { signed, url, access }
    }

    async fn ask(&self, action: &str, question: Value) -> Value {
        let target = format!("Kinesis_20131202.{action}");
        let headers =
            [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let body = Bytes::from(question.to_string());
        let timeout = Duration::from_secs(30);
        let answer = self.signed.post("/", &headers, body, timeout, 1 << 24).await.unwrap();
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status.is_success(), "{action}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Puts numbered records under different keys.
    async fn put(&self, stream: &str, numbers: std::ops::Range<usize>) {
        let record = |number: usize| {
            let data = base64_simd::STANDARD.encode_to_string(number.to_string());
            json!({"Data": data, "PartitionKey": format!("key-{}", number % 97)})
        };
        let all: Vec<_> = numbers.collect();
        for some in all.chunks(400) {
            let records: Vec<_> = some.iter().map(|&number| record(number)).collect();
            let question = json!({"StreamName": stream, "Records": records});
            let answer = self.ask("PutRecords", question).await;
            assert_eq!(answer["FailedRecordCount"], 0);
        }
    }

    async fn active(&self, client: &Client) {
        while client.describe().await.is_ok_and(|info| info.status != "ACTIVE") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run with an emulator by ./test"]
async fn a_reshard_while_reading_loses_and_doubles_nothing() {
    let kinesis = Kinesis::at(std::env::var("STANDPIPE_TEST_KINESIS").expect("./test names it"));
    let stream = format!("s-{}", uuid::Uuid::new_v4());
    kinesis.ask("CreateStream", json!({"StreamName": stream, "ShardCount": 2})).await;
    let name = StreamName::Name(stream.clone());
    let client = Arc::new(Client::new(&kinesis.access, Some(kinesis.url.clone()), name).unwrap());
    kinesis.active(&client).await;

    let folder = tempfile::tempdir().unwrap();
    let (coordinator, inlet) = (TestCoordinator::new(), TestInlet::durable(BTreeMap::new()));
    let run = |inlet: &Arc<TestInlet>| {
        let mut options = options(Start::TrimHorizon);
        options.stream = Some(stream.clone());
        options.endpoint = Some(kinesis.url.clone());
        options.poll_interval = crate::units::Span(Duration::from_millis(200));
        let mut context = context(folder.path());
        context.access = kinesis.access.clone();
        let poll = options.poll_interval.0;
        let source = KinesisSource::new(options, context).unwrap().with(Doubles {
            listing: client.clone(),
            readers: Arc::new(Polling::new(client.clone(), poll, Env::real())),
            coordinator: coordinator.clone(),
        });
        let (stop, into) = (CancellationToken::new(), inlet.clone());
        let token = stop.clone();
        (stop, tokio::spawn(async move { source.run(into, token).await }))
    };

    let (stop, task) = run(&inlet);
    kinesis.put(&stream, 0..2000).await;
    inlet.wait_for(500).await;
    let shards = client.list_shards().await.unwrap();
    let (low, high) = shards[0].hash_range;
    let split = json!({"StreamName": stream, "ShardToSplit": shards[0].id,
        "NewStartingHashKey": (low + (high - low) / 2).to_string()});
    kinesis.ask("SplitShard", split).await;
    kinesis.active(&client).await;
    kinesis.put(&stream, 2000..4000).await;
    inlet.wait_for(4000).await;
    stop.cancel();
    task.await.unwrap();

    // Stopped during a merge, and started again.
    let open: Vec<_> = client.list_shards().await.unwrap();
    let mut open: Vec<_> = open.into_iter().filter(|shard| !shard.closed).collect();
    open.sort_by_key(|shard| shard.hash_range);
    let merge = json!({"StreamName": stream, "ShardToMerge": open[0].id,
        "AdjacentShardToMerge": open[1].id});
    kinesis.put(&stream, 4000..5000).await;
    kinesis.ask("MergeShards", merge).await;
    kinesis.active(&client).await;
    kinesis.put(&stream, 5000..6000).await;
    let second = inlet.reopened();
    let (stop, task) = run(&second);
    second.wait_for(2000).await;
    stop.cancel();
    task.await.unwrap();

    let all: Vec<_> = texts(&inlet).into_iter().chain(texts(&second)).collect();
    assert_eq!(all.len(), 6000);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 6000);
    let ended = coordinator.told().iter().filter(|(_, to)| to == "SHARD_END").count();
    assert_eq!(ended, 3, "one split, two merged");
    let place = second.puts()[0].provenance.clone().unwrap().place.unwrap();
    assert!(place.stream_arn.unwrap().ends_with(&format!(":stream/{stream}")));
}
