//! What cannot be written is refused by name; sizes and filters do what they say.

use parquet::{file::properties::ReaderProperties, file::serialized_reader::ReadOptionsBuilder};

use super::*;
use crate::{
    encode::parquet::WriteError,
    limits::{PARQUET_DEPTH_MAX, PARQUET_LEAVES_MAX},
    units::ByteSize,
};

fn refusal(table: &TableSchema, options: &Options) -> WriteError {
    match Writer::new(table, options) {
        Ok(_) => panic!("{table:?} was taken"),
        Err(error) => error,
    }
}

#[test]
fn schemas_that_parquet_cannot_hold_are_refused_by_name() {
    let refused = |of: HiveType| {
        refusal(&table(&[("a", HiveType::Struct(fields(&[("b", of)])))]), &Options::default())
            .to_string()
    };
    assert!(refused(HiveType::Struct(Vec::new())).contains("a.b"));
    assert!(refused(HiveType::Decimal { precision: 39, scale: 0 }).contains("a.b"));
    assert!(refused(HiveType::Decimal { precision: 0, scale: 0 }).contains("a.b"));
    assert!(refused(HiveType::Decimal { precision: 3, scale: 4 }).contains("a.b"));
    let twice = fields(&[("x", HiveType::Int), ("x", HiveType::Int)]);
    assert!(refused(list(HiveType::Struct(twice))).contains("a.b.x"));
    let deep = (0..PARQUET_DEPTH_MAX).fold(HiveType::Int, |of, _| list(of));
    assert!(refused(deep).contains("a.b"));
    let error = refusal(&table(&[]), &Options::default());
    assert!(matches!(error, WriteError::NoColumns), "{error}");
}

#[test]
fn ten_thousand_columns_are_fine_and_more_than_the_limit_refused() {
    let wide = |columns: usize| TableSchema {
        columns: (0..columns)
            .map(|n| Column { name: format!("column_{n}"), of: HiveType::Int })
            .collect(),
        partition_keys: Vec::new(),
    };
    let table = wide(10_000);
    let rows = random_batch(&table, 3, &mut fastrand::Rng::with_seed(3));
    let file = write(&table, &Options::default(), std::slice::from_ref(&rows));
    assert_same(&file, &[rows]);
    let error = refusal(&wide(PARQUET_LEAVES_MAX + 1), &Options::default());
    assert!(matches!(error, WriteError::TooManyColumns { .. }), "{error}");
}

#[test]
fn rows_of_another_schema_are_refused() {
    let ours = table(&[("a", HiveType::Int)]);
    let mut rng = fastrand::Rng::with_seed(4);
    for theirs in [table(&[("a", HiveType::Bigint)]), nested_and(&ours)] {
        let rows = random_batch(&theirs, 5, &mut rng);
        let error = Writer::new(&ours, &Options::default()).unwrap().write(&rows).unwrap_err();
        assert!(matches!(error, WriteError::OtherSchema), "{error}");
    }
}

fn nested_and(table: &TableSchema) -> TableSchema {
    let mut more = table.clone();
    more.columns.push(Column { name: "more".into(), of: list(HiveType::Int) });
    more
}

