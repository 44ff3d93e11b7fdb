//! The two Snappy containers of snappy-java, neither of which is Snappy's own framing format.
//!
//! ```text
//! SnappyOutputStream:                  82 'SNAPPY' 00 | version 1 | compatible 1 | blocks
//!   block                              compressed length | data
//! SnappyHadoopCompatibleOutputStream:  blocks only
//!   block                              raw length | compressed length | data
//! ```
//!
//! Numbers are 32 bits, big endian; a block holds 32 KiB of raw bytes, the last one the rest.

use std::io;

use snap::raw::{Encoder as BlockEncoder, max_compress_len};

use crate::{
    limits::SNAPPY_BLOCK_BYTES,
    seams::{Encoded, Encoder, RawBatch},
};

/// Magic, version and the oldest version that can read it.
const XERIAL_HEADER: [u8; 16] =
    [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
const LENGTH_BYTES: usize = 4;

pub(super) struct Snappy {
    header: &'static [u8],
    /// Whether the raw length stands before each block.
    raw_lengths: bool,
    content_encoding: &'static str,
}

impl Snappy {
    pub(super) fn xerial() -> Self {
        Self { header: &XERIAL_HEADER, raw_lengths: false, content_encoding: "snappy-java" }
    }

    pub(super) fn hadoop() -> Self {
        Self { header: &[], raw_lengths: true, content_encoding: "hadoop-snappy" }
    }
}

impl Encoder for Snappy {
    fn encode(&self, batch: RawBatch) -> io::Result<Encoded> {
        let data = batch.whole()?;
        let mut body = self.header.to_vec();
        let mut encoder = BlockEncoder::new();
        for block in data.chunks(SNAPPY_BLOCK_BYTES) {
            if self.raw_lengths {
                body.extend(length(block.len()));
            }
            append_block(&mut encoder, block, &mut body);
        }
        Ok(super::finished(body))
    }

    fn extension(&self) -> &'static str {
        ".snappy"
    }

    fn content_encoding(&self) -> Option<&'static str> {
        Some(self.content_encoding)
    }
}

/// Compresses straight into the body; the length is written once it is known.
fn append_block(encoder: &mut BlockEncoder, block: &[u8], body: &mut Vec<u8>) {
    let start = body.len();
    let data = start + LENGTH_BYTES;
    body.resize(data + max_compress_len(block.len()), 0);
    let written =
        encoder.compress(block, &mut body[data..]).expect("the buffer holds the worst case");
    body[start..data].copy_from_slice(&length(written));
    body.truncate(data + written);
}

fn length(bytes: usize) -> [u8; LENGTH_BYTES] {
    u32::try_from(bytes).expect("a block is far below 4 GiB").to_be_bytes()
}
