//! What is done for all leases together: bringing the table in line with the stream, and taking.

use std::{collections::BTreeMap, time::Duration};

use futures::{TryStreamExt, stream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    balance::{self, Pick, Standing},
    dynamo::{DynamoCoordinator, Seen, State, Timing},
    item::Lease,
    plan::{self, Known},
    table::TableError,
};
use crate::{
    limits,
    sources::kinesis::{Checkpoint, Shard},
};

/// A lease that nobody has taken for so many failover times is taken whatever the balance says.
const ABANDONED_AFTER: u32 = 3;

impl DynamoCoordinator {
    /// Creates leases of new shards, and removes those that nobody needs any more.
    pub(super) async fn sync_table(
        &self,
        shards: &[Shard],
        initial: &Checkpoint,
    ) -> Result<(), TableError> {
        self.table.prepare().await?;
        self.note_children(shards);
        let mut known = self.look().await?;
        self.recognize(shards)?;
        let mut created = 0;
        for generation in plan::missing(shards, &known, &self.stored, initial) {
            let now_ms = self.clock.now_ms();
            let fresh = generation.into_iter().map(|(shard, at)| Lease::fresh(shard, at, now_ms));
            let fresh: Vec<_> = fresh.collect();
            created += fresh.len();
            self.create(&fresh).await?;
            known.extend(fresh.into_iter().map(|lease| (lease.key, lease.checkpoint)));
        }
        let mut done = plan::finished(shards, &known);
        done.extend(self.state.lock().absences.note(shards, &known));
        self.delete(&done).await?;
        if !self.ready.send_replace(true) || created > 0 {
            self.to_take.notify_one();
        }
        Ok(())
    }

    /// Leases of other shards under the same names are another stream's, or those of an earlier
    /// stream of this name.
    fn recognize(&self, shards: &[Shard]) -> Result<(), TableError> {
        let state = self.state.lock();
        let is_foreign = |shard: &&Shard| {
            let range = state.seen.get(&shard.id).and_then(|seen| seen.lease.range);
            range.is_some_and(|range| range != shard.hash_range)
        };
        match shards.iter().find(is_foreign) {
            None => Ok(()),
            Some(shard) => Err(TableError::Refused(format!(
                "the lease of {} in the lease table is that of a shard of another stream: give \
                 `leases.table` the name of a table of this stream's own; if the stream was \
                 deleted and made anew, delete the table",
                shard.id
            ))),
        }
    }

    fn note_children(&self, shards: &[Shard]) {
        let children = plan::children(shards).into_iter();
        let owned = |ids: Vec<&str>| ids.into_iter().map(str::to_owned).collect();
        self.state.lock().children =
            children.map(|(id, children)| (id.to_owned(), owned(children))).collect();
    }

    async fn create(&self, leases: &[Lease]) -> Result<(), TableError> {
        stream::iter(leases.iter().map(Ok))
            .try_for_each_concurrent(limits::LEASE_CALLS_AT_ONCE, async |lease| {
                match self.table.create(lease).await {
                    Ok(()) => {
                        let since = self.clock.monotonic();
                        let seen = Seen { lease: lease.clone(), since };
                        let mut state = self.state.lock();
                        state.gone.remove(&lease.key);
                        state.made.insert(lease.key.clone(), since);
                        state.seen.entry(lease.key.clone()).or_insert(seen);
                        Ok(())
                    }
                    // Another replica was quicker; the next scan tells how it stands.
                    Err(TableError::Outdated) => Ok(()),
                    Err(error) => Err(error),
                }
            })
            .await
    }

