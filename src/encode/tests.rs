use std::io::{Cursor, Read};

use proptest::prelude::*;

use super::{Compression, encoder, gzip};
use crate::{limits::SNAPPY_BLOCK_BYTES, seams::RawBatch};

const ALL: [Compression; 6] = [
    Compression::Uncompressed,
    Compression::Gzip,
    Compression::Zip,
    Compression::Snappy,
    Compression::HadoopSnappy,
    Compression::Zstd,
];

fn encode(compression: Compression, data: &[u8]) -> Vec<u8> {
    let encoded = encoder(compression).encode(RawBatch::of(data.to_vec(), 1)).unwrap();
    assert!(encoded.unfit.is_empty(), "a container holds everything");
    encoded.body.to_vec()
}

// Decoders, none of which shares code with the encoders.

fn decode(compression: Compression, body: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Uncompressed => body.to_vec(),
        Compression::Gzip => gunzip(body),
        Compression::Zip => unzip(body).1,
        Compression::Snappy => xerial(body),
        Compression::HadoopSnappy => hadoop(body),
        Compression::Zstd => zstd::stream::decode_all(body).unwrap(),
    }
}

/// Reads exactly one member, which must end where the body ends.
fn gunzip(body: &[u8]) -> Vec<u8> {
    let mut cursor = Cursor::new(body);
    let mut data = Vec::new();
    flate2::bufread::GzDecoder::new(&mut cursor).read_to_end(&mut data).unwrap();
    assert_eq!(cursor.position(), body.len() as u64, "one member and nothing behind it");
    data
}

fn unzip(body: &[u8]) -> (String, Vec<u8>) {
    let mut archive = ::zip::ZipArchive::new(Cursor::new(body)).unwrap();
    assert_eq!(archive.len(), 1);
    let mut entry = archive.by_index(0).unwrap();
    assert_eq!(entry.compression(), ::zip::CompressionMethod::Deflated);
    let mut data = Vec::new();
    entry.read_to_end(&mut data).unwrap();
    (entry.name().unwrap().to_string(), data)
}

fn take_length(rest: &mut &[u8]) -> usize {
    let (length, behind) = rest.split_first_chunk::<4>().expect("a length");
    *rest = behind;
    u32::from_be_bytes(*length) as usize
}

fn take_block(rest: &mut &[u8]) -> Vec<u8> {
    let length = take_length(rest);
    let (block, behind) = rest.split_at(length);
    *rest = behind;
    snap::raw::Decoder::new().decompress_vec(block).unwrap()
}

fn xerial(body: &[u8]) -> Vec<u8> {
    let mut rest = body.strip_prefix(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01").expect("the header");
    let mut data = Vec::new();
    while !rest.is_empty() {
        assert_eq!(data.len() % SNAPPY_BLOCK_BYTES, 0, "only the last block is short");
        data.extend(take_block(&mut rest));
    }
    data
}

fn hadoop(body: &[u8]) -> Vec<u8> {
    let mut rest = body;
    let mut data = Vec::new();
    while !rest.is_empty() {
        assert_eq!(data.len() % SNAPPY_BLOCK_BYTES, 0, "only the last block is short");
        let raw = take_length(&mut rest);
        let block = take_block(&mut rest);
        assert_eq!(block.len(), raw);
        data.extend(block);
    }
    data
}

/// JSON lines, the same ones that `tests/fixtures/SnappyJava.java` makes.
fn json_lines(lines: usize) -> Vec<u8> {
    (0..lines)
        .flat_map(|i| {
            let level = i * 7 % 13;
            format!("{{\"id\":{i},\"level\":{level},\"message\":\"the quick brown fox\"}}\n")
                .into_bytes()
        })
        .collect()
}

/// Bytes that do not compress.
fn noise(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..bytes).map(|_| random.u8(..)).collect()
}

#[test]
fn every_size_around_the_edges_comes_back() {
    let block = SNAPPY_BLOCK_BYTES;
    let sizes =
        [0, 1, 2, 100, 1023, 1024, block - 1, block, block + 1, 2 * block, 2 * block + 1, 5 << 20];
    let (text, noise) = (json_lines(100_000), noise(5 << 20));
    for compression in ALL {
        for size in sizes {
            for source in [&text, &noise] {
                let data = &source[..size];
                let body = encode(compression, data);
                assert!(decode(compression, &body) == data, "{compression:?} of {size} bytes");
            }
        }
    }
}

