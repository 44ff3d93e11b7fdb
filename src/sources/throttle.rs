//! A stream's own throughput limits: token buckets that hold one second's worth.

use std::time::Duration;

use parking_lot::Mutex;

/// The limits of a stream; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub records_per_second: Option<u64>,
    pub bytes_per_second: Option<u64>,
    pub requests_per_second: Option<u64>,
}

/// Tokens of one kind. Filled at the rate, holds at most one second's worth.
#[derive(Debug)]
struct Bucket {
    rate: f64,
    tokens: f64,
}

impl Bucket {
    fn new(rate: u64) -> Self {
        Self { rate: rate as f64, tokens: rate as f64 }
    }

    fn refill(&mut self, elapsed: Duration) {
        self.tokens = (self.tokens + self.rate * elapsed.as_secs_f64()).min(self.rate);
    }

    /// Takes `amount` if there is that much. More than a second's worth passes when the bucket is
    /// full and leaves a debt: a record larger than the limit must get through some time.
    fn take(&mut self, amount: f64) -> bool {
        let has = self.has(amount);
        if has {
            self.tokens -= amount;
        }
        has
    }

    fn has(&self, amount: f64) -> bool {
        self.tokens >= amount.min(self.rate)
    }
}

#[derive(Debug)]
struct Buckets {
    at: Duration,
    records: Option<Bucket>,
    bytes: Option<Bucket>,
    requests: Option<Bucket>,
}

impl Buckets {
    fn refill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.at);
        self.at = now;
        for bucket in [&mut self.records, &mut self.bytes, &mut self.requests] {
            bucket.iter_mut().for_each(|bucket| bucket.refill(elapsed));
        }
    }
}

/// Decides which records of a put fit into a stream's limits.
#[derive(Debug)]
pub struct Throttle(Option<Mutex<Buckets>>);

impl Throttle {
    pub fn new(limits: Limits, now: Duration) -> Self {
        if limits == Limits::default() {
            return Self(None);
        }
        Self(Some(Mutex::new(Buckets {
            at: now,
            records: limits.records_per_second.map(Bucket::new),
            bytes: limits.bytes_per_second.map(Bucket::new),
            requests: limits.requests_per_second.map(Bucket::new),
        })))
    }

    /// Whether all of the records fit together. More than a second's worth does when nothing has
    /// been taken for a second, and leaves a debt.
    pub fn admit_whole(&self, lengths: &[u32], now: Duration) -> bool {
        let Some(buckets) = &self.0 else { return true };
        let mut buckets = buckets.lock();
        buckets.refill(now);
        let bytes_wanted = lengths.iter().map(|&length| f64::from(length)).sum();
        let Buckets { records, bytes, requests, .. } = &mut *buckets;
        let mut wanted = [(requests, 1.0), (records, lengths.len() as f64), (bytes, bytes_wanted)];
        // All are looked at before any is taken: what is refused costs nothing.
        let fits = wanted
            .iter()
            .all(|(bucket, amount)| bucket.as_ref().is_none_or(|bucket| bucket.has(*amount)));
        if fits {
            for (bucket, amount) in &mut wanted {
                bucket.iter_mut().for_each(|bucket| bucket.tokens -= *amount);
            }
        }
        fits
    }

    /// How many of the records fit, from the first on; none when the request itself does not. What
    /// is taken is always the beginning of a put, so that its number alone says what it was.
    pub fn admit(&self, lengths: &[u32], now: Duration) -> usize {
        let Some(buckets) = &self.0 else { return lengths.len() };
        let mut buckets = buckets.lock();
        buckets.refill(now);
        let Buckets { records, bytes, requests, .. } = &mut *buckets;
        if requests.as_mut().is_some_and(|bucket| !bucket.take(1.0)) {
            return 0;
        }
        for (index, &length) in lengths.iter().enumerate() {
            // Both are looked at before either is taken: a refused record costs nothing.
            let fits = |bucket: &Option<Bucket>, amount: f64| {
                bucket.as_ref().is_none_or(|bucket| bucket.has(amount))
            };
            if !fits(records, 1.0) || !fits(bytes, f64::from(length)) {
                return index;
            }
            if let Some(bucket) = records {
                bucket.take(1.0);
            }
            if let Some(bucket) = bytes {
                bucket.take(f64::from(length));
            }
        }
        lengths.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_whole_put_fits_wholly_or_costs_nothing() {
        let limits = Limits { records_per_second: Some(4), ..Limits::default() };
        let limits = Limits { bytes_per_second: Some(100), ..limits };
        let throttle = Throttle::new(limits, at(0));
        assert!(throttle.admit_whole(&[10, 10, 10], at(0)));
        assert!(!throttle.admit_whole(&[10, 10], at(0)), "one record is left");
        assert!(!throttle.admit_whole(&[71], at(0)), "70 bytes are left");
        assert!(throttle.admit_whole(&[70], at(0)));
        assert!(throttle.admit_whole(&[40; 6], at(1000)), "more than ever fits, but all is there");
        assert!(!throttle.admit_whole(&[1], at(2000)), "240 bytes are paid for in 2.4 s");
        assert!(throttle.admit_whole(&[1], at(2500)));
        assert!(Throttle::new(Limits::default(), at(0)).admit_whole(&[1; 100], at(0)));
    }

    #[test]
    fn without_limits_everything_fits() {
        let throttle = Throttle::new(Limits::default(), at(0));
        assert_eq!(throttle.admit(&[1_000_000; 500], at(0)), 500);
    }

    #[test]
    fn only_the_part_that_fits_is_taken_and_time_brings_more() {
        let limits = Limits { records_per_second: Some(3), ..Limits::default() };
        let throttle = Throttle::new(limits, at(0));
        assert_eq!(throttle.admit(&[1; 5], at(0)), 3);
        assert_eq!(throttle.admit(&[1; 2], at(100)), 0);
        assert_eq!(throttle.admit(&[1; 2], at(500)), 1);
        assert_eq!(throttle.admit(&[1; 9], at(60_000)), 3);
    }

    #[test]
    fn a_record_above_the_byte_limit_passes_once_and_leaves_a_debt() {
        let limits = Limits { bytes_per_second: Some(100), ..Limits::default() };
        let throttle = Throttle::new(limits, at(0));
        assert_eq!(throttle.admit(&[250, 1], at(0)), 1);
        assert_eq!(throttle.admit(&[1], at(1400)), 0);
        assert_eq!(throttle.admit(&[1], at(1600)), 1);
    }

    #[test]
    fn too_many_requests_are_refused_whole() {
        let limits = Limits { requests_per_second: Some(1), ..Limits::default() };
        let throttle = Throttle::new(limits, at(0));
        assert_eq!(throttle.admit(&[1], at(0)), 1);
        assert_eq!(throttle.admit(&[1], at(10)), 0);
        assert_eq!(throttle.admit(&[1], at(1010)), 1);
    }
}
