//! One batch to the daemon: failed entries are sent again, and only they.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_firehose::{
    Client,
    config::Builder,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::put_record_batch::{PutRecordBatchError, PutRecordBatchOutput},
    primitives::Blob,
    types::Record,
};
use tokio_util::sync::CancellationToken;

use super::batches::Batch;

const BACKOFF_INITIAL: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// One attempt of one call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// Counts of all workers.
#[derive(Debug, Default)]
pub struct Counts {
    pub accepted: AtomicU64,
    pub accepted_bytes: AtomicU64,
    /// Entries sent again.
    pub retried: AtomicU64,
    /// Entries handed to a worker.
    pub sent: AtomicU64,
}

/// Why a batch, or a part of it, was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Number of the first line that was not accepted.
    pub first_line: u64,
    /// `None` if sending was interrupted.
    pub reason: Option<String>,
}

/// Sends batches to one stream.
pub struct Uploader {
    client: Client,
    stream: String,
    retries_max: u32,
    pace: Option<Pace>,
    pub counts: Counts,
}

impl Uploader {
    pub fn new(config: &SdkConfig, stream: &str, retries_max: u32, rate: Option<f64>) -> Self {
        // Throttled and broken calls are repeated by the SDK under one invocation id, by which
        // the daemon recognises a call that it has already stored.
        let retries = RetryConfig::standard()
            .with_max_attempts(retries_max.saturating_add(1))
            .with_initial_backoff(BACKOFF_INITIAL)
            .with_max_backoff(BACKOFF_MAX);
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let config = Builder::from(config).retry_config(retries).timeout_config(timeouts).build();
        Self {
            client: Client::from_conf(config),
            stream: stream.to_owned(),
            retries_max,
            pace: rate.map(Pace::new),
            counts: Counts::default(),
        }
    }

    /// Sends a batch until every record is accepted, retries are used up, or `stop`.
    /// `on_accepted` hears of the bytes of accepted records.
    pub async fn send(
        &self,
        batch: Batch,
        stop: &CancellationToken,
        on_accepted: impl Fn(u64),
    ) -> Result<(), Refused> {
        let mut left: Vec<(u64, Record)> =
            batch.lines.into_iter().map(|line| (line.number, record(line.data))).collect();
        self.counts.sent.fetch_add(left.len() as u64, Ordering::Relaxed);
        let refused = |left: &[(u64, Record)], reason| {
            let first_line = left.first().map_or(0, |(line, _)| *line);
            Err(Refused { first_line, reason })
        };
        if let Some(pace) = &self.pace
            && !pace.wait(left.len() as u64, stop).await
        {
            return refused(&left, None);
        }
        for failures in 0.. {
            let records = left.iter().map(|(_, record)| record.clone()).collect();
            let call = self.client.put_record_batch().delivery_stream_name(&self.stream);
            let answer = match call.set_records(Some(records)).send().await {
                Ok(answer) => answer,
                Err(error) => return refused(&left, Some(self.explain(&error))),
            };
            let before = left.len();
            let (failed, reason) = match still_failed(left, &answer) {
                Ok(split) => split,
                Err((left, reason)) => return refused(&left, Some(reason)),
            };
            left = failed.records;
            self.counts.accepted.fetch_add((before - left.len()) as u64, Ordering::Relaxed);
            self.counts.accepted_bytes.fetch_add(failed.accepted_bytes, Ordering::Relaxed);
            on_accepted(failed.accepted_bytes);
            if left.is_empty() {
                return Ok(());
            }
            if failures >= self.retries_max {
                return refused(&left, Some(format!("{reason} (after {failures} retries)")));
            }
            if !sleep(backoff(failures, fastrand::f64()), stop).await {
                return refused(&left, None);
            }
            self.counts.retried.fetch_add(left.len() as u64, Ordering::Relaxed);
        }
        unreachable!("the loop has no end but its returns")
    }

