//! Rows go in and come out.

use arrow_array::{builder, cast::AsArray};
use arrow_schema::TimeUnit;
use proptest::prelude::*;

use super::*;
use crate::{
    encode::parquet::{Compression, TimestampUnit, WriterVersion},
    units::ByteSize,
};

/// Every type at its ends, with nulls between.
fn extremes() -> (TableSchema, RecordBatch) {
    let table = table(&[
        ("yes", HiveType::Boolean),
        ("tiny", HiveType::Tinyint),
        ("small", HiveType::Smallint),
        ("middle", HiveType::Int),
        ("big", HiveType::Bigint),
        ("single", HiveType::Float),
        ("twice", HiveType::Double),
        ("short", HiveType::Decimal { precision: 5, scale: 2 }),
        ("long", HiveType::Decimal { precision: 38, scale: 0 }),
        ("text", HiveType::String),
        ("fixed", HiveType::Char(3)),
        ("upto", HiveType::Varchar(9)),
        ("raw", HiveType::Binary),
        ("day", HiveType::Date),
        ("at", HiveType::Timestamp),
    ]);
    let longest = 10_i128.pow(38) - 1;
    let decimal = |of: &HiveType, values: Vec<Option<i128>>| {
        Arc::new(Decimal128Array::from(values).with_data_type(of.to_arrow()))
    };
    let of = |at: usize| &table.columns[at].of;
    let text = |text: &str| -> ArrayRef {
        Arc::new(StringArray::from(vec![Some(""), None, Some(text), Some("\0"), Some("z")]))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true), None])),
        numbers_of::<Int8Type>([Some(i8::MIN), None, Some(i8::MAX), Some(0), Some(-1)]),
        numbers_of::<Int16Type>([Some(i16::MIN), None, Some(i16::MAX), Some(0), Some(-1)]),
        numbers_of::<Int32Type>([Some(i32::MIN), None, Some(i32::MAX), Some(0), Some(-1)]),
        numbers_of::<Int64Type>([Some(i64::MIN), None, Some(i64::MAX), Some(0), Some(-1)]),
        numbers_of::<Float32Type>([Some(f32::MIN), None, Some(f32::NAN), Some(-0.0), Some(1e-45)]),
        numbers_of::<Float64Type>([Some(f64::MIN), None, Some(f64::INFINITY), Some(-0.0), None]),
        decimal(of(7), vec![Some(-99_999), None, Some(99_999), Some(0), Some(-1)]),
        decimal(of(8), vec![Some(-longest), None, Some(longest), Some(0), Some(-1)]),
        text("grüße 🚒"),
        text("abc"),
        text("hydrant"),
        Arc::new(BinaryArray::from(vec![Some(&b""[..]), None, Some(b"\xff\0"), Some(b"x"), None])),
        numbers_of::<Date32Type>([Some(i32::MIN), None, Some(i32::MAX), Some(0), Some(-719_162)]),
        numbers_of::<TimestampNanosecondType>([
            Some(i64::MIN),
            None,
            Some(i64::MAX),
            Some(0),
            Some(-1),
        ]),
    ];
    let rows = batch(&table, columns);
    (table, rows)
}

fn numbers_of<T: ArrowPrimitiveType>(values: [Option<T::Native>; 5]) -> ArrayRef {
    Arc::new(values.into_iter().collect::<PrimitiveArray<T>>())
}

#[test]
fn every_type_comes_back_at_its_ends() {
    let (table, rows) = extremes();
    for compression in
        [Compression::Snappy, Compression::Gzip, Compression::Zstd, Compression::Uncompressed]
    {
        for writer_version in [WriterVersion::V1, WriterVersion::V2] {
            for enable_dictionary_compression in [false, true] {
                let options = Options {
                    compression,
                    writer_version,
                    enable_dictionary_compression,
                    ..Options::default()
                };
                let file = write(&table, &options, &[rows.clone(), rows.slice(2, 2)]);
                assert_same(&file, &[rows.clone(), rows.slice(2, 2)]);
            }
        }
    }
}

#[test]
fn timestamps_of_every_unit_fall_to_the_earlier_instant() {
    let table = table(&[("at", list(HiveType::Timestamp))]);
    let mut lists =
        builder::ListBuilder::new(builder::TimestampNanosecondBuilder::new()).with_field(
            arrow_schema::Field::new("array_element", HiveType::Timestamp.to_arrow(), true),
        );
    lists.append_value([Some(-1), None, Some(1_999_999)]);
    lists.append_null();
    lists.append_value([]);
    lists.append_value([Some(-1_000_000)]);
    let rows = batch(&table, vec![Arc::new(lists.finish())]);
    for (unit, arrow, expected) in [
        (TimestampUnit::Millis, TimeUnit::Millisecond, [-1, 1, -1]),
        (TimestampUnit::Micros, TimeUnit::Microsecond, [-1, 1999, -1000]),
        (TimestampUnit::Nanos, TimeUnit::Nanosecond, [-1, 1_999_999, -1_000_000]),
    ] {
        let options = Options { timestamp_unit: unit, ..Options::default() };
        let back = read(&write(&table, &options, std::slice::from_ref(&rows)));
        let lists = back[0].column(0).as_list::<i32>();
        assert_eq!(lists.nulls().unwrap().iter().collect::<Vec<_>>(), [true, false, true, true]);
        assert_eq!(lists.value_offsets(), [0, 3, 3, 3, 4]);
        let DataType::Timestamp(found, zone) = lists.values().data_type() else {
            panic!("{:?}", lists.values().data_type());
        };
        assert_eq!((*found, zone.as_deref()), (arrow, Some("UTC")));
        let data = lists.values().to_data();
        let values: Vec<Option<i64>> = (0..4)
            .map(|at| lists.values().is_valid(at).then(|| data.buffer::<i64>(0)[at]))
            .collect();
        let [first, second, third] = expected.map(Some);
        assert_eq!(values, [first, None, second, third]);
    }
}

