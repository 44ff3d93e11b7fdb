//! Against librdkafka's mock of a cluster.

use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use tokio::sync::mpsc;

use super::*;
use crate::buffer::kafka::{Event, KafkaLane as Partition, Member};

/// Long enough for a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(120);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster(partitions: i32) -> (Cluster, KafkaOptions, Link) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("journal", partitions, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let options = serde_json::json!({"brokers": [brokers], "topic": "journal"});
    let options: KafkaOptions = serde_json::from_value(options).unwrap();
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    (cluster, options, Link { config, tokens: None })
}

fn put(texts: &[&str]) -> Put {
    let mut put = Put { arrival_ms: 1_700_000_000_000, ..Put::default() };
    texts.iter().for_each(|text| put.push(text.as_bytes()));
    put
}

async fn assigned(events: &mut mpsc::Receiver<Event>) -> Arc<Partition> {
    match tokio::time::timeout(PATIENCE, events.recv()).await.unwrap() {
        Some(Event::Assigned(lane)) => lane,
        _ => panic!("no partition came"),
    }
}

async fn texts(lane: &Partition, from: u64, end: u64) -> Vec<String> {
    let mut tail = lane.tail();
    let grown = tail.wait_for(|tail| tail.sequence >= end);
    tokio::time::timeout(PATIENCE, grown).await.unwrap().unwrap();
    let (mut at, mut texts) = (Position::new(0, from), Vec::new());
    while at.sequence < end {
        for entry in lane.read(at, Position::new(0, end), usize::MAX).await.unwrap() {
            let Entry::Frame(frame) = entry else { panic!("a gap") };
            at = frame.end();
            let mut data = &frame.data[..];
            for &length in &frame.lengths {
                let (text, rest) = data.split_at(length as usize);
                texts.push(String::from_utf8(text.to_vec()).unwrap());
                data = rest;
            }
        }
    }
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_read_by_one_member_after_the_other() {
    let (_cluster, options, link) = cluster(1);
    let front = Front::open(&options, link.clone()).await.unwrap();
    let appended = front.append(put(&["a", "b", "c"])).await.unwrap();
    assert_eq!((appended.records, appended.repeated), (3, false));
    let (member, mut events) = Member::join(&options, &link, "g", "one").unwrap();
    let lane = assigned(&mut events).await;
    assert_eq!(texts(&lane, 0, 3).await, ["a", "b", "c"]);
    // Behind what is in memory, and again, by the same consumer.
    assert_eq!(texts(&lane, 2, 3).await, ["c"]);
    assert_eq!(texts(&lane, 0, 3).await, ["a", "b", "c"]);
    assert_eq!(texts(&lane, 1, 3).await, ["b", "c"]);
    lane.shared_plans().unwrap().save(b"plan").unwrap();
    lane.commit("", Position::new(0, 2)).await.unwrap();
    let left = tokio::spawn(member.leave());
    while let Some(event) = events.recv().await {
        drop(event);
    }
    left.await.unwrap();
    assert!(lane.commit("", Position::new(0, 3)).await.is_err(), "it is somebody else's");

    let (member, mut events) = Member::join(&options, &link, "g", "two").unwrap();
    let lane = assigned(&mut events).await;
    assert_eq!(lane.open_cursor("", false).await.unwrap(), Position::new(0, 2));
    assert_eq!(lane.shared_plans().unwrap().load().unwrap(), (b"plan".to_vec(), false));
    assert_eq!(texts(&lane, 2, 3).await, ["c"]);
    // Further than the topic: as if it had been made anew.
    lane.commit("", Position::new(0, 1000)).await.unwrap();
    // Nobody listens: it leaves all the same.
    drop(events);
    member.leave().await;

    let (member, mut events) = Member::join(&options, &link, "g", "two").unwrap();
    let lane = assigned(&mut events).await;
    assert_eq!(lane.open_cursor("", false).await.unwrap(), Position::START);
    assert_eq!(lane.shared_plans().unwrap().load().unwrap().0, b"", "of records that are gone");
    assert_eq!(texts(&lane, 0, 3).await, ["a", "b", "c"]);
    drop(events);
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_leaves_although_the_group_does_not_tell_where_to_begin() {
    let (cluster, options, link) = cluster(1);
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::OffsetFetch, &[refused; 1000]);
    let (member, mut events) = Member::join(&options, &link, "g", "one").unwrap();
    let early = tokio::time::timeout(Duration::from_secs(8), events.recv()).await;
    assert!(early.is_err(), "nothing is delivered from where nobody knows");
    drop(events);
    tokio::time::timeout(PATIENCE, member.leave()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_has_failed_for_good_is_replaced() {
    let (cluster, options, link) = cluster(2);
    let fatal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::InitProducerId, &[fatal]);
    let front = Front::open(&options, link).await.unwrap();
    let mut failures = 0;
    let began = Instant::now();
    while let Err(error) = front.append(put(&["a"])).await {
        assert!(matches!(error, AppendError::Failed(_)) && began.elapsed() < PATIENCE, "{error}");
        failures += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(failures > 0, "the first producer could never produce");
    assert_eq!(front.stats().failed, None);
    front.close().await;
}
