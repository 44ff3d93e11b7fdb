//! A data stream of an emulator of Kinesis, its records put there beforehand.

use std::{
    fmt::Write as _,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    Bench,
    client::{Api, Connection, REGION},
    data::{BATCH_RECORDS, Body, Kind},
    pulled, s3,
    server::{STREAM, free_address},
};

const KIND: Kind = Kind::Event;
const SHARDS: u32 = 4;
const START_TIMEOUT: Duration = Duration::from_secs(60);

pub async fn run(bench: &Bench) -> Result<()> {
    let program = s3::cache().join("node/node_modules/kinesis-local");
    if !program.is_dir() {
        println!("| records from Kinesis | needs the emulator of tests/servers/install.sh | |");
        return Ok(());
    }
    let (mut s3, mut setup) = bench.stage("kinesis").await?;
    let server = Server::start(program, &setup.folder).await?;
    let records = bench.args.kinesis_mb * 1_000_000 / KIND.bytes() as u64;
    server.fill(records).await?;
    setup.source = format!(
        "{{kinesis: {{stream: {STREAM}, region: {REGION}, endpoint: 'http://{}', start: trim_horizon}}}}",
        server.api.address
    );
    let pulled = pulled::all(&setup, &mut s3, records * KIND.bytes() as u64).await?;
    pulled.report("from Kinesis, 4 shards of 2 MiB/s", 4.0).await
}

struct Server {
    api: Arc<Api>,
    process: Child,
}

impl Server {
    async fn start(program: PathBuf, folder: &Path) -> Result<Self> {
        let (address, tls) = (free_address()?, free_address()?);
        let output = File::create(folder.join("kinesis.log"))?;
        let process = Command::new("node")
            .arg("--max-old-space-size=6000")
            .arg("main.js")
            // Its certificate is looked for there.
            .current_dir(program)
            .env("KINESIS_MOCK_PLAIN_PORT", address.port().to_string())
            .env("KINESIS_MOCK_TLS_PORT", tls.port().to_string())
            .env("AWS_REGION", REGION)
            .env("LOG_LEVEL", "ERROR")
            .env("CREATE_STREAM_DURATION", "50ms")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("start the emulator of Kinesis")?;
        let server = Self { api: Api::of(address, "kinesis"), process };
        let start = Instant::now();
        while server.api.connect().await.is_err() {
            ensure!(start.elapsed() < START_TIMEOUT, "the emulator of Kinesis does not listen");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }

    /// Makes the stream, and puts so many records.
    async fn fill(&self, records: u64) -> Result<()> {
        let mut connection = self.api.connect().await?;
        let make = format!(r#"{{"StreamName":"{STREAM}","ShardCount":{SHARDS}}}"#);
        call(&mut connection, "CreateStream", &Body::new(make, 0, 0)).await?;
        let ask = Body::new(format!(r#"{{"StreamName":"{STREAM}"}}"#), 0, 0);
        let start = Instant::now();
        while !call(&mut connection, "DescribeStreamSummary", &ask).await?.contains("ACTIVE") {
            ensure!(start.elapsed() < START_TIMEOUT, "the stream is not made");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut rng = fastrand::Rng::with_seed(7);
        let mut next = 0;
        while next < records {
            let count = (records - next).min(BATCH_RECORDS as u64);
            let body = batch(next, count, &mut rng);
            let answer = call(&mut connection, "PutRecords", &body).await?;
            ensure!(answer.contains("\"FailedRecordCount\":0"), "not all are taken: {answer}");
            next += count;
        }
        Ok(())
    }
}

/// A PutRecords of the records `first ..`.
fn batch(first: u64, count: u64, rng: &mut fastrand::Rng) -> Body {
    let mut json = format!(r#"{{"StreamName":"{STREAM}","Records":["#);
    for id in first..first + count {
        let data = base64_simd::STANDARD.encode_to_string(KIND.record(id, rng));
        let comma = if id == first { "" } else { "," };
        write!(json, r#"{comma}{{"Data":"{data}","PartitionKey":"key-{id:08}"}}"#)
            .expect("a string");
    }
    json.push_str("]}");
    Body::new(json, count * KIND.bytes() as u64, count)
}

async fn call(connection: &mut Connection, operation: &str, body: &Body) -> Result<String> {
    let target = format!("Kinesis_20131202.{operation}");
    let (status, answer) = connection.call(&target, body).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    ensure!(status.is_success(), "{operation} was answered {status}: {answer}");
    Ok(answer)
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing of it is needed any more.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
