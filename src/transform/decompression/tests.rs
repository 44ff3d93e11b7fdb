use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};
use proptest::prelude::*;

use super::*;
use crate::record::Position;

const MIB: usize = limits::MIB as usize;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn compress(format: Format, data: &[u8]) -> Vec<u8> {
    match format {
        Format::Gzip => gzip(data),
        Format::Zlib => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Format::Zstd => zstd::bulk::compress(data, 3).unwrap(),
    }
}

/// A zstd frame that does not tell its size.
fn zstd_without_size(data: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn unpack(format: Format, data: &[u8], limit: usize) -> Result<Bytes, UnpackError> {
    let mut arena = Arena::default();
    let place = Unpacker::new(format, limit).unpack(data, &mut arena);
    let bytes = arena.finish();
    place.map(bytes)
}

fn apply(format: Format, records: &[Vec<u8>]) -> Vec<Verdict> {
    let records: Vec<Record> = records
        .iter()
        .map(|data| {
            let mut record = Record {
                position: Position::START,
                arrival_ms: 0,
                data: Bytes::copy_from_slice(data),
                notes: Default::default(),
            };
            record.notes.edit().event_ms = Some(7);
            record
        })
        .collect();
    let transform = Decompression::new(&Options { compression_format: format });
    futures::executor::block_on(transform.apply(&records))
}

fn code(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Fail(failure) => {
            assert_eq!(failure.output_type, DECOMPRESSION_FAILED);
            &failure.cause.code
        }
        other => panic!("not failed: {other:?}"),
    }
}

#[test]
fn a_bad_record_leaves_its_neighbours_alone() {
    let good = gzip(b"good");
    let records = [good.clone(), b"plain".to_vec(), good, Vec::new()];
    let verdicts = apply(Format::Gzip, &records);
    for index in [0, 2] {
        let Verdict::Emit(piece) = &verdicts[index] else { panic!("{:?}", verdicts[index]) };
        assert_eq!(piece.data, "good");
        assert_eq!(piece.notes.get().unwrap().event_ms, Some(7));
    }
    assert_eq!(code(&verdicts[1]), "Decompression.Failed");
    assert_eq!(code(&verdicts[3]), "Decompression.Failed");
}

#[test]
fn several_members_are_one_record() {
    for format in [Format::Gzip, Format::Zlib, Format::Zstd] {
        // Two equal ones have equal trailers.
        for (one, two) in [("abc", "abc"), ("abc", ""), ("", "abc"), ("", "")] {
            let both = [compress(format, one.as_bytes()), compress(format, two.as_bytes())];
            let out = unpack(format, &both.concat(), MIB);
            assert_eq!(out.unwrap(), format!("{one}{two}"), "{format:?}");
        }
    }
    let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9], &zstd_without_size(b"x")[..]];
    assert_eq!(unpack(Format::Zstd, &skippable.concat(), MIB).unwrap(), "x");
}

#[test]
fn every_cut_fails() {
    for format in [Format::Gzip, Format::Zlib, Format::Zstd] {
        let whole = compress(format, "some text that does not end here, here, here".as_bytes());
        for length in 0..whole.len() {
            let error = unpack(format, &whole[..length], MIB).unwrap_err();
            let expected = match error {
                UnpackError::NotCompressed(_) => length < 4,
                UnpackError::Truncated(_) => true,
                // zstd reads its header as a whole.
                UnpackError::Damaged { .. } => format == Format::Zstd,
                _ => false,
            };
            assert!(expected, "{format:?} at {length}: {error}");
        }
        let twice = [whole.clone(), whole].concat();
        assert!(unpack(format, &twice[..twice.len() - 1], MIB).is_err(), "{format:?}");
    }
}

#[test]
fn damage_and_trailing_garbage_fail() {
    for (name, spoil) in [
        (
            "checksum",
            &(|data: &mut Vec<u8>| *data.iter_mut().nth_back(6).unwrap() ^= 1)
                as &dyn Fn(&mut Vec<u8>),
        ),
        ("size", &|data: &mut Vec<u8>| *data.last_mut().unwrap() ^= 1),
        ("small size", &|data: &mut Vec<u8>| *data.iter_mut().nth_back(3).unwrap() -= 1),
        ("content", &|data: &mut Vec<u8>| data[12] ^= 0xff),
    ] {
        let mut data = gzip(b"some text to be spoilt, some text");
        spoil(&mut data);
        let error = unpack(Format::Gzip, &data, MIB).unwrap_err();
        assert!(matches!(error, UnpackError::Damaged { .. }), "{name}: {error}");
    }
    for format in [Format::Gzip, Format::Zlib] {
        let data = [&compress(format, b"text")[..], b"garbage"].concat();
        let error = unpack(format, &data, MIB).unwrap_err();
        assert_eq!(error, UnpackError::TrailingGarbage { format: format.name(), bytes: 7 });
    }
    let data = [&compress(Format::Zstd, b"text")[..], b"garbage"].concat();
    assert!(unpack(Format::Zstd, &data, MIB).is_err());
}

