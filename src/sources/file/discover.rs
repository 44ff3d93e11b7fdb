//! Rounds: which files there are, which of them changed, and what to do with the new ones.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tracing::{info, warn};

use super::{
    FileKey, Start,
    follow::Follow,
    identity::{Candidate, FileId, Position, Stat, extends, unpacked_name},
    open::{Opened, Opening, continued},
    registry::{Decision, Reading, Registry},
    slot::Slot,
    tail::{Event, Tail, blocking},
    walk::{Found, Walked, Walker},
};
use crate::{limits, record::Step};

/// One round does not see everything: a file may be renamed or compressed while it is under way.
const ROUNDS_TO_FIND: usize = 2;

/// What is known of the files that are not open.
pub struct Discovery {
    pub registry: Arc<Mutex<Registry>>,
    /// Absent while a round is under way.
    walker: Option<Walker>,
    /// Paths of the files that patterns match.
    pub paths: HashMap<PathBuf, FileId>,
    found: Vec<Found>,
    /// Files that are closed until they change: size and time of change as of then.
    parked: HashMap<FileId, (PathBuf, (u64, i64))>,
    /// Files of which it cannot be said yet what they are; held open.
    waiting: HashMap<FileId, Candidate>,
    /// Files that could not be opened or read, and when to try again.
    retry: HashMap<FileId, Duration>,
    /// Keys that a compressed file turned out not to hold.
    refused: HashMap<FileId, Vec<FileKey>>,
    /// Files that nothing is known of, that were listed and not there when they were opened:
    /// renamed, compressed or lost; and in how many rounds they may yet be found.
    vanished: HashMap<FileId, (PathBuf, usize)>,
    /// The folders to watch, when they have changed.
    pub folders: Option<Vec<PathBuf>>,
    pub looking: bool,
    /// The last round may have left out files that are there.
    incomplete: bool,
    /// Nothing is known of any file: those that are there begin where `start` says.
    pub first_start: bool,
    /// No round was finished yet.
    first_round: bool,
    /// Rounds until known files that were not read to their end, and are nowhere, are counted as
    /// lost; none when they are.
    rounds_to_count: usize,
    start: Start,
    ignore_older: Option<Duration>,
    max_open: usize,
    complained: HashSet<PathBuf>,
}

/// What a round found.
pub struct Round {
    walker: Walker,
    walked: Walked,
    looks: Vec<(FileId, Option<(u64, i64)>)>,
    /// Closed files that changed.
    changed: Vec<FileId>,
}

impl Discovery {
    pub fn new(
        registry: Registry,
        walker: Walker,
        first_start: bool,
        start: Start,
        ignore_older: Option<Duration>,
        max_open: usize,
    ) -> Self {
        Self {
            registry: Arc::new(Mutex::new(registry)),
            walker: Some(walker),
            paths: HashMap::new(),
            found: Vec::new(),
            parked: HashMap::new(),
            waiting: HashMap::new(),
            retry: HashMap::new(),
            refused: HashMap::new(),
            vanished: HashMap::new(),
            folders: None,
            looking: false,
            incomplete: false,
            first_start,
            first_round: true,
            rounds_to_count: ROUNDS_TO_FIND,
            start,
            ignore_older,
            max_open,
            complained: HashSet::new(),
        }
    }

    /// Leaves a file alone until it changes.
    pub fn park(&mut self, id: FileId, path: PathBuf, seen: (u64, i64)) {
        self.parked.insert(id, (path, seen));
    }

    pub fn retry(&mut self, id: FileId, at: Duration) {
        self.retry.insert(id, at);
    }

    pub fn refuse(&mut self, id: FileId, key: FileKey) {
        self.refused.entry(id).or_default().push(key);
    }
}

impl Tail {
    /// Begins a round.
    pub(super) fn look(&mut self) {
        let Some(mut walker) = self.discovery.walker.take() else { return };
        self.discovery.looking = true;
        let files = self.slots.files();
        let parked = self.discovery.parked.clone();
        let clock = self.shared.env.clock.clone();
        self.works.push(Box::pin(async move {
            let round = blocking(move || {
                let walked = walker.walk(clock.now_ms());
                let looks = files.iter().map(|(id, file)| (*id, look_at(file))).collect();
                let changed = parked
                    .iter()
                    .filter(|(id, (path, seen))| !is_unchanged(**id, path, *seen))
                    .map(|(&id, _)| id)
                    .collect();
                Round { walker, walked, looks, changed }
            });
            Event::Round(Box::new(round.await))
        }));
    }

