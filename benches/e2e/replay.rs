//! `standpipe replay`: failed records out of a bucket, straight to a destination.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use standpipe::{
    backup::{Extra, FailedRecord, write_line},
    fault::{Cause, output_type},
};

use crate::{
    Bench,
    client::{ACCESS_KEY_ID, REGION, SECRET},
    data::Kind,
    process,
    receiver::{Protocol, Receiver},
    s3::Choice,
    server::BUCKET,
};

/// Size of an error object, as with the default buffering.
const OBJECT_BYTES: usize = 5 << 20;
const ARRIVAL_MS: i64 = 1_760_000_000_000;

pub async fn run(bench: &Bench) -> Result<()> {
    if bench.choice != Choice::Versitygw {
        println!("| replay of failed records | needs versitygw | |");
        return Ok(());
    }
    for kind in [Kind::Reading, Kind::Event] {
        one(bench, kind).await?;
    }
    Ok(())
}

async fn one(bench: &Bench, kind: Kind) -> Result<()> {
    let records = bench.args.replay_records;
    let name = kind.name();
    let (s3, setup) = bench.stage(&format!("replay-{}", name.replace(' ', "-"))).await?;
    let errors = s3.root().join(BUCKET).join(output_type::HTTP_ENDPOINT_FAILED);
    let objects = write_objects(&errors, kind, records)?;
    let receiver = Receiver::start(Protocol::Firehose { record_bytes: kind.bytes() })?;
    let failed_again = setup.folder.join("failed-again");
    let output = fs::File::create(setup.folder.join("replay.log"))?;

    let start = Instant::now();
    let mut child = Command::new(&setup.binary)
        .arg("replay")
        .arg(format!("s3://{BUCKET}/{}/", output_type::HTTP_ENDPOINT_FAILED))
        .args(["--to", &format!("http://{}/", receiver.address)])
        .args(["--s3-endpoint", &format!("http://{}", setup.s3), "--s3-path-style"])
        .args(["--s3-region", REGION, "--failed-to", &format!("file:{}", failed_again.display())])
        .arg("--state")
        .arg(setup.folder.join("state.jsonl"))
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("start the replay")?;
    let ended = watch(&mut child).await;
    let elapsed = start.elapsed().as_secs_f64();
    // Not to be left behind when watching fails.
    let _ = child.kill();
    let Ended { status, cpu_s, peak_mb } = ended?;
    let said = || fs::read_to_string(setup.folder.join("replay.log")).unwrap_or_default();
    ensure!(status.success(), "the replay ended with {status}\n{}", said());
    let taken = receiver.records();
    ensure!(taken == records, "{taken} of {records} records came\n{}", said());

    let gigabytes = records as f64 * kind.bytes() as f64 / 1e9;
    println!(
        "| replay of {records} failed records of {name}, {objects} objects in S3, to an HTTP endpoint: records/s | {:.0}, {:.0} MB/s | ≥ 100,000 |",
        records as f64 / elapsed,
        gigabytes * 1e3 / elapsed,
    );
    println!(
        "| the same: memory; CPU | {peak_mb:.0} MB; {cpu_s:.1} s, {:.2} s per GB | ≤ 200 MB |",
        cpu_s / gigabytes
    );
    Ok(())
}

struct Ended {
    status: ExitStatus,
    cpu_s: f64,
    peak_mb: f64,
}

/// Waits until the process has ended. Its memory is seen as long as it lives, so that is asked for
/// again and again.
async fn watch(child: &mut Child) -> Result<Ended> {
    let (mut cpu_s, mut peak_mb) = (0.0, 0.0);
    loop {
        if let Ok(cpu) = process::cpu_s(child.id()) {
            cpu_s = cpu;
        }
        if let Ok((_, peak)) = process::memory_mb(child.id()) {
            peak_mb = peak;
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Ended { status, cpu_s, peak_mb });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Writes error objects as the daemon does, into the folder that the server shows as a bucket.
fn write_objects(folder: &Path, kind: Kind, records: u64) -> Result<usize> {
    let folder = folder.join("2026/03/18/12");
    fs::create_dir_all(&folder)?;
    let mut rng = fastrand::Rng::with_seed(7);
    let cause = Cause::new("HttpEndpoint.DestinationException", "status 503: busy");
    let mut objects = 0;
    let mut text = Vec::with_capacity(OBJECT_BYTES * 2);
    for number in 0..records {
        let raw = kind.record(number, &mut rng);
        let data_id = format!("{number:056}.0");
        write_line(
            &mut text,
            &FailedRecord {
                output_type: output_type::HTTP_ENDPOINT_FAILED,
                raw: raw.as_bytes(),
                cause: &cause,
                attempts: 4,
                // A few hundred records of a put came at one time.
                arrival_ms: ARRIVAL_MS + number as i64 / 500,
                ended_ms: ARRIVAL_MS + 300_000,
                extra: &[
                    ("subsequenceNumber", Extra::Number(0)),
                    ("dataId", Extra::Text(&data_id)),
                ],
            },
        );
        if text.len() >= OBJECT_BYTES || number + 1 == records {
            let name = format!("bench-1-2026-03-18-12-00-00-{objects:08}");
            fs::File::create(folder.join(name))?.write_all(&text)?;
            text.clear();
            objects += 1;
        }
    }
    Ok(objects)
}
