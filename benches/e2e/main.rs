//! The end-to-end benchmark: the real binary, a load generator and an S3 server on one machine.
//!
//! ```text
//! cargo bench --bench e2e                                   the whole table
//! cargo bench --bench e2e -- --only throughput --s3 null
//! cargo bench --bench e2e -- --kill 5 --records 3000000     what a crash costs: nothing
//! cargo bench --bench e2e -- --backlog-gb 10                start with 10 GB undelivered
//! cargo bench --bench e2e -- --only requests,zero,outage,replay   destinations over HTTP
//! cargo bench --bench e2e -- --only kafka,kinesis,files     sources that are read
//! ```
//!
//! CPU is that of the daemon's process alone, from the first put until the last record lies in
//! the bucket. See `docs/benchmarks.md`.

mod client;
mod crash;
mod data;
mod files;
mod kafka;
mod kernels;
mod kinesis;
mod load;
mod outage;
mod partitions;
mod probe;
mod process;
mod pulled;
mod receiver;
mod replay;
mod requests;
mod s3;
mod server;
mod sign;
mod zero;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};

use crate::{
    client::{Attempt, Operation, all_taken, invocation},
    data::{Body, Kind},
    load::{Outcome, Until},
    s3::{Choice, S3},
    server::{Daemon, STREAM, Setup},
};

#[derive(Parser)]
#[command(about = "End-to-end benchmark of the daemon")]
struct Args {
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// The S3 server; versitygw where it is installed.
    #[arg(long, value_enum)]
    s3: Option<Choice>,
    /// Seconds of load in each part.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Connections that put batches.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Distinct batches that are sent round and round.
    #[arg(long, default_value_t = 300)]
    bodies: usize,
    /// Instead of the table: kill the daemon so often under load.
    #[arg(long, value_name = "TIMES")]
    kill: Option<usize>,
    /// Records to be acknowledged while it is killed.
    #[arg(long, default_value_t = 3_000_000)]
    records: u64,
    /// Instead of the table: time to the first accepted record with so many GB undelivered.
    #[arg(long, value_name = "GB")]
    backlog_gb: Option<u64>,
    /// How long the destination is down in the part `outage`.
    #[arg(long, default_value_t = 60)]
    outage_seconds: u64,
    /// Failed records in the part `replay`.
    #[arg(long, default_value_t = 1_000_000)]
    replay_records: u64,
    /// MB of records that wait in Kafka, and in the file that is followed.
    #[arg(long, default_value_t = 1_000)]
    source_mb: u64,
    /// MB of records that wait in Kinesis: its emulator takes less than a MB of them a second.
    #[arg(long, default_value_t = 20)]
    kinesis_mb: u64,
    /// How long files are watched that do not change.
    #[arg(long, default_value_t = 60)]
    idle_seconds: u64,
    /// Another binary than the one built beside this benchmark.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Folder on the disk to measure; emptied afterwards.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Folder for the S3 server's objects, emptied afterwards: on tmpfs it takes no part in the
    /// disk that is measured, as a server elsewhere would not.
    #[arg(long)]
    s3_folder: Option<PathBuf>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Kernels,
    Throughput,
    Latency,
    /// Records into 80 partitions, as Parquet.
    Parquet,
    /// Records into 5,000 partitions, as gzip.
    Many,
    /// Records to Splunk, an HTTP endpoint and OpenSearch.
    Requests,
    /// From PutRecord to the destination, with interval 0.
    Zero,
    /// A destination that is down, and comes back.
    Outage,
    /// `standpipe replay` out of a bucket to a destination.
    Replay,
    /// Records that wait in a topic.
    Kafka,
    /// Records that wait in a data stream.
    Kinesis,
    /// A file that is read from its beginning, and many that do not change.
    Files,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if !args.bench {
        println!("a benchmark: run it with `cargo bench --bench e2e`");
        return Ok(());
    }
    // One thread: the client must leave the machine to the daemon.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(args))
}

