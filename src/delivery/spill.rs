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
    on_disk: Arc<AtomicU64>,
    in_memory: Arc<AtomicU64>,
}

/// The file that is being filled.
struct Segment {
    file: Arc<Scratch>,
    len: u64,
}

/// A file without a name. All of its space is taken as long as one chunk in it is needed.
#[derive(Debug)]
struct Scratch {
    file: File,
    written: AtomicU64,
    on_disk: Arc<AtomicU64>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.on_disk.fetch_sub(*self.written.get_mut(), Ordering::Relaxed);
    }
}

/// A chunk that was put aside: in memory until it is written, on disk from then on.
#[derive(Debug)]
pub struct Spilled {
    place: Mutex<Place>,
    data_bytes: u64,
}

#[derive(Debug)]
enum Place {
    Memory(Arc<InMemory>),
    Disk(OnDisk),
}

/// A chunk that counts as long as it lives.
#[derive(Debug)]
struct InMemory {
    chunk: Chunk,
    bytes: u64,
    total: Arc<AtomicU64>,
}

impl Drop for InMemory {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct OnDisk {
    file: Arc<Scratch>,
    offset: u64,
    bytes: usize,
    /// Records' ends stay in memory: four bytes for each.
    ends: Vec<u32>,
}

impl Aside for Spilled {
    fn load(&self) -> io::Result<Chunk> {
        let place = self.place.lock();
        let on_disk = match &*place {
            Place::Memory(in_memory) => return Ok(in_memory.chunk.clone()),
            Place::Disk(on_disk) => on_disk,
        };
        let mut packed = vec![0; on_disk.bytes];
        on_disk.file.file.read_exact_at(&mut packed, on_disk.offset)?;
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
        Self { folder, file: Mutex::default(), on_disk: Arc::default(), in_memory: Arc::default() }
    }

    /// A chunk that is to be written; it counts as memory until it is.
    pub fn chunk(&self, chunk: Chunk) -> Arc<Spilled> {
        let (data_bytes, bytes) = (chunk.data.len() as u64, chunk.memory_bytes());
        self.in_memory.fetch_add(bytes, Ordering::Relaxed);
        let in_memory = InMemory { chunk, bytes, total: self.in_memory.clone() };
        Arc::new(Spilled { place: Mutex::new(Place::Memory(Arc::new(in_memory))), data_bytes })
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.on_disk.load(Ordering::Relaxed)
    }

    /// Bytes of chunks that are not on disk, because they wait or because the disk refused them.
    pub fn memory_bytes(&self) -> u64 {
        self.in_memory.load(Ordering::Relaxed)
    }

    /// Moves a chunk from memory to disk. On error it stays in memory. Blocking.
    pub fn write(&self, spilled: &Spilled) -> io::Result<()> {
        let in_memory = match &*spilled.place.lock() {
            Place::Memory(in_memory) => in_memory.clone(),
            Place::Disk(_) => return Ok(()),
        };
        let packed = lz4_flex::block::compress(&in_memory.chunk.data);
        let (file, offset) = self.reserve(packed.len() as u64)?;
        file.file.write_all_at(&packed, offset)?;
        let mut ends = in_memory.chunk.ends.clone();
        ends.shrink_to_fit();
        let on_disk = OnDisk { file, offset, bytes: packed.len(), ends };
        *spilled.place.lock() = Place::Disk(on_disk);
        Ok(())
    }

    /// Room for so many bytes at the end of a file.
    fn reserve(&self, bytes: u64) -> io::Result<(Arc<Scratch>, u64)> {
        let mut current = self.file.lock();
        if current.as_ref().is_none_or(|segment| segment.len >= limits::SPILL_FILE_BYTES) {
            let file = tempfile::tempfile_in(&self.folder)?;
            let (written, on_disk) = (AtomicU64::default(), self.on_disk.clone());
            let file = Arc::new(Scratch { file, written, on_disk });
            *current = Some(Segment { file, len: 0 });
        }
        let segment = current.as_mut().expect("it was made above");
        let offset = segment.len;
        segment.len += bytes;
        segment.file.written.fetch_add(bytes, Ordering::Relaxed);
        self.on_disk.fetch_add(bytes, Ordering::Relaxed);
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
        let kept: Vec<Arc<Spilled>> = (0..20).map(|i| spill.chunk(chunk(i))).collect();
        for spilled in &kept[..10] {
            spill.write(spilled).unwrap();
            spill.write(spilled).unwrap();
        }
        assert!(spill.disk_bytes() > 0);
        assert!((100_000..110_000).contains(&spill.memory_bytes()), "ten are in memory");
        for (i, spilled) in (0..).zip(&kept) {
            assert_eq!(spilled.load().unwrap(), chunk(i));
            assert_eq!(spilled.data_bytes(), 10_000);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files have no name");
        drop(kept);
        *spill.file.lock() = None;
        assert_eq!((spill.disk_bytes(), spill.memory_bytes()), (0, 0));
    }

    #[test]
    fn without_a_disk_a_chunk_stays_in_memory_and_counts() {
        let spill = Spill::new("/nowhere/at/all".into());
        let spilled = spill.chunk(Chunk { data: vec![1; 10], ends: vec![] });
        assert!(spill.write(&spilled).is_err());
        assert_eq!(spilled.load().unwrap().data, vec![1; 10]);
        assert_eq!(spill.memory_bytes(), 10);
    }
}