#[test]
fn every_container_but_the_plain_one_makes_text_smaller() {
    let data = json_lines(10_000);
    for compression in ALL {
        let ratio = data.len() / encode(compression, &data).len();
        if compression == Compression::Uncompressed {
            assert_eq!(ratio, 1);
        } else {
            assert!(ratio >= 2, "{compression:?}: {ratio}");
        }
    }
}

#[test]
fn extensions_and_encodings_are_those_of_firehose() {
    let table = ALL.map(|c| (encoder(c).extension(), encoder(c).content_encoding()));
    assert_eq!(
        table,
        [
            ("", None),
            (".gz", Some("gzip")),
            (".zip", Some("zip")),
            (".snappy", Some("snappy-java")),
            (".snappy", Some("hadoop-snappy")),
            (".zst", Some("zstd")),
        ]
    );
}

#[test]
fn the_same_batch_gives_the_same_bytes() {
    let data = json_lines(1000);
    for compression in ALL {
        assert_eq!(encode(compression, &data), encode(compression, &data), "{compression:?}");
    }
}

#[test]
fn the_stream_for_large_batches_is_one_member_without_a_time() {
    let data = json_lines(200_000);
    let body = gzip::stream(std::iter::once(Ok(data.clone()))).unwrap();
    assert!(gunzip(&body) == data);
    assert_eq!(body[4..8], [0; 4], "no modification time");
}

#[test]
fn a_zip_entry_is_named_with_a_uuid_of_its_content() {
    let (name, _) = unzip(&encode(Compression::Zip, b"a"));
    let (other, _) = unzip(&encode(Compression::Zip, b"b"));
    assert_eq!(uuid::Uuid::parse_str(&name).unwrap().get_version_num(), 4);
    assert_ne!(name, other);
}

#[test]
fn a_zstd_frame_names_its_size() {
    let data = json_lines(1000);
    let size = zstd::zstd_safe::get_frame_content_size(&encode(Compression::Zstd, &data));
    assert_eq!(size.unwrap(), Some(data.len() as u64));
}

#[test]
fn bodies_keep_no_room_to_spare() {
    let mut data = Vec::with_capacity(64 << 20);
    data.extend_from_slice(&json_lines(1000));
    for compression in ALL {
        let batch = RawBatch::of(data.clone(), 1000);
        let body = encoder(compression).encode(batch).unwrap().body;
        let length = body.len();
        let vec = Vec::from(body);
        assert!(vec.capacity() < length + 4096, "{compression:?}: {} for {length}", vec.capacity());
    }
}

/// What snappy-java 1.1.10.7 writes for the same lines; see `tests/fixtures/SnappyJava.java`.
/// The bytes inside a block are each library's own choice, the layout is not.
#[test]
fn snappy_java_writes_the_same_layout() {
    let data = json_lines(1000);
    let theirs = include_bytes!("../../tests/fixtures/snappy_java.snappy");
    assert!(xerial(theirs) == data);
    assert_eq!(
        blocks(&theirs[16..], false),
        blocks(&encode(Compression::Snappy, &data)[16..], false)
    );
    let theirs = include_bytes!("../../tests/fixtures/snappy_java_hadoop.snappy");
    assert!(hadoop(theirs) == data);
    assert_eq!(blocks(theirs, true), blocks(&encode(Compression::HadoopSnappy, &data), true));
}

#[test]
fn snappy_java_writes_the_same_for_nothing() {
    assert_eq!(encode(Compression::Snappy, b""), b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    assert_eq!(encode(Compression::HadoopSnappy, b""), b"");
}

/// The raw length of every block.
fn blocks(mut rest: &[u8], raw_lengths: bool) -> Vec<usize> {
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        if raw_lengths {
            take_length(&mut rest);
        }
        blocks.push(take_block(&mut rest).len());
    }
    blocks
}

proptest! {
    #[test]
    fn any_bytes_come_back(
        data in proptest::collection::vec(any::<u8>(), 0..5000),
        repeat in 1usize..40,
        which in 0usize..6,
    ) {
        let data = data.repeat(repeat);
        let body = encode(ALL[which], &data);
        prop_assert!(decode(ALL[which], &body) == data);
    }
}
