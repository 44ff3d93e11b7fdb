//! Random tables with random rows.

use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, MapArray, PrimitiveArray,
    StringArray, StructArray,
    types::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, TimestampNanosecondType,
    },
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::units::ByteSize;

/// A type with at most so many below it.
pub(super) fn any_type(depth: usize, random: &mut Rng) -> HiveType {
    let next = |random: &mut Rng| Box::new(any_type(depth - 1, random));
    match random.u8(..if depth > 0 { 20 } else { 14 }) {
        0 => HiveType::Boolean,
        1 => HiveType::Tinyint,
        2 => HiveType::Smallint,
        3 => HiveType::Int,
        4 => HiveType::Bigint,
        5 => HiveType::Float,
        6 => HiveType::Double,
        7 => HiveType::Decimal { precision: 38, scale: random.u8(..=38) },
        8 => HiveType::Char(4),
        9 => HiveType::Varchar(200),
        10 => HiveType::Binary,
        11 => HiveType::Date,
        12 => HiveType::Timestamp,
        13 => HiveType::String,
        14 | 15 => HiveType::Array(next(random)),
        16 | 17 => HiveType::Map(next(random), next(random)),
        _ => HiveType::Struct(any_columns(depth - 1, random)),
    }
}

pub(super) fn any_columns(depth: usize, random: &mut Rng) -> Vec<Column> {
    (0..random.usize(1..5))
        .map(|at| Column { name: format!("c{at}"), of: any_type(depth, random) })
        .collect()
}

/// Random values; some columns have no nulls, some little else, some repeat themselves.
pub(super) fn any_array(
    of: &HiveType,
    length: usize,
    nullable: bool,
    random: &mut Rng,
) -> ArrayRef {
    let share = if nullable { [0.0, 0.0, 0.2, 0.95, 1.0][random.usize(..5)] } else { 0.0 };
    let valid: Vec<bool> = (0..length).map(|_| random.f64() >= share).collect();
    let nulls = (share > 0.0).then(|| NullBuffer::from(valid));
    match of {
        HiveType::Boolean => {
            let values = (0..length).map(|_| random.bool()).collect::<Vec<_>>();
            Arc::new(BooleanArray::new(values.into(), nulls))
        }
        HiveType::Tinyint => primitive::<Int8Type>(length, nulls, random, |word| word as i8),
        HiveType::Smallint => primitive::<Int16Type>(length, nulls, random, |word| word as i16),
        HiveType::Int => primitive::<Int32Type>(length, nulls, random, |word| word as i32),
        HiveType::Bigint => primitive::<Int64Type>(length, nulls, random, |word| word),
        HiveType::Float => {
            primitive::<Float32Type>(length, nulls, random, |word| f32::from_bits(word as u32))
        }
        HiveType::Double => {
            primitive::<Float64Type>(length, nulls, random, |word| f64::from_bits(word as u64))
        }
        HiveType::Decimal { precision, scale } => {
            let wide = |word| i128::from(word) * 5_000_000_000_000_000_000;
            let array = primitive_array::<Decimal128Type>(length, nulls, random, wide);
            Arc::new(array.with_precision_and_scale(*precision, *scale as i8).unwrap())
        }
        HiveType::Date => primitive::<Date32Type>(length, nulls, random, |word| word as i32),
        HiveType::Timestamp => {
            let whole = |word: i64| {
                let unit = 10i64.pow(word.unsigned_abs() as u32 % 10);
                let nanos = word / unit * unit;
                // The second before 1970 is not exact.
                if (-1_000_000_000..0).contains(&nanos) { -nanos } else { nanos }
            };
            primitive::<TimestampNanosecondType>(length, nulls, random, whole)
        }
        HiveType::Binary => {
            let values = strings(length, 9, random);
            let values = BinaryArray::from_iter_values(values);
            Arc::new(BinaryArray::new(values.offsets().clone(), values.values().clone(), nulls))
        }
        HiveType::Char(characters) => {
            let exact = |text: String| format!("{text:<0$.0$}", *characters as usize);
            text(strings(length, 3, random).into_iter().map(exact), nulls)
        }
        HiveType::String | HiveType::Varchar(_) => {
            text(strings(length, 60, random).into_iter(), nulls)
        }
        HiveType::Array(below) => {
            let (offsets, total) = offsets(length, random);
            let DataType::List(field) = of.to_arrow() else { unreachable!() };
            Arc::new(ListArray::new(field, offsets, any_array(below, total, true, random), nulls))
        }
        HiveType::Map(key, value) => {
            let (offsets, total) = offsets(length, random);
            let keys = any_array(key, total, false, random);
            let values = any_array(value, total, true, random);
            let DataType::Map(field, _) = of.to_arrow() else { unreachable!() };
            let DataType::Struct(fields) = field.data_type() else { unreachable!() };
            let entries = StructArray::new(fields.clone(), vec![keys, values], None);
            Arc::new(MapArray::new(field, offsets, entries, nulls, false))
        }
        HiveType::Struct(columns) => {
            let DataType::Struct(fields) = of.to_arrow() else { unreachable!() };
            let below = columns.iter().map(|column| any_array(&column.of, length, true, random));
            Arc::new(StructArray::new(fields, below.collect(), nulls))
        }
    }
}

