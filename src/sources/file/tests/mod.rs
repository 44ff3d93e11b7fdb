//! Files of every kind, rotated in every way, and read across stops and crashes.

mod packed;
mod restart;
mod rotation;
mod torture;
mod troubles;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{FileSource, Options};
use crate::{
    env::Env,
    net::aws::Access,
    record::Put,
    seams::Source,
    sources::{Context, testing::TestInlet},
    telemetry::{Metrics, SourceMetrics},
};

/// A folder with logs, and a source that follows them and may be stopped and started.
pub struct Bed {
    pub folder: tempfile::TempDir,
    pub options: Options,
    pub inlet: Arc<TestInlet>,
    pub metrics: SourceMetrics,
    /// Records of the inlets before.
    before: Vec<String>,
    running: Option<Running>,
}

struct Running {
    source: Arc<FileSource>,
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Bed {
    /// Follows what the patterns match in a folder of its own.
    pub fn new(include: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let full = |text: &&str| format!("{}/logs/{text}", folder.path().display());
        let include: Vec<_> = include.iter().map(full).collect();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let options = serde_json::json!({
            "include": include, "rotate_wait": "50ms", "last_line_timeout": "1h",
        });
        Self {
            folder,
            options: serde_json::from_value(options).unwrap(),
            inlet: TestInlet::durable(BTreeMap::new()),
            metrics: Metrics::new().source("s"),
            before: Vec::new(),
            running: None,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    pub fn append(&self, name: &str, text: &str) {
        append(&self.path(name), text);
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Last changed long ago.
    pub fn age(&self, name: &str) {
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000);
        File::options().append(true).open(self.path(name)).unwrap().set_modified(long_ago).unwrap();
    }

    pub fn source(&self) -> Arc<FileSource> {
        let access = Access { region: "r".into(), keys: None, role: None, sts_endpoint: None };
        let context = Context {
            msk_endpoint: None,
            stream: "s".into(),
            folder: self.folder.path().join("own"),
            access,
            metrics: self.metrics.clone(),
            env: Env::real(),
        };
        Arc::new(FileSource::new(self.options.clone(), context).unwrap())
    }

    pub fn start(&mut self) {
        let (source, stop) = (self.source(), CancellationToken::new());
        let (it, inlet, token) = (source.clone(), self.inlet.clone(), stop.clone());
        let task = tokio::spawn(async move { it.run(inlet, token).await });
        self.running = Some(Running { source, task, stop });
    }

    /// Stops in order; what comes next starts with what the journal has.
    pub async fn stop(&mut self) {
        let Running { task, stop, .. } = self.running.take().unwrap();
        stop.cancel();
        task.await.unwrap();
        self.reopen();
    }

    /// Ends without any order.
    pub async fn crash(&mut self) {
        let Running { task, .. } = self.running.take().unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        self.reopen();
    }

    fn reopen(&mut self) {
        self.before = self.records();
        self.inlet = self.inlet.reopened();
        self.metrics.parts.set(0);
    }

    pub fn positions(&self) -> BTreeMap<String, String> {
        self.running.as_ref().unwrap().source.positions()
    }

    /// All records so far, those before the last start included.
    pub fn records(&self) -> Vec<String> {
        let text = |record: Vec<u8>| String::from_utf8(record).unwrap();
        self.before.iter().cloned().chain(self.inlet.records().into_iter().map(text)).collect()
    }

    pub fn sorted(&self) -> Vec<String> {
        let mut records = self.records();
        records.sort_unstable();
        records
    }

    /// Waits until there are so many records, those before the last start included.
    pub async fn wait_for(&self, records: usize) {
        let what = format!("record {records}");
        self.until(&what, |bed| bed.records().len() >= records).await;
    }

    /// Waits until it is so.
    pub async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let start = std::time::Instant::now();
        while !so(self) {
            assert!(start.elapsed() < PATIENCE, "{what} did not come: {:?}", self.records());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until so many files are open.
    pub async fn until_open(&self, files: i64) {
        let what = format!("{files} open files");
        self.until(&what, |bed| bed.metrics.parts.get() == files).await;
    }

    /// The puts since the last start.
    pub fn puts(&self) -> Vec<Put> {
        self.inlet.puts()
    }
}

/// A test that waits for longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn append(path: &Path, text: &str) {
    let mut file = File::options().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Lines `from..to`, each with its number.
pub fn numbered(from: usize, to: usize) -> String {
    (from..to).map(|i| format!("{}\n", line(i))).collect()
}

pub fn line(i: usize) -> String {
    format!("line {i:06} of what somebody writes")
}

pub fn lines(from: usize, to: usize) -> Vec<String> {
    (from..to).map(line).collect()
}
