//! `standpipe send`: lines of a file or of stdin as records.

pub(super) mod batches;
pub(super) mod lines;
pub(super) mod progress;
pub(super) mod upload;

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Mutex, mpsc, oneshot},
    task::JoinSet,
    time::timeout_at,
};
use tokio_util::sync::CancellationToken;

use self::{
    batches::{Batch, Splitter},
    lines::{Format, Line, LineError, Lines, Rules},
    upload::{Refused, Uploader},
};
use super::{INTERRUPTED, admin::Connection, output, runtime};
use crate::{limits, units::ByteSize};

/// How long a batch waits for more lines.
const LINGER: Duration = Duration::from_millis(200);
/// Lines read ahead: at most 64 MiB.
const LINES_AHEAD: usize = 64;

/// Send lines of a file, or of stdin, to a stream.
///
/// Records that are refused for the moment are sent again; with the first that is refused for
/// good, sending stops and tells the line to go on from.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  standpipe send clickstream events.ndjson --format ndjson\n  \
                  journalctl -f -o json | standpipe send logs\n  \
                  zcat old.log.gz | standpipe send logs --rate 5000 --concurrency 1\n\n\
                  Exit codes: 0 all records accepted, 1 not all, 2 wrong usage, 130 interrupted.")]
pub struct Arguments {
    /// Name of the stream.
    #[arg(value_name = "STREAM")]
    stream: String,

    /// The file; `-` is stdin.
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,

    /// What the input is made of.
    #[arg(long, value_enum, default_value = "lines")]
    format: Format,

    /// Records of a call, at most; a call also ends at 4 MiB.
    #[arg(long, value_name = "N", default_value_t = limits::BATCH_RECORDS_MAX as u16,
          value_parser = clap::value_parser!(u16).range(1..=limits::BATCH_RECORDS_MAX as i64))]
    records_per_batch: u16,

    /// Every record ends with its newline; this is the default.
    #[arg(long, conflicts_with = "no_newline")]
    keep_newline: bool,

    /// Cut `\n` or `\r\n` off every record.
    #[arg(long)]
    no_newline: bool,

    /// Calls under way at a time. 1 keeps the order of the lines.
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,

    /// Records a second, at most.
    #[arg(long, value_name = "N", value_parser = positive)]
    rate: Option<f64>,

    /// How often a call, and the entries of it that failed, are sent again.
    #[arg(long, value_name = "N", default_value_t = 8)]
    max_retries: u32,

    /// Leave out lines longer than a record may be (1,000 KiB), and count them.
    #[arg(long)]
    skip_oversize: bool,

    #[command(flatten)]
    connection: Connection,
}

pub(super) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("must be a number above 0".into()),
    }
}

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (input, total): (Box<dyn BufRead + Send>, _) = match arguments.file.to_str() {
        Some("-") => (Box::new(BufReader::new(std::io::stdin())), None),
        _ => {
            let open = || format!("{} cannot be read", arguments.file.display());
            let file = File::open(&arguments.file).with_context(open)?;
            let metadata = file.metadata().with_context(open)?;
            // A pipe has no size.
            let total = metadata.is_file().then_some(metadata.len());
            (Box::new(BufReader::with_capacity(1 << 20, file)), total)
        }
    };
    let runtime = runtime()?;
    let answer = runtime.block_on(send(&arguments, input, total));
    // A read from stdin cannot be called back.
    runtime.shutdown_background();
    answer
}

