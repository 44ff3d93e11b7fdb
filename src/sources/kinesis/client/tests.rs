//! Against a server that answers as Kinesis does.

use std::sync::Arc;

use serde_json::json;

use super::{super::StoredRecord, *};
use crate::{
    net::{
        aws::StaticKeys,
        aws_double::{ACCESS_KEY, AwsDouble, Call, Reply, SECRET_KEY},
    },
    units::Secret,
};

pub(crate) const ARN: &str = "arn:aws:kinesis:eu-west-1:1:stream/s";

pub(crate) fn access() -> Access {
    Access {
        region: "eu-west-1".into(),
        keys: Some(StaticKeys {
            access_key_id: Secret::Value(ACCESS_KEY.into()),
            secret_access_key: Secret::Value(SECRET_KEY.into()),
            session_token: None,
        }),
        role: None,
        sts_endpoint: None,
    }
}

pub(crate) fn client(url: &str) -> Arc<Client> {
    let stream = StreamName::Arn(ARN.into());
    Arc::new(Client::new(&access(), Some(url.to_owned()), stream).unwrap())
}

/// The action that a call is for.
pub(crate) fn action(call: &Call) -> String {
    let target = call.header("x-amz-target");
    assert_eq!(call.header("content-type"), "application/x-amz-json-1.1");
    target.strip_prefix("Kinesis_20131202.").unwrap().to_owned()
}

fn shard(id: &str, parents: [Option<&str>; 2], end: Option<&str>) -> Value {
    json!({
        "ShardId": id,
        "ParentShardId": parents[0],
        "AdjacentParentShardId": parents[1],
        "HashKeyRange": {
            "StartingHashKey": "0",
            "EndingHashKey": "340282366920938463463374607431768211455",
        },
        "SequenceNumberRange": {"StartingSequenceNumber": "1", "EndingSequenceNumber": end},
    })
}

#[tokio::test]
async fn shards_are_listed_page_by_page_and_anew_when_a_page_expires() {
    let double = AwsDouble::start(Some("kinesis"), |call| {
        assert_eq!(action(call), "ListShards");
        let first = json!({"StreamARN": ARN});
        match (call.number, call.json()) {
            (0 | 2, question) if question == first => Reply::json(
                json!({"Shards": [shard("a", [None, None], Some("9"))], "NextToken": "t"}),
            ),
            (1, _) => Reply::fault(400, "ExpiredNextTokenException"),
            // A token and the stream together are refused by the service.
            (3, question) if question == json!({"NextToken": "t"}) => Reply::json(
                json!({"Shards": [shard("b", [Some("a"), Some("x")], None)], "NextToken": null}),
            ),
            (_, question) => Reply::fault(400, &format!("Unexpected{question}")),
        }
    })
    .await;
    let shards = client(&double.url).list_shards().await.unwrap();
    let hash_range = (0, u128::MAX);
    let a = Shard { id: "a".into(), parents: vec![], hash_range, closed: true };
    let parents = vec!["a".to_owned(), "x".to_owned()];
    assert_eq!(shards, [a, Shard { id: "b".into(), parents, hash_range, closed: false }]);
    assert_eq!(double.refused(), Vec::<String>::new());
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let double = AwsDouble::start(Some("kinesis"), |_| {
        Reply::json(json!({"Shards": [], "NextToken": "again"}))
    })
    .await;
    let error = client(&double.url).list_shards().await.unwrap_err();
    assert!(matches!(error, ReadError::Trouble { .. }), "{error}");
    assert_eq!(double.calls().len(), KINESIS_PAGES_MAX);
}

#[tokio::test]
async fn records_are_read_as_they_are_written() {
    let double = AwsDouble::start(Some("kinesis"), |call| {
        assert_eq!(call.json(), json!({"ShardIterator": "i", "StreamARN": ARN}));
        Reply::new(
            200,
            r#"{"ChildShards":[{"ShardId":"c","ParentShards":["a","b"],"HashKeyRange":{}}],
            "EncryptionType":"KMS","MillisBehindLatest":12,"NextShardIterator":null,"Records":[
            {"ApproximateArrivalTimestamp":1.769860800123E9,"Data":"\/w==","PartitionKey":"p\u00e4",
             "SequenceNumber":"49590338271490256608559692538361571095921575989136588898"},
            {"ApproximateArrivalTimestamp":1769860801,"Data":"","PartitionKey":"q",
             "SequenceNumber":"2","EncryptionType":"NONE"}]}"#,
        )
    })
    .await;
    let read = client(&double.url).records("i").await.unwrap();
    let expected = [
        StoredRecord {
            sequence_number: "49590338271490256608559692538361571095921575989136588898".into(),
            partition_key: "p\u{e4}".into(),
            arrival_ms: 1_769_860_800_123,
            data: Bytes::from_static(b"\xff"),
        },
        StoredRecord {
            sequence_number: "2".into(),
            partition_key: "q".into(),
            arrival_ms: 1_769_860_801_000,
            data: Bytes::new(),
        },
    ];
    assert_eq!(read.batch.records, expected);
    assert_eq!(read.batch.millis_behind_latest, 12);
    assert_eq!(read.batch.ended, Some(vec![("c".into(), vec!["a".into(), "b".into()])]));
    assert_eq!((read.next, read.data_bytes), (None, 1));
}

