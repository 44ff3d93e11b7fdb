//! A table in memory with the conditions of the real one, and connections to it that are slow,
//! lossy or cut.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::super::{
    item::{Lease, Row},
    table::{Change, Table, TableError},
};
use crate::{env::Clock, sources::kinesis::Checkpoint};

/// Tokio's time, which tests can pause.
pub struct TokioClock(Instant);

impl Default for TokioClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    fn now_ms(&self) -> i64 {
        self.0.elapsed().as_millis() as i64
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The rows.
#[derive(Clone, Default)]
pub struct Server {
    pub rows: Arc<Mutex<BTreeMap<String, Lease>>>,
}

/// How a connection is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Nothing comes through.
    pub cut: bool,
    /// The share of requests, and as many answers, that are lost.
    pub loss: f64,
    /// Lost answers may be to requests that are done late: by as many milliseconds at the most.
    pub late_ms: u64,
    /// So many requests are done, and not answered.
    pub unanswered: u32,
    /// Answers come so much later.
    pub slow: Duration,
}

/// A connection.
pub struct Link {
    pub server: Server,
    pub weather: Arc<Mutex<Weather>>,
    random: Mutex<fastrand::Rng>,
    call_timeout: Duration,
}

impl Link {
    pub fn new(server: &Server, weather: Arc<Mutex<Weather>>, seed: u64) -> Self {
        Self {
            server: server.clone(),
            weather,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            call_timeout: Duration::from_secs(3),
        }
    }

    /// Does `work` at the server, or not, and tells, or not.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut BTreeMap<String, Lease>) -> Result<T, TableError> + Send + 'static,
    ) -> Result<T, TableError> {
        let weather = {
            let mut weather = self.weather.lock();
            let now = *weather;
            weather.unanswered = now.unanswered.saturating_sub(1);
            now
        };
        let (there, back, asked, answered, late_ms) = {
            let mut random = self.random.lock();
            let mut some_ms = || Duration::from_millis(random.u64(0..30));
            let (there, back) = (some_ms(), some_ms());
            let (asked, answered) = (random.f64() >= weather.loss, random.f64() >= weather.loss);
            (there, back, asked, answered, random.u64(0..=weather.late_ms))
        };
        let rows = self.server.rows.clone();
        sleep(there).await;
        if weather.cut || !asked {
            return self.nothing().await;
        }
        if !answered || weather.unanswered > 0 {
            tokio::spawn(async move {
                sleep(Duration::from_millis(late_ms)).await;
                let _ = work(&mut rows.lock());
            });
            return self.nothing().await;
        }
        let done = work(&mut rows.lock());
        sleep(back + weather.slow).await;
        done
    }

    async fn nothing<T>(&self) -> Result<T, TableError> {
        sleep(self.call_timeout).await;
        Err(TableError::Trouble { code: "Test".into(), message: "no answer".into() })
    }
}

/// What the real table keeps of a lease.
fn stored(lease: &Lease) -> Lease {
    match Row::read(&lease.to_item()) {
        Ok(Row::Lease(lease)) => *lease,
        other => panic!("{other:?}"),
    }
}

fn row<'a>(
    rows: &'a mut BTreeMap<String, Lease>,
    key: &str,
    counter: u64,
) -> Result<&'a mut Lease, TableError> {
    rows.get_mut(key).filter(|row| row.counter == counter).ok_or(TableError::Outdated)
}

#[async_trait]
impl Table for Link {
    async fn prepare(&self) -> Result<(), TableError> {
        self.call(|_| Ok(())).await
    }

    async fn scan(&self) -> Result<Vec<Lease>, TableError> {
        self.call(|rows| Ok(rows.values().cloned().collect())).await
    }

    async fn get(&self, key: &str) -> Result<Option<Lease>, TableError> {
        let key = key.to_owned();
        self.call(move |rows| Ok(rows.get(&key).cloned())).await
    }

    async fn create(&self, lease: &Lease) -> Result<(), TableError> {
        let lease = stored(lease);
        self.call(move |rows| {
            if rows.contains_key(&lease.key) {
                return Err(TableError::Outdated);
            }
            rows.insert(lease.key.clone(), lease);
            Ok(())
        })
        .await
    }

    async fn take(&self, seen: &Lease, owner: &str) -> Result<(), TableError> {
        let (seen, owner) = (seen.clone(), owner.to_owned());
        self.call(move |rows| {
            let row = row(rows, &seen.key, seen.counter)?;
            if row.owner.as_ref().is_some_and(|before| *before != owner) {
                row.switches += 1;
            }
            row.counter += 1;
            row.owner = Some(owner);
            Ok(())
        })
        .await
    }

    async fn change(
        &self,
        key: &str,
        owner: &str,
        counter: u64,
        change: &Change,
    ) -> Result<(), TableError> {
        let (key, owner, change) = (key.to_owned(), owner.to_owned(), change.clone());
        self.call(move |rows| {
            let row = row(rows, &key, counter)?;
            if row.owner.as_ref() != Some(&owner) {
                return Err(TableError::Outdated);
            }
            row.counter += 1;
            match change {
                Change::Renew => {}
                Change::Checkpoint { to, children } => {
                    row.checkpoint = to;
                    row.switches = 0;
                    row.children = children;
                    *row = stored(row);
                }
                Change::Release => row.owner = None,
            }
            Ok(())
        })
        .await
    }

    async fn delete(&self, key: &str, counter: u64) -> Result<(), TableError> {
        let key = key.to_owned();
        self.call(move |rows| {
            row(rows, &key, counter)?;
            rows.remove(&key);
            Ok(())
        })
        .await
    }
}

impl Server {
    pub fn checkpoint(&self, key: &str) -> Option<Checkpoint> {
        self.rows.lock().get(key).map(|lease| lease.checkpoint.clone())
    }
}
