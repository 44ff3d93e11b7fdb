//! Compressed bytes to bytes, never more than a limit of them.
//!
//! What tells its size is unpacked in one go: a gzip member by its trailer (RFC 1952), a zstd
//! frame by its header (RFC 8878). That halves the cost. Everything else, and everything that does
//! not come out as its size says, is streamed into a buffer that grows up to the limit.

use std::io::{ErrorKind, Read};

use flate2::{Decompress, FlushDecompress, Status};
use memchr::memmem;
use zstd::zstd_safe;

use super::{
    super::arena::{Arena, Place},
    Format,
};
use crate::limits;

/// What gzip members of deflate data begin with.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b, 0x08];
/// Header and trailer of a gzip member without a name.
const GZIP_FRAME_BYTES: usize = 18;
/// Deflate cannot expand further than this (zlib's technical details: 1032:1).
const DEFLATE_RATIO_MAX: usize = 1032;
/// The largest window of deflate, as a power of two.
const DEFLATE_WINDOW_LOG: u8 = 15;
/// Frames of zstd (RFC 8878, section 3.1), skippable ones without their lowest four bits.
const ZSTD_MAGIC: u32 = 0xfd2f_b528;
const ZSTD_SKIPPABLE_MAGIC: u32 = 0x184d_2a50;
/// First size of a buffer that grows.
const FIRST_BYTES: usize = 64 * limits::KIB as usize;

/// Why a record did not unpack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnpackError {
    #[error("the record is not compressed with {0}")]
    NotCompressed(&'static str),
    #[error("the {0} data ends in the middle")]
    Truncated(&'static str),
    #[error("the {format} data is damaged: {reason}")]
    Damaged { format: &'static str, reason: String },
    #[error("{bytes} bytes that are no {format} data follow the {format} data")]
    TrailingGarbage { format: &'static str, bytes: usize },
    #[error("more than {limit} bytes come out of the record")]
    TooLarge { limit: usize },
}

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
        }
    }

    /// Whether what begins here can be data of this format.
    fn begins(self, data: &[u8]) -> bool {
        match (self, data) {
            (Self::Gzip, data) => data.starts_with(GZIP_MAGIC),
            // RFC 1950: method 8, and the two bytes as a number are a multiple of 31.
            (Self::Zlib, [method, flags, ..]) => {
                method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31)
            }
            (Self::Zstd, [a, b, c, d, ..]) => {
                let magic = u32::from_le_bytes([*a, *b, *c, *d]);
                magic == ZSTD_MAGIC || magic & !0x0f == ZSTD_SKIPPABLE_MAGIC
            }
            _ => false,
        }
    }
}

/// Unpacks records of one format, one after the other.
pub(super) struct Unpacker {
    format: Format,
    limit: usize,
    one_shot: libdeflater::Decompressor,
}

impl Unpacker {
    /// One that lets no more than `limit` bytes come out of a record.
    pub(super) fn new(format: Format, limit: usize) -> Self {
        Self { format, limit, one_shot: libdeflater::Decompressor::new() }
    }

    /// Puts what is in `data` into the arena.
    pub(super) fn unpack(&mut self, data: &[u8], arena: &mut Arena) -> Result<Place, UnpackError> {
        if !self.format.begins(data) {
            return Err(UnpackError::NotCompressed(self.format.name()));
        }
        let whole = match self.format {
            Format::Gzip => self.gzip_at_once(data, arena),
            Format::Zlib => None,
            Format::Zstd => zstd_at_once(data, self.limit, arena),
        };
        match (whole, self.format) {
            (Some(place), _) => Ok(place),
            (None, Format::Zstd) => Ok(arena.adopt(zstd_streamed(data, self.limit)?)),
            (None, format) => Ok(arena.adopt(deflate_streamed(format, data, self.limit)?)),
        }
    }