    /// What was found is compared with what is open.
    pub(super) fn looked(&mut self, round: Round) {
        let Round { walker, walked, looks, changed } = round;
        self.discovery.walker = Some(walker);
        self.complain(&walked);
        self.discovery.incomplete = !walked.failed.is_empty() || walked.overflowed;
        for id in changed {
            self.discovery.parked.remove(&id);
        }
        for (id, look) in looks {
            let changed = self.slots.open.get_mut(&id).is_some_and(|slot| {
                if let (Some((size, _)), Some(follow)) = (look, &slot.follow) {
                    slot.behind = size.saturating_sub(follow.position.at);
                }
                look.is_none_or(|look| look != slot.seen)
            });
            if changed {
                self.wanted(id, look.map(|(_, mtime_ns)| mtime_ns));
            }
        }
        if self.discovery.found != walked.found {
            let paths = walked.found.iter().map(|found| (found.path.clone(), found.stat.id));
            self.discovery.paths = paths.collect();
            self.discovery.found = walked.found;
        }
        self.discovery.folders = Some(walked.folders);
        self.follow_names();
        let new = self.new_files();
        self.open(new);
    }

    /// Renames, and files that no pattern matches any more.
    fn follow_names(&mut self) {
        let now = self.shared.env.clock.monotonic();
        let discovery = &mut self.discovery;
        let mut names: HashMap<FileId, &Path> = HashMap::new();
        for found in &discovery.found {
            names.entry(found.stat.id).or_insert(&found.path);
        }
        let mut registry = discovery.registry.lock();
        for (id, slot) in &mut self.slots.open {
            let Some(&path) = names.get(id) else {
                if slot.missing.is_none() {
                    slot.missing = Some(now);
                    registry.set_reading(&slot.key, Reading::Leaving);
                }
                continue;
            };
            if slot.missing.take().is_some() {
                registry.set_reading(&slot.key, Reading::Yes);
            }
            if slot.path != path && discovery.paths.get(&slot.path) != Some(id) {
                path.clone_into(&mut slot.path);
            }
            // A pass that is under way is told when it is over, at the next round.
            if let Some(follow) = &mut slot.follow
                && follow.position.place() != slot.path
            {
                follow.moved_to(slot.path.clone());
                registry.set(&slot.key, follow.position.clone(), Reading::Yes);
            }
        }
        drop(registry);
        for (id, candidate) in &mut discovery.waiting {
            match names.get(id) {
                Some(path) => candidate.path = path.to_path_buf(),
                None => candidate.gone = true,
            }
        }
        discovery.parked.retain(|id, _| names.contains_key(id));
        discovery.refused.retain(|id, _| names.contains_key(id));
        let open = &self.slots.open;
        let is_read = |id| open.contains_key(id) || discovery.parked.contains_key(id);
        let unread = || discovery.found.iter().filter(|found| !is_read(&found.stat.id));
        let mut lost = Vec::new();
        discovery.vanished.retain(|id, (path, rounds)| {
            if names.contains_key(id)
                || open.contains_key(id)
                // A copy was written before its original went, and is read in its place.
                || unread().any(|copy| is_packed_copy(&copy.path, path))
            {
                return false;
            }
            *rounds -= 1;
            if *rounds == 0 {
                lost.push(std::mem::take(path));
            }
            *rounds > 0
        });
        for path in lost {
            self.lost(&path);
        }
    }

    /// Files that are to be opened, those whose inode is known first: a copy is told from its
    /// original by what has become of that one.
    fn new_files(&mut self) -> Vec<Found> {
        let now = self.shared.env.clock.monotonic();
        let discovery = &mut self.discovery;
        discovery.retry.retain(|_, at| *at > now);
        let mut seen = HashSet::new();
        let mut new: Vec<Found> = discovery
            .found
            .iter()
            .filter(|Found { stat: Stat { id, .. }, .. }| {
                !self.slots.open.contains_key(id)
                    && !discovery.parked.contains_key(id)
                    && !discovery.waiting.contains_key(id)
                    && !discovery.retry.contains_key(id)
                    && seen.insert(*id)
            })
            .cloned()
            .collect();
        let known: HashSet<FileId> = {
            let registry = discovery.registry.lock();
            registry.idle().map(|(_, position)| position.id()).collect()
        };
        new.sort_by_key(|found| !known.contains(&found.stat.id));
        let held = self.slots.open.len() + self.discovery.waiting.len();
        let room = self.room(held, new.len());
        new.truncate(room);
        new
    }

