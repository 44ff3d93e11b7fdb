//! Values of Arrow's arrays as PLAIN bytes (parquet-format "Encodings"), and their bounds.

use arrow_array::{
    ArrowPrimitiveType,
    cast::AsArray,
    types::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, TimestampNanosecondType,
    },
};
use arrow_buffer::BooleanBufferBuilder;
use arrow_schema::DataType;
use parquet::data_type::{AsBytes, Int96};

use super::{
    TimestampUnit,
    bounds::{Bounds, min_max},
    levels::Levels,
    timestamps::{divisor, int96},
};

/// Values of an open page.
pub(super) struct Values {
    bytes: Vec<u8>,
    /// Booleans, a bit each; empty in columns of others.
    bits: BooleanBufferBuilder,
}

impl Values {
    pub fn new() -> Self {
        Self { bytes: Vec::new(), bits: BooleanBufferBuilder::new(0) }
    }

    pub fn len_bytes(&self) -> usize {
        self.bytes.len() + self.bits.len().div_ceil(8)
    }

    /// Moves what is here to the end of a page, and keeps the room.
    pub fn drain_to(&mut self, page: &mut Vec<u8>) {
        page.extend_from_slice(&self.bytes);
        page.extend_from_slice(self.bits.as_slice());
        self.bytes.clear();
        self.bits.truncate(0);
    }

    /// Appends a leaf's values; INT96 has no order and so no bounds.
    pub fn append(
        &mut self,
        levels: &Levels,
        unit: TimestampUnit,
        decimal_bytes: usize,
    ) -> Option<Bounds> {
        match levels.values.data_type() {
            DataType::Boolean => self.booleans(levels),
            DataType::Int8 => self.int32::<Int8Type>(levels),
            DataType::Int16 => self.int32::<Int16Type>(levels),
            DataType::Int32 => self.int32::<Int32Type>(levels),
            DataType::Date32 => self.int32::<Date32Type>(levels),
            DataType::Int64 => self.int64::<Int64Type>(levels, 1),
            DataType::Timestamp(..) if unit == TimestampUnit::Int96 => {
                let put =
                    |slot: &mut [u8], nanos| slot.copy_from_slice(Int96::as_bytes(&int96(nanos)));
                self.fixed::<TimestampNanosecondType>(levels, 12, put);
                None
            }
            DataType::Timestamp(..) => self.int64::<TimestampNanosecondType>(levels, divisor(unit)),
            DataType::Float32 => {
                let put = |slot: &mut [u8], value: f32| slot.copy_from_slice(&value.to_le_bytes());
                self.fixed::<Float32Type>(levels, 4, put);
                // Every f32 is an f64, and comes back from there unchanged.
                let values = natives::<Float32Type>(levels).map(f64::from);
                Bounds::of_doubles(values).map(|(a, b)| Bounds::Float(a as f32, b as f32))
            }
            DataType::Float64 => {
                let put = |slot: &mut [u8], value: f64| slot.copy_from_slice(&value.to_le_bytes());
                self.fixed::<Float64Type>(levels, 8, put);
                let bounds = Bounds::of_doubles(natives::<Float64Type>(levels));
                bounds.map(|(a, b)| Bounds::Double(a, b))
            }
            DataType::Decimal128(..) => {
                let put = |slot: &mut [u8], value: i128| {
                    slot.copy_from_slice(&value.to_be_bytes()[16 - decimal_bytes..]);
                };
                self.fixed::<Decimal128Type>(levels, decimal_bytes, put);
                let bounds = min_max(natives::<Decimal128Type>(levels));
                bounds.map(|(a, b)| Bounds::Decimal(a, b))
            }
            DataType::Utf8 => {
                let array = levels.values.as_string::<i32>();
                let bounds = self.texts(levels, array.value_offsets(), array.value_data());
                bounds.map(|(a, b)| Bounds::Text(a, b))
            }
            DataType::Binary => {
                let array = levels.values.as_binary::<i32>();
                let bounds = self.texts(levels, array.value_offsets(), array.value_data());
                bounds.map(|(a, b)| Bounds::Binary(a, b))
            }
            other => unreachable!("no type of Hive's becomes {other}"),
        }
    }

    fn booleans(&mut self, levels: &Levels) -> Option<Bounds> {
        let values = levels.values.as_boolean().values();
        let mut seen = [false; 2];
        for at in &levels.present {
            let value = values.value(*at as usize);
            seen[usize::from(value)] = true;
            self.bits.append(value);
        }
        let [no, yes] = seen;
        (no || yes).then_some(Bounds::Boolean(!no, yes))
    }

    fn int32<T: ArrowPrimitiveType>(&mut self, levels: &Levels) -> Option<Bounds>
    where
        T::Native: Into<i32>,
    {
        let put = |slot: &mut [u8], value: T::Native| {
            slot.copy_from_slice(&Into::<i32>::into(value).to_le_bytes());
        };
        self.fixed::<T>(levels, 4, put);
        let bounds = min_max(natives::<T>(levels).map(Into::into));
        bounds.map(|(least, most)| Bounds::Int32(least, most))
    }

    fn int64<T: ArrowPrimitiveType<Native = i64>>(
        &mut self,
        levels: &Levels,
        divisor: i64,
    ) -> Option<Bounds> {
        let value = |value: i64| if divisor == 1 { value } else { value.div_euclid(divisor) };
        let put = |slot: &mut [u8], of: i64| slot.copy_from_slice(&value(of).to_le_bytes());
        self.fixed::<T>(levels, 8, put);
        let bounds = min_max(natives::<T>(levels));
        bounds.map(|(least, most)| Bounds::Int64(value(least), value(most)))
    }

    fn fixed<T: ArrowPrimitiveType>(
        &mut self,
        levels: &Levels,
        width: usize,
        put: impl Fn(&mut [u8], T::Native),
    ) {
        let start = self.bytes.len();
        self.bytes.resize(start + levels.present.len() * width, 0);
        let slots = self.bytes[start..].chunks_exact_mut(width);
        slots.zip(natives::<T>(levels)).for_each(|(slot, value)| put(slot, value));
    }

    /// A length in 4 bytes before each.
    fn texts(
        &mut self,
        levels: &Levels,
        offsets: &[i32],
        data: &[u8],
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        let text =
            |at: u32| &data[offsets[at as usize] as usize..offsets[at as usize + 1] as usize];
        let mut bounds: Option<[(u64, &[u8]); 2]> = None;
        for at in &levels.present {
            let text = text(*at);
            self.bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(text);
            let value = (prefix(text), text);
            let [least, most] = bounds.get_or_insert([value; 2]);
            // Most values are neither, and their first bytes tell.
            if value < *least {
                *least = value;
            }
            if value > *most {
                *most = value;
            }
        }
        bounds.map(|[least, most]| (least.1.to_vec(), most.1.to_vec()))
    }
}

/// The first 8 bytes as a number: where two differ, the texts compare as they do.
fn prefix(text: &[u8]) -> u64 {
    if let Some(first) = text.first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    let mut first = [0; 8];
    first[..text.len()].copy_from_slice(text);
    u64::from_be_bytes(first)
}

fn natives<T: ArrowPrimitiveType>(levels: &Levels) -> impl Iterator<Item = T::Native> {
    let values = levels.values.as_primitive::<T>().values();
    levels.present.iter().map(|at| values[*at as usize])
}
