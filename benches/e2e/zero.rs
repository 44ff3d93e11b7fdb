//! From PutRecord to the destination without buffering.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    Bench,
    client::Operation,
    data::{self, Kind},
    load::{self, Paced},
    receiver::{Protocol, Receiver},
    server::{self, STREAM},
};

const PERIOD: Duration = Duration::from_millis(1);
/// What is sent first opens connections and warms caches; it is not counted.
const WARM: Duration = Duration::from_secs(1);

pub async fn run(bench: &Bench) -> Result<()> {
    let receiver = Receiver::start(Protocol::Stamped)?;
    let (_s3, mut setup) = bench.stage("zero").await?;
    let endpoint =
        format!("{}\n          content_encoding: none", server::endpoint(receiver.address));
    setup.destination = setup.over_http(&endpoint, "{interval: 0s}");
    let daemon = setup.start().await?;
    let cpu_before = daemon.cpu_s()?;
    let mut rng = fastrand::Rng::with_seed(7);
    let epoch = Instant::now();
    // The stamp is taken right before the call; to encode and sign it belongs to what is measured.
    let stamped = move |number| {
        let stamp = epoch.elapsed().as_nanos() as u64;
        data::stamped(STREAM, Kind::Reading, number, stamp, &mut rng)
    };
    let paced = Paced::start(&daemon.api, Operation::PutRecord, PERIOD, stamped);
    tokio::time::sleep(WARM + Duration::from_secs(bench.args.seconds)).await;
    let records = paced.records.clone();
    let load = paced.stop().await?;
    let elapsed = epoch.elapsed().as_secs_f64();
    ensure!(records.load(Ordering::Relaxed) == load.records, "a call was not counted");
    daemon.settled().await?;
    let cpu = (daemon.cpu_s()? - cpu_before) / elapsed;
    let arrivals = receiver.arrivals();
    ensure!(arrivals.len() as u64 == load.records, "{} of {}", arrivals.len(), load.records);
    let mut micros: Vec<u32> = arrivals
        .into_iter()
        .map(|(stamp, arrived)| (Duration::from_nanos(stamp), arrived - epoch))
        .filter(|(sent, _)| *sent >= WARM)
        .map(|(sent, arrived)| (arrived - sent).as_micros() as u32)
        .collect();
    micros.sort_unstable();
    daemon.terminate().await?;
    let ms = |share| load::percentile(&micros, share) / 1e3;
    println!(
        "| interval 0, {:.0} records/s: PutRecord sent until the request with it has arrived | p50 {:.2} ms, p99 {:.2} ms | ≤ 3 ms, ≤ 15 ms |",
        load.records as f64 / load.elapsed.as_secs_f64(),
        ms(0.5),
        ms(0.99),
    );
    println!(
        "| the same: p99.9, longest; acknowledged; records a request; CPU | {:.1} ms, {:.1} ms; p50 {:.2} ms, p99 {:.2} ms; {:.2}; {:.0} % of a core | |",
        ms(0.999),
        ms(1.0),
        load.percentile_ms(0.5),
        load.percentile_ms(0.99),
        load.records as f64 / receiver.requests() as f64,
        cpu * 100.0
    );
    Ok(())
}
