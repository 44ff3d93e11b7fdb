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

/// Packs in each way.
fn assert_comes_out_again(text: &[u8]) {
    assert_unpacks(&pack(text), text);
    assert_unpacks(&pack_records(text), text);
}

fn records(count: u32) -> Vec<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(1);
    let record = |index: u32| {
        let (user, size) = (rng.u32(..1000), rng.u64(..));
        format!(
            "{{\"id\":{index},\"user\":\"user-{user}\",\"action\":\"GetObject\",\"size\":{size},\"ok\":true}}\n"
        )
        .into_bytes()
    };
    (0..count).map(record).collect()
}

fn envelope(records: &[Vec<u8>]) -> Vec<u8> {
    let mut text = br#"{"records":[{"data":""#.to_vec();
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            text.extend_from_slice(br#""},{"data":""#);
        }
        base64_simd::STANDARD.encode_append(record, &mut text);
    }
    text.extend_from_slice(b"\"}]}");
    text
}

#[test]
fn records_shrink_more_than_with_the_general_search() {
    let records = records(20_000);
    let text = records.concat();
    let packed = pack(&text);
    assert_unpacks(&packed, &text);
    assert!(packed == pack_records(&text));
    assert!(packed.len() < pack_general(&text).len(), "{}", packed.len());

    let base64 = envelope(&records);
    let packed = pack_records(&base64);
    assert_unpacks(&packed, &base64);
    let general = pack_general(&base64).len();
    assert!(packed.len() < general + general / 10, "{} and {general}", packed.len());
}

#[test]
fn text_of_short_repetitions_is_left_to_the_general_search() {
    let mut rng = fastrand::Rng::with_seed(4);
    let mut word = || (0..rng.usize(3..8)).map(|_| rng.lowercase()).chain([' ']).collect();
    let words: Vec<String> = (0..1000).map(|_| word()).collect();
    // Some are much more frequent than others.
    let text: String = (0..100_000)
        .map(|_| words[(rng.f64().powi(3) * words.len() as f64) as usize].as_str())
        .collect();
    let (packed, general) = (pack(text.as_bytes()), pack_general(text.as_bytes()));
    assert_unpacks(&packed, text.as_bytes());
    assert!(packed == general, "{} and {}", packed.len(), general.len());
    assert!(pack_records(text.as_bytes()).len() > general.len() * 31 / 30);
}

#[test]
fn what_does_not_repeat_takes_no_more_room_than_its_letters_need() {
    let mut rng = fastrand::Rng::with_seed(2);
    let noise: Vec<u8> = (0..1_000_000).map(|_| rng.u8(..)).collect();
    let packed = pack_records(&noise);
    assert_unpacks(&packed, &noise);
    assert!(packed.len() < noise.len() * 1001 / 1000, "{} of {}", packed.len(), noise.len());

    let text = envelope(&[noise]);
    let packed = pack_records(&text);
    assert_unpacks(&packed, &text);
    // 64 letters: six bits each.
    assert!(packed.len() < text.len() * 77 / 100, "{} of {}", packed.len(), text.len());
}

#[test]
fn long_repetitions_and_the_ends_of_blocks_come_out_again() {
    for length in [0, 1, 7, 8, 9, 257, 258, 259, 260, 261, 262, 32_768, 262_143, 262_145, 2_000_000]
    {
        let same = vec![b'A'; length];
        assert_comes_out_again(&same);
        let counted: Vec<u8> = (0..length as u32 / 4 + 1).flat_map(u32::to_be_bytes).collect();
        assert_comes_out_again(&counted[..length]);
    }
    // What repeats from as far as DEFLATE reaches, and from farther.
    let mut rng = fastrand::Rng::with_seed(3);
    for distance in [32_764, 32_766, 32_767, 32_768, 32_769, 32_770, 32_772] {
        let mut text: Vec<u8> = (0..distance).map(|_| rng.u8(..)).collect();
        text.extend_from_within(..1000);
        assert_comes_out_again(&text);
    }
    // Each length that has a symbol, and those that need two, at any distance.
    let mut text: Vec<u8> = (0..30_000).map(|_| rng.u8(..)).collect();
    for length in 8..600 {
        let from = rng.usize(..text.len() - length);
        let repeated = text[from.max(text.len().saturating_sub(32_000))..].to_vec();
        text.extend_from_slice(&repeated[..length.min(repeated.len())]);
        text.push(rng.u8(..));
    }
    assert_comes_out_again(&text);
}

proptest! {
    #[test]
    fn any_bytes_come_out_again(
        pieces in prop::collection::vec(
            (prop::collection::vec(0_u8..4, 0..40), 0..30_usize, any::<u8>()),
            0..40,
        ),
    ) {
        let mut text = Vec::new();
        for (bytes, times, add) in pieces {
            for _ in 0..times {
                text.extend(bytes.iter().map(|byte| byte.wrapping_mul(61).wrapping_add(add)));
            }
        }
        assert_comes_out_again(&text);
    }

    #[test]
    fn any_records_come_out_again(
        records in prop::collection::vec("[a-c]{0,40}", 0..60),
    ) {
        let records: Vec<_> = records.into_iter().map(String::into_bytes).collect();
        assert_comes_out_again(&records.concat());
        assert_comes_out_again(&envelope(&records));
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
