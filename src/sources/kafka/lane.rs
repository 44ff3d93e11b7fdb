//! The way of a partition's puts to the journal: one behind the other, and many partitions beside
//! each other. It ends when the partition is somebody else's.
//!
//! ```text
//!  reader (a thread) ──Job──▶ lane of t/0 (a task) ──put──▶ journal
//!         │          ──Job──▶ lane of t/1
//!         └── waits while more than KAFKA_WAITING_BYTES are on their way
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    limits,
    record::Put,
    sources::{Checkpoints, NotPut},
    telemetry::SourceMetrics,
};

/// A put on its way.
struct Job {
    put: Put,
    bytes: usize,
    /// The offset behind its last record.
    position: i64,
}

/// What all lanes of a reader share.
pub(super) struct Road {
    checkpoints: Arc<Checkpoints>,
    metrics: SourceMetrics,
    state: Mutex<State>,
    changed: Condvar,
    /// When the reader was last seen at work, in milliseconds since `began`.
    pulse_ms: AtomicU64,
    began: Instant,
    /// The session: puts do not begin when the reader was not seen for so long, for then the whole
    /// process may have stood still, and the partitions may be somebody else's.
    session: Duration,
}

#[derive(Default)]
struct State {
    waiting_bytes: usize,
    /// Why the journal takes nothing any more.
    failed: Option<String>,
}

impl Road {
    pub fn new(
        checkpoints: Arc<Checkpoints>,
        metrics: SourceMetrics,
        session: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            checkpoints,
            metrics,
            state: Mutex::default(),
            changed: Condvar::new(),
            pulse_ms: AtomicU64::new(0),
            began: Instant::now(),
            session,
        })
    }

    pub fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// The reader is at work.
    pub fn beat(&self) {
        self.pulse_ms.store(self.began.elapsed().as_millis() as u64, Ordering::SeqCst);
    }

    /// Whether the reader was not seen at work for longer than the session.
    pub fn is_frozen(&self) -> bool {
        let pulse = Duration::from_millis(self.pulse_ms.load(Ordering::SeqCst));
        self.began.elapsed().saturating_sub(pulse) >= self.session
    }

    pub fn waiting_bytes(&self) -> usize {
        self.state.lock().waiting_bytes
    }

    /// Why the journal takes nothing any more.
    pub fn failure(&self) -> Option<String> {
        self.state.lock().failed.clone()
    }

    /// Waits until no more than this is on its way; answers whether that is so.
    pub fn wait_below(&self, bytes: usize, patience: Duration) -> bool {
        let mut state = self.state.lock();
        let is_full = |state: &mut State| state.waiting_bytes > bytes;
        !self.changed.wait_while_for(&mut state, is_full, patience).timed_out()
    }

    fn done(&self, lane: &Shared, bytes: usize, failure: Option<String>) {
        let mut state = self.state.lock();
        state.waiting_bytes -= bytes;
        if failure.is_some() {
            state.failed = failure;
        }
        lane.jobs.fetch_sub(1, Ordering::SeqCst);
        self.changed.notify_all();
    }
}

struct Shared {
    stop: CancellationToken,
    /// Puts that are not at their end.
    jobs: AtomicUsize,
    /// The offset behind the last record that was put, -1 before the first.
    stored: AtomicI64,
    /// Whether a put was thrown away: nothing behind it is stored.
    gap: AtomicBool,
}

impl Shared {
    /// A put is thrown away. To be said before the put is done.
    fn leave_gap(&self) {
        self.gap.store(true, Ordering::SeqCst);
    }
}

/// The lane of one partition while it is ours.
pub(super) struct Lane {
    road: Arc<Road>,
    shared: Arc<Shared>,
    jobs: mpsc::UnboundedSender<Job>,
}

impl Lane {
    /// Ends with `stop`, or when it is closed.
    #[expect(
        clippy::disallowed_methods,
        reason = "the reader stops reading at KAFKA_WAITING_BYTES over all lanes, and must not wait"
    )]
    pub fn open(road: &Arc<Road>, stop: &CancellationToken, runtime: &Handle) -> Self {
        let shared = Arc::new(Shared {
            stop: stop.child_token(),
            jobs: AtomicUsize::new(0),
            stored: AtomicI64::new(-1),
            gap: AtomicBool::new(false),
        });
        let (jobs, arriving) = mpsc::unbounded_channel();
        runtime.spawn(run(road.clone(), shared.clone(), arriving));
        Self { road: road.clone(), shared, jobs }
    }

    pub fn send(&self, put: Put, bytes: usize, position: i64) {
        self.shared.jobs.fetch_add(1, Ordering::SeqCst);
        self.road.state.lock().waiting_bytes += bytes;
        if self.jobs.send(Job { put, bytes, position }).is_err() {
            self.shared.leave_gap();
            self.road.done(&self.shared, bytes, None);
        }
    }

    /// Whether a put was thrown away, so that the source stands before what it has read.
    pub fn has_gap(&self) -> bool {
        self.shared.gap.load(Ordering::SeqCst)
    }

    /// Whether nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.shared.jobs.load(Ordering::SeqCst) == 0
    }

    /// The offset behind the last record that was put.
    pub fn stored(&self) -> Option<i64> {
        Some(self.shared.stored.load(Ordering::SeqCst)).filter(|&offset| offset >= 0)
    }

    /// Drops the puts that have not begun, and those that wait for room in the journal.
    pub fn close(&self) {
        self.shared.stop.cancel();
    }

    /// Waits for the put under way; answers whether it has ended.
    pub fn wait_idle(&self, until: Instant) -> bool {
        let mut state = self.road.state.lock();
        let is_busy = |_: &mut State| !self.is_idle();
        !self.road.changed.wait_while_until(&mut state, is_busy, until).timed_out()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.close();
    }
}