    /// Closes files that are at rest, to make room for others. Answers how many may be opened.
    fn room(&mut self, held: usize, wanted: usize) -> usize {
        let mut room = self.discovery.max_open.saturating_sub(held);
        while room < wanted {
            let Some(id) = self.slots.at_rest() else { break };
            let Some(slot) = self.slots.remove(id) else { break };
            self.discovery.registry.lock().set_reading(&slot.key, Reading::No);
            self.discovery.park(id, slot.path, slot.seen);
            room += 1;
        }
        room
    }

    fn open(&mut self, new: Vec<Found>) {
        let first = std::mem::take(&mut self.discovery.first_round);
        let waiting: Vec<Candidate> = self.discovery.waiting.drain().map(|(_, it)| it).collect();
        if new.is_empty() && waiting.is_empty() && !first {
            return self.opened(Vec::new());
        }
        let at_end = first && self.discovery.first_start && self.discovery.start == Start::End;
        let opening = Opening {
            registry: self.discovery.registry.clone(),
            refused: self.discovery.refused.clone(),
            busy: self.slots.busy(),
            now_ms: self.shared.env.clock.now_ms(),
            at_end,
        };
        self.works.push(Box::pin(async move {
            let opened = blocking(move || {
                let mut opened: Vec<Opened> =
                    waiting.into_iter().map(|it| opening.waited(it)).collect();
                opened.extend(new.into_iter().map(|found| opening.open(found)));
                if first {
                    opening.renamed(&mut opened);
                }
                opened
            });
            Event::Opened(opened.await)
        }));
    }

    /// What was opened is read from now on, or waits.
    pub(super) fn opened(&mut self, opened: Vec<Opened>) {
        for Opened { found, result, begin, renamed } in opened {
            match result {
                Ok((candidate, decision)) => {
                    if candidate.stat.id != found.stat.id {
                        self.vanished(found);
                    }
                    self.decided(candidate, decision, begin, renamed);
                }
                Err(error) => self.not_opened(found, &error),
            }
        }
        if self.discovery.rounds_to_count > 0 && self.is_all_decided() {
            self.discovery.rounds_to_count -= 1;
            if self.discovery.rounds_to_count == 0 {
                self.count_lost();
            }
        }
        self.forget();
        if std::mem::take(&mut self.discovery.first_start) {
            let registry = self.discovery.registry.lock();
            let begun = self.slots.open.values().filter_map(|slot| {
                let position = &registry.get(&slot.key)?.position;
                (position.at > 0).then(|| (slot.key.clone(), position.encode()))
            });
            let passed_over = registry.idle().map(|(key, it)| (key.clone(), it.encode()));
            self.shared.ledger.begin(begun.chain(passed_over).collect());
        }
        self.round_over();
    }

    fn decided(
        &mut self,
        candidate: Candidate,
        decision: Decision,
        begin: Position,
        renamed: bool,
    ) {
        let Stat { id, size, mtime_ns, .. } = candidate.stat;
        if self.slots.open.contains_key(&id) {
            return;
        }
        let shared_registry = self.discovery.registry.clone();
        let mut registry = shared_registry.lock();
        let now_ms = self.shared.env.clock.now_ms();
        let old = |wait: Duration| now_ms - mtime_ns / 1_000_000 > wait.as_millis() as i64;
        let mut taken = None;
        let (key, position) = match decision {
            Decision::Settled => return self.discovery.park(id, candidate.path, (size, mtime_ns)),
            Decision::Wait => {
                self.discovery.waiting.insert(id, candidate);
                return;
            }
            Decision::Fresh if self.discovery.ignore_older.is_some_and(old) => {
                return self.discovery.park(id, candidate.path, (size, mtime_ns));
            }
            Decision::Fresh => {
                let (key, since) = registry.key(id, now_ms);
                (key, Position { since, ..begin })
            }
            Decision::Compare(key) => {
                let Some(known) = registry.get(&key) else {
                    self.discovery.waiting.insert(id, candidate);
                    return;
                };
                let Position { at, before, passed_over, .. } = known.position;
                taken = Some((key, known.position.clone()));
                let (key, since) = registry.key(id, now_ms);
                (key, Position { at, before, passed_over, since, ..begin })
            }
            Decision::Continue(key) => {
                // Another one may have been quicker. This one is held: it may be gone.
                let known = registry.get(&key).filter(|known| known.reading == Reading::No);
                let Some(known) = known else {
                    self.discovery.waiting.insert(id, candidate);
                    return;
                };
                let position = known.position.clone();
                taken = Some((key.clone(), position.clone()));
                (key, continued(position, &candidate))
            }
        };
        let reading = if renamed || candidate.gone { Reading::Leaving } else { Reading::Yes };
        registry.set(&key, position.clone(), reading);
        drop(registry);
        if position.done {
            // Passed over by `start: end`.
            self.discovery.registry.lock().set_reading(&key, Reading::No);
            return self.discovery.park(id, candidate.path, (size, mtime_ns));
        }
        let now = self.shared.env.clock.monotonic();
        let behind = size.saturating_sub(position.at);
        let follow = Follow::new(key.clone(), position, &candidate, &self.shared.rules);
        let slot = Slot {
            key,
            path: candidate.path,
            file: candidate.file,
            follow: Some(Box::new(follow)),
            seen: (0, 0),
            queued: None,
            again: false,
            grew: now,
            missing: (reading == Reading::Leaving).then_some(now),
            stalled: false,
            taken,
            behind,
        };
        self.slots.insert(id, slot);
    }

