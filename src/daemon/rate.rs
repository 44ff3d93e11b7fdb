//! How fast a counter grows, smoothed over about a minute.

use std::time::Duration;

/// Weight of the newest measurement.
const NEWEST: f64 = 0.2;

#[derive(Debug, Default)]
pub struct Rate {
    last: Option<(u64, Duration)>,
    per_second: Option<f64>,
}

impl Rate {
    pub fn measure(&mut self, count: u64, now: Duration) {
        if let Some((before, at)) = self.last {
            let seconds = now.saturating_sub(at).as_secs_f64();
            if seconds > 0.0 {
                let latest = count.saturating_sub(before) as f64 / seconds;
                let smoothed = |old: f64| old + (latest - old) * NEWEST;
                self.per_second = Some(self.per_second.map_or(latest, smoothed));
            }
        }
        self.last = Some((count, now));
    }

    /// How long `left` lasts at this rate; `None` while nothing comes in.
    pub fn time_for(&self, left: u64) -> Option<Duration> {
        let rate = self.per_second.filter(|rate| *rate >= 1.0)?;
        Duration::try_from_secs_f64(left as f64 / rate).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_follows_the_rate() {
        let mut rate = Rate::default();
        rate.measure(0, Duration::ZERO);
        assert_eq!(rate.time_for(100), None);
        rate.measure(1000, Duration::from_secs(10));
        assert_eq!(rate.time_for(5000), Some(Duration::from_secs(50)));
        for second in 11..100 {
            rate.measure(1000, Duration::from_secs(second));
        }
        assert_eq!(rate.time_for(5000), None, "nothing has come in for a long time");
    }
}