async fn run(args: Args) -> Result<()> {
    let base = args.folder.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    let folder = temporary(&base)?;
    let s3_folder = temporary(args.s3_folder.as_ref().unwrap_or(&base))?;
    let choice = args.s3.unwrap_or_else(s3::default_choice);
    let bench = Bench { choice, folder, s3_folder, args };
    println!("S3 server: {:?}", bench.choice);
    if let Some(kills) = bench.args.kill {
        return bench.crash(kills).await;
    }
    if let Some(gigabytes) = bench.args.backlog_gb {
        return bench.backlog(gigabytes).await;
    }
    println!("\n| what | measured | bar |\n|---|---|---|");
    if bench.wants(Part::Parquet) {
        partitions::parquet(&bench).await?;
    }
    if bench.wants(Part::Many) {
        partitions::many(&bench).await?;
    }
    for kind in [Kind::Reading, Kind::Event] {
        if !bench.wants(Part::Kernels) && !bench.wants(Part::Throughput) {
            break;
        }
        let bodies = Arc::new(data::batches(STREAM, kind, bench.args.bodies));
        let zlib = bench.kernels(kind, &bodies)?;
        if bench.wants(Part::Throughput) {
            bench.throughput(kind, bodies, zlib).await?;
        }
    }
    if bench.wants(Part::Latency) {
        bench.latency().await?;
    }
    if bench.wants(Part::Requests) {
        requests::run(&bench).await?;
    }
    if bench.wants(Part::Zero) {
        zero::run(&bench).await?;
    }
    if bench.wants(Part::Outage) {
        outage::run(&bench).await?;
    }
    if bench.wants(Part::Replay) {
        replay::run(&bench).await?;
    }
    if bench.wants(Part::Kafka) {
        kafka::run(&bench).await?;
    }
    if bench.wants(Part::Kinesis) {
        kinesis::run(&bench).await?;
    }
    if bench.wants(Part::Files) {
        files::run(&bench).await?;
    }
    Ok(())
}

fn temporary(base: &Path) -> Result<tempfile::TempDir> {
    std::fs::create_dir_all(base)?;
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(base)?)
}

struct Bench {
    args: Args,
    choice: Choice,
    folder: tempfile::TempDir,
    s3_folder: tempfile::TempDir,
}

impl Bench {
    fn wants(&self, part: Part) -> bool {
        self.args.only.is_empty() || self.args.only.contains(&part)
    }

