//! Against a server that speaks DynamoDB's API, at the URL in `STANDPIPE_TEST_DYNAMODB` (moto, or
//! dynalite). Ignored where there is none.

use serde_json::{Value, json};

use super::{
    super::{
        item::{Lease, text},
        table::{Change, DynamoTable, TableError},
    },
    *,
};
use crate::{
    env::SystemClock,
    net::{
        aws::{Access, StaticKeys},
        signed::SignedClient,
    },
    units::Secret,
};

const MINUTE: Duration = Duration::from_secs(60);

fn url() -> String {
    std::env::var("STANDPIPE_TEST_DYNAMODB").expect("./test names it")
}

fn client() -> SignedClient {
    let access = Access {
        region: "us-east-1".into(),
        keys: Some(StaticKeys {
            access_key_id: Secret::Value("AKIAEXAMPLE".into()),
            secret_access_key: Secret::Value("hush".into()),
            session_token: None,
        }),
        role: None,
        sts_endpoint: None,
    };
    SignedClient::new(&access, "dynamodb", Some(url())).unwrap()
}

fn name() -> String {
    format!("leases-{}", uuid::Uuid::new_v4())
}

fn table(name: &str) -> DynamoTable {
    DynamoTable::new(client(), name, MINUTE)
}

/// As another application would ask.
async fn ask(action: &str, question: Value) -> Value {
    let target = format!("DynamoDB_20120810.{action}");
    let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", &*target)];
    let body = question.to_string().into();
    let answer = client().post("/", &headers, body, MINUTE, 8 << 20).await.unwrap();
    assert!(answer.status.is_success(), "{:?}", answer.body);
    serde_json::from_slice(&answer.body).unwrap()
}

async fn put(table: &str, item: Value) {
    ask("PutItem", json!({ "TableName": table, "Item": item })).await;
}

async fn item(table: &str, key: &str) -> Value {
    let question = json!({ "TableName": table, "Key": {"leaseKey": text(key)} });
    ask("GetItem", question).await["Item"].take()
}

fn lease(id: &str) -> Lease {
    Lease::fresh(&shard(id, &["parent"], false), Checkpoint::TrimHorizon, 0)
}