/// Words that come in the patterns that run lengths know.
fn words(length: usize, random: &mut Rng) -> Vec<i64> {
    let mut words = Vec::new();
    while words.len() < length {
        let (base, count) = (random.i64(..) >> random.u8(..64), random.usize(1..700));
        let step = random.i64(-300..300);
        match random.u8(..4) {
            0 => words.extend(std::iter::repeat_n(base, count)),
            1 => words.extend((0..count as i64).map(|at| base.wrapping_add(at * step))),
            2 => words.extend((0..count).map(|_| base.wrapping_add(random.i64(-9..9)))),
            _ => words.extend((0..count % 20).map(|_| random.i64(..))),
        }
    }
    words.truncate(length);
    words
}

fn primitive_array<T: ArrowPrimitiveType>(
    length: usize,
    nulls: Option<NullBuffer>,
    random: &mut Rng,
    of: impl Fn(i64) -> T::Native,
) -> PrimitiveArray<T> {
    let values: Vec<T::Native> = words(length, random).into_iter().map(of).collect();
    PrimitiveArray::new(values.into(), nulls)
}

fn primitive<T: ArrowPrimitiveType>(
    length: usize,
    nulls: Option<NullBuffer>,
    random: &mut Rng,
    of: impl Fn(i64) -> T::Native,
) -> ArrayRef {
    Arc::new(primitive_array::<T>(length, nulls, random, of))
}

/// Few or many different ones.
fn strings(length: usize, longest: usize, random: &mut Rng) -> Vec<String> {
    let different = random.usize(1..5000);
    (0..length)
        .map(|_| {
            let mut own = Rng::with_seed(random.usize(..different) as u64);
            (0..own.usize(..=longest)).map(|_| own.char('a'..'ä')).collect()
        })
        .collect()
}

fn text(strings: impl Iterator<Item = String>, nulls: Option<NullBuffer>) -> ArrayRef {
    let values = StringArray::from_iter_values(strings);
    Arc::new(StringArray::new(values.offsets().clone(), values.values().clone(), nulls))
}

fn offsets(length: usize, random: &mut Rng) -> (OffsetBuffer<i32>, usize) {
    let longest = random.usize(1..5);
    let lengths: Vec<usize> = (0..length).map(|_| random.usize(..longest)).collect();
    let total = lengths.iter().sum();
    (OffsetBuffer::from_lengths(lengths), total)
}

fn any_options(random: &mut Rng) -> Options {
    let compressions =
        [Compression::None, Compression::Snappy, Compression::Zlib, Compression::Zstd];
    Options {
        compression: compressions[random.usize(..4)],
        stripe_size: ByteSize(1 << random.u8(10..24)),
        block_size: ByteSize(1 << random.u8(12..24)),
        row_index_stride: [0, 1, 100, 1000, 5000][random.usize(..5)],
        enable_padding: random.bool(),
        padding_tolerance: random.f64(),
        dictionary_key_threshold: [0.0, 0.1, 0.8, 1.0][random.usize(..4)],
        format_version: [FormatVersion::V0_11, FormatVersion::V0_12][random.usize(..2)],
        ..Options::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 0, ..Default::default() })]

    #[test]
    fn what_is_written_is_read(seed: u64) {
        let mut random = Rng::with_seed(seed);
        let schema = TableSchema {
            columns: any_columns(3, &mut random),
            partition_keys: Vec::new(),
        };
        let length = random.usize(1..20_000) >> random.u8(..10);
        let columns = schema.columns.iter();
        let columns = columns.map(|column| any_array(&column.of, length, true, &mut random));
        let expected = rows(&schema, columns.collect());
        let mut options = any_options(&mut random);
        options.bloom_filter_columns = vec!["c0".into()];
        if options.row_index_stride == 1 && length > 500 {
            options.row_index_stride = 10;
        }
        // Batches that begin and end anywhere within the arrays.
        let cut = random.usize(..=length);
        let batches = [expected.slice(0, cut), expected.slice(cut, length - cut)];
        let file = write(&schema, &options, &batches);
        prop_assert!(read(&file, &schema) == expected, "{seed} {options:?} {schema:?}");
    }
}
