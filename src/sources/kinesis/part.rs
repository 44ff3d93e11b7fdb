//! The shards that this replica holds, and how far each of them has come.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Checkpoint, Held, position::later};

/// How far the reading of a held shard has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Reading,
    /// Read to its end; what was put is not known to be safe yet.
    Ended,
    /// Its end is kept, or somebody else has it: nothing more is done in this holding.
    Over,
}

/// A held shard.
pub(super) struct Part {
    pub held: Held,
    /// Cancelled when it is to be read no further.
    pub token: CancellationToken,
    pub phase: Phase,
    /// Whether its task has not ended.
    pub running: bool,
    pub task: Option<tokio::task::Id>,
    /// What the coordinator was told last.
    told: Option<Checkpoint>,
    /// Where the shard stands although no record came.
    idle: Option<Checkpoint>,
    behind_ms: i64,
}

impl Part {
    pub fn new(held: Held, token: CancellationToken) -> Self {
        let phase = Phase::Reading;
        Self { held, token, phase, running: true, task: None, told: None, idle: None, behind_ms: 0 }
    }
}

/// All of them, by shard id.
#[derive(Default)]
pub(super) struct Parts {
    parts: Mutex<BTreeMap<String, Part>>,
    /// A shard was read to its end: its end is to be kept as soon as it is safe.
    pub ended: Notify,
}

impl Parts {
    /// Work on all parts at once.
    pub fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Part>) -> T) -> T {
        work(&mut self.parts.lock())
    }

    /// Works on one part, if this very holding of it is still there.
    pub fn of<T>(&self, held: &Held, work: impl FnOnce(&mut Part) -> T) -> Option<T> {
        let mut parts = self.parts.lock();
        let part = parts.get_mut(&held.shard_id)?;
        (part.held.holding == held.holding).then(|| work(part))
    }

    /// Its task has ended.
    pub fn stopped(&self, held: &Held, read_to_its_end: bool) {
        self.of(held, |part| {
            part.running = false;
            if read_to_its_end && part.phase == Phase::Reading {
                part.phase = Phase::Ended;
            }
        });
        if read_to_its_end {
            self.ended.notify_one();
        }
    }

    pub fn any_ended(&self) -> bool {
        self.parts.lock().values().any(|part| part.phase == Phase::Ended)
    }

    /// Shards being read.
    pub fn reading(&self) -> usize {
        let parts = self.parts.lock();
        parts.values().filter(|part| part.running && part.phase == Phase::Reading).count()
    }

    /// Notes how far behind a shard is.
    pub fn behind(&self, held: &Held, behind_ms: i64) {
        self.of(held, |part| part.behind_ms = behind_ms);
    }

    /// How far behind the slowest shard is, in milliseconds.
    pub fn slowest(&self) -> i64 {
        let parts = self.parts.lock();
        let reading = parts.values().filter(|part| part.phase == Phase::Reading);
        reading.map(|part| part.behind_ms).max().unwrap_or(0)
    }

    /// Everything up to here is safe, though no record says so.
    pub fn idle(&self, held: &Held, at: Checkpoint) {
        self.of(held, |part| part.idle = Some(at));
    }

    /// What the coordinator is to be told: positions that are later than what it knows.
    pub fn due(
        &self,
        only_ended: bool,
        safe: impl Fn(&str) -> Option<Checkpoint>,
        is_settled: impl Fn(&str) -> bool,
    ) -> Vec<(Held, Checkpoint)> {
        let parts = self.parts.lock();
        let due = |part: &Part| {
            let shard = part.held.shard_id.as_str();
            let ended = part.phase == Phase::Ended;
            if part.phase == Phase::Over || (only_ended && !ended) {
                return None;
            }
            let to = if ended && is_settled(shard) {
                Checkpoint::ShardEnd
            } else {
                [safe(shard), part.idle.clone()].into_iter().flatten().reduce(later)?
            };
            let known = part.told.as_ref().unwrap_or(&part.held.checkpoint);
            let is_new = later(known.clone(), to.clone()) != *known;
            is_new.then(|| (part.held.clone(), to))
        };
        parts.values().filter_map(due).collect()
    }

    /// The coordinator has kept this.
    pub fn kept(&self, held: &Held, to: &Checkpoint) {
        self.of(held, |part| {
            part.told = Some(to.clone());
            if *to == Checkpoint::ShardEnd {
                part.phase = Phase::Over;
            }
        });
    }

    /// Somebody else has the lease.
    pub fn lost(&self, held: &Held) {
        self.of(held, |part| {
            part.phase = Phase::Over;
            part.token.cancel();
        });
    }
}
