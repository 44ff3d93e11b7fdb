//! One Zstandard frame (RFC 8878) with the content's size in its header.

use std::io;

use crate::seams::{Encoded, Encoder, RawBatch};

/// Zstandard's own default.
const LEVEL: i32 = 3;

pub(super) struct Zstd;

impl Encoder for Zstd {
    fn encode(&self, batch: RawBatch) -> io::Result<Encoded> {
        let body = zstd::bulk::compress(&batch.whole()?, LEVEL)
            .expect("level 3 exists and the buffer holds the worst case");
        Ok(super::finished(body))
    }

    fn extension(&self) -> &'static str {
        ".zst"
    }

    fn content_encoding(&self) -> Option<&'static str> {
        Some("zstd")
    }
}
