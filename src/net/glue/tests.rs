//! Against a double that proves signatures.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    env::ManualClock,
    net::{
        aws::StaticKeys,
        aws_double::{ACCESS_KEY, AwsDouble, Reply, SECRET_KEY},
    },
    units::Secret,
};

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

fn glue(double: &AwsDouble) -> Glue {
    Glue::new(&access(), Some(double.url.clone())).unwrap()
}

fn name() -> TableName {
    TableName { catalog_id: None, database: "db".into(), table: "t".into() }
}

/// A table as Glue describes it.
pub(crate) fn described(id_type: &str) -> Value {
    json!({
        "Name": "t", "DatabaseName": "db", "VersionId": "7", "CreateTime": 1.5,
        "StorageDescriptor": {
            "Columns": [{"Name": "id", "Type": id_type, "Comment": "key"}, {"Name": "raw"}],
            "Location": "s3://bucket/t/",
            "SerdeInfo": {"SerializationLibrary": "parquet"},
        },
        "PartitionKeys": [{"Name": "dt", "Type": "string"}],
    })
}

#[tokio::test]
async fn a_table_is_asked_for_as_it_is_or_was() {
    let double = AwsDouble::start(Some("glue"), |call| match call.header("x-amz-target") {
        "AWSGlue.GetTable" => Reply::json(json!({"Table": described("bigint")})),
        "AWSGlue.GetTableVersion" => {
            Reply::json(json!({"TableVersion": {"Table": described("int"), "VersionId": "3"}}))
        }
        other => panic!("{other}"),
    })
    .await;
    let latest = glue(&double).get_table(&name(), None).await.unwrap();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(latest.columns, [pair("id", "bigint"), pair("raw", "")]);
    assert_eq!(latest.partition_keys, [pair("dt", "string")]);
    assert_eq!(latest.version_id.as_deref(), Some("7"));
    assert_eq!(latest.location.as_deref(), Some("s3://bucket/t/"));
    assert_eq!(latest.storage_descriptor, described("bigint")["StorageDescriptor"]);

    let of = TableName { catalog_id: Some("123456789012".into()), ..name() };
    let third = glue(&double).get_table(&of, Some("3")).await.unwrap();
    assert_eq!(third.columns[0], pair("id", "int"));
    let calls = double.calls();
    assert_eq!(calls[0].json(), json!({"DatabaseName": "db", "Name": "t"}));
    assert_eq!(
        calls[1].json(),
        json!({"CatalogId": "123456789012", "DatabaseName": "db", "TableName": "t", "VersionId": "3"})
    );
    assert_eq!(calls[0].header("content-type"), "application/x-amz-json-1.1");
    assert_eq!(double.refused(), Vec::<String>::new());
}

#[tokio::test]
async fn a_partition_is_described_as_its_table_is() {
    let double = AwsDouble::start(Some("glue"), |call| match call.number {
        0 => Reply::json(json!({"Table": described("bigint")})),
        1 => Reply::json(json!({})),
        2 => Reply::fault(400, "AlreadyExistsException"),
        _ => Reply::fault(400, "EntityNotFoundException"),
    })
    .await;
    let glue = glue(&double);
    let table = glue.get_table(&name(), None).await.unwrap();
    let values = ["2026-11-21".to_owned()];
    let create = async || {
        glue.create_partition(&name(), &table, &values, "s3://bucket/t/dt=2026-11-21/").await
    };
    assert_eq!(create().await, Ok(()));
    assert_eq!(create().await, Ok(()), "somebody else made it");
    let fault = create().await.unwrap_err();
    assert_eq!(fault.cause().code, "DataFormatConversion.EntityNotFound");

    let mut descriptor = described("bigint")["StorageDescriptor"].clone();
    descriptor["Location"] = "s3://bucket/t/dt=2026-11-21/".into();
    let input = json!({"Values": values, "StorageDescriptor": descriptor});
    assert_eq!(
        double.calls()[1].json(),
        json!({"DatabaseName": "db", "TableName": "t", "PartitionInput": input})
    );
}

