//! Replicas that share the shards of a stream by leases in DynamoDB.
//!
//! A lease is held from when the conditional update that took it was answered, until a *deadline*:
//! the failover time after the last renewal that succeeded was **sent**, by our own monotonic
//! clock. Others take a lease only once they have watched its counter stand still for the failover
//! time, so ours is let go before. What passes between two processes is never a moment in time.
//!
//! One who steals a lease of a living owner (so that the load evens out) shows it only after a
//! failover time, when the owner has either noticed or passed its deadline.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    holding::{Holding, Pen},
    item::Lease,
    plan::{self, Absences, Known},
    table::{Change, DynamoTable, Table, TableError},
    worker,
};
use crate::{
    env::{Clock, Env},
    limits,
    net::{aws::Access, signed::SignedClient},
    sources::kinesis::{Checkpoint, CheckpointError, Coordinator, Held, Leases, Shard},
};

/// Shares the shards of a stream with other replicas.
pub struct DynamoCoordinator {
    pub(super) table: Box<dyn Table>,
    /// Our name in the table.
    pub(super) owner: String,
    /// For logs.
    pub(super) stream: String,
    pub(super) timing: Timing,
    pub(super) max_leases: usize,
    /// What a durable journal knew of the shards at the start.
    pub(super) stored: Known,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: Mutex<State>,
    pub(super) random: Mutex<fastrand::Rng>,
    held: watch::Sender<Arc<BTreeMap<String, Held>>>,
    /// A sync went well: the table is there.
    pub(super) ready: watch::Sender<bool>,
    /// Something may be taken, sooner than planned.
    pub(super) to_take: Notify,
    /// A deadline is earlier than those that were known.
    to_fence: Notify,
    /// Scans one at a time: what an older one saw must not cover what a newer one did.
    pub(super) scanning: tokio::sync::Mutex<()>,
}

/// Intervals, all made from the failover time (`LeaseCoordinator` of the library).
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub failover: Duration,
    pub epsilon: Duration,
}

/// What is known of the leases.
#[derive(Default)]
pub(super) struct State {
    pub seen: BTreeMap<String, Seen>,
    pub holdings: BTreeMap<String, Arc<Holding>>,
    /// Holdings so far.
    pub count: u64,
    pub absences: Absences,
    /// Listed children by parent.
    pub children: BTreeMap<String, Vec<String>>,
    /// Shards without a lease: asked for, and not found.
    pub gone: BTreeSet<String>,
    /// Leases that this process has made and nobody had yet, and when (monotonic).
    pub made: BTreeMap<String, Duration>,
    pub is_stopped: bool,
}

/// A lease as the last scan saw it, and since when (monotonic) its counter has stood still.
pub(super) struct Seen {
    pub lease: Lease,
    pub since: Duration,
}

impl Timing {
    pub fn of(failover: Duration) -> Self {
        Self { failover, epsilon: limits::LEASE_EPSILON.min(failover / 10) }
    }

    pub fn renew_every(&self) -> Duration {
        (self.failover / 3).saturating_sub(self.epsilon)
    }

    pub fn take_every(&self) -> Duration {
        (self.failover + self.epsilon) * 2
    }

    /// How often leases that nobody renews are looked for.
    pub fn look_every(&self) -> Duration {
        limits::LEASE_LOOK_INTERVAL.min(self.failover / 3)
    }

    /// After trouble renewals are tried sooner, for there is not much time.
    fn renew_again(&self) -> Duration {
        self.failover / 12
    }

    fn call_timeout(&self) -> Duration {
        limits::LEASE_CALL_TIMEOUT.min(self.failover / 3)
    }

    /// How long a renewal holds.
    pub fn lasts(&self) -> Duration {
        self.failover - self.epsilon
    }
}

impl DynamoCoordinator {
    /// `worker_id` is used where `options` name none. Asks nobody.
    pub fn new(
        options: &Leases,
        access: &Access,
        stream: &str,
        worker_id: String,
        env: &Env,
    ) -> Result<Self, String> {
        let owner = options.worker_id.clone().unwrap_or(worker_id);
        if !worker::is_name(&owner) {
            return Err("leases.worker_id must be a text of 1 to 255 characters".into());
        }
        let name = &*options.table;
        let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-');
        if !(3..=255).contains(&name.len()) || !name.chars().all(fits) {
            return Err("leases.table must have 3 to 255 characters of a-z, A-Z, 0-9, `_`, `.` \
                        and `-`"
                .into());
        }
        let failover = options.failover.0;
        if !(limits::LEASE_FAILOVER_MIN..=limits::LEASE_FAILOVER_MAX).contains(&failover) {
            return Err(format!(
                "leases.failover must be {} to {} s",
                limits::LEASE_FAILOVER_MIN.as_secs(),
                limits::LEASE_FAILOVER_MAX.as_secs()
            ));
        }
        if options.max_leases == Some(0) {
            return Err("leases.max_leases must be at least 1".into());
        }
        let client = SignedClient::new(access, "dynamodb", options.endpoint.clone())
            .map_err(|error| format!("leases.endpoint: {error}"))?;
        let timing = Timing::of(failover);
        let table = DynamoTable::new(client, name, timing.call_timeout());
        let max_leases = options.max_leases.map_or(usize::MAX, |max| max as usize);
        Ok(Self::over(Box::new(table), owner, stream, timing, max_leases, env.clock.clone()))
    }

