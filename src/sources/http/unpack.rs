//! Bodies that were packed on the way, unpacked within bounds.

use std::{
    io::{self, Read},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{header::CONTENT_ENCODING, request::Parts};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

use super::protocol::Refusal;
use crate::{
    limits::{HTTP_UNPACKED_BYTES, HTTP_ZSTD_WINDOW_LOG},
    net::server::Received,
};

/// What a client did to its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    None,
    Gzip,
    Zstd,
}

impl Encoding {
    /// What the head says. Bodies that were packed twice are not known.
    pub fn of(head: &Parts) -> Result<Self, Refusal> {
        let mut encodings = head.headers.get_all(CONTENT_ENCODING).iter();
        let Some(name) = encodings.next() else { return Ok(Self::None) };
        let name = name.as_bytes().trim_ascii().to_ascii_lowercase();
        match (&name[..], encodings.next()) {
            (b"" | b"identity", None) => Ok(Self::None),
            (b"gzip" | b"x-gzip", None) => Ok(Self::Gzip),
            (b"zstd", None) => Ok(Self::Zstd),
            _ => Err(Refusal::Encoding(String::from_utf8_lossy(&name).into_owned())),
        }
    }
}

/// A body as it was before it was packed. Its memory is given back when this is dropped.
pub struct Unpacked {
    pub bytes: Bytes,
    _memory: Memory,
}

enum Memory {
    AsReceived { _body: Received },
    Unpacked { _room: OwnedSemaphorePermit },
}

/// Unpacks the bodies of a listener into memory that they share.
pub struct Unpacker {
    free: Arc<Semaphore>,
    wait: Duration,
}

impl Unpacker {
    /// Whoever finds no memory waits no longer than `wait`.
    pub fn new(wait: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(HTTP_UNPACKED_BYTES)), wait }
    }

    /// The body, of at most `max` bytes. Room for so many is taken first: how many they are is
    /// known only afterwards.
    pub async fn unpack(
        &self,
        encoding: Encoding,
        body: Received,
        max: usize,
    ) -> Result<Unpacked, Refusal> {
        if encoding == Encoding::None {
            let bytes = body.bytes.clone();
            return Ok(Unpacked { bytes, _memory: Memory::AsReceived { _body: body } });
        }
        let permits = max.min(HTTP_UNPACKED_BYTES) as u32;
        let room = timeout(self.wait, self.free.clone().acquire_many_owned(permits));
        let room = room.await.map_err(|_| Refusal::Crowded)?;
        let room = room.expect("the semaphore is never closed");
        // The room goes along: it is taken for as long as the work goes on, whoever still waits.
        let unpacked = spawn_blocking(move || (read(encoding, &body.bytes, max), room)).await;
        let (bytes, mut room) = match unpacked {
            Ok((read, room)) => (read?, room),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        drop(room.split(room.num_permits().saturating_sub(bytes.len())));
        Ok(Unpacked { bytes: bytes.into(), _memory: Memory::Unpacked { _room: room } })
    }
}

fn read(encoding: Encoding, packed: &[u8], max: usize) -> Result<Vec<u8>, Refusal> {
    let broken = |error: io::Error| Refusal::Unpack(error.to_string());
    let mut bytes = Vec::new();
    let limit = max as u64 + 1;
    match encoding {
        Encoding::None => bytes.extend_from_slice(packed),
        Encoding::Gzip => {
            let mut reader = flate2::bufread::MultiGzDecoder::new(packed).take(limit);
            reader.read_to_end(&mut bytes).map_err(broken)?;
        }
        Encoding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(packed).map_err(broken)?;
            decoder.window_log_max(HTTP_ZSTD_WINDOW_LOG).map_err(broken)?;
            decoder.take(limit).read_to_end(&mut bytes).map_err(broken)?;
        }
    }
    if bytes.len() > max {
        return Err(Refusal::TooLarge { max });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn both_ways_of_packing_are_undone_within_bounds() {
        let text = b"some text, some text".repeat(100);
        let packed = [
            (Encoding::Gzip, gzip(&text)),
            (Encoding::Zstd, zstd::encode_all(&text[..], 3).unwrap()),
        ];
        for (encoding, packed) in packed {
            assert_eq!(read(encoding, &packed, text.len()), Ok(text.clone()), "{encoding:?}");
            let twice = packed.repeat(2);
            assert_eq!(read(encoding, &twice, 10_000), Ok(text.repeat(2)), "{encoding:?}");
            let max = text.len() - 1;
            assert_eq!(read(encoding, &packed, max), Err(Refusal::TooLarge { max }));
            for broken in [&packed[..packed.len() - 1], b"no such thing", &packed[1..]] {
                let error = read(encoding, broken, 10_000).unwrap_err();
                assert!(matches!(error, Refusal::Unpack(_)), "{encoding:?}: {error:?}");
            }
        }
    }

    #[test]
    fn a_window_of_a_gigabyte_is_not_made() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        // The window is written only where the size of the whole is not known.
        encoder.write_all(&vec![0; 10 << 20]).unwrap();
        let packed = encoder.finish().unwrap();
        let error = read(Encoding::Zstd, &packed, 64 << 20).unwrap_err();
        assert!(matches!(error, Refusal::Unpack(_)), "{error:?}");
    }
}
