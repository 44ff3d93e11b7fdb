//! While a destination is down, one attempt at a time: probes instead of a storm.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::Instant,
};

use crate::limits;

/// What everybody who goes to one destination shares. It opens after a row of failures without a
/// success, and closes with the first success.
#[derive(Debug)]
pub struct Breaker {
    state: Mutex<State>,
    /// One probe at a time, in the order in which they ask.
    probe: Semaphore,
    /// Counts how often the destination came back.
    recoveries: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// Failures since the last success.
    failures: u32,
    /// When the next probe may go.
    next_probe: Option<Instant>,
}

/// Leave to make one attempt. Dropped without a word, it says nothing of the destination.
#[derive(Debug)]
#[must_use]
pub struct Leave<'a> {
    breaker: &'a Breaker,
    _probe: Option<SemaphorePermit<'a>>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            probe: Semaphore::new(1),
            recoveries: watch::Sender::new(0),
        }
    }
}

impl Breaker {
    /// Whether the destination counts as down.
    pub fn is_open(&self) -> bool {
        self.state.lock().failures >= limits::BREAKER_FAILURES
    }

    /// Waits for leave to make an attempt: at once as long as the destination is well, and for a
    /// turn to probe while it is down. `None` once `until` has passed.
    pub async fn enter(&self, until: Option<Instant>) -> Option<Leave<'_>> {
        // Before the look at the state: a recovery in between must not be missed.
        let recovered = self.recovered();
        if !self.is_open() {
            return Some(Leave { breaker: self, _probe: None });
        }
        let passed = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = recovered => Some(Leave { breaker: self, _probe: None }),
            leave = self.turn() => Some(leave),
            () = passed => None,
        }
    }

    /// Leave at once, whatever is known of the destination.
    pub fn pass(&self) -> Leave<'_> {
        Leave { breaker: self, _probe: None }
    }

    async fn turn(&self) -> Leave<'_> {
        let probe = self.probe.acquire().await.expect("it is never closed");
        let next = self.state.lock().next_probe;
        if let Some(next) = next {
            tokio::time::sleep_until(next).await;
        }
        Leave { breaker: self, _probe: Some(probe) }
    }

    /// Resolves when the destination has come back from being down.
    pub fn recovered(&self) -> impl Future<Output = ()> + use<> {
        let mut recoveries = self.recoveries.subscribe();
        async move {
            if recoveries.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }
}

impl Leave<'_> {
    /// The destination has answered.
    pub fn succeeded(self) {
        let mut state = self.breaker.state.lock();
        let before = std::mem::take(&mut *state);
        // After single failures there is nobody to be woken: they are of single shipments.
        if before.failures >= limits::BREAKER_FAILURES {
            self.breaker.recoveries.send_modify(|count| *count += 1);
        }
    }

    /// It has not, or refuses us. The next probe goes after `wait`.
    pub fn failed(self, wait: Duration) {
        let mut state = self.breaker.state.lock();
        state.failures = state.failures.saturating_add(1);
        state.next_probe = Some(Instant::now() + wait.min(limits::BREAKER_PROBE_MAX));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;

    use super::*;

    const WAIT: Duration = Duration::from_secs(10);

    async fn opened() -> Arc<Breaker> {
        let breaker = Arc::new(Breaker::default());
        for _ in 0..limits::BREAKER_FAILURES {
            assert!(!breaker.is_open());
            breaker.enter(None).await.unwrap().failed(WAIT);
        }
        assert!(breaker.is_open());
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_while_it_is_open_and_all_once_it_is_closed() {
        let breaker = opened().await;
        let began = Instant::now();
        let probe = breaker.enter(None).await.unwrap();
        assert_eq!(began.elapsed(), WAIT);
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let breaker = breaker.clone();
                tokio::spawn(async move { breaker.enter(None).await.is_some() })
            })
            .collect();
        tokio::time::sleep(10 * WAIT).await;
        assert!(waiting.iter().all(|task| !task.is_finished()));
        probe.succeeded();
        for task in waiting {
            assert!(task.await.unwrap());
        }
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_probe_hands_the_turn_on_and_a_deadline_ends_the_wait() {
        let breaker = opened().await;
        let began = Instant::now();
        breaker.enter(None).await.unwrap().failed(2 * WAIT);
        assert!(breaker.enter(Some(began + 2 * WAIT)).await.is_none());
        assert_eq!(began.elapsed(), 2 * WAIT);
        let probe = breaker.enter(Some(began + 9 * WAIT)).await.unwrap();
        assert_eq!(began.elapsed(), 3 * WAIT);
        // A probe that is called off leaves its turn to the next.
        drop(probe);
        assert!(breaker.enter(None).now_or_never().flatten().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_among_failures_keeps_it_closed() {
        let breaker = Breaker::default();
        for _ in 0..10 * limits::BREAKER_FAILURES {
            for _ in 1..limits::BREAKER_FAILURES {
                breaker.enter(None).await.unwrap().failed(WAIT);
            }
            breaker.enter(None).await.unwrap().succeeded();
        }
        assert!(!breaker.is_open());
    }
}