    /// A record that is one gzip member whose trailer tells the truth. The end of the record must
    /// be the trailer of what was unpacked; that nothing but members can begin with the magic
    /// keeps two equal members apart from one.
    fn gzip_at_once(&mut self, data: &[u8], arena: &mut Arena) -> Option<Place> {
        if data.len() < GZIP_FRAME_BYTES {
            return None;
        }
        let &[c0, c1, c2, c3, ref size @ ..] = data.last_chunk::<8>()?;
        let size = u32::from_le_bytes(*size) as usize;
        let plausible = size <= self.limit && size <= data.len().saturating_mul(DEFLATE_RATIO_MAX);
        if !plausible || memmem::find(&data[GZIP_MAGIC.len()..], GZIP_MAGIC).is_some() {
            return None;
        }
        let checksum = u32::from_le_bytes([c0, c1, c2, c3]);
        arena.fill(size, |room| {
            let length = self.one_shot.gzip_decompress(data, room).ok()?;
            (length == size && libdeflater::crc32(room) == checksum).then_some(())
        })
    }
}

/// gzip members or zlib streams, one behind the other.
fn deflate_streamed(format: Format, data: &[u8], limit: usize) -> Result<Vec<u8>, UnpackError> {
    let mut out = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        if !format.begins(rest) {
            let (format, bytes) = (format.name(), rest.len());
            return Err(UnpackError::TrailingGarbage { format, bytes });
        }
        rest = inflate(format, rest, &mut out, limit)?;
    }
    Ok(out)
}

/// Appends one member and returns what follows it.
fn inflate<'a>(
    format: Format,
    data: &'a [u8],
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<&'a [u8], UnpackError> {
    let mut inflater = match format {
        Format::Gzip => Decompress::new_gzip(DEFLATE_WINDOW_LOG),
        _ => Decompress::new(true),
    };
    let mut rest = data;
    loop {
        make_room(out, limit)?;
        let (taken, length) = (inflater.total_in(), out.len());
        let status = inflater.decompress_vec(rest, out, FlushDecompress::None);
        let taken = (inflater.total_in() - taken) as usize;
        rest = &rest[taken..];
        match status {
            Err(error) => {
                let reason = error.message().map_or_else(|| error.to_string(), str::to_owned);
                return Err(UnpackError::Damaged { format: format.name(), reason });
            }
            Ok(Status::StreamEnd) if out.len() > limit => {
                return Err(UnpackError::TooLarge { limit });
            }
            Ok(Status::StreamEnd) => return Ok(rest),
            Ok(_) if taken == 0 && out.len() == length => {
                return Err(UnpackError::Truncated(format.name()));
            }
            Ok(_) => {}
        }
    }
}

/// Makes room in a full buffer: as much again as it holds, and no more than one byte beyond the
/// limit, which is the byte that shows that there is too much.
pub(super) fn make_room(out: &mut Vec<u8>, limit: usize) -> Result<(), UnpackError> {
    if out.len() > limit {
        return Err(UnpackError::TooLarge { limit });
    }
    if out.len() == out.capacity() {
        out.reserve_exact(out.len().max(FIRST_BYTES).min(limit + 1 - out.len()));
    }
    Ok(())
}

/// A record that is one frame with its size in its header.
fn zstd_at_once(data: &[u8], limit: usize, arena: &mut Arena) -> Option<Place> {
    if zstd_safe::find_frame_compressed_size(data).ok()? != data.len() {
        return None;
    }
    let size = usize::try_from(zstd_safe::get_frame_content_size(data).ok()??).ok()?;
    if size > limit {
        return None;
    }
    arena.fill(size, |room| {
        (zstd::bulk::decompress_to_buffer(data, room).ok()? == size).then_some(())
    })
}

/// Frames one behind the other. Their windows, which are memory too, are no larger than what may
/// come out of a record.
fn zstd_streamed(data: &[u8], limit: usize) -> Result<Vec<u8>, UnpackError> {
    let format = Format::Zstd.name();
    let damaged = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => UnpackError::Truncated(format),
        _ => UnpackError::Damaged { format, reason: error.to_string() },
    };
    let mut decoder = zstd::stream::read::Decoder::with_buffer(data).map_err(damaged)?;
    decoder.window_log_max(limits::UNPACKED_BYTES_MAX.ilog2()).map_err(damaged)?;
    let mut out = Vec::new();
    loop {
        make_room(&mut out, limit)?;
        let room = out.capacity() - out.len();
        let read = decoder.by_ref().take(room as u64).read_to_end(&mut out).map_err(damaged)?;
        if read < room {
            return Ok(out);
        }
    }
}
