//! A destination that is down for a while, under load, and comes back.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    Bench,
    client::Operation,
    data::{self, Kind},
    delivered,
    load::Paced,
    receiver::{Protocol, Receiver},
    server::{self, STREAM},
};

const KIND: Kind = Kind::Event;
const BYTES_PER_S: u64 = 20_000_000;
/// With less than this undelivered, a second of the load, it has caught up: the load goes on.
const CAUGHT_UP: u64 = BYTES_PER_S;

pub async fn run(bench: &Bench) -> Result<()> {
    let bodies = Arc::new(data::batches(STREAM, KIND, bench.args.bodies));
    let address = server::free_address()?;
    let (_s3, mut setup) = bench.stage("outage").await?;
    let buffering = "{size: 5MiB, interval: 1s}\n          retry: {duration: 2h}";
    setup.destination = setup.over_http(&server::http_endpoint(address), buffering);
    let daemon = setup.start().await?;

    let period = Duration::from_secs_f64(bodies[0].record_bytes as f64 / BYTES_PER_S as f64);
    let of_load = bodies.clone();
    let body = move |number| of_load[number as usize % of_load.len()].clone();
    let paced = Paced::start(&daemon.api, Operation::PutRecordBatch, period, body);
    let outage = Duration::from_secs(bench.args.outage_seconds);
    let cpu_before = daemon.cpu_s()?;
    tokio::time::sleep(outage).await;
    let (_, peak_down) = daemon.memory_mb()?;
    let cpu_down = daemon.cpu_s()? - cpu_before;
    let waiting = paced.records.load(Ordering::Relaxed) * KIND.bytes() as u64;

    let back = Instant::now();
    let cpu_before = daemon.cpu_s()?;
    let receiver = Receiver::start_at(address, Protocol::Firehose { record_bytes: KIND.bytes() })?;
    let taken = || receiver.records() * KIND.bytes() as u64;
    let first = caught_up(&paced, &taken, back, outage).await?;
    let whole = back.elapsed();
    let cpu_up = daemon.cpu_s()? - cpu_before;
    let rate = taken() as f64 / 1e6 / (whole - first).as_secs_f64();
    let load = paced.stop().await?;
    delivered(&daemon, || Ok(taken()), load.bytes).await?;
    daemon.settled().await?;
    let (_, peak) = daemon.memory_mb()?;
    ensure!(receiver.records() == load.records, "{} of {}", receiver.records(), load.records);
    daemon.terminate().await?;

    println!(
        "| HTTP endpoint down for {} s at {:.0} MB/s, {:.1} GB waiting: memory until then, and in all | {peak_down:.0} MB, {peak:.0} MB | ≤ 200 MB |",
        outage.as_secs(),
        load.bytes as f64 / 1e6 / load.elapsed.as_secs_f64(),
        waiting as f64 / 1e9,
    );
    println!(
        "| the same: caught up after it is back, the load going on | {:.1} s, {:.1} s of them until it was asked, then {rate:.0} MB/s | ≤ {} s |",
        whole.as_secs_f64(),
        first.as_secs_f64(),
        outage.as_secs()
    );
    println!(
        "| the same: CPU while it is down, while it catches up; puts meanwhile | {:.0} %, {:.0} % of a core; p50 {:.1} ms, p99 {:.1} ms, {} refused | |",
        cpu_down / outage.as_secs_f64() * 100.0,
        cpu_up / whole.as_secs_f64() * 100.0,
        load.percentile_ms(0.5),
        load.percentile_ms(0.99),
        load.refused
    );
    Ok(())
}

/// Waits until next to nothing is undelivered; how long it took until the first request came.
async fn caught_up(
    paced: &Paced,
    taken: impl Fn() -> u64,
    back: Instant,
    outage: Duration,
) -> Result<Duration> {
    let mut first = None;
    loop {
        let sent = paced.records.load(Ordering::Relaxed) * KIND.bytes() as u64;
        let taken = taken();
        if taken > 0 {
            first.get_or_insert_with(|| back.elapsed());
        }
        if let Some(first) = first
            && sent.saturating_sub(taken) < CAUGHT_UP
        {
            return Ok(first);
        }
        ensure!(
            back.elapsed() < outage * 4 + Duration::from_secs(60),
            "{taken} of {sent} bytes are delivered"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
