//! Records as they are, told apart: for destinations that take them one by one.

use std::{io, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;

use super::Format;
use crate::{
    fault::Fault,
    seams::{Encoded, Encoder, RawBatch},
};

/// The records one behind the other. What the destination makes of them is its sink's affair.
pub struct Records;

impl Encoder for Records {
    fn encode(&self, batch: RawBatch) -> io::Result<Encoded> {
        let (mut body, mut ends) = (Vec::new(), Vec::new());
        let (bytes, records) = (batch.data_bytes(), batch.records as usize);
        for chunk in batch.chunks() {
            let chunk = chunk?;
            if body.is_empty() && chunk.data.len() as u64 == bytes {
                // As a rule it is all in one piece.
                (body, ends) = (chunk.data, chunk.ends);
                continue;
            }
            if body.is_empty() {
                // Once, and no more than is needed: it stays until it is delivered.
                body.reserve_exact(bytes as usize);
                ends.reserve_exact(records);
            }
            let before = body.len() as u32;
            body.extend_from_slice(&chunk.data);
            ends.extend(chunk.ends.iter().map(|end| before + end));
        }
        Ok(Encoded { body: Bytes::from(body), ends, unfit: Vec::new() })
    }

    fn extension(&self) -> &'static str {
        ""
    }

    fn content_encoding(&self) -> Option<&'static str> {
        None
    }

    fn by_record(&self) -> bool {
        true
    }
}

#[async_trait]
impl Format for Records {
    async fn encoder(&self) -> Result<Arc<dyn Encoder>, Fault> {
        Ok(Arc::new(Self))
    }

    fn by_record(&self) -> bool {
        true
    }

    fn lists(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seams::Chunk;

    #[test]
    fn ends_go_on_over_chunks() {
        let chunk = |text: &str, ends: &[u32]| Chunk {
            data: text.as_bytes().to_vec(),
            ends: ends.to_vec(),
        };
        let batch = RawBatch {
            sealed: vec![chunk("abb", &[1, 3]), chunk("", &[0])],
            tail: chunk("ccc", &[3, 3]),
            records: 5,
            ..RawBatch::default()
        };
        let encoded = Records.encode(batch).unwrap();
        assert_eq!((&encoded.body[..], &encoded.ends[..]), (&b"abbccc"[..], &[1, 3, 3, 6, 6][..]));
        let whole = RawBatch { tail: chunk("abb", &[1, 3]), records: 2, ..RawBatch::default() };
        let encoded = Records.encode(whole).unwrap();
        assert_eq!((&encoded.body[..], &encoded.ends[..]), (&b"abb"[..], &[1, 3][..]));
    }
}