async fn send(
    arguments: &Arguments,
    input: Box<dyn BufRead + Send>,
    total: Option<u64>,
) -> anyhow::Result<ExitCode> {
    arguments.connection.reach().await?;
    let config = arguments.connection.sdk_config().await;
    let uploader = Uploader::new(&config, &arguments.stream, arguments.max_retries, arguments.rate);
    let uploader = Arc::new(uploader);
    let stop = CancellationToken::new();
    let signals = signal(SignalKind::interrupt()).context("Ctrl-C cannot be heard")?;
    let interrupts = tokio::spawn(interrupt(signals, stop.clone()));
    let bar = progress::bar(total);
    let begun = Instant::now();

    let (batches, read) = read(arguments, input);
    let refused = work(arguments.concurrency, &uploader, batches, &stop, &bar).await;
    // The reader is asked only where it has come to its end by itself.
    let read = if refused.is_empty() && !stop.is_cancelled() { read.await.ok() } else { None };
    bar.finish_and_clear();
    let interrupted = stop.is_cancelled();
    interrupts.abort();

    let skipped = read.as_ref().map_or(0, |end| end.skipped);
    output::print(&summary(&uploader, skipped, begun.elapsed()))?;
    let mut failure = read.and_then(|end| end.error).map(anyhow::Error::new);
    if let Some(first) = refused.iter().min_by_key(|refused| refused.first_line) {
        let reason = refused.iter().find_map(|refused| refused.reason.as_deref());
        failure = Some(anyhow::anyhow!(
            "not all records were accepted, the first that was not is line {}: {}",
            first.first_line,
            reason.unwrap_or("interrupted"),
        ));
    }
    if interrupted {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    failure.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// The first Ctrl-C lets calls under way end; the second ends the process.
pub(super) async fn interrupt(mut signals: Signal, stop: CancellationToken) {
    signals.recv().await;
    stop.cancel();
    tokio::spawn(async move {
        signals.recv().await;
        std::process::exit(i32::from(INTERRUPTED));
    });
}

/// How reading ended.
struct End {
    skipped: u64,
    error: Option<LineError>,
}

/// Reads in a thread of its own, a few lines and batches ahead of the workers.
fn read(
    arguments: &Arguments,
    input: Box<dyn BufRead + Send>,
) -> (mpsc::Receiver<Batch>, oneshot::Receiver<End>) {
    let rules = Rules {
        format: arguments.format,
        keep_newline: !arguments.no_newline,
        skip_oversize: arguments.skip_oversize,
    };
    let (read, lines) = mpsc::channel(LINES_AHEAD);
    let (done, end) = oneshot::channel();
    std::thread::spawn(move || {
        let mut lines = Lines::new(input, rules);
        let error = loop {
            match lines.next() {
                Ok(Some(line)) => {
                    // Nobody receives any more: sending has stopped.
                    if read.blocking_send(line).is_err() {
                        break None;
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let _ = done.send(End { skipped: lines.skipped(), error });
    });
    let (closed, batches) = mpsc::channel(2);
    let splitter = Splitter::new(usize::from(arguments.records_per_batch), limits::BATCH_BYTES_MAX);
    tokio::spawn(group(lines, splitter, closed));
    (batches, end)
}

/// Groups lines into batches. A batch that does not fill goes after a moment, so that a live
/// input (`journalctl -f |`) is sent as it comes.
async fn group(
    mut lines: mpsc::Receiver<Line>,
    mut splitter: Splitter,
    closed: mpsc::Sender<Batch>,
) {
    let mut due = None;
    loop {
        let next = match due {
            Some(due) => timeout_at(due, lines.recv()).await,
            None => Ok(lines.recv().await),
        };
        let (batch, ended) = match next {
            Ok(Some(line)) => {
                let batch = splitter.push(line);
                if batch.is_some() || due.is_none() {
                    due = Some(tokio::time::Instant::now() + LINGER);
                }
                (batch, false)
            }
            Ok(None) => (splitter.finish(), true),
            Err(_) => {
                due = None;
                (splitter.finish(), false)
            }
        };
        if let Some(batch) = batch
            && closed.send(batch).await.is_err()
        {
            return;
        }
        if ended {
            return;
        }
    }
}

/// Runs the workers to the end of the batches, or until one batch is refused; calls under way
/// are always waited for.
async fn work(
    concurrency: u16,
    uploader: &Arc<Uploader>,
    batches: mpsc::Receiver<Batch>,
    stop: &CancellationToken,
    bar: &ProgressBar,
) -> Vec<Refused> {
    let batches = Arc::new(Mutex::new(batches));
    let mut workers = JoinSet::new();
    // Set by a refusal: what is under way ends, nothing new begins.
    let halt = stop.child_token();
    for _ in 0..concurrency {
        let (uploader, batches, halt) = (uploader.clone(), batches.clone(), halt.clone());
        let bar = bar.clone();
        workers.spawn(async move {
            while let Some(batch) = next_batch(&batches, &halt).await {
                let sent = uploader.send(batch, &halt, |bytes| bar.inc(bytes)).await;
                if let Err(refused) = sent {
                    halt.cancel();
                    return Some(refused);
                }
            }
            None
        });
    }
    let mut refused = Vec::new();
    while let Some(worker) = workers.join_next().await {
        refused.extend(worker.expect("a worker does not panic"));
    }
    refused
}

async fn next_batch(
    batches: &Mutex<mpsc::Receiver<Batch>>,
    halt: &CancellationToken,
) -> Option<Batch> {
    tokio::select! {
        biased;
        () = halt.cancelled() => None,
        batch = async { batches.lock().await.recv().await } => batch,
    }
}

fn summary(uploader: &Uploader, skipped: u64, took: Duration) -> String {
    let counts = &uploader.counts;
    let accepted = counts.accepted.load(Ordering::Relaxed);
    let bytes = counts.accepted_bytes.load(Ordering::Relaxed);
    let refused = counts.sent.load(Ordering::Relaxed) - accepted;
    let seconds = took.as_secs_f64().max(1e-3);
    let mut text = format!(
        "{} accepted ({}) in {seconds:.1} s, {}/s",
        output::counted(accepted, "record"),
        ByteSize(bytes),
        ByteSize((bytes as f64 / seconds) as u64),
    );
    for (count, what) in [
        (refused, "not accepted"),
        (counts.retried.load(Ordering::Relaxed), "sent again"),
        (skipped, "too long and left out"),
    ] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    text + "\n"
}
