//! Which shards there are: listed at the start, now and then, and when a shard has ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{CheckpointError, ReadError, Shard, source::Reading, trouble::Backoff};
use crate::limits::{KINESIS_LIST_INTERVAL, KINESIS_RELIST_INTERVAL, KINESIS_RELISTS};

/// Why the coordinator does not know which shards there are.
enum Undiscovered {
    Unlisted(ReadError),
    Untold(CheckpointError),
}

impl Reading {
    /// Lists the shards and tells the coordinator, until `stop`.
    pub async fn discover(&self, stop: &CancellationToken) {
        let mut backoff = Backoff::default();
        let mut since_described = Duration::ZERO;
        loop {
            let discovered = tokio::select! {
                () = stop.cancelled() => return,
                discovered = self.discover_once() => discovered,
            };
            let wait = match discovered {
                Ok(wait) => {
                    backoff.succeeded();
                    wait
                }
                Err(why) => self.wait_after(why, &mut backoff),
            };
            since_described += wait;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = self.rediscover.notified() => {}
            }
            if since_described >= KINESIS_LIST_INTERVAL {
                since_described = Duration::ZERO;
                self.describe_again(stop).await;
            }
        }
    }

    /// Retention may have been changed. What fails here fails at the next list as well.
    async fn describe_again(&self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            described = self.listing.describe() => {
                if let Ok(info) = described {
                    *self.info.lock() = info;
                }
            }
        }
    }

    async fn discover_once(&self) -> Result<Duration, Undiscovered> {
        let shards = self.listing.list_shards().await.map_err(Undiscovered::Unlisted)?;
        self.coordinator.sync(&shards, &self.initial).await.map_err(Undiscovered::Untold)?;
        self.forget_unlisted(&shards);
        let wait = self.until_next(&shards);
        let listed: BTreeMap<_, _> =
            shards.into_iter().map(|shard| (shard.id.clone(), shard)).collect();
        self.listed.send_replace(Some(Arc::new(listed)));
        Ok(wait)
    }

    fn wait_after(&self, why: Undiscovered, backoff: &mut Backoff) -> Duration {
        match why {
            Undiscovered::Unlisted(error) => {
                let wait = backoff.after(&error);
                self.troubles.reading(None, &error, wait);
                wait
            }
            Undiscovered::Untold(error) => {
                self.troubles.coordinating(&error);
                let code = "Kinesis.Coordinator".into();
                backoff.after(&ReadError::Trouble { code, message: String::new() })
            }
        }
    }

    /// These shards follow one that has ended: they are looked for until they are listed.
    pub fn expect(&self, children: Vec<String>) {
        let mut expected = self.expected.lock();
        expected.0.extend(children);
        expected.1 = 0;
    }

    fn until_next(&self, shards: &[Shard]) -> Duration {
        let mut expected = self.expected.lock();
        for shard in shards {
            expected.0.remove(&shard.id);
        }
        expected.1 += 1;
        if expected.1 > KINESIS_RELISTS {
            expected.0.clear();
        }
        if expected.0.is_empty() { KINESIS_LIST_INTERVAL } else { KINESIS_RELIST_INTERVAL }
    }

    /// The range of hash keys of a shard that is held. Of one that is not listed, all keys.
    pub async fn hash_range(&self, shard: &str) -> (u128, u128) {
        let mut listed = self.listed.subscribe();
        let find = |listed: &Option<Arc<BTreeMap<String, Shard>>>| {
            Some(listed.as_ref()?.get(shard)?.hash_range)
        };
        if let Some(range) = find(&listed.borrow_and_update()) {
            return range;
        }
        // It came up since, and another replica was quicker to see it.
        self.rediscover.notify_one();
        if listed.changed().await.is_err() {
            return (0, u128::MAX);
        }
        let range = find(&listed.borrow_and_update());
        range.unwrap_or((0, u128::MAX))
    }

    /// The journal need not keep positions in shards whose last record has been deleted.
    fn forget_unlisted(&self, shards: &[Shard]) {
        if shards.is_empty() {
            return;
        }
        let held = self.parts.with(|parts| parts.keys().cloned().collect::<BTreeSet<_>>());
        let listed: BTreeSet<&str> = shards.iter().map(|shard| shard.id.as_str()).collect();
        let mut forgotten = Vec::new();
        self.stored.lock().retain(|shard, _| {
            let stays = held.contains(shard) || listed.contains(shard.as_str());
            if !stays {
                forgotten.push(self.key(shard));
            }
            stays
        });
        self.forgotten.lock().extend(forgotten);
    }
}
