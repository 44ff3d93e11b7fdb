//! What is done about reads that fail: waits, counts, and few words in the log.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{CheckpointError, ReadError};
use crate::{
    limits::{
        KINESIS_BACKOFF, KINESIS_BACKOFF_DENIED_MAX, KINESIS_BACKOFF_THROTTLED_MAX,
        KINESIS_BACKOFF_TROUBLE_MAX, KINESIS_TROUBLE_LOG_INTERVAL,
    },
    telemetry::SourceMetrics,
};

/// Waits that double, of one who asks again and again. Drawn from the upper half, so that those who
/// failed together do not come back together.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub fn after(&mut self, error: &ReadError) -> Duration {
        let most = match error {
            ReadError::Throttled(_) => KINESIS_BACKOFF_THROTTLED_MAX,
            ReadError::Trouble { .. } => KINESIS_BACKOFF_TROUBLE_MAX,
            ReadError::Denied { .. } | ReadError::Gone(_) => KINESIS_BACKOFF_DENIED_MAX,
        };
        let wait = KINESIS_BACKOFF.saturating_mul(1 << self.failures.min(20)).min(most);
        self.failures += 1;
        wait.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Answers whether there was something to get over.
    pub fn succeeded(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }
}

/// Counts troubles, and tells of each kind now and then.
pub(super) struct Troubles {
    stream: String,
    kinesis_stream: String,
    metrics: SourceMetrics,
    told: Mutex<BTreeMap<String, Instant>>,
}

impl Troubles {
    pub fn new(stream: &str, kinesis_stream: &str, metrics: SourceMetrics) -> Self {
        let (stream, kinesis_stream) = (stream.to_owned(), kinesis_stream.to_owned());
        Self { stream, kinesis_stream, metrics, told: Mutex::default() }
    }

    /// A read failed, of this shard or of the list of shards.
    pub fn reading(&self, shard: Option<&str>, error: &ReadError, wait: Duration) {
        let (code, message, advice) = match error {
            ReadError::Throttled(message) => {
                self.metrics.throttled.inc();
                let advice = "give readers enhanced fan-out, or the stream more shards";
                ("Kinesis.Throttled", message, advice)
            }
            ReadError::Trouble { code, message } => (code.as_str(), message, "none if it passes"),
            ReadError::Denied { code, message } => {
                (code.as_str(), message, "mend the permission, the key or the setting named")
            }
            ReadError::Gone(message) => {
                let advice = "check the stream's name, region and account";
                ("Kinesis.ResourceNotFound", message, advice)
            }
        };
        if !matches!(error, ReadError::Throttled(_)) {
            self.metrics.error(code);
        }
        if self.is_due(code) {
            let (stream, kinesis_stream) = (&self.stream, &self.kinesis_stream);
            let retry_ms = wait.as_millis() as u64;
            tracing::warn!(
                stream,
                kinesis_stream,
                shard,
                code,
                message,
                advice,
                retry_ms,
                "reading from kinesis failed and is tried again"
            );
        }
    }

    /// The coordinator could not do what it was told.
    pub fn coordinating(&self, error: &CheckpointError) {
        let CheckpointError::Trouble { code, message } = error else { return };
        self.metrics.error(code);
        if self.is_due(code) {
            let stream = &self.stream;
            tracing::warn!(
                stream,
                code,
                message,
                "positions in kinesis could not be kept, and will be tried again"
            );
        }
    }

    fn is_due(&self, code: &str) -> bool {
        let now = Instant::now();
        let mut told = self.told.lock();
        let is_due = told.get(code).is_none_or(|last| now - *last >= KINESIS_TROUBLE_LOG_INTERVAL);
        if is_due {
            told.insert(code.to_owned(), now);
        }
        is_due
    }
}
