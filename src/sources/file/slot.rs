//! A file that is held open, as the loop sees it.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    fs::File,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use super::{
    FileKey,
    follow::{Follow, Task},
    identity::{FileId, Position},
};

/// One open file.
pub struct Slot {
    pub key: FileKey,
    pub path: PathBuf,
    pub file: Arc<File>,
    /// Absent while a pass is under way.
    pub follow: Option<Box<Follow>>,
    /// Size and time of change before the last pass.
    pub seen: (u64, i64),
    /// What the next pass is for, if one is waiting.
    pub queued: Option<Task>,
    /// It was written to during the pass.
    pub again: bool,
    /// When it last grew.
    pub grew: Duration,
    /// Since when no pattern matches it.
    pub missing: Option<Duration>,
    /// A compressed file that ended too early.
    pub stalled: bool,
    /// The position that it was taken to continue, to be given back if it does not.
    pub taken: Option<(FileKey, Position)>,
    /// Bytes that are there and not given out.
    pub behind: u64,
}

/// How long things wait.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub rotate_wait: Duration,
    pub last_line: Duration,
}

impl Slot {
    /// What is to be done with a file that has not grown.
    pub fn due(&self, now: Duration, patience: Patience) -> Option<Task> {
        let follow = self.follow.as_ref().filter(|_| self.queued.is_none())?;
        let since = |moment: Duration| now.saturating_sub(moment);
        if let Some(missing) = self.missing
            && since(missing.max(self.grew)) >= patience.rotate_wait
        {
            return Some(Task::Finish);
        }
        if follow.due().is_some_and(|due| due <= now) {
            return Some(Task::Flush);
        }
        let last = follow.is_pending() && since(self.grew) >= patience.last_line;
        last.then_some(Task::LastLine)
    }

    /// Whether it may be closed to make room: everything in it is given out.
    pub fn is_at_rest(&self) -> bool {
        let idle = self.follow.as_ref().is_some_and(|follow| !follow.is_pending());
        idle && self.missing.is_none() && self.queued.is_none() && !self.stalled && self.behind == 0
    }
}

/// Files to look at.
pub type Files = Arc<Vec<(FileId, Arc<File>)>>;

/// The open files, and whose turn it is.
#[derive(Default)]
pub struct Slots {
    pub open: BTreeMap<FileId, Slot>,
    ready: VecDeque<FileId>,
    /// The list of files to look at, as long as it is the same.
    files: Option<Files>,
}

impl Slots {
    pub fn insert(&mut self, id: FileId, slot: Slot) {
        self.files = None;
        self.open.insert(id, slot);
        self.queue(id, Task::Read);
    }

    pub fn remove(&mut self, id: FileId) -> Option<Slot> {
        self.files = None;
        self.open.remove(&id)
    }

    pub fn files(&mut self) -> Files {
        let list = || Arc::new(self.open.iter().map(|(&id, it)| (id, it.file.clone())).collect());
        self.files.get_or_insert_with(list).clone()
    }

    /// A pass is wanted. Files take turns: none is read twice while another one waits.
    pub fn queue(&mut self, id: FileId, task: Task) {
        let Some(slot) = self.open.get_mut(&id) else { return };
        if slot.follow.is_none() {
            slot.again = true;
        } else if let Some(queued) = &mut slot.queued {
            // To read gives out what is due, too; the other way round it is not so.
            if (*queued, task) == (Task::Flush, Task::Read) {
                *queued = task;
            }
        } else {
            slot.queued = Some(task);
            self.ready.push_back(id);
        }
    }

    /// Whose turn it is.
    pub fn next(&mut self) -> Option<(FileId, Task, Box<Follow>)> {
        while let Some(id) = self.ready.pop_front() {
            // It may have been closed, and opened again, since.
            let Some(slot) = self.open.get_mut(&id) else { continue };
            let Some(task) = slot.queued.take() else { continue };
            if let Some(follow) = slot.follow.take() {
                return Some((id, task, follow));
            }
        }
        None
    }

    /// Files of which a pass is waiting or under way.
    pub fn busy(&self) -> HashSet<FileKey> {
        let is_busy = |slot: &&Slot| slot.follow.is_none() || slot.queued.is_some();
        self.open.values().filter(is_busy).map(|slot| slot.key.clone()).collect()
    }

    /// The file whose closing costs least: at rest for longest.
    pub fn at_rest(&self) -> Option<FileId> {
        let resting = self.open.iter().filter(|(_, slot)| slot.is_at_rest());
        resting.min_by_key(|(_, slot)| slot.grew).map(|(&id, _)| id)
    }
}
