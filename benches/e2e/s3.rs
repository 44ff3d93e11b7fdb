//! The S3 server beside the daemon: versitygw from the tests' cache, or a built-in one that checks
//! what arrives and costs next to nothing. Both keep objects as files, so both are read alike.

use std::{
    collections::HashMap,
    fs,
    net::SocketAddr,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

use crate::{
    client::{ACCESS_KEY_ID, REGION, SECRET},
    server::{BUCKET, free_address},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// A real S3 server on a folder.
    Versitygw,
    /// Checks size and checksum of every object and writes it to a file; no more.
    Null,
}

pub struct S3 {
    pub address: SocketAddr,
    root: PathBuf,
    /// Size on disk and size of the records in it, of every object seen so far.
    seen: HashMap<PathBuf, (u64, u64)>,
    process: Option<Child>,
}

/// What lies in the bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    pub objects: u64,
    pub object_bytes: u64,
    /// Bytes of records before compression.
    pub record_bytes: u64,
}

impl S3 {
    pub async fn start(choice: Choice, folder: &Path) -> Result<Self> {
        let root = folder.join("s3");
        // versitygw takes folders as buckets; the other one does too.
        fs::create_dir_all(root.join(BUCKET))?;
        let address = free_address()?;
        let process = match choice {
            Choice::Versitygw => Some(spawn_versitygw(address, &root, folder)?),
            Choice::Null => {
                spawn_null(address, root.clone())?;
                None
            }
        };
        let server = Self { address, root, seen: HashMap::new(), process };
        let start = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            ensure!(start.elapsed() < Duration::from_secs(30), "the S3 server does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(server)
    }

    /// Counts what is stored, by the trailers of the gzip members; reads each object once.
    pub fn stored(&mut self) -> Result<Stored> {
        for path in self.objects()? {
            if self.seen.contains_key(&path) {
                continue;
            }
            let file = fs::File::open(&path)?;
            let size = file.metadata()?.len();
            ensure!(size >= 18, "{} is shorter than any gzip member", path.display());
            // ISIZE, RFC 1952 section 2.3.1: the input's length modulo 2^32.
            let mut isize_field = [0; 4];
            file.read_exact_at(&mut isize_field, size - 4)?;
            self.seen.insert(path, (size, u64::from(u32::from_le_bytes(isize_field))));
        }
        let mut sum = Stored { objects: self.seen.len() as u64, ..Stored::default() };
        for (size, records) in self.seen.values() {
            sum.object_bytes += size;
            sum.record_bytes += records;
        }
        Ok(sum)
    }

    /// The folder whose folders are its buckets.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The files of the bucket.
    pub fn objects(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut open = vec![self.root.join(BUCKET)];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let name = entry.file_name();
                // Where servers keep what is not an object yet.
                if name.to_string_lossy().starts_with('.') {
                    continue;
                }
                if entry.file_type()?.is_dir() {
                    open.push(entry.path());
                } else {
                    found.push(entry.path());
                }
            }
        }
        Ok(found)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // Nothing of it is needed any more.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Where `tests/servers/install.sh` puts servers.
pub fn cache() -> PathBuf {
    std::env::var_os("STANDPIPE_TEST_CACHE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-servers"),
        PathBuf::from,
    )
}

/// Where `tests/servers/install.sh` puts it, or on the path.
fn versitygw() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    [cache().join("bin")]
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join("versitygw"))
        .find(|candidate| candidate.is_file())
}

/// versitygw if it is installed.
pub fn default_choice() -> Choice {
    if versitygw().is_some() { Choice::Versitygw } else { Choice::Null }
}

fn spawn_versitygw(address: SocketAddr, root: &Path, folder: &Path) -> Result<Child> {
    let binary = versitygw().context("versitygw is not installed: run tests/servers/install.sh")?;
    let log = fs::File::create(folder.join("versitygw.log"))?;
    Command::new(binary)
        .args(["--access", ACCESS_KEY_ID, "--secret", SECRET, "--region", REGION, "--quiet"])
        .args(["--port", &address.to_string(), "posix"])
        .arg(root)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("start versitygw")
}

/// Serves on a thread of its own until the process ends.
fn spawn_null(address: SocketAddr, root: PathBuf) -> Result<()> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let root = Arc::new(root);
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a bound listener");
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let root = root.clone();
                let service = service_fn(move |request| answer(root.clone(), request));
                // A connection that breaks off is the client's affair.
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
    });
    Ok(())
}

async fn answer(root: Arc<PathBuf>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let status = match *request.method() {
        Method::PUT if request.uri().query().is_none_or(|q| q.starts_with("x-id=")) => {
            match store(&root, request).await {
                Ok(()) => StatusCode::OK,
                Err(error) => {
                    eprintln!("the S3 server refuses an object: {error:#}");
                    StatusCode::BAD_REQUEST
                }
            }
        }
        Method::HEAD | Method::GET => StatusCode::OK,
        _ => StatusCode::NOT_IMPLEMENTED,
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response.headers_mut().insert("etag", "\"0\"".parse()?);
    Ok(response)
}

async fn store(root: &Path, request: Request<Incoming>) -> Result<()> {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|v| v.to_str().ok());
    let received = body.collect().await?.to_bytes();
    let declared: usize = header("content-length").context("no content-length")?.parse()?;
    ensure!(received.len() == declared, "{} of {declared} bytes arrived", received.len());

    let chunked = header("x-amz-content-sha256").is_some_and(|v| v.starts_with("STREAMING-"));
    let (object, trailer) =
        if chunked { unchunk(&received)? } else { (received.clone(), String::new()) };
    if let Some(size) = header("x-amz-decoded-content-length") {
        ensure!(object.len() == size.parse::<usize>()?, "the decoded length is wrong");
    }
    let sum = header("x-amz-checksum-crc32")
        .or_else(|| trailer.lines().find_map(|l| l.strip_prefix("x-amz-checksum-crc32:")));
    if let Some(sum) = sum {
        let own = base64_simd::STANDARD.encode_to_string(crc32fast::hash(&object).to_be_bytes());
        ensure!(sum.trim() == own, "the checksum is wrong");
    }
    let key = percent_encoding::percent_decode_str(head.uri.path()).decode_utf8()?;
    let path = root.join(key.trim_start_matches('/'));
    let folder = path.parent().context("a key has a bucket")?;
    fs::create_dir_all(folder)?;
    let unfinished = root.join(format!(".{}", crate::client::invocation()));
    fs::write(&unfinished, &object)?;
    fs::rename(unfinished, path)?;
    Ok(())
}

/// Takes the `aws-chunked` encoding apart: the object, and the trailing headers.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>
fn unchunk(mut rest: &[u8]) -> Result<(Bytes, String)> {
    let mut object = Vec::with_capacity(rest.len());
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n").context("a chunk without a head")?;
        let head = std::str::from_utf8(&rest[..end])?;
        let size = usize::from_str_radix(head.split(';').next().unwrap_or(head), 16)?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok((object.into(), String::from_utf8_lossy(rest).into_owned()));
        }
        if rest.len() < size + 2 {
            bail!("a chunk is cut short");
        }
        object.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}
