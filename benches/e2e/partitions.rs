//! Many partitions at a time: as Parquet into 80, as gzip into 5,000.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    Bench,
    client::Operation,
    data::{self, Kind},
    load::{self, Until},
    server::{self, Daemon, STREAM},
};

const RECORDS: &str = "standpipe_delivery_to_s3_records_total";
const OBJECTS: &str = "standpipe_delivery_to_s3_object_count_total";
const FRESHNESS: &str = "standpipe_delivery_to_s3_data_freshness_seconds";

/// Two keys out of each record, 8 buckets by 10 regions, and all members as columns.
const PARQUET: &str = r#"          prefix: "bucket=!{partitionKeyFromQuery:bucket}/region=!{partitionKeyFromQuery:region}/"
          error_output_prefix: "errors/!{firehose:error-output-type}/"
          dynamic_partitioning: {enabled: true}
          buffering: {size: 64MiB, interval: 60s}
          format_conversion:
            output: {parquet: {}}
            schema:
              ddl: >-
                id bigint, eventVersion string,
                userIdentity struct<type:string,principalId:string,arn:string,accountId:string,accessKeyId:string,sessionContext:struct<sessionIssuer:struct<type:string,principalId:string,arn:string,accountId:string,userName:string>,attributes:struct<creationDate:timestamp,mfaAuthenticated:boolean>>>,
                eventTime timestamp, eventSource string, eventName string, awsRegion string,
                sourceIPAddress string, userAgent string, requestParameters map<string,string>,
                responseElements string, additionalEventData struct<SignatureVersion:string,CipherSuite:string,AuthenticationMethod:string,bytesTransferredIn:bigint,bytesTransferredOut:bigint>,
                requestID string, eventID string, readOnly boolean, eventType string,
                managementEvent boolean, recipientAccountId string, eventCategory string, note string
        transforms:
          - metadata_extraction: '{bucket: .requestParameters.bucketName, region: .awsRegion}'
"#;

/// 200 addresses by 25 regions.
const MANY: &str = r#"          prefix: "ip=!{partitionKeyFromQuery:ip}/region=!{partitionKeyFromQuery:region}/"
          error_output_prefix: "errors/!{firehose:error-output-type}/"
          dynamic_partitioning: {enabled: true, max_active_partitions: 6000}
          compression: gzip
          buffering: {size: 64MiB, interval: 20s}
        transforms:
          - metadata_extraction: '{ip: .sourceIPAddress, region: .awsRegion}'
"#;

pub async fn parquet(bench: &Bench) -> Result<()> {
    let run = run(bench, "parquet", PARQUET, 10).await?;
    let Run { cpu, gigabytes, whole_s, peak_mb, objects, .. } = run;
    println!(
        "| 1.5 KB into 80 partitions as Parquet: CPU per GB until it lies in S3 | {:.2} s | ≤ 6 s |",
        cpu / gigabytes
    );
    println!(
        "| the same: throughput, objects, memory | {:.0} MB/s, {objects}, {peak_mb:.0} MB | ≤ 400 MB |",
        gigabytes * 1e3 / whole_s
    );
    Ok(())
}

pub async fn many(bench: &Bench) -> Result<()> {
    let run = run(bench, "many", MANY, 25).await?;
    let Run { cpu, gigabytes, whole_s, peak_mb, objects, oldest_s } = run;
    println!(
        "| 1.5 KB into 5,000 partitions as gzip: CPU per GB, throughput, objects | {:.2} s, {:.0} MB/s, {objects} | |",
        cpu / gigabytes,
        gigabytes * 1e3 / whole_s
    );
    println!("| the same: memory | {peak_mb:.0} MB | ≤ 512 MB |");
    println!(
        "| the same: oldest record that was not delivered, against the interval of 20 s | {oldest_s} s, {:.2} | ≤ 1.5 |",
        oldest_s as f64 / 20.0
    );
    Ok(())
}

struct Run {
    cpu: f64,
    gigabytes: f64,
    whole_s: f64,
    peak_mb: f64,
    objects: u64,
    oldest_s: u64,
}

async fn run(bench: &Bench, name: &str, destination: &str, regions: u8) -> Result<Run> {
    let bodies = Arc::new(data::batches(STREAM, Kind::Regional(regions), bench.args.bodies));
    let (_s3, mut setup) = bench.stage(name).await?;
    setup.destination = server::bucket(destination);
    let daemon = setup.start().await?;
    let cpu_before = daemon.cpu_s()?;
    let start = Instant::now();
    let until = Until::Elapsed(Duration::from_secs(bench.args.seconds));
    let load =
        load::run(&daemon.api, Operation::PutRecordBatch, bodies, bench.args.connections, until);
    let oldest = watch(&daemon);
    let (load, oldest_s) = tokio::join!(
        async {
            let load = load.await?;
            delivered(&daemon, load.records).await?;
            anyhow::Ok(load)
        },
        oldest
    );
    let load = load?;
    let whole_s = start.elapsed().as_secs_f64();
    let run = Run {
        cpu: daemon.cpu_s()? - cpu_before,
        gigabytes: load.bytes as f64 / 1e9,
        whole_s,
        peak_mb: daemon.memory_mb()?.1,
        objects: daemon.metric(OBJECTS).await?,
        oldest_s: oldest_s?,
    };
    daemon.terminate().await?;
    Ok(run)
}

/// The highest age seen until everything is delivered.
async fn watch(daemon: &Daemon) -> Result<u64> {
    let mut highest = 0.0f64;
    let mut seen = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (_, text) = daemon.api.once("GET", "/metrics").await?;
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name}{{")));
            line.and_then(|l| l.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
        };
        highest = highest.max(value(FRESHNESS));
        seen += u64::from(value("standpipe_incoming_records_total") > 0.0);
        if seen > 4 && value("standpipe_backlog_records") == 0.0 {
            return Ok(highest.ceil() as u64);
        }
    }
}

/// Waits until so many records are delivered, by their intervals and not by a flush.
async fn delivered(daemon: &Daemon, records: u64) -> Result<()> {
    let start = Instant::now();
    while daemon.metric(RECORDS).await? < records {
        ensure!(
            start.elapsed() < Duration::from_secs(300),
            "{} of {records} records are delivered\n{}",
            daemon.metric(RECORDS).await?,
            daemon.last_lines()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
