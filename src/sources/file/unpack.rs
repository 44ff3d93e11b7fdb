//! Compressed files, as the bytes that they hold.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
    sync::Arc,
};

use flate2::bufread::MultiGzDecoder;

use crate::limits;

/// What is read of the compressed file at a time.
const READ_BYTES: usize = 64 * 1024;

/// Largest window of a Zstandard stream that memory is taken for, as a power of two (`--long=27`,
/// the default limit of `zstd -d`).
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How a file is compressed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Reads a compressed file from its beginning to its end.
pub struct Unpacker {
    stream: Box<dyn Read + Send>,
}

impl Unpacker {
    pub fn new(file: Arc<File>, packing: Packing) -> io::Result<Self> {
        let source = BufReader::with_capacity(READ_BYTES, At { file, at: 0 });
        let stream: Box<dyn Read + Send> = match packing {
            Packing::Gzip => Box::new(MultiGzDecoder::new(source)),
            Packing::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        };
        Ok(Self { stream })
    }

    /// Appends up to `bytes` bytes to `buffer`; fewer at the end only. What came before an error
    /// is in the buffer.
    pub fn read(&mut self, buffer: &mut Vec<u8>, bytes: usize) -> io::Result<usize> {
        self.stream.by_ref().take(bytes as u64).read_to_end(buffer)
    }

    /// The first bytes, as far as they can be had.
    pub fn head(mut self) -> Vec<u8> {
        let mut head = Vec::new();
        // What came before the damage is what the file is known by.
        let _ = self.read(&mut head, limits::FILE_HEAD_BYTES);
        head
    }
}

/// Reads a file without its cursor, which others share.
struct At {
    file: Arc<File>,
    at: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