    /// A fresh folder for one part, an S3 server in it, and how to start the daemon against it.
    async fn stage(&self, name: &str) -> Result<(S3, Setup)> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder)?;
        let s3 = S3::start(self.choice, &self.s3_folder.path().join(name)).await?;
        let binary = self.args.binary.clone().unwrap_or_else(|| server::built_binary().to_owned());
        let destination = server::bucket(server::GZIP);
        let source = "direct_put".to_owned();
        let setup = Setup {
            binary,
            folder,
            s3: s3.address,
            journal: "durability: fsync, max_size: 40GiB".to_owned(),
            source,
            destination,
        };
        Ok((s3, setup))
    }

    /// The kernels' own cost; answers which zlib level 3 is the measure, and the size it leaves.
    fn kernels(&self, kind: Kind, bodies: &[Body]) -> Result<(String, f64)> {
        let k = kernels::measure(kind, bodies)?;
        if self.wants(Part::Kernels) {
            let name = kind.name();
            let cpu = |what: &str, value: f64| {
                println!("| {name}: {what}, kernel alone | {value:.2} CPU-s/GB | |");
            };
            cpu("decode (sonic-rs, base64-simd)", k.decode);
            cpu("SHA-256 of the body (aws-lc)", k.sha256);
            cpu("CRC-32C", k.crc32c);
            for gzip in k.gzip.iter().chain([&k.zlib_rs]) {
                println!(
                    "| {name}: gzip, {}, kernel alone | {:.2} CPU-s/GB, leaves {:.3} | |",
                    gzip.name, gzip.cpu, gzip.size
                );
            }
            let (library, size) = k.reference();
            println!("| {name}: {library} level 3, the measure of size | leaves {size:.3} | |");
        }
        Ok(k.reference())
    }

    async fn throughput(
        &self,
        kind: Kind,
        bodies: Arc<Vec<Body>>,
        zlib: (String, f64),
    ) -> Result<()> {
        let (mut s3, setup) = self.stage(kind.name()).await?;
        let daemon = setup.start().await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (idle, _) = daemon.memory_mb()?;

        let cpu_before = daemon.cpu_s()?;
        let start = Instant::now();
        let load = load::run(
            &daemon.api,
            Operation::PutRecordBatch,
            bodies,
            self.args.connections,
            Until::Elapsed(Duration::from_secs(self.args.seconds)),
        )
        .await?;
        delivered(&daemon, || Ok(s3.stored()?.record_bytes), load.bytes).await?;
        let whole = start.elapsed();
        let cpu = daemon.cpu_s()? - cpu_before;
        let (_, peak) = daemon.memory_mb()?;
        let stored = s3.stored()?;
        ensure!(stored.record_bytes == load.bytes, "{stored:?} is not what was sent");
        daemon.terminate().await?;

        let (cpu_bar, rate_bar) = match kind {
            Kind::Reading => (6.5, 60.0),
            Kind::Event | Kind::Regional(_) => (4.0, 150.0),
        };
        let name = kind.name();
        let rate = |time: Duration| load.bytes as f64 / 1e6 / time.as_secs_f64();
        let size = stored.object_bytes as f64 / stored.record_bytes as f64;
        let gigabytes = load.bytes as f64 / 1e9;
        println!(
            "| {name}: CPU per GB until it lies in S3 | {:.2} s | ≤ {cpu_bar} s |",
            cpu / gigabytes
        );
        println!(
            "| {name}: throughput until it lies in S3 | {:.0} MB/s, {:.0} records/s | ≥ {rate_bar:.0} MB/s |",
            rate(whole),
            load.records as f64 / whole.as_secs_f64(),
        );
        println!(
            "| {name}: acknowledged meanwhile | {:.0} MB/s, batch p50 {:.1} ms, p99 {:.1} ms, {} refused | |",
            rate(load.elapsed),
            load.percentile_ms(0.5),
            load.percentile_ms(0.99),
            load.refused
        );
        println!(
            "| {name}: size in S3, against {} level 3 | {size:.3}, {:+.1} % | ≤ +5 % |",
            zlib.0,
            (size / zlib.1 - 1.0) * 100.0
        );
        println!(
            "| {name}: memory idle, most under load | {idle:.1} MB, {peak:.0} MB | ≤ 25 MB, ≤ 300 MB |"
        );
        Ok(())
    }

    async fn latency(&self) -> Result<()> {
        let (_s3, setup) = self.stage("latency").await?;
        let (sync_p50, sync_p99) = probe::fdatasync_ms(&setup.folder)?;
        let daemon = setup.start().await?;
        let mut rng = fastrand::Rng::with_seed(7);
        let bodies: Vec<_> = (0..self.args.bodies as u64)
            .map(|id| data::single(STREAM, Kind::Reading, id, &mut rng))
            .collect();
        let until = Until::Elapsed(Duration::from_secs(self.args.seconds));
        let load: Outcome =
            load::run(&daemon.api, Operation::PutRecord, Arc::new(bodies), 16, until).await?;
        daemon.terminate().await?;
        println!("| fdatasync of this disk | p50 {sync_p50:.2} ms, p99 {sync_p99:.2} ms | |");
        let p99 = load.percentile_ms(0.99);
        println!(
            "| PutRecord, 16 connections | p50 {:.2} ms, p99 {p99:.2} ms = {:.1} median fdatasyncs, {:.0}/s | ≤ 8 fdatasyncs |",
            load.percentile_ms(0.5),
            p99 / sync_p50,
            load.calls as f64 / load.elapsed.as_secs_f64()
        );
        Ok(())
    }

    async fn crash(&self, kills: usize) -> Result<()> {
        let (mut s3, setup) = self.stage("crash").await?;
        let v = crash::run(&setup, &mut s3, kills, self.args.records).await?;
        println!("\n| kill -9 under load | |\n|---|---|");
        println!("| kills, slowest restart | {}, {:.0?} |", v.kills, v.slowest_restart);
        println!("| records acknowledged | {} |", v.acknowledged);
        println!("| records in doubt (the SDK gave up) | {} |", v.in_doubt);
        println!("| calls tried again | {} |", v.retried_calls);
        println!("| records in S3 | {} |", v.arrived);
        println!("| acknowledged and lost | {} (bar: 0) |", v.lost);
        println!("| duplicates in S3 | {} (bar: 0) |", v.duplicates);
        ensure!(v.lost == 0 && v.duplicates == 0, "the bar is missed");
        Ok(())
    }

    async fn backlog(&self, gigabytes: u64) -> Result<()> {
        let (_s3, mut setup) = self.stage("backlog").await?;
        // Nobody listens there: everything stays in the journal.
        setup.s3 = server::free_address()?;
        setup.journal = format!("durability: fsync, max_size: {}GiB", gigabytes + 4);
        let daemon = setup.start().await?;
        let bodies = Arc::new(data::batches(STREAM, Kind::Event, self.args.bodies.min(100)));
        let until = Until::Bytes(gigabytes * 1_000_000_000);
        let load =
            load::run(&daemon.api, Operation::PutRecordBatch, bodies, self.args.connections, until)
                .await?;
        daemon.kill()?;

        let start = Instant::now();
        let daemon = setup.spawn()?;
        let body = data::single(STREAM, Kind::Reading, 1, &mut fastrand::Rng::with_seed(7));
        first_accepted(&daemon, &body, start).await?;
        let waited = start.elapsed();
        let (now, _) = daemon.memory_mb()?;
        println!("\n| start with undelivered records | measured | bar |\n|---|---|---|");
        println!(
            "| {:.1} GB in the journal: time until a PutRecord is acknowledged | {:.0} ms | ≤ 1 s |",
            load.bytes as f64 / 1e9,
            waited.as_secs_f64() * 1e3
        );
        println!("| memory then | {now:.0} MB | |");
        Ok(())
    }
}

