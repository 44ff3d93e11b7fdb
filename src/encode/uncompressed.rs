//! The records as they are.

use crate::seams::{Encoded, Encoder, RawBatch};

pub(super) struct Uncompressed;

impl Encoder for Uncompressed {
    fn encode(&self, batch: RawBatch) -> Encoded {
        super::finished(batch.data)
    }

    fn extension(&self) -> &'static str {
        ""
    }

    fn content_encoding(&self) -> Option<&'static str> {
        None
    }
}
