//! The load: connections that put as fast as they are answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use http::StatusCode;
use parking_lot::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{Api, Attempt, Connection, Operation, all_taken, invocation},
    data::Body,
};

/// What a load came to.
#[derive(Default)]
pub struct Outcome {
    pub calls: u64,
    pub records: u64,
    pub bytes: u64,
    /// Answers that said: try later.
    pub refused: u64,
    /// Duration of each call that was taken, in microseconds, sorted.
    pub micros: Vec<u32>,
    pub elapsed: Duration,
}

impl Outcome {
    pub fn percentile_ms(&self, share: f64) -> f64 {
        percentile(&self.micros, share) / 1e3
    }

    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.records += other.records;
        self.bytes += other.bytes;
        self.refused += other.refused;
        self.micros.extend(other.micros);
    }
}

/// The value below which `share` of the sorted values lie.
pub fn percentile(sorted: &[u32], share: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len());
    f64::from(sorted[at - 1])
}

/// When a load ends.
#[derive(Clone, Copy)]
pub enum Until {
    Elapsed(Duration),
    Bytes(u64),
}

/// Sends the bodies round and round on `connections` connections.
pub async fn run(
    api: &Arc<Api>,
    operation: Operation,
    bodies: Arc<Vec<Body>>,
    connections: usize,
    until: Until,
) -> Result<Outcome> {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let per_body = bodies[0].record_bytes;
    let more = move |taken: usize| match until {
        Until::Elapsed(limit) => start.elapsed() < limit,
        Until::Bytes(limit) => (taken as u64) * per_body < limit,
    };
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            let (api, bodies, next) = (api.clone(), bodies.clone(), next.clone());
            tokio::spawn(async move {
                let mut connection = api.connect().await?;
                let mut outcome = Outcome::default();
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if !more(turn) {
                        return Ok::<_, anyhow::Error>(outcome);
                    }
                    let body = &bodies[turn % bodies.len()];
                    put(&mut connection, operation, body, &mut outcome).await?;
                }
            })
        })
        .collect();
    let mut total = Outcome::default();
    for worker in workers {
        total.add(worker.await??);
    }
    total.elapsed = start.elapsed();
    total.micros.sort_unstable();
    Ok(total)
}

/// Puts a body until it is taken.
async fn put(
    connection: &mut Connection,
    operation: Operation,
    body: &Body,
    outcome: &mut Outcome,
) -> Result<()> {
    let id = invocation();
    let began = Instant::now();
    for number in 1.. {
        let attempt = Attempt { invocation: &id, number };
        let (status, answer) = connection.put(operation, body, &attempt).await?;
        if all_taken(operation, status, &answer) {
            break;
        }
        if !try_later(status) {
            bail!("{status}: {}", String::from_utf8_lossy(&answer));
        }
        outcome.refused += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    outcome.micros.push(began.elapsed().as_micros() as u32);
    outcome.calls += 1;
    outcome.records += body.records;
    outcome.bytes += body.record_bytes;
    Ok(())
}

/// Connections that were not needed for longer are left: the daemon closes them.
const IDLE_MAX: Duration = Duration::from_secs(2);

/// A load of so many calls a second, however long each takes: a call that is slow keeps none of
/// the others back, as it would not keep back other clients.
pub struct Paced {
    /// Records acknowledged so far.
    pub records: Arc<AtomicU64>,
    enough: CancellationToken,
    task: JoinHandle<Result<Outcome>>,
}

impl Paced {
    /// A call each `period`, of what `body` makes of its number.
    pub fn start(
        api: &Arc<Api>,
        operation: Operation,
        period: Duration,
        mut body: impl FnMut(u64) -> Body + Send + 'static,
    ) -> Self {
        let (records, enough) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let (of_task, stop, api) = (records.clone(), enough.clone(), api.clone());
        let task = tokio::spawn(async move {
            let start = Instant::now();
            let (mut total, mut calls) = (Outcome::default(), JoinSet::new());
            let idle: Arc<Mutex<Vec<(Connection, Instant)>>> = Arc::default();
            let mut ticks = tokio::time::interval(period);
            for number in 0.. {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = ticks.tick() => {}
                }
                let (body, api) = (body(number), api.clone());
                let (idle, records) = (idle.clone(), of_task.clone());
                calls.spawn(async move {
                    let kept = idle.lock().pop();
                    let mut connection = match kept {
                        Some((connection, since)) if since.elapsed() < IDLE_MAX => connection,
                        _ => api.connect().await?,
                    };
                    let mut outcome = Outcome::default();
                    put(&mut connection, operation, &body, &mut outcome).await?;
                    idle.lock().push((connection, Instant::now()));
                    records.fetch_add(body.records, Ordering::Relaxed);
                    anyhow::Ok(outcome)
                });
                while let Some(ended) = calls.try_join_next() {
                    total.add(ended??);
                }
            }
            total.elapsed = start.elapsed();
            while let Some(ended) = calls.join_next().await {
                total.add(ended??);
            }
            total.micros.sort_unstable();
            Ok(total)
        });
        Self { records, enough, task }
    }

    /// Begins no more calls, and waits for those under way.
    pub async fn stop(self) -> Result<Outcome> {
        self.enough.cancel();
        self.task.await?
    }
}

/// ServiceUnavailableException is HTTP 500 at Firehose, 503 in front of it.
pub fn try_later(status: StatusCode) -> bool {
    status.is_server_error()
}
