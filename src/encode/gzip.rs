//! gzip (RFC 1952): always one member, for there are readers that stop after the first.

use std::io::Write;

use flate2::{GzBuilder, write::GzEncoder};
use libdeflater::{CompressionLvl, Compressor};

use crate::{
    limits,
    seams::{Encoded, Encoder, RawBatch},
};

/// On JSON libdeflate's level 1 comes within 3 % of the size of zlib's 3, at 40 % less CPU or
/// better.
const ONE_SHOT_LEVEL: i32 = 1;
const STREAM_LEVEL: u32 = 3;

pub(super) struct Gzip;

impl Encoder for Gzip {
    fn encode(&self, batch: RawBatch) -> Encoded {
        let body = if batch.data.len() <= limits::GZIP_ONE_SHOT_BYTES_MAX {
            one_shot(&batch.data)
        } else {
            stream(&batch.data)
        };
        super::finished(body)
    }

    fn extension(&self) -> &'static str {
        ".gz"
    }

    fn content_encoding(&self) -> Option<&'static str> {
        Some("gzip")
    }
}

/// The whole batch at once, into a buffer for the worst case. Its pages come zeroed and untouched
/// from the system, so what the compressor does not fill costs no memory.
fn one_shot(data: &[u8]) -> Vec<u8> {
    let level = CompressionLvl::new(ONE_SHOT_LEVEL).expect("level 1 exists");
    let mut compressor = Compressor::new(level);
    let mut body = vec![0; compressor.gzip_compress_bound(data.len())];
    let length =
        compressor.gzip_compress(data, &mut body).expect("the buffer holds the worst case");
    body.truncate(length);
    body
}

/// Piece by piece, into a buffer that grows with the output.
pub(super) fn stream(data: &[u8]) -> Vec<u8> {
    let mut encoder: GzEncoder<Vec<u8>> =
        GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::new(STREAM_LEVEL));
    encoder.write_all(data).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}
