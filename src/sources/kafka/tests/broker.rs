//! Against a real broker, which `tests/e2e/test_sources_within.py` starts and tells of: its listeners
//! in `STANDPIPE_TEST_KAFKA`, `STANDPIPE_TEST_KAFKA_SASL` and `STANDPIPE_TEST_KAFKA_TLS`, and a
//! folder with certificates in `STANDPIPE_TEST_CERTIFICATES`.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

fn told_by(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run these tests by ./test"))
}

fn brokers() -> String {
    told_by("STANDPIPE_TEST_KAFKA")
}

fn admin() -> AdminClient<rdkafka::client::DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap()
}

/// A topic of a test's own, and a group of the same name.
async fn topic(partitions: i32) -> String {
    let name = format!("t-{}", uuid::Uuid::new_v4());
    // Some records of the tests are from 1970, some are large.
    let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1))
        .set("retention.ms", "-1")
        .set("max.message.bytes", "90000000");
    let made = admin().create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    assert!(made[0].is_ok(), "{made:?}");
    name
}

fn own(topic: &str, more: Value) -> Options {
    let mut options = options(&brokers(), topic, more);
    options.group.get_or_insert_with(|| topic.to_owned());
    options
}

/// The offset that the group of a topic knows.
fn told(topic: &str, partition: i32) -> Option<i64> {
    let group: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("group.id", topic)
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let list = group.committed_offsets(list, PATIENCE).unwrap();
    match list.elements()[0].offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

fn durable() -> Arc<TestInlet> {
    TestInlet::durable(BTreeMap::new())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run with a broker by ./test"]
async fn members_share_a_topic_that_grows() {
    let name = topic(4).await;
    let all: Vec<_> = (0..6000).map(|n| (n % 4, format!("record {n}"))).collect();
    produce(&brokers(), &name, &borrowed(&all[..2000]));
    let often = json!({"librdkafka": {"topic.metadata.refresh.interval.ms": "500"}});
    let first = Running::start(own(&name, often.clone()), durable());
    first.read(2000).await;
    let second = Running::start(own(&name, often.clone()), durable());
    first.owns(2).await;
    second.owns(2).await;
    produce(&brokers(), &name, &borrowed(&all[2000..4000]));
    first.read(3000).await;
    second.read(1000).await;
    // New partitions, and records in them before anybody reads them.
    let grown = NewPartitions::new(&name, 6);
    admin().create_partitions([&grown], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let late: Vec<_> = (0..100).map(|n| (4 + n % 2, format!("late {n}"))).collect();
    produce(&brokers(), &name, &borrowed(&late));
    first.owns(3).await;
    second.owns(3).await;
    let both = |first: &Running, second: &Running| {
        first.inlet.records().len() + second.inlet.records().len()
    };
    until("the grown partitions", || both(&first, &second) == 4100).await;
    produce(&brokers(), &name, &borrowed(&all[4000..5000]));
    until("what comes then", || both(&first, &second) == 5100).await;
    // One leaves and comes back with its journal.
    let left = first.stop().await;
    second.owns(6).await;
    produce(&brokers(), &name, &borrowed(&all[5000..]));
    let back = Running::start(own(&name, often), left.reopened());
    back.owns(3).await;
    until("the rest", || left.records().len() + both(&back, &second) == 6100).await;
    let (back, second) = (back.stop().await, second.stop().await);
    let expected: Vec<_> = all.into_iter().chain(late).collect();
    assert_exactly_once(&[&left, &back, &second], &expected);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run with a broker by ./test"]
async fn reading_begins_at_a_time_and_aborted_transactions_are_not_seen() {
    let name = topic(2).await;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("transactional.id", &name)
        .create()
        .unwrap();
    let send = |text: &str, time_ms: i64| {
        let record = BaseRecord::<(), str>::to(&name).partition(0).payload(text);
        producer.send(record.timestamp(time_ms)).map_err(|(error, _)| error).unwrap();
    };
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    send("too early", 1_000_000);
    send("in time", 2_000_000);
    producer.commit_transaction(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    send("aborted", 3_000_000);
    producer.flush(PATIENCE).unwrap();
    producer.abort_transaction(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    send("late", 4_000_000);
    producer.commit_transaction(PATIENCE).unwrap();
    let start = json!({"start": {"at_timestamp": "1970-01-01T00:25:00Z"}});
    let source = Running::start(own(&name, start), durable());
    source.read(2).await;
    until("the end of the empty partition", || told(&name, 1) == Some(0)).await;
    assert_eq!(source.stop().await.records(), [b"in time".to_vec(), b"late".to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run with a broker by ./test"]
async fn records_deleted_before_they_were_read_are_missed_loudly_and_not_waited_for() {
    let name = topic(2).await;
    let all: Vec<_> = (0..40).map(|n| (n % 2, format!("record {n}"))).collect();
    produce(&brokers(), &name, &borrowed(&all));
    let known = BTreeMap::from([(format!("{name}/0"), "5".to_owned())]);
    let mut deleted = TopicPartitionList::new();
    deleted.add_partition_offset(&name, 0, Offset::Offset(10)).unwrap();
    admin().delete_records(&deleted, &AdminOptions::new()).await.unwrap();
    let source = Running::start(own(&name, json!({})), TestInlet::durable(known));
    source.read(30).await;
    let records = source.stop().await.records();
    assert_eq!(records.len(), 30);
    assert!(!records.contains(&b"record 18".to_vec()) && records.contains(&b"record 20".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run with a broker by ./test"]
async fn a_record_that_no_frame_holds_holds_its_partition_and_no_other() {
    let name = topic(2).await;
    let (huge, big) = ("x".repeat(33 << 20), "y".repeat(20 << 20));
    produce(
        &brokers(),
        &name,
        &[(0, "before"), (0, &huge), (0, "behind"), (1, &big), (1, "other")],
    );
    let source = Running::start(own(&name, json!({})), durable());
    source.read(3).await;
    let inlet = source.stop().await;
    let mut records = inlet.records();
    records.sort();
    assert_eq!(records, [b"before".to_vec(), b"other".to_vec(), big.into_bytes()]);
    assert!(steps(&inlet.puts()).contains(&(format!("{name}/0"), 1)));
}

/// An OpenID provider whose tokens are not signed, for a broker that takes such.
async fn provider() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let part = |value: Value| {
            base64_simd::URL_SAFE_NO_PAD.encode_to_string(value.to_string().as_bytes())
        };
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            assert!(socket.read(&mut asked).await.unwrap() > 0);
            let now = Env::real().clock.now_ms() / 1000;
            let token = format!(
                "{}.{}.",
                part(json!({"alg": "none"})),
                part(json!({"sub": "me", "iat": now, "exp": now + 60}))
            );
            let body = json!({"access_token": token, "expires_in": 60}).to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run with a broker by ./test"]
async fn every_way_to_say_who_we_are() {
    let name = topic(1).await;
    produce(&brokers(), &name, &[(0, "hello")]);
    let sasl =
        |sasl: Value| json!({"brokers": [told_by("STANDPIPE_TEST_KAFKA_SASL")], "sasl": sasl});
    let folder = told_by("STANDPIPE_TEST_CERTIFICATES");
    let ways = [
        sasl(json!({"mechanism": "plain", "username": "alice", "password": "plain-secret"})),
        sasl(json!({"mechanism": "scram_sha512", "username": "bob", "password": "scram-secret"})),
        sasl(json!({"mechanism": "oauthbearer", "token_endpoint": provider().await,
                    "client_id": "me", "client_secret": "s"})),
        json!({"brokers": [told_by("STANDPIPE_TEST_KAFKA_TLS")], "tls": {
            "ca": format!("{folder}/ca.crt"), "certificate": format!("{folder}/client.crt"),
            "key": {"file": format!("{folder}/client.key")}}}),
    ];
    for (nth, mut way) in ways.into_iter().enumerate() {
        way["group"] = json!(format!("{name}-{nth}"));
        let source = Running::start(own(&name, way), durable());
        source.read(1).await;
        source.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run with a broker by ./test"]
async fn a_member_that_is_stopped_stays_until_its_journal_in_memory_is_delivered() {
    let name = topic(2).await;
    let all = texts(0, 60, 2);
    produce(&brokers(), &name, &borrowed(&all[..40]));
    let member = |inlet: Arc<TestInlet>| Running::start(own(&name, json!({})), inlet);
    let first = member(TestInlet::drained_last());
    first.read(40).await;
    first.stop.cancel();
    first.inlet.draining.cancelled().await;
    produce(&brokers(), &name, &borrowed(&all[40..]));
    // One that comes meanwhile has nothing before all is told, though that takes longer than a
    // member may be silent.
    let second = member(TestInlet::in_memory());
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(!first.task.is_finished());
    assert_eq!((first.metrics.parts.get(), second.inlet.puts().len()), (2, 0));
    first.inlet.settle(40);
    first.inlet.drained.cancel();
    let first = first.stop().await;
    second.read(20).await;
    second.inlet.settle(20);
    let second = second.stop().await;
    assert_exactly_once(&[&first, &second], &all);
}

const OTHER_PROCESS: &str = "STANDPIPE_TEST_OTHER_PROCESS";

/// What the next test runs in a process of its own: says how many records it has, until it is
/// ended.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by another test, in a process of its own"]
async fn a_member_in_another_process() {
    let Ok(name) = env::var(OTHER_PROCESS) else { return };
    let source = Running::start(own(&name, json!({})), durable());
    let mut said = 0;
    loop {
        let records = source.inlet.records().len();
        if records != said {
            said = records;
            println!("\nread {records}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run with a broker by ./test"]
async fn a_member_that_stood_still_past_its_session_neither_reads_nor_commits() {
    let name = topic(1).await;
    let all: Vec<_> = (0..3000).map(|n| (0, format!("record {n}"))).collect();
    produce(&brokers(), &name, &borrowed(&all[..1000]));
    let test = "sources::kafka::tests::broker::a_member_in_another_process";
    let mut other = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .env(OTHER_PROCESS, &name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(other.stdout.take().unwrap()).lines();
    let mut said = lines.map_while(Result::ok).filter(|line| line.starts_with("read "));
    assert!(said.any(|line| line == "read 1000"));
    until("its commit", || told(&name, 0) == Some(1000)).await;
    let signal = |signal: &str| {
        let sent = Command::new("kill").args([signal, &other.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    signal("-STOP");
    let source = Running::start(own(&name, json!({})), durable());
    source.owns(1).await;
    produce(&brokers(), &name, &borrowed(&all[1000..2000]));
    source.read(1000).await;
    until("our commit", || told(&name, 0) == Some(2000)).await;
    signal("-CONT");
    // Both are members again when the other has taken the partition over in order.
    source.stop().await;
    produce(&brokers(), &name, &borrowed(&all[2000..]));
    assert!(said.any(|line| line == "read 2000"));
    until("its next commit", || told(&name, 0) == Some(3000)).await;
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(said.next(), None, "what was read meanwhile was not read again");
}