    fn explain(&self, error: &SdkError<PutRecordBatchError>) -> String {
        let Some(service) = error.as_service_error() else {
            return DisplayErrorContext(error).to_string();
        };
        let code = service.code().unwrap_or("an error without a code");
        let message = service.message().unwrap_or("no message");
        let help = match code {
            "ResourceNotFoundException" => " (see `aws firehose list-delivery-streams`)",
            "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "AccessDeniedException"
            | "MissingAuthenticationTokenException" => {
                " (are these the keys that the daemon knows?)"
            }
            _ => "",
        };
        format!("{code}: {message}{help}")
    }
}

fn record(data: Vec<u8>) -> Record {
    Record::builder().data(Blob::new(data)).build().expect("data is all that a record needs")
}

/// The entries that an answer did not accept.
#[derive(Debug)]
struct Failed {
    records: Vec<(u64, Record)>,
    accepted_bytes: u64,
}

type Sent = Vec<(u64, Record)>;

/// Splits what was sent by what was answered, entry by entry; with the first reason.
fn still_failed(
    sent: Sent,
    answer: &PutRecordBatchOutput,
) -> Result<(Failed, String), (Sent, String)> {
    let entries = answer.request_responses();
    if entries.len() != sent.len() {
        let reason = format!("{} records were answered with {} entries", sent.len(), entries.len());
        return Err((sent, reason));
    }
    let mut failed = Failed { records: Vec::new(), accepted_bytes: 0 };
    let mut reason = String::new();
    for ((line, record), entry) in sent.into_iter().zip(entries) {
        let Some(code) = entry.error_code() else {
            failed.accepted_bytes += record.data().as_ref().len() as u64;
            continue;
        };
        if failed.records.is_empty() {
            reason = format!("{code}: {}", entry.error_message().unwrap_or("no message"));
        }
        failed.records.push((line, record));
    }
    Ok((failed, reason))
}

/// Doubles from the first wait up to the longest; `draw` in 0..1 takes off up to half.
fn backoff(failures: u32, draw: f64) -> Duration {
    let full = BACKOFF_INITIAL.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX);
    full.mul_f64(1.0 - draw / 2.0)
}

/// Whether the whole time went by.
async fn sleep(wait: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => false,
        () = tokio::time::sleep(wait) => true,
    }
}

/// At most so many records a second, all workers together.
struct Pace {
    per_second: f64,
    start: Instant,
    begun: AtomicU64,
}

impl Pace {
    fn new(per_second: f64) -> Self {
        Self { per_second, start: Instant::now(), begun: AtomicU64::new(0) }
    }

    async fn wait(&self, records: u64, stop: &CancellationToken) -> bool {
        let before = self.begun.fetch_add(records, Ordering::Relaxed);
        let due = Duration::from_secs_f64(before as f64 / self.per_second);
        sleep(due.saturating_sub(self.start.elapsed()), stop).await
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_firehose::types::PutRecordBatchResponseEntry as Entry;

    use super::*;

    fn sent(count: u64) -> Sent {
        (1..=count).map(|line| (line * 10, record(vec![b'x'; line as usize]))).collect()
    }

    fn answer(entries: Vec<Entry>) -> PutRecordBatchOutput {
        PutRecordBatchOutput::builder()
            .failed_put_count(0)
            .set_request_responses(Some(entries))
            .build()
            .unwrap()
    }

    #[test]
    fn only_failed_entries_go_again_in_order() {
        let ok = || Entry::builder().record_id("1").build();
        let bad = |code: &str| Entry::builder().error_code(code).error_message("busy").build();
        let answer = answer(vec![ok(), bad("A"), ok(), bad("B")]);
        let (failed, reason) = still_failed(sent(4), &answer).unwrap();
        assert_eq!(failed.records.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [20, 40]);
        assert_eq!((failed.accepted_bytes, reason.as_str()), (4, "A: busy"));
    }

    #[test]
    fn an_answer_of_another_length_accepts_nothing() {
        let (left, _) = still_failed(sent(2), &answer(Vec::new())).unwrap_err();
        assert_eq!(left.len(), 2);
    }

    #[test]
    fn waits_grow_up_to_a_bound() {
        let waits: Vec<u128> = (0..9).map(|n| backoff(n, 0.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(backoff(0, 1.0).as_millis(), 50);
        assert_eq!(backoff(u32::MAX, 0.0), BACKOFF_MAX);
    }
}
