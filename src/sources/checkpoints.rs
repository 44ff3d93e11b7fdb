//! How far upstream may be told that records are safe.
//!
//! ```text
//! put(records, steps) ──▶ journal ──┬─ durable:    safe at once, the steps lie beside the records
//!                                   └─ in memory:  safe once every destination has settled them
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    limits,
    record::{Position, Provenance, Put, Step},
    seams::{AppendError, Appended, Inlet, JournalError},
    telemetry::SourceMetrics,
};

/// Why a put was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPut {
    /// The source is being stopped; nothing was stored.
    #[error("the source is being stopped")]
    Stopped,
    /// The journal takes nothing more, or not this.
    #[error(transparent)]
    Refused(#[from] AppendError),
}

/// Puts, and what may be told upstream because of them.
pub struct Checkpoints {
    inlet: Arc<dyn Inlet>,
    settled: watch::Receiver<Position>,
    durable: bool,
    known: BTreeMap<String, String>,
    state: Mutex<State>,
    metrics: SourceMetrics,
}

#[derive(Default)]
struct State {
    /// Put, and not safe yet: where the put ends in the journal, and its steps.
    waiting: VecDeque<(Position, Vec<Step>)>,
    safe: BTreeMap<String, String>,
    done: Vec<String>,
}

impl Checkpoints {
    /// Asks the journal where the source stands.
    pub async fn open(inlet: Arc<dyn Inlet>, metrics: SourceMetrics) -> Result<Self, JournalError> {
        let upstream = inlet.upstream().await?;
        let settled = inlet.settled();
        let state = State { safe: upstream.positions.clone(), ..State::default() };
        Ok(Self {
            inlet,
            settled,
            durable: upstream.durable,
            known: upstream.positions,
            state: Mutex::new(state),
            metrics,
        })
    }

    /// Whether records that were put outlive the process.
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// Where the source stood when it was started, as far as the journal knows: of a journal in
    /// memory nothing.
    pub fn known(&self) -> &BTreeMap<String, String> {
        &self.known
    }

    /// Stores records with where the source stands behind them. A full journal is waited for.
    /// Dropped while it waits, it has stored nothing or all.
    pub async fn put(&self, put: Put, stop: &CancellationToken) -> Result<Appended, NotPut> {
        self.put_while(put, stop, &|| true).await
    }

    /// The same; `may_put` is asked before each attempt, and a no is as good as `stop`: what was
    /// read is somebody else's to put by now.
    pub async fn put_while(
        &self,
        put: Put,
        stop: &CancellationToken,
        may_put: &(dyn Fn() -> bool + Sync),
    ) -> Result<Appended, NotPut> {
        let steps = steps_of(&put);
        let (records, bytes) = (put.records() as u64, put.data.len() as u64);
        let mut wait = limits::SOURCE_FULL_WAIT_MIN;
        let put = Arc::new(put);
        loop {
            if !may_put() {
                return Err(NotPut::Stopped);
            }
            match self.inlet.put_shared(put.clone()).await {
                Ok(appended) => {
                    self.note(appended.first.plus(u64::from(appended.records)), steps);
                    self.metrics.read_records.inc_by(records);
                    self.metrics.read_bytes.inc_by(bytes);
                    return Ok(appended);
                }
                Err(AppendError::Full { .. }) => self.metrics.backpressured.inc(),
                Err(error) => return Err(error.into()),
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(NotPut::Stopped),
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(limits::SOURCE_FULL_WAIT_MAX);
        }
    }

    fn note(&self, end: Position, steps: Vec<Step>) {
        let mut state = self.state.lock();
        if self.durable {
            state.safe(&steps);
        } else {
            state.waiting.push_back((end, steps));
            state.release(*self.settled.borrow());
        }
    }

    /// Positions that upstream may be told of, by key.
    pub fn safe(&self) -> BTreeMap<String, String> {
        let mut state = self.state.lock();
        state.release(*self.settled.borrow());
        state.safe.clone()
    }

    /// Keys that the source is done with, each handed out once.
    pub fn take_done(&self) -> Vec<String> {
        let mut state = self.state.lock();
        state.release(*self.settled.borrow());
        std::mem::take(&mut state.done)
    }

    /// Returns when more may have become safe: at once if the journal is durable.
    pub async fn progressed(&self) {
        if self.durable {
            return;
        }
        let mut settled = self.settled.clone();
        settled.mark_unchanged();
        if settled.changed().await.is_err() {
            // The journal is closed; nothing becomes safe any more.
            std::future::pending::<()>().await;
        }
    }

    /// Nothing more is put: waits until all that was put is safe, or the shutdown waits no longer.
    pub async fn drain(&self) {
        if !self.durable {
            self.inlet.drain().await;
        }
    }

    /// Whether everything put of this key is safe.
    pub fn is_settled(&self, key: &str) -> bool {
        let mut state = self.state.lock();
        state.release(*self.settled.borrow());
        !state.waiting.iter().any(|(_, steps)| steps.iter().any(|step| step.key == key))
    }

    /// Waits until everything put of this key is safe, for this long at the most. Answers whether
    /// it is.
    pub async fn settle(&self, key: &str, patience: Duration) -> bool {
        let mut settled = self.settled.clone();
        let all_safe = async {
            while !self.is_settled(key) {
                settled.mark_unchanged();
                if self.is_settled(key) || settled.changed().await.is_err() {
                    return;
                }
            }
        };
        // What counts is asked below.
        let _ = tokio::time::timeout(patience, all_safe).await;
        self.is_settled(key)
    }

    /// Somebody else reads this key from now on: nothing that was put of it and is not safe yet is
    /// told upstream any more.
    pub fn abandon(&self, key: &str) {
        let mut state = self.state.lock();
        state.release(*self.settled.borrow());
        for (_, steps) in &mut state.waiting {
            steps.retain(|step| step.key != key);
        }
        state.safe.remove(key);
    }
}

impl State {
    fn release(&mut self, settled: Position) {
        while let Some((end, _)) = self.waiting.front()
            && end.sequence <= settled.sequence
        {
            if let Some((_, steps)) = self.waiting.pop_front() {
                self.safe(&steps);
            }
        }
    }

