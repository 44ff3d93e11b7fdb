//! What the writer, the readers and the cursors of one local journal share.

use std::{
    any::Any,
    collections::{BTreeMap, VecDeque},
    io,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    crypto::Keyring,
    cursor::{Cursors, State},
    frame::Identity,
    options::Durability,
    queue::Queue,
    segment::{self, Cause, Segment, Table, Tuning},
    stands::Stands,
};
use crate::{
    env::{Env, File},
    limits,
    record::{Position, Ranges},
};

/// Files that readers keep open, per stream. One destination reads in one or two segments.
const HANDLES: usize = 8;
/// Places where the last reads ended. A destination has one or two.
const PLACES: usize = 32;
/// Distance of remembered places in a segment: what a reader may have to pass over by headers.
const PLACE_DISTANCE_BYTES: u64 = limits::MIB;
/// Memory is given back in pages of the machine; that they are larger elsewhere does no harm.
const PAGE_BYTES: u64 = 4096;

pub struct Shared {
    pub folder: PathBuf,
    pub env: Env,
    pub identity: Identity,
    pub durability: Durability,
    pub tuning: Tuning,
    pub keys: Option<Arc<Keyring>>,
    pub encrypted: AtomicBool,
    pub max_bytes: AtomicU64,
    pub table: Mutex<Table>,
    pub tail: watch::Sender<Position>,
    pub queue: Queue,
    pub failed: OnceLock<Cause>,
    pub syncs: AtomicU64,
    pub sync_micros: AtomicU64,
    pub damaged: Mutex<Ranges>,
    pub cursors: Cursors,
    /// What every cursor has durably passed.
    pub settled: watch::Sender<Position>,
    /// Where the source stands upstream; `None` until somebody asks: Direct PUT never does.
    pub stands: Mutex<Option<Stands>>,
    pub places: Mutex<Places>,
    pub handles: Mutex<VecDeque<(u64, Arc<dyn File>)>>,
    /// The segment up to which the pages of what is settled were let go, and the offset in it.
    pub forgotten: Mutex<(u64, u64)>,
    /// True once the writer has ended.
    pub ended: watch::Sender<bool>,
    /// Held until the journal is closed.
    pub lock: Mutex<Option<Box<dyn Any + Send + Sync>>>,
}

/// Where frames are known to start: the places where the last reads ended, and one for each MiB
/// that was read.
#[derive(Default)]
pub struct Places {
    recent: VecDeque<Place>,
    sparse: BTreeMap<(u64, u64), u64>,
}

struct Place {
    segment: u64,
    sequence: u64,
    offset: u64,
}

impl Shared {
    pub fn path_of(&self, first: u64) -> PathBuf {
        self.folder.join(segment::name(first))
    }

    /// Makes a failure stick; answers the first one.
    pub fn fail(&self, operation: &'static str, error: &io::Error) -> Cause {
        let cause = self.failed.get_or_init(|| {
            tracing::error!(folder = %self.folder.display(), operation, %error, "journal has failed");
            Cause::from(format!("{operation}: {error}"))
        });
        Arc::clone(cause)
    }

    /// Counts damaged positions once, and says so.
    pub fn report_damage(&self, first: u64, end: u64) {
        let mut damaged = self.damaged.lock();
        let before = damaged.count();
        damaged.insert(first, end);
        if damaged.count() > before {
            tracing::error!(
                folder = %self.folder.display(), first, end, "journal positions are damaged"
            );
        }
    }

    /// Ends what is kept for an orderly end, then lets go of the folder.
    pub fn leave(&self) {
        if self.is_left() {
            return;
        }
        if self.cursors.found_again()
            && let Err(error) = self.save_cursors()
        {
            // Then the next opening holds everything back as well.
            tracing::warn!(
                folder = %self.folder.display(), %error, "cannot save the cursors of a journal"
            );
        }
        *self.lock.lock() = None;
    }

    /// True once the folder may be somebody else's.
    pub fn is_left(&self) -> bool {
        self.lock.lock().is_none()
    }

    /// Writes the cursors and the floor, then gives back the space that nobody needs.
    pub fn save_cursors(&self) -> io::Result<()> {
        let (cursors, version) = self.cursors.snapshot();
        let floor = self.tail.borrow().sequence;
        let state = State { id: self.identity.id, floor, cursors };
        state.save(&*self.env.files, &self.folder)?;
        let settled = state.cursors.values().min().copied().unwrap_or(0);
        self.cursors.saved(state.cursors, version);
        self.settled.send_replace(Position::new(0, settled));
        self.reclaim();
        self.forget_pages(settled);
        Ok(())
    }

