//! Files: one that is read from its beginning, and many that do not change.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    time::Duration,
};

use anyhow::{Result, ensure};

use crate::{Bench, data::Kind, pulled};

const KIND: Kind = Kind::Event;
const IDLE_FILES: usize = 1_000;
const LINES: u64 = 10;
/// What reading leaves to be done is over.
const REST: Duration = Duration::from_secs(15);

pub async fn run(bench: &Bench) -> Result<()> {
    one(bench).await?;
    idle(bench).await
}

async fn one(bench: &Bench) -> Result<()> {
    let (mut s3, mut setup) = bench.stage("file").await?;
    let path = setup.folder.join("events.log");
    let records = bench.args.source_mb * 1_000_000 / KIND.bytes() as u64;
    let mut file = BufWriter::new(File::create(&path)?);
    let mut rng = fastrand::Rng::with_seed(7);
    for id in 0..records {
        file.write_all(KIND.record(id, &mut rng).as_bytes())?;
    }
    // Writing it back would go on beside what is measured.
    file.into_inner()?.sync_all()?;
    setup.source = format!("{{file: {{include: [{}], keep_newline: true}}}}", path.display());
    let pulled = pulled::all(&setup, &mut s3, records * KIND.bytes() as u64).await?;
    pulled.report("from a file", 3.0).await?;
    std::fs::remove_file(path)?;
    Ok(())
}

async fn idle(bench: &Bench) -> Result<()> {
    let (mut s3, mut setup) = bench.stage("idle-files").await?;
    let folder = setup.folder.join("logs");
    std::fs::create_dir_all(&folder)?;
    let mut rng = fastrand::Rng::with_seed(7);
    let mut bytes = 0;
    for number in 0..IDLE_FILES {
        let mut file = File::create(folder.join(format!("app-{number:04}.log")))?;
        for line in 0..LINES {
            let record = Kind::Reading.record(number as u64 * LINES + line, &mut rng);
            file.write_all(record.as_bytes())?;
            bytes += record.len() as u64;
        }
    }
    setup.source =
        format!("{{file: {{include: ['{}/*.log'], keep_newline: true}}}}", folder.display());
    let daemon = setup.start().await?;
    let mut waited = Duration::ZERO;
    while s3.stored()?.record_bytes < bytes {
        ensure!(waited < Duration::from_secs(60), "not delivered\n{}", daemon.last_lines());
        daemon.api.flush(crate::server::STREAM).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        waited += Duration::from_secs(1);
    }
    tokio::time::sleep(REST).await;
    let before = daemon.cpu_s()?;
    tokio::time::sleep(Duration::from_secs(bench.args.idle_seconds)).await;
    let share = (daemon.cpu_s()? - before) / bench.args.idle_seconds as f64;
    let (now, peak) = daemon.memory_mb()?;
    daemon.terminate().await?;
    println!("| {IDLE_FILES} idle files: CPU | {:.2} % of a core | ≤ 0.5 % |", share * 100.0);
    println!("| the same: memory, most | {now:.1} MB, {peak:.1} MB | ≤ 30 MB |");
    Ok(())
}
