use std::io::Read;

use proptest::prelude::*;

use super::*;

/// By two readers that know nothing of each other.
fn assert_unpacks(packed: &[u8], text: &[u8]) {
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == text, "{} bytes", text.len());
    let mut unpacked = vec![0; text.len()];
    let mut reader = libdeflater::Decompressor::new();
    let length = reader.gzip_decompress(packed, &mut unpacked).unwrap();
    assert!(unpacked[..length] == *text, "{} bytes", text.len());
}

fn envelope(records: &[Vec<u8>]) -> (Vec<u8>, usize) {
    let mut text = br#"{"records":[{"data":""#.to_vec();
    let start = text.len();
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            text.extend_from_slice(br#""},{"data":""#);
        }
        base64_simd::STANDARD.encode_append(record, &mut text);
    }
    text.extend_from_slice(b"\"}]}");
    (text, start)
}

#[test]
fn records_shrink_nearly_as_with_the_general_search() {
    let mut rng = fastrand::Rng::with_seed(1);
    let record = |index: u32| {
        let (user, size) = (rng.u32(..1000), rng.u64(..));
        format!(
            r#"{{"id":{index},"user":"user-{user}","action":"GetObject","size":{size},"ok":true}}"#
        )
        .into_bytes()
    };
    let (text, start) = envelope(&(0..20_000).map(record).collect::<Vec<_>>());
    let packed = pack_base64(&text, start);
    assert_unpacks(&packed, &text);
    let general = pack(&text);
    assert!(packed.len() < general.len() * 5 / 4, "{} and {}", packed.len(), general.len());
    assert!(packed.len() < text.len() / 2, "{} of {}", packed.len(), text.len());
}

#[test]
fn what_does_not_repeat_takes_no_more_room_than_its_letters_need() {
    let mut rng = fastrand::Rng::with_seed(2);
    let (text, start) = envelope(&[(0..1_000_000).map(|_| rng.u8(..)).collect()]);
    let packed = pack_base64(&text, start);
    assert_unpacks(&packed, &text);
    // 64 letters: six bits each.
    assert!(packed.len() < text.len() * 77 / 100, "{} of {}", packed.len(), text.len());
}

#[test]
fn long_repetitions_and_the_ends_of_blocks_come_out_again() {
    for length in [0, 1, 7, 8, 9, 255, 256, 257, 32_768, 262_143, 262_144, 262_145, 2_000_000] {
        let same = vec![b'A'; length];
        assert_unpacks(&pack_base64(&same, 0), &same);
        let counted: Vec<u8> = (0..length as u32 / 4 + 1).flat_map(u32::to_be_bytes).collect();
        assert_unpacks(&pack_base64(&counted[..length], 0), &counted[..length]);
    }
    // What repeats from as far as DEFLATE reaches, and from one step farther.
    let mut rng = fastrand::Rng::with_seed(3);
    for distance in [32_764, 32_768, 32_772] {
        let mut text: Vec<u8> = (0..distance).map(|_| rng.u8(..)).collect();
        text.extend_from_within(..1000);
        assert_unpacks(&pack_base64(&text, 0), &text);
    }
    assert_unpacks(&pack_base64(b"abc", 99), b"abc");
}

proptest! {
    #[test]
    fn any_bytes_come_out_again(
        pieces in prop::collection::vec(
            (prop::collection::vec(0_u8..4, 0..40), 0..30_usize, any::<u8>()),
            0..40,
        ),
        start in 0..40_usize,
    ) {
        let mut text = Vec::new();
        for (bytes, times, add) in pieces {
            for _ in 0..times {
                text.extend(bytes.iter().map(|byte| byte.wrapping_mul(61).wrapping_add(add)));
            }
        }
        assert_unpacks(&pack_base64(&text, start), &text);
    }

    #[test]
    fn any_records_come_out_again(
        records in prop::collection::vec("[a-c]{0,40}", 0..60),
    ) {
        let records: Vec<_> = records.into_iter().map(String::into_bytes).collect();
        let (text, start) = envelope(&records);
        assert_unpacks(&pack_base64(&text, start), &text);
    }
}

#[test]
fn a_text_in_a_kept_buffer_begins_empty() {
    for capacity in [10, 2 << 20, limits::GZIP_BUFFER_BYTES, limits::GZIP_BUFFER_BYTES + 1] {
        // More of them than are kept.
        for _ in 0..2 * limits::GZIP_BUFFERS {
            let texts = [(); 3].map(|()| Text::with_capacity(capacity));
            for mut text in texts {
                assert!(text.bytes.is_empty() && text.bytes.capacity() >= capacity);
                text.bytes.resize(capacity, b'x');
                assert_eq!(text.as_ref().len(), capacity);
            }
        }
    }
}