#[tokio::test]
async fn faults_have_firehoses_codes() {
    for (status, error, version, code, passes) in [
        (400, "EntityNotFoundException", None, "DataFormatConversion.EntityNotFound", false),
        (400, "InvalidInputException", None, "DataFormatConversion.InvalidInput", false),
        (400, "AccessDeniedException", None, "DataFormatConversion.AccessDenied", false),
        (400, "UnrecognizedClientException", None, "DataFormatConversion.AccessDenied", false),
        (
            400,
            "GlueEncryptionException",
            None,
            "DataFormatConversion.GlueEncryptionException",
            false,
        ),
        (400, "ThrottlingException", None, "DataFormatConversion.ThrottledByGlue", true),
        (500, "InternalServiceException", None, "DataFirehose.InternalError", true),
        (
            500,
            "OperationTimeoutException",
            None,
            "DataFormatConversion.SchemaValidationTimeout",
            true,
        ),
        (503, "Unheard", None, "DataFirehose.InternalError", true),
        (429, "Unheard", None, "DataFormatConversion.ThrottledByGlue", true),
        (403, "Unheard", None, "DataFormatConversion.AccessDenied", false),
        (400, "EntityNotFoundException", Some("9"), "DataFormatConversion.EntityNotFound", false),
        (400, "InvalidInputException", Some("x"), "DataFormatConversion.InvalidVersionId", false),
        (
            418,
            "Unheard",
            None,
            "DataFormatConversion.DataFormatConversionCustomerErrorException",
            false,
        ),
    ] {
        let double = AwsDouble::start(Some("glue"), move |_| Reply::fault(status, error)).await;
        let fault = glue(&double).get_table(&name(), version).await.unwrap_err();
        assert_eq!(fault.cause().code, code, "{error}");
        assert_eq!(matches!(fault, Fault::Retry { .. }), passes, "{error}");
        assert_eq!(matches!(fault, Fault::Halt { .. }), !passes, "{error}");
        assert!(fault.cause().message.contains(error), "{fault}");
    }
    let double = AwsDouble::start(Some("glue"), |_| {
        let body = json!({"__type": "EntityNotFoundException", "Message": "Version not found."});
        Reply::new(400, body.to_string())
    })
    .await;
    let fault = glue(&double).get_table(&name(), Some("9")).await.unwrap_err();
    assert_eq!(fault.cause().code, "DataFormatConversion.InvalidVersionId");
    for body in ["", "{}", r#"{"Table": 7}"#, r#"{"Table": {"StorageDescriptor": {"Columns": 7}}}"#]
    {
        let double = AwsDouble::start(Some("glue"), move |_| Reply::new(200, body)).await;
        let fault = glue(&double).get_table(&name(), None).await.unwrap_err();
        assert!(matches!(fault, Fault::Retry { .. }), "{fault}");
    }
}

#[tokio::test]
async fn a_table_is_looked_up_when_it_is_due_and_a_version_once() {
    let double = AwsDouble::start(Some("glue"), |call| {
        let table = match call.number {
            0 => return Reply::fault(400, "AccessDeniedException"),
            3 => return Reply::fault(500, "InternalServiceException"),
            1 | 2 | 4 => described("int"),
            _ => described("bigint"),
        };
        Reply::json(json!({"Table": table, "TableVersion": {"Table": table}}))
    })
    .await;
    let clock = Arc::new(ManualClock::default());
    let minute = Duration::from_secs(60);
    let table = CachedTable::new(glue(&double), name(), "LATEST", minute, clock.clone());
    assert!(table.get().await.is_err(), "nothing is known yet");
    let first = table.get().await.unwrap();
    clock.advance(Duration::from_secs(59));
    assert!(Arc::ptr_eq(&first, &table.get().await.unwrap()));
    assert_eq!(double.calls().len(), 2);
    clock.advance(Duration::from_secs(1));
    for calls in [3, 4, 5] {
        // Unchanged, then failing, then unchanged: what is known counts.
        assert!(Arc::ptr_eq(&first, &table.get().await.unwrap()));
        assert!(Arc::ptr_eq(&first, &table.get().await.unwrap()));
        assert_eq!(double.calls().len(), calls);
        clock.advance(minute);
    }
    assert_eq!(table.get().await.unwrap().columns[0].1, "bigint");

    let fixed = CachedTable::new(glue(&double), name(), "7", minute, clock.clone());
    let before = double.calls().len();
    let first = fixed.get().await.unwrap();
    clock.advance(100 * minute);
    assert!(Arc::ptr_eq(&first, &fixed.get().await.unwrap()));
    assert_eq!(double.calls().len(), before + 1);
    assert_eq!(double.calls()[before].json()["VersionId"], "7");
}

#[tokio::test]
async fn one_asks_for_all_who_wait() {
    let double =
        AwsDouble::start(Some("glue"), |_| Reply::json(json!({"Table": described("int")}))).await;
    let clock = Arc::new(ManualClock::default());
    let table = CachedTable::new(glue(&double), name(), "LATEST", Duration::MAX, clock);
    let answers = futures::future::join_all((0..10).map(|_| table.get())).await;
    assert!(answers.iter().all(|answer| answer.is_ok()));
    assert_eq!(double.calls().len(), 1);
}
