//! Members of a group among each other, and trouble.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn partitions_move_between_members_and_no_record_is_lost_or_doubled() {
    let mock = Mock::new("t", 4);
    let all = texts(0, 400, 4);
    produce(&mock.brokers(), "t", &borrowed(&all[..100]));
    let member = || {
        Running::start(
            options(&mock.brokers(), "t", json!({})),
            TestInlet::durable(BTreeMap::new()),
        )
    };
    let first = member();
    first.read(100).await;
    let second = member();
    first.owns(2).await;
    second.owns(2).await;
    produce(&mock.brokers(), "t", &borrowed(&all[100..200]));
    first.read(150).await;
    second.read(50).await;
    // One leaves, the other takes over.
    let left = first.stop().await;
    second.owns(4).await;
    produce(&mock.brokers(), "t", &borrowed(&all[200..300]));
    second.read(150).await;
    // It comes back with the journal that it had.
    let back = Running::start(options(&mock.brokers(), "t", json!({})), left.reopened());
    back.owns(2).await;
    second.owns(2).await;
    produce(&mock.brokers(), "t", &borrowed(&all[300..]));
    back.read(50).await;
    second.read(200).await;
    let (back, second) = (back.stop().await, second.stop().await);
    assert_exactly_once(&[&left, &back, &second], &all);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_commit_is_made_again_while_the_group_takes_none() {
    let mock = Mock::new("t", 1);
    let all = texts(0, 40, 1);
    produce(&mock.brokers(), "t", &borrowed(&all));
    let inlet = TestInlet::durable(BTreeMap::new());
    let member = Running::start(options(&mock.brokers(), "t", json!({})), inlet);
    member.read(40).await;
    let busy = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS; 3];
    mock.cluster.request_errors(RDKafkaApiKey::OffsetCommit, &busy);
    member.stop().await;
    assert_eq!(committed(&mock.brokers(), "t", 0).0, Some(40));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_journals_in_memory_what_is_not_settled_is_read_again_by_the_next() {
    let mock = Mock::new("t", 2);
    let all = texts(0, 40, 2);
    produce(&mock.brokers(), "t", &borrowed(&all));
    let member =
        || Running::start(options(&mock.brokers(), "t", json!({})), TestInlet::in_memory());
    let first = member();
    first.read(40).await;
    let second = member();
    second.owns(1).await;
    first.owns(1).await;
    second.read(20).await;
    // What is settled now is no longer the first one's to tell for both.
    first.inlet.settle(40);
    let offsets = || -> BTreeSet<_> {
        (0..2).map(|partition| committed(&mock.brokers(), "t", partition).0).collect()
    };
    until("the commit", || offsets().contains(&Some(20))).await;
    assert_eq!(offsets().len(), 2, "nothing of the second's is settled");
    assert_eq!(second.stop().await.records().len(), 20);
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_journal_holds_reading_but_not_the_membership() {
    // The mock keeps some megabytes of a partition.
    let mock = Mock::new("t", 8);
    let filler = "x".repeat(4000);
    let all: Vec<_> = (0..3200).map(|n| (n % 8, format!("record {n} {filler}"))).collect();
    produce(&mock.brokers(), "t", &borrowed(&all));
    let inlet = TestInlet::durable(BTreeMap::new());
    inlet.refuse_as_full(40);
    let source = Running::start(options(&mock.brokers(), "t", json!({})), inlet);
    until("back-pressure", || source.metrics.backpressured.get() >= 20).await;
    assert!(source.inlet.records().len() < 3200);
    source.read(3200).await;
    assert_eq!(source.metrics.parts.get(), 8);
    assert_exactly_once(&[&*source.stop().await], &all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_down_is_waited_for() {
    let mock = Mock::new("t", 1);
    let all = texts(0, 40, 1);
    produce(&mock.brokers(), "t", &borrowed(&all[..20]));
    let source = Running::start(
        options(&mock.brokers(), "t", json!({})),
        TestInlet::durable(BTreeMap::new()),
    );
    source.read(20).await;
    mock.cluster.broker_down(1).unwrap();
    mock.cluster.broker_up(1).unwrap();
    produce(&mock.brokers(), "t", &borrowed(&all[20..]));
    source.read(40).await;
    assert_exactly_once(&[&*source.stop().await], &all);
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_found_by_pattern_and_new_ones_are_read_from_their_beginning() {
    let mock = Mock::new("logs-a", 1);
    let all = texts(0, 30, 1);
    produce(&mock.brokers(), "logs-a", &borrowed(&all[..10]));
    let often = json!({"start": "latest",
                       "librdkafka": {"topic.metadata.refresh.interval.ms": "100"}});
    let source = Running::start(
        options(&mock.brokers(), "^logs-.*", often),
        TestInlet::durable(BTreeMap::new()),
    );
    until("the beginning", || committed(&mock.brokers(), "logs-a", 0).0 == Some(10)).await;
    mock.cluster.create_topic("logs-b", 1, 1).unwrap();
    mock.cluster.create_topic("other", 1, 1).unwrap();
    produce(&mock.brokers(), "logs-b", &borrowed(&all[10..20]));
    produce(&mock.brokers(), "other", &[(0, "not for us")]);
    source.owns(2).await;
    produce(&mock.brokers(), "logs-a", &borrowed(&all[20..]));
    source.read(20).await;
    assert_exactly_once(&[&*source.stop().await], &all[10..]);
}
