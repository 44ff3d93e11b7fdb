//! The loop that follows files: it looks around, reads whose turn it is, and puts.
//!
//! ```text
//!  every second, or when the kernel hints
//!    walk ─▶ open, decide ─▶ slots ──turns──▶ pass (8 at a time) ─▶ put ─▶ slots
//!    stat ──────────────────▶ changed?
//! ```
//!
//! Everything that blocks runs on the blocking threads; what they answer comes back as events to
//! this one task, which owns all state. Dropped at any point it leaves nothing behind but what was
//! put, with the positions that belong to it.

use std::sync::Arc;

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    discover::{Discovery, Round},
    follow::{Follow, Outcome, Pass, Rules, Task},
    identity::FileId,
    ledger::Ledger,
    open::Opened,
    registry::Reading,
    slot::{Patience, Slots},
    watch::{Hint, Watch},
};
use crate::{env::Env, limits, record::Step, sources::NotPut, telemetry::SourceMetrics};

/// What the loop is told.
pub enum Event {
    Round(Box<Round>),
    Opened(Vec<Opened>),
    Passed(Box<Passed>),
    Saved,
}

/// A pass, and what became of its put.
pub struct Passed {
    id: FileId,
    task: Task,
    follow: Box<Follow>,
    result: Result<Pass, Trouble>,
}

enum Trouble {
    Io(std::io::Error),
    NotPut(NotPut),
}

/// Why the loop was woken.
enum Woken {
    Stop,
    Event(Option<Event>),
    Hint(Hint),
    Tick,
}

/// What all parts of the source share.
#[derive(Clone)]
pub struct Shared {
    pub stream: Arc<str>,
    pub env: Env,
    pub metrics: SourceMetrics,
    pub ledger: Arc<Ledger>,
    pub rules: Arc<Rules>,
    pub stop: CancellationToken,
}

/// The loop and its state.
pub struct Tail {
    pub(super) shared: Shared,
    pub(super) slots: Slots,
    pub(super) discovery: Discovery,
    pub(super) works: FuturesUnordered<BoxFuture<'static, Event>>,
    patience: Patience,
    watch: Option<Watch>,
    /// Passes under way.
    reading: usize,
    saving: bool,
    /// Nothing is read before it is written down where reading begins.
    held: bool,
    next_look: Instant,
    next_hint: Instant,
    failed: bool,
}

impl Tail {
    pub fn new(shared: Shared, discovery: Discovery, patience: Patience) -> Self {
        let watch = Watch::new();
        if let Err(error) = &watch {
            info!(stream = %shared.stream, %error, "files are polled, the kernel gives no hints");
        }
        let now = Instant::now();
        Self {
            held: discovery.first_start,
            shared,
            slots: Slots::default(),
            discovery,
            works: FuturesUnordered::new(),
            patience,
            watch: watch.ok(),
            reading: 0,
            saving: false,
            next_look: now,
            next_hint: now,
            failed: false,
        }
    }

    /// Runs until it is stopped, or the journal takes nothing more.
    pub async fn run(mut self) {
        while !self.failed {
            self.start_passes();
            match self.woken().await {
                Woken::Stop => break,
                Woken::Event(Some(event)) => self.handle(event),
                Woken::Event(None) => {}
                Woken::Hint(hint) => self.hinted(hint),
                Woken::Tick => self.look(),
            }
        }
        // The puts under way are waited for; what else is under way has no effect.
        while self.reading > 0 {
            let Some(event) = self.works.next().await else { break };
            if matches!(event, Event::Passed(_)) {
                self.handle(event);
            }
        }
        self.shared.metrics.parts.set(0);
        let ledger = self.shared.ledger.clone();
        ledger.checkpoints.drain().await;
        save(&self.shared, blocking(move || ledger.save()).await);
    }

