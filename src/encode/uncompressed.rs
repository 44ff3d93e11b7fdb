//! The records as they are.

use std::io;

use crate::seams::{Encoded, Encoder, RawBatch};

pub(super) struct Uncompressed;

impl Encoder for Uncompressed {
    fn encode(&self, batch: RawBatch) -> io::Result<Encoded> {
        Ok(super::finished(batch.whole()?))
    }

    fn extension(&self) -> &'static str {
        ""
    }

    fn content_encoding(&self) -> Option<&'static str> {
        None
    }
}
