//! At most so many records and bytes a second.

use std::time::Duration;

use tokio::time::Instant;

/// The limits of a replay's pace; `None` is as fast as it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    pub records_per_s: Option<f64>,
    pub bytes_per_s: Option<f64>,
}

impl Rate {
    /// Records that go together at this pace: no more than those of a second, or slow replays
    /// would come in bursts.
    pub fn records_together(&self, most: usize) -> usize {
        self.records_per_s.map_or(most, |rate| (rate.ceil() as usize).clamp(1, most))
    }
}

/// Tells when the next records may go.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Rate,
    due: Instant,
}

impl Pace {
    pub fn new(rate: Rate) -> Self {
        Self { rate, due: Instant::now() }
    }

    /// When the next may go.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Counts what goes now. Time in which nothing could go is not made up for.
    pub fn spend(&mut self, records: u64, bytes: u64) {
        let time =
            |count: u64, rate: Option<f64>| rate.map_or(0.0, |rate| count as f64 / rate).min(1e9);
        let seconds =
            time(records, self.rate.records_per_s).max(time(bytes, self.rate.bytes_per_s));
        self.due = self.due.max(Instant::now()) + Duration::from_secs_f64(seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_scarcer_of_records_and_bytes_decides() {
        let begun = Instant::now();
        let mut pace = Pace::new(Rate { records_per_s: Some(100.0), bytes_per_s: Some(1000.0) });
        for (records, bytes, expected_ms) in [(100, 10, 1000), (1, 5000, 6000), (0, 0, 6000)] {
            pace.spend(records, bytes);
            assert_eq!(pace.due() - begun, Duration::from_millis(expected_ms));
        }
        tokio::time::advance(Duration::from_secs(100)).await;
        pace.spend(100, 0);
        assert_eq!(pace.due() - begun, Duration::from_secs(101), "no burst after a rest");
    }

    #[test]
    fn slow_replays_go_in_small_batches() {
        let together = |rate| Rate { records_per_s: rate, bytes_per_s: None }.records_together(500);
        assert_eq!([None, Some(1e9), Some(20.5), Some(0.1)].map(together), [500, 500, 21, 1]);
    }
}