/// Puts until one is acknowledged.
async fn first_accepted(daemon: &Daemon, body: &Body, start: Instant) -> Result<()> {
    loop {
        if let Ok(mut connection) = daemon.api.connect().await {
            let id = invocation();
            let attempt = Attempt { invocation: &id, number: 1 };
            if let Ok((status, answer)) = connection.put(Operation::PutRecord, body, &attempt).await
                && all_taken(Operation::PutRecord, status, &answer)
            {
                return Ok(());
            }
        }
        ensure!(start.elapsed() < Duration::from_secs(120), "nothing accepted in two minutes");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until all `bytes` of records are at the destination, as `stored` counts them. What is open is flushed only near the end,
/// for a flush amid the rest would make small objects that no user gets.
async fn delivered(
    daemon: &Daemon,
    mut stored: impl FnMut() -> Result<u64>,
    bytes: u64,
) -> Result<()> {
    const NEAR_BYTES: u64 = 16 << 20;
    const STALLED: Duration = Duration::from_millis(500);
    let mut last = (0, Instant::now());
    loop {
        let stored = stored()?;
        if stored >= bytes {
            return Ok(());
        }
        if stored > last.0 {
            last = (stored, Instant::now());
        }
        if bytes - stored < NEAR_BYTES || last.1.elapsed() > STALLED {
            daemon.api.flush(STREAM).await?;
        }
        ensure!(
            last.1.elapsed() < Duration::from_secs(60),
            "{stored} of {bytes} bytes are delivered, and no more come\n{}",
            daemon.last_lines()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
