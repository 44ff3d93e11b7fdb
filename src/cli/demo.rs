//! `standpipe demo`: the whole way of a record in one command.

use std::{
    collections::BTreeMap,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use aws_sdk_firehose::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    primitives::Blob,
    types::Record,
};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{INTERRUPTED, samples, serve::Serving};
use crate::{
    api::backend::Backend,
    batch::Buffering,
    config::{
        ApiOptions, Config, Credential, Delimiter, DestinationSpec, S3Destination, StreamSpec,
        TransformSpec,
    },
    encode::Compression,
    units::{ByteSize, Secret, Span},
};

/// The stream that the demonstration makes.
const STREAM: &str = "demo";
/// Keys of the demonstration's own listener on loopback; they open nothing else.
const ACCESS_KEY_ID: &str = "demo";
const SECRET_ACCESS_KEY: &str = "demo-secret";
/// How many records of each kind are sent.
const RECORDS: usize = 1000;
/// How long delivery may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// Start a daemon with a local folder as its bucket, send records, show what was delivered.
///
/// Needs no configuration, no account and no network.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  standpipe demo\n  \
                  standpipe demo --keep-running --dir /tmp/standpipe-demo")]
pub struct Arguments {
    /// Go on accepting records after the demonstration, until Ctrl-C.
    #[arg(long)]
    keep_running: bool,

    /// Folder for the journal and the bucket; a temporary one that is removed if absent.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Address to listen on, loopback only; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4573")]
    listen: SocketAddr,
}

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if !arguments.listen.ip().is_loopback() {
        bail!("the demonstration listens on loopback only: its keys are known to everyone");
    }
    super::runtime()?.block_on(demonstrate(arguments))
}

async fn demonstrate(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // Told to stop at any moment, it leaves by the same way: the temporary folder goes with it.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut stop = pin!(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    let temporary = match arguments.dir {
        Some(_) => None,
        None => Some(tempfile::tempdir().context("no temporary folder can be made")?),
    };
    let dir = match (&arguments.dir, &temporary) {
        (Some(dir), _) => std::path::absolute(dir)?,
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => unreachable!("a temporary folder is made where none is given"),
    };
    let bucket = dir.join("bucket");
    let config = config(&dir, &bucket, arguments.listen);
    let serving = Serving::start(&config, None).await?;
    println!("standpipe {} listens on http://{}", super::VERSION, serving.address);
    println!("stream {STREAM:?} delivers to {}\n", bucket.display());

    let told = tokio::select! {
        told = tell(&serving, &bucket) => told.map(|()| true),
        () = &mut stop => Ok(false),
    };
    if matches!(told, Ok(true)) {
        println!("{}", next_steps(serving.address));
        if arguments.keep_running {
            println!("Running until Ctrl-C; the keys are {ACCESS_KEY_ID} / {SECRET_ACCESS_KEY}.");
            stop.await;
        }
    }
    serving.shut_down().await;
    Ok(if told? { ExitCode::SUCCESS } else { ExitCode::from(INTERRUPTED) })
}

