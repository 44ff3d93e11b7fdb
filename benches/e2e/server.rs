//! The daemon under test: the real binary, its configuration, and what the kernel says of it.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    client::{ACCESS_KEY_ID, Api, REGION, SECRET},
    process,
};

pub const STREAM: &str = "bench";
pub const BUCKET: &str = "bench";

/// How to start it.
pub struct Setup {
    pub binary: PathBuf,
    /// Folder for configuration, log and data; on the disk to be measured.
    pub folder: PathBuf,
    pub s3: SocketAddr,
    /// What the journal promises and holds, in YAML.
    pub journal: String,
    /// Where records come from, in YAML.
    pub source: String,
    /// The one destination: its kind and what stands below it, in YAML.
    pub destination: String,
}

/// A destination in the bucket, with these further settings.
pub fn bucket(settings: &str) -> String {
    format!("s3:\n          bucket: {BUCKET}\n          path_style: true\n{settings}")
}

/// An HTTP endpoint at this address.
pub fn endpoint(address: SocketAddr) -> String {
    format!("http_endpoint:\n          url: http://{address}/deliveries")
}

/// The same under gzip.
pub fn http_endpoint(address: SocketAddr) -> String {
    format!("{}\n          content_encoding: gzip", endpoint(address))
}

/// The settings of the plain benchmarks.
pub const GZIP: &str = "          compression: gzip
          buffering: {size: 5MiB, interval: 60s}
";

pub struct Daemon {
    child: Child,
    pub api: Arc<Api>,
    log: PathBuf,
}

impl Setup {
    fn config(&self, listen: SocketAddr) -> String {
        let Self { folder, s3, journal, source, destination, .. } = self;
        format!(
            r#"data_dir: {}
api:
  listen: {listen}
  region: {REGION}
  credentials:
    - {{access_key_id: {ACCESS_KEY_ID}, secret_access_key: "{SECRET}"}}
aws:
  region: {REGION}
  endpoint: http://{s3}
  credentials: {{access_key_id: {ACCESS_KEY_ID}, secret_access_key: "{SECRET}"}}
streams:
  {STREAM}:
    source: {source}
    journal: {{{journal}}}
    destinations:
      - {destination}"#,
            folder.join("data").display()
        )
    }

    /// A destination over HTTP without TLS, whose failed records stay in the folder.
    pub fn over_http(&self, destination: &str, buffering: &str) -> String {
        let backup = self.folder.join("failed").display().to_string();
        format!(
            "{destination}\n          plain_http: true\n          buffering: {buffering}\n          backup: {{bucket: \"file://{backup}\"}}\n"
        )
    }

    /// Starts the daemon without waiting for it.
    pub fn spawn(&self) -> Result<Daemon> {
        fs::create_dir_all(&self.folder)?;
        let listen = free_address()?;
        let config = self.folder.join("config.yaml");
        fs::write(&config, self.config(listen))?;
        let log = self.folder.join("standpipe.log");
        let output = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(&self.binary)
            .arg("run")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("start {}", self.binary.display()))?;
        Ok(Daemon { child, api: Api::new(listen), log })
    }

    pub async fn start(&self) -> Result<Daemon> {
        let mut daemon = self.spawn()?;
        daemon.ready().await?;
        Ok(daemon)
    }
}

impl Daemon {
    /// Waits until it says that it is ready.
    pub async fn ready(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Ok((status, _)) = self.api.once("GET", "/health/ready").await
                && status.is_success()
            {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon ended with {status}\n{}", self.last_lines());
            }
            if start.elapsed() > Duration::from_secs(60) {
                bail!("the daemon was not ready in 60 s\n{}", self.last_lines());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// CPU seconds used so far, user and system.
    pub fn cpu_s(&self) -> Result<f64> {
        process::cpu_s(self.child.id())
    }

    /// Resident memory in MB: now, and the most so far.
    pub fn memory_mb(&self) -> Result<(f64, f64)> {
        process::memory_mb(self.child.id())
    }

    /// The value of a counter or gauge that only one destination has.
    pub async fn metric(&self, name: &str) -> Result<u64> {
        let (_, text) = self.api.once("GET", "/metrics").await?;
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{")));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value.with_context(|| format!("no metric {name}"))?.parse().context("a whole number")
    }

    /// Waits until every record has come to its end, and that is written down; an error if the
    /// destination did not take all of them.
    pub async fn settled(&self) -> Result<()> {
        let start = Instant::now();
        while self.metric("standpipe_backlog_records").await? > 0 {
            if start.elapsed() > Duration::from_secs(60) {
                bail!("records are not settled\n{}", self.last_lines());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let failed = self.metric("standpipe_failed_records_total").await?;
        anyhow::ensure!(failed == 0, "{failed} records failed\n{}", self.last_lines());
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, then the end; an error if it does not end with 0.
    pub async fn terminate(mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                anyhow::ensure!(status.success(), "ended with {status}\n{}", self.last_lines());
                return Ok(());
            }
            anyhow::ensure!(start.elapsed() < Duration::from_secs(90), "no end after SIGTERM");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn last_lines(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already ended, or ended here; there is nothing left to report to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address nobody listens on.
pub fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The binary that cargo built next to this benchmark.
pub fn built_binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_standpipe"))
}
