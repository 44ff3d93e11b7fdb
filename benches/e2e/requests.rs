//! What delivering over HTTP costs: Splunk, an HTTP endpoint, OpenSearch.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    Bench,
    client::Operation,
    data::{self, Kind},
    delivered,
    load::{self, Until},
    receiver::{Protocol, Receiver},
    server::{self, STREAM},
};

const KIND: Kind = Kind::Event;

pub async fn run(bench: &Bench) -> Result<()> {
    let bodies = Arc::new(data::batches(STREAM, KIND, bench.args.bodies));
    let record_bytes = KIND.bytes();
    let raw = Protocol::Hec { record_bytes };
    one(bench, "Splunk raw", raw, &bodies, |address| {
        format!("splunk:\n          endpoint: http://{address}\n          token: 5e1f6a5e-0000-4000-8000-000000000000\n          endpoint_type: raw\n          acknowledgment_poll: 100ms")
    })
    .await?;
    let firehose = Protocol::Firehose { record_bytes };
    one(bench, "HTTP endpoint", firehose, &bodies, server::http_endpoint).await?;
    one(bench, "OpenSearch", Protocol::Bulk, &bodies, |address| {
        format!("opensearch:\n          endpoint: http://{address}\n          index_name: bench")
    })
    .await
}

async fn one(
    bench: &Bench,
    name: &str,
    protocol: Protocol,
    bodies: &Arc<Vec<data::Body>>,
    destination: impl Fn(std::net::SocketAddr) -> String,
) -> Result<()> {
    let receiver = Receiver::start(protocol)?;
    let (_s3, mut setup) = bench.stage(&name.replace(' ', "-")).await?;
    let buffering = "{size: 5MiB, interval: 60s}";
    setup.destination = setup.over_http(&destination(receiver.address), buffering);
    let daemon = setup.start().await?;
    let cpu_before = daemon.cpu_s()?;
    let start = Instant::now();
    let until = Until::Elapsed(Duration::from_secs(bench.args.seconds));
    let connections = bench.args.connections;
    let load =
        load::run(&daemon.api, Operation::PutRecordBatch, bodies.clone(), connections, until)
            .await?;
    let taken = || Ok(receiver.records() * KIND.bytes() as u64);
    delivered(&daemon, taken, load.bytes).await?;
    daemon.settled().await?;
    let whole = start.elapsed().as_secs_f64();
    let cpu = daemon.cpu_s()? - cpu_before;
    let (_, peak) = daemon.memory_mb()?;
    ensure!(receiver.records() == load.records, "{} of {}", receiver.records(), load.records);
    daemon.terminate().await?;
    let gigabytes = load.bytes as f64 / 1e9;
    println!(
        "| 1.5 KB to {name} under gzip: CPU per GB until it is taken | {:.2} s | ≤ 4 s |",
        cpu / gigabytes
    );
    println!(
        "| the same: throughput, requests, memory | {:.0} MB/s, {}, {peak:.0} MB | |",
        gigabytes * 1e3 / whole,
        receiver.requests()
    );
    Ok(())
}