/// Structs, lists and maps in one another, timestamps at the bottom of each.
fn nested() -> TableSchema {
    let point = HiveType::Struct(fields(&[
        ("at", HiveType::Timestamp),
        ("name", HiveType::String),
        ("price", HiveType::Decimal { precision: 12, scale: 4 }),
    ]));
    table(&[
        ("lists", list(list(list(HiveType::Timestamp)))),
        ("points", list(point.clone())),
        ("by_name", map(HiveType::String, list(point.clone()))),
        ("by_time", map(HiveType::Timestamp, map(HiveType::Int, HiveType::Timestamp))),
        ("deep", HiveType::Struct(fields(&[("er", HiveType::Struct(fields(&[("p", point)])))]))),
    ])
}

#[test]
fn nested_rows_come_back_from_many_small_pages_and_row_groups() {
    let table = nested();
    let mut rng = fastrand::Rng::with_seed(7);
    let batches: Vec<RecordBatch> =
        [700, 1, 0, 1300].into_iter().map(|rows| random_batch(&table, rows, &mut rng)).collect();
    // Slices of arrays have offsets that do not begin at zero.
    let sliced: Vec<RecordBatch> =
        batches.iter().map(|rows| rows.slice(rows.num_rows() / 3, rows.num_rows() / 2)).collect();
    let options =
        Options { block_size: ByteSize(20_000), page_size: ByteSize(1024), ..Options::default() };
    for batches in [batches, sliced] {
        let file = write(&table, &options, &batches);
        assert!(metadata(&file).num_row_groups() > 3);
        assert_same(&file, &batches);
    }
}

#[test]
fn a_file_without_rows_has_its_columns() {
    let table = nested();
    let file = write(&table, &Options::default(), &[]);
    let empty =
        write(&table, &Options::default(), &[RecordBatch::new_empty(Arc::new(table.to_arrow()))]);
    assert_eq!(file, empty);
    assert_eq!(metadata(&file).num_row_groups(), 0);
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert_eq!(reader.schema().fields(), table.to_arrow().fields());
}

#[test]
fn columns_of_nulls_alone_come_back() {
    let table = nested();
    let columns = table.columns.iter().map(|c| arrow_array::new_null_array(&c.of.to_arrow(), 50));
    let rows = batch(&table, columns.collect());
    assert_same(&write(&table, &Options::default(), std::slice::from_ref(&rows)), &[rows]);
}

fn any_type() -> impl Strategy<Value = HiveType> {
    let decimal = (1_u8..=38)
        .prop_flat_map(|precision| (Just(precision), 0..=precision))
        .prop_map(|(precision, scale)| HiveType::Decimal { precision, scale });
    let scalar = prop_oneof![
        Just(HiveType::Boolean),
        Just(HiveType::Tinyint),
        Just(HiveType::Smallint),
        Just(HiveType::Int),
        Just(HiveType::Bigint),
        Just(HiveType::Float),
        Just(HiveType::Double),
        decimal,
        Just(HiveType::String),
        Just(HiveType::Varchar(8)),
        Just(HiveType::Binary),
        Just(HiveType::Date),
        Just(HiveType::Timestamp),
    ];
    let keys = scalar.clone().boxed();
    scalar.prop_recursive(4, 16, 3, move |inner| {
        prop_oneof![
            inner.clone().prop_map(list),
            (keys.clone(), inner.clone()).prop_map(|(key, value)| map(key, value)),
            prop::collection::vec(inner, 1..4).prop_map(|types| HiveType::Struct(named(types))),
        ]
    })
}

fn named(types: Vec<HiveType>) -> Vec<Column> {
    types.into_iter().enumerate().map(|(n, of)| Column { name: format!("c{n}"), of }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_rows_of_any_schema_come_back(
        types in prop::collection::vec(any_type(), 1..5),
        sizes in prop::collection::vec(0..200_usize, 0..4),
        seed: u64,
        v2: bool,
        dictionary: bool,
        small: bool,
    ) {
        let table = TableSchema { columns: named(types), partition_keys: Vec::new() };
        let mut rng = fastrand::Rng::with_seed(seed);
        let batches: Vec<RecordBatch> =
            sizes.iter().map(|rows| random_batch(&table, *rows, &mut rng)).collect();
        let mut options = Options {
            writer_version: if v2 { WriterVersion::V2 } else { WriterVersion::V1 },
            enable_dictionary_compression: dictionary,
            ..Options::default()
        };
        if small {
            options.block_size = ByteSize(3000);
            options.page_size = ByteSize(0);
        }
        let file = write(&table, &options, &batches);
        assert_same(&file, &batches);
    }
}
