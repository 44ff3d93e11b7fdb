//! What reading costs: records that wait somewhere, read from the oldest until all are in S3.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::{
    s3::S3,
    server::{Daemon, STREAM, Setup},
};

/// What is open is flushed once so much less is missing: what would wait for its interval.
const NEAR_BYTES: u64 = 16 << 20;
/// As long as records come, nothing is flushed: a flush would make small objects.
const QUIET: Duration = Duration::from_secs(3);
const STALLED: Duration = Duration::from_secs(60);

/// What it came to.
pub struct Pulled {
    daemon: Daemon,
    cpu_s: f64,
    elapsed: Duration,
    bytes: u64,
}

/// Starts the daemon, and waits until `bytes` of records lie in S3 and that is written down. CPU
/// and clock run from the start of the process.
pub async fn all(setup: &Setup, s3: &mut S3, bytes: u64) -> Result<Pulled> {
    let start = Instant::now();
    let daemon = setup.start().await?;
    let mut last = (0, Instant::now());
    loop {
        let stored = s3.stored()?.record_bytes;
        if stored >= bytes {
            break;
        }
        if stored > last.0 {
            last = (stored, Instant::now());
        }
        let quiet = last.1.elapsed();
        if quiet > QUIET || (bytes - stored < NEAR_BYTES && quiet > Duration::from_millis(200)) {
            daemon.api.flush(STREAM).await?;
        }
        ensure!(
            quiet < STALLED,
            "{stored} of {bytes} bytes are delivered, and no more come\n{}",
            daemon.last_lines()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    daemon.settled().await?;
    let elapsed = start.elapsed();
    let cpu_s = daemon.cpu_s()?;
    let stored = s3.stored()?;
    ensure!(stored.record_bytes == bytes, "{stored:?} is not what was to be read");
    Ok(Pulled { daemon, cpu_s, elapsed, bytes })
}

impl Pulled {
    /// Prints it, and ends the daemon.
    pub async fn report(self, name: &str, bar: f64) -> Result<()> {
        let (_, peak) = self.daemon.memory_mb()?;
        self.daemon.terminate().await?;
        println!(
            "| 1.5 KB {name}: CPU per GB until it lies in S3 | {:.2} s | ≤ {bar} s |",
            self.cpu_s / (self.bytes as f64 / 1e9)
        );
        println!(
            "| the same: throughput, memory | {:.0} MB/s, {peak:.0} MB | |",
            self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64()
        );
        Ok(())
    }
}
