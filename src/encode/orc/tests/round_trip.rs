//! Types and options one by one.

use std::slice::from_ref;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int8Array, Int16Array, Int32Array, Int64Array, StringArray, TimestampNanosecondArray,
};

use super::*;
use crate::units::ByteSize;

/// A column of each type without children, with extremes and nulls.
fn flat() -> (TableSchema, RecordBatch) {
    let decimal = HiveType::Decimal { precision: 38, scale: 10 };
    let most = 10i128.pow(38) - 1;
    let decimals = Decimal128Array::from(vec![Some(most), None, Some(-most), Some(0), Some(-7)])
        .with_precision_and_scale(38, 10)
        .unwrap();
    let times = [Some(i64::MAX), None, Some(i64::MIN), Some(0), Some(-1_000_000_000)];
    let long = "long ".repeat(100_000);
    let columns: Vec<(&str, HiveType, ArrayRef)> = vec![
        (
            "b",
            HiveType::Boolean,
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true), None])),
        ),
        (
            "i8",
            HiveType::Tinyint,
            Arc::new(Int8Array::from(vec![Some(i8::MIN), None, Some(i8::MAX), Some(0), Some(-1)])),
        ),
        (
            "i16",
            HiveType::Smallint,
            Arc::new(Int16Array::from(vec![
                Some(i16::MIN),
                None,
                Some(i16::MAX),
                Some(0),
                Some(-1),
            ])),
        ),
        (
            "i32",
            HiveType::Int,
            Arc::new(Int32Array::from(vec![
                Some(i32::MIN),
                None,
                Some(i32::MAX),
                Some(0),
                Some(-1),
            ])),
        ),
        (
            "i64",
            HiveType::Bigint,
            Arc::new(Int64Array::from(vec![
                Some(i64::MIN),
                None,
                Some(i64::MAX),
                Some(0),
                Some(-1),
            ])),
        ),
        (
            "f32",
            HiveType::Float,
            Arc::new(Float32Array::from(vec![
                Some(f32::NAN),
                None,
                Some(f32::INFINITY),
                Some(-0.0),
                Some(f32::MIN_POSITIVE),
            ])),
        ),
        (
            "f64",
            HiveType::Double,
            Arc::new(Float64Array::from(vec![
                Some(f64::MAX),
                None,
                Some(f64::NEG_INFINITY),
                Some(f64::NAN),
                Some(5e-324),
            ])),
        ),
        ("d", decimal, Arc::new(decimals)),
        (
            "s",
            HiveType::String,
            Arc::new(StringArray::from(vec![
                Some(""),
                None,
                Some(&*long),
                Some("äöü\0"),
                Some(""),
            ])),
        ),
        (
            "c",
            HiveType::Char(3),
            Arc::new(StringArray::from(vec![
                Some("abc"),
                None,
                Some("äöü"),
                Some("   "),
                Some("a b"),
            ])),
        ),
        (
            "v",
            HiveType::Varchar(3),
            Arc::new(StringArray::from(vec![Some("abc"), None, Some("ä"), Some(""), Some(" b ")])),
        ),
        (
            "x",
            HiveType::Binary,
            Arc::new(BinaryArray::from(vec![
                Some(&b"\xff\0"[..]),
                None,
                Some(b""),
                Some(b"abc"),
                Some(b"\x80"),
            ])),
        ),
        (
            "date",
            HiveType::Date,
            Arc::new(Date32Array::from(vec![
                Some(i32::MIN),
                None,
                Some(i32::MAX),
                Some(0),
                Some(-1),
            ])),
        ),
        ("t", HiveType::Timestamp, Arc::new(TimestampNanosecondArray::from(times.to_vec()))),
        ("null", HiveType::Bigint, Arc::new(Int64Array::from(vec![None; 5]))),
    ];
    let names: Vec<(&str, HiveType)> =
        columns.iter().map(|(name, of, _)| (*name, of.clone())).collect();
    let schema = table(&names);
    let rows = rows(&schema, columns.into_iter().map(|(.., array)| array).collect());
    (schema, rows)
}

#[test]
fn all_types_in_all_compressions_and_versions() {
    let (schema, expected) = flat();
    for compression in
        [Compression::None, Compression::Snappy, Compression::Zlib, Compression::Zstd]
    {
        for format_version in [FormatVersion::V0_11, FormatVersion::V0_12] {
            for dictionary_key_threshold in [0.0, 0.8, 1.0] {
                let options = Options {
                    compression,
                    format_version,
                    dictionary_key_threshold,
                    ..Options::default()
                };
                let file = write(&schema, &options, from_ref(&expected));
                assert_eq!(read(&file, &schema), expected, "{options:?}");
            }
        }
    }
}

#[test]
fn chunks_are_cut_and_kept_as_they_were_if_they_do_not_shrink() {
    let schema = table(&[("x", HiveType::Binary)]);
    let mut random = fastrand::Rng::with_seed(7);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(700_000).collect();
    let zeros = vec![0; 700_000];
    let column: ArrayRef = Arc::new(BinaryArray::from(vec![&noise[..], &zeros]));
    let expected = rows(&schema, vec![column]);
    for compression in [Compression::Snappy, Compression::Zlib, Compression::Zstd] {
        let options = Options { compression, ..Options::default() };
        let file = write(&schema, &options, from_ref(&expected));
        assert!((700_000..760_000).contains(&file.len()), "{} {compression:?}", file.len());
        assert_eq!(read(&file, &schema), expected);
    }
}

