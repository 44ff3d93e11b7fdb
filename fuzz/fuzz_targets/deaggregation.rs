//! Whatever arrives goes on whole or in pieces that are in it, in order, with nothing between but
//! white space or delimiters; where a strict reader finds objects only, they are the pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe::{
    limits,
    record::Piece,
    seams::Verdict,
    transform::deaggregation::{Deaggregation, SubRecords},
};
use standpipe_fuzz::{documents, verdict};

fuzz_target!(|data: &[u8]| {
    json(data);
    let Some((&length, data)) = data.split_first() else { return };
    let (delimiter, data) = data.split_at(data.len().min(usize::from(length) % 5));
    delimited(data, delimiter);
});

fn json(data: &[u8]) {
    let pieces = pieces(SubRecords::Json, data);
    let mut rest = data;
    for piece in &pieces {
        rest = rest.trim_ascii_start();
        rest = rest.strip_prefix(&piece.data[..]).unwrap_or_else(|| {
            assert!(pieces.len() == 1 && piece.data == data, "pieces lie in order");
            &[]
        });
    }
    assert!(rest.trim_ascii().is_empty());
    if let Some(objects) = documents(data)
        && objects.iter().all(|object| object.is_object())
        && (1..=limits::SUB_RECORDS_MAX).contains(&objects.len())
    {
        assert_eq!(pieces.len(), objects.len());
        for (piece, object) in pieces.iter().zip(&objects) {
            let read: serde_json::Value =
                serde_json::from_slice(&piece.data).expect("one of several objects");
            assert_eq!(&read, object);
        }
    }
}

fn delimited(data: &[u8], delimiter: &[u8]) {
    let pieces = pieces(SubRecords::Delimited(delimiter.to_vec()), data);
    if let [piece] = &pieces[..]
        && piece.data == data
    {
        return;
    }
    let mut rest = data;
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(delimiter).expect("a delimiter between pieces");
        }
        while let Some(after) = rest.strip_prefix(delimiter) {
            rest = after;
        }
        rest = rest.strip_prefix(&piece.data[..]).expect("pieces lie in order");
    }
    while let Some(after) = rest.strip_prefix(delimiter) {
        rest = after;
    }
    assert!(rest.is_empty());
}

fn pieces(how: SubRecords, data: &[u8]) -> Vec<Piece> {
    match verdict(&Deaggregation::new(how), data) {
        Verdict::Emit(piece) => vec![piece],
        Verdict::Split(pieces) => {
            assert!((2..=limits::SUB_RECORDS_MAX).contains(&pieces.len()));
            assert!(pieces.iter().all(|piece| !piece.data.is_empty()));
            pieces
        }
        other => panic!("neither passed on nor taken apart: {other:?}"),
    }
}
