//! What the file looks like to readers: schema, encodings, statistics, who wrote it.

use parquet::{
    basic::{Encoding, Type as Physical},
    schema::printer::print_schema,
};

use super::*;
use crate::encode::parquet::{TimestampUnit, WriterVersion};

fn printed(table: &TableSchema, options: &Options) -> String {
    let file = write(table, options, &[]);
    let mut text = Vec::new();
    print_schema(&mut text, metadata(&file).file_metadata().schema());
    String::from_utf8(text).unwrap()
}

#[test]
fn the_schema_is_the_one_of_hives_writer() {
    let table = table(&[
        ("yes", HiveType::Boolean),
        ("tiny", HiveType::Tinyint),
        ("small", HiveType::Smallint),
        ("middle", HiveType::Int),
        ("big", HiveType::Bigint),
        ("single", HiveType::Float),
        ("twice", HiveType::Double),
        ("price", HiveType::Decimal { precision: 10, scale: 2 }),
        ("text", HiveType::String),
        ("fixed", HiveType::Char(3)),
        ("upto", HiveType::Varchar(9)),
        ("raw", HiveType::Binary),
        ("day", HiveType::Date),
        ("at", HiveType::Timestamp),
        ("tags", list(HiveType::String)),
        ("counts", map(HiveType::String, HiveType::Bigint)),
        ("nested", HiveType::Struct(fields(&[("lists", list(list(HiveType::Timestamp)))]))),
    ]);
    let expected = "\
message hive_schema {
  OPTIONAL BOOLEAN yes;
  OPTIONAL INT32 tiny (INTEGER(8,true));
  OPTIONAL INT32 small (INTEGER(16,true));
  OPTIONAL INT32 middle;
  OPTIONAL INT64 big;
  OPTIONAL FLOAT single;
  OPTIONAL DOUBLE twice;
  OPTIONAL FIXED_LEN_BYTE_ARRAY (5) price (DECIMAL(10,2));
  OPTIONAL BYTE_ARRAY text (STRING);
  OPTIONAL BYTE_ARRAY fixed (STRING);
  OPTIONAL BYTE_ARRAY upto (STRING);
  OPTIONAL BYTE_ARRAY raw;
  OPTIONAL INT32 day (DATE);
  OPTIONAL INT96 at;
  OPTIONAL group tags (LIST) {
    REPEATED group bag {
      OPTIONAL BYTE_ARRAY array_element (STRING);
    }
  }
  OPTIONAL group counts (MAP) {
    REPEATED group map (MAP_KEY_VALUE) {
      REQUIRED BYTE_ARRAY key (STRING);
      OPTIONAL INT64 value;
    }
  }
  OPTIONAL group nested {
    OPTIONAL group lists (LIST) {
      REPEATED group bag {
        OPTIONAL group array_element (LIST) {
          REPEATED group bag {
            OPTIONAL INT96 array_element;
          }
        }
      }
    }
  }
}
";
    assert_eq!(printed(&table, &Options::default()), expected);
}

#[test]
fn timestamps_of_64_bits_say_that_they_are_utc() {
    let table = table(&[("at", HiveType::Timestamp)]);
    for (unit, expected) in [
        (TimestampUnit::Millis, "OPTIONAL INT64 at (TIMESTAMP(MILLIS,true));"),
        (TimestampUnit::Micros, "OPTIONAL INT64 at (TIMESTAMP(MICROS,true));"),
        (TimestampUnit::Nanos, "OPTIONAL INT64 at (TIMESTAMP(NANOS,true));"),
    ] {
        let text = printed(&table, &Options { timestamp_unit: unit, ..Options::default() });
        assert!(text.contains(expected), "{text}");
    }
}

/// parquet-mr reads `created_by` by this expression (VersionParser.FORMAT) and distrusts what it
/// cannot read; releases before 1.8 want a build.
#[test]
fn old_readers_understand_who_wrote_the_file() {
    let file = write(&table(&[("a", HiveType::Int)]), &Options::default(), &[]);
    let created_by = metadata(&file).file_metadata().created_by().unwrap().to_owned();
    let format = r"^(.*?)\s+version\s*(?:([^(]*?)\s*(?:\(\s*build\s*([^)]*?)\s*\))?)?$";
    let parts = regex::Regex::new(format).unwrap().captures(&created_by).unwrap();
    assert_eq!(&parts[1], "standpipe");
    assert_eq!(&parts[2], env!("CARGO_PKG_VERSION"));
    assert!(!parts[3].is_empty());
}

fn encodings(options: &Options, of: HiveType) -> Vec<Encoding> {
    let table = table(&[("a", of)]);
    let rows = random_batch(&table, 500, &mut fastrand::Rng::with_seed(1));
    let file = write(&table, options, &[rows]);
    metadata(&file).row_group(0).column(0).encodings().collect()
}

#[test]
fn without_dictionaries_pages_are_plain() {
    for of in [HiveType::String, HiveType::Bigint, HiveType::Timestamp, HiveType::Double] {
        let found = encodings(&Options::default(), of.clone());
        assert!(found.contains(&Encoding::PLAIN), "{of:?} {found:?}");
        assert!(!found.contains(&Encoding::RLE_DICTIONARY), "{of:?} {found:?}");
        let on = Options { enable_dictionary_compression: true, ..Options::default() };
        let found = encodings(&on, of.clone());
        assert!(found.contains(&Encoding::RLE_DICTIONARY), "{of:?} {found:?}");
    }
}

#[test]
fn the_second_version_uses_the_encodings_of_parquet_mr() {
    let options = Options { writer_version: WriterVersion::V2, ..Options::default() };
    for (of, expected) in [
        (HiveType::Bigint, Encoding::DELTA_BINARY_PACKED),
        (HiveType::String, Encoding::DELTA_BYTE_ARRAY),
        (HiveType::Decimal { precision: 9, scale: 0 }, Encoding::DELTA_BYTE_ARRAY),
        (HiveType::Double, Encoding::PLAIN),
    ] {
        let found = encodings(&options, of.clone());
        assert!(found.contains(&expected), "{of:?} {found:?}");
    }
}

#[test]
fn every_column_has_statistics_but_int96() {
    let table = table(&[
        ("n", HiveType::Bigint),
        ("s", HiveType::String),
        ("at", HiveType::Timestamp),
        ("tags", list(HiveType::Timestamp)),
    ]);
    let rows = random_batch(&table, 400, &mut fastrand::Rng::with_seed(2));
    let file = write(&table, &Options::default(), std::slice::from_ref(&rows));
    for column in metadata(&file).row_group(0).columns() {
        let statistics = column.statistics();
        if column.column_type() == Physical::INT96 {
            assert!(statistics.is_none(), "{:?}", column.column_path());
        } else {
            let statistics = statistics.unwrap();
            assert!(statistics.min_bytes_opt().is_some() && statistics.max_bytes_opt().is_some());
            assert!(statistics.null_count_opt().unwrap() > 0);
        }
    }
    let micros = Options { timestamp_unit: TimestampUnit::Micros, ..Options::default() };
    let file = write(&table, &micros, &[rows]);
    assert!(metadata(&file).row_group(0).columns().iter().all(|c| c.statistics().is_some()));
}
