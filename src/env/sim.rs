//! A filesystem in memory that crashes, fails and fills up when it is told to.
//!
//! What was written but not synced is lost, kept or torn at a crash: any subset of the 512-byte
//! sectors, in no order; names that were created, renamed or removed without a sync of their
//! folder likewise. A failed sync does what kernels do: the sectors that did not get through are
//! taken for written, still read back well, and are never written again unless somebody writes
//! them anew. Everything random comes from one seed, so that a run can be repeated exactly.

mod disk;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use self::disk::{Inode, NameChange};
use super::{File, Files};

/// The filesystem. Clones are the same one.
#[derive(Clone)]
pub struct SimFiles {
    disk: Arc<Mutex<Disk>>,
}

/// Something that will go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The write that comes after so many others fails after a part of it.
    Write(u64),
    /// The write that comes after so many others finds the disk full.
    Full(u64),
    /// The sync (of contents or names) that comes after so many others fails.
    Sync(u64),
    /// The read that comes after so many others meets a bad sector.
    Read(u64),
    /// The write that comes after so many others panics: a mistake in whoever writes.
    Panic(u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    Sync,
}

struct Disk {
    random: fastrand::Rng,
    /// Handles from before a crash are dead.
    generation: u64,
    inodes: HashMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    changes: Vec<NameChange>,
    folders: BTreeSet<PathBuf>,
    budget_bytes: Option<u64>,
    troubles: Vec<Trouble>,
    trace: Vec<String>,
}

impl SimFiles {
    pub fn new(seed: u64) -> Self {
        Self {
            disk: Arc::new(Mutex::new(Disk {
                random: fastrand::Rng::with_seed(seed),
                generation: 0,
                inodes: HashMap::new(),
                next_inode: 1,
                names: BTreeMap::new(),
                durable_names: BTreeMap::new(),
                changes: Vec::new(),
                folders: BTreeSet::new(),
                budget_bytes: None,
                troubles: Vec::new(),
                trace: Vec::new(),
            })),
        }
    }

    /// The machine stops and starts again: only what was synced is sure to be there.
    pub fn crash(&self) {
        self.disk.lock().crash();
    }

    /// The size of the disk; `None` for no limit.
    pub fn set_budget(&self, bytes: Option<u64>) {
        self.disk.lock().budget_bytes = bytes;
    }

    /// Lets something go wrong, once.
    pub fn trouble(&self, trouble: Trouble) {
        self.disk.lock().troubles.push(trouble);
    }

    /// Forgets troubles that have not come yet.
    pub fn calm(&self) {
        self.disk.lock().troubles.clear();
    }

    /// Every change so far, one line each.
    pub fn trace(&self) -> Vec<String> {
        self.disk.lock().trace.clone()
    }

