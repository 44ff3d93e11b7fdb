//! Files as another reader sees them.

mod index;
mod random;
mod round_trip;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray, MapArray, RecordBatch, StructArray, cast::AsArray};
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use orc_rust::{ArrowReaderBuilder, Predicate};

use super::*;
use crate::encode::schema::{Column, HiveType, TableSchema};

/// A table of the columns.
fn table(columns: &[(&str, HiveType)]) -> TableSchema {
    let column = |(name, of): &(&str, HiveType)| Column { name: (*name).into(), of: of.clone() };
    TableSchema { columns: columns.iter().map(column).collect(), partition_keys: Vec::new() }
}

fn rows(schema: &TableSchema, columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(Arc::new(schema.to_arrow()), columns).unwrap()
}

fn write(schema: &TableSchema, options: &Options, batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = Writer::new(schema, options).unwrap();
    batches.iter().for_each(|rows| writer.write(rows).unwrap());
    writer.finish().unwrap()
}

/// All rows of a file.
fn read(file: &[u8], schema: &TableSchema) -> RecordBatch {
    read_with(file, schema, None)
}

/// The rows of the row groups that may have what is looked for.
fn read_with(file: &[u8], schema: &TableSchema, predicate: Option<Predicate>) -> RecordBatch {
    let mut builder = ArrowReaderBuilder::try_new(Bytes::copy_from_slice(file)).unwrap();
    if let Some(predicate) = predicate {
        builder = builder.with_predicate(predicate);
    }
    let schema = Arc::new(schema.to_arrow());
    let columns = |rows: &RecordBatch| {
        let arrays = rows.columns().iter().zip(schema.fields());
        arrays.map(|(array, field)| renamed(array, field.data_type())).collect()
    };
    let batches: Vec<RecordBatch> = builder
        .build()
        .map(|rows| RecordBatch::try_new(schema.clone(), columns(&rows.unwrap())).unwrap())
        .collect();
    concat_batches(&schema, &batches).unwrap()
}

/// The same values, with the names that the type has for what is within lists and maps.
fn renamed(array: &ArrayRef, to: &DataType) -> ArrayRef {
    let nulls = array.nulls().cloned();
    match to {
        DataType::List(field) => {
            let list = array.as_list::<i32>();
            let values = renamed(list.values(), field.data_type());
            Arc::new(ListArray::new(field.clone(), list.offsets().clone(), values, nulls))
        }
        DataType::Map(field, _) => {
            let map = array.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            let entries = renamed(&entries, field.data_type()).as_struct().clone();
            Arc::new(MapArray::new(field.clone(), map.offsets().clone(), entries, nulls, false))
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter().zip(fields);
            let columns = columns.map(|(column, field)| renamed(column, field.data_type()));
            Arc::new(StructArray::new(fields.clone(), columns.collect(), nulls))
        }
        _ => array.clone(),
    }
}

#[test]
fn writers_move_between_threads() {
    fn moves<T: Send>() {}
    moves::<Writer>();
}
