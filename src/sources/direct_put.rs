//! Direct PUT: records come in by PutRecord and PutRecordBatch.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Throttle;
use crate::{
    env::Env,
    record::{Position, Put},
    seams::{AppendError, Inlet, Source},
    telemetry::StreamMetrics,
};

/// What was accepted of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Where the first accepted record lies; the others follow it.
    pub first: Position,
    /// Indexes of the records that the stream's limits refused, in order.
    pub refused: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// All of it is over the stream's limits.
    #[error("the stream's throughput limit is reached")]
    Throttled,
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// The source of a Direct PUT stream: open while `run` runs.
pub struct DirectPut {
    inlet: ArcSwapOption<OpenInlet>,
    throttle: ArcSwap<Throttle>,
    metrics: StreamMetrics,
    env: Env,
}

struct OpenInlet {
    inlet: Arc<dyn Inlet>,
    /// Puts under way: `run` returns after the last.
    tracker: TaskTracker,
}

impl DirectPut {
    pub fn new(throttle: Throttle, metrics: StreamMetrics, env: Env) -> Self {
        let throttle = ArcSwap::from_pointee(throttle);
        Self { inlet: ArcSwapOption::empty(), throttle, metrics, env }
    }

    /// Other limits from now on.
    pub fn set_throttle(&self, throttle: Throttle) {
        self.throttle.store(Arc::new(throttle));
    }

    /// Stores the records that fit into the stream's limits: durable on Ok.
    pub async fn put(&self, mut put: Put) -> Result<Accepted, PutError> {
        let open = self.inlet.load_full().ok_or(AppendError::Closed)?;
        let _under_way = open.tracker.token();
        let records = put.records() as u64;
        put.arrival_ms = self.env.clock.now_ms();
        let admitted = self.throttle.load().admit(&put.lengths, self.env.clock.monotonic());
        let refused = match admitted {
            Ok(refused) if refused.len() as u64 == records && records > 0 => {
                self.metrics.throttled_records.inc_by(records);
                return Err(PutError::Throttled);
            }
            Ok(refused) => refused,
            Err(()) => {
                self.metrics.throttled_records.inc_by(records);
                return Err(PutError::Throttled);
            }
        };
        if !refused.is_empty() {
            // What is left is another body than the one that a repetition would carry.
            put = without(&put, &refused);
        }
        let (stored_records, stored_bytes) = (put.records() as u64, put.data.len() as u64);
        let appended = open.inlet.put(put).await;
        match appended {
            Ok(appended) => {
                self.metrics.throttled_records.inc_by(refused.len() as u64);
                if appended.repeated {
                    self.metrics.repeated_put_requests.inc();
                } else {
                    self.metrics.incoming_put_requests.inc();
                    self.metrics.incoming_records.inc_by(stored_records);
                    self.metrics.incoming_bytes.inc_by(stored_bytes);
                }
                Ok(Accepted { first: appended.first, refused })
            }
            Err(error) => {
                if matches!(error, AppendError::Full { .. }) {
                    self.metrics.throttled_records.inc_by(records);
                }
                Err(error.into())
            }
        }
    }
}

#[async_trait]
impl Source for DirectPut {
    async fn run(&self, inlet: Arc<dyn Inlet>, stop: CancellationToken) {
        let tracker = TaskTracker::new();
        self.inlet.store(Some(Arc::new(OpenInlet { inlet, tracker: tracker.clone() })));
        stop.cancelled().await;
        self.inlet.store(None);
        tracker.close();
        tracker.wait().await;
    }
}

/// The put without some of its records. It is a call of its own: never taken for a repetition.
fn without(put: &Put, refused: &[u32]) -> Put {
    let mut left = Put { arrival_ms: put.arrival_ms, ..Put::default() };
    let mut offset = 0;
    let mut refused = refused.iter().peekable();
    for (index, &length) in put.lengths.iter().enumerate() {
        let end = offset + length as usize;
        if refused.next_if(|&&next| next as usize == index).is_none() {
            left.push(&put.data[offset..end]);
        }
        offset = end;
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{seams::Appended, sources::Limits, telemetry::Metrics};
    use parking_lot::Mutex;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<Put>>);

    #[async_trait]
    impl Inlet for Recorder {
        async fn put(&self, put: Put) -> Result<Appended, AppendError> {
            self.0.lock().push(put);
            Ok(Appended { first: Position::START, repeated: false })
        }
    }

    fn put_of(records: &[&[u8]]) -> Put {
        let mut put = Put::default();
        records.iter().for_each(|record| put.push(record));
        put
    }

    #[tokio::test]
    async fn closed_before_and_after_its_run_open_between() {
        let env = Env::real();
        let limits = Limits { records_per_second: Some(2), ..Limits::default() };
        let throttle = Throttle::new(limits, env.clock.monotonic());
        let source = Arc::new(DirectPut::new(throttle, Metrics::new().stream("s"), env));
        let closed = Err(PutError::Append(AppendError::Closed));
        assert_eq!(source.put(put_of(&[b"a"])).await, closed);

        let (inlet, stop) = (Arc::new(Recorder::default()), CancellationToken::new());
        let running = tokio::spawn({
            let (source, inlet, stop) = (source.clone(), inlet.clone(), stop.clone());
            async move { source.run(inlet, stop).await }
        });
        while source.inlet.load().is_none() {
            tokio::task::yield_now().await;
        }
        let accepted = source.put(put_of(&[b"a", b"bb", b"c"])).await.unwrap();
        assert_eq!(accepted.refused, vec![2]);
        assert_eq!(inlet.0.lock()[0].data, b"abb");
        assert_eq!(source.put(put_of(&[b"d"])).await, Err(PutError::Throttled));

        stop.cancel();
        running.await.unwrap();
        assert_eq!(source.put(put_of(&[b"a"])).await, closed);
    }
}
