//! A source against librdkafka's mock of a cluster, and (ignored) against a real broker.

mod broker;
mod members;
mod positions;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    message::{Header, OwnedHeaders},
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{KafkaSource, Options};
use crate::{
    env::Env,
    net::aws::Access,
    record::Put,
    seams::{Inlet, Source},
    sources::{Context, testing::TestInlet},
    telemetry::{Metrics, SourceMetrics},
};

/// Long enough for a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster of one broker in this process.
struct Mock {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Mock {
    fn new(topic: &str, partitions: i32) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(topic, partitions, 1).unwrap();
        Self { cluster }
    }

    fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

/// A source at work.
struct Running {
    inlet: Arc<TestInlet>,
    metrics: SourceMetrics,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn context(metrics: &SourceMetrics) -> Context {
    Context {
        stream: "s".into(),
        folder: "unused".into(),
        access: Access { region: "eu-west-1".into(), keys: None, role: None, sts_endpoint: None },
        msk_endpoint: None,
        metrics: metrics.clone(),
        env: Env::real(),
    }
}

/// Options of a source that reads `topic` from its beginning, with these besides.
fn options(brokers: &str, topic: &str, more: Value) -> Options {
    let mut all = json!({
        "brokers": [brokers], "topics": [topic], "start": "earliest", "session_timeout": "6s",
    });
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

impl Running {
    fn start(options: Options, inlet: Arc<TestInlet>) -> Self {
        let metrics = Metrics::new().source("s");
        let source = KafkaSource::new(options, context(&metrics)).unwrap();
        let stop = CancellationToken::new();
        let (into, stopping): (Arc<dyn Inlet>, _) = (inlet.clone(), stop.clone());
        let task = tokio::spawn(async move { source.run(into, stopping).await });
        Self { inlet, metrics, stop, task }
    }

    /// Waits until so many records were put.
    async fn read(&self, records: usize) {
        let reading = self.inlet.wait_for(records);
        if tokio::time::timeout(PATIENCE, reading).await.is_err() {
            panic!("{} records instead of {records}", self.inlet.records().len());
        }
    }

    async fn owns(&self, parts: i64) {
        until("the partitions", || self.metrics.parts.get() == parts).await;
    }

    async fn stop(self) -> Arc<TestInlet> {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
        self.inlet
    }
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A record of a test: where to, its text, and whether it has a key and a header.
fn produce(brokers: &str, topic: &str, records: &[(i32, &str)]) {
    produce_with(&[("bootstrap.servers", brokers)], topic, records);
}

fn produce_with(settings: &[(&str, &str)], topic: &str, records: &[(i32, &str)]) {
    let mut config = ClientConfig::new();
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.set("linger.ms", "0").set("message.max.bytes", "90000000");
    let producer: BaseProducer = config.create().unwrap();
    for (partition, text) in records {
        let key = format!("key of {}", &text[..text.len().min(40)]);
        let header = Header { key: "h", value: Some("v") };
        let mut record = BaseRecord::to(topic)
            .partition(*partition)
            .key(&key)
            .headers(OwnedHeaders::new().insert(header));
        if !text.is_empty() {
            record = record.payload(*text);
        }
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
}

/// So many texts, each in the partition of its number.
fn texts(from: usize, to: usize, partitions: i32) -> Vec<(i32, String)> {
    (from..to).map(|n| ((n as i32) % partitions, format!("record {n}"))).collect()
}

fn borrowed(records: &[(i32, String)]) -> Vec<(i32, &str)> {
    records.iter().map(|(partition, text)| (*partition, text.as_str())).collect()
}

/// What was put, as texts in no order, how often each.
fn counted(inlets: &[&TestInlet]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in inlets.iter().flat_map(|inlet| inlet.records()) {
        *counts.entry(String::from_utf8(record).unwrap()).or_default() += 1;
    }
    counts
}

/// Every one of these texts was put exactly once, and nothing else.
fn assert_exactly_once(inlets: &[&TestInlet], expected: &[(i32, String)]) {
    let expected: BTreeMap<String, usize> =
        expected.iter().map(|(_, text)| (text.clone(), 1)).collect();
    let counts = counted(inlets);
    let odd: Vec<_> = counts.iter().filter(|(text, n)| expected.get(*text) != Some(n)).collect();
    let missing: BTreeSet<_> = expected.keys().filter(|text| !counts.contains_key(*text)).collect();
    assert!(odd.is_empty() && missing.is_empty(), "more than once: {odd:?}, missing: {missing:?}");
}

/// The steps of all puts, in their order.
fn steps(puts: &[Put]) -> Vec<(String, i64)> {
    let provenances = puts.iter().filter_map(|put| put.provenance.as_deref());
    provenances
        .flat_map(|provenance| &provenance.steps)
        .map(|step| (step.key.clone(), step.position.as_ref().unwrap().parse().unwrap()))
        .collect()
}

fn member(brokers: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "standpipe-s")
        .create()
        .unwrap()
}

/// The group's offset of a partition, and what stands beside it.
fn committed(brokers: &str, topic: &str, partition: i32) -> (Option<i64>, String) {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let list = member(brokers).committed_offsets(list, PATIENCE).unwrap();
    let element = list.find_partition(topic, partition).unwrap();
    element.error().unwrap();
    let offset = match element.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    (offset, element.metadata().to_owned())
}

/// Sets the group's offset as a tool does.
fn reset(brokers: &str, topic: &str, partition: i32, offset: i64, metadata: &str) {
    let mut list = TopicPartitionList::new();
    {
        let mut element = list.add_partition(topic, partition);
        element.set_offset(Offset::Offset(offset)).unwrap();
        if !metadata.is_empty() {
            element.set_metadata(metadata);
        }
    }
    member(brokers).commit(&list, CommitMode::Sync).unwrap();
}
