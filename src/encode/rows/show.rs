//! Rows as JSON, for people to look at.

use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, TimestampNanosecondType,
    },
};
use arrow_schema::DataType;
use jiff::{Timestamp, ToSpan, civil::Date};
use serde_json::{Map, Value, json};

/// Every row of a batch as an object of its columns. Decimals and times are texts, as SQL prints
/// them; bytes are base64.
pub fn to_json(rows: &RecordBatch) -> Vec<Value> {
    let schema = rows.schema();
    let row = |at: usize| {
        let columns = schema.fields().iter().zip(rows.columns());
        let values = columns.map(|(field, column)| (field.name().clone(), value(column, at)));
        Value::Object(values.collect())
    };
    (0..rows.num_rows()).map(row).collect()
}

fn value(column: &dyn Array, at: usize) -> Value {
    if column.is_null(at) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(at).into(),
        DataType::Int8 => column.as_primitive::<Int8Type>().value(at).into(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(at).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(at).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(at).into(),
        DataType::Float32 => float(f64::from(column.as_primitive::<Float32Type>().value(at))),
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(at)),
        DataType::Decimal128(..) => {
            column.as_primitive::<Decimal128Type>().value_as_string(at).into()
        }
        DataType::Utf8 => column.as_string::<i32>().value(at).into(),
        DataType::Binary => {
            base64_simd::STANDARD.encode_to_string(column.as_binary::<i32>().value(at)).into()
        }
        DataType::Date32 => date(column.as_primitive::<Date32Type>().value(at)),
        DataType::Timestamp(..) => {
            timestamp(column.as_primitive::<TimestampNanosecondType>().value(at))
        }
        DataType::List(_) => list(&column.as_list::<i32>().value(at)),
        DataType::Struct(fields) => {
            let parts = fields.iter().zip(column.as_struct().columns());
            Value::Object(parts.map(|(f, part)| (f.name().clone(), value(part, at))).collect())
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(at);
            let (keys, values) = (entries.column(0), entries.column(1));
            let key = |at: usize| match value(keys, at) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let entries: Map<String, Value> =
                (0..entries.len()).map(|at| (key(at), value(values, at))).collect();
            Value::Object(entries)
        }
        other => json!(format!("({other})")),
    }
}

fn list(items: &dyn Array) -> Value {
    (0..items.len()).map(|at| value(items, at)).collect()
}

/// JSON has no words for what is no number.
fn float(number: f64) -> Value {
    if number.is_finite() { json!(number) } else { json!(number.to_string()) }
}

fn date(days: i32) -> Value {
    let date = Date::constant(1970, 1, 1).checked_add(i64::from(days).days());
    date.map_or_else(|_| json!(days), |date| json!(date.to_string()))
}

fn timestamp(nanoseconds: i64) -> Value {
    match Timestamp::from_nanosecond(i128::from(nanoseconds)) {
        Ok(instant) => {
            let text = instant.to_string();
            json!(text.trim_end_matches('Z').replace('T', " "))
        }
        Err(_) => json!(nanoseconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{
        rows::{Deserializer, RowReader, Unknown},
        schema::TableSchema,
    };

    #[test]
    fn rows_are_shown_as_people_write_them() {
        let schema = TableSchema::from_ddl(
            "b boolean, i tinyint, l bigint, f float, d decimal(6,2), s string, n binary, \
             day date, at timestamp, tags array<string>, m map<int,string>, \
             p struct<x:double,y:smallint>, none int",
        );
        let schema = schema.unwrap();
        let mut reader = RowReader::new(&schema, &Deserializer::default(), Unknown::Drop).unwrap();
        let record = r#"{"b":true,"i":-3,"l":9007199254740993,"f":1.5,"d":12.345,"s":"é","n":"AA==",
            "day":"2026-11-21","at":"2026-11-21 10:11:12.5","tags":["a",null],"m":{"7":"x"},
            "p":{"x":0.25,"y":4}}"#;
        reader.read(record.as_bytes()).unwrap();
        let shown = to_json(&reader.take());
        let mut expected = json!({
            "b": true, "i": -3, "l": 9007199254740993i64, "f": 1.5, "d": "12.35", "s": "é",
            "day": "2026-11-21", "at": "2026-11-21 10:11:12.5", "tags": ["a", null],
            "m": {"7": "x"}, "p": {"x": 0.25, "y": 4}, "none": null
        });
        expected["n"] = shown[0]["n"].clone();
        assert!(shown[0]["n"].is_string());
        assert_eq!(shown, [expected]);
    }
}
