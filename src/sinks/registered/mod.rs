//! A sink that tells a table's catalog of every new partition once its first object is there.
//!
//! Keys are read as Hive lays out folders: `clicks/dt=2026-11-21/hour=09/name` is an object of the
//! partition (`2026-11-21`, `09`) at `clicks/dt=2026-11-21/hour=09/`. The object comes first, so
//! that the catalog never names a place without data, and the partition belongs to the delivery:
//! a fault of the catalog is the attempt's fault. The object is not uploaded again for it.

mod glue;
mod key;
#[cfg(test)]
mod tests;

pub use glue::GluePartitions;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{
    fault::Fault,
    limits::{PARTITIONS_REMEMBERED, UNREGISTERED_UPLOADS},
    seams::{Delivered, Shipment, Sink, Trial},
};

/// A table whose partitions are named after folders.
#[async_trait]
pub trait Partitions: Send + Sync {
    /// The names of its partition columns, in their order.
    async fn keys(&self) -> Result<Arc<[String]>, Fault>;

    /// Makes the partition with these values for the objects below `prefix`, which ends with `/`.
    /// One that exists is left as it is.
    async fn create(&self, values: &[String], prefix: &str) -> Result<(), Fault>;
}

/// A sink in front of a table.
pub struct Registered {
    inner: Arc<dyn Sink>,
    partitions: Arc<dyn Partitions>,
    state: Mutex<State>,
    warned: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Prefixes whose partitions are there.
    known: HashSet<Box<str>>,
    uploads: Uploads,
}

impl Registered {
    pub fn new(inner: Arc<dyn Sink>, partitions: Arc<dyn Partitions>) -> Self {
        let (state, warned) = Default::default();
        Self { inner, partitions, state, warned }
    }

    /// Uploads the object, unless a former attempt has.
    async fn upload(&self, shipment: &Shipment) -> Result<Delivered, Fault> {
        if let Some(delivered) = self.state.lock().uploads.get(shipment) {
            return Ok(delivered);
        }
        let delivered = self.inner.deliver(shipment).await?;
        // Before the catalog is asked: an attempt that is called off meanwhile counts as well.
        self.state.lock().uploads.add(shipment, delivered.clone());
        Ok(delivered)
    }

    async fn register(&self, key: &str) -> Result<(), Fault> {
        let names = self.partitions.keys().await?;
        let Some(partition) = key::partition(key, &names) else {
            if !self.warned.swap(true, Ordering::Relaxed) {
                let columns = names.join(", ");
                // Without the key: its folders may be named after what records hold.
                tracing::warn!(%columns, "object keys name no partition of the table");
            }
            return Ok(());
        };
        if self.state.lock().known.contains(partition.prefix) {
            return Ok(());
        }
        self.partitions.create(&partition.values, partition.prefix).await?;
        let known = &mut self.state.lock().known;
        if known.len() >= PARTITIONS_REMEMBERED {
            known.clear();
        }
        known.insert(partition.prefix.into());
        Ok(())
    }
}

#[async_trait]
impl Sink for Registered {
    async fn deliver(&self, shipment: &Shipment) -> Result<Delivered, Fault> {
        // Failed records are no data of the table, wherever they lie.
        if shipment.is_error() {
            return self.inner.deliver(shipment).await;
        }
        let delivered = self.upload(shipment).await?;
        self.register(&shipment.key).await?;
        self.state.lock().uploads.forget(&shipment.key);
        Ok(delivered)
    }

    async fn check(&self) -> Vec<Trial> {
        self.inner.check().await
    }
}

/// Objects that are there while their partitions are not, the oldest first.
#[derive(Default)]
struct Uploads {
    by_key: HashMap<String, Upload>,
    order: VecDeque<String>,
}

struct Upload {
    /// What tells the shipment from another under the same key.
    records: u64,
    body_bytes: usize,
    delivered: Delivered,
}

impl Uploads {
    fn get(&self, shipment: &Shipment) -> Option<Delivered> {
        let upload = self.by_key.get(&shipment.key)?;
        let same = upload.records == shipment.records && upload.body_bytes == shipment.body.len();
        same.then(|| upload.delivered.clone())
    }

    fn add(&mut self, shipment: &Shipment, delivered: Delivered) {
        let (records, body_bytes) = (shipment.records, shipment.body.len());
        let upload = Upload { records, body_bytes, delivered };
        if self.by_key.insert(shipment.key.clone(), upload).is_some() {
            return;
        }
        self.order.push_back(shipment.key.clone());
        if self.order.len() > UNREGISTERED_UPLOADS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_key.remove(&oldest);
        }
    }

    fn forget(&mut self, key: &str) {
        if self.by_key.remove(key).is_some() {
            self.order.retain(|other| other != key);
        }
    }
}