    fn not_opened(&mut self, found: Found, error: &io::Error) {
        if error.kind() == io::ErrorKind::NotFound {
            return self.vanished(found);
        }
        let path = found.path.display();
        warn!(stream = %self.shared.stream, %path, %error, "a file cannot be opened; it is tried again");
        self.shared.metrics.error("FileOpen");
        let now = self.shared.env.clock.monotonic();
        self.discovery.retry(found.stat.id, now + limits::FILE_RETRY_INTERVAL);
    }

    /// A file was listed, and was not there any more when it was opened.
    fn vanished(&mut self, found: Found) {
        let Found { path, stat } = found;
        let Stat { id, size, .. } = stat;
        if size == 0 || self.slots.open.contains_key(&id) {
            return;
        }
        let mut registry = self.discovery.registry.lock();
        let known = |it: &Position| it.id() == id && it.may_be(&stat) && !it.truncated;
        let known = registry.idle().filter(|(_, it)| known(it));
        let newest = known.max_by_key(|(_, it)| it.since);
        let Some((key, position)) = newest.map(|(key, it)| (key.clone(), it.clone())) else {
            self.discovery.vanished.insert(id, (path, ROUNDS_TO_FIND));
            return;
        };
        if position.at < size && !position.packed {
            registry.set(&key, Position { size, ..position }, Reading::No);
            self.discovery.rounds_to_count = ROUNDS_TO_FIND;
        }
    }

    /// Whether it is known of every file what it is.
    fn is_all_decided(&self) -> bool {
        let registry = self.discovery.registry.lock();
        let is_packed = |key: &str| registry.get(key).is_some_and(|it| it.position.packed);
        let is_open = |slot: &Slot| {
            let follow = slot.follow.as_ref();
            let comparing = follow.map_or_else(|| is_packed(&slot.key), |it| it.is_comparing());
            slot.taken.is_some() && !slot.stalled && comparing
        };
        self.discovery.waiting.is_empty() && !self.slots.open.values().any(is_open)
    }

    /// Files that were not read to their end when they were last seen, and are nowhere now.
    fn count_lost(&mut self) {
        let mut registry = self.discovery.registry.lock();
        let parked = &self.discovery.parked;
        let retry = &self.discovery.retry;
        let lost: Vec<(FileKey, Position)> = registry
            .idle()
            .filter(|(_, it)| it.at < it.size && !it.done && !it.truncated && !it.packed)
            .filter(|(_, it)| !parked.contains_key(&it.id()) && !retry.contains_key(&it.id()))
            .map(|(key, position)| (key.clone(), position.clone()))
            .collect();
        for (key, position) in &lost {
            // Once is enough: what is known of it stays, for a copy that may yet appear.
            let position = Position { size: position.at, ..position.clone() };
            self.shared.ledger.note(Step::to(key.clone(), position.encode()));
            registry.set(key, position, Reading::No);
        }
        drop(registry);
        for (_, position) in lost {
            self.lost(position.place());
        }
    }

    fn forget(&mut self) {
        if self.discovery.incomplete {
            return;
        }
        let now = self.shared.env.clock.monotonic();
        let parked = &self.discovery.parked;
        let paths = &self.discovery.paths;
        let there: HashSet<FileId> = paths.values().chain(parked.keys()).copied().collect();
        for key in self.discovery.registry.lock().forget(|id| there.contains(&id), now) {
            self.shared.ledger.note(Step::done(key));
        }
    }

