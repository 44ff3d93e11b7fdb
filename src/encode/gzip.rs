//! gzip (RFC 1952): always one member, for there are readers that stop after the first.

use std::io::{self, Write};

use flate2::{GzBuilder, write::GzEncoder};

use crate::{
    limits,
    net::gzip,
    seams::{Encoded, Encoder, RawBatch},
};

const STREAM_LEVEL: u32 = 3;

pub(super) struct Gzip;

impl Encoder for Gzip {
    fn encode(&self, batch: RawBatch) -> io::Result<Encoded> {
        if batch.data_bytes() <= limits::GZIP_ONE_SHOT_BYTES_MAX as u64 {
            return Ok(Encoded { body: gzip::pack(&batch.whole()?), ..Encoded::default() });
        }
        Ok(super::finished(stream(batch.chunks().map(|chunk| chunk.map(|chunk| chunk.data)))?))
    }

    fn extension(&self) -> &'static str {
        ".gz"
    }

    fn content_encoding(&self) -> Option<&'static str> {
        Some("gzip")
    }
}

/// Piece by piece, into a buffer that grows with the output.
pub(super) fn stream(pieces: impl Iterator<Item = io::Result<Vec<u8>>>) -> io::Result<Vec<u8>> {
    let mut encoder: GzEncoder<Vec<u8>> =
        GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::new(STREAM_LEVEL));
    for piece in pieces {
        encoder.write_all(&piece?)?;
    }
    encoder.finish()
}
