//! Compression of pages, in buffers that are kept from page to page.

use libdeflater::{CompressionLvl, Compressor};
use parquet::{
    basic::{Compression as Codec, GzipLevel, ZstdLevel},
    errors::{ParquetError, Result},
};

use super::Compression;

/// Zstandard's own default level, and parquet-mr's.
pub(super) const ZSTD_LEVEL: i32 = 3;
/// On text libdeflate's level 4 comes near the size of zlib's 6, parquet-mr's, at a third of its
/// CPU.
const GZIP_LEVEL: i32 = 4;

/// A codec with the room that it works in.
pub(super) struct PageCodec {
    codec: Inner,
    room: Vec<u8>,
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
        Ok(Self { codec, room: Vec::new() })
    }

    /// A page's bytes as they stand in the file.
    pub fn compress<'a>(&'a mut self, page: &'a [u8]) -> Result<&'a [u8]> {
        let most = match &mut self.codec {
            Inner::Uncompressed => return Ok(page),
            Inner::Snappy(_) => snap::raw::max_compress_len(page.len()),
            Inner::Gzip(gzip) => gzip.gzip_compress_bound(page.len()),
            Inner::Zstd(_) => zstd::zstd_safe::compress_bound(page.len()),
        };
        if self.room.len() < most {
            self.room.resize(most, 0);
        }
        let room = &mut self.room[..];
        let length = match &mut self.codec {
            Inner::Uncompressed => 0,
            Inner::Snappy(snappy) => snappy.compress(page, room)?,
            Inner::Gzip(gzip) => gzip
                .gzip_compress(page, room)
                .map_err(|error| ParquetError::External(Box::new(error)))?,
            Inner::Zstd(zstd) => zstd.compress_to_buffer(page, room)?,
        };
        Ok(&self.room[..length])
    }
}