    fn complain(&mut self, walked: &Walked) {
        for (folder, error) in &walked.failed {
            self.shared.metrics.error("FolderRead");
            if self.discovery.complained.insert(folder.clone()) {
                let folder = folder.display();
                warn!(stream = %self.shared.stream, %folder, %error, "a folder cannot be listed");
            }
        }
        if walked.overflowed {
            self.shared.metrics.error("TooManyFiles");
            if self.discovery.complained.insert(PathBuf::new()) {
                warn!(stream = %self.shared.stream, "the patterns match more files or folders than are looked at; narrow them");
            }
        }
        if walked.found.is_empty() && self.discovery.first_round {
            info!(stream = %self.shared.stream, "no file matches yet");
        }
    }
}

/// Whether a file may hold another one, or what that one was renamed to, by its name.
fn is_packed_copy(copy: &Path, original: &Path) -> bool {
    unpacked_name(copy).is_some_and(|name| name == original || extends(&name, original))
}

fn look_at(file: &File) -> Option<(u64, i64)> {
    let stat = rustix::fs::fstat(file).ok()?;
    let seconds = stat.st_mtime;
    Some((stat.st_size as u64, seconds * 1_000_000_000 + stat.st_mtime_nsec as i64))
}

fn is_unchanged(id: FileId, path: &Path, seen: (u64, i64)) -> bool {
    fs::metadata(path).is_ok_and(|meta| {
        let stat = Stat::of(&meta);
        stat.id == id && (stat.size, stat.mtime_ns) == seen
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        env::Env,
        sources::{
            Checkpoints,
            file::{
                follow::Rules,
                ledger::Ledger,
                lines::{self, Plan},
                saved::Saved,
                slot::Patience,
                tail::Shared,
            },
            testing::TestInlet,
        },
        telemetry::Metrics,
    };

    async fn tail(known: Option<Position>) -> Tail {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Metrics::new().source("s");
        let inlet = TestInlet::durable(BTreeMap::new());
        let checkpoints = Checkpoints::open(inlet, metrics.clone()).await.unwrap();
        let saved = Saved::load(Env::real(), folder.path()).unwrap();
        let plan = Arc::new(Plan::new(&lines::Options::default()).unwrap());
        let shared = Shared {
            stream: "s".into(),
            env: Env::real(),
            metrics,
            ledger: Arc::new(Ledger::new(Arc::new(checkpoints), saved)),
            rules: Arc::new(Rules { plan, offsets: false }),
            stop: tokio_util::sync::CancellationToken::new(),
        };
        let registry = Registry::new(known.map(|position| ("known".to_owned(), position)));
        let walker = Walker::new(Vec::new(), Vec::new());
        let discovery = Discovery::new(registry, walker, false, Start::Beginning, None, 10);
        let patience = Patience { rotate_wait: Duration::ZERO, last_line: Duration::ZERO };
        Tail::new(shared, discovery, patience)
    }

    fn stat(ino: u64, born: i64) -> Stat {
        let id = FileId { dev: 1, ino };
        Stat { id, size: 100, mtime_ns: 7, born_ns: Some(born) }
    }

    #[tokio::test]
    async fn of_what_vanishes_that_is_counted_which_was_not_read_and_is_found_nowhere() {
        let known = |at, born| {
            Some(Position { dev: 1, ino: 5, born: Some(born), at, size: at, ..Position::default() })
        };
        let cases = [
            ("nothing is known of it", None, None, 1),
            ("its copy is there", None, Some("/logs/app.log.1.gz"), 0),
            ("another file is there", None, Some("/logs/app.log.1"), 1),
            ("it was read", known(100, 3), None, 0),
            ("it was read in part", known(60, 3), None, 1),
            ("another one with its number was read", known(100, 2), None, 1),
        ];
        for (what, known, beside, lost) in cases {
            let mut tail = tail(known).await;
            let path = PathBuf::from("/logs/app.log");
            tail.vanished(Found { path, stat: stat(5, 3) });
            let beside = beside.map(|path| Found { path: path.into(), stat: stat(6, 3) });
            tail.discovery.found = beside.into_iter().collect();
            for round in 1..=ROUNDS_TO_FIND + 1 {
                assert!(round > ROUNDS_TO_FIND || tail.shared.metrics.lost_files.get() == 0);
                tail.follow_names();
                tail.opened(Vec::new());
            }
            assert_eq!(tail.shared.metrics.lost_files.get(), lost, "{what}");
        }
    }
}