    /// Changes bytes behind everybody's back, durably.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk.lock();
        let Some(&inode) = disk.names.get(path) else { return };
        if let Some(inode) = disk.inodes.get_mut(&inode) {
            change(&mut inode.seen);
            inode.durable = inode.seen.clone();
            inode.dirty.clear();
        }
    }

    fn handle(&self, inode: u64, writable: bool) -> Box<dyn File> {
        let generation = self.disk.lock().generation;
        Box::new(SimFile { disk: Arc::clone(&self.disk), inode, generation, writable })
    }

    fn lookup(&self, path: &Path) -> io::Result<u64> {
        self.disk.lock().names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk {
    fn note(&mut self, line: String) {
        self.trace.push(line);
    }

    /// Counts a call down; answers the error when its trouble has come.
    fn strikes(&mut self, call: Call) -> Option<io::Error> {
        let mut strike = None;
        self.troubles.retain_mut(|trouble| {
            let (left, error) = match trouble {
                Trouble::Write(left) if call == Call::Write => (left, io::ErrorKind::Other),
                Trouble::Full(left) if call == Call::Write => (left, io::ErrorKind::StorageFull),
                Trouble::Sync(left) if call == Call::Sync => (left, io::ErrorKind::Other),
                Trouble::Read(left) if call == Call::Read => (left, io::ErrorKind::Other),
                Trouble::Panic(left) if call == Call::Write => {
                    assert!(*left > 0, "simulated panic");
                    (left, io::ErrorKind::Other)
                }
                _ => return true,
            };
            if *left == 0 && strike.is_none() {
                strike = Some(match call {
                    Call::Read => rustix::io::Errno::IO.into(),
                    _ => io::Error::new(error, "simulated trouble"),
                });
                return false;
            }
            *left = left.saturating_sub(1);
            true
        });
        strike
    }

    fn used_bytes(&self) -> u64 {
        let size = |inode: &Inode| (inode.seen.len() as u64).max(inode.reserved);
        let named: BTreeSet<_> = self.names.values().collect();
        named.iter().filter_map(|inode| self.inodes.get(inode)).map(size).sum()
    }

    fn free_bytes(&self) -> u64 {
        self.budget_bytes.map_or(u64::MAX / 4, |budget| budget.saturating_sub(self.used_bytes()))
    }

    /// Makes room for a file to grow to `len`, or says that the disk is full.
    fn grow(&mut self, inode: u64, len: u64) -> io::Result<()> {
        let Some(file) = self.inodes.get(&inode) else { return Ok(()) };
        let has = (file.seen.len() as u64).max(file.reserved);
        if len.saturating_sub(has) > self.free_bytes() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn crash(&mut self) {
        self.generation += 1;
        let mut numbers: Vec<u64> = self.inodes.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            if let Some(inode) = self.inodes.get_mut(&number) {
                inode.settle(&mut self.random);
                inode.seen = inode.durable.clone();
                inode.reserved = 0;
            }
        }
        for change in std::mem::take(&mut self.changes) {
            if self.random.bool() {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        self.inodes.retain(|number, _| named.contains(number));
        self.note("crash".to_owned());
    }
}

impl Files for SimFiles {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let number = {
            let mut disk = self.disk.lock();
            if disk.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if disk.free_bytes() == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let number = disk.next_inode;
            disk.next_inode += 1;
            disk.inodes.insert(number, Inode::default());
            disk.names.insert(path.to_owned(), number);
            disk.changes.push(NameChange::Create { path: path.to_owned(), inode: number });
            disk.note(format!("create {}", path.display()));
            number
        };
        Ok(self.handle(number, true))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.handle(self.lookup(path)?, true))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.handle(self.lookup(path)?, false))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let inode = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.names.insert(to.to_owned(), inode);
        disk.changes.push(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        disk.note(format!("rename {} {}", from.display(), to.display()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        disk.changes.push(NameChange::Remove { path: path.to_owned() });
        disk.note(format!("remove {}", path.display()));
        Ok(())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.folders.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk.lock();
        let inside = disk.names.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| Some(name.file_name()?.to_str()?.to_owned())).collect())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if let Some(error) = disk.strikes(Call::Sync) {
            disk.note(format!("sync_dir fails {}", path.display()));
            return Err(error);
        }
        let mut rest = Vec::new();
        for change in std::mem::take(&mut disk.changes) {
            if change.folder() == Some(path) {
                change.apply(&mut disk.durable_names);
            } else {
                rest.push(change);
            }
        }
        disk.changes = rest;
        disk.note(format!("sync_dir {}", path.display()));
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.disk.lock().free_bytes())
    }
}

struct SimFile {
    disk: Arc<Mutex<Disk>>,
    inode: u64,
    generation: u64,
    writable: bool,
}

impl SimFile {
    /// Does something with the file, unless the machine has stopped since it was opened.
    fn with<T>(&self, act: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        let mut disk = self.disk.lock();
        if disk.generation != self.generation {
            return Err(io::Error::other("the machine has stopped since the file was opened"));
        }
        act(&mut disk)
    }

    fn writing<T>(&self, act: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.with(act)
    }

    fn inode<'a>(&self, disk: &'a mut Disk) -> io::Result<&'a mut Inode> {
        disk.inodes.get_mut(&self.inode).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl File for SimFile {
    fn write_all_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.writing(|disk| {
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let struck = disk.strikes(Call::Write);
            let full = disk.grow(self.inode, offset + bytes.len() as u64);
            disk.note(format!("write {} at {offset} +{} {struck:?}", self.inode, bytes.len()));
            full?;
            let Some(error) = struck else {
                self.inode(disk)?.write(&bytes, offset as usize);
                return Ok(());
            };
            // As with a real one, a part may have been written before the error.
            let part = disk.random.usize(..=bytes.len());
            self.inode(disk)?.write(&bytes[..part], offset as usize);
            Err(error)
        })
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|disk| {
            if let Some(error) = disk.strikes(Call::Read) {
                return Err(error);
            }
            let seen = &self.inode(disk)?.seen;
            let offset = offset as usize;
            let bytes =
                seen.get(offset..offset + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|disk| {
            let struck = disk.strikes(Call::Sync);
            disk.note(format!("sync {} {struck:?}", self.inode));
            let Disk { inodes, random, .. } = disk;
            let inode = inodes.get_mut(&self.inode).ok_or(io::ErrorKind::NotFound)?;
            if let Some(error) = struck {
                inode.settle(random);
                return Err(error);
            }
            inode.sync();
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writing(|disk| {
            disk.grow(self.inode, len)?;
            disk.note(format!("set_len {} {len}", self.inode));
            self.inode(disk)?.set_len(len as usize);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|disk| Ok(self.inode(disk)?.seen.len() as u64))
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.writing(|disk| {
            disk.grow(self.inode, len)?;
            disk.note(format!("reserve {} {len}", self.inode));
            let inode = self.inode(disk)?;
            inode.reserved = inode.reserved.max(len);
            Ok(())
        })
    }

    fn forget_pages(&self, offset: u64, bytes: u64) {
        self.disk.lock().note(format!("forget {} at {offset} +{bytes}", self.inode));
    }
}

#[cfg(test)]
mod tests;
