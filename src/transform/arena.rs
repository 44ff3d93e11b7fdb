//! Where the transforms that make new bytes put them: chunks of memory that are used again.
//!
//! Fresh memory costs as much as half the work of unpacking into it, for the system clears each
//! page when it is first touched. A chunk goes back to be used again when the last record in it is
//! let go of.

use std::ops::Range;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::limits;

/// A larger one would waste too much of a chunk that has no room for it.
const LARGEST_IN_CHUNK: usize = limits::ARENA_CHUNK_BYTES / 4;

static KEPT: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A chunk that goes back when nobody holds it any more.
struct Chunk(Box<[u8]>);

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mut kept = KEPT.lock();
        if kept.len() < limits::ARENA_CHUNKS_KEPT {
            kept.push(std::mem::take(&mut self.0));
        }
    }
}

impl Chunk {
    fn take() -> Self {
        let kept = KEPT.lock().pop();
        Self(kept.unwrap_or_else(|| vec![0; limits::ARENA_CHUNK_BYTES].into_boxed_slice()))
    }
}

/// Bytes in an arena that is still being written to.
pub(super) struct Place {
    /// `None` for bytes that did not go into a chunk.
    chunk: Option<usize>,
    range: Range<usize>,
    alone: Vec<u8>,
}

/// The bytes of the records of one call.
#[derive(Default)]
pub(super) struct Arena {
    chunks: Vec<Chunk>,
    used: usize,
}

impl Arena {
    /// Room for `size` bytes, with what was there before, to be written by `write`. Nothing is
    /// kept if that answers `None`.
    pub(super) fn fill(
        &mut self,
        size: usize,
        write: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Option<Place> {
        if size > LARGEST_IN_CHUNK {
            let mut alone = vec![0; size];
            write(&mut alone)?;
            return Some(Self::alone(alone));
        }
        if self.chunks.is_empty() || self.used + size > limits::ARENA_CHUNK_BYTES {
            self.chunks.push(Chunk::take());
            self.used = 0;
        }
        let index = self.chunks.len() - 1;
        let range = self.used..self.used + size;
        write(&mut self.chunks[index].0[range.clone()])?;
        self.used = range.end;
        Some(Place { chunk: Some(index), range, alone: Vec::new() })
    }

    /// A copy of `data`.
    pub(super) fn store(&mut self, data: &[u8]) -> Place {
        let copy = |room: &mut [u8]| {
            room.copy_from_slice(data);
            Some(())
        };
        self.fill(data.len(), copy).expect("a copy never gives up")
    }

    /// Bytes that lie in a buffer of their own, which may be larger than they are.
    pub(super) fn adopt(&mut self, mut data: Vec<u8>) -> Place {
        if data.len() <= LARGEST_IN_CHUNK {
            return self.store(&data);
        }
        data.shrink_to_fit();
        Self::alone(data)
    }

    fn alone(data: Vec<u8>) -> Place {
        Place { chunk: None, range: 0..0, alone: data }
    }

    /// Ends the writing; what is at a place is then had from the answer.
    pub(super) fn finish(self) -> impl Fn(Place) -> Bytes {
        let chunks: Vec<Bytes> = self.chunks.into_iter().map(Bytes::from_owner).collect();
        move |place| match place.chunk {
            Some(index) => chunks[index].slice(place.range),
            None => Bytes::from(place.alone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_were_stored() {
        let sizes =
            [0, 1, 300_000, limits::ARENA_CHUNK_BYTES, 200_000, 250_000, 262_144, 7, 255_000];
        let data: Vec<Vec<u8>> = sizes.iter().map(|&size| vec![(size % 251) as u8; size]).collect();
        // The second round writes over what the first has let go of.
        for _ in 0..2 {
            let mut arena = Arena::default();
            let mut places = Vec::new();
            for data in &data {
                assert!(arena.fill(data.len(), |_| None).is_none());
                places.push(arena.store(data));
                places.push(arena.adopt(data.clone()));
            }
            let bytes = arena.finish();
            let stored: Vec<Bytes> = places.into_iter().map(bytes).collect();
            assert!(stored.chunks(2).zip(&data).all(|(stored, data)| stored == [data, data]));
        }
        assert!(KEPT.lock().len() <= limits::ARENA_CHUNKS_KEPT);
    }
}
