//! gzip (RFC 1952) of what is in memory as a whole: one member, for there are readers that stop
//! after the first.

mod deflate;
mod huffman;
mod search;

use std::ops::RangeInclusive;

use bytes::Bytes;
use libdeflater::{CompressionLvl, Compressor, Crc};
use parking_lot::Mutex;

use crate::limits;

/// Within 3 % of the size of zlib's level 3 on most text, at 40 % less CPU or better.
const GENERAL_LEVEL: i32 = 1;

/// Buffers for the worst case, kept for the next batches: to get and clear a new one each time
/// costs a good part of what compressing costs.
static BUFFERS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A compressed body in a kept buffer, which goes back when the last who holds it lets go.
struct Pooled {
    buffer: Vec<u8>,
    length: usize,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut kept = BUFFERS.lock();
        if kept.len() < limits::GZIP_BUFFERS {
            kept.push(std::mem::take(&mut self.buffer));
        }
    }
}

/// Buffers for text that is packed next, kept for the same reason.
static TEXTS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A kept buffer to write text into, which goes back when the last who holds it lets go.
pub struct Text {
    pub bytes: Vec<u8>,
}

impl Text {
    /// Sizes that are kept: a small one costs nothing to get anew.
    const KEPT: RangeInclusive<usize> = limits::CHUNK_BYTES..=limits::GZIP_BUFFER_BYTES;

    /// An empty one with room for so many bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        if !Self::KEPT.contains(&capacity) {
            return Self { bytes: Vec::with_capacity(capacity) };
        }
        let mut bytes = TEXTS.lock().pop().unwrap_or_default();
        bytes.clear();
        bytes.reserve_exact(capacity);
        Self { bytes }
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if !Self::KEPT.contains(&self.bytes.capacity()) {
            return;
        }
        let mut kept = TEXTS.lock();
        if kept.len() < limits::GZIP_BUFFERS {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// Packs all of it at once: by the search for what records repeat, where that comes about as small
/// as the general one of libdeflate.
pub fn pack(data: &[u8]) -> Bytes {
    match data.get(..limits::GZIP_SAMPLE_BYTES) {
        Some(sample) if repeats_as_records_do(sample) => pack_records(data),
        _ => pack_general(data),
    }
}

/// Whether the search for what records repeat leaves no more than a thirtieth above what the
/// general one leaves. It takes half of its CPU, and where it is at home leaves less.
fn repeats_as_records_do(sample: &[u8]) -> bool {
    let (ours, general) = (pack_records(sample).len(), pack_general(sample).len());
    ours <= general + general / 30
}

/// Packs by the search for what records repeat, without asking whether it suits: it suits base64,
/// too, in which short repetitions are chance.
pub fn pack_records(data: &[u8]) -> Bytes {
    /// Magic, DEFLATE, no flags, no time, packed fast, unknown system (RFC 1952, 2.3).
    const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
    let mut packed = search::deflate(&HEAD, data);
    let mut crc = Crc::new();
    crc.update(data);
    packed.extend_from_slice(&crc.sum().to_le_bytes());
    // Modulo 2^32, as the RFC has it.
    packed.extend_from_slice(&(data.len() as u32).to_le_bytes());
    packed.into()
}

/// By libdeflate, into a buffer for the worst case.
fn pack_general(data: &[u8]) -> Bytes {
    let level = CompressionLvl::new(GENERAL_LEVEL).expect("level 1 exists");
    let mut compressor = Compressor::new(level);
    let bound = compressor.gzip_compress_bound(data.len());
    let is_kept = bound <= limits::GZIP_BUFFER_BYTES;
    let mut buffer = if is_kept { BUFFERS.lock().pop().unwrap_or_default() } else { Vec::new() };
    if buffer.len() < bound {
        buffer = vec![0; bound];
    }
    let length =
        compressor.gzip_compress(data, &mut buffer).expect("the buffer holds the worst case");
    // A small body must not hold a large buffer while it waits for a destination.
    if is_kept && length >= buffer.len() / 16 {
        return Bytes::from_owner(Pooled { buffer, length });
    }
    let body = Bytes::copy_from_slice(&buffer[..length]);
    if is_kept {
        drop(Pooled { buffer, length });
    }
    body
}

#[cfg(test)]
mod tests;
