//! Compression of pages, in buffers that are kept from page to page.

use std::mem;

use bytes::Bytes;
use libdeflater::{CompressionLvl, Compressor};
use parquet::{
    basic::{Compression as Codec, GzipLevel, ZstdLevel},
    errors::{ParquetError, Result},
};

use super::Compression;

/// Zstandard's own default level, and parquet-mr's.
pub(super) const ZSTD_LEVEL: i32 = 3;
/// On rows of text libdeflate's level 4 comes within 6 % of the size of zlib's 6, parquet-mr's, at
/// a third of its CPU.
const GZIP_LEVEL: i32 = 4;

/// A codec with the room that it works in.
pub(super) struct PageCodec {
    codec: Inner,
    room: Vec<u8>,
    /// The room while a page that came out of it is held.
    whole: Bytes,
}

enum Inner {
    Uncompressed,
    Snappy(Box<snap::raw::Encoder>),
    Gzip(Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

/// What the file calls a compression.
pub(super) fn named(compression: Compression) -> Result<Codec> {
    Ok(match compression {
        Compression::Snappy => Codec::SNAPPY,
        Compression::Gzip => Codec::GZIP(GzipLevel::default()),
        Compression::Uncompressed => Codec::UNCOMPRESSED,
        Compression::Zstd => Codec::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?),
    })
}

impl PageCodec {
    pub fn new(compression: Compression) -> Result<Self> {
        let codec = match compression {
            Compression::Uncompressed => Inner::Uncompressed,
            Compression::Snappy => Inner::Snappy(Box::new(snap::raw::Encoder::new())),
            Compression::Gzip => {
                let level = CompressionLvl::new(GZIP_LEVEL).expect("libdeflate knows the level");
                Inner::Gzip(Compressor::new(level))
            }
            Compression::Zstd => Inner::Zstd(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
        };
        Ok(Self { codec, room: Vec::new(), whole: Bytes::new() })
    }

    /// A page's bytes as they stand in the file. What comes out goes back by `keep`.
    pub fn compress(&mut self, page: &Bytes) -> Result<Bytes> {
        let most = match &mut self.codec {
            Inner::Uncompressed => return Ok(page.clone()),
            Inner::Snappy(_) => snap::raw::max_compress_len(page.len()),
            Inner::Gzip(gzip) => gzip.gzip_compress_bound(page.len()),
            Inner::Zstd(_) => zstd::zstd_safe::compress_bound(page.len()),
        };
        let mut room = mem::take(&mut self.room);
        if room.len() < most {
            room.resize(most, 0);
        }
        let length = match &mut self.codec {
            Inner::Uncompressed => 0,
            Inner::Snappy(snappy) => snappy.compress(page, &mut room)?,
            Inner::Gzip(gzip) => gzip
                .gzip_compress(page, &mut room)
                .map_err(|error| ParquetError::External(Box::new(error)))?,
            Inner::Zstd(zstd) => zstd.compress_to_buffer(page, &mut room[..])?,
        };
        let whole = Bytes::from(room);
        let packed = whole.slice(..length);
        self.whole = whole;
        Ok(packed)
    }

    /// Takes the room of the last page back, once nobody holds what came out.
    pub fn keep(&mut self) {
        self.room = Vec::from(mem::take(&mut self.whole));
    }
}
