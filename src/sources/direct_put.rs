//! Direct PUT: records come in by PutRecord and PutRecordBatch.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Throttle;
use crate::{
    env::Env,
    record::{Position, Put},
    seams::{AppendError, Appended, Inlet, Source},
    telemetry::StreamMetrics,
};

/// What was accepted of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Where the first accepted record lies; the others follow it.
    pub first: Position,
    /// Indexes of the records that the stream's limits refused, in order.
    pub refused: Vec<u32>,
    /// Where each accepted record lies, if they do not follow one another.
    pub places: Option<Arc<[Position]>>,
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

    /// Stores the records that fit into the stream's limits: durable on Ok. Goes on to its end,
    /// and counts, also when the caller goes away.
    pub async fn put(self: &Arc<Self>, put: Put) -> Result<Accepted, PutError> {
        let records = put.records() as u32;
        let stored = self.put_as(put, false).await?;
        Ok(Accepted {
            first: stored.first,
            refused: (stored.records..records).collect(),
            places: stored.places,
        })
    }

    /// Whether all records of these lengths fit into the stream's limits: then they are taken of
    /// them, to be put by [`put_admitted`](Self::put_admitted) in as many parts as it takes.
    pub fn admit(&self, lengths: &[u32]) -> Result<(), PutError> {
        if self.throttle.load().admit_whole(lengths, self.env.clock.monotonic()) {
            return Ok(());
        }
        self.metrics.throttled_records.inc_by(lengths.len() as u64);
        Err(PutError::Throttled)
    }

    /// Stores all of what was admitted.
    pub async fn put_admitted(self: &Arc<Self>, put: Put) -> Result<Appended, PutError> {
        self.put_as(put, true).await
    }

    async fn put_as(self: &Arc<Self>, put: Put, admitted: bool) -> Result<Appended, PutError> {
        let open = self.inlet.load_full().ok_or(AppendError::Closed)?;
        let source = self.clone();
        to_the_end(async move {
            let _under_way = open.tracker.token();
            source.store(open.inlet.as_ref(), put, admitted).await
        })
        .await
    }

    async fn store(
        &self,
        inlet: &dyn Inlet,
        mut put: Put,
        is_admitted: bool,
    ) -> Result<Appended, PutError> {
        let records = put.records() as u32;
        put.arrival_ms = self.env.clock.now_ms();
        let now = self.env.clock.monotonic();
        let throttle = self.throttle.load();
        let admitted = match is_admitted {
            true => put.records(),
            false => throttle.admit(&put.lengths, now),
        };
        drop(throttle);
        if admitted == 0 && records > 0 {
            self.metrics.throttled_records.inc_by(u64::from(records));
            return Err(PutError::Throttled);
        }
        // A part is stored under the identity of the whole call: a repetition is recognised, and
        // gets the same part as its answer, whatever the limits have room for by then.
        put.truncate(admitted);
        let stored_bytes = put.data.len() as u64;
        match inlet.put(put).await {
            Ok(appended @ Appended { records: stored, repeated, .. }) => {
                if repeated {
                    self.metrics.repeated_put_requests.inc();
                } else {
                    self.metrics.throttled_records.inc_by(u64::from(records - stored));
                    self.metrics.incoming_put_requests.inc();
                    self.metrics.incoming_records.inc_by(u64::from(stored));
                    self.metrics.incoming_bytes.inc_by(stored_bytes);
                }
                Ok(appended)
            }
            Err(error) => {
                if matches!(error, AppendError::Full { .. }) {
                    self.metrics.throttled_records.inc_by(u64::from(records));
                }
                Err(error.into())
            }
        }
    }
}

/// A future that goes on in a task of its own when whoever waits for it goes away. A task from the
/// start would cost every put two changes of threads.
struct ToTheEnd<T: Send + 'static>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

fn to_the_end<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> ToTheEnd<T> {
    ToTheEnd(Some(Box::pin(future)))
}

impl<T: Send + 'static> Future for ToTheEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(future) = &mut self.0 else { return Poll::Pending };
        let answer = std::task::ready!(future.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(answer)
    }
}

impl<T: Send + 'static> Drop for ToTheEnd<T> {
    fn drop(&mut self) {
        if let (Some(future), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(future);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::CallId,
        seams::{JournalError, Upstream},
        sources::Limits,
        telemetry::Metrics,
    };
    use parking_lot::Mutex;
    use std::time::Duration;
    use tokio::sync::watch;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<Put>>);

    #[async_trait]
    impl Inlet for Recorder {
        async fn put(&self, put: Put) -> Result<Appended, AppendError> {
            let mut puts = self.0.lock();
            let before =
                puts.iter().find(|before| before.call.is_some() && before.call == put.call);
            let records = before.unwrap_or(&put).records() as u32;
            let repeated = before.is_some();
            puts.push(put);
            Ok(Appended { first: Position::START, records, repeated, places: None })
        }

        async fn upstream(&self) -> Result<Upstream, JournalError> {
            Ok(Upstream::default())
        }

        fn settled(&self) -> watch::Receiver<Position> {
            watch::Sender::new(Position::START).subscribe()
        }
    }

    fn put_of(records: &[&[u8]]) -> Put {
        let mut put = Put::default();
        records.iter().for_each(|record| put.push(record));
        put
    }

    #[tokio::test]
    async fn a_put_whose_caller_leaves_is_stored_all_the_same() {
        let (enter, entered) = tokio::sync::oneshot::channel();
        let (done, is_done) = tokio::sync::oneshot::channel();
        let mut put = Box::pin(to_the_end(async move {
            entered.await.expect("it is told to go on");
            done.send(()).expect("somebody looks");
        }));
        assert!(futures::poll!(&mut put).is_pending());
        drop(put);
        enter.send(()).expect("it still waits");
        is_done.await.expect("it came to its end");
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
        let call = CallId { digest: [1; 16], body_checksum: 1 };
        let put = Put { call: Some(call), ..put_of(&[b"a", b"bb", b"c"]) };
        let accepted = source.put(put.clone()).await.unwrap();
        assert_eq!(accepted.refused, vec![2]);
        assert_eq!(inlet.0.lock()[0].data, b"abb");
        assert_eq!(inlet.0.lock()[0].call, Some(call), "of the whole call");
        assert_eq!(source.put(put_of(&[b"d"])).await, Err(PutError::Throttled));
        source.set_throttle(Throttle::new(Limits::default(), Duration::ZERO));
        assert_eq!(source.put(put).await.unwrap(), accepted, "repeated when there is room");

        stop.cancel();
        running.await.unwrap();
        assert_eq!(source.put(put_of(&[b"a"])).await, closed);
    }
}
