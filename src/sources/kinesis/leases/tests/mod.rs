//! Several coordinators in one process.

mod fake;
mod model;
mod real;
mod scenes;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use self::fake::{Link, Server, TokioClock, Weather};
use super::{
    dynamo::{DynamoCoordinator, Timing},
    table::Table,
};
use crate::{
    env::Clock,
    sources::kinesis::{Checkpoint, Coordinator, Held, Shard},
};

pub const FAILOVER: Duration = Duration::from_secs(10);

/// A coordinator that runs.
struct Worker {
    coordinator: Arc<DynamoCoordinator>,
    weather: Arc<Mutex<Weather>>,
    is_frozen: Arc<AtomicBool>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Worker {
    fn start(server: &Server, name: &str, max: usize, clock: Arc<dyn Clock>, seed: u64) -> Self {
        let weather = Arc::<Mutex<Weather>>::default();
        let link = Link::new(server, weather.clone(), seed);
        Self::over(Box::new(link), name, max, clock, FAILOVER, weather, seed)
    }

    fn over(
        table: Box<dyn Table>,
        name: &str,
        max: usize,
        clock: Arc<dyn Clock>,
        failover: Duration,
        weather: Arc<Mutex<Weather>>,
        seed: u64,
    ) -> Self {
        let timing = Timing::of(failover);
        let coordinator = DynamoCoordinator::over(table, name.into(), "clicks", timing, max, clock);
        *coordinator.random.lock() = fastrand::Rng::with_seed(seed);
        let coordinator = Arc::new(coordinator);
        let stop = CancellationToken::new();
        let is_frozen = Arc::<AtomicBool>::default();
        let run = {
            let (coordinator, stop) = (coordinator.clone(), stop.clone());
            async move { coordinator.run(stop).await }
        };
        let running =
            tokio::spawn(Freezable { inner: Box::pin(run), is_frozen: is_frozen.clone() });
        Self { coordinator, weather, is_frozen, stop, running }
    }

    async fn sync(&self, shards: &[Shard]) {
        self.coordinator.sync(shards, &Checkpoint::TrimHorizon).await.unwrap();
    }

    /// What a source that is not frozen may read now.
    fn held(&self) -> BTreeMap<String, Held> {
        let all = self.coordinator.held().borrow().clone();
        all.iter()
            .filter(|(_, held)| self.coordinator.holds(held))
            .map(|(id, held)| (id.clone(), held.clone()))
            .collect()
    }

    fn ids(&self) -> BTreeSet<String> {
        self.held().into_keys().collect()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }

    /// Ends without a word.
    fn kill(self) {
        self.running.abort();
    }
}

/// A task that gets no time while it is frozen.
struct Freezable {
    inner: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_frozen: Arc<AtomicBool>,
}

impl Future for Freezable {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_frozen.load(Ordering::SeqCst) {
            return self.inner.as_mut().poll(context);
        }
        // It looks again from time to time whether it has thawed.
        let waker = context.waker().clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(50)).await;
            waker.wake();
        });
        Poll::Pending
    }
}

fn shard(id: &str, parents: &[&str], closed: bool) -> Shard {
    Shard {
        id: id.into(),
        parents: parents.iter().map(|&id| id.into()).collect(),
        hash_range: (0, u128::MAX),
        closed,
    }
}

fn shards(count: usize) -> Vec<Shard> {
    (0..count).map(|n| shard(&format!("shard-{n:02}"), &[], false)).collect()
}

fn at(number: u64) -> Checkpoint {
    Checkpoint::Sequence { number: number.to_string(), sub_sequence: 0, whole: true }
}

/// Waits for a condition, in tokio's time.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}
