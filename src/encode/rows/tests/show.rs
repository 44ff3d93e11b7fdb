//! Arrow arrays as JSON, for comparison. Timestamps and dates are their numbers, decimals their
//! texts, bytes hexadecimal, and floats that JSON does not have are texts.

use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray, types::*};
use arrow_schema::{DataType, TimeUnit};
use serde_json::{Map, Value, json};

pub fn rows(batch: &RecordBatch) -> Vec<Value> {
    let schema = batch.schema();
    let columns: Vec<_> =
        schema.fields().iter().map(|field| field.name()).zip(batch.columns()).collect();
    (0..batch.num_rows())
        .map(|row| {
            let members =
                columns.iter().map(|(name, column)| ((*name).clone(), value(column, row)));
            Value::Object(members.collect::<Map<_, _>>())
        })
        .collect()
}

pub fn float(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(value.to_string()) }
}

fn value(array: &ArrayRef, at: usize) -> Value {
    if array.is_null(at) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => json!(array.as_boolean().value(at)),
        DataType::Int8 => json!(array.as_primitive::<Int8Type>().value(at)),
        DataType::Int16 => json!(array.as_primitive::<Int16Type>().value(at)),
        DataType::Int32 => json!(array.as_primitive::<Int32Type>().value(at)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(at)),
        DataType::Float32 => float(f64::from(array.as_primitive::<Float32Type>().value(at))),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(at)),
        DataType::Decimal128(..) => {
            json!(array.as_primitive::<Decimal128Type>().value_as_string(at))
        }
        DataType::Utf8 => json!(array.as_string::<i32>().value(at)),
        DataType::Binary => json!(hex::encode(array.as_binary::<i32>().value(at))),
        DataType::Date32 => json!(array.as_primitive::<Date32Type>().value(at)),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => {
            json!(array.as_primitive::<TimestampNanosecondType>().value(at))
        }
        DataType::List(_) => {
            let values = array.as_list::<i32>().value(at);
            Value::Array((0..values.len()).map(|at| value(&values, at)).collect())
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(at);
            let entry = |row| {
                let key = match value(entries.column(0), row) {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                (key, value(entries.column(1), row))
            };
            let members: Map<_, _> = (0..entries.len()).map(entry).collect();
            assert_eq!(members.len(), entries.len(), "the keys of a map differ");
            Value::Object(members)
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            Value::Object(
                columns.map(|(f, column)| (f.name().clone(), value(column, at))).collect(),
            )
        }
        other => panic!("no column has the type {other}"),
    }
}
