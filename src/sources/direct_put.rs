//! Direct PUT: records come in by PutRecord and PutRecordBatch.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Throttle;
use crate::{
    env::Env,
    limits,
    record::{CallId, Position, Put},
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
    /// What became of recent calls while the stream has limits: a call that comes again must not
    /// be measured against them again.
    answered: Mutex<Answered>,
    metrics: StreamMetrics,
    env: Env,
}

/// Recent calls with their answers, up to a number of them.
#[derive(Default)]
struct Answered {
    answers: HashMap<CallId, Accepted>,
    order: VecDeque<CallId>,
}

impl Answered {
    fn insert(&mut self, call: CallId, accepted: Accepted) {
        if self.answers.insert(call, accepted).is_none() {
            self.order.push_back(call);
        }
        if self.order.len() > limits::THROTTLED_CALLS_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }
}

struct OpenInlet {
    inlet: Arc<dyn Inlet>,
    /// Puts under way: `run` returns after the last.
    tracker: TaskTracker,
}

impl DirectPut {
    pub fn new(throttle: Throttle, metrics: StreamMetrics, env: Env) -> Self {
        let throttle = ArcSwap::from_pointee(throttle);
        let answered = Mutex::default();
        Self { inlet: ArcSwapOption::empty(), throttle, answered, metrics, env }
    }

    /// Other limits from now on.
    pub fn set_throttle(&self, throttle: Throttle) {
        self.throttle.store(Arc::new(throttle));
    }

    /// Stores the records that fit into the stream's limits: durable on Ok. Goes on to its end
    /// also when the caller goes away.
    pub async fn put(self: &Arc<Self>, put: Put) -> Result<Accepted, PutError> {
        let open = self.inlet.load_full().ok_or(AppendError::Closed)?;
        let source = self.clone();
        let under_way = open.tracker.clone();
        let stored = under_way.spawn(async move { source.store(open.inlet.as_ref(), put).await });
        stored.await.unwrap_or_else(|error| {
            let cause = format!("storing a put ended unexpectedly: {error}");
            Err(AppendError::Failed(cause.into()).into())
        })
    }

    async fn store(&self, inlet: &dyn Inlet, mut put: Put) -> Result<Accepted, PutError> {
        put.arrival_ms = self.env.clock.now_ms();
        let throttle = self.throttle.load_full();
        if throttle.is_unlimited() {
            let first = self.append(inlet, put).await?;
            return Ok(Accepted { first, refused: Vec::new() });
        }
        let call = put.call;
        let known = call.and_then(|call| self.answered.lock().answers.get(&call).cloned());
        if let Some(accepted) = known {
            self.metrics.repeated_put_requests.inc();
            return Ok(accepted);
        }
        let records = put.records() as u64;
        let admitted = throttle.admit(&put.lengths, self.env.clock.monotonic());
        let refused = match admitted {
            Ok(refused) if (refused.len() as u64) < records => refused,
            _ => {
                self.metrics.throttled_records.inc_by(records);
                return Err(PutError::Throttled);
            }
        };
        if !refused.is_empty() {
            // What is left is another body than the one that a repetition would carry.
            put = without(&put, &refused);
        }
        let first = self.append(inlet, put).await?;
        self.metrics.throttled_records.inc_by(refused.len() as u64);
        let accepted = Accepted { first, refused };
        if let Some(call) = call {
            self.answered.lock().insert(call, accepted.clone());
        }
        Ok(accepted)
    }

    async fn append(&self, inlet: &dyn Inlet, put: Put) -> Result<Position, PutError> {
        let (records, bytes) = (put.records() as u64, put.data.len() as u64);
        match inlet.put(put).await {
            Ok(appended) if appended.repeated => {
                self.metrics.repeated_put_requests.inc();
                Ok(appended.first)
            }
            Ok(appended) => {
                self.metrics.incoming_put_requests.inc();
                self.metrics.incoming_records.inc_by(records);
                self.metrics.incoming_bytes.inc_by(bytes);
                Ok(appended.first)
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
    async fn a_call_that_was_cut_by_the_limits_is_stored_once() {
        let limits = Limits { records_per_second: Some(2), ..Limits::default() };
        let (source, inlet, stop, running) = opened(limits).await;
        let mut put = put_of(&[b"a", b"bb", b"c"]);
        put.call = Some(CallId { digest: [1; 16], body_checksum: 7 });
        let first = source.put(put.clone()).await.unwrap();
        assert_eq!(first.refused, vec![2]);
        assert_eq!(source.put(put).await.unwrap(), first);
        assert_eq!(inlet.0.lock().len(), 1);
        stop.cancel();
        running.await.unwrap();
    }

    async fn opened(
        limits: Limits,
    ) -> (Arc<DirectPut>, Arc<Recorder>, CancellationToken, tokio::task::JoinHandle<()>) {
        let env = Env::real();
        let throttle = Throttle::new(limits, env.clock.monotonic());
        let source = Arc::new(DirectPut::new(throttle, Metrics::new().stream("s"), env));
        let (inlet, stop) = (Arc::new(Recorder::default()), CancellationToken::new());
        let running = tokio::spawn({
            let (source, inlet, stop) = (source.clone(), inlet.clone(), stop.clone());
            async move { source.run(inlet, stop).await }
        });
        while source.inlet.load().is_none() {
            tokio::task::yield_now().await;
        }
        (source, inlet, stop, running)
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
