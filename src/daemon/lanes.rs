//! A destination whose journal is a Kafka topic: one delivery for each partition that this replica
//! has, started and ended as the group gives and takes them.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering, mpsc as blocking},
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    assembly::{Surroundings, assemble},
    build::Outlet,
    stream::keep_running,
};
use crate::{
    buffer::kafka::{Event, KafkaLane, KafkaOptions, Member},
    delivery::Signals,
    net::kafka::Link,
};

/// The wait before something is tried again that could not be done.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How long shipments under way may take to arrive when this replica leaves.
const LEAVE_PATIENCE: Duration = Duration::from_secs(10);

/// Makes what the delivery of a lane is put into.
pub(super) type Around = Arc<dyn Fn(Arc<KafkaLane>) -> Surroundings + Send + Sync>;

/// What it takes to deliver from a topic.
pub(super) struct Lanes {
    pub options: KafkaOptions,
    pub link: Link,
    /// This replica's name in what it saves for others.
    pub replica: String,
    pub outlet: Outlet,
    /// What a delivery is put into, for the journal and the folder of each lane.
    pub around: Around,
    /// Ends what gives tokens to the clients.
    pub _tokens: DropGuard,
}

/// The delivery of one partition.
struct Running {
    stop: CancellationToken,
    patience_ms: Arc<std::sync::atomic::AtomicU64>,
    flush: mpsc::Sender<oneshot::Sender<u64>>,
    task: JoinHandle<()>,
}

/// The deliveries that run, and those that end: two of one partition must not meet.
#[derive(Default)]
struct Parts {
    running: BTreeMap<i32, Running>,
    leaving: BTreeMap<i32, JoinHandle<()>>,
}

impl Running {
    /// What is open stays in the topic, what is under way may arrive within `patience`.
    async fn leave(self, patience: Duration) {
        self.patience_ms.store(patience.as_millis() as u64, Ordering::Relaxed);
        self.stop.cancel();
        // A panic in it was reported where it happened.
        let _ = self.task.await;
    }
}

impl Lanes {
    /// The consumer group: one for each destination of a stream.
    ///
    /// Names hold no slash, so no two of them, and no group of a source, are alike.
    fn group(&self, stream: &str) -> String {
        format!("standpipe-journal/{stream}/{}", self.outlet.name)
    }

    /// Delivers until told to stop.
    pub async fn run(self, stream: String, mut signals: Signals) {
        let (stop, drain) = (signals.stop.clone(), signals.drain.clone());
        loop {
            let joined =
                Member::join(&self.options, &self.link, &self.group(&stream), &self.replica);
            let error = match joined {
                Ok((member, events)) => {
                    self.deliver(member, events, &mut signals).await;
                    return;
                }
                Err(error) => error,
            };
            tracing::error!(stream, destination = self.outlet.name, error, "cannot join a group");
            tokio::select! {
                () = stop.cancelled() => return,
                () = drain.cancelled() => return,
                () = tokio::time::sleep(AGAIN_AFTER) => {}
            }
        }
    }

    async fn deliver(
        &self,
        member: Member,
        mut events: mpsc::Receiver<Event>,
        signals: &mut Signals,
    ) {
        let mut parts = Parts::default();
        loop {
            tokio::select! {
                biased;
                () = signals.stop.cancelled() => break,
                () = signals.drain.cancelled() => break,
                event = events.recv() => match event {
                    Some(event) => self.happened(event, &mut parts).await,
                    None => break,
                },
                Some(answer) = signals.flush.recv() => flush(&parts.running, answer),
            }
        }
        let asked = Duration::from_millis(signals.patience_ms.load(Ordering::Relaxed));
        let patience = if signals.drain.is_cancelled() { LEAVE_PATIENCE } else { asked };
        let Parts { running, leaving } = parts;
        join_all(running.into_values().map(|lane| lane.leave(patience))).await;
        // A panic in one was reported where it happened.
        join_all(leaving.into_values()).await;
        // The revocations that come now find nothing that runs.
        let leaving = member.leave();
        tokio::pin!(leaving);
        loop {
            tokio::select! {
                () = &mut leaving => return,
                Some(event) = events.recv() => drop(event),
            }
        }
    }

    async fn happened(&self, event: Event, parts: &mut Parts) {
        match event {
            Event::Assigned(lane) => {
                let partition = lane.partition;
                if let Some(before) = parts.running.remove(&partition) {
                    before.leave(Duration::ZERO).await;
                }
                if let Some(leaving) = parts.leaving.remove(&partition) {
                    // A panic in it was reported where it happened.
                    let _ = leaving.await;
                }
                parts.running.insert(partition, self.start(lane));
            }
            Event::Revoked { partition, orderly, done } => {
                let patience = match orderly {
                    true => self.options.session_timeout.0 / 3,
                    false => Duration::ZERO,
                };
                let Some(lane) = parts.running.remove(&partition) else { return };
                // Others are given up at the same time.
                let leaving = tokio::spawn(async move {
                    lane.leave(patience).await;
                    drop::<blocking::Sender<()>>(done);
                });
                parts.leaving.insert(partition, leaving);
            }
        }
    }

    fn start(&self, lane: Arc<KafkaLane>) -> Running {
        let (flush, requests) = mpsc::channel(16);
        let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
        let patience_ms = Arc::default();
        let signals = Signals {
            stop: stop.clone(),
            patience_ms: Arc::clone(&patience_ms),
            drain,
            flush: requests,
        };
        let (outlet, around) = (self.outlet.clone(), self.around.clone());
        let task = tokio::spawn(deliver_lane(outlet, around, lane, signals));
        Running { stop, patience_ms, flush, task }
    }
}

/// One partition, until it is told to leave. What cannot be put together now (a certificate that
/// cannot be read) may be later.
async fn deliver_lane(outlet: Outlet, around: Around, lane: Arc<KafkaLane>, signals: Signals) {
    loop {
        let surroundings = around(lane.clone());
        let (status, clock) = (surroundings.status.clone(), surroundings.env.clock.clone());
        let error = match assemble(&outlet, surroundings).await {
            Ok(destination) => return keep_running(Arc::new(destination), signals).await,
            Err(error) => error,
        };
        let (destination, partition) = (&outlet.name, lane.partition);
        tracing::error!(destination, partition, error, "a partition cannot be delivered");
        status.broken(error, clock.now_ms());
        let again = signals.stop.run_until_cancelled(tokio::time::sleep(AGAIN_AFTER)).await;
        if again.is_none() {
            return;
        }
    }
}

/// Closes what is open in every partition; answers with the sum.
fn flush(lanes: &BTreeMap<i32, Running>, answer: oneshot::Sender<u64>) {
    let asked: Vec<_> = lanes.values().map(|lane| lane.flush.clone()).collect();
    tokio::spawn(async move {
        let each = asked.into_iter().map(async |flush| {
            let (answer, closed) = oneshot::channel();
            match flush.send(answer).await {
                Ok(()) => closed.await.unwrap_or(0),
                Err(_) => 0,
            }
        });
        // Whoever asked may have gone.
        let _ = answer.send(join_all(each).await.into_iter().sum());
    });
}
