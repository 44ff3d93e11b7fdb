//! Against a double of Glue.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    encode::schema::HiveType,
    env::ManualClock,
    net::{
        aws_double::{AwsDouble, Reply},
        glue::tests::{access, described},
    },
};

fn catalog(double: &AwsDouble, clock: Arc<ManualClock>) -> GlueCatalog {
    let options: GlueTable = serde_json::from_value(json!({
        "database": "db", "table": "t", "endpoint": double.url, "region": "eu-central-1",
    }))
    .unwrap();
    GlueCatalog::new(Arc::new(cached_table(&options, access(), clock).unwrap()))
}

fn table(columns: Value) -> Value {
    let mut table = described("int");
    table["StorageDescriptor"]["Columns"] = columns;
    json!({"Table": table})
}

#[tokio::test]
async fn types_are_read_and_a_bad_change_leaves_the_last_good_schema() {
    let double = AwsDouble::start(Some("glue"), |call| {
        let of = match call.number {
            0 => "array<int>",
            1 => "no type",
            2 => return Reply::fault(400, "AccessDeniedException"),
            _ => "bigint",
        };
        Reply::json(table(json!([{"Name": "id", "Type": of}])))
    })
    .await;
    let clock = Arc::new(ManualClock::default());
    let catalog = catalog(&double, clock.clone());
    let first = catalog.table().await.unwrap();
    assert_eq!(first.columns[0].of, HiveType::Array(Box::new(HiveType::Int)));
    assert_eq!(first.partition_keys[0].name, "dt");
    for calls in [2, 3] {
        clock.advance(Duration::from_secs(60));
        assert!(Arc::ptr_eq(&first, &catalog.table().await.unwrap()));
        assert!(Arc::ptr_eq(&first, &catalog.table().await.unwrap()));
        assert_eq!(double.calls().len(), calls);
    }
    clock.advance(Duration::from_secs(60));
    assert_eq!(catalog.table().await.unwrap().columns[0].of, HiveType::Bigint);
    assert!(double.calls()[0].header("authorization").contains("/eu-central-1/glue/"));
}

#[tokio::test]
async fn a_table_that_gives_no_schema_holds() {
    for (columns, code) in [
        (json!([]), "DataFormatConversion.NonExistentColumns"),
        (json!(null), "DataFormatConversion.NonExistentColumns"),
        (json!([{"Name": "a", "Type": "no type"}]), "DataFormatConversion.InvalidSchema"),
        (json!([{"Name": "a"}]), "DataFormatConversion.InvalidSchema"),
        (json!([{"Name": "dt", "Type": "int"}]), "DataFormatConversion.InvalidSchema"),
    ] {
        let answer = table(columns.clone());
        let double = AwsDouble::start(Some("glue"), move |_| Reply::json(answer.clone())).await;
        let catalog = catalog(&double, Arc::default());
        for _ in 0..2 {
            let fault = catalog.table().await.unwrap_err();
            assert!(matches!(fault, Fault::Halt { .. }), "{fault}");
            assert_eq!(fault.cause().code, code, "{columns}");
        }
    }
}