#[test]
fn no_rows_and_no_columns() {
    let (schema, rows) = flat();
    let file = write(&schema, &Options::default(), &[]);
    assert_eq!(read(&file, &schema).num_rows(), 0);
    let file = write(&schema, &Options::default(), &[rows.slice(0, 0)]);
    assert_eq!(read(&file, &schema), rows.slice(0, 0));
    let file = write(&TableSchema::default(), &Options::default(), &[]);
    let reader = ArrowReaderBuilder::try_new(Bytes::from(file)).unwrap().build();
    assert_eq!(reader.total_row_count(), 0);
}

#[test]
fn chars_are_filled_up_and_varchars_cut() {
    let schema = table(&[("c", HiveType::Char(3)), ("v", HiveType::Varchar(3))]);
    let strings: ArrayRef = Arc::new(StringArray::from(vec!["é", "abcdé", ""]));
    let file =
        write(&schema, &Options::default(), &[rows(&schema, vec![strings.clone(), strings])]);
    let chars: ArrayRef = Arc::new(StringArray::from(vec!["é  ", "abc", "   "]));
    let varchars: ArrayRef = Arc::new(StringArray::from(vec!["é", "abc", ""]));
    assert_eq!(read(&file, &schema), rows(&schema, vec![chars, varchars]));
}

#[test]
fn stripes_end_at_their_size_and_between_blocks() {
    let schema = table(&[("n", HiveType::Bigint)]);
    let mut random = fastrand::Rng::with_seed(1);
    let numbers: Vec<i64> = std::iter::repeat_with(|| random.i64(..)).take(50_000).collect();
    let column: ArrayRef = Arc::new(Int64Array::from(numbers));
    let expected = rows(&schema, vec![column]);
    let options = Options {
        compression: Compression::None,
        stripe_size: ByteSize(64 << 10),
        block_size: ByteSize(100 << 10),
        enable_padding: true,
        padding_tolerance: 0.2,
        row_index_stride: 1000,
        ..Options::default()
    };
    let file = write(&schema, &options, &[expected.slice(0, 777), expected.slice(777, 49_223)]);
    assert_eq!(read(&file, &schema), expected);
    let builder = ArrowReaderBuilder::try_new(Bytes::from(file)).unwrap();
    let stripes = builder.file_metadata().stripe_metadatas();
    assert!(stripes.len() > 5, "{}", stripes.len());
    for stripe in stripes {
        // The footer's place is that in the file.
        let end = stripe.footer_offset() + stripe.footer_length();
        assert_eq!(stripe.offset() / (100 << 10), (end - 1) / (100 << 10));
    }
}

#[test]
fn buffered_bytes_follow_what_is_written() {
    let (schema, rows) = flat();
    let mut writer = Writer::new(&schema, &Options::default()).unwrap();
    assert!(writer.buffered_bytes() < 10);
    writer.write(&rows).unwrap();
    let first = writer.buffered_bytes();
    assert!(first > 500_000, "{first}");
    let small = Options { stripe_size: ByteSize(1), ..Options::default() };
    let mut writer = Writer::new(&schema, &small).unwrap();
    writer.write(&rows).unwrap();
    assert!(writer.buffered_bytes() < first / 2, "the stripe is compressed");
}

#[test]
fn other_columns_are_refused() {
    let (schema, rows) = flat();
    let mut writer = Writer::new(&schema, &Options::default()).unwrap();
    let error = writer.write(&rows.project(&[0]).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "the rows have 1 columns instead of 15");
    let other = table(&[("n", HiveType::Bigint)]);
    let mut writer = Writer::new(&other, &Options::default()).unwrap();
    let error = writer.write(&rows.project(&[3]).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "column n has the Arrow type Int32 instead of Int64");
    assert_eq!(read(&writer.finish().unwrap(), &other).num_rows(), 0);
}

#[test]
fn what_orc_does_not_have_is_refused() {
    let refused = |schema: &TableSchema, options: &Options| {
        Writer::new(schema, options).err().map(|error| error.to_string()).unwrap()
    };
    let schema = table(&[("n", HiveType::Bigint)]);
    let named =
        Options { bloom_filter_columns: vec!["N".into(), "m".into()], ..Options::default() };
    assert_eq!(refused(&schema, &named), "bloom_filter_columns names \"m\", which is no column");
    for share in [0.0, 1.0, -1.0, f64::NAN] {
        let options = Options {
            bloom_filter_columns: vec!["n".into()],
            bloom_filter_false_positive_probability: share,
            ..Options::default()
        };
        assert!(refused(&schema, &options).contains("is not between 0 and 1"));
    }
    let long = table(&[("c", HiveType::Char(256))]);
    assert_eq!(refused(&long, &Options::default()), "char(256) is longer than 255");
    let nested = |depth| (0..depth).fold(HiveType::Int, |of, _| HiveType::Array(Box::new(of)));
    assert!(Writer::new(&table(&[("a", nested(63))]), &Options::default()).is_ok());
    let deep = table(&[("a", nested(64))]);
    assert_eq!(refused(&deep, &Options::default()), "the columns are nested more than 64 deep");
}
