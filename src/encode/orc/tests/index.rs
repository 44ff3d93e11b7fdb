//! Row groups: their statistics, Bloom filters and positions.

use std::slice::from_ref;

use arrow_array::{Int64Array, StringArray};
use orc_rust::PredicateValue;
use prost::Message;

use super::*;
use crate::encode::orc::{
    proto::{
        BloomFilterIndex, EncodingKind, Footer, Metadata, PostScript, RowIndex, StreamKind,
        StripeFooter,
    },
    rle::int_v2::tests::decode,
};

const ROWS: i64 = 10_000;
const STRIDE: u32 = 1000;

/// `n` rises from 0 and is null in every seventh row; `few` has ten strings, `many` one per row.
fn numbers() -> (TableSchema, RecordBatch) {
    let schema =
        table(&[("n", HiveType::Bigint), ("few", HiveType::String), ("many", HiveType::String)]);
    let n = (0..ROWS).map(|at| (at % 7 != 0).then_some(at * at));
    let few = (0..ROWS).map(|at| format!("string {}", at % 10));
    let many = (0..ROWS).map(|at| format!("{:08}", at * 7919 % ROWS));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter(n)),
        Arc::new(StringArray::from_iter_values(few)),
        Arc::new(StringArray::from_iter_values(many)),
    ];
    let rows = rows(&schema, columns);
    (schema, rows)
}

fn options(compression: Compression) -> Options {
    Options {
        compression,
        row_index_stride: STRIDE,
        bloom_filter_columns: vec!["many".into(), "n".into()],
        ..Options::default()
    }
}

/// The metadata of a file that is not compressed.
fn tail(file: &[u8]) -> (Footer, Metadata) {
    let (rest, length) = file.split_at(file.len() - 1);
    let (rest, postscript) = rest.split_at(rest.len() - usize::from(length[0]));
    let postscript = PostScript::decode(postscript).unwrap();
    assert_eq!(postscript.magic(), "ORC");
    let (rest, footer) = rest.split_at(rest.len() - postscript.footer_length() as usize);
    let metadata = &rest[rest.len() - postscript.metadata_length() as usize..];
    (Footer::decode(footer).unwrap(), Metadata::decode(metadata).unwrap())
}

/// The streams of the first stripe of a file that is not compressed.
struct Stripe<'a> {
    footer: StripeFooter,
    bytes: &'a [u8],
}

impl<'a> Stripe<'a> {
    fn first(file: &'a [u8]) -> Self {
        let stripe = tail(file).0.stripes[0].clone();
        let bytes = &file[stripe.offset() as usize..];
        let body = (stripe.index_length() + stripe.data_length()) as usize;
        let footer = &bytes[body..][..stripe.footer_length() as usize];
        Self { footer: StripeFooter::decode(footer).unwrap(), bytes }
    }

    fn stream(&self, column: u32, kind: StreamKind) -> Option<&'a [u8]> {
        let mut at = 0;
        for stream in &self.footer.streams {
            let end = at + stream.length() as usize;
            if (stream.column(), stream.kind()) == (column, kind) {
                return Some(&self.bytes[at..end]);
            }
            at = end;
        }
        None
    }

    fn index(&self, column: u32) -> RowIndex {
        RowIndex::decode(self.stream(column, StreamKind::RowIndex).unwrap()).unwrap()
    }
}

#[test]
fn each_position_is_where_its_row_group_begins() {
    let (schema, rows) = numbers();
    let file = write(&schema, &options(Compression::None), &[rows]);
    let stripe = Stripe::first(&file);
    assert_eq!(stripe.index(0).entry.len(), 10);
    assert!(stripe.index(0).entry.iter().all(|entry| entry.positions.is_empty()));
    let data = stripe.stream(1, StreamKind::Data).unwrap();
    for (group, entry) in (0..).zip(stripe.index(1).entry) {
        let [_, 0, bits, at, 0] = entry.positions[..] else { panic!("{:?}", entry.positions) };
        assert_eq!(bits, group * i64::from(STRIDE) as u64 % 8);
        let squares: Vec<i64> = (group as i64 * i64::from(STRIDE)..ROWS)
            .filter(|at| at % 7 != 0)
            .map(|at| at * at)
            .collect();
        assert_eq!(decode(&data[at as usize..], true), squares);
    }
    assert_eq!(stripe.footer.columns[2].kind(), EncodingKind::DictionaryV2);
    assert_eq!(stripe.footer.columns[2].dictionary_size(), 10);
    let data = stripe.stream(2, StreamKind::Data).unwrap();
    for (group, entry) in (0..).zip(stripe.index(2).entry) {
        let [at, 0] = entry.positions[..] else { panic!("{:?}", entry.positions) };
        let ranks: Vec<i64> = (group * i64::from(STRIDE)..ROWS).map(|at| at % 10).collect();
        assert_eq!(decode(&data[at as usize..], false), ranks);
    }
    assert_eq!(stripe.footer.columns[3].kind(), EncodingKind::DirectV2);
    let (data, lengths) = (
        stripe.stream(3, StreamKind::Data).unwrap(),
        stripe.stream(3, StreamKind::Length).unwrap(),
    );
    for (group, entry) in (0..).zip(stripe.index(3).entry) {
        let [at, length_at, 0] = entry.positions[..] else { panic!("{:?}", entry.positions) };
        let first = group * i64::from(STRIDE);
        let text = format!("{:08}", first * 7919 % ROWS);
        assert_eq!(&data[at as usize..][..8], text.as_bytes());
        assert_eq!(decode(&lengths[length_at as usize..], false).len() as i64, ROWS - first);
    }
}

