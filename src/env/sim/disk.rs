//! What a crash leaves of a simulated file and of names.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The unit that reaches a disk whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Default)]
pub struct Inode {
    /// What reads see.
    pub seen: Vec<u8>,
    /// What a crash cannot take.
    pub durable: Vec<u8>,
    pub dirty: BTreeSet<usize>,
    pub reserved: u64,
}

pub enum NameChange {
    Create { path: PathBuf, inode: u64 },
    Rename { from: PathBuf, to: PathBuf, inode: u64 },
    Remove { path: PathBuf },
}

impl Inode {
    /// Decides for every unsynced sector, and the length, whether it reached the disk.
    pub fn settle(&mut self, random: &mut fastrand::Rng) {
        let (old, new) = (self.durable.len(), self.seen.len());
        if self.dirty.is_empty() && old == new {
            return;
        }
        let len = match random.u8(..4) {
            0 => old,
            1 => random.usize(old.min(new)..=old.max(new)),
            _ => new,
        };
        // Now and then all sectors or none, else each by itself.
        let odds = [0, 2, 5, 8, 10][random.usize(..5)];
        self.durable.resize(len, 0);
        for sector in std::mem::take(&mut self.dirty) {
            let (start, end) =
                (sector * SECTOR_BYTES, ((sector + 1) * SECTOR_BYTES).min(len).min(new));
            if start < end && random.u8(..10) < odds {
                self.durable[start..end].copy_from_slice(&self.seen[start..end]);
            }
        }
    }

    /// Everything dirty reaches the disk. What a failed sync dropped is not dirty, and stays lost.
    pub fn sync(&mut self) {
        let len = self.seen.len();
        self.durable.resize(len, 0);
        for sector in std::mem::take(&mut self.dirty) {
            let (start, end) = (sector * SECTOR_BYTES, ((sector + 1) * SECTOR_BYTES).min(len));
            if start < end {
                self.durable[start..end].copy_from_slice(&self.seen[start..end]);
            }
        }
    }

    pub fn set_len(&mut self, len: usize) {
        let old = self.seen.len();
        self.seen.resize(len, 0);
        self.reserved = 0;
        if old > len {
            // The rest of the last sector reads as zeros if the file grows again.
            self.dirty.insert(len / SECTOR_BYTES);
        } else if old < len {
            self.dirty.extend(old / SECTOR_BYTES..=(len - 1) / SECTOR_BYTES);
        }
    }

    pub fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.seen.len() < end {
            self.seen.resize(end, 0);
        }
        self.seen[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(offset / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES);
        }
    }
}

impl NameChange {
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Create { path, .. } | Self::Remove { path } => path.parent(),
            Self::Rename { to, .. } => to.parent(),
        }
    }

    pub fn apply(self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Create { path, inode } => {
                names.insert(path, inode);
            }
            Self::Rename { from, to, inode } => {
                names.remove(&from);
                names.insert(to, inode);
            }
            Self::Remove { path } => {
                names.remove(&path);
            }
        }
    }
}
