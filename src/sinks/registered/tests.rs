//! With a sink and a table that a test scripts.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::{
    env::ManualClock,
    fault::Failure,
    net::{
        aws_double::{AwsDouble, Reply},
        glue::{CachedTable, Glue, TableName, tests as glue_tests},
    },
    record::{Ranges, Route},
};

/// Remembers keys; refuses those that begin with `refused`.
#[derive(Default)]
struct Bucket(Mutex<Vec<String>>);

#[async_trait]
impl Sink for Bucket {
    async fn deliver(&self, shipment: &Shipment) -> Result<Delivered, Fault> {
        self.0.lock().push(shipment.key.clone());
        if shipment.key.starts_with("refused") {
            return Err(Fault::halt("S3.AccessDenied", "no"));
        }
        let failure = Failure::new("http-endpoint-failed", "Test.Code", "m");
        let rejected = if shipment.records == 2 { vec![(1, failure)] } else { Vec::new() };
        Ok(Delivered { rejected, left: None })
    }
}

/// A table with the column `dt`; faults are answered before it does anything.
#[derive(Default)]
struct Table {
    key_faults: Mutex<Vec<Fault>>,
    create_faults: Mutex<Vec<Fault>>,
    created: Mutex<Vec<(Vec<String>, String)>>,
}

#[async_trait]
impl Partitions for Table {
    async fn keys(&self) -> Result<Arc<[String]>, Fault> {
        self.key_faults.lock().pop().map_or_else(|| Ok(["dt".to_owned()].into()), Err)
    }

    async fn create(&self, values: &[String], prefix: &str) -> Result<(), Fault> {
        if let Some(fault) = self.create_faults.lock().pop() {
            return Err(fault);
        }
        self.created.lock().push((values.to_vec(), prefix.to_owned()));
        Ok(())
    }
}

fn shipment(key: &str) -> Shipment {
    Shipment {
        key: key.into(),
        body: Bytes::from_static(b"body"),
        content_type: "application/octet-stream",
        content_encoding: None,
        records: 1,
        positions: Ranges::of(0, 1),
        route: Route::Objects,
        list: None,
    }
}

fn parts() -> (Arc<Bucket>, Arc<Table>, Registered) {
    let (bucket, table) = (Arc::new(Bucket::default()), Arc::new(Table::default()));
    let sink = Registered::new(bucket.clone(), table.clone());
    (bucket, table, sink)
}

fn prefixes(table: &Table) -> Vec<String> {
    table.created.lock().iter().map(|(_, prefix)| prefix.clone()).collect()
}

#[tokio::test]
async fn a_prefix_is_registered_once_after_its_first_object() {
    let (bucket, table, sink) = parts();
    for key in ["c/dt=1/a", "c/dt=1/b", "c/dt=2/c"] {
        assert_eq!(sink.deliver(&shipment(key)).await, Ok(Delivered::default()));
    }
    let one = |value: &str| (vec![value.to_owned()], format!("c/dt={value}/"));
    assert_eq!(*table.created.lock(), [one("1"), one("2")]);
    assert_eq!(bucket.0.lock().len(), 3);

    sink.deliver(&shipment("refused/dt=3/a")).await.unwrap_err();
    assert_eq!(table.created.lock().len(), 2, "no partition without an object");
    assert!(sink.state.lock().uploads.by_key.is_empty());
    assert!(sink.state.lock().uploads.order.is_empty());
}

#[tokio::test]
async fn a_fault_of_the_catalog_is_the_attempts_and_the_object_goes_up_once() {
    let (bucket, table, sink) = parts();
    let fault = || Fault::retry("DataFormatConversion.ThrottledByGlue", "slow down");
    table.create_faults.lock().push(fault());
    table.key_faults.lock().push(fault());
    let shipment = Shipment { records: 2, ..shipment("c/dt=1/a") };
    assert_eq!(sink.deliver(&shipment).await, Err(fault()));
    assert_eq!(sink.deliver(&shipment).await, Err(fault()));
    let delivered = sink.deliver(&shipment).await.unwrap();
    assert_eq!(delivered.rejected.len(), 1, "what the upload said is not lost");
    assert_eq!(*bucket.0.lock(), ["c/dt=1/a"]);
    assert_eq!(prefixes(&table), ["c/dt=1/"]);
    // Once it is settled it is forgotten: the same key again is another delivery.
    sink.deliver(&shipment).await.unwrap();
    assert_eq!(bucket.0.lock().len(), 2);
}

