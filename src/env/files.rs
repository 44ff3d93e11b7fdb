//! The filesystem as the journal and the ledger use it: positioned reads and writes, explicit
//! syncs. Nothing is durable before `sync_data` (contents) and `sync_dir` (names) returned Ok.

use std::{
    any::Any,
    fs,
    io::{self, IoSlice},
    num::NonZeroU64,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// An open file. All offsets are absolute; there is no shared cursor.
pub trait File: Send + Sync {
    /// Writes all slices one after the other at `offset`, in as few system calls as possible.
    fn write_all_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Fills `buffer` from `offset`; `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Appends `bytes` bytes from `offset` on to `buffer`, which after an error is as before.
    fn read_more_at(&self, buffer: &mut Vec<u8>, bytes: usize, offset: u64) -> io::Result<()> {
        let start = buffer.len();
        buffer.resize(start + bytes, 0);
        let read = self.read_exact_at(&mut buffer[start..], offset);
        if read.is_err() {
            buffer.truncate(start);
        }
        read
    }
    /// Returns once the contents (and the length) are on stable storage.
    fn sync_data(&self) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reserves `len` bytes of disk space without changing what is read, so that a later write
    /// within it cannot meet a full disk. A filesystem that cannot do it answers Ok.
    fn reserve(&self, len: u64) -> io::Result<()>;
    /// What lies there and is on stable storage need not be kept in memory, too.
    fn forget_pages(&self, offset: u64, bytes: u64) {
        let _ = (offset, bytes);
    }
}

/// The names on a disk.
pub trait Files: Send + Sync {
    /// Creates a file that must not exist, for reading and writing.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens an existing file for reading only.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Makes creations, renames and removals in the folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Bytes that may still be written on the disk that holds `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Creates a file that must not exist and that only its owner may read or write.
    fn create_private(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.create_new(path)
    }

    /// Takes a lock file for as long as the answer lives; `WouldBlock` if another process (or this
    /// one) holds it. A filesystem that nobody else can see has nothing to lock.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let _ = path;
        Ok(Box::new(()))
    }

    /// The whole of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open_read(path)?;
        let mut bytes = vec![0; file.len()? as usize];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Replaces a small file durably: a crash leaves the old content or the new one, never a mix.
    /// Only the owner may read it: such files hold settings, and keys among them.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        match self.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.create_private(&temporary)?;
        file.write_all_at(&[IoSlice::new(content)], 0)?;
        file.sync_data()?;
        drop(file);
        self.rename(&temporary, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }
}

/// The machine's own filesystem.
pub struct RealFiles;

struct RealFile(fs::File);

impl File for RealFile {
    fn write_all_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut rest: Vec<IoSlice<'_>> = slices.to_vec();
        let mut rest = &mut rest[..];
        let mut offset = offset;
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            // The kernel takes at most IOV_MAX (1,024) slices a call.
            let head = &rest[..rest.len().min(1024)];
            match rustix::io::pwritev(&self.0, head, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    /// Reads into the memory as it is: zeros that are overwritten at once cost time.
    fn read_more_at(&self, buffer: &mut Vec<u8>, bytes: usize, offset: u64) -> io::Result<()> {
        use rustix::{buffer::spare_capacity, io::Errno};
        let (start, end) = (buffer.len(), buffer.len() + bytes);
        buffer.reserve_exact(bytes);
        while buffer.len() < end {
            let at = offset + (buffer.len() - start) as u64;
            let error = match rustix::io::pread(&self.0, spare_capacity(buffer), at) {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Ok(_) | Err(Errno::INTR) => continue,
                Err(error) => error.into(),
            };
            buffer.truncate(start);
            return Err(error);
        }
        // The allocator may have given more than was asked for.
        buffer.truncate(end);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        use rustix::{fs::FallocateFlags, io::Errno};
        match rustix::fs::fallocate(&self.0, FallocateFlags::KEEP_SIZE, 0, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            other => other.map_err(Into::into),
        }
    }

    fn forget_pages(&self, offset: u64, bytes: u64) {
        use rustix::fs::{Advice, fadvise};
        // Advice: where it is not taken, nothing is lost.
        let _ = fadvise(&self.0, offset, NonZeroU64::new(bytes), Advice::DontNeed);
    }
}

impl Files for RealFiles {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = fs::File::options().read(true).write(true).create_new(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(RealFile(fs::File::options().read(true).write(true).open(path)?)))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(RealFile(fs::File::open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.into() };
        fs::File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    fn create_private(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut options = fs::File::options();
        options.read(true).write(true).create_new(true).mode(0o600);
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        use rustix::fs::{FlockOperation, flock};
        let file = fs::File::options().write(true).create(true).truncate(false).open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_file_is_read_behind_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = RealFiles.create_new(&folder.path().join("a")).unwrap();
        file.write_all_at(&[IoSlice::new(b"0123456789")], 0).unwrap();
        let mut buffer = Vec::with_capacity(100);
        buffer.extend_from_slice(b"ab");
        file.read_more_at(&mut buffer, 3, 4).unwrap();
        assert_eq!(buffer, b"ab456");
        let error = file.read_more_at(&mut buffer, 3, 8).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(buffer, b"ab456", "as before");
    }
}
