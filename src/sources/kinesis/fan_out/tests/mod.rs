mod double;
mod events;
mod local;

use std::{collections::BTreeSet, time::Duration};

use self::double::{CONSUMER_ARN, Double, Speaks, Step, data, number};
use super::*;
use crate::{
    net::{
        aws::StaticKeys,
        aws_double::{ACCESS_KEY, SECRET_KEY},
    },
    sources::kinesis::{Batch, ShardReader},
    units::Secret,
};

const STREAM_ARN: &str = "arn:aws:kinesis:eu-west-1:000000000000:stream/s";
const GRANT: Duration = Duration::from_millis(40);
/// No test waits for it.
const NEVER: Duration = Duration::from_secs(600);
const PACE: Pace = Pace {
    call: Duration::from_millis(5),
    grant: GRANT,
    silence: NEVER,
    poll: Duration::from_millis(1),
    patience: NEVER,
};

fn access(secret: &str) -> Access {
    Access {
        region: "eu-west-1".into(),
        keys: Some(StaticKeys {
            access_key_id: Secret::Value(ACCESS_KEY.into()),
            secret_access_key: Secret::Value(secret.into()),
            session_token: None,
        }),
        role: None,
        sts_endpoint: None,
    }
}

fn client(url: &str) -> SignedClient {
    SignedClient::new(&access(SECRET_KEY), "kinesis", Some(url.into())).unwrap()
}

fn clock() -> Arc<dyn Clock> {
    Env::real().clock
}

fn fan_out(url: &str) -> FanOut {
    FanOut {
        client: Arc::new(client(url)),
        consumer_arn: CONSUMER_ARN.into(),
        clock: clock(),
        pace: PACE,
    }
}

/// A double with one shard, and its reader from the beginning.
async fn reading(speaks: Speaks, subscriptions: Vec<Vec<Step>>) -> (Double, FanOutReader) {
    let double = Double::start(speaks, GRANT).await;
    double.shard("shard", subscriptions);
    let reader = fan_out(&double.url).reader("shard".into(), Checkpoint::TrimHorizon, None);
    (double, reader)
}

/// Reads to the end of the shard; errors stand between the batches.
async fn read_all(reader: &mut FanOutReader) -> Vec<Result<Batch, ReadError>> {
    let mut read = Vec::new();
    loop {
        let next = reader.next().await;
        let is_end = next.as_ref().is_ok_and(|batch| batch.ended.is_some());
        read.push(next);
        if is_end {
            return read;
        }
    }
}

/// The numbers of the records, each with the data that it must have.
fn numbers(read: &[Result<Batch, ReadError>]) -> Vec<u64> {
    let records = read.iter().flatten().flat_map(|batch| &batch.records);
    let of = |record: &crate::sources::kinesis::StoredRecord| {
        let of = (10..1000).find(|&of| number(of) == record.sequence_number).unwrap();
        assert_eq!((&record.data, record.arrival_ms), (&data(of), 1_495_072_949_453));
        assert_eq!(record.partition_key, format!("key {of}"));
        of
    };
    records.map(of).collect()
}

fn errors(read: &[Result<Batch, ReadError>]) -> Vec<ReadError> {
    read.iter().filter_map(|next| next.as_ref().err().cloned()).collect()
}

#[tokio::test]
async fn a_shard_is_read_through_its_subscriptions_to_its_end() {
    for (speaks, version) in [(Speaks::One, "HTTP/1.1"), (Speaks::Two, "HTTP/2.0")] {
        let subscriptions = vec![
            vec![Step::Records(2), Step::Heartbeat],
            vec![],
            vec![Step::Heartbeat, Step::Records(3)],
            vec![Step::Children(&["left", "right"])],
        ];
        let (double, mut reader) = reading(speaks, subscriptions).await;
        let read = read_all(&mut reader).await;
        assert_eq!(errors(&read), []);
        assert_eq!(numbers(&read), [10, 20, 30, 40, 50]);
        let first = read[0].as_ref().unwrap();
        assert_eq!(first.continuation, Some(number(20)));
        assert_eq!((first.millis_behind_latest, &first.ended), (7, &None));
        let children = ["left", "right"].map(|id| (id.to_owned(), vec!["shard".to_owned()]));
        assert_eq!(read.last().unwrap().as_ref().unwrap().ended, Some(children.to_vec()));
        // Where it goes on is what the last event said, not the last record.
        let after = |of| json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number(of)});
        let begin = json!({"Type": "TRIM_HORIZON"});
        assert_eq!(double.places(), [begin, after(21), after(21), after(50)]);
        // And never too soon.
        assert_eq!(double.refused(), Vec::<String>::new());
        assert_eq!(double.versions(), [version.to_owned()].into());
    }
}

