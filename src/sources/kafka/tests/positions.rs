//! Where reading begins, and what the group is told.

use super::*;
use crate::sources::kafka::start::MARK;

#[tokio::test(flavor = "multi_thread")]
async fn records_come_with_their_places_and_a_restart_goes_on_behind_them() {
    let mock = Mock::new("t", 2);
    let all = texts(0, 150, 2);
    produce(&mock.brokers(), "t", &borrowed(&all[..100]));
    let first = Running::start(
        options(&mock.brokers(), "t", json!({})),
        TestInlet::durable(BTreeMap::new()),
    );
    first.read(100).await;
    let first = first.stop().await;
    for put in first.puts() {
        let provenance = put.provenance.unwrap();
        let place = provenance.place.unwrap();
        assert_eq!(place.topic.as_deref(), Some("t"));
        let partition = place.partition.unwrap();
        assert_eq!(provenance.steps[0].key, format!("t/{partition}"));
        assert_eq!(provenance.records.len(), put.lengths.len());
        let last = provenance.records.last().unwrap();
        let position = provenance.steps[0].position.clone().unwrap();
        assert_eq!(position, (last.offset.unwrap() + 1).to_string());
        let mut at = 0;
        for (record, &length) in provenance.records.iter().zip(&put.lengths) {
            let text = std::str::from_utf8(&put.data[at..at + length as usize]).unwrap();
            at += length as usize;
            assert_eq!(record.key.as_deref(), Some(format!("key of {text}").as_bytes()));
            assert_eq!(record.headers[0].name, "h");
            assert_eq!(record.headers[0].value.as_deref(), Some(&b"v"[..]));
            assert!(record.timestamp_ms.unwrap() > 0 && !record.tombstone);
        }
    }
    assert_eq!(committed(&mock.brokers(), "t", 0), (Some(50), MARK.to_owned()));
    produce(&mock.brokers(), "t", &borrowed(&all[100..]));
    let second = Running::start(options(&mock.brokers(), "t", json!({})), first.reopened());
    second.read(50).await;
    let second = second.stop().await;
    assert_exactly_once(&[&first, &second], &all);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_larger_one_of_the_groups_offset_and_the_journals_counts() {
    let mock = Mock::new("t", 2);
    let all: Vec<_> = (0..40i32).map(|n| (n % 2, format!("record {n}"))).collect();
    produce(&mock.brokers(), "t", &borrowed(&all));
    reset(&mock.brokers(), "t", 0, 10, MARK);
    reset(&mock.brokers(), "t", 1, 10, MARK);
    let known = [("t/0".to_owned(), "15".to_owned()), ("t/1".to_owned(), "5".to_owned())];
    let source =
        Running::start(options(&mock.brokers(), "t", json!({})), TestInlet::durable(known.into()));
    source.read(15).await;
    let is_new = |n: &usize| n / 2 >= if n.is_multiple_of(2) { 15 } else { 10 };
    let expected: Vec<_> = (0..40).filter(is_new).map(|n| all[n].clone()).collect();
    assert_exactly_once(&[&*source.stop().await], &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_journal_in_memory_the_group_is_told_of_what_is_settled() {
    let mock = Mock::new("t", 1);
    let all = texts(0, 60, 1);
    let source = Running::start(options(&mock.brokers(), "t", json!({})), TestInlet::in_memory());
    for (round, piece) in all.chunks(20).enumerate() {
        produce(&mock.brokers(), "t", &borrowed(piece));
        source.read(20 * (round + 1)).await;
    }
    source.inlet.settle(20);
    until("the commit", || committed(&mock.brokers(), "t", 0).0 == Some(20)).await;
    source.inlet.settle(45);
    let stopped = source.stop().await;
    // The last put that is settled as a whole.
    let ends = steps(&stopped.puts()).into_iter().map(|(_, position)| position);
    let safe = ends.filter(|&position| position <= 45).max().unwrap();
    assert_eq!(committed(&mock.brokers(), "t", 0).0, Some(safe));
    let again = Running::start(options(&mock.brokers(), "t", json!({})), TestInlet::in_memory());
    again.read(60 - safe as usize).await;
    let again = again.stop().await;
    assert_eq!(again.records()[0], format!("record {safe}").into_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_a_tool_has_set_wins_over_the_journal() {
    let mock = Mock::new("t", 1);
    let all = texts(0, 30, 1);
    produce(&mock.brokers(), "t", &borrowed(&all));
    reset(&mock.brokers(), "t", 0, 10, "");
    let known = BTreeMap::from([("t/0".to_owned(), "25".to_owned())]);
    let source =
        Running::start(options(&mock.brokers(), "t", json!({})), TestInlet::durable(known));
    source.read(20).await;
    let inlet = source.stop().await;
    assert_exactly_once(&[&inlet], &all[10..]);
    assert_eq!(committed(&mock.brokers(), "t", 0), (Some(30), MARK.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_now_on_is_read_even_if_nothing_had_come_before_a_crash() {
    let mock = Mock::new("t", 1);
    let all = texts(0, 30, 1);
    produce(&mock.brokers(), "t", &borrowed(&all[..10]));
    let latest = || options(&mock.brokers(), "t", json!({"start": "latest"}));
    let source = Running::start(latest(), TestInlet::in_memory());
    // The beginning is committed although nothing was read.
    until("the beginning", || committed(&mock.brokers(), "t", 0).0 == Some(10)).await;
    assert!(source.stop().await.records().is_empty());
    produce(&mock.brokers(), "t", &borrowed(&all[10..]));
    let source = Running::start(latest(), TestInlet::in_memory());
    source.read(20).await;
    assert_exactly_once(&[&*source.stop().await], &all[10..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_is_not_kept_is_said_and_reading_goes_on() {
    let mock = Mock::new("t", 2);
    let all = texts(0, 20, 2);
    produce(&mock.brokers(), "t", &borrowed(&all));
    reset(&mock.brokers(), "t", 0, 1000, MARK);
    let source = Running::start(
        options(&mock.brokers(), "t", json!({})),
        TestInlet::durable(BTreeMap::new()),
    );
    source.read(20).await;
    assert_exactly_once(&[&*source.stop().await], &all);
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstones_are_passed_over_or_delivered_and_large_records_go_alone() {
    let mock = Mock::new("t", 1);
    let large = "x".repeat(200);
    let records = [(0, "a"), (0, ""), (0, "b"), (0, large.as_str()), (0, "c"), (0, "")];
    produce(&mock.brokers(), "t", &records);
    let limit = json!({"max_record_size": 100});
    let source =
        Running::start(options(&mock.brokers(), "t", limit), TestInlet::durable(BTreeMap::new()));
    source.read(4).await;
    until("the tombstones", || source.metrics.skipped_records.get() == 2).await;
    assert_eq!(source.metrics.failed_validation_records.get(), 1);
    assert_eq!(source.metrics.failed_validation_bytes.get(), 200);
    let inlet = source.stop().await;
    // Behind the last tombstone, although no put stands there.
    assert_eq!(committed(&mock.brokers(), "t", 0).0, Some(6));
    let puts = inlet.puts();
    let unfit: Vec<_> = puts
        .iter()
        .filter(|put| put.provenance.as_ref().unwrap().unfit.is_some())
        .map(|put| put.data.as_slice())
        .collect();
    assert_eq!(unfit, [large.as_bytes()]);
    assert_eq!(inlet.records(), [&b"a"[..], b"b", large.as_bytes(), b"c"].map(<[u8]>::to_vec));

    let more = json!({"tombstones": "deliver", "group": "other"});
    let source =
        Running::start(options(&mock.brokers(), "t", more), TestInlet::durable(BTreeMap::new()));
    source.read(6).await;
    let inlet = source.stop().await;
    let puts = inlet.puts();
    let origins: Vec<_> =
        puts.iter().flat_map(|put| &put.provenance.as_ref().unwrap().records).collect();
    let tombstones: Vec<_> = origins.iter().map(|origin| origin.tombstone).collect();
    assert_eq!(tombstones, [false, true, false, false, false, true]);
}

#[test]
fn what_can_never_work_is_refused_and_nobody_is_asked() {
    let metrics = Metrics::new().source("s");
    let refused = |more: Value| {
        let options = options("localhost:1", "t", more);
        KafkaSource::new(options, context(&metrics)).err().unwrap()
    };
    for (more, word) in [
        (json!({"brokers": []}), "brokers"),
        (json!({"topics": []}), "topics"),
        (json!({"session_timeout": "1ms"}), "session_timeout"),
        (json!({"start": {"at_timestamp": "yesterday"}}), "at_timestamp"),
        (json!({"librdkafka": {"enable.auto.commit": "true"}}), "enable.auto.commit"),
        (json!({"librdkafka": {"fetch.max.bytes": "much"}}), "fetch.max.bytes"),
        (
            json!({"sasl": {"mechanism": "oauthbearer", "token_endpoint": "x", "client_id": "c",
                            "client_secret": "s"}}),
            "token_endpoint",
        ),
    ] {
        let error = refused(more);
        assert!(error.contains(word), "{error}");
    }
    let options =
        options("localhost:1", "t", json!({"librdkafka": {"fetch.max.bytes": "1000000"}}));
    assert!(KafkaSource::new(options, context(&metrics)).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_records_arrive_commits_nothing_that_is_not_stored() {
    let mock = Mock::new("t", 2);
    let brokers = mock.brokers();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let producing = std::thread::spawn(move || {
        let mut all = Vec::new();
        while !stopped.is_cancelled() {
            let more = texts(all.len(), all.len() + 50, 2);
            produce(&brokers, "t", &borrowed(&more));
            all.extend(more);
        }
        all
    });
    let mut inlets: Vec<Arc<TestInlet>> = Vec::new();
    let mut stored = [0, 0];
    for _ in 0..4 {
        let inlet = match inlets.last() {
            Some(before) => before.reopened(),
            None => TestInlet::durable(BTreeMap::new()),
        };
        let source = Running::start(options(&mock.brokers(), "t", json!({})), inlet);
        source.read(300).await;
        let inlet = source.stop().await;
        for (key, position) in steps(&inlet.puts()) {
            stored[if key == "t/0" { 0 } else { 1 }] = position;
        }
        for (partition, &stored) in stored.iter().enumerate() {
            let (told, _) = committed(&mock.brokers(), "t", partition as i32);
            assert!(told.is_none_or(|told| told <= stored), "{told:?} is beyond {stored}");
        }
        inlets.push(inlet);
    }
    stop.cancel();
    let all = producing.join().unwrap();
    let before: usize = inlets.iter().map(|inlet| inlet.records().len()).sum();
    let inlet = inlets.last().unwrap().reopened();
    let source = Running::start(options(&mock.brokers(), "t", json!({})), inlet);
    source.read(all.len() - before).await;
    inlets.push(source.stop().await);
    assert_exactly_once(&inlets.iter().map(|inlet| &**inlet).collect::<Vec<_>>(), &all);
}
