//! Full columns to Arrow arrays. Buffers change hands; nothing is copied but booleans into bits.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, ListArray, MapArray,
    PrimitiveArray, RecordBatch, RecordBatchOptions, StringArray, StructArray,
    types::{
        ArrowPrimitiveType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, TimestampNanosecondType,
    },
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, FieldRef, Fields as ArrowFields, SchemaRef};

use super::columns::{Data, Node, Text};

/// Why building an array cannot fail.
const AGREES: &str = "columns are built from the schema, and their parts agree in length";

/// The rows of all columns.
pub(super) fn batch<'n>(
    schema: &SchemaRef,
    nodes: impl Iterator<Item = &'n mut Node>,
    rows: usize,
) -> RecordBatch {
    let fields = schema.fields();
    let arrays = fields.iter().zip(nodes).map(|(field, node)| take(node, field.data_type()));
    let arrays = arrays.collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options).expect(AGREES)
}

/// All values of a column, which begins anew with room for as many.
fn take(node: &mut Node, of: &DataType) -> ArrayRef {
    let len = node.len();
    let nulls = node.validity.take();
    match &mut node.data {
        Data::Boolean(values) => {
            let bits = BooleanBuffer::collect_bool(values.len(), |at| values[at]);
            values.clear();
            Arc::new(BooleanArray::new(bits, nulls))
        }
        Data::Tinyint(values) => fixed::<Int8Type>(values, nulls),
        Data::Smallint(values) => fixed::<Int16Type>(values, nulls),
        Data::Int(values) => fixed::<Int32Type>(values, nulls),
        Data::Bigint(values) => fixed::<Int64Type>(values, nulls),
        Data::Float(values) => fixed::<Float32Type>(values, nulls),
        Data::Double(values) => fixed::<Float64Type>(values, nulls),
        Data::Date(values) => fixed::<Date32Type>(values, nulls),
        Data::Timestamp(values) => fixed::<TimestampNanosecondType>(values, nulls),
        Data::Decimal { values, .. } => {
            let array = Decimal128Array::new(ScalarBuffer::from(renew(values)), nulls);
            Arc::new(array.with_data_type(of.clone()))
        }
        Data::Text(text) => {
            let (offsets, bytes) = take_text(text);
            Arc::new(StringArray::try_new(offsets, bytes, nulls).expect("records are UTF-8"))
        }
        Data::Binary(text) => {
            let (offsets, bytes) = take_text(text);
            Arc::new(BinaryArray::new(offsets, bytes, nulls))
        }
        Data::List { offsets, element } => {
            let field = inner(of);
            let values = take(element, field.data_type());
            let offsets = renew_offsets(offsets);
            Arc::new(ListArray::try_new(field, offsets, values, nulls).expect(AGREES))
        }
        Data::Map { offsets, key, value } => {
            let field = inner(of);
            let parts = struct_fields(field.data_type());
            let entries = vec![take(key, parts[0].data_type()), take(value, parts[1].data_type())];
            let entries = StructArray::try_new(parts, entries, None).expect(AGREES);
            let offsets = renew_offsets(offsets);
            Arc::new(MapArray::try_new(field, offsets, entries, nulls, false).expect(AGREES))
        }
        Data::Struct(fields) => {
            let parts = struct_fields(of);
            let arrays = parts.iter().zip(&mut fields.nodes);
            let arrays = arrays.map(|(part, node)| take(node, part.data_type())).collect();
            let array = StructArray::try_new_with_length(parts, arrays, nulls, len);
            Arc::new(array.expect(AGREES))
        }
    }
}

fn fixed<T: ArrowPrimitiveType>(values: &mut Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef
where
    PrimitiveArray<T>: Array,
{
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(renew(values)), nulls))
}

fn take_text(text: &mut Text) -> (OffsetBuffer<i32>, Buffer) {
    (renew_offsets(&mut text.offsets), Buffer::from_vec(renew(&mut text.bytes)))
}

/// The next batch is usually as large as this one.
fn renew<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = values.len();
    std::mem::replace(values, Vec::with_capacity(room))
}

fn renew_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let taken = renew(offsets);
    offsets.push(0);
    OffsetBuffer::new(ScalarBuffer::from(taken))
}

fn inner(of: &DataType) -> FieldRef {
    match of {
        DataType::List(field) | DataType::Map(field, _) => Arc::clone(field),
        other => unreachable!("{other} is no list and no map, but its column is"),
    }
}

fn struct_fields(of: &DataType) -> ArrowFields {
    match of {
        DataType::Struct(fields) => fields.clone(),
        other => unreachable!("{other} is no struct, but its column is"),
    }
}
