//! Against `kinesis-local`, which `tests/e2e/test_sources_within.py` starts and names in
//! `STANDPIPE_TEST_KINESIS`, with a stream `fan` of one shard and nothing in it. Of the end of a
//! shard it tells subscribers nothing (0.6.2), so that is left to the double.

use serde_json::{Value, json};

use super::*;

const STREAM_ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/fan";
const SHARD: &str = "shardId-000000000000";

async fn put(client: &SignedClient, count: u64) -> Vec<String> {
    let mut numbers = Vec::new();
    for i in 0..count {
        let question = json!({"StreamName": "fan", "PartitionKey": format!("key {i}"),
            "Data": base64_simd::STANDARD.encode_to_string(format!("record {i}"))});
        let answer: Value = ask(client, "PutRecord", &question).await.unwrap();
        numbers.push(answer["SequenceNumber"].as_str().unwrap().to_owned());
    }
    numbers
}

async fn read(reader: &mut FanOutReader, count: usize) -> Vec<String> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let batch = reader.next().await.unwrap();
        numbers.extend(batch.records.into_iter().map(|record| record.sequence_number));
    }
    numbers
}

#[tokio::test]
#[ignore = "run with an emulator by ./test"]
async fn a_stream_is_read_by_a_registered_consumer() {
    let url = std::env::var("STANDPIPE_TEST_KINESIS").expect("./test names it");
    let access = Access { region: "us-east-1".into(), ..access(SECRET_KEY) };
    let client = SignedClient::new(&access, "kinesis", Some(url.clone())).unwrap();
    let options = options::FanOut { consumer: Some("tested".into()), consumer_arn: None };
    let env = Env::real();
    let name = "standpipe-fan";
    let register =
        || FanOut::register(&access, Some(url.clone()), STREAM_ARN, &options, name, &env);
    let fan_out = register().await.unwrap();
    assert_eq!(register().await.unwrap().consumer_arn(), fan_out.consumer_arn());

    let put_first = put(&client, 3).await;
    let mut reader = fan_out.reader(SHARD.into(), Checkpoint::TrimHorizon, None);
    let read_first = read(&mut reader, 3).await;
    assert_eq!(read_first, put_first);
    // A subscription that is there is taken over once the service allows it.
    let from = Checkpoint::Sequence { number: put_first[1].clone(), sub_sequence: 0, whole: true };
    let mut second = fan_out.reader(SHARD.into(), from, None);
    let first_answer = second.next().await;
    eprintln!("a second subscription: {first_answer:?}");
    drop(reader);
    let again = loop {
        match second.next().await {
            Ok(batch) if batch.records.is_empty() => {}
            Ok(batch) => break batch.records,
            Err(error) => eprintln!("waiting: {error}"),
        }
    };
    let again: Vec<_> = again.into_iter().map(|record| record.sequence_number).collect();
    assert_eq!(again, put_first[2..]);
    let put_second = put(&client, 2).await;
    assert_eq!(read(&mut second, 2).await, put_second);
}