    /// Positions that a durable journal has: of shards without a lease they are not lost with it.
    #[must_use]
    pub fn knowing(self, stored: BTreeMap<String, Checkpoint>) -> Self {
        Self { stored, ..self }
    }

    pub(super) fn over(
        table: Box<dyn Table>,
        owner: String,
        stream: &str,
        timing: Timing,
        max_leases: usize,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            table,
            owner,
            stream: stream.to_owned(),
            timing,
            max_leases,
            stored: Known::new(),
            clock,
            state: Mutex::default(),
            random: Mutex::new(fastrand::Rng::new()),
            held: watch::Sender::default(),
            ready: watch::Sender::new(false),
            to_take: Notify::new(),
            to_fence: Notify::new(),
            scanning: tokio::sync::Mutex::new(()),
        }
    }

    fn pen(&self) -> Pen<'_> {
        Pen {
            table: &*self.table,
            clock: &*self.clock,
            owner: &self.owner,
            lasts: self.timing.lasts(),
        }
    }

    /// Lets go what is past its deadline, and shows what is held now. Answers when to look again.
    pub(super) fn publish(&self, state: &mut State) -> Option<Duration> {
        let now = self.clock.monotonic();
        let before = state.holdings.len();
        state.holdings.retain(|shard, holding| {
            let holds = now < holding.deadline();
            if !holds {
                tracing::warn!(
                    stream = self.stream,
                    shard,
                    "let a lease go that could not be renewed in time"
                );
            }
            holds
        });
        if state.holdings.len() < before {
            self.to_take.notify_one();
        }
        let held = Arc::new(state.visible(now));
        self.held.send_if_modified(|before| {
            let changes = *before != held;
            *before = held;
            changes
        });
        let moments = state.holdings.values().flat_map(|holding| {
            let shown = Some(holding.visible_from).filter(|from| *from > now);
            [Some(holding.deadline()), shown].into_iter().flatten()
        });
        moments.min()
    }

    pub(super) fn insert(&self, seen: &Lease, deadline: Duration, visible_from: Duration) {
        let mut state = self.state.lock();
        if state.is_stopped {
            return;
        }
        state.count += 1;
        // Whoever had it in between would have raised its counter.
        let made = state.made.remove(&seen.key).filter(|_| seen.counter == 0);
        let is_new = made.is_some_and(|made| self.clock.monotonic() < made + self.timing.failover);
        let holding = Holding::new(seen, state.count, is_new, deadline, visible_from);
        state.holdings.insert(seen.key.clone(), Arc::new(holding));
        self.publish(&mut state);
        self.to_fence.notify_one();
    }

    /// This holding is over.
    fn drop_holding(&self, held: &Held, ended: bool) {
        let mut state = self.state.lock();
        let is_it = |holding: &Arc<Holding>| holding.held.holding == held.holding;
        if state.holdings.get(&held.shard_id).is_some_and(is_it) {
            state.holdings.remove(&held.shard_id);
        }
        if ended && let Some(seen) = state.seen.get_mut(&held.shard_id) {
            seen.lease.checkpoint = Checkpoint::ShardEnd;
        }
        self.publish(&mut state);
    }

    fn holding(&self, held: &Held) -> Option<Arc<Holding>> {
        let state = self.state.lock();
        let holding = state.holdings.get(&held.shard_id)?;
        (holding.held.holding == held.holding).then(|| holding.clone())
    }

    fn holdings(&self) -> Vec<Arc<Holding>> {
        self.state.lock().holdings.values().cloned().collect()
    }

    async fn change(&self, holding: &Holding, change: &Change) -> Result<(), TableError> {
        let changed = holding.change(self.pen(), change).await;
        if changed == Err(TableError::Outdated) {
            let shard = &*holding.held.shard_id;
            tracing::info!(stream = self.stream, shard, "a lease was taken by another replica");
            self.drop_holding(&holding.held, false);
        }
        changed
    }

    /// Renews everything once. Answers whether all went well.
    async fn renew(&self) -> bool {
        let renewals = stream::iter(self.holdings()).map(async |holding| {
            let Err(error) = self.change(&holding, &Change::Renew).await else { return true };
            if error == TableError::Outdated {
                return true;
            }
            let (shard, error) = (&*holding.held.shard_id, error.to_string());
            tracing::warn!(stream = self.stream, shard, error, "cannot renew a lease");
            false
        });
        renewals
            .buffer_unordered(limits::LEASE_CALLS_AT_ONCE)
            .fold(true, async |all, one| all && one)
            .await
    }

    async fn renew_until(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let begun = self.clock.monotonic();
            let wait = if self.renew().await {
                let spent = self.clock.monotonic().saturating_sub(begun);
                self.timing.renew_every().saturating_sub(spent)
            } else {
                self.timing.renew_again()
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Lets leases go at their deadlines, and shows them when it is time, whatever the network is
    /// doing.
    async fn fence(&self) {
        loop {
            let next = self.publish(&mut self.state.lock());
            let wait = next.map(|moment| moment.saturating_sub(self.clock.monotonic()));
            tokio::select! {
                () = self.to_fence.notified() => {}
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
    }

    /// Gives everything back: nobody has to wait for it.
    async fn release(&self) {
        let holdings = {
            let mut state = self.state.lock();
            state.is_stopped = true;
            let holdings = std::mem::take(&mut state.holdings);
            self.publish(&mut state);
            holdings
        };
        stream::iter(holdings.into_values())
            .for_each_concurrent(limits::LEASE_CALLS_AT_ONCE, async |holding| {
                if let Err(error @ TableError::Trouble { .. }) =
                    holding.change(self.pen(), &Change::Release).await
                {
                    let (shard, error) = (&*holding.held.shard_id, error.to_string());
                    tracing::warn!(stream = self.stream, shard, error, "cannot release a lease");
                }
            })
            .await;
    }
}

impl State {
    /// Leases that may be read now.
    fn visible(&self, now: Duration) -> BTreeMap<String, Held> {
        let at = |id: &str| self.seen.get(id).map(|seen| &seen.lease.checkpoint);
        let shown = self.holdings.iter().filter(|(_, holding)| {
            now >= holding.visible_from && plan::is_readable(&holding.held.parents, at)
        });
        shown.map(|(id, holding)| (id.clone(), holding.held.clone())).collect()
    }
}

impl From<TableError> for CheckpointError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Outdated => Self::Lost,
            TableError::Refused(message) => {
                Self::Trouble { code: "LeaseTable.Refused".into(), message }
            }
            TableError::Trouble { code, message } => Self::Trouble { code, message },
        }
    }
}