#[test]
fn more_than_the_limit_fails_and_as_much_does_not() {
    let data = vec![b'a'; 300_000];
    let packed = [
        (Format::Gzip, gzip(&data)),
        (Format::Gzip, [gzip(&data[..150_000]), gzip(&data[150_000..])].concat()),
        (Format::Zlib, compress(Format::Zlib, &data)),
        (Format::Zstd, compress(Format::Zstd, &data)),
        (Format::Zstd, zstd_without_size(&data)),
    ];
    for (format, packed) in packed {
        assert_eq!(unpack(format, &packed, data.len()).unwrap(), data);
        for limit in [0, 1, 149_999, 150_000, 299_999] {
            let error = unpack(format, &packed, limit).unwrap_err();
            assert_eq!(error, UnpackError::TooLarge { limit }, "{format:?}");
        }
    }
}

#[test]
fn a_bomb_fails_with_its_own_code() {
    let bomb = gzip(&vec![0; limits::UNPACKED_BYTES_MAX + 1]);
    assert!(bomb.len() < 100_000);
    let verdicts = apply(Format::Gzip, &[bomb, gzip(b"good")]);
    assert_eq!(code(&verdicts[0]), "Decompression.SizeLimitExceeded");
    assert!(matches!(verdicts[1], Verdict::Emit(_)));
    // One that lies about its size gets no more memory than one that does not.
    let mut liar = gzip(b"little");
    let end = liar.len();
    liar[end - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(code(&apply(Format::Gzip, &[liar])[0]), "Decompression.Failed");
}

#[test]
fn a_zstd_window_beyond_the_limit_is_refused() {
    // RFC 8878: magic, no size, the window as a power of two, then a last, raw block of one byte.
    let frame = |window_log: u8| {
        let descriptor = (window_log - 10) << 3;
        [&[0x28, 0xb5, 0x2f, 0xfd, 0, descriptor][..], &[0x09, 0, 0, b'x']].concat()
    };
    let most = limits::UNPACKED_BYTES_MAX.ilog2() as u8;
    assert_eq!(unpack(Format::Zstd, &frame(most), MIB).unwrap(), "x");
    let error = unpack(Format::Zstd, &frame(most + 1), MIB).unwrap_err();
    assert!(matches!(error, UnpackError::Damaged { .. }), "{error}");
}

#[test]
fn a_growing_buffer_never_outgrows_the_limit() {
    for limit in [0, 1, 65_535, 65_536, 1_000_000] {
        let mut out = Vec::new();
        while super::unpack::make_room(&mut out, limit).is_ok() {
            assert!(out.capacity() > out.len() && out.capacity() <= limit + 1, "{limit}");
            out.resize(out.capacity(), 0);
        }
        assert_eq!(out.len(), limit + 1);
    }
}

fn formats() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Gzip), Just(Format::Zlib), Just(Format::Zstd)]
}

proptest! {
    #[test]
    fn what_was_packed_comes_out(
        format in formats(),
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 1..4),
    ) {
        let packed: Vec<u8> = parts.iter().flat_map(|part| compress(format, part)).collect();
        prop_assert_eq!(unpack(format, &packed, MIB).unwrap(), parts.concat());
    }

    #[test]
    fn any_bytes_get_an_answer(
        format in formats(),
        data in prop::collection::vec(any::<u8>(), 0..500),
        at in any::<prop::sample::Index>(),
    ) {
        let mut spoilt = compress(format, &data);
        let at = at.index(spoilt.len());
        spoilt[at] ^= data.first().copied().unwrap_or(1);
        for data in [data, spoilt] {
            let limit = 10_000;
            if let Ok(out) = unpack(format, &data, limit) {
                prop_assert!(out.len() <= limit);
            }
        }
    }
}
