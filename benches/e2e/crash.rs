//! `kill -9` under load: what was acknowledged must arrive, and arrive once.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use tokio::sync::watch;

use crate::{
    client::{Api, Attempt, Connection, Operation, all_taken, invocation},
    data::{self, BATCH_RECORDS, ID_BASE, Kind},
    load::try_later,
    s3::S3,
    server::{STREAM, Setup},
};

/// Attempts of a call and the waits between them, as the AWS SDKs' standard mode has it:
/// a random share of 1 s, 2 s, … up to 20 s.
const ATTEMPTS: u32 = 3;
const BACKOFF_MAX_S: f64 = 20.0;
/// Without a new object for this long, what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Verdict {
    pub kills: usize,
    pub acknowledged: u64,
    /// Records of calls whose last attempt failed: they may or may not have arrived.
    pub in_doubt: u64,
    pub retried_calls: u64,
    pub arrived: u64,
    pub lost: u64,
    pub duplicates: u64,
    pub slowest_restart: Duration,
}

/// What the writers share.
struct Shared {
    next_batch: AtomicU64,
    acknowledged: AtomicU64,
    retried: AtomicU64,
    stop: AtomicBool,
    /// The daemon's current address: it changes with every restart.
    api: watch::Receiver<Arc<Api>>,
}

pub async fn run(setup: &Setup, s3: &mut S3, kills: usize, records: u64) -> Result<Verdict> {
    let mut rng = Rng::new();
    // Random moments, but in every run some early and some late.
    let mut moments: Vec<u64> =
        (0..kills).map(|_| (records as f64 * (0.03 + 0.94 * rng.f64())) as u64).collect();
    moments.sort_unstable();

    let mut daemon = setup.start().await?;
    let (announce, api) = watch::channel(daemon.api.clone());
    let shared = Arc::new(Shared {
        next_batch: AtomicU64::new(0),
        acknowledged: AtomicU64::new(0),
        retried: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        api,
    });
    let writers: Vec<_> = (0..8).map(|_| tokio::spawn(write(shared.clone()))).collect();

    let mut verdict = Verdict { kills, ..Verdict::default() };
    for moment in moments {
        reach(&shared, moment).await?;
        tokio::time::sleep(Duration::from_micros(rng.u64(..300_000))).await;
        daemon.kill()?;
        let start = Instant::now();
        daemon = setup.start().await?;
        verdict.slowest_restart = verdict.slowest_restart.max(start.elapsed());
        announce.send(daemon.api.clone()).context("the writers are gone")?;
    }
    reach(&shared, records).await?;
    shared.stop.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeSet::new();
    for writer in writers {
        acknowledged.extend(writer.await??);
    }

    drain(&daemon.api, s3, acknowledged.len() as u64).await?;
    daemon.terminate().await?;
    let batches = shared.next_batch.load(Ordering::Relaxed);
    verdict.acknowledged = acknowledged.len() as u64 * BATCH_RECORDS as u64;
    verdict.in_doubt = (batches - acknowledged.len() as u64) * BATCH_RECORDS as u64;
    verdict.retried_calls = shared.retried.load(Ordering::Relaxed);
    judge(&mut verdict, &acknowledged, &counts(s3, batches)?);
    Ok(verdict)
}