/// The demonstration itself: send, wait, show.
async fn tell(serving: &Serving, bucket: &Path) -> anyhow::Result<()> {
    let client = client(serving.address);
    let before = delivered(serving);
    let mut sent = 0;
    for (kind, records) in samples::all(RECORDS) {
        let bytes: usize = records.iter().map(String::len).sum();
        let mut calls = 0;
        for batch in records.chunks(500) {
            send(&client, batch).await.with_context(|| format!("sending {kind}"))?;
            calls += 1;
        }
        sent += records.len() as u64;
        println!("sent {} {kind} ({bytes} bytes) in {calls} PutRecordBatch calls", records.len());
        // Closed now, so that each kind has an object of its own to look at.
        serving.backend.flush(STREAM).await?;
    }
    let done = async {
        while delivered(serving) < before + sent {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, done).await.with_context(|| {
        format!("not everything was delivered: {}", serving.daemon.health().problems.join("; "))
    })?;
    println!("\ndelivered:");
    for (key, path) in objects(bucket)? {
        let (records, first) = look_into(&path)?;
        let stored = std::fs::metadata(&path)?.len();
        println!("  {key}\n    {records} records in {stored} bytes, the first: {first}");
    }
    println!("\ncounters (GET http://{}/metrics):", serving.address);
    for line in serving.daemon.render_metrics().lines() {
        if SHOWN.iter().any(|name| line.starts_with(name)) {
            println!("  {line}");
        }
    }
    println!();
    Ok(())
}

/// The counters that tell the story.
const SHOWN: [&str; 6] = [
    "standpipe_incoming_records_total",
    "standpipe_incoming_bytes_total",
    "standpipe_delivery_to_s3_records_total",
    "standpipe_delivery_to_s3_object_count_total",
    "standpipe_failed_records_total",
    "standpipe_backlog_records",
];

fn config(dir: &Path, bucket: &Path, listen: SocketAddr) -> Config {
    let mut s3 = S3Destination::to_bucket(format!("file://{}", bucket.display()));
    s3.compression = Compression::Gzip;
    s3.buffering = Buffering {
        size: ByteSize(5 << 20),
        interval: Span(Duration::from_secs(60)),
        ..Buffering::default()
    };
    let stream = StreamSpec {
        source: Default::default(),
        journal: Default::default(),
        encrypted: false,
        throughput: None,
        destinations: vec![DestinationSpec {
            transforms: vec![TransformSpec::AppendDelimiter(Delimiter::Text("\n".into()))],
            ..DestinationSpec::of_s3(s3)
        }],
        version_id: 1,
    };
    Config {
        api: ApiOptions {
            listen,
            credentials: vec![Credential {
                access_key_id: ACCESS_KEY_ID.into(),
                secret_access_key: Secret::Value(SECRET_ACCESS_KEY.into()),
                session_token: None,
                expires: None,
            }],
            ..ApiOptions::default()
        },
        streams: BTreeMap::from([(STREAM.to_owned(), stream)]),
        ..Config::new(dir.join("data"))
    }
}

fn client(address: SocketAddr) -> Client {
    let config = aws_sdk_firehose::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(format!("http://{address}"))
        .credentials_provider(Credentials::new(
            ACCESS_KEY_ID,
            SECRET_ACCESS_KEY,
            None,
            None,
            "demo",
        ))
        .build();
    Client::from_conf(config)
}

async fn send(client: &Client, batch: &[String]) -> anyhow::Result<()> {
    let records =
        batch.iter().map(|text| Record::builder().data(Blob::new(text.as_bytes())).build());
    let records = records.collect::<Result<Vec<_>, _>>()?;
    let answer = client
        .put_record_batch()
        .delivery_stream_name(STREAM)
        .set_records(Some(records))
        .send()
        .await
        .map_err(aws_sdk_firehose::Error::from)?;
    if answer.failed_put_count() > 0 {
        bail!("{} records were refused", answer.failed_put_count());
    }
    Ok(())
}

fn delivered(serving: &Serving) -> u64 {
    let metrics = &serving.daemon.shared().metrics;
    let destination =
        metrics.destination(crate::telemetry::DeliveryKind::DeliveryToS3, STREAM, "s3");
    destination.records.get()
}

/// Every object in the bucket by key.
fn objects(bucket: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![bucket.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(bucket).unwrap_or(&path);
                found.insert(key.display().to_string(), path);
            }
        }
    }
    Ok(found)
}

/// Number of lines, and the beginning of the first.
fn look_into(path: &Path) -> anyhow::Result<(usize, String)> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path)?).read_to_string(&mut text)?;
    let first = text.lines().next().unwrap_or_default();
    let shown: String = first.chars().take(100).collect();
    let more = if shown.len() < first.len() { "…" } else { "" };
    Ok((text.lines().count(), format!("{shown}{more}")))
}

fn next_steps(address: SocketAddr) -> String {
    format!(
        "Go on from here:\n\
         - keep it up:    standpipe demo --keep-running\n\
         - then send:     AWS_ACCESS_KEY_ID={ACCESS_KEY_ID} \
         AWS_SECRET_ACCESS_KEY={SECRET_ACCESS_KEY} aws firehose put-record \\\n\
         \x20                   --endpoint-url http://{address} --region us-east-1 \\\n\
         \x20                   --delivery-stream-name {STREAM} \\\n\
         \x20                   --cli-binary-format raw-in-base64-out --record Data=hello\n\
         - run your own:  copy examples/config/minimal.yaml (a local folder) or s3.yaml (Amazon S3),\n\
         \x20                 then: standpipe validate my.yaml && standpipe run my.yaml"
    )
}