async fn run(road: Arc<Road>, lane: Arc<Shared>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(Job { put, bytes, position }) = jobs.recv().await {
        while road.is_frozen() && !lane.stop.is_cancelled() {
            tokio::time::sleep(limits::KAFKA_POLL_WAIT).await;
        }
        let failure = if lane.stop.is_cancelled() {
            lane.leave_gap();
            None
        } else {
            store(&road, &lane, put, position).await.err()
        };
        road.done(&lane, bytes, failure);
    }
}

async fn store(road: &Road, lane: &Shared, put: Put, position: i64) -> Result<(), String> {
    let is_unfit = put.provenance.as_ref().is_some_and(|provenance| provenance.unfit.is_some());
    let (records, bytes) = (put.records() as u64, put.data.len() as u64);
    match road.checkpoints.put(put, &lane.stop).await {
        Ok(_) => {
            lane.stored.store(position, Ordering::SeqCst);
            if is_unfit {
                road.metrics.failed_validation_records.inc_by(records);
                road.metrics.failed_validation_bytes.inc_by(bytes);
            }
            Ok(())
        }
        Err(NotPut::Stopped) => {
            // What follows it must not be stored without it.
            lane.leave_gap();
            lane.stop.cancel();
            Ok(())
        }
        Err(NotPut::Refused(error)) => {
            lane.leave_gap();
            lane.stop.cancel();
            Err(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Provenance, Step},
        sources::testing::TestInlet,
        telemetry::Metrics,
    };

    const LONG: Duration = Duration::from_secs(60);

    fn put(position: i64) -> Put {
        let steps = vec![Step::to("t/0", position.to_string())];
        let provenance = Some(Box::new(Provenance { steps, ..Provenance::default() }));
        let mut put = Put { provenance, ..Put::default() };
        put.push(b"x");
        put
    }

    async fn lane(inlet: &Arc<TestInlet>, session: Duration) -> (Arc<Road>, Lane) {
        let metrics = Metrics::new().source("s");
        let checkpoints = Checkpoints::open(inlet.clone(), metrics.clone()).await.unwrap();
        let road = Road::new(Arc::new(checkpoints), metrics, session);
        let lane = Lane::open(&road, &CancellationToken::new(), &Handle::current());
        (road, lane)
    }

    async fn idle(lane: Lane) -> Lane {
        let waiting = move || {
            assert!(lane.wait_idle(Instant::now() + LONG));
            lane
        };
        tokio::task::spawn_blocking(waiting).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn puts_begin_only_while_the_reader_is_at_work() {
        let inlet = TestInlet::durable(Default::default());
        // A session without length: the reader is always taken for one that stood still.
        let (road, frozen) = lane(&inlet, Duration::ZERO).await;
        frozen.send(put(1), 10, 1);
        assert!(!frozen.is_idle() && road.is_frozen() && !frozen.has_gap());
        frozen.close();
        let frozen = idle(frozen).await;
        assert_eq!((inlet.puts().len(), frozen.stored(), road.waiting_bytes()), (0, None, 0));
        assert!(frozen.has_gap(), "what was never begun is missing");

        let (road, lane) = lane(&inlet, LONG).await;
        road.beat();
        lane.send(put(1), 10, 1);
        lane.send(put(2), 10, 2);
        let lane = idle(lane).await;
        assert_eq!((inlet.puts().len(), lane.stored(), road.waiting_bytes()), (2, Some(2), 0));
        lane.close();
        assert!(!lane.has_gap(), "nothing was on its way");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_closed_lane_stores_nothing_behind_what_the_journal_had_no_room_for() {
        let inlet = TestInlet::durable(Default::default());
        let (road, lane) = lane(&inlet, LONG).await;
        road.beat();
        inlet.refuse_as_full(u64::MAX);
        for position in 1..5 {
            lane.send(put(position), 10, position);
        }
        assert_eq!(road.waiting_bytes(), 40);
        lane.close();
        let lane = idle(lane).await;
        assert_eq!((inlet.puts().len(), lane.stored(), road.waiting_bytes()), (0, None, 0));
        assert!(road.failure().is_none() && lane.has_gap());
    }
}