    fn safe(&mut self, steps: &[Step]) {
        for step in steps {
            match &step.position {
                Some(position) => {
                    self.safe.insert(step.key.clone(), position.clone());
                }
                None => {
                    self.safe.remove(&step.key);
                    self.done.push(step.key.clone());
                }
            }
        }
    }
}

fn steps_of(put: &Put) -> Vec<Step> {
    put.provenance.as_deref().map(|Provenance { steps, .. }| steps.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sources::testing::TestInlet, telemetry::Metrics};

    fn put(key: &str, position: &str) -> Put {
        let provenance =
            Provenance { steps: vec![Step::to(key, position)], ..Provenance::default() };
        let mut put = Put { provenance: Some(Box::new(provenance)), ..Put::default() };
        put.push(b"x");
        put
    }

    async fn opened(inlet: &Arc<TestInlet>) -> Checkpoints {
        Checkpoints::open(inlet.clone(), Metrics::new().source("s")).await.unwrap()
    }

    #[tokio::test]
    async fn in_memory_only_what_is_settled_is_safe() {
        let inlet = TestInlet::in_memory();
        let checkpoints = opened(&inlet).await;
        let stop = CancellationToken::new();
        checkpoints.put(put("a", "1"), &stop).await.unwrap();
        checkpoints.put(put("b", "7"), &stop).await.unwrap();
        assert_eq!(checkpoints.safe(), BTreeMap::new());
        assert!(!checkpoints.is_settled("a"));
        inlet.settle(1);
        assert_eq!(checkpoints.safe(), [("a".into(), "1".into())].into());
        assert!(checkpoints.is_settled("a") && !checkpoints.is_settled("b"));
        checkpoints.abandon("b");
        inlet.settle(2);
        assert_eq!(checkpoints.safe(), [("a".into(), "1".into())].into(), "b is not told");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_journal_is_waited_for_and_a_durable_one_is_safe_at_once() {
        let inlet = TestInlet::durable([("a".to_owned(), "0".to_owned())].into());
        let checkpoints = opened(&inlet).await;
        assert_eq!(checkpoints.known()["a"], "0");
        let stop = CancellationToken::new();
        inlet.refuse_as_full(3);
        checkpoints.put(put("a", "1"), &stop).await.unwrap();
        assert_eq!(checkpoints.safe()["a"], "1");
        assert_eq!(checkpoints.metrics.backpressured.get(), 3);
        inlet.refuse_as_full(u64::MAX);
        stop.cancel();
        assert_eq!(checkpoints.put(put("a", "2"), &stop).await, Err(NotPut::Stopped));
        assert_eq!(checkpoints.safe()["a"], "1");
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_put_no_more_while_the_journal_is_full_is_not_put() {
        let inlet = TestInlet::in_memory();
        let checkpoints = opened(&inlet).await;
        inlet.refuse_as_full(5);
        let asked = std::sync::atomic::AtomicU32::new(0);
        let may_put = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 3;
        let stop = CancellationToken::new();
        let put = checkpoints.put_while(put("a", "1"), &stop, &may_put).await;
        assert_eq!(put, Err(NotPut::Stopped));
        assert_eq!(checkpoints.metrics.backpressured.get(), 3);
        assert!(inlet.puts().is_empty());
    }
}
