//! One holding of a lease: from taking it to losing it.

use std::{collections::BTreeSet, time::Duration};

use parking_lot::Mutex;

use super::{
    item::Lease,
    plan,
    table::{Change, Table, TableError},
};
use crate::{
    env::Clock,
    sources::kinesis::{Checkpoint, Held},
};

/// Renewals and checkpoints whose own success has to be found out, in a row.
const ATTEMPTS: usize = 3;

/// A lease that this process took, and lets go by itself unless it is renewed.
pub(super) struct Holding {
    pub held: Held,
    /// From here on (monotonic) nobody who had the lease before us can still think it has it.
    pub visible_from: Duration,
    /// From here on others may take it.
    deadline: Mutex<Duration>,
    /// What follows the shard, as its last answer has told.
    children: Mutex<BTreeSet<String>>,
    /// Whoever changes the row has it, one after the other: all changes share one counter.
    row: tokio::sync::Mutex<OwnRow>,
}

/// The row as we wrote it last.
struct OwnRow {
    counter: u64,
    checkpoint: Checkpoint,
    /// When the first attempt with this counter was sent of which it is not known whether it was
    /// done.
    doubt: Option<Duration>,
}

/// What changes are made with.
#[derive(Clone, Copy)]
pub(super) struct Pen<'a> {
    pub table: &'a dyn Table,
    pub clock: &'a dyn Clock,
    pub owner: &'a str,
    /// How long a renewal holds, counted from when it was sent.
    pub lasts: Duration,
}

impl Holding {
    /// A lease that was taken as `seen`. `is_new` tells that this process has made it just now.
    pub fn new(
        seen: &Lease,
        number: u64,
        is_new: bool,
        deadline: Duration,
        visible_from: Duration,
    ) -> Self {
        let held = Held {
            shard_id: seen.key.clone(),
            checkpoint: seen.checkpoint.clone(),
            parents: seen.parents.clone(),
            since_ms: seen.since_ms,
            is_new,
            holding: number,
        };
        let row = OwnRow {
            counter: seen.counter.saturating_add(1),
            checkpoint: seen.checkpoint.clone(),
            doubt: None,
        };
        Self {
            held,
            visible_from,
            deadline: Mutex::new(deadline),
            children: Mutex::default(),
            row: tokio::sync::Mutex::new(row),
        }
    }

    pub fn deadline(&self) -> Duration {
        *self.deadline.lock()
    }

    pub fn followed_by(&self, children: &[String]) {
        self.children.lock().extend(children.iter().cloned());
    }

    /// What follows the shard: what it has told, and what is listed.
    pub fn children(&self, listed: Option<&Vec<String>>) -> Vec<String> {
        let mut children = self.children.lock().clone();
        children.extend(listed.into_iter().flatten().cloned());
        children.into_iter().collect()
    }

    fn renewed(&self, sent: Duration, pen: Pen<'_>) {
        let mut deadline = self.deadline.lock();
        *deadline = (*deadline).max(sent + pen.lasts);
    }

    /// Changes the row, and with it renews the lease. `Outdated` is the end of this holding.
    pub async fn change(&self, pen: Pen<'_>, change: &Change) -> Result<(), TableError> {
        let mut row = self.row.lock().await;
        if let Change::Checkpoint { to, .. } = change
            && plan::compare(to, &row.checkpoint).is_le()
        {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let sent = pen.clock.monotonic();
            // Noted before it is sent: whoever waits for the answer may be gone before it comes.
            let doubt = row.doubt;
            row.doubt.get_or_insert(sent);
            let key = &*self.held.shard_id;
            match pen.table.change(key, pen.owner, row.counter, change).await {
                Ok(()) => {
                    row.changed(change);
                    self.renewed(sent, pen);
                    return Ok(());
                }
                Err(TableError::Outdated) => {}
                Err(error) => return Err(error),
            }
            // Somebody else's doing, unless an attempt of our own was done unheard of.
            let Some(since) = doubt else { return Err(TableError::Outdated) };
            let Some(now) = pen.table.get(key).await? else { return Err(TableError::Outdated) };
            if now.counter != row.counter.saturating_add(1) {
                return Err(TableError::Outdated);
            }
            match now.owner {
                None if *change == Change::Release => return Ok(()),
                Some(owner) if owner == pen.owner => {}
                _ => return Err(TableError::Outdated),
            }
            *row = OwnRow { counter: now.counter, checkpoint: now.checkpoint, doubt: None };
            // The others may have seen that change as early as it was sent.
            self.renewed(since, pen);
            if let Change::Checkpoint { to, .. } = change
                && plan::compare(to, &row.checkpoint).is_le()
            {
                return Ok(());
            }
        }
        Err(TableError::Trouble {
            code: "LeaseTable.Unsettled".into(),
            message: format!("changes of lease {} pass each other", self.held.shard_id),
        })
    }
}

impl OwnRow {
    fn changed(&mut self, change: &Change) {
        self.counter = self.counter.saturating_add(1);
        self.doubt = None;
        if let Change::Checkpoint { to, .. } = change {
            self.checkpoint = to.clone();
        }
    }
}