    async fn woken(&mut self) -> Woken {
        let Self { works, watch, next_look, next_hint, discovery, shared, .. } = self;
        let hint = async {
            match watch {
                Some(watch) => {
                    tokio::time::sleep_until(*next_hint).await;
                    watch.next().await
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => Woken::Stop,
            event = works.next(), if !works.is_empty() => Woken::Event(event),
            () = tokio::time::sleep_until(*next_look), if !discovery.looking => Woken::Tick,
            hint = hint => Woken::Hint(hint),
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Round(round) => self.looked(*round),
            Event::Opened(opened) => self.opened(opened),
            Event::Passed(passed) => self.passed(*passed),
            Event::Saved => {
                self.saving = false;
                self.held = false;
            }
        }
    }

    fn hinted(&mut self, hint: Hint) {
        self.next_hint = Instant::now() + limits::FILE_HINT_REST;
        let mut names = hint.names;
        for path in hint.written {
            match self.discovery.paths.get(&path) {
                Some(&id) if self.slots.open.contains_key(&id) => self.wanted(id, None),
                Some(_) => names = true,
                None => {}
            }
        }
        if names {
            self.next_look = self.next_look.min(self.next_hint);
        }
    }

    /// The file may have changed; when it did, in nanoseconds since the Unix epoch, if that was
    /// asked.
    pub(super) fn wanted(&mut self, id: FileId, mtime_ns: Option<i64>) {
        let Some(slot) = self.slots.open.get_mut(&id) else { return };
        // A compressed file that is still being written is not unpacked over and over.
        if slot.stalled && slot.missing.is_none() {
            let now_ms = self.shared.env.clock.now_ms();
            let quiet = |ns: i64| now_ms - ns / 1_000_000 >= limits::FILE_QUIET.as_millis() as i64;
            if !mtime_ns.is_some_and(quiet) {
                return;
            }
        }
        slot.grew = self.shared.env.clock.monotonic();
        self.slots.queue(id, Task::Read);
    }

    /// One round is over: what is due is done, and the next one is set.
    pub(super) fn round_over(&mut self) {
        self.discovery.looking = false;
        if let (Some(watch), Some(folders)) = (&mut self.watch, self.discovery.folders.take()) {
            watch.set(&folders);
        }
        let blind = !self.watch.as_ref().is_some_and(Watch::is_complete);
        let interval =
            if blind { limits::FILE_LOOK_INTERVAL_BLIND } else { limits::FILE_LOOK_INTERVAL };
        self.next_look = Instant::now() + interval;
        let now = self.shared.env.clock.monotonic();
        let due: Vec<(FileId, Task)> = self
            .slots
            .open
            .iter()
            .filter_map(|(&id, slot)| Some((id, slot.due(now, self.patience)?)))
            .collect();
        for (id, task) in due {
            self.slots.queue(id, task);
        }
        let metrics = &self.shared.metrics;
        metrics.parts.set(self.slots.open.len() as i64);
        let behind: u64 = self.slots.open.values().map(|slot| slot.behind).sum();
        metrics.bytes_behind.set(behind as i64);
        self.save();
    }

    fn save(&mut self) {
        if std::mem::replace(&mut self.saving, true) {
            return;
        }
        let shared = self.shared.clone();
        self.works.push(Box::pin(async move {
            let ledger = shared.ledger.clone();
            save(&shared, blocking(move || ledger.save()).await);
            Event::Saved
        }));
    }

    fn start_passes(&mut self) {
        while !self.held && self.reading < limits::FILE_READS_AT_ONCE {
            let Some((id, task, follow)) = self.slots.next() else { return };
            self.reading += 1;
            self.works.push(Box::pin(pass(self.shared.clone(), id, task, follow)));
        }
    }

    fn passed(&mut self, passed: Passed) {
        self.reading -= 1;
        let Passed { id, task, follow, result } = passed;
        let pass = match result {
            Ok(pass) => pass,
            Err(Trouble::Io(error)) => return self.unreadable(id, &follow, &error),
            Err(Trouble::NotPut(NotPut::Stopped)) => return self.failed = true,
            Err(Trouble::NotPut(NotPut::Refused(refused))) => {
                error!(stream = %self.shared.stream, %refused, "the journal takes no more lines");
                self.shared.metrics.error("JournalFailed");
                return self.failed = true;
            }
        };
        let Some(slot) = self.slots.open.get_mut(&id) else { return };
        // What only gives out has seen nothing of how the file grew.
        let looked = task != Task::Flush;
        let grew = looked && slot.seen != pass.seen;
        if looked {
            slot.seen = pass.seen;
            slot.stalled = pass.outcome == Outcome::Incomplete;
        }
        slot.behind = pass.seen.0.saturating_sub(pass.position.at);
        if grew || pass.outcome == Outcome::More {
            slot.grew = self.shared.env.clock.monotonic();
        }
        let again = std::mem::take(&mut slot.again) || pass.outcome == Outcome::More;
        let reading = if slot.missing.is_some() { Reading::Leaving } else { Reading::Yes };
        self.discovery.registry.lock().set(&follow.key, pass.position.clone(), reading);
        match pass.outcome {
            Outcome::AtEnd | Outcome::More | Outcome::Incomplete => {
                slot.follow = Some(follow);
                if again {
                    self.slots.queue(id, Task::Read);
                }
            }
            Outcome::Truncated => self.truncated(id, *follow),
            Outcome::Finished => self.close(id, &follow),
            Outcome::Damaged => {
                let path = follow.position.place().display();
                warn!(stream = %self.shared.stream, %path, "a compressed file is damaged; its rest is not read");
                self.shared.metrics.error("FileDamaged");
                self.close(id, &follow);
            }
            Outcome::Mismatch => self.mistaken(id, &follow),
            Outcome::Packed => {
                self.slots.remove(id);
                self.discovery.registry.lock().remove(&follow.key);
                self.next_look = Instant::now();
            }
        }
    }

    /// The file begins anew.
    fn truncated(&mut self, id: FileId, follow: Follow) {
        let path = follow.position.place().display();
        info!(stream = %self.shared.stream, %path, "a file was truncated; it is read from its beginning");
        let mut registry = self.discovery.registry.lock();
        registry.set_reading(&follow.key, Reading::No);
        let (key, since) = registry.key(id, self.shared.env.clock.now_ms());
        // Should its copy not be found, that it was truncated is good to know after a restart.
        self.shared.ledger.note(Step::to(follow.key.clone(), follow.position.encode()));
        let follow = follow.restarted(key.clone(), since, &self.shared.rules);
        registry.set(&key, follow.position.clone(), Reading::Yes);
        drop(registry);
        if let Some(slot) = self.slots.open.get_mut(&id) {
            slot.key = key;
            slot.taken = None;
            slot.follow = Some(Box::new(follow));
        }
        self.slots.queue(id, Task::Read);
    }

    /// The file is read to its end for good.
    fn close(&mut self, id: FileId, follow: &Follow) {
        self.discovery.registry.lock().set_reading(&follow.key, Reading::No);
        if let Some(slot) = self.slots.remove(id)
            && slot.missing.is_none()
        {
            self.discovery.park(id, slot.path, slot.seen);
        }
    }

    /// A compressed file does not hold what it was taken for: what it was taken for is given back.
    fn mistaken(&mut self, id: FileId, follow: &Follow) {
        let Some(slot) = self.slots.remove(id) else { return };
        let mut registry = self.discovery.registry.lock();
        registry.remove(&follow.key);
        let mut refused = follow.key.clone();
        if let Some((key, position)) = slot.taken {
            if registry.get(&key).is_none() {
                registry.set(&key, position, Reading::No);
            }
            refused = key;
        }
        drop(registry);
        self.discovery.refuse(id, refused);
        self.next_look = Instant::now();
    }

    fn unreadable(&mut self, id: FileId, follow: &Follow, error: &std::io::Error) {
        let path = follow.position.place().display();
        warn!(stream = %self.shared.stream, %path, %error, "a file cannot be read; it is tried again");
        self.shared.metrics.error("FileRead");
        let position = follow.position.clone();
        self.discovery.registry.lock().set(&follow.key, position, Reading::No);
        if let Some(slot) = self.slots.remove(id) {
            if slot.missing.is_some() {
                self.lost(&slot.path);
            }
            let now = self.shared.env.clock.monotonic();
            self.discovery.retry(id, now + limits::FILE_RETRY_INTERVAL);
        }
    }

    /// A file is gone that was not read to its end.
    pub(super) fn lost(&self, path: &std::path::Path) {
        warn!(stream = %self.shared.stream, path = %path.display(), "a file was gone before it was read to its end");
        self.shared.metrics.lost_files.inc();
    }
}

fn save(shared: &Shared, result: std::io::Result<()>) {
    if let Err(error) = result {
        error!(stream = %shared.stream, %error, "where files are read to cannot be saved; is there room in the data directory?");
        shared.metrics.error("PositionsNotSaved");
    }
}

async fn pass(shared: Shared, id: FileId, task: Task, mut follow: Box<Follow>) -> Event {
    let clock = shared.env.clock.clone();
    let (mut follow, result) = blocking(move || {
        let result = follow.pass(task, clock.monotonic(), clock.now_ms());
        (follow, result)
    })
    .await;
    let mut pass = match result {
        Ok(pass) => pass,
        Err(error) => {
            let result = Err(Trouble::Io(error));
            return Event::Passed(Box::new(Passed { id, task, follow, result }));
        }
    };
    if let Some(put) = pass.put.take() {
        if let Err(not_put) = shared.ledger.put(&follow.key, put, &shared.stop).await {
            let result = Err(Trouble::NotPut(not_put));
            return Event::Passed(Box::new(Passed { id, task, follow, result }));
        }
        shared.metrics.cut_lines.inc_by(pass.cut_lines);
    } else if pass.position.at != follow.position.at || pass.position.done != follow.position.done {
        shared.ledger.note(Step::to(follow.key.clone(), pass.position.encode()));
    }
    follow.stored(pass.position.clone());
    Event::Passed(Box::new(Passed { id, task, follow, result: Ok(pass) }))
}

/// Runs on the blocking threads. Where they are being shut down, so is the one who asks.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => std::future::pending().await,
    }
}