#[tokio::test]
async fn another_shipment_under_the_same_key_goes_up() {
    let (bucket, table, sink) = parts();
    table.create_faults.lock().push(Fault::halt("X", "y"));
    sink.deliver(&shipment("dt=1/a")).await.unwrap_err();
    let other = Shipment { body: Bytes::from_static(b"other"), ..shipment("dt=1/a") };
    sink.deliver(&other).await.unwrap();
    assert_eq!(bucket.0.lock().len(), 2);
}

#[tokio::test]
async fn error_output_and_keys_without_partitions_are_delivered_alone() {
    let (bucket, table, sink) = parts();
    let failed = Shipment {
        route: Route::Errors("http-endpoint-failed".into()),
        ..shipment("errors/dt=1/a")
    };
    sink.deliver(&failed).await.unwrap();
    for key in ["c/a", "a"] {
        sink.deliver(&shipment(key)).await.unwrap();
    }
    assert_eq!(prefixes(&table), Vec::<String>::new());
    assert_eq!(bucket.0.lock().len(), 3);
    assert!(sink.warned.load(Ordering::Relaxed));
    let sink = Registered::new(bucket, table.clone());
    sink.deliver(&shipment("dt=1/a")).await.unwrap();
    assert_eq!(prefixes(&table), ["dt=1/"]);
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let (_, table, sink) = parts();
    for i in 0..PARTITIONS_REMEMBERED + 1 {
        sink.deliver(&shipment(&format!("dt={i}/a"))).await.unwrap();
    }
    assert_eq!(sink.state.lock().known.len(), 1);
    sink.deliver(&shipment("dt=0/b")).await.unwrap();
    assert_eq!(prefixes(&table).iter().filter(|prefix| *prefix == "dt=0/").count(), 2);

    let (bucket, table, sink) = parts();
    for i in 0..UNREGISTERED_UPLOADS + 1 {
        table.create_faults.lock().push(Fault::halt("X", "y"));
        sink.deliver(&shipment(&format!("dt={i}/a"))).await.unwrap_err();
    }
    {
        let uploads = &sink.state.lock().uploads;
        let bounded = (uploads.by_key.len(), uploads.order.len());
        assert_eq!(bounded, (UNREGISTERED_UPLOADS, UNREGISTERED_UPLOADS));
    }
    let before = bucket.0.lock().len();
    sink.deliver(&shipment("dt=1/a")).await.unwrap();
    assert_eq!(bucket.0.lock().len(), before);
    sink.deliver(&shipment("dt=0/a")).await.unwrap();
    assert_eq!(bucket.0.lock().len(), before + 1, "the oldest was forgotten");
}

#[tokio::test]
async fn glue_learns_of_partitions_with_their_place() {
    let double = AwsDouble::start(Some("glue"), |call| match call.header("x-amz-target") {
        "AWSGlue.GetTable" => Reply::json(json!({"Table": glue_tests::described("int")})),
        _ => Reply::json(json!({})),
    })
    .await;
    let glue = Glue::new(&glue_tests::access(), Some(double.url.clone())).unwrap();
    let name = TableName { catalog_id: None, database: "db".into(), table: "t".into() };
    let clock = Arc::new(ManualClock::default());
    let table = CachedTable::new(glue, name, "LATEST", Duration::from_secs(60), clock);
    let partitions = GluePartitions::new(Arc::new(table), "my-logs");
    let sink = Registered::new(Arc::new(Bucket::default()), Arc::new(partitions));
    for key in ["c/dt=1/a", "c/dt=1/b"] {
        sink.deliver(&shipment(key)).await.unwrap();
    }
    let calls = double.calls();
    assert_eq!(calls.len(), 2, "one question and one partition");
    let input = &calls[1].json()["PartitionInput"];
    assert_eq!(input["Values"], json!(["1"]));
    assert_eq!(input["StorageDescriptor"]["Location"], "s3://my-logs/c/dt=1/");
    assert_eq!(input["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"], "parquet");
}
