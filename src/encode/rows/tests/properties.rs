//! What holds for every table and every record.

use arrow_select::concat::concat_batches;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{
    slow::{self, Maker},
    *,
};

/// Damages a text at a few places.
fn damaged(text: &str, rng: &mut fastrand::Rng) -> Vec<u8> {
    const PIECES: [&[u8]; 16] = [
        b"{", b"}", b"[", b"]", b"\"", b":", b",", b"\\", b"null", b"1e999", b"-", b"0", b"\xC3",
        b"\n", b"\\ud800", b"\"x\"",
    ];
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(0..=bytes.len());
        let end = (at + rng.usize(0..3)).min(bytes.len());
        let piece = PIECES[rng.usize(..PIECES.len())];
        bytes.splice(at..end, if rng.bool() { piece } else { b"" }.iter().copied());
    }
    bytes
}

/// Is it objects of JSON, as serde_json sees it?
fn is_json(record: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(record) else { return false };
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut at = 0;
    let mut count = 0;
    while let Some(object) = objects.next() {
        if object.is_err() || !text[at..].trim_start().starts_with('{') {
            return false;
        }
        at = objects.byte_offset();
        count += 1;
    }
    count > 0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn rows_are_those_of_a_slow_reader(seed in any::<u64>()) {
        let mut maker = Maker(fastrand::Rng::with_seed(seed));
        let schema = maker.table();
        let mut reader = RowReader::new(&schema, &openx(), Unknown::Drop).unwrap();
        let records: Vec<_> = (0..6).map(|_| maker.record(&schema)).collect();
        for _ in 0..2 {
            let mut expected = Vec::new();
            for record in &records {
                let slow = slow::rows(&schema, record);
                prop_assert_eq!(
                    reader.read(record.as_bytes()).map_err(|failure| format!("{failure:?}: {record}")),
                    Ok(slow.len())
                );
                expected.extend(slow);
            }
            prop_assert_eq!(reader.rows(), expected.len());
            let batch = reader.take();
            prop_assert!(*batch.schema() == schema.to_arrow());
            prop_assert_eq!(show::rows(&batch), expected);
        }
    }

    #[test]
    fn a_failed_record_leaves_no_trace(seed in any::<u64>(), strict in any::<bool>(), rest in any::<bool>()) {
        let mut maker = Maker(fastrand::Rng::with_seed(seed));
        let schema = maker.table();
        let options = if strict { hive(&["yyyy-MM-dd'T'HH:mm:ss.SSSZ"]) } else { openx() };
        let unknown = if rest { Unknown::Rest } else { Unknown::Drop };
        let new = || RowReader::new(&schema, &options, unknown).unwrap();
        let (mut all, mut good) = (new(), new());
        let mut alone = vec![new().take()];
        for _ in 0..12 {
            let record = maker.record(&schema);
            let record = match maker.0.bool() {
                true => damaged(&record, &mut maker.0),
                false => record.into_bytes(),
            };
            let bytes = all.bytes();
            match all.read(&record) {
                Ok(count) => {
                    prop_assert_eq!(good.read(&record), Ok(count));
                    let mut reader = new();
                    prop_assert_eq!(reader.read(&record), Ok(count));
                    alone.push(reader.take());
                }
                Err(_) => {
                    prop_assert_eq!(all.rows(), good.rows());
                    // A first null that was cut off again may have set bits up and dropped them.
                    prop_assert!(all.bytes() <= bytes);
                }
            }
        }
        let good = good.take();
        prop_assert_eq!(&all.take(), &good);
        prop_assert_eq!(concat_batches(&good.schema(), &alone).unwrap(), good);
    }

    #[test]
    fn skipping_checks_json_as_serde_json_does(seed in any::<u64>()) {
        let mut maker = Maker(fastrand::Rng::with_seed(seed));
        let schema = maker.table();
        let record = maker.record(&schema);
        let mut reader = RowReader::new(&table(&[]), &openx(), Unknown::Drop).unwrap();
        prop_assert!(reader.read(record.as_bytes()).is_ok());
        let record = damaged(&record, &mut maker.0);
        prop_assert_eq!(
            reader.read(&record).is_ok(), is_json(&record), "{}", String::from_utf8_lossy(&record)
        );
    }

    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), seed in any::<u64>()) {
        let schema = Maker(fastrand::Rng::with_seed(seed)).table();
        let mut reader = RowReader::new(&schema, &openx(), Unknown::Rest).unwrap();
        for record in [bytes.clone(), [b"{\"col_0\":", bytes.as_slice()].concat()] {
            if reader.read(&record).is_err() {
                prop_assert_eq!(reader.rows(), 0);
            }
            reader.take();
        }
    }

    /// (serde_json's own doubles are not always the nearest ones.)
    #[test]
    fn doubles_are_the_nearest(number in any::<f64>(), digits in "-?[1-9][0-9]{0,16}[.][0-9]{1,5}") {
        prop_assume!(number.is_finite());
        for text in [number.to_string(), format!("{number:e}"), digits] {
            let expected = text.parse::<f64>().unwrap();
            prop_assert_eq!(value(&HiveType::Double, &openx(), &text), Ok(json!(expected)));
        }
    }

    #[test]
    fn patterns_of_any_kind_do_not_panic(pattern in "[yMdDHhkKmsSaEZ':. -]{0,12}", text in "[0-9:. +ZamFeb-]{0,16}") {
        if let Ok(format) = super::super::joda::Format::new(&pattern) {
            let _ = format.parse(&text);
        }
    }
}
