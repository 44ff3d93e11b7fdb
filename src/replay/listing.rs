//! Objects, found ahead of those that are read, so that the end of a replay can be foreseen.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::mpsc;

use super::store::{Object, Store, StoreError};

/// What the listing has found so far.
#[derive(Default)]
pub(super) struct Found {
    pub objects: AtomicU64,
    pub bytes: AtomicU64,
    /// There are no more.
    pub all: AtomicBool,
}

/// Lists ahead, as far as the channel takes it.
pub(super) async fn list(
    store: Arc<Store>,
    prefix: String,
    found: Arc<Found>,
    sender: mpsc::Sender<Result<Object, StoreError>>,
) {
    let mut listing = store.list(&prefix);
    loop {
        let page = match listing.next().await {
            Ok(page) => page,
            Err(error) => {
                let _ = sender.send(Err(error)).await;
                return;
            }
        };
        if page.is_empty() {
            return found.all.store(true, Ordering::Release);
        }
        found.objects.fetch_add(page.len() as u64, Ordering::Relaxed);
        let bytes = page.iter().map(|object| object.size_bytes).sum();
        found.bytes.fetch_add(bytes, Ordering::Relaxed);
        for object in page {
            // Nobody receives any more: the replay has ended.
            if sender.send(Ok(object)).await.is_err() {
                return;
            }
        }
    }
}