#[test]
fn long_values_make_many_pages() {
    let table = table(&[("text", HiveType::String)]);
    let long = "hydrant ".repeat(8 << 10);
    let texts: StringArray = (0..200).map(|_| Some(long.as_str())).collect();
    let rows = batch(&table, vec![Arc::new(texts)]);
    let file = write(&table, &Options::default(), std::slice::from_ref(&rows));
    assert_same(&file, &[rows]);
    let reader = SerializedFileReader::new(file).unwrap();
    let pages = reader.get_row_group(0).unwrap().get_column_page_reader(0).unwrap();
    let sizes: Vec<usize> = pages.map(|page| page.unwrap().buffer().len()).collect();
    // 12.5 MiB in pages of 1 MiB, each of which may run over by as much again.
    assert!((6..=14).contains(&sizes.len()), "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 2 << 20), "{sizes:?}");
}

#[test]
fn lists_of_nulls_make_many_pages() {
    const NULLS: usize = 100_000;
    let table = table(&[("list", list(HiveType::Int))]);
    let arrow_schema::DataType::List(field) = table.to_arrow().field(0).data_type().clone() else {
        panic!("a list is one");
    };
    let nulls = Arc::new(arrow_array::Int32Array::new_null(NULLS));
    let offsets = arrow_buffer::OffsetBuffer::from_lengths([NULLS]);
    let rows = arrow_array::ListArray::new(field, offsets, nulls, None);
    let rows = vec![batch(&table, vec![Arc::new(rows)]); 10];
    let options = Options { page_size: ByteSize(100_000), ..Options::default() };
    let file = write(&table, &options, &rows);
    let reader = SerializedFileReader::new(file).unwrap();
    let pages = reader.get_row_group(0).unwrap().get_column_page_reader(0).unwrap();
    assert_eq!(pages.count(), 10);
}

#[test]
fn the_size_so_far_follows_the_file() {
    let table = table(&[("n", HiveType::Bigint), ("at", HiveType::Timestamp)]);
    let options = Options { block_size: ByteSize(100_000), ..Options::default() };
    let mut writer = Writer::new(&table, &options).unwrap();
    let mut rng = fastrand::Rng::with_seed(5);
    let mut last = writer.buffered_bytes();
    for _ in 0..30 {
        writer.write(&random_batch(&table, 1000, &mut rng)).unwrap();
        assert!(writer.buffered_bytes() > last);
        last = writer.buffered_bytes();
    }
    let file = Bytes::from(writer.finish().unwrap());
    let difference = file.len() as f64 / last as f64 - 1.0;
    assert!(difference.abs() < 0.05, "{last} bytes became {}", file.len());
    let groups = metadata(&file).num_row_groups();
    assert!((3..=6).contains(&groups), "{groups} row groups");
}

fn bloom(columns: &[&str]) -> Options {
    let bloom_filter_columns = columns.iter().map(|name| (*name).to_owned()).collect();
    Options { bloom_filter_columns, ..Options::default() }
}

fn with_filters() -> TableSchema {
    let address = HiveType::Struct(fields(&[("city", HiveType::String)]));
    table(&[
        ("id", HiveType::Bigint),
        ("flag", HiveType::Boolean),
        ("address", address),
        ("tags", list(HiveType::String)),
        ("counts", map(HiveType::String, HiveType::Int)),
        ("at", HiveType::Timestamp),
    ])
}

#[test]
fn bloom_filters_stand_where_they_are_asked_for() {
    let table = with_filters();
    let options = bloom(&["id", "address.city", "tags", "counts.key", "at"]);
    let rows = random_batch(&table, 500, &mut fastrand::Rng::with_seed(6));
    let file = write(&table, &options, std::slice::from_ref(&rows));
    assert_same(&file, std::slice::from_ref(&rows));
    let properties = ReaderProperties::builder().set_read_bloom_filter(true).build();
    let read = ReadOptionsBuilder::new().with_reader_properties(properties).build();
    let reader = SerializedFileReader::new_with_options(file, read).unwrap();
    let group = reader.get_row_group(0).unwrap();
    let found: Vec<bool> =
        (0..group.num_columns()).map(|n| group.get_column_bloom_filter(n).is_some()).collect();
    assert_eq!(found, [true, false, true, true, true, false, true]);
    let ids = group.get_column_bloom_filter(0).unwrap();
    let written: &PrimitiveArray<Int64Type> = arrow_array::cast::as_primitive_array(rows.column(0));
    assert!(written.iter().flatten().all(|id| ids.check(&id)));
    let strangers = (0..1000_i64).filter(|id| ids.check(id)).count();
    assert!(strangers < 200, "{strangers} of 1000 hit");
}

#[test]
fn bloom_filters_of_nothing_are_refused_by_name() {
    let table = with_filters();
    for name in ["nothing", "address", "counts", "city", "tags.bag.array_element"] {
        let error = refusal(&table, &bloom(&[name]));
        let WriteError::UnknownBloomFilterColumn { column } = &error else { panic!("{error}") };
        assert_eq!(column, name);
    }
    let error = refusal(&table, &bloom(&["flag"]));
    assert!(matches!(error, WriteError::BloomFilterOfBoolean { .. }), "{error}");
    let error = refusal(&table, &bloom(&["id"; 65]));
    assert!(matches!(error, WriteError::TooManyBloomFilters { .. }), "{error}");
    for probability in [0.0, 1.0, -1.0, f64::NAN] {
        let mut options = bloom(&["id"]);
        options.bloom_filter_false_positive_probability = probability;
        let error = refusal(&table, &options);
        assert!(matches!(error, WriteError::BloomFilterProbability { .. }), "{error}");
    }
}
