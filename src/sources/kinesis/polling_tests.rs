//! Against a server whose iterators expire, whose calls are throttled, and whose shards end.

use serde_json::{Value, json};

use super::{
    super::client::tests::{action, client},
    *,
};
use crate::net::aws_double::{AwsDouble, Call, Reply};

/// What was asked, in short.
fn asked(call: &Call) -> String {
    let question = call.json();
    let text = |key: &str| question[key].as_str().unwrap_or_default().to_owned();
    match action(call).as_str() {
        "GetRecords" => format!("records {}", text("ShardIterator")),
        _ => {
            let number = text("StartingSequenceNumber");
            format!("iterator {} {number}", text("ShardIteratorType")).trim().to_owned()
        }
    }
}

fn iterator(name: &str) -> Reply {
    Reply::json(json!({"ShardIterator": name}))
}

fn records(numbers: &[&str], next: Option<&str>, behind_ms: i64) -> Reply {
    let record = |number: &&str| {
        json!({"Data": "eA==", "PartitionKey": "p", "SequenceNumber": number,
            "ApproximateArrivalTimestamp": 1.0})
    };
    let records: Vec<Value> = numbers.iter().map(record).collect();
    Reply::json(json!({"Records": records, "NextShardIterator": next,
        "MillisBehindLatest": behind_ms}))
}

async fn scripted(replies: Vec<Reply>) -> AwsDouble {
    AwsDouble::start(Some("kinesis"), move |call| {
        replies.get(call.number).cloned().unwrap_or_else(|| Reply::fault(500, "OutOfScript"))
    })
    .await
}

fn reader(double: &AwsDouble, from: &str) -> Box<dyn ShardReader> {
    let polling = Polling::new(client(&double.url), KINESIS_CALL_INTERVAL, Env::real());
    polling.open("shard-0", &Checkpoint::parse(from).unwrap(), 1_500)
}

fn asked_in_all(double: &AwsDouble) -> Vec<String> {
    double.calls().iter().map(asked).collect()
}

fn numbers(batch: &Batch) -> Vec<&str> {
    batch.records.iter().map(|record| record.sequence_number.as_str()).collect()
}

#[tokio::test]
async fn an_expired_iterator_is_renewed_behind_the_last_record_that_was_read() {
    let double = scripted(vec![
        iterator("i1"),
        records(&["1", "2"], Some("i2"), 7),
        Reply::fault(400, "ExpiredIteratorException"),
        iterator("i3"),
        records(&["3"], Some("i4"), 0),
    ])
    .await;
    let mut reader = reader(&double, "TRIM_HORIZON");
    let first = reader.next().await.unwrap();
    assert_eq!((numbers(&first), first.millis_behind_latest), (vec!["1", "2"], 7));
    assert_eq!(numbers(&reader.next().await.unwrap()), ["3"]);
    assert_eq!(
        asked_in_all(&double),
        [
            "iterator TRIM_HORIZON",
            "records i1",
            "records i2",
            "iterator AFTER_SEQUENCE_NUMBER 2",
            "records i3",
        ]
    );
}

#[tokio::test]
async fn throttling_and_passing_trouble_keep_the_iterator() {
    let double = scripted(vec![
        iterator("i1"),
        Reply::fault(400, "ProvisionedThroughputExceededException"),
        Reply::cut(),
        Reply::fault(400, "InvalidArgumentException"),
        iterator("i2"),
        records(&[], None, 0),
    ])
    .await;
    let mut reader = reader(&double, "5");
    assert!(matches!(reader.next().await, Err(ReadError::Throttled(_))));
    assert!(matches!(reader.next().await, Err(ReadError::Trouble { .. })));
    assert!(matches!(reader.next().await, Err(ReadError::Denied { .. })), "may be the iterator");
    assert_eq!(reader.next().await.unwrap().ended, Some(vec![]));
    assert_eq!(
        asked_in_all(&double),
        [
            "iterator AFTER_SEQUENCE_NUMBER 5",
            "records i1",
            "records i1",
            "records i1",
            "iterator AFTER_SEQUENCE_NUMBER 5",
            "records i2",
        ]
    );
}