#[test]
fn row_groups_that_cannot_match_are_skipped() {
    let (schema, expected) = numbers();
    for compression in [Compression::None, Compression::Snappy] {
        let file = write(&schema, &options(compression), from_ref(&expected));
        let above = Predicate::gte("n", PredicateValue::Int64(Some(9000 * 9000)));
        assert_eq!(read_with(&file, &schema, Some(above)), expected.slice(9000, 1000));
        // The numbers lie within each group's extent: only the filter tells.
        let one = Predicate::eq("many", PredicateValue::Utf8(Some("00000042".into())));
        let found = read_with(&file, &schema, Some(one));
        assert!((1..=3).contains(&(found.num_rows() as u32 / STRIDE)), "{}", found.num_rows());
        let all = Predicate::eq("few", PredicateValue::Utf8(Some("string 3".into())));
        assert_eq!(read_with(&file, &schema, Some(all)), expected);
        let none = Predicate::eq("few", PredicateValue::Utf8(Some("string 3a".into())));
        assert_eq!(read_with(&file, &schema, Some(none)).num_rows(), ROWS as usize);
        let none = Predicate::eq("few", PredicateValue::Utf8(Some("other".into())));
        assert_eq!(read_with(&file, &schema, Some(none)).num_rows(), 0);
    }
}

#[test]
fn statistics_of_stripes_add_up_to_those_of_the_file() {
    let (schema, rows) = numbers();
    let options =
        Options { stripe_size: crate::units::ByteSize(32 << 10), ..options(Compression::None) };
    let file = write(&schema, &options, &[rows]);
    let (footer, metadata) = tail(&file);
    assert!(metadata.stripe_stats.len() > 2);
    assert_eq!(metadata.stripe_stats.len(), footer.stripes.len());
    let values = |column: usize| {
        metadata.stripe_stats.iter().map(|of| of.col_stats[column].number_of_values()).sum::<u64>()
    };
    for column in 0..4 {
        assert_eq!(footer.statistics[column].number_of_values(), values(column));
    }
    assert_eq!(footer.statistics[0].number_of_values(), ROWS as u64);
    assert!(footer.statistics[1].has_null() && !footer.statistics[2].has_null());
    let n = footer.statistics[1].int_statistics.clone().unwrap();
    let squares = (0..ROWS).filter(|at| at % 7 != 0).map(|at| at * at);
    assert_eq!((n.minimum(), n.maximum(), n.sum()), (1, 9999 * 9999, squares.sum()));
    let many = footer.statistics[3].string_statistics.clone().unwrap();
    assert_eq!((many.minimum(), many.maximum(), many.sum()), ("00000000", "00009999", 80_000));
    let on_disk: u64 = footer.statistics.iter().map(|of| of.bytes_on_disk()).sum();
    let data: u64 = footer.stripes.iter().map(|stripe| stripe.data_length()).sum();
    assert_eq!(on_disk, data);
}

#[test]
fn filters_stand_only_where_they_are_asked_for() {
    let (schema, rows) = numbers();
    let file = write(&schema, &options(Compression::None), from_ref(&rows));
    let stripe = Stripe::first(&file);
    let filters = stripe.stream(3, StreamKind::BloomFilterUtf8).unwrap();
    assert_eq!(BloomFilterIndex::decode(filters).unwrap().bloom_filter.len(), 10);
    assert!(stripe.stream(1, StreamKind::BloomFilterUtf8).is_some());
    assert!(stripe.stream(2, StreamKind::BloomFilterUtf8).is_none());
    let options = Options { row_index_stride: 0, ..options(Compression::None) };
    let file = write(&schema, &options, from_ref(&rows));
    let stripe = Stripe::first(&file);
    assert!(stripe.stream(1, StreamKind::RowIndex).is_none());
    assert!(stripe.stream(3, StreamKind::BloomFilterUtf8).is_none());
    assert_eq!(read(&file, &schema), rows);
}
