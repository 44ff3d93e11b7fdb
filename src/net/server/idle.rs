//! When a connection was last of use.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// The requests of one connection.
pub struct Activity {
    opened: Instant,
    under_way: AtomicUsize,
    begun: AtomicUsize,
    /// Milliseconds from `opened` to the last end of a request.
    last_ms: AtomicU64,
}

/// A request under way, until it is dropped.
pub struct UnderWay(Arc<Activity>);

impl Activity {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            under_way: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            last_ms: AtomicU64::new(0),
        })
    }

    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        UnderWay(self.clone())
    }

    /// Returns once no request has been under way for `later`, or for `first` if there has been
    /// none at all.
    pub async fn idle(&self, first: Duration, later: Duration) {
        loop {
            let limit = if self.begun.load(Ordering::SeqCst) == 0 { first } else { later };
            let last = self.opened + Duration::from_millis(self.last_ms.load(Ordering::SeqCst));
            let now = Instant::now();
            let busy = self.under_way.load(Ordering::SeqCst) > 0;
            if !busy && now >= last + limit {
                return;
            }
            sleep_until(if busy { now + limit } else { last + limit }).await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let since = self.0.opened.elapsed().as_millis() as u64;
        self.0.last_ms.fetch_max(since, Ordering::SeqCst);
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}
