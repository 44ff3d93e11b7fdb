//! Whatever arrives is unpacked within the limit or fails; what another reader of gzip makes of it
//! is the same; what was packed comes out.
#![no_main]

use std::io::{Read, Write};

use libfuzzer_sys::fuzz_target;
use standpipe::{
    limits,
    seams::Verdict,
    transform::decompression::{Decompression, Format, Options},
};
use standpipe_fuzz::verdict;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let format = [Format::Gzip, Format::Zlib, Format::Zstd][usize::from(choice) % 3];
    let transform = Decompression::new(&Options { compression_format: format });
    match verdict(&transform, data) {
        Verdict::Emit(piece) => {
            assert!(piece.data.len() <= limits::UNPACKED_BYTES_MAX);
            let mut expected = Vec::new();
            let mut reader = flate2::read::MultiGzDecoder::new(data);
            if format == Format::Gzip && reader.read_to_end(&mut expected).is_ok() {
                assert_eq!(piece.data, expected);
            }
        }
        Verdict::Fail(_) => {}
        other => panic!("neither unpacked nor failed: {other:?}"),
    }

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(1));
    encoder.write_all(data).expect("memory takes everything");
    let packed = encoder.finish().expect("memory takes everything");
    let transform = Decompression::new(&Options::default());
    match verdict(&transform, &packed) {
        Verdict::Emit(piece) => assert_eq!(piece.data, data),
        other => panic!("not unpacked: {other:?}"),
    }
});
