//! Batch to bytes: compression containers, one file each.
//!
//! | compression | extension | Content-Encoding | container |
//! |---|---|---|---|
//! | uncompressed | none | none | the records as they are |
//! | gzip | `.gz` | `gzip` | one member |
//! | zip | `.zip` | `zip` | one deflated entry named with a UUID |
//! | snappy | `.snappy` | `snappy-java` | snappy-java's own stream |
//! | hadoop_snappy | `.snappy` | `hadoop-snappy` | Hadoop's blocks |
//! | zstd | `.zst` | `zstd` | one frame (beyond Firehose) |
//!
//! Extensions and encodings are those Firehose was seen to deliver; its documentation says
//! `.hsnappy` for Hadoop's blocks. The same batch always gives the same bytes.

pub mod columnar;
mod gzip;
pub mod orc;
pub mod parquet;
mod records;
pub mod rows;
pub mod schema;
mod snappy;
mod uncompressed;
mod zip;
mod zstd;

#[cfg(test)]
mod tests;

pub use records::Records;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    fault::Fault,
    seams::{Encoded, Encoder},
};

/// How an object's bytes are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// The bytes as they are.
    #[default]
    Uncompressed,
    /// One gzip member, `.gz`.
    Gzip,
    /// A ZIP archive with one entry, `.zip`.
    Zip,
    /// The snappy-java stream format (xerial), `.snappy`.
    Snappy,
    /// Hadoop's block framing of Snappy, `.snappy`.
    HadoopSnappy,
    /// One Zstandard frame, `.zst` (beyond Firehose).
    Zstd,
}

/// The encoder of a compression. It holds no state and is shared by all who use it.
pub fn encoder(compression: Compression) -> Arc<dyn Encoder> {
    match compression {
        Compression::Uncompressed => Arc::new(uncompressed::Uncompressed),
        Compression::Gzip => Arc::new(gzip::Gzip),
        Compression::Zip => Arc::new(zip::Zip),
        Compression::Snappy => Arc::new(snappy::Snappy::xerial()),
        Compression::HadoopSnappy => Arc::new(snappy::Snappy::hadoop()),
        Compression::Zstd => Arc::new(zstd::Zstd),
    }
}

/// What objects are written as: gives the encoder of the next one.
#[async_trait]
pub trait Format: Send + Sync {
    /// The encoder as of now: a schema may have changed since the last object. A fault here is no
    /// fault of any record: it holds.
    async fn encoder(&self) -> Result<Arc<dyn Encoder>, Fault>;

    /// Whether its encoders must be told where each record ends.
    fn by_record(&self) -> bool {
        false
    }

    /// Whether a body is its records one behind the other, told apart by where they end: what
    /// destinations get that take records one by one.
    fn lists(&self) -> bool {
        false
    }
}

#[async_trait]
impl Format for Compression {
    async fn encoder(&self) -> Result<Arc<dyn Encoder>, Fault> {
        Ok(encoder(*self))
    }
}

#[async_trait]
impl Format for columnar::Columnar {
    async fn encoder(&self) -> Result<Arc<dyn Encoder>, Fault> {
        Self::encoder(self).await
    }

    fn by_record(&self) -> bool {
        true
    }
}

/// A finished object without the room that its buffer had to spare: compressors want a buffer for
/// the worst case, and bodies wait in memory until they are delivered. Large allocations shrink
/// in place.
fn finished(mut body: Vec<u8>) -> Encoded {
    body.shrink_to_fit();
    Encoded { body: Bytes::from(body), ..Encoded::default() }
}
