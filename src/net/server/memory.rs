//! The memory that bodies share, and how much of it may be held by bodies that have not arrived.
//!
//! A body takes its whole declared length before it is read, so that what has begun can end. Until
//! it has arrived nothing is proven: neither who sends it nor that anything will come. So three
//! things are asked for, in this order: a part of its peer's share, a part of its access key's
//! share, and the memory itself. The shares are given back when the body is there. One peer, or
//! everyone who knows one access key id, can thus hold a part of the memory and no more.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{body::BodyError, limits::ServerLimits};
use crate::limits::{BODIES_OF_ONE_KEY_DIVISOR, BODIES_OF_ONE_PEER_DIVISOR};

/// Bytes that requests take and give back; those that find too few wait in line.
pub struct Share {
    bytes: usize,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Share {
    fn new(bytes: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(bytes));
        Arc::new(Self { bytes, free, waiting: AtomicUsize::new(0) })
    }

    /// Takes `bytes`, or everything if that is less.
    async fn take(&self, bytes: usize) -> OwnedSemaphorePermit {
        let permits = bytes.min(self.bytes) as u32;
        if let Ok(taken) = self.free.clone().try_acquire_many_owned(permits) {
            return taken;
        }
        let _waiting = Waiting::new(&self.waiting);
        let taken = self.free.clone().acquire_many_owned(permits).await;
        taken.expect("the semaphore is never closed")
    }

    fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// Counts a waiting request for as long as it waits, also if its client goes away meanwhile.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A share for each of many, for as long as somebody holds on to it.
struct Shares<K> {
    bytes: usize,
    shares: Mutex<HashMap<K, Arc<Share>>>,
}

impl<K: Eq + Hash> Shares<K> {
    fn new(bytes: usize) -> Self {
        Self { bytes: bytes.max(1), shares: Mutex::default() }
    }

    fn of<Q>(&self, owner: &Q) -> Arc<Share>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut shares = self.shares.lock();
        if let Some(share) = shares.get(owner) {
            return share.clone();
        }
        // Clones are made under the lock only, so what the map alone holds is out of use.
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        let share = Share::new(self.bytes);
        shares.insert(owner.to_owned(), share.clone());
        share
    }
}

/// The memory of all bodies, and who may take it.
pub struct Memory {
    all: Arc<Share>,
    keys: Shares<String>,
    peers: Shares<IpAddr>,
}

impl Memory {
    pub fn new(bytes: usize) -> Self {
        Self {
            all: Share::new(bytes),
            keys: Shares::new(bytes / BODIES_OF_ONE_KEY_DIVISOR),
            peers: Shares::new(bytes / BODIES_OF_ONE_PEER_DIVISOR),
        }
    }

    /// The share of a peer. A connection keeps it, so that it is looked up once.
    pub fn peer(&self, address: IpAddr) -> Arc<Share> {
        self.peers.of(&address.to_canonical())
    }

    /// Takes room for a body of `bytes`, from `peer`, said to be signed by `access_key_id`.
    pub async fn room(
        &self,
        limits: &ServerLimits,
        peer: &Arc<Share>,
        access_key_id: Option<&str>,
        bytes: usize,
    ) -> Result<Room, BodyError> {
        let key = access_key_id.map(|id| self.keys.of(id));
        let taken = timeout(limits.body_wait, async {
            let of_peer = peer.take(bytes).await;
            let of_key = match &key {
                Some(key) => Some(key.take(bytes).await),
                None => None,
            };
            (of_peer, of_key, self.all.take(bytes).await)
        });
        let (of_peer, of_key, memory) = taken.await.map_err(|_| BodyError::Crowded)?;
        let shares = [Some(self.all.clone()), Some(peer.clone()), key];
        Ok(Room { memory, arriving: (of_peer, of_key), shares })
    }
}

/// The room of a body that is on its way.
pub struct Room {
    memory: OwnedSemaphorePermit,
    arriving: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
    shares: [Option<Arc<Share>>; 3],
}

impl Room {
    /// Whether others wait for something that this body holds.
    pub fn is_crowded(&self) -> bool {
        self.shares.iter().flatten().any(|share| share.is_crowded())
    }

    /// The body is there, in `bytes`: what it keeps of the memory, and nothing of the shares.
    pub fn arrived(self, bytes: usize) -> OwnedSemaphorePermit {
        let Self { mut memory, arriving, .. } = self;
        drop(arriving);
        // Where no length was declared, most of the memory taken is not needed.
        drop(memory.split(memory.num_permits().saturating_sub(bytes)));
        memory
    }
}
