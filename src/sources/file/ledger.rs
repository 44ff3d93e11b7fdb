//! Steps that wait for a put to lie beside, and what is safe.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::saved::Saved;
use crate::{
    record::{Put, Step},
    sources::{Checkpoints, NotPut},
};

/// What may be said of positions, to the journal and to others.
pub struct Ledger {
    pub checkpoints: Arc<Checkpoints>,
    saved: Mutex<Saved>,
    /// A step without records has no frame of its own: it goes with the next put, whichever file
    /// that is of. Should there be none before a crash, it is found out again.
    waiting: Mutex<BTreeMap<String, Option<String>>>,
    /// Keys of the steps that are on their way with a put of another file.
    flying: watch::Sender<BTreeSet<String>>,
    /// Positions that only the file of our own holds.
    own: Mutex<BTreeMap<String, String>>,
}

impl Ledger {
    pub fn new(checkpoints: Arc<Checkpoints>, saved: Saved) -> Self {
        let mut own = saved.positions().clone();
        if checkpoints.is_durable() {
            own.retain(|key, _| !checkpoints.known().contains_key(key));
        }
        Self {
            checkpoints,
            saved: Mutex::new(saved),
            waiting: Mutex::default(),
            flying: watch::Sender::default(),
            own: Mutex::new(own),
        }
    }

    /// Where the source stood when it was started.
    pub fn known(&self) -> BTreeMap<String, String> {
        let mut known = self.own.lock().clone();
        known.extend(self.checkpoints.known().clone());
        known
    }

    /// Whether the stream has never been run.
    pub fn is_first_start(&self) -> bool {
        !self.saved.lock().exists() && self.checkpoints.known().is_empty()
    }

    pub fn note(&self, step: Step) {
        self.waiting.lock().insert(step.key, step.position);
    }

    /// Puts, with the steps that wait. A put of this key has a newer step of its own; should an
    /// older one be on its way with another put, that one is let go first.
    pub async fn put(
        &self,
        key: &str,
        mut put: Put,
        stop: &CancellationToken,
    ) -> Result<(), NotPut> {
        let mut flying = self.flying.subscribe();
        flying.wait_for(|keys| !keys.contains(key)).await.expect("the sender is ours");
        let mut steps = std::mem::take(&mut *self.waiting.lock());
        steps.remove(key);
        let keys: Vec<String> = steps.keys().cloned().collect();
        self.flying.send_if_modified(|flying| {
            flying.extend(keys.iter().cloned());
            false
        });
        if let Some(provenance) = &mut put.provenance {
            let steps = steps.into_iter().map(|(key, position)| Step { key, position });
            provenance.steps.extend(steps);
        }
        let result = self.checkpoints.put(put, stop).await;
        if !keys.is_empty() {
            self.flying.send_modify(|flying| flying.retain(|key| !keys.contains(key)));
        }
        result.map(|_| ())
    }

    /// Positions of what is safe.
    pub fn positions(&self) -> BTreeMap<String, String> {
        let mut positions = self.own.lock().clone();
        positions.extend(self.checkpoints.safe());
        if self.checkpoints.is_durable() {
            // These follow from what is stored.
            for (key, position) in self.waiting.lock().iter() {
                match position {
                    Some(position) => positions.insert(key.clone(), position.clone()),
                    None => positions.remove(key),
                };
            }
        }
        positions
    }

    /// These files begin where nothing was ever put: only the file of our own says so.
    pub fn begin(&self, positions: BTreeMap<String, String>) {
        self.own.lock().extend(positions);
    }

    /// Brings the file of our own up to date, durably. Blocks.
    pub fn save(&self) -> io::Result<()> {
        let mut saved = self.saved.lock();
        let mut own = self.own.lock().clone();
        if self.checkpoints.is_durable() {
            if saved.exists() {
                return Ok(());
            }
        } else {
            own.extend(self.checkpoints.safe());
            for key in self.checkpoints.take_done() {
                own.remove(&key);
            }
            self.own.lock().clone_from(&own);
        }
        saved.save(own).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{env::Env, record::Provenance, sources::testing::TestInlet, telemetry::Metrics};

    fn put(key: &str, position: &str) -> Put {
        let steps = vec![Step::to(key, position)];
        let provenance = Provenance { steps, ..Provenance::default() };
        let mut put = Put { provenance: Some(Box::new(provenance)), ..Put::default() };
        put.push(b"x");
        put
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_step_never_comes_after_a_newer_one() {
        let folder = tempfile::tempdir().unwrap();
        let inlet = TestInlet::durable(BTreeMap::new());
        let checkpoints =
            Checkpoints::open(inlet.clone(), Metrics::new().source("s")).await.unwrap();
        let saved = Saved::load(Env::real(), folder.path()).unwrap();
        let ledger = Ledger::new(Arc::new(checkpoints), saved);
        let stop = CancellationToken::new();
        ledger.note(Step::to("a", "1"));
        ledger.note(Step::done("c"));
        assert_eq!(ledger.positions()["a"], "1");
        // The put that takes the steps along finds the journal full; the newer one does not.
        inlet.refuse_as_full(1);
        let (first, second) = tokio::join!(
            ledger.put("b", put("b", "7"), &stop),
            ledger.put("a", put("a", "2"), &stop)
        );
        assert_eq!((first, second), (Ok(()), Ok(())));
        let steps: Vec<_> =
            inlet.puts().into_iter().flat_map(|put| put.provenance.unwrap().steps).collect();
        let expected =
            [Step::to("b", "7"), Step::to("a", "1"), Step::done("c"), Step::to("a", "2")];
        assert_eq!(steps, expected);
        assert_eq!(ledger.positions()["a"], "2");
    }
}
