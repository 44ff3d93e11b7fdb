//! What the kernel tells of folders: a hint to look sooner, never the truth. It knows nothing of
//! network filesystems, loses events when too many come, and has a limit of folders.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    ffi::OsStr,
    io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};
use tokio::io::unix::AsyncFd;

/// What has happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// Files that were written to.
    pub written: HashSet<PathBuf>,
    /// Names have come, gone or changed.
    pub names: bool,
}

/// Folders that the kernel watches for us.
pub struct Watch {
    inotify: AsyncFd<OwnedFd>,
    folders: HashMap<i32, PathBuf>,
    watched: HashSet<PathBuf>,
    /// Some folder could not be watched.
    incomplete: bool,
}

impl Watch {
    #[expect(
        deprecated,
        reason = "its successor is unsafe code; this descriptor is owned, and stays"
    )]
    pub fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self {
            inotify: AsyncFd::new(inotify)?,
            folders: HashMap::new(),
            watched: HashSet::new(),
            incomplete: false,
        })
    }

    /// Whether every folder is watched.
    pub fn is_complete(&self) -> bool {
        !self.incomplete
    }

    /// Watches these folders, and no others.
    pub fn set(&mut self, folders: &[PathBuf]) {
        let wanted: HashSet<&Path> = folders.iter().map(PathBuf::as_path).collect();
        let inotify = self.inotify.get_ref();
        self.folders.retain(|&descriptor, path| {
            let keep = wanted.contains(path.as_path());
            if !keep {
                self.watched.remove(path);
                // It may be gone already, and its watch with it.
                let _ = inotify::remove_watch(inotify, descriptor);
            }
            keep
        });
        self.incomplete = false;
        for folder in folders {
            if self.watched.contains(folder) {
                continue;
            }
            match inotify::add_watch(inotify, folder, events()) {
                // Two paths to one folder share a descriptor: the first keeps it.
                Ok(descriptor) => {
                    if let Entry::Vacant(place) = self.folders.entry(descriptor) {
                        place.insert(folder.clone());
                        self.watched.insert(folder.clone());
                    }
                }
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(_) => self.incomplete = true,
            }
        }
    }

    /// Waits for something to happen.
    pub async fn next(&mut self) -> Hint {
        loop {
            let Ok(mut ready) = self.inotify.readable().await else {
                return std::future::pending().await;
            };
            let (folders, watched) = (&mut self.folders, &mut self.watched);
            match ready.try_io(|inotify| drain(inotify.get_ref(), folders, watched)) {
                Ok(Ok(hint)) => return hint,
                Ok(Err(_)) => return Hint { names: true, ..Hint::default() },
                Err(_nothing_yet) => {}
            }
        }
    }
}

fn events() -> WatchFlags {
    WatchFlags::CREATE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE
        | WatchFlags::MODIFY
        | WatchFlags::ONLYDIR
}

/// Everything that has been told so far; `WouldBlock` if nothing.
fn drain(
    inotify: &OwnedFd,
    folders: &mut HashMap<i32, PathBuf>,
    watched: &mut HashSet<PathBuf>,
) -> io::Result<Hint> {
    let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 4096];
    let mut reader = inotify::Reader::new(inotify, &mut buffer);
    let mut hint: Option<Hint> = None;
    loop {
        let event = match reader.next() {
            Ok(event) => event,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => return hint.ok_or_else(|| io::ErrorKind::WouldBlock.into()),
            Err(error) => return Err(error.into()),
        };
        let hint = hint.get_or_insert_default();
        if event.events().contains(ReadFlags::IGNORED) {
            // The folder is gone; should it come again, it is watched again.
            if let Some(path) = folders.remove(&event.wd()) {
                watched.remove(&path);
            }
            hint.names = true;
        } else if event.events().contains(ReadFlags::MODIFY) {
            if let (Some(folder), Some(name)) = (folders.get(&event.wd()), event.file_name()) {
                hint.written.insert(folder.join(OsStr::from_bytes(name.to_bytes())));
            }
        } else {
            hint.names = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_and_names_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.log");
        std::fs::write(&file, "x").unwrap();
        let mut watch = Watch::new().unwrap();
        watch.set(&[folder.path().to_owned(), folder.path().join("missing")]);
        assert!(watch.is_complete());
        std::fs::write(&file, "xy").unwrap();
        let hint = watch.next().await;
        assert_eq!(hint.written, HashSet::from([file.clone()]));
        std::fs::rename(&file, folder.path().join("b.log")).unwrap();
        assert!(watch.next().await.names);
        watch.set(&[]);
        // The end of the watch is told too; what happens after it is not.
        assert!(watch.next().await.names);
        std::fs::write(folder.path().join("b.log"), "z").unwrap();
        assert!(drain(watch.inotify.get_ref(), &mut watch.folders, &mut watch.watched).is_err());
    }
}