    /// Lets the pages of what is settled go: only a restart reads it again, and what is written
    /// next finds warm memory in their place (docs/benchmarks.md tells what that spares).
    fn forget_pages(&self, settled: u64) {
        // Pages that are not on the disk yet cannot go.
        if self.durability != Durability::Fsync {
            return;
        }
        let mut forgotten = self.forgotten.lock();
        let passed = self.table.lock().between(forgotten.0, settled);
        for segment in passed {
            let from = if segment.first == forgotten.0 { forgotten.1 } else { 0 };
            let to = if segment.end <= settled {
                segment.len
            } else {
                self.place_before(segment.first, settled).map_or(0, |(_, offset)| offset)
            };
            if to < from + self.tuning.forget_bytes {
                continue;
            }
            // Not by a kept handle: the segment may be removed meanwhile, and its space is to go with
            // its name.
            if let Ok(file) = self.env.files.open_read(&self.path_of(segment.first)) {
                file.forget_pages(from, to - from);
            }
            // The page that the rest begins in goes with the rest.
            *forgotten = (segment.first, to - to % PAGE_BYTES);
        }
    }

    /// Saves where the source stands, before the frames that say so may be given back.
    pub fn save_stands(&self) -> io::Result<()> {
        match &*self.stands.lock() {
            Some(stands) => stands.save(&*self.env.files, &self.folder),
            None => Ok(()),
        }
    }

    /// Removes the segments that every cursor has durably passed.
    pub fn reclaim(&self) {
        // A retried call is recognised by its frame, which must outlive its delivery for a while.
        let keep_bytes = self.tuning.keep_delivered_bytes.min(self.max_bytes() / 2);
        let gone =
            self.cursors.with_released(|before| self.table.lock().release(before, keep_bytes));
        self.remove(&gone);
    }

    /// The same with the last one too, which must not be the one that is written. True if there
    /// was something to remove.
    pub fn reclaim_last(&self) -> bool {
        let gone = self.cursors.with_released(|before| self.table.lock().release_all(before));
        self.remove(&gone);
        !gone.is_empty()
    }

    fn remove(&self, gone: &[Segment]) {
        if gone.is_empty() {
            return;
        }
        let is_gone = |first: u64| gone.iter().any(|segment| segment.first == first);
        self.handles.lock().retain(|(first, _)| !is_gone(*first));
        {
            let mut places = self.places.lock();
            places.recent.retain(|place| !is_gone(place.segment));
            places.sparse.retain(|(segment, _), _| !is_gone(*segment));
        }
        for segment in gone {
            // A removal that is lost in a crash, or fails, is made up for at the next opening.
            if let Err(error) = self.env.files.remove(&self.path_of(segment.first)) {
                tracing::warn!(
                    folder = %self.folder.display(), first = segment.first, %error,
                    "cannot remove a delivered segment"
                );
            }
        }
    }

    pub fn used_bytes(&self) -> u64 {
        self.table.lock().used_bytes()
    }

    pub fn max_bytes(&self) -> u64 {
        self.max_bytes.load(Ordering::Relaxed)
    }

    /// The segment's file, opened for reading.
    pub fn handle(&self, first: u64) -> io::Result<Arc<dyn File>> {
        if let Some((_, file)) = self.handles.lock().iter().find(|(segment, _)| *segment == first) {
            return Ok(Arc::clone(file));
        }
        let file: Arc<dyn File> = self.env.files.open_read(&self.path_of(first))?.into();
        let mut handles = self.handles.lock();
        handles.push_back((first, Arc::clone(&file)));
        if handles.len() > HANDLES {
            handles.pop_front();
        }
        Ok(file)
    }

    /// The nearest known start of a frame at or before a sequence of a segment, as sequence and
    /// offset.
    pub fn place_before(&self, segment: u64, sequence: u64) -> Option<(u64, u64)> {
        let places = self.places.lock();
        let sparse = places.sparse.range((segment, 0)..=(segment, sequence)).next_back();
        let sparse = sparse.map(|(&(_, sequence), &offset)| (sequence, offset));
        let fits = |place: &&Place| place.segment == segment && place.sequence <= sequence;
        let recent = places.recent.iter().filter(fits).map(|place| (place.sequence, place.offset));
        recent.chain(sparse).max()
    }

    pub fn remember(&self, segment: u64, sequence: u64, offset: u64) {
        let mut places = self.places.lock();
        let before = places.sparse.range((segment, 0)..=(segment, sequence)).next_back();
        let distance = before.map_or(offset, |(_, &before)| offset.saturating_sub(before));
        if distance >= PLACE_DISTANCE_BYTES {
            places.sparse.insert((segment, sequence), offset);
        }
        places.recent.push_back(Place { segment, sequence, offset });
        if places.recent.len() > PLACES {
            places.recent.pop_front();
        }
    }
}
