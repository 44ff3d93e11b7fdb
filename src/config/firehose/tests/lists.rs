//! Tags, encryption and the list of streams.

use serde_json::{Value, json};

use super::{create_body, ctx, hose, invalid};
use crate::config::firehose::{Hose, HoseContext, StreamType, list};

fn tags(pairs: &[(&str, &str)]) -> Value {
    let tag = |(k, v): &(&str, &str)| json!({"Key": k, "Value": v});
    json!({"DeliveryStreamName": "hose", "Tags": pairs.iter().map(tag).collect::<Vec<_>>()})
}

fn list_tags(hose: &Hose, more: Value) -> (Vec<String>, bool) {
    let mut body = json!({"DeliveryStreamName": "hose"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = hose.list_tags(&body).unwrap();
    let keys = answer["Tags"].as_array().unwrap().iter();
    (
        keys.map(|tag| tag["Key"].as_str().unwrap().to_owned()).collect(),
        answer["HasMoreTags"].as_bool().unwrap(),
    )
}

#[test]
fn tags_are_set_replaced_and_removed() {
    let tagged = hose().tag(&tags(&[("b", "1"), ("a", "2")])).unwrap();
    let tagged = tagged.tag(&tags(&[("b", "3")])).unwrap();
    assert_eq!(
        tagged.list_tags(&json!({"DeliveryStreamName": "hose"})).unwrap(),
        json!({
            "Tags": [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}],
            "HasMoreTags": false,
        })
    );
    let keys = json!({"DeliveryStreamName": "hose", "TagKeys": ["a", "unknown"]});
    assert_eq!(list_tags(&tagged.untag(&keys).unwrap(), json!({})), (vec!["b".to_owned()], false));
}

#[test]
fn a_tag_without_a_value_stays_so() {
    let body = json!({"DeliveryStreamName": "hose", "Tags": [{"Key": "alone"}]});
    let answer = hose().tag(&body).unwrap().list_tags(&json!({"DeliveryStreamName": "hose"}));
    assert_eq!(answer.unwrap()["Tags"], json!([{"Key": "alone"}]));
}

#[test]
fn tags_are_listed_in_pages() {
    let mut body = create_body(json!({}));
    body["Tags"] = tags(&[("a", ""), ("b", ""), ("c", "")])["Tags"].take();
    let hose = Hose::create(&body, &ctx()).unwrap();
    let page = |more| list_tags(&hose, more);
    let keys = |keys: &[&str]| keys.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>();
    assert_eq!(page(json!({})), (keys(&["a", "b", "c"]), false));
    assert_eq!(page(json!({"Limit": 2})), (keys(&["a", "b"]), true));
    assert_eq!(page(json!({"Limit": 2, "ExclusiveStartTagKey": "b"})), (keys(&["c"]), false));
    assert_eq!(page(json!({"Limit": 1, "ExclusiveStartTagKey": "aa"})), (keys(&["b"]), true));
    assert_eq!(page(json!({"ExclusiveStartTagKey": "z"})), (keys(&[]), false));
}

#[test]
fn fifty_tags_and_no_more() {
    let names: Vec<String> = (0..50).map(|i| format!("k{i}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let full = hose().tag(&tags(&pairs)).unwrap();
    full.tag(&tags(&[("k7", "new")])).unwrap();
    let error = full.tag(&tags(&[("one more", "v")])).expect_err("there are 50 tags");
    assert_eq!((error.kind, error.status), ("LimitExceededException", 400));
    assert_eq!(error.message, "Firehose hose can have at most 50 tags.");
}

#[test]
fn encryption_starts_and_stops() {
    let body = json!({"DeliveryStreamName": "hose"});
    let started = hose().start_encryption(&body, &ctx()).unwrap();
    let described = |hose: &Hose| {
        hose.describe()["DeliveryStreamDescription"]["DeliveryStreamEncryptionConfiguration"]
            .clone()
    };
    assert_eq!(described(&started), json!({"KeyType": "AWS_OWNED_CMK", "Status": "ENABLED"}));
    let key = "arn:aws:kms:us-east-1:123456789012:key/k";
    let mut with_key = body.clone();
    with_key["DeliveryStreamEncryptionConfigurationInput"] =
        json!({"KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": key});
    let changed = started.start_encryption(&with_key, &ctx()).unwrap();
    assert_eq!(
        described(&changed),
        json!({"KeyARN": key, "KeyType": "CUSTOMER_MANAGED_CMK", "Status": "ENABLED"})
    );
    let stopped = changed.stop_encryption(&body, &ctx()).unwrap();
    assert_eq!(described(&stopped), json!({"Status": "DISABLED"}));
    assert!(!stopped.is_encrypted() && changed.is_encrypted());
}

#[test]
fn encryption_is_called_25_times_a_day_at_most() {
    let body = json!({"DeliveryStreamName": "hose"});
    let at = |minutes: i64| HoseContext { now_ms: ctx().now_ms + minutes * 60_000, ..ctx() };
    let mut hose = hose();
    for call in 0..25 {
        hose = if call % 2 == 0 {
            hose.start_encryption(&body, &at(call)).unwrap()
        } else {
            hose.stop_encryption(&body, &at(call)).unwrap()
        };
    }
    let error = hose.stop_encryption(&body, &at(24 * 60 - 1)).expect_err("25 calls were made");
    assert_eq!(error.kind, "LimitExceededException");
    // A day after the first call it is forgotten.
    let hose = hose.stop_encryption(&body, &at(24 * 60)).unwrap();
    assert_eq!(hose.encryption_calls_ms.len(), 25);
}

fn names(body: Value) -> (Vec<String>, bool) {
    let all: Vec<String> = (0..12).rev().map(|i| format!("s{i:02}")).collect();
    let streams = all.iter().map(|name| (name.as_str(), StreamType::DirectPut));
    let answer = list(streams, &body).unwrap();
    let names = answer["DeliveryStreamNames"].as_array().unwrap().iter();
    (
        names.map(|name| name.as_str().unwrap().to_owned()).collect(),
        answer["HasMoreDeliveryStreams"].as_bool().unwrap(),
    )
}

#[test]
fn streams_are_listed_by_name_in_pages_of_ten() {
    let (first, more) = names(json!({}));
    assert_eq!((first.len(), more), (10, true));
    assert!(first.is_sorted());
    let (second, more) = names(json!({"ExclusiveStartDeliveryStreamName": first[9]}));
    assert_eq!((second, more), (vec!["s10".to_owned(), "s11".to_owned()], false));
    let (all, more) = names(json!({"Limit": 12}));
    assert_eq!((all.len(), more), (12, false));
    assert_eq!(names(json!({"Limit": 1})), (vec!["s00".to_owned()], true));
    assert_eq!(names(json!({"DeliveryStreamType": "DirectPut"})).0.len(), 10);
    assert_eq!(names(json!({"DeliveryStreamType": "MSKAsSource"})), (Vec::new(), false));
}

#[test]
fn streams_of_the_file_cannot_be_changed() {
    let hose = Hose { origin: crate::config::firehose::Origin::File, ..hose() };
    let name = json!({"DeliveryStreamName": "hose"});
    let update = json!({
        "DeliveryStreamName": "hose", "CurrentDeliveryStreamVersionId": "1",
        "DestinationId": "destinationId-000000000001", "S3DestinationUpdate": {},
    });
    let untag = json!({"DeliveryStreamName": "hose", "TagKeys": ["a"]});
    let message = "Firehose hose is defined in the configuration file and cannot be changed \
                   through the API.";
    assert_eq!(invalid(hose.update(&update, &ctx())), message);
    assert_eq!(invalid(hose.tag(&tags(&[("a", "b")]))), message);
    assert_eq!(invalid(hose.untag(&untag)), message);
    assert_eq!(invalid(hose.start_encryption(&name, &ctx())), message);
    assert_eq!(invalid(hose.stop_encryption(&name, &ctx())), message);
    assert_eq!(invalid(hose.check_deletable()), message);
    assert_eq!(list_tags(&hose, json!({})), (Vec::new(), false));
}
