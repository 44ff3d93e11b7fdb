//! Indexer acknowledgement: those who wait for an id, and the one task that asks for all of them.
//!
//! ```text
//!   deliver ──200 ackId 7──▶ wait(7) ◀───────── true ─┐
//!   deliver ──200 ackId 8──▶ wait(8)                  │
//!                               └──▶ waiters ──▶ task: POST /ack {"acks":[7,8]} every poll
//! ```
//! Splunk says `true` once. So the asking is nobody's own: a delivery that is called off must not
//! take an answer for others with it. The task begins with the first waiter, ends when none is
//! left, and never outlives the sink.
//!
//! Ids are counted from 0 on a channel, in the memory of one indexer. One that is not larger than
//! those which came before its request was sent is of another counter: the indexer was started
//! anew, or another one has answered. What was waited for before then will never be acknowledged,
//! or, worse, `true` would be said of other events; it is given up at once and sent again.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    answer::{Hec, Verdict},
    codes,
    collector::Collector,
};
use crate::{
    fault::{Cause, Fault},
    limits,
};

/// The acknowledgements of one sink.
pub(super) struct Acks {
    collector: Arc<Collector>,
    state: Arc<Mutex<State>>,
    poll_interval: Duration,
    timeout: Duration,
}

#[derive(Default)]
struct State {
    waiters: HashMap<u64, Waiter>,
    /// Counts those who ever waited.
    serial: u64,
    /// The id that came last.
    newest_id: Option<u64>,
    poller: Option<JoinHandle<()>>,
    /// Whether the task will look at the waiters again.
    is_polling: bool,
    /// What went wrong with the last poll, until one goes well.
    trouble: Option<Cause>,
}

struct Waiter {
    serial: u64,
    news: oneshot::Sender<Result<(), Fault>>,
}

/// The state of affairs when a request was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    serial: u64,
    newest_id: Option<u64>,
}

impl Acks {
    pub fn new(collector: Arc<Collector>, poll_interval: Duration, timeout: Duration) -> Self {
        Self { collector, state: Arc::default(), poll_interval, timeout }
    }

    /// To be taken before a request is sent.
    pub fn mark(&self) -> Mark {
        let state = self.state.lock();
        Mark { serial: state.serial, newest_id: state.newest_id }
    }

    /// Waits until an id is acknowledged. Dropping the future forgets it.
    pub async fn wait(&self, id: u64, mark: Mark) -> Result<(), Fault> {
        let (waiting, news) = self.enter(id, mark);
        let news = tokio::time::timeout(self.timeout, news).await;
        drop(waiting);
        match news {
            Ok(Ok(news)) => news,
            // The task was stopped with its runtime; nobody will ask any more.
            Ok(Err(_)) => Err(Fault::retry(codes::ACK_TIMEOUT, "the polling has ended")),
            Err(_) => Err(self.late()),
        }
    }

    /// Why a wait is given up.
    pub(super) fn late(&self) -> Fault {
        let mut text = format!("no acknowledgement within {} s", self.timeout.as_secs_f64());
        if let Some(trouble) = &self.state.lock().trouble {
            text = format!("{text}; the last poll failed: {trouble}");
        }
        Fault::retry(codes::ACK_TIMEOUT, text)
    }

    fn enter(&self, id: u64, mark: Mark) -> (Waiting<'_>, oneshot::Receiver<Result<(), Fault>>) {
        let (sender, news) = oneshot::channel();
        let mut state = self.state.lock();
        if mark.newest_id.is_some_and(|newest| id <= newest) {
            state.give_up(|_, waiter| waiter.serial <= mark.serial);
            state.newest_id = None;
        }
        state.newest_id = state.newest_id.max(Some(id));
        state.serial += 1;
        let serial = state.serial;
        state.give_up(|other, _| other == id);
        state.waiters.insert(id, Waiter { serial, news: sender });
        let is_polled =
            state.is_polling && state.poller.as_ref().is_some_and(|poller| !poller.is_finished());
        if !is_polled {
            state.is_polling = true;
            let (collector, shared) = (self.collector.clone(), self.state.clone());
            state.poller = Some(tokio::spawn(poll(collector, shared, self.poll_interval)));
        }
        drop(state);
        (Waiting { acks: self, id, serial }, news)
    }
}

