//! Bytes of open batches on disk while memory is short: scratch, compressed with LZ4, never synced
//! and gone with the process. What they hold is in the journal.
//!
//! Chunks are written one behind the other into files that have no name. A file's space is given
//! back when the last of its chunks is let go.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use crate::{
    limits,
    seams::{Aside, Chunk},
};

/// The scratch space of one destination.
pub struct Spill {
    folder: PathBuf,
    file: Mutex<Option<Segment>>,
    used: Arc<AtomicU64>,
}

/// The file that is being filled.
struct Segment {
    file: Arc<File>,
    len: u64,
}

/// A chunk that was put aside: in memory until it is written, on disk from then on.
#[derive(Debug)]
pub struct Spilled {
    place: Mutex<Place>,
    data_bytes: u64,
}

#[derive(Debug)]
enum Place {
    Memory(Arc<Chunk>),
    Disk(OnDisk),
}

#[derive(Debug)]
struct OnDisk {
    file: Arc<File>,
    offset: u64,
    bytes: usize,
    /// Records' ends stay in memory: four bytes for each.
    ends: Vec<u32>,
    used: Arc<AtomicU64>,
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes as u64, Ordering::Relaxed);
    }
}

impl Spilled {
    pub fn new(chunk: Chunk) -> Arc<Self> {
        let data_bytes = chunk.data.len() as u64;
        Arc::new(Self { place: Mutex::new(Place::Memory(Arc::new(chunk))), data_bytes })
    }
}

impl Aside for Spilled {
    fn load(&self) -> io::Result<Chunk> {
        let place = self.place.lock();
        let on_disk = match &*place {
            Place::Memory(chunk) => return Ok(Chunk::clone(chunk)),
            Place::Disk(on_disk) => on_disk,
        };
        let mut packed = vec![0; on_disk.bytes];
        on_disk.file.read_exact_at(&mut packed, on_disk.offset)?;
        let data = lz4_flex::block::decompress(&packed, self.data_bytes as usize)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Chunk { data, ends: on_disk.ends.clone() })
    }

    fn data_bytes(&self) -> u64 {
        self.data_bytes
    }
}

impl Spill {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, file: Mutex::default(), used: Arc::default() }
    }

    /// Bytes on disk.
    pub fn used_bytes(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Moves a chunk from memory to disk. On error it stays in memory. Blocking.
    pub fn write(&self, chunk: &Spilled) -> io::Result<()> {
        let in_memory = match &*chunk.place.lock() {
            Place::Memory(in_memory) => in_memory.clone(),
            Place::Disk(_) => return Ok(()),
        };
        let packed = lz4_flex::block::compress(&in_memory.data);
        let (file, offset) = self.reserve(packed.len() as u64)?;
        file.write_all_at(&packed, offset)?;
        self.used.fetch_add(packed.len() as u64, Ordering::Relaxed);
        let ends = in_memory.ends.clone();
        let used = self.used.clone();
        let on_disk = OnDisk { file, offset, bytes: packed.len(), ends, used };
        *chunk.place.lock() = Place::Disk(on_disk);
        Ok(())
    }

    /// Room for so many bytes at the end of a file.
    fn reserve(&self, bytes: u64) -> io::Result<(Arc<File>, u64)> {
        let mut current = self.file.lock();
        if current.as_ref().is_none_or(|segment| segment.len >= limits::SPILL_FILE_BYTES) {
            let file = Arc::new(tempfile::tempfile_in(&self.folder)?);
            *current = Some(Segment { file, len: 0 });
        }
        let segment = current.as_mut().expect("it was made above");
        let offset = segment.len;
        segment.len += bytes;
        Ok((segment.file.clone(), offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_back_from_memory_and_from_disk() {
        let folder = tempfile::tempdir().unwrap();
        let spill = Spill::new(folder.path().to_owned());
        let chunk = |i: u8| Chunk { data: vec![i; 10_000], ends: vec![4000, 10_000] };
        let kept: Vec<Arc<Spilled>> = (0..20).map(|i| Spilled::new(chunk(i))).collect();
        for spilled in &kept[..10] {
            spill.write(spilled).unwrap();
            spill.write(spilled).unwrap();
        }
        assert!(spill.used_bytes() > 0);
        for (i, spilled) in (0..).zip(&kept) {
            assert_eq!(spilled.load().unwrap(), chunk(i));
            assert_eq!(spilled.data_bytes(), 10_000);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files have no name");
        drop(kept);
        assert_eq!(spill.used_bytes(), 0);
    }

    #[test]
    fn without_a_disk_a_chunk_stays_in_memory() {
        let spill = Spill::new("/nowhere/at/all".into());
        let spilled = Spilled::new(Chunk { data: vec![1; 10], ends: vec![] });
        assert!(spill.write(&spilled).is_err());
        assert_eq!(spilled.load().unwrap().data, vec![1; 10]);
    }
}
