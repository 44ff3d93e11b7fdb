use std::{fs, os::unix::fs::PermissionsExt};

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::{
    env::{File, RealFiles},
    record::{Ranges, Route},
};

fn shipment(key: &str, body: &'static [u8]) -> Shipment {
    Shipment {
        key: key.into(),
        body: Bytes::from_static(body),
        content_type: "application/octet-stream",
        content_encoding: None,
        records: 1,
        positions: Ranges::of(0, 1),
        route: Route::Objects,
        list: None,
    }
}

fn sink(root: impl Into<PathBuf>) -> FileSink {
    FileSink::new(root.into(), Arc::new(RealFiles))
}

fn names(folder: &Path) -> Vec<String> {
    RealFiles.list(folder).unwrap()
}

async fn code(sink: &FileSink, key: &str) -> String {
    match sink.deliver(&shipment(key, b"x")).await {
        Ok(_) => "delivered".into(),
        Err(Fault::Halt { cause }) => format!("halt {}", cause.code),
        Err(fault) => format!("retry {}", fault.cause().code),
    }
}

#[tokio::test]
async fn an_object_is_a_file_and_nothing_else_is_left() {
    let folder = TempDir::new().unwrap();
    let sink = sink(folder.path());
    for body in [b"first" as &[u8], b"second"] {
        sink.deliver(&shipment("a/b/c.gz", body)).await.unwrap();
        assert_eq!(fs::read(folder.path().join("a/b/c.gz")).unwrap(), body);
    }
    assert_eq!(names(&folder.path().join("a/b")), ["c.gz"]);
    assert_eq!(names(&folder.path().join(TEMPORARY)), Vec::<String>::new());
}

#[tokio::test]
async fn keys_stay_inside_the_root() {
    let outside = TempDir::new().unwrap();
    let root = outside.path().join("root");
    let sink = sink(&root);
    for key in ["../x", "/x", "a/../../../x", "b/..", ".", "//", ".standpipe-tmp/x"] {
        sink.deliver(&shipment(key, b"x")).await.unwrap();
        assert_eq!(fs::read(root.join(key::path(key).unwrap())).unwrap(), b"x", "{key}");
    }
    assert_eq!(names(outside.path()), ["root"]);
}

#[tokio::test]
async fn leftovers_of_a_crash_are_removed_and_files_under_way_are_not() {
    let folder = TempDir::new().unwrap();
    let temporary = folder.path().join(TEMPORARY);
    fs::create_dir(&temporary).unwrap();
    let mine = format!("{}-under-way", *RUN);
    for name in ["0123-leftover", &mine] {
        fs::write(temporary.join(name), "half").unwrap();
    }
    sink(folder.path()).prepare().await;
    assert_eq!(names(&temporary), [mine]);
}

#[tokio::test]
async fn a_missing_folder_holds_until_it_is_there() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("mount/point");
    let sink = sink(&root);
    sink.prepare().await;
    assert_eq!(code(&sink, "a").await, "halt File.NoSuchFolder");
    fs::create_dir(folder.path().join("mount")).unwrap();
    assert_eq!(code(&sink, "a").await, "delivered");

    // The disk goes away while the daemon runs: nothing is written below the mount point.
    fs::rename(&root, folder.path().join("unmounted")).unwrap();
    assert_eq!(code(&sink, "b").await, "halt File.NoSuchFolder");
    fs::create_dir(&root).unwrap();
    assert_eq!(code(&sink, "b").await, "halt File.NoSuchFolder");
    assert_eq!(names(&root), Vec::<String>::new());
    fs::remove_dir(&root).unwrap();
    fs::rename(folder.path().join("unmounted"), &root).unwrap();
    assert_eq!(code(&sink, "b").await, "delivered");
}

#[tokio::test]
async fn a_folder_that_was_tidied_away_is_made_again() {
    let folder = TempDir::new().unwrap();
    let sink = sink(folder.path());
    assert_eq!(code(&sink, "a/b/c").await, "delivered");
    fs::remove_dir_all(folder.path().join("a")).unwrap();
    assert_eq!(code(&sink, "a/b/c").await, "retry File.Vanished");
    assert_eq!(code(&sink, "a/b/c").await, "delivered");
}

#[tokio::test]
async fn what_stands_in_the_way_holds() {
    let folder = TempDir::new().unwrap();
    let sink = sink(folder.path());
    assert_eq!(code(&sink, "a/b").await, "delivered");
    assert_eq!(code(&sink, "a").await, "halt File.Conflict");
    assert_eq!(code(&sink, "a/b/c").await, "halt File.Conflict");
    assert_eq!(code(&sink, &"x".repeat(256)).await, "halt File.KeyTooLong");
    assert_eq!(names(&folder.path().join(TEMPORARY)), Vec::<String>::new());
}

#[tokio::test]
async fn a_permission_holds_until_it_is_given() {
    let folder = TempDir::new().unwrap();
    let sink = sink(folder.path());
    sink.prepare().await;
    let temporary = folder.path().join(TEMPORARY);
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o500)).unwrap();
    // Root may write anywhere; then the scripted disk below is the proof.
    if fs::write(temporary.join("probe"), "").is_err() {
        assert_eq!(code(&sink, "a").await, "halt File.AccessDenied");
    }
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(code(&sink, "a").await, "delivered");
}

