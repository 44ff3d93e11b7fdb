//! Tests of the Parquet writer through the `parquet` crate's own reader.

mod layout;
mod rows;
mod settings;

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, ListArray, MapArray,
    PrimitiveArray, RecordBatch, StringArray, StructArray,
    types::{
        ArrowPrimitiveType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, TimestampNanosecondType,
    },
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    file::{
        metadata::ParquetMetaData,
        reader::{FileReader, SerializedFileReader},
    },
};

use super::{Options, Writer};
use crate::encode::schema::{Column, HiveType, TableSchema};

fn table(columns: &[(&str, HiveType)]) -> TableSchema {
    TableSchema { columns: fields(columns), partition_keys: Vec::new() }
}

fn fields(columns: &[(&str, HiveType)]) -> Vec<Column> {
    let column = |(name, of): &(&str, HiveType)| Column { name: (*name).into(), of: of.clone() };
    columns.iter().map(column).collect()
}

fn list(of: HiveType) -> HiveType {
    HiveType::Array(Box::new(of))
}

fn map(key: HiveType, value: HiveType) -> HiveType {
    HiveType::Map(Box::new(key), Box::new(value))
}

fn batch(table: &TableSchema, columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(Arc::new(table.to_arrow()), columns).unwrap()
}

fn write(table: &TableSchema, options: &Options, batches: &[RecordBatch]) -> Bytes {
    let mut writer = Writer::new(table, options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap().into()
}

fn read(file: &Bytes) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
    reader.with_batch_size(1 << 20).build().unwrap().map(Result::unwrap).collect()
}

fn metadata(file: &Bytes) -> ParquetMetaData {
    SerializedFileReader::new(file.clone()).unwrap().metadata().clone()
}

/// What was written comes back, column by column, as the same Arrow arrays.
fn assert_same(file: &Bytes, written: &[RecordBatch]) {
    let back = read(file);
    let rows: usize = written.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(back.iter().map(RecordBatch::num_rows).sum::<usize>(), rows);
    if rows == 0 {
        return;
    }
    for column in 0..written[0].num_columns() {
        let all = |batches: &[RecordBatch]| {
            let parts: Vec<ArrayRef> =
                batches.iter().map(|b| Arc::clone(b.column(column))).collect();
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            arrow_select::concat::concat(&parts).unwrap()
        };
        assert_eq!(&all(&back), &all(written), "column {column}");
    }
}

/// `length` random values of a type; where nulls may stand, every fourth is one.
fn random(of: &HiveType, length: usize, nullable: bool, rng: &mut fastrand::Rng) -> ArrayRef {
    let nulls = nullable.then(|| NullBuffer::from_iter((0..length).map(|_| rng.u8(..4) > 0)));
    match of {
        HiveType::Boolean => {
            let values = (0..length).map(|_| rng.bool()).collect();
            Arc::new(BooleanArray::new(values, nulls))
        }
        HiveType::Tinyint => numbers::<Int8Type>(length, nulls, || rng.i8(..)),
        HiveType::Smallint => numbers::<Int16Type>(length, nulls, || rng.i16(..)),
        HiveType::Int => numbers::<Int32Type>(length, nulls, || rng.i32(..)),
        HiveType::Bigint => numbers::<Int64Type>(length, nulls, || rng.i64(..)),
        HiveType::Float => numbers::<Float32Type>(length, nulls, || f32::from_bits(rng.u32(..))),
        HiveType::Double => numbers::<Float64Type>(length, nulls, || f64::from_bits(rng.u64(..))),
        HiveType::Date => numbers::<Date32Type>(length, nulls, || rng.i32(..)),
        HiveType::Timestamp => numbers::<TimestampNanosecondType>(length, nulls, || rng.i64(..)),
        HiveType::Decimal { precision, scale } => {
            let limit = 10_i128.pow(u32::from(*precision));
            let values = (0..length).map(|_| rng.i128(1 - limit..limit)).collect();
            let array = Decimal128Array::new(values, nulls);
            Arc::new(array.with_precision_and_scale(*precision, *scale as i8).unwrap())
        }
        HiveType::String | HiveType::Char(_) | HiveType::Varchar(_) => {
            let text = |at: usize| {
                let length = rng.usize(..9);
                let text: String = (0..length).map(|_| rng.char(..)).collect();
                nulls.as_ref().is_none_or(|nulls| nulls.is_valid(at)).then_some(text)
            };
            Arc::new((0..length).map(text).collect::<StringArray>())
        }
        HiveType::Binary => {
            let bytes = |at: usize| {
                let bytes: Vec<u8> = (0..rng.usize(..9)).map(|_| rng.u8(..)).collect();
                nulls.as_ref().is_none_or(|nulls| nulls.is_valid(at)).then_some(bytes)
            };
            Arc::new((0..length).map(bytes).collect::<BinaryArray>())
        }
        HiveType::Array(element) => {
            // Null lists keep elements of theirs, which must not come out.
            let offsets = OffsetBuffer::from_lengths((0..length).map(|_| rng.usize(..4)));
            let values = random(element, *offsets.last().unwrap() as usize, true, rng);
            let DataType::List(field) = of.to_arrow() else { unreachable!() };
            Arc::new(ListArray::new(field, offsets, values, nulls))
        }
        HiveType::Map(key, value) => {
            let offsets = OffsetBuffer::from_lengths((0..length).map(|_| rng.usize(..4)));
            let total = *offsets.last().unwrap() as usize;
            let columns = vec![random(key, total, false, rng), random(value, total, true, rng)];
            let DataType::Map(field, _) = of.to_arrow() else { unreachable!() };
            let DataType::Struct(fields) = field.data_type().clone() else { unreachable!() };
            let entries = StructArray::new(fields, columns, None);
            Arc::new(MapArray::new(field, offsets, entries, nulls, false))
        }
        HiveType::Struct(columns) => {
            let DataType::Struct(fields) = of.to_arrow() else { unreachable!() };
            let columns = columns.iter().map(|c| random(&c.of, length, true, rng)).collect();
            Arc::new(StructArray::new(fields, columns, nulls))
        }
    }
}

fn numbers<T: ArrowPrimitiveType>(
    length: usize,
    nulls: Option<NullBuffer>,
    mut value: impl FnMut() -> T::Native,
) -> ArrayRef {
    let values = (0..length).map(|_| value()).collect();
    Arc::new(PrimitiveArray::<T>::new(values, nulls))
}

fn random_batch(table: &TableSchema, rows: usize, rng: &mut fastrand::Rng) -> RecordBatch {
    batch(table, table.columns.iter().map(|c| random(&c.of, rows, true, rng)).collect())
}