#[tokio::test]
#[ignore = "run with an emulator by ./test"]
async fn every_change_is_made_once_and_spares_what_others_keep() {
    let name = name();
    let table = table(&name);
    table.prepare().await.unwrap();
    table.prepare().await.unwrap();
    let mut lease = lease("shard-0");
    table.create(&lease).await.unwrap();
    assert_eq!(table.create(&lease).await, Err(TableError::Outdated));
    assert_eq!(table.get("shard-0").await.unwrap().as_ref(), Some(&lease));
    assert_eq!(table.get("shard-1").await, Ok(None));
    let mut with_more = item(&name, "shard-0").await;
    with_more["throughputKBps"] = json!({ "N": "1.5" });
    with_more["pendingCheckpoint"] = text("7");
    put(&name, with_more).await;

    table.take(&lease, "a").await.unwrap();
    assert_eq!(table.take(&lease, "b").await, Err(TableError::Outdated));
    lease.counter = 1;
    lease.owner = Some("a".into());
    assert_eq!(table.get("shard-0").await.unwrap().as_ref(), Some(&lease));
    table.take(&lease, "b").await.unwrap();
    let change =
        async |owner, counter, change| table.change("shard-0", owner, counter, &change).await;
    assert_eq!(change("a", 2, Change::Renew).await, Err(TableError::Outdated));
    assert_eq!(change("b", 1, Change::Renew).await, Err(TableError::Outdated));
    change("b", 2, Change::Renew).await.unwrap();
    let children = vec!["x".to_owned(), "y".to_owned()];
    let item_now = item(&name, "shard-0").await;
    assert_eq!(item_now["ownerSwitchesSinceCheckpoint"]["N"], "1");
    let to = Checkpoint::Sequence { number: "4959".into(), sub_sequence: 3, whole: false };
    change("b", 3, Change::Checkpoint { to: to.clone(), children: vec![] }).await.unwrap();
    let item_now = item(&name, "shard-0").await;
    assert_eq!(item_now["checkpoint"]["S"], "4959");
    assert_eq!(item_now["checkpointSubSequenceNumber"]["N"], "3");
    assert_eq!(item_now["ownerSwitchesSinceCheckpoint"]["N"], "0");
    assert_eq!(item_now["throughputKBps"]["N"], "1.5");
    assert!(item_now.get("pendingCheckpoint").is_none());
    let end = Change::Checkpoint { to: Checkpoint::ShardEnd, children: children.clone() };
    change("b", 4, end).await.unwrap();
    change("b", 5, Change::Release).await.unwrap();
    assert_eq!(change("b", 6, Change::Renew).await, Err(TableError::Outdated));
    let ended = Lease {
        owner: None,
        counter: 6,
        checkpoint: Checkpoint::ShardEnd,
        children,
        ..lease.clone()
    };
    assert_eq!(table.scan().await.unwrap(), [ended]);
    assert_eq!(table.delete("shard-0", 5).await, Err(TableError::Outdated));
    table.delete("shard-0", 6).await.unwrap();
    assert_eq!(table.delete("shard-0", 6).await, Err(TableError::Outdated));
    assert_eq!(table.scan().await, Ok(vec![]));
    assert_eq!(table.take(&lease, "a").await, Err(TableError::Outdated), "no row comes of it");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run with an emulator by ./test"]
async fn of_many_who_take_one_does() {
    let name = name();
    let table = Arc::new(table(&name));
    table.prepare().await.unwrap();
    for round in 0..20 {
        let lease = lease(&format!("shard-{round}"));
        table.create(&lease).await.unwrap();
        let takers = (0..16).map(|n| {
            let (table, lease) = (table.clone(), lease.clone());
            tokio::spawn(async move { table.take(&lease, &n.to_string()).await })
        });
        let answers = futures::future::join_all(takers).await;
        let won = answers.iter().filter(|answer| matches!(answer, Ok(Ok(())))).count();
        assert_eq!(won, 1, "{answers:?}");
    }
}

#[tokio::test]
#[ignore = "run with an emulator by ./test"]
async fn large_tables_are_scanned_page_by_page() {
    let name = name();
    let table = table(&name);
    table.prepare().await.unwrap();
    // More than 1 MiB, at which a page ends.
    for n in 0..150 {
        let mut item = lease(&format!("shard-{n:03}")).to_item();
        item["ballast"] = text(&"x".repeat(10_000));
        put(&name, item).await;
    }
    let question = json!({ "TableName": name });
    assert!(!ask("Scan", question).await["LastEvaluatedKey"].is_null(), "there are pages");
    let mut keys: Vec<_> = table.scan().await.unwrap().into_iter().map(|l| l.key).collect();
    keys.sort();
    assert_eq!(keys.len(), 150);
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
}

#[tokio::test]
#[ignore = "run with an emulator by ./test"]
async fn tables_that_are_not_ours_are_refused() {
    let row = |version: &str| json!({ "leaseKey": text("Migration3.0"), "cv": text(version) });
    let refused = async |table: &DynamoTable, of: &str| {
        let error = table.prepare().await.unwrap_err();
        assert!(matches!(&error, TableError::Refused(text) if text.contains(of)), "{error}");
    };
    let name_3 = name();
    let table_3 = table(&name_3);
    table_3.prepare().await.unwrap();
    put(&name_3, row("CLIENT_VERSION_2X")).await;
    put(&name_3, json!({ "leaseKey": text("w"), "entityType": text("LEADER") })).await;
    table_3.prepare().await.unwrap();
    assert_eq!(table_3.scan().await, Ok(vec![]));
    put(&name_3, row("CLIENT_VERSION_3X")).await;
    refused(&table_3, "CLIENT_VERSION_3X").await;
    assert!(matches!(table_3.scan().await, Err(TableError::Refused(_))));

    let key_table = |name: &str, key: &str| {
        json!({
            "TableName": name, "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        })
    };
    let name_state = name();
    table(&name_state).prepare().await.unwrap();
    let state = format!("{name_state}-CoordinatorState");
    ask("CreateTable", key_table(&state, "key")).await;
    let active = async || {
        let table = ask("DescribeTable", json!({ "TableName": state })).await;
        table["Table"]["TableStatus"] == "ACTIVE"
    };
    while !active().await {
        sleep(Duration::from_millis(50)).await;
    }
    table(&name_state).prepare().await.unwrap();
    let version = "CLIENT_VERSION_UPGRADE_FROM_2X";
    put(&state, json!({ "key": text("Migration3.0"), "cv": text(version) })).await;
    refused(&table(&name_state), version).await;

    let other = name();
    ask("CreateTable", key_table(&other, "id")).await;
    refused(&table(&other), "no lease table").await;

    let many = name();
    table(&many).prepare().await.unwrap();
    let mut item = lease("123456789012:clicks:1:shard-0").to_item();
    item["streamName"] = text("123456789012:clicks:1");
    put(&many, item).await;
    assert!(matches!(table(&many).scan().await, Err(TableError::Refused(_))));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run with an emulator by ./test"]
async fn three_replicas_share_a_stream() {
    let name = name();
    let failover = Duration::from_secs(1);
    let start = |owner: &str, seed| {
        let clock = Arc::new(SystemClock::default());
        let weather = Arc::default();
        Worker::over(Box::new(table(&name)), owner, usize::MAX, clock, failover, weather, seed)
    };
    let shards = shards(6);
    let (a, b, c) = (start("a", 1), start("b", 2), start("c", 3));
    let workers = [&a, &b, &c];
    futures::future::join_all(workers.map(|worker| worker.sync(&shards))).await;
    let is_spread = |workers: &[&Worker], most: usize| {
        let mut ids: Vec<_> = workers.iter().flat_map(|worker| worker.ids()).collect();
        ids.sort();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "held by two: {ids:?}");
        ids.len() == 6 && workers.iter().all(|worker| worker.ids().len() <= most)
    };
    until("three share", || is_spread(&workers, 2)).await;
    for (n, held) in a.held().into_values().enumerate() {
        a.coordinator.checkpoint(&held, &at(n as u64 + 1)).await.unwrap();
    }
    let was_of_a = a.ids();
    a.kill();
    c.stop().await;
    until("b has all", || is_spread(&[&b], 6)).await;
    let held = b.held();
    assert!(was_of_a.iter().all(|id| held[id].checkpoint != Checkpoint::TrimHorizon));
    b.stop().await;
    assert!(table(&name).scan().await.unwrap().iter().all(|lease| lease.owner.is_none()));
}
