//! A local folder as a store.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
    time::UNIX_EPOCH,
};

use bytes::Bytes;

use super::{Object, StoreError};
use crate::sinks::file::TEMPORARY;

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;
/// Objects of a page.
const PAGE: usize = 1_000;
/// Folders inside of each other; symbolic links to folders are not followed, so only a strange tree
/// comes near it.
const DEPTH_MAX: usize = 256;

/// A folder, or a single file in one.
pub struct Folder {
    root: PathBuf,
    /// The one file that is meant.
    only: Option<String>,
}

impl Folder {
    pub fn new(path: PathBuf) -> Self {
        if path.is_file()
            && let (Some(root), Some(name)) = (path.parent(), path.file_name())
        {
            let only = Some(name.to_string_lossy().into_owned());
            return Self { root: root.to_owned(), only };
        }
        Self { root: path, only: None }
    }

    pub fn list(&self) -> Listing {
        match &self.only {
            None => Listing { root: self.root.clone(), open: vec![vec![self.root.clone()]] },
            Some(name) => {
                Listing { root: self.root.clone(), open: vec![vec![self.root.join(name)]] }
            }
        }
    }

    /// Whether a place to move objects to lies below the folder.
    pub(super) fn contains(&self, key: &str) -> bool {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.only.is_none() && absolute(&self.root.join(key)).starts_with(absolute(&self.root))
    }

    /// What a manifest names must lie below the folder: manifests come from whoever could write
    /// there.
    pub fn named(&self, url: &str) -> Result<Object, StoreError> {
        let elsewhere = || StoreError::Object("it is not below this folder".to_owned());
        let path = url.strip_prefix("file:").ok_or_else(elsewhere)?;
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = self.root.join(path);
        let real = fs::canonicalize(&path)?;
        let root = fs::canonicalize(&self.root)?;
        let below = real.strip_prefix(&root).map_err(|_| elsewhere())?;
        object(&root, &root.join(below))
    }

    pub fn open(&self, object: &Object, offset: u64) -> Result<super::Body, StoreError> {
        let mut file = File::open(self.path(&object.key)?)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(super::Body::File(file))
    }

    pub fn delete(&self, object: &Object) -> Result<(), StoreError> {
        Ok(fs::remove_file(self.path(&object.key)?)?)
    }

    /// `key` may be a path of its own or one below the folder.
    pub fn move_to(&self, object: &Object, key: &str) -> Result<(), StoreError> {
        let (from, to) = (self.path(&object.key)?, self.root.join(key));
        let parent = to.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent)?;
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                fs::copy(&from, &to)?;
                File::open(&to)?.sync_all()?;
                File::open(parent)?.sync_all()?;
                fs::remove_file(&from)?;
            }
            moved => moved?,
        }
        Ok(())
    }

    fn path(&self, key: &str) -> Result<PathBuf, StoreError> {
        let path = Path::new(key);
        match path.components().all(|part| matches!(part, Component::Normal(_))) {
            true => Ok(self.root.join(path)),
            false => Err(StoreError::Object(format!("{key:?} is not below this folder"))),
        }
    }
}

/// What is still to be visited: of each open folder the rest of its entries, the next one last.
pub struct Listing {
    root: PathBuf,
    open: Vec<Vec<PathBuf>>,
}

impl Listing {
    pub fn next(&mut self) -> Result<Vec<Object>, StoreError> {
        let mut page = Vec::new();
        while let Some(level) = self.open.last_mut() {
            let Some(path) = level.pop() else {
                self.open.pop();
                continue;
            };
            let is_root = path == self.root;
            // The root itself may be a link.
            let metadata = if is_root { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
            let metadata = metadata.map_err(|error| cannot(&path, &error))?;
            if metadata.is_dir() {
                if self.open.len() > DEPTH_MAX {
                    return Err(StoreError::Store(format!("{} is too deep", path.display())));
                }
                self.open.push(entries(&path)?);
                continue;
            }
            // A link to a file is read; a pipe would never end.
            if fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
                page.push(object(&self.root, &path)?);
            }
            if page.len() == PAGE {
                break;
            }
        }
        Ok(page)
    }
}

fn cannot(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Store(format!("{}: {error}", path.display()))
}

