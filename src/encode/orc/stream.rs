//! Streams: encoded bytes in compressed chunks, and the positions at which a reader may enter.

use std::io;

use snap::raw::Encoder as Snappy;

use super::{
    Compression, WriteError,
    proto::CompressionKind,
    rle::{Integers, Plain, Runs, bits, bytes},
};

/// Bytes of a chunk before it is compressed. Readers hold a chunk per stream in memory; a smaller
/// one compresses worse. 2^23 would no longer fit into the header.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// Where deflate's levels begin to cost more than they save.
const ZLIB_LEVEL: i32 = 5;
/// Zstandard's own default.
const ZSTD_LEVEL: i32 = 3;

/// Compresses chunk after chunk.
pub(super) struct Codec {
    of: Of,
    compressed: Vec<u8>,
}

enum Of {
    None,
    Snappy(Box<Snappy>),
    Zlib(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Codec {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        let of = match compression {
            Compression::None => Of::None,
            Compression::Snappy => Of::Snappy(Box::new(Snappy::new())),
            Compression::Zlib => {
                let level = libdeflater::CompressionLvl::new(ZLIB_LEVEL)
                    .expect("it is one of the levels 1 to 12");
                Of::Zlib(libdeflater::Compressor::new(level))
            }
            Compression::Zstd => Of::Zstd(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
        };
        Ok(Self { of, compressed: Vec::new() })
    }

    pub(super) fn kind(&self) -> CompressionKind {
        match self.of {
            Of::None => CompressionKind::None,
            Of::Snappy(_) => CompressionKind::Snappy,
            Of::Zlib(_) => CompressionKind::Zlib,
            Of::Zstd(_) => CompressionKind::Zstd,
        }
    }

    fn is_none(&self) -> bool {
        matches!(self.of, Of::None)
    }

    /// A message of the metadata or an index, in as many chunks as it takes.
    pub(super) fn whole(&mut self, data: Vec<u8>) -> Result<Vec<u8>, WriteError> {
        let mut output = Output { open: data, ..Output::default() };
        output.finish(self)
    }

    /// One chunk: three bytes of length and the flag "as it was", least significant first, then
    /// the data, compressed if that is shorter.
    fn chunk(&mut self, data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let length = self.compress(data)?;
        let (body, is_original) =
            if length < data.len() { (&self.compressed[..length], 0) } else { (data, 1) };
        let header = (body.len() as u32) << 1 | is_original;
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(body);
        Ok(())
    }

    fn compress(&mut self, data: &[u8]) -> io::Result<usize> {
        let bound = match &mut self.of {
            Of::None => return Ok(data.len()),
            Of::Snappy(_) => snap::raw::max_compress_len(data.len()),
            Of::Zlib(zlib) => zlib.deflate_compress_bound(data.len()),
            Of::Zstd(_) => zstd::zstd_safe::compress_bound(data.len()),
        };
        if self.compressed.len() < bound {
            self.compressed.resize(bound, 0);
        }
        let into = &mut self.compressed[..];
        match &mut self.of {
            Of::None => Ok(data.len()),
            Of::Snappy(snappy) => snappy.compress(data, into).map_err(io::Error::other),
            Of::Zlib(zlib) => zlib.deflate_compress(data, into).map_err(io::Error::other),
            Of::Zstd(zstd) => zstd.compress_to_buffer(data, into),
        }
    }
}

/// The bytes of a stream: chunks that are compressed, and what is not yet a chunk.
#[derive(Debug, Default)]
pub(super) struct Output {
    done: Vec<u8>,
    open: Vec<u8>,
}

impl Output {
    /// Compresses what fills chunks.
    fn spill(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        if codec.is_none() || self.open.len() < CHUNK_BYTES {
            return Ok(());
        }
        let whole = self.open.len() - self.open.len() % CHUNK_BYTES;
        for chunk in self.open[..whole].chunks(CHUNK_BYTES) {
            codec.chunk(chunk, &mut self.done)?;
        }
        self.open.drain(..whole);
        Ok(())
    }

    fn position(&self, codec: &Codec, positions: &mut Vec<u64>) {
        if !codec.is_none() {
            positions.push(self.done.len() as u64);
        }
        positions.push(self.open.len() as u64);
    }

    fn finish(&mut self, codec: &mut Codec) -> Result<Vec<u8>, WriteError> {
        if codec.is_none() {
            return Ok(std::mem::take(&mut self.open));
        }
        for chunk in self.open.chunks(CHUNK_BYTES) {
            codec.chunk(chunk, &mut self.done)?;
        }
        self.open.clear();
        Ok(std::mem::take(&mut self.done))
    }
}

/// A stream: values, which become runs, which become bytes.
#[derive(Debug)]
pub(super) struct Stream<R> {
    runs: R,
    output: Output,
}

impl<R: Runs> Stream<R> {
    pub(super) fn new(runs: R) -> Self {
        Self { runs, output: Output::default() }
    }

    pub(super) fn spill(&mut self, codec: &mut Codec) -> Result<(), WriteError> {
        self.output.spill(codec)
    }

    /// Ends the run and adds the position that the next value will have.
    pub(super) fn mark(
        &mut self,
        codec: &mut Codec,
        positions: &mut Vec<u64>,
    ) -> Result<(), WriteError> {
        self.runs.pause(&mut self.output.open);
        self.output.spill(codec)?;
        self.output.position(codec, positions);
        self.runs.position(positions);
        Ok(())
    }

    /// The whole stream, as it stands in the file; this one is empty again.
    pub(super) fn finish(&mut self, codec: &mut Codec) -> Result<Vec<u8>, WriteError> {
        self.runs.close(&mut self.output.open);
        self.output.finish(codec)
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        self.output.done.len() + self.output.open.len()
    }
}

impl Stream<Integers> {
    pub(super) fn push(&mut self, value: i64) {
        self.runs.push(value, &mut self.output.open);
    }

    pub(super) fn repeat(&mut self, value: i64, count: usize) {
        (0..count).for_each(|_| self.push(value));
    }
}

impl Stream<bytes::Encoder> {
    pub(super) fn push(&mut self, value: i8) {
        self.runs.push(value as u8, &mut self.output.open);
    }
}

impl Stream<bits::Encoder> {
    pub(super) fn push(&mut self, value: bool) {
        self.runs.push(value, &mut self.output.open);
    }

    pub(super) fn repeat(&mut self, value: bool, count: usize) {
        self.runs.repeat(value, count, &mut self.output.open);
    }
}

impl Stream<Plain> {
    /// The buffer, for those who write bytes as they are.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.output.open
    }
}
