//! An inlet for the tests of sources: keeps what is put, and does as it is told.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    record::{Position, Put},
    seams::{AppendError, Appended, Inlet, JournalError, Upstream},
};

/// A journal that does as it is told.
pub struct TestInlet {
    upstream: Upstream,
    state: Mutex<State>,
    settled: watch::Sender<Position>,
    /// The number of puts that were stored.
    stored: watch::Sender<usize>,
    /// The source has put its last record, and waits until it is delivered.
    pub draining: CancellationToken,
    /// Nothing more is delivered: from the beginning, unless it is made to wait.
    pub drained: CancellationToken,
}

#[derive(Default)]
struct State {
    puts: Vec<Put>,
    records: u64,
    full_times: u64,
}

impl TestInlet {
    fn of(upstream: Upstream) -> Arc<Self> {
        let state = Mutex::default();
        let settled = watch::Sender::new(Position::START);
        let (draining, drained) = (CancellationToken::new(), CancellationToken::new());
        Arc::new(Self {
            upstream,
            state,
            settled,
            stored: watch::Sender::new(0),
            draining,
            drained,
        })
    }

    /// Nothing outlives the process: positions are safe once they are settled.
    pub fn in_memory() -> Arc<Self> {
        let inlet = Self::drained_last();
        inlet.drained.cancel();
        inlet
    }

    /// The same; a source that is stopped waits for `drained`.
    pub fn drained_last() -> Arc<Self> {
        Self::of(Upstream::default())
    }

    /// Holds what it has, and these positions from before. A source does not wait for a drain.
    pub fn durable(positions: BTreeMap<String, String>) -> Arc<Self> {
        Self::of(Upstream { positions, durable: true })
    }

    /// A durable one that goes on where this one stopped, as after a restart.
    pub fn reopened(&self) -> Arc<Self> {
        let mut positions = self.upstream.positions.clone();
        for put in &self.state.lock().puts {
            for step in put.provenance.iter().flat_map(|provenance| &provenance.steps) {
                match &step.position {
                    Some(position) => positions.insert(step.key.clone(), position.clone()),
                    None => positions.remove(&step.key),
                };
            }
        }
        Self::durable(positions)
    }

    /// The next so many puts find the journal full.
    pub fn refuse_as_full(&self, times: u64) {
        self.state.lock().full_times = times;
    }

    /// Every destination has settled the first so many records.
    pub fn settle(&self, records: u64) {
        self.settled.send_replace(Position::new(0, records));
    }

    /// Everything that was put.
    pub fn puts(&self) -> Vec<Put> {
        self.state.lock().puts.clone()
    }

    /// Every record that was put, in order.
    pub fn records(&self) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        for put in &self.state.lock().puts {
            let mut at = 0;
            for &length in &put.lengths {
                records.push(put.data[at..at + length as usize].to_vec());
                at += length as usize;
            }
        }
        records
    }

    /// Waits until at least so many records were put.
    pub async fn wait_for(&self, records: usize) {
        let mut stored = self.stored.subscribe();
        stored.wait_for(|stored| *stored >= records).await.expect("the sender is ours");
    }
}

#[async_trait]
impl Inlet for TestInlet {
    async fn put(&self, put: Put) -> Result<Appended, AppendError> {
        let mut state = self.state.lock();
        if state.full_times > 0 {
            state.full_times -= 1;
            return Err(AppendError::Full { used_bytes: 1, max_bytes: 1 });
        }
        let (first, records) = (state.records, put.records() as u32);
        state.records += u64::from(records);
        state.puts.push(put);
        self.stored.send_replace(state.records as usize);
        Ok(Appended { first: Position::new(0, first), records, repeated: false, places: None })
    }

    async fn upstream(&self) -> Result<Upstream, JournalError> {
        Ok(self.upstream.clone())
    }

    fn settled(&self) -> watch::Receiver<Position> {
        self.settled.subscribe()
    }

    async fn drain(&self) {
        self.draining.cancel();
        self.drained.cancelled().await;
    }
}