#[tokio::test]
async fn reading_begins_where_the_checkpoint_says() {
    let whole = |whole| Checkpoint::Sequence { number: number(30), sub_sequence: 3, whole };
    for (from, at, place, first) in [
        (Checkpoint::TrimHorizon, None, json!({"Type": "TRIM_HORIZON"}), 10),
        (Checkpoint::Latest, None, json!({"Type": "LATEST"}), 110),
        (
            Checkpoint::AtTimestamp,
            Some(1_495_072_949_453),
            json!({"Type": "AT_TIMESTAMP", "Timestamp": 1_495_072_949.453}),
            60,
        ),
        (Checkpoint::AtTimestamp, None, json!({"Type": "TRIM_HORIZON"}), 10),
        (
            whole(true),
            None,
            json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number(30)}),
            40,
        ),
        // The rest of an aggregate is in the record itself.
        (
            whole(false),
            None,
            json!({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": number(30)}),
            30,
        ),
    ] {
        let double = Double::start(Speaks::One, GRANT).await;
        double.shard("shard", vec![vec![Step::Records(1), Step::Children(&["next"])]]);
        double.name("shard", 30);
        let mut reader = fan_out(&double.url).reader("shard".into(), from, at);
        assert_eq!(numbers(&read_all(&mut reader).await), [first]);
        assert_eq!(double.places(), [place]);
    }
    let double = Double::start(Speaks::One, GRANT).await;
    let mut reader = fan_out(&double.url).reader("shard".into(), Checkpoint::ShardEnd, None);
    assert_eq!(reader.next().await.unwrap().ended, Some(Vec::new()));
    assert_eq!(double.places(), Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn a_subscription_that_brought_nothing_is_not_gone_on_with_at_a_later_latest() {
    let double = Double::start(Speaks::One, GRANT).await;
    double.shard("shard", vec![vec![], vec![Step::Records(1), Step::Children(&["next"])]]);
    let before = clock().now_ms();
    let mut reader = fan_out(&double.url).reader("shard".into(), Checkpoint::Latest, None);
    assert_eq!(numbers(&read_all(&mut reader).await), [60]);
    let places = double.places();
    assert_eq!(places[0], json!({"Type": "LATEST"}));
    assert_eq!((places.len(), &places[1]["Type"]), (2, &json!("AT_TIMESTAMP")));
    let since_ms = places[1]["Timestamp"].as_f64().unwrap() * 1000.0;
    assert!((before..=clock().now_ms()).contains(&(since_ms.round() as i64)), "{since_ms}");
}

#[tokio::test]
async fn after_any_trouble_reading_goes_on_behind_the_last_record() {
    let half = double::event(&json!({"Records": [], "ContinuationSequenceNumber": number(999)}));
    let half = half[..half.len() / 2].to_vec();
    let mut bent = double::event(&json!({"Records": []}));
    let end = bent.len() - 1;
    bent[end] ^= 1;
    let subscriptions = vec![
        vec![Step::Records(1), Step::Exception("InternalFailureException")],
        vec![Step::Records(1), Step::Exception("KMSThrottlingException")],
        vec![Step::Records(1), Step::Exception("KMSDisabledException")],
        vec![Step::Records(1), Step::Exception("ResourceInUseException")],
        vec![Step::Records(1), Step::Error("ServiceUnavailable")],
        vec![Step::Records(1), Step::Exception("ResourceNotFoundException")],
        vec![Step::Records(1), Step::Bytes(bent)],
        vec![Step::Records(1), Step::Bytes(vec![0xff; 12])],
        vec![Step::Records(1), Step::Cut],
        // An event that is cut off by an end in good order.
        vec![Step::Records(1), Step::Bytes(half)],
        vec![Step::Records(1), Step::Children(&["next"])],
    ];
    for speaks in [Speaks::One, Speaks::Two] {
        let (double, mut reader) = reading(speaks, subscriptions.clone()).await;
        let read = read_all(&mut reader).await;
        // A connection that breaks may take with it what was not sent yet.
        let numbers = numbers(&read);
        assert_eq!(numbers, (1..=numbers.len() as u64).map(|i| i * 10).collect::<Vec<_>>());
        assert!(numbers.len() >= 10);
        let trouble = |code: &str, message: &str| ReadError::Trouble {
            code: code.into(),
            message: message.into(),
        };
        let said = errors(&read);
        assert_eq!(
            said[..6],
            [
                trouble("InternalFailureException", "so it is"),
                ReadError::Throttled("KMSThrottlingException: so it is".into()),
                ReadError::Denied {
                    code: "KMSDisabledException".into(),
                    message: "so it is".into()
                },
                ReadError::Throttled("ResourceInUseException: so it is".into()),
                trouble("ServiceUnavailable", "so it is"),
                ReadError::Gone("so it is".into()),
            ]
        );
        let codes: Vec<_> = said[6..]
            .iter()
            .map(|error| match error {
                ReadError::Trouble { code, .. } => code.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(codes, ["UnreadableAnswer", "UnreadableAnswer", "NoConnection"]);
        assert_eq!(double.refused(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_subscription_that_went_silent_is_made_anew() {
    let subscriptions = vec![
        vec![Step::Records(1), Step::Silence],
        vec![Step::Records(1), Step::Silence],
        vec![Step::Records(1), Step::Children(&["next"])],
    ];
    for speaks in [Speaks::One, Speaks::Two] {
        let double = Double::start(speaks, GRANT).await;
        double.shard("shard", subscriptions.clone());
        let pace = Pace { silence: GRANT * 3, ..PACE };
        let fan_out = FanOut { pace, ..fan_out(&double.url) };
        let mut reader = fan_out.reader("shard".into(), Checkpoint::TrimHorizon, None);
        // Somebody who looks in only now and then waits no longer.
        let mut read = Vec::new();
        while !matches!(read.last(), Some(Ok(Batch { ended: Some(_), .. }))) {
            if let Ok(next) = tokio::time::timeout(GRANT * 2, reader.next()).await {
                read.push(next);
            }
        }
        // The first two never end by themselves; a slow machine may find the others silent, too.
        assert!(double.places().len() >= 3);
        let numbers = numbers(&read);
        assert_eq!(numbers, (1..=numbers.len() as u64).map(|i| i * 10).collect::<Vec<_>>());
        assert_eq!(double.refused(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_subscription_that_somebody_has_is_waited_for() {
    let double = Double::start(Speaks::Two, GRANT).await;
    double.shard("shard", vec![vec![Step::Records(1), Step::Silence], vec![Step::Records(1)]]);
    let reader = || fan_out(&double.url).reader("shard".into(), Checkpoint::TrimHorizon, None);
    let mut first = reader();
    assert_eq!(numbers(&[first.next().await]), [10]);
    let mut second = reader();
    let refused = loop {
        match second.next().await {
            Err(error) => break error,
            // The first was granted too long ago.
            Ok(_) => second = reader(),
        }
    };
    let ReadError::Throttled(text) = refused else { panic!("{refused:?}") };
    assert!(text.starts_with("ResourceInUseException"), "{text}");
    let before = double.refused().len();
    assert_eq!(numbers(&[second.next().await]), [10]);
    assert_eq!(double.refused().len(), before);
}

#[tokio::test]
async fn a_shard_that_nobody_reads_holds_back_no_other() {
    let double = Double::start(Speaks::Two, GRANT).await;
    let fan_out = fan_out(&double.url);
    // More than a connection takes by itself, in shards that are left standing.
    let much = json!({"Records": [], "filler": "x".repeat(2 << 20)});
    let mut standing = Vec::new();
    for i in 0..12 {
        let id = format!("standing {i}");
        let steps = vec![Step::Heartbeat, Step::Bytes(double::event(&much)), Step::Silence];
        double.shard(&id, vec![steps]);
        let mut reader = fan_out.reader(id, Checkpoint::TrimHorizon, None);
        assert!(reader.next().await.unwrap().continuation.is_some());
        standing.push(reader);
    }
    let steps = vec![Step::Bytes(double::event(&much)), Step::Records(3), Step::Children(&["n"])];
    double.shard("shard", vec![steps]);
    let mut reader = fan_out.reader("shard".into(), Checkpoint::TrimHorizon, None);
    assert_eq!(numbers(&read_all(&mut reader).await), [10, 20, 30]);
    // What stood is read later.
    for reader in &mut standing {
        assert_eq!(reader.next().await.unwrap(), Batch::default());
    }
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let double = Double::start(Speaks::One, GRANT).await;
    let refused = async |fan_out: &FanOut, from: Checkpoint| {
        fan_out.reader("shard".into(), from, None).next().await.unwrap_err()
    };
    let right = fan_out(&double.url);
    let error = refused(&right, Checkpoint::TrimHorizon).await;
    assert_eq!(error, ReadError::Gone("no shard shard".into()));
    double.shard("shard", vec![]);
    let from = Checkpoint::Sequence { number: number(7), sub_sequence: 0, whole: true };
    let error = refused(&right, from).await;
    assert!(matches!(&error, ReadError::Denied { code, .. } if code == "InvalidArgumentException"));
    let wrong = SignedClient::new(&access("guessed"), "kinesis", Some(double.url.clone())).unwrap();
    let wrong = FanOut { client: Arc::new(wrong), ..right };
    let error = refused(&wrong, Checkpoint::TrimHorizon).await;
    assert!(matches!(&error, ReadError::Denied { code, .. } if code.contains("Signature")));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refused(&fan_out(&format!("http://{nobody}")), Checkpoint::TrimHorizon).await;
    assert!(matches!(&error, ReadError::Trouble { code, .. } if code == "NoConnection"));
}

#[tokio::test]
async fn a_consumer_is_registered_if_it_is_not_there_and_waited_for() {
    let double = Double::start(Speaks::One, GRANT).await;
    let register = async |options: &options::FanOut, pace: Pace| {
        let long = "standpipe-".to_owned() + &"s".repeat(128);
        let made =
            FanOut::register_by(client(&double.url), clock(), pace, STREAM_ARN, options, &long)
                .await;
        made.map(|fan_out| fan_out.consumer_arn().to_owned())
    };
    let unnamed = options::FanOut { consumer: None, consumer_arn: None };
    let registered = || double.asked("RegisterStreamConsumer").len();
    let active = || Ok(CONSUMER_ARN.to_owned());

    double.consumer(&["gone", "CREATING", "CREATING", "ACTIVE"], None);
    assert_eq!(register(&unnamed, PACE).await, active());
    let name = "standpipe-".to_owned() + &"s".repeat(118);
    let question = json!({"StreamARN": STREAM_ARN, "ConsumerName": name});
    assert_eq!(double.asked("RegisterStreamConsumer"), std::slice::from_ref(&question));
    assert_eq!(double.asked("DescribeStreamConsumer"), vec![question; 4]);

    // One that is there, that is there in spite of all, that is just going.
    let named = options::FanOut { consumer: Some("c".into()), consumer_arn: None };
    double.consumer(&["ACTIVE"], Some("AccessDeniedException"));
    assert_eq!(register(&named, PACE).await, active());
    assert_eq!(registered(), 1);
    double.consumer(&["gone", "ACTIVE"], Some("ResourceInUseException"));
    assert_eq!(register(&named, PACE).await, active());
    double.consumer(&["DELETING", "gone", "CREATING", "ACTIVE"], None);
    assert_eq!(register(&named, PACE).await, active());
    assert_eq!(registered(), 3);

    // By its ARN it is never registered.
    let by_arn = options::FanOut { consumer: None, consumer_arn: Some(CONSUMER_ARN.into()) };
    double.consumer(&["ACTIVE"], None);
    assert_eq!(register(&by_arn, PACE).await, active());
    double.consumer(&["gone"], None);
    assert_eq!(register(&by_arn, PACE).await, Err(ReadError::Gone("no such consumer".into())));
    assert_eq!(registered(), 3);

    double.consumer(&["gone"], Some("LimitExceededException"));
    let error = register(&named, PACE).await.unwrap_err();
    assert!(matches!(&error, ReadError::Throttled(text) if text.contains("not now")), "{error:?}");
    double.consumer(&["gone"], Some("AccessDeniedException"));
    let error = register(&named, PACE).await.unwrap_err();
    assert!(matches!(&error, ReadError::Denied { .. }), "{error:?}");
    double.consumer(&["CREATING"], None);
    let pace = Pace { patience: Duration::from_millis(5), ..PACE };
    let error = register(&named, pace).await.unwrap_err();
    assert!(matches!(&error, ReadError::Trouble { code, .. } if code == "ConsumerNotActive"));
    let actions: BTreeSet<_> = double.refused().into_iter().collect();
    assert!(actions.iter().all(|text| !text.contains("InvalidArgument")), "{actions:?}");
}