#[test]
fn answers_that_make_no_sense_are_trouble_and_are_not_quoted() {
    let record = |member: &str| format!(r#"{{"Records":[{{{member}}}],"NextShardIterator":"n"}}"#);
    for body in [
        "".to_owned(),
        "[]".to_owned(),
        "{\"Records\":[".to_owned(),
        record(r#""Data":"hush hush","SequenceNumber":"1""#),
        record(r#""Data":"aHVzaA==","SequenceNumber":"hush""#),
        record(r#""Data":"aHVzaA==""#),
        record(r#""SequenceNumber":"1""#),
        "\u{fffd}".repeat(1000),
        format!("{{\"x\":{}", "[".repeat(1_000_000)),
        format!("{{\"Records\":{}", "[".repeat(1_000_000)),
        format!("{{\"Records\":[{{\"Data\":{}", "{\"a\":".repeat(1_000_000)),
    ] {
        let error = answers::records(body.as_bytes()).unwrap_err();
        assert!(
            matches!(&error, ReadError::Trouble { code, .. } if code == "Kinesis.UnreadableAnswer")
        );
        assert!(!error.to_string().contains("hush"), "{error}");
    }
    // Brackets in texts are no nesting, and neither are many behind one another.
    let brackets = format!(
        r#"{{"x":"\\\"{0}","y":[{1}[]],"Records":[]}}"#,
        "[".repeat(99),
        "[{}],".repeat(99)
    );
    answers::records(brackets.as_bytes()).unwrap();
    let ended = answers::records(br#"{"Records":[]}"#).unwrap();
    assert_eq!(ended.batch.ended, Some(vec![]), "children may be absent");
    let goes_on = answers::records(br#"{"Records":[],"NextShardIterator":"n"}"#).unwrap();
    assert_eq!((goes_on.batch.ended, goes_on.next.as_deref()), (None, Some("n")));
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let cases = [
        (400, "ProvisionedThroughputExceededException", "throttled"),
        (400, "LimitExceededException", "throttled"),
        (400, "KMSThrottlingException", "throttled"),
        (429, "", "throttled"),
        (400, "ResourceNotFoundException", "gone"),
        (400, "AccessDeniedException", "denied Kinesis.AccessDenied"),
        (400, "ExpiredTokenException", "denied Kinesis.AccessDenied"),
        (403, "", "denied Kinesis.AccessDenied"),
        (400, "KMSDisabledException", "denied Kinesis.KMS.Disabled"),
        (400, "InvalidArgumentException", "denied Kinesis.InvalidArgument"),
        (400, "SomethingNewException", "denied Kinesis.Refused"),
        (400, "ResourceInUseException", "trouble Kinesis.ResourceInUse"),
        (500, "InternalFailure", "trouble Kinesis.InternalFailure"),
        (503, "", "trouble Kinesis.InternalFailure"),
    ];
    let double = AwsDouble::start(Some("kinesis"), move |call| match cases[call.number] {
        (status, "", _) => Reply::new(status, "<html>"),
        (status, name, _) => Reply::fault(status, name),
    })
    .await;
    let client = client(&double.url);
    for (status, name, expected) in cases {
        let error = client.iterator("a", &IteratorStart::Latest).await.unwrap_err();
        let kind = match &error {
            ReadError::Throttled(_) => "throttled".to_owned(),
            ReadError::Gone(_) => "gone".to_owned(),
            ReadError::Denied { code, .. } => format!("denied {code}"),
            ReadError::Trouble { code, .. } => format!("trouble {code}"),
        };
        assert_eq!(kind, expected, "{status} {name}: {error}");
        assert!(error.to_string().contains("GetShardIterator"), "{error}");
    }
    let cut = AwsDouble::start(Some("kinesis"), |_| Reply::cut()).await;
    let error = super::super::Client::records(&self::client(&cut.url), "i").await.unwrap_err();
    let AskError::Read(ReadError::Trouble { code, .. }) = error else { panic!("{error:?}") };
    assert_eq!(code, "Kinesis.ConnectionFailure");
}

#[tokio::test]
async fn a_role_that_may_only_describe_the_old_way_is_enough() {
    let double = AwsDouble::start(Some("kinesis"), |call| match action(call).as_str() {
        "DescribeStreamSummary" => Reply::fault(400, "AccessDeniedException"),
        _ => Reply::json(json!({"StreamDescription": {
            "StreamARN": ARN, "StreamStatus": "ACTIVE", "RetentionPeriodHours": 48,
            "Shards": [], "HasMoreShards": true,
        }})),
    })
    .await;
    let info = client(&double.url).describe().await.unwrap();
    let expected =
        StreamInfo { arn: Some(ARN.into()), status: "ACTIVE".into(), retention_hours: Some(48) };
    assert_eq!(info, expected);
    assert_eq!(double.calls()[1].json(), json!({"Limit": 1, "StreamARN": ARN}));
}