/// In reverse order of their names, folders as if `/` stood behind them: as S3 sorts keys.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| cannot(folder, &error))? {
        let entry = entry.map_err(|error| cannot(folder, &error))?;
        if entry.file_name() == TEMPORARY {
            continue;
        }
        let mut name = entry.file_name().into_encoded_bytes();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            name.push(b'/');
        }
        entries.push((name, entry.path()));
    }
    entries.sort_unstable_by(|one, other| other.cmp(one));
    Ok(entries.into_iter().map(|(_, path)| path).collect())
}

fn object(root: &Path, path: &Path) -> Result<Object, StoreError> {
    let metadata = fs::metadata(path)?;
    let modified_ms = metadata
        .modified()?
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    let key = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    Ok(Object {
        bucket: String::new(),
        key,
        size_bytes: metadata.len(),
        modified_ms,
        etag: String::new(),
    })
}

/// The next bytes of a file.
pub(super) fn next(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut bytes = Vec::with_capacity(READ_BYTES);
    file.by_ref().take(READ_BYTES as u64).read_to_end(&mut bytes)?;
    Ok((!bytes.is_empty()).then(|| bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::store::{Source, Store};

    fn write(root: &Path, key: &str, data: &[u8]) {
        let path = root.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }

    async fn keys(store: &Store) -> Vec<String> {
        let mut listing = store.list("");
        let mut keys = Vec::new();
        loop {
            let page = listing.next().await.unwrap();
            if page.is_empty() {
                return keys;
            }
            keys.extend(page.into_iter().map(|object| object.key));
        }
    }

    fn store(path: PathBuf) -> Store {
        Store::Folder(Folder::new(path))
    }

    #[tokio::test]
    async fn a_folder_is_listed_as_a_bucket_would_be() {
        let root = tempfile::tempdir().unwrap();
        for key in ["b/2", "a.txt", "a/z", "a/b/c", "b/1", ".standpipe-tmp/x"] {
            write(root.path(), key, key.as_bytes());
        }
        std::os::unix::fs::symlink(root.path(), root.path().join("loop")).unwrap();
        let store = store(root.path().to_owned());
        // `.` sorts before `/`.
        assert_eq!(keys(&store).await, ["a.txt", "a/b/c", "a/z", "b/1", "b/2"]);
        let single = super::Folder::new(root.path().join("b/1"));
        assert_eq!(keys(&Store::Folder(single)).await, ["1"]);
    }

    #[tokio::test]
    async fn more_than_a_page_is_listed() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..PAGE + 5 {
            write(root.path(), &format!("{number:05}"), b"");
        }
        assert_eq!(keys(&store(root.path().to_owned())).await.len(), PAGE + 5);
    }

    #[tokio::test]
    async fn objects_are_read_moved_and_deleted() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "e/a", b"0123456789");
        let store = store(root.path().to_owned());
        let object = store.list("").next().await.unwrap().remove(0);
        assert_eq!((object.key.as_str(), object.size_bytes), ("e/a", 10));
        let mut body = store.open(&object, 4).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), "456789");
        assert_eq!(body.next().await.unwrap(), None);
        store.move_to(&object, "done/e/a").await.unwrap();
        assert_eq!(keys(&store).await, ["done/e/a"]);
        let object = store.list("").next().await.unwrap().remove(0);
        store.delete(&object).await.unwrap();
        assert!(keys(&store).await.is_empty());
        let gone = store.delete(&object).await;
        assert!(matches!(gone, Err(StoreError::Object(_))), "{gone:?}");
    }

    #[tokio::test]
    async fn a_manifest_names_nothing_outside() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "in/data", b"x");
        write(root.path(), "out", b"x");
        let store = store(root.path().join("in"));
        let inside = format!("file://{}", root.path().join("in/data").display());
        assert_eq!(store.named(&inside).await.unwrap().key, "data");
        assert_eq!(store.named("file:data").await.unwrap().key, "data");
        let outside = format!("file://{}", root.path().join("out").display());
        for url in [&outside, "file:../out", "s3://b/k", "file:absent"] {
            assert!(store.named(url).await.is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn a_missing_folder_is_no_empty_one() {
        let root = tempfile::tempdir().unwrap();
        let source = Source::Folder(root.path().join("absent"));
        let Source::Folder(path) = source else { unreachable!() };
        assert!(matches!(store(path).list("").next().await, Err(StoreError::Store(_))));
    }
}