impl Drop for Acks {
    fn drop(&mut self) {
        if let Some(poller) = self.state.lock().poller.take() {
            poller.abort();
        }
    }
}

/// A place among the waiters, given up when it is dropped.
struct Waiting<'a> {
    acks: &'a Acks,
    id: u64,
    serial: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.acks.state.lock().take(self.id, self.serial);
    }
}

impl State {
    /// The waiter for an id, unless it is another by now.
    fn take(&mut self, id: u64, serial: u64) -> Option<Waiter> {
        if self.waiters.get(&id)?.serial != serial {
            return None;
        }
        self.waiters.remove(&id)
    }

    fn tell(&mut self, id: u64, serial: u64, news: Result<(), Fault>) {
        if let Some(waiter) = self.take(id, serial) {
            // A receiver that is gone is one whose delivery was called off.
            let _ = waiter.news.send(news);
        }
    }

    /// Gives up those whose ids are of another counter.
    fn give_up(&mut self, is_lost: impl Fn(u64, &Waiter) -> bool) {
        for (_, waiter) in self.waiters.extract_if(|&id, waiter| is_lost(id, waiter)) {
            let _ = waiter.news.send(Err(Fault::retry(
                codes::PROXY_WITHOUT_STICKY_SESSIONS,
                "the ids of acknowledgements have begun anew: Splunk was restarted, or a load \
                 balancer without sticky sessions stands before several indexers",
            )));
        }
    }

    /// Those who wait, in the order of their ids. Nobody ends the polling.
    fn pending(&mut self) -> Vec<(u64, u64)> {
        let mut pending: Vec<_> =
            self.waiters.iter().map(|(&id, waiter)| (id, waiter.serial)).collect();
        pending.sort_unstable();
        self.is_polling = !pending.is_empty();
        pending
    }
}

/// Asks for everything that is waited for, again and again, until nobody waits.
async fn poll(collector: Arc<Collector>, state: Arc<Mutex<State>>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let pending = state.lock().pending();
        if pending.is_empty() {
            return;
        }
        for group in pending.chunks(limits::SPLUNK_ACKS_PER_POLL) {
            let ids: Vec<u64> = group.iter().map(|&(id, _)| id).collect();
            let answer = collector.poll(&ids).await;
            state.lock().hear(group, answer);
        }
    }
}

impl State {
    /// Passes the answer to a poll on.
    fn hear(&mut self, group: &[(u64, u64)], answer: Result<Hec, Fault>) {
        let fault = match answer {
            Ok(hec) => match hec.acks() {
                Some(acks) => {
                    self.trouble = None;
                    for &(id, serial) in group {
                        if acks.get(&id.to_string()) == Some(&true) {
                            self.tell(id, serial, Ok(()));
                        }
                    }
                    return;
                }
                None => poll_fault(&hec),
            },
            Err(fault) => fault,
        };
        tracing::debug!(code = fault.cause().code, "poll for acknowledgements failed");
        if let Fault::Halt { .. } = fault {
            for &(id, serial) in group {
                self.tell(id, serial, Err(fault.clone()));
            }
        }
        self.trouble = Some(fault.cause().clone());
    }
}

/// Why a poll was not answered: `Halt` where asking again is no use.
fn poll_fault(hec: &Hec) -> Fault {
    match hec.verdict() {
        Verdict::Token(fault) | Verdict::Fault(fault) => fault,
        // The same channel was good for the events.
        Verdict::Channel(cause) => Fault::halt(
            codes::PROXY_WITHOUT_STICKY_SESSIONS,
            format!("{}, at a poll after events were taken", cause.message),
        ),
        Verdict::Unfit { cause, .. } => Fault::Retry { cause, after: None },
        Verdict::Taken { .. } => Fault::retry(codes::INVALID_HEC_RESPONSE, hec.words()),
    }
}