/// The real filesystem, with one operation failing as told and every call written down.
#[derive(Default)]
struct Scripted {
    fail: Mutex<Option<(&'static str, io::ErrorKind)>>,
    calls: Arc<Mutex<Vec<String>>>,
}

struct ScriptedFile(Box<dyn File>, Option<io::ErrorKind>, Arc<Mutex<Vec<String>>>);

impl Scripted {
    fn call(&self, operation: &'static str, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = if name.starts_with(RUN.as_str()) { "temporary".into() } else { name };
        self.calls.lock().push(format!("{operation} {name}"));
        match *self.fail.lock() {
            Some((failing, kind)) if failing == operation => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

impl File for ScriptedFile {
    fn write_all_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.2.lock().push("write".into());
        match self.1 {
            Some(kind) => Err(kind.into()),
            None => self.0.write_all_at(slices, offset),
        }
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.2.lock().push("sync".into());
        self.0.sync_data()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn reserve(&self, len: u64) -> io::Result<()> {
        self.0.reserve(len)
    }
}

impl Files for Scripted {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.call("create", path)?;
        let failing = self.fail.lock().filter(|(operation, _)| *operation == "write");
        let file = RealFiles.create_new(path)?;
        Ok(Box::new(ScriptedFile(file, failing.map(|(_, kind)| kind), self.calls.clone())))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        RealFiles.open(path)
    }
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        RealFiles.open_read(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("rename", to)?;
        RealFiles.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFiles.remove(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.call("mkdir", path)?;
        RealFiles.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        RealFiles.list(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call("sync_dir", path)?;
        RealFiles.sync_dir(path)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealFiles.free_bytes(path)
    }
}

#[tokio::test]
async fn what_ails_the_disk_holds_and_what_may_pass_is_tried_again() {
    use io::ErrorKind as Kind;
    for operation in ["create", "write", "mkdir", "rename", "sync_dir"] {
        for (kind, expected) in [
            (Kind::StorageFull, "halt File.NoSpace"),
            (Kind::QuotaExceeded, "halt File.NoSpace"),
            (Kind::PermissionDenied, "halt File.AccessDenied"),
            (Kind::ReadOnlyFilesystem, "halt File.ReadOnly"),
            (Kind::StaleNetworkFileHandle, "halt File.NoSuchFolder"),
            (Kind::TimedOut, "retry File.IoError"),
            (Kind::Other, "retry File.IoError"),
        ] {
            let folder = TempDir::new().unwrap();
            let files = Arc::new(Scripted::default());
            let sink = FileSink::new(folder.path().into(), files.clone());
            sink.prepare().await;
            *files.fail.lock() = Some((operation, kind));
            assert_eq!(code(&sink, "a/b").await, expected, "{operation} {kind}");
            assert_eq!(names(&folder.path().join(TEMPORARY)), Vec::<String>::new());
            *files.fail.lock() = None;
            assert_eq!(code(&sink, "a/b").await, "delivered", "after {operation} {kind}");
        }
    }
}

#[tokio::test]
async fn contents_are_synced_before_the_name_and_every_new_name_after_it() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let files = Arc::new(Scripted::default());
    let sink = FileSink::new(root, files.clone());
    sink.prepare().await;
    files.calls.lock().clear();
    sink.deliver(&shipment("a/b/c", b"x")).await.unwrap();
    assert_eq!(
        std::mem::take(&mut *files.calls.lock()),
        [
            "create temporary",
            "write",
            "sync",
            "mkdir b",
            "sync_dir a",
            "sync_dir root",
            "rename c",
            "sync_dir b",
        ]
    );
    // A folder that is known to be durable costs nothing more.
    sink.deliver(&shipment("a/b/d", b"x")).await.unwrap();
    assert_eq!(
        *files.calls.lock(),
        ["create temporary", "write", "sync", "rename d", "sync_dir b"]
    );
}

#[tokio::test]
async fn a_trial_writes_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let [trial]: [Trial; 1] = sink(folder.path()).check().await.try_into().unwrap();
    assert_eq!(trial.step, "write");
    assert_eq!(trial.result, Ok(format!("{}, synced", folder.path().display())));
    assert_eq!(names(folder.path()), [TEMPORARY]);
    assert_eq!(names(&folder.path().join(TEMPORARY)), Vec::<String>::new());
}

#[tokio::test]
async fn a_trial_names_what_is_wrong_with_the_folder() {
    let folder = TempDir::new().unwrap();
    let [trial]: [Trial; 1] =
        sink(folder.path().join("not/there")).check().await.try_into().unwrap();
    assert_eq!(trial.result.unwrap_err().code, "File.NoSuchFolder");
    for operation in ["create", "write"] {
        let files = Arc::new(Scripted::default());
        let sink = FileSink::new(folder.path().into(), files.clone());
        sink.prepare().await;
        *files.fail.lock() = Some((operation, io::ErrorKind::StorageFull));
        let [trial]: [Trial; 1] = sink.check().await.try_into().unwrap();
        assert_eq!(trial.result.unwrap_err().code, "File.NoSpace", "{operation}");
        assert_eq!(names(&folder.path().join(TEMPORARY)), Vec::<String>::new());
    }
}
