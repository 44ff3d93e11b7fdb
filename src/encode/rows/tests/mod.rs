//! Tests of the readers: a table of cases, and properties against a slow interpretation.

mod cases;
mod hive;
mod properties;
mod reader;
mod show;
mod slow;

use serde_json::Value;

use super::{Deserializer, HiveJson, OpenxJson, RowReader, Unknown};
use crate::encode::schema::{Column, HiveType, TableSchema};

fn column(name: &str, of: HiveType) -> Column {
    Column { name: name.into(), of }
}

fn table(columns: &[(&str, HiveType)]) -> TableSchema {
    let columns = columns.iter().map(|(name, of)| column(name, of.clone())).collect();
    TableSchema { columns, partition_keys: Vec::new() }
}

fn array(of: HiveType) -> HiveType {
    HiveType::Array(Box::new(of))
}

fn map(key: HiveType, value: HiveType) -> HiveType {
    HiveType::Map(Box::new(key), Box::new(value))
}

fn structure(fields: &[(&str, HiveType)]) -> HiveType {
    HiveType::Struct(table(fields).columns)
}

fn openx() -> Deserializer {
    Deserializer::default()
}

fn exact_case() -> Deserializer {
    Deserializer::OpenxJson(OpenxJson { case_insensitive: false, ..OpenxJson::default() })
}

fn hive(formats: &[&str]) -> Deserializer {
    let timestamp_formats = formats.iter().map(|&format| format.to_owned()).collect();
    Deserializer::HiveJson(HiveJson { timestamp_formats })
}

/// The rows of one record as JSON, or the code and message of its failure.
fn rows(schema: &TableSchema, options: &Deserializer, record: &str) -> Result<Vec<Value>, String> {
    let mut reader = RowReader::new(schema, options, Unknown::Drop).unwrap();
    match reader.read(record.as_bytes()) {
        Ok(count) => {
            let rows = show::rows(&reader.take());
            assert_eq!(rows.len(), count);
            Ok(rows)
        }
        Err(failure) => {
            assert_eq!((reader.rows(), reader.take().num_rows()), (0, 0));
            let code = failure.cause.code.trim_start_matches("DataFormatConversion.").to_owned();
            Err(format!("{code}: {}", failure.cause.message))
        }
    }
}

/// What a value in the column `c` becomes.
fn value(of: &HiveType, options: &Deserializer, json: &str) -> Result<Value, String> {
    let schema = table(&[("c", of.clone())]);
    rows(&schema, options, &format!("{{\"c\":{json}}}")).map(|rows| rows[0]["c"].clone())
}

/// Every value in turn; `expected` is its JSON, or else part of the failure's message.
fn check(of: HiveType, options: &Deserializer, cases: &[(&str, &str)]) {
    for (json, expected) in cases {
        let got = value(&of, options, json);
        match serde_json::from_str::<Value>(expected) {
            Ok(expected) => assert_eq!(got, Ok(expected), "{json} as {of:?}"),
            Err(_) => {
                let message = got.expect_err(&format!("{json} as {of:?}"));
                assert!(message.contains(expected), "{json} as {of:?}: {message}");
            }
        }
    }
}