#[async_trait]
impl Coordinator for DynamoCoordinator {
    async fn sync(&self, shards: &[Shard], initial: &Checkpoint) -> Result<(), CheckpointError> {
        Ok(self.sync_table(shards, initial).await?)
    }

    fn held(&self) -> watch::Receiver<Arc<BTreeMap<String, Held>>> {
        self.held.subscribe()
    }

    /// Asks the clock, too: a process that was frozen learns here that its time has passed.
    fn holds(&self, held: &Held) -> bool {
        let now = self.clock.monotonic();
        self.holding(held).is_some_and(|holding| {
            now < holding.deadline()
                && self.held.borrow().get(&held.shard_id).is_some_and(|shown| shown == held)
        })
    }

    fn followed_by(&self, held: &Held, children: &[String]) {
        if let Some(holding) = self.holding(held) {
            holding.followed_by(children);
        }
    }

    async fn checkpoint(&self, held: &Held, to: &Checkpoint) -> Result<(), CheckpointError> {
        let Some(holding) = self.holding(held) else { return Err(CheckpointError::Lost) };
        let is_end = *to == Checkpoint::ShardEnd;
        let children = match is_end {
            true => holding.children(self.state.lock().children.get(&held.shard_id)),
            false => Vec::new(),
        };
        self.change(&holding, &Change::Checkpoint { to: to.clone(), children }).await?;
        if is_end {
            self.drop_holding(held, true);
        }
        Ok(())
    }

    async fn run(&self, stop: CancellationToken) {
        // Calls that are under way are waited for, so that what they take is given back.
        let work = async { tokio::join!(self.renew_until(&stop), self.take_until(&stop)) };
        tokio::select! {
            _ = work => {}
            () = self.fence() => {}
        }
        self.release().await;
    }
}