/// Waits until so many records are acknowledged.
async fn reach(shared: &Shared, records: u64) -> Result<()> {
    let mut last = (0, Instant::now());
    loop {
        let now = shared.acknowledged.load(Ordering::Relaxed);
        if now >= records {
            return Ok(());
        }
        if now > last.0 {
            last = (now, Instant::now());
        }
        ensure!(last.1.elapsed() < PATIENCE, "nothing is acknowledged any more, {now} records in");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Sends batches of fresh records; the numbers of those that were acknowledged.
async fn write(shared: Arc<Shared>) -> Result<Vec<u64>> {
    let mut rng = Rng::new();
    let mut connection = None;
    let mut acknowledged = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let number = shared.next_batch.fetch_add(1, Ordering::Relaxed);
        let first = number * BATCH_RECORDS as u64;
        let body = data::batch(STREAM, Kind::Reading, first, BATCH_RECORDS, &mut rng);
        let id = invocation();
        for attempt in 1..=ATTEMPTS {
            if attempt > 1 {
                shared.retried.fetch_add(u64::from(attempt == 2), Ordering::Relaxed);
                let cap = f64::from(1u32 << (attempt - 2)).min(BACKOFF_MAX_S);
                tokio::time::sleep(Duration::from_secs_f64(cap * rng.f64())).await;
            }
            let attempt = Attempt { invocation: &id, number: attempt };
            if put(&shared, &mut connection, &body, &attempt).await? {
                acknowledged.push(number);
                shared.acknowledged.fetch_add(BATCH_RECORDS as u64, Ordering::Relaxed);
                break;
            }
        }
    }
    Ok(acknowledged)
}

/// One attempt; false if another may succeed. Answers that no SDK would retry are errors.
async fn put(
    shared: &Shared,
    connection: &mut Option<(Arc<Api>, Connection)>,
    body: &data::Body,
    attempt: &Attempt<'_>,
) -> Result<bool> {
    let api = shared.api.borrow().clone();
    if connection.as_ref().is_none_or(|(of, _)| !Arc::ptr_eq(of, &api)) {
        *connection = match api.connect().await {
            Ok(open) => Some((api, open)),
            Err(_) => return Ok(false),
        };
    }
    let (_, open) = connection.as_mut().expect("opened above");
    match open.put(Operation::PutRecordBatch, body, attempt).await {
        Ok((status, answer)) if all_taken(Operation::PutRecordBatch, status, &answer) => Ok(true),
        Ok((status, answer)) => {
            let text = String::from_utf8_lossy(&answer);
            ensure!(try_later(status), "a put was answered {status}: {text}");
            Ok(false)
        }
        Err(_) => {
            *connection = None;
            Ok(false)
        }
    }
}

/// Flushes until what was acknowledged lies in the bucket and nothing more arrives.
async fn drain(api: &Arc<Api>, s3: &mut S3, batches: u64) -> Result<()> {
    let expected = batches * (BATCH_RECORDS * Kind::Reading.bytes()) as u64;
    let mut last = s3.stored()?;
    let mut since = Instant::now();
    loop {
        api.flush(STREAM).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = s3.stored()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        let quiet = since.elapsed();
        if (now.record_bytes >= expected && quiet > Duration::from_secs(3)) || quiet > PATIENCE {
            return Ok(());
        }
    }
}

/// How often each record lies in the bucket, by id.
fn counts(s3: &S3, batches: u64) -> Result<Vec<u8>> {
    let mut counts = vec![0u8; batches as usize * BATCH_RECORDS];
    for path in s3.objects()? {
        let packed = fs::read(&path)?;
        let size = u32::from_le_bytes(packed[packed.len() - 4..].try_into()?);
        let mut plain = vec![0; size as usize];
        let length = libdeflater::Decompressor::new().gzip_decompress(&packed, &mut plain)?;
        ensure!(length == plain.len(), "{} is more than one gzip member", path.display());
        for line in plain.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            let id = line.get(6..18).context("a line without an id")?;
            let id: u64 = std::str::from_utf8(id)?.parse()?;
            let id = id.checked_sub(ID_BASE).context("an id that was never sent")?;
            let count = counts.get_mut(id as usize).context("an id that was never sent")?;
            *count = count.saturating_add(1);
        }
    }
    Ok(counts)
}

fn judge(verdict: &mut Verdict, acknowledged: &BTreeSet<u64>, counts: &[u8]) {
    for (batch, counts) in counts.chunks(BATCH_RECORDS).enumerate() {
        let was_acknowledged = acknowledged.contains(&(batch as u64));
        for &count in counts {
            verdict.arrived += u64::from(count > 0);
            verdict.lost += u64::from(was_acknowledged && count == 0);
            verdict.duplicates += u64::from(count.saturating_sub(1));
        }
    }
}