    /// Removes leases that nobody has changed since they were seen.
    async fn delete(&self, keys: &[String]) -> Result<(), TableError> {
        for key in keys {
            let counter = self.state.lock().seen.get(key).map(|seen| seen.lease.counter);
            let Some(counter) = counter else { continue };
            match self.table.delete(key, counter).await {
                Ok(()) => {
                    tracing::info!(stream = self.stream, shard = key, "removed a lease");
                    let mut state = self.state.lock();
                    state.seen.remove(key);
                    state.holdings.remove(key);
                    self.publish(&mut state);
                }
                Err(TableError::Outdated) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Looks at all leases. Answers how far they are.
    async fn look(&self) -> Result<Known, TableError> {
        let _alone = self.scanning.lock().await;
        let leases = self.table.scan().await?;
        let now = self.clock.monotonic();
        let known = leases.iter().map(|l| (l.key.clone(), l.checkpoint.clone())).collect();
        let mut state = self.state.lock();
        state.observe(leases, now);
        self.publish(&mut state);
        Ok(known)
    }

    pub(super) async fn take_until(&self, stop: &CancellationToken) {
        let mut ready = self.ready.subscribe();
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ready.wait_for(|ready| *ready) => {}
        }
        let mut balance_at = self.clock.monotonic();
        while !stop.is_cancelled() {
            // Leases of the dead are looked for often; the load is evened out at the library's pace.
            let balances = self.clock.monotonic() >= balance_at;
            let (wait, went_well) = match self.take(stop, balances).await {
                Ok(()) => {
                    if balances {
                        balance_at = self.clock.monotonic() + self.timing.take_every();
                    }
                    (self.timing.look_every(), true)
                }
                Err(error) => {
                    let error = error.to_string();
                    tracing::warn!(stream = self.stream, error, "cannot look for leases to take");
                    (self.timing.failover / 3, false)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                // After trouble a wish to take something is no reason to hurry.
                () = self.to_take.notified(), if went_well => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// One round of taking: what nobody holds any more, and with `balances` a part of what others
    /// have too much of.
    async fn take(&self, stop: &CancellationToken, balances: bool) -> Result<(), TableError> {
        self.look().await?;
        for (seen, stolen) in self.choose() {
            if stop.is_cancelled() {
                break;
            }
            if stolen && !balances {
                continue;
            }
            self.find_parents(&seen.lease).await?;
            self.take_one(seen, stolen).await?;
        }
        Ok(())
    }

    /// The leases to take now, as they were seen.
    fn choose(&self) -> Vec<(Seen, bool)> {
        let state = self.state.lock();
        let standings = state.standings(&self.owner, self.clock.monotonic(), self.timing);
        let mut random = self.random.lock();
        let picks = balance::picks(&standings, &self.owner, self.max_leases, &mut random);
        let seen = |pick: Pick<'_>| {
            let seen = state.seen.get(pick.key)?;
            Some((Seen { lease: seen.lease.clone(), since: seen.since }, pick.stolen))
        };
        picks.into_iter().filter_map(seen).collect()
    }

    /// Asks for the leases of parents that the scan did not see: it may have passed their places
    /// before they were made. They were made before their child's.
    async fn find_parents(&self, lease: &Lease) -> Result<(), TableError> {
        for id in &lease.parents {
            let is_settled = {
                let state = self.state.lock();
                state.seen.contains_key(id) || state.gone.contains(id)
            };
            if is_settled {
                continue;
            }
            let found = self.table.get(id).await?;
            let since = self.clock.monotonic();
            let mut state = self.state.lock();
            match found {
                Some(lease) => {
                    state.seen.entry(id.clone()).or_insert(Seen { lease, since });
                }
                None => {
                    state.gone.insert(id.clone());
                }
            }
        }
        Ok(())
    }

    async fn take_one(&self, seen: Seen, stolen: bool) -> Result<(), TableError> {
        let sent = self.clock.monotonic();
        match self.table.take(&seen.lease, &self.owner).await {
            Ok(()) => {}
            // Another one was quicker, or its owner is alive after all.
            Err(TableError::Outdated) => return Ok(()),
            Err(error) => return Err(error),
        }
        let shard = &*seen.lease.key;
        tracing::info!(stream = self.stream, shard, stolen, "took a lease");
        let answered = self.clock.monotonic();
        let visible_from = if is_clear(&seen, stolen, sent, self.timing) {
            Duration::ZERO
        } else {
            answered + self.timing.failover
        };
        self.insert(&seen.lease, sent + self.timing.lasts(), visible_from);
        Ok(())
    }
}

/// Whether nobody else can think that it has the lease: its counter has stood still for the
/// failover time, or it was not stolen, and who had it last was alone with it. Since a lease that
/// was stolen is shown late, a checkpoint of the thief tells that the one before has let go.
fn is_clear(seen: &Seen, stolen: bool, now: Duration, timing: Timing) -> bool {
    now.saturating_sub(seen.since) > timing.failover || (!stolen && seen.lease.switches == 0)
}

impl State {
    /// Takes over what a scan saw.
    fn observe(&mut self, leases: Vec<Lease>, now: Duration) {
        let mut before = std::mem::take(&mut self.seen);
        let mut seen = BTreeMap::new();
        for mut lease in leases {
            let known = before.remove(&lease.key);
            let is_still = known.as_ref().is_some_and(|k| k.lease.counter == lease.counter);
            let since = known.as_ref().map_or(now, |k| if is_still { k.since } else { now });
            // A shard's end is final: we may have written it since the scan passed its place.
            if known.is_some_and(|known| known.lease.is_ended()) {
                lease.checkpoint = Checkpoint::ShardEnd;
            }
            seen.insert(lease.key.clone(), Seen { lease, since });
        }
        self.gone.retain(|id| !seen.contains_key(id));
        self.made.retain(|id, _| seen.get(id).is_some_and(|seen| seen.lease.counter == 0));
        self.seen = seen;
    }

    /// The leases that are shared out: those that are not at their end.
    fn standings<'a>(&'a self, me: &str, now: Duration, timing: Timing) -> Vec<Standing<'a>> {
        let shared = self.seen.values().filter(|seen| !seen.lease.is_ended());
        let standing = |seen: &'a Seen| {
            let idle = now.saturating_sub(seen.since);
            let owner = seen.lease.owner.as_deref();
            let is_owned = owner.is_some_and(|owner| owner != me);
            let state = if self.holdings.contains_key(&seen.lease.key) {
                balance::State::Held
            } else if idle > timing.failover * ABANDONED_AFTER {
                balance::State::Abandoned
            } else if !is_owned || idle > timing.failover {
                balance::State::Free
            } else {
                balance::State::Alive
            };
            Standing { key: &seen.lease.key, owner, state }
        };
        shared.map(standing).collect()
    }
}