#[tokio::test]
async fn every_checkpoint_has_its_iterator_and_latest_is_not_begun_twice() {
    let expected = [
        ("TRIM_HORIZON", "iterator TRIM_HORIZON"),
        ("LATEST", "iterator LATEST"),
        ("AT_TIMESTAMP", "iterator AT_TIMESTAMP"),
        ("7", "iterator AFTER_SEQUENCE_NUMBER 7"),
        ("7:3", "iterator AT_SEQUENCE_NUMBER 7"),
    ];
    for (from, expected) in expected {
        let double = scripted(vec![iterator("i1"), records(&[], None, 0)]).await;
        reader(&double, from).next().await.unwrap();
        assert_eq!(asked_in_all(&double)[0], expected);
        if from == "AT_TIMESTAMP" {
            assert_eq!(double.calls()[0].json()["Timestamp"], 1.5);
        }
    }
    let double = scripted(vec![
        iterator("i1"),
        Reply::fault(400, "ExpiredIteratorException"),
        iterator("i2"),
        Reply::fault(400, "ExpiredIteratorException"),
        iterator("i3"),
        records(&["1"], None, 0),
    ])
    .await;
    let mut reader = reader(&double, "LATEST");
    let before_s = Env::real().clock.now_ms() as f64 / 1000.0;
    assert!(matches!(reader.next().await, Err(ReadError::Trouble { .. })), "twice is trouble");
    assert_eq!(numbers(&reader.next().await.unwrap()), ["1"]);
    let asked = asked_in_all(&double);
    assert_eq!(asked[0], "iterator LATEST");
    assert_eq!([&asked[2], &asked[4]], ["iterator AT_TIMESTAMP", "iterator AT_TIMESTAMP"]);
    let times = [2, 4].map(|call| double.calls()[call].json()["Timestamp"].as_f64().unwrap());
    assert_eq!(times[0], times[1], "when the first one was asked for");
    assert!(times[0] >= before_s);
}

#[tokio::test]
async fn calls_keep_to_what_a_shard_gives_in_a_second() {
    let double = scripted(vec![]).await;
    let polling = Polling::new(client(&double.url), Duration::from_secs(1), Env::real());
    let called = Instant::now();
    let reader = |next_call| PollingReader {
        client: polling.client.clone(),
        poll_interval: polling.poll_interval,
        env: Env::real(),
        budget: polling.budget.clone(),
        reserved: None,
        shard_id: "shard-0".into(),
        start: IteratorStart::Latest,
        iterator: None,
        next_call,
        last_answer_bytes: 0,
    };
    let reader = reader(called + KINESIS_CALL_INTERVAL);
    let wait = |behind_ms, data_bytes, ended: bool| {
        let ended = ended.then(Vec::new);
        let batch = Batch { millis_behind_latest: behind_ms, ended, ..Batch::default() };
        reader.due(&batch, data_bytes).max(reader.next_call) - called
    };
    assert_eq!(wait(0, 100, false), Duration::from_secs(1), "caught up");
    assert_eq!(wait(5, 100, false), KINESIS_CALL_INTERVAL, "behind");
    assert_eq!(wait(5, 10 << 20, false), Duration::from_secs(5), "a full answer");
    assert_eq!(wait(0, 0, true), KINESIS_CALL_INTERVAL, "at its end");
}

#[tokio::test]
async fn what_is_read_ahead_is_given_back_when_the_next_is_asked_for() {
    let double =
        scripted(vec![iterator("i1"), records(&["1"], Some("i2"), 9), records(&[], Some("i3"), 9)])
            .await;
    let polling = Polling::new(client(&double.url), KINESIS_CALL_INTERVAL, Env::real());
    let all = polling.budget.available_permits();
    let mut reader = polling.open("shard-0", &Checkpoint::TrimHorizon, 0);
    reader.next().await.unwrap();
    assert_eq!(polling.budget.available_permits(), all - 1, "a small answer takes little");
    reader.next().await.unwrap();
    assert_eq!(polling.budget.available_permits(), all);
}
