//! One bound on the bytes of open batches of all destinations together: past it, the largest is
//! asked to close.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Shared by all destinations.
pub struct Budget {
    limit_bytes: u64,
    shares: Mutex<Shares>,
}

#[derive(Default)]
struct Shares {
    next: u64,
    total_bytes: u64,
    of: HashMap<u64, (u64, Arc<Notify>)>,
}

/// One destination's part in the budget. Gives it back when dropped.
pub struct Share {
    budget: Arc<Budget>,
    id: u64,
    asked: Arc<Notify>,
}

impl Budget {
    pub fn new(limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self { limit_bytes, shares: Mutex::default() })
    }

    pub fn share(self: &Arc<Self>) -> Share {
        let mut shares = self.shares.lock();
        let id = shares.next;
        shares.next += 1;
        let asked = Arc::new(Notify::new());
        shares.of.insert(id, (0, asked.clone()));
        Share { budget: self.clone(), id, asked }
    }
}

impl Share {
    /// Reports how much is open here. When it has grown past the limit, whoever has most open is
    /// asked to make room: not again for the same bytes, or a destination that cannot make any
    /// would be asked for ever.
    pub fn report(&self, bytes: u64) {
        let mut shares = self.budget.shares.lock();
        let Some((before, _)) = shares.of.get_mut(&self.id) else { return };
        let before = std::mem::replace(before, bytes);
        shares.total_bytes = shares.total_bytes - before + bytes;
        if bytes > before
            && shares.total_bytes > self.budget.limit_bytes
            && let Some((_, asked)) = shares.of.values().max_by_key(|(bytes, _)| *bytes)
        {
            asked.notify_one();
        }
    }

    /// Resolves when this destination is to close its largest batch.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self.budget.shares.lock();
        if let Some((bytes, _)) = shares.of.remove(&self.id) {
            shares.total_bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn past_the_limit_the_largest_is_asked() {
        let budget = Budget::new(100);
        let (small, large) = (budget.share(), budget.share());
        small.report(30);
        large.report(60);
        assert!(large.asked().now_or_never().is_none());
        small.report(50);
        assert!(large.asked().now_or_never().is_some());
        assert!(small.asked().now_or_never().is_none());
        drop(large);
        small.report(99);
        assert!(small.asked().now_or_never().is_none());
    }
}
