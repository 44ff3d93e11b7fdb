//! Real S3 servers as child processes: started on a free port, waited for, killed on drop.
//!
//! A server that is not installed fails the test; `tests/servers/install.sh` installs it.

use std::{
    env,
    fs::File,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a server may take to answer: generous, for it only decides when to call it broken.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// A port that was free may be taken before the server has it; then another is tried.
const STARTS: usize = 3;

pub const ACCESS_KEY: &str = "AKIASTANDPIPETEST";
pub const SECRET_KEY: &str = "standpipe-test-secret";

/// A running server.
pub struct Server {
    child: Child,
    port: u16,
    /// Its data and its log; gone with it.
    folder: TempDir,
}

impl Server {
    /// Versity's S3 gateway over a folder: checks every signature. Keys are [`ACCESS_KEY`] and
    /// [`SECRET_KEY`].
    pub fn versity() -> Self {
        Self::start(&installed("bin/versitygw"), |command, folder, port| {
            let (data, metadata) = (folder.join("data"), folder.join("metadata"));
            std::fs::create_dir(&data).unwrap();
            std::fs::create_dir(&metadata).unwrap();
            command
                .env("ROOT_ACCESS_KEY", ACCESS_KEY)
                .env("ROOT_SECRET_KEY", SECRET_KEY)
                .args(["--port", &format!("127.0.0.1:{port}"), "posix", "--sidecar"])
                .args([&metadata, &data]);
        })
    }

    /// Moto: takes any key, keeps headers and tags, answers as STS and KMS too.
    pub fn moto() -> Self {
        Self::start(&installed("venv/bin/moto_server"), |command, _, port| {
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        })
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn start(binary: &Path, arguments: impl Fn(&mut Command, &Path, u16)) -> Self {
        let mut log = String::new();
        for _ in 0..STARTS {
            let folder = TempDir::new().unwrap();
            let output = File::create(folder.path().join("log")).unwrap();
            let port = free_port();
            let mut command = Command::new(binary);
            arguments(&mut command, folder.path(), port);
            let child = command
                .stdin(Stdio::null())
                .stdout(output.try_clone().unwrap())
                .stderr(output)
                .spawn()
                .unwrap();
            let mut server = Self { child, port, folder };
            if server.answers() {
                return server;
            }
            log = std::fs::read_to_string(server.folder.path().join("log")).unwrap();
        }
        panic!("{} does not start: {log}", binary.display());
    }

    /// Waits for the port to open, or for the process to end.
    fn answers(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < START_TIMEOUT {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return true;
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "a test's own thread, between two looks"
            )]
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn installed(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cache = env::var_os("STANDPIPE_TEST_CACHE")
        .map_or_else(|| root.join("target/test-servers"), PathBuf::from);
    let binary = cache.join(path);
    assert!(
        binary.is_file(),
        "{} is not installed: run tests/servers/install.sh (with the same STANDPIPE_TEST_CACHE)",
        binary.display()
    );
    binary
}
