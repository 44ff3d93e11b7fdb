//! The durable side of the ledger: every shipment's key and positions are written here before it
//! leaves, so that after a crash the same shipment is built again under the same key.
//!
//! A text file of lines `CRC-32C (8 hex digits), space, JSON`, appended to and rewritten once it
//! has grown. A torn last line was never relied upon: its shipment had not left.

use std::{
    collections::BTreeMap,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::bodies::Kept;
use crate::{
    batch::Framing,
    encode::Compression,
    env::{Env, File},
    fault::Details,
    limits,
    record::{Leaf, Members, Part, Ranges, Route},
    seams::SharedPlans,
};

/// Everything that makes a shipment the same shipment when it is built again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub id: u64,
    pub key: String,
    pub route: Route,
    /// Positions that it settles whole.
    pub positions: Ranges,
    /// Positions that it settles in part: others hold the rest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<u64, Part>,
    /// Which transforms took its records apart: others may do it otherwise.
    #[serde(default)]
    pub transforms: u32,
    /// Where its records come from, where that is not told by `positions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<Leaf>>,
    /// Number of records in it.
    #[serde(default)]
    pub records: u64,
    /// Its encoded body, where it cannot be built again from the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Kept>,
    /// Whether the destination takes its records one by one: then a kept body ends with where each
    /// of them ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listed: bool,
    pub compression: Compression,
    pub content_encoding: bool,
    pub framing: Framing,
    /// For the error output: why each record failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

impl Planned {
    /// What stands for shipments of another replica that have arrived.
    fn ahead(id: u64, positions: Ranges) -> Self {
        Self {
            id,
            key: String::new(),
            route: Route::Objects,
            records: positions.count(),
            positions,
            parts: BTreeMap::new(),
            transforms: 0,
            order: None,
            body: None,
            listed: false,
            compression: Compression::default(),
            content_encoding: false,
            framing: Framing::default(),
            reasons: Vec::new(),
        }
    }

    pub fn members(&self) -> Members {
        Members::restored(self.positions.clone(), self.parts.clone(), self.order.clone())
    }

    /// The lowest position it touches, and the end behind the highest.
    fn bounds(&self) -> Option<(u64, u64)> {
        let whole = self.positions.bounds();
        let first = self.parts.first_key_value().map(|(sequence, _)| *sequence);
        let last = self.parts.last_key_value().map(|(sequence, _)| sequence + 1);
        let start = whole.map(|(start, _)| start).into_iter().chain(first).min()?;
        let end = whole.map(|(_, end)| end).into_iter().chain(last).max()?;
        Some((start, end))
    }

    fn contains(&self, sequence: u64) -> bool {
        self.positions.contains(sequence) || self.parts.contains_key(&sequence)
    }

    fn leave_out(&mut self, leaves: &[Leaf]) {
        let mut members = self.members();
        members.remove(leaves);
        (self.positions, self.parts) = (members.whole, members.parts);
    }
}

/// Why one record goes to the error output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub sequence: u64,
    pub code: String,
    pub message: String,
    pub attempts: u32,
    /// What the kind of failure says besides.
    #[serde(default, skip_serializing_if = "Details::is_empty")]
    pub details: Details,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The journal whose positions are meant, in hexadecimal digits: the first line.
    Journal(String),
    Planned(Planned),
    /// Positions above the cursor that shipments have settled, whichever they were.
    Ahead(Ranges),
    Settled {
        id: u64,
        /// Positions that the shipment did not settle after all.
        #[serde(default, skip_serializing_if = "Ranges::is_empty")]
        except: Ranges,
        /// The same for single leaves of positions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        except_leaves: Vec<Leaf>,
    },
}

/// The shipments that have left or are about to, of one destination.
pub struct Shipments {
    env: Env,
    path: PathBuf,
    journal: [u8; 16],
    file: Box<dyn File>,
    len: u64,
    entries: usize,
    /// Another run has the file now.
    closed: bool,
    /// Set when a write or sync has failed: what the file holds is not known, and it is written
    /// anew before anything else is.
    unsound: bool,
    next_id: u64,
    live: BTreeMap<u64, (Planned, bool)>,
    /// Where other replicas find what is under way.
    shared: Option<Arc<dyn SharedPlans>>,
    /// Held while something is saved there.
    sharing: Arc<Mutex<()>>,
}

/// Runs of settled positions that other replicas are told of.
const SHARED_RUNS_MAX: usize = 256;

/// Writes a shipment down, also where other replicas find it. Durable on Ok; only then may it
/// leave. Blocking.
///
/// One at a time saves for others: what is saved later holds what was planned before. The ledger
/// itself is free meanwhile.
pub fn plan(shipments: &Mutex<Shipments>, planned: Planned) -> io::Result<u64> {
    let Some(shared) = shipments.lock().shared.clone() else {
        return shipments.lock().plan(planned);
    };
    let sharing = shipments.lock().sharing.clone();
    let _one = sharing.lock();
    let (id, content) = {
        let mut shipments = shipments.lock();
        let id = shipments.plan(planned)?;
        (id, shipments.shared_content(shared.max_bytes())?)
    };
    let saved = shared.save(&content);
    if saved.is_err() {
        shipments.lock().unplan(id);
    }
    saved.map(|()| id)
}

/// What a shipment does not settle after all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Except {
    /// Positions, with whatever the shipment holds of them.
    pub positions: Ranges,
    leaves: Vec<Leaf>,
}

impl Except {
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.leaves.is_empty()
    }
}

impl From<Ranges> for Except {
    fn from(positions: Ranges) -> Self {
        Self { positions, leaves: Vec::new() }
    }
}

impl FromIterator<Leaf> for Except {
    fn from_iter<T: IntoIterator<Item = Leaf>>(leaves: T) -> Self {
        let mut except = Self::default();
        for leaf in leaves {
            if leaf.of == 1 {
                except.positions.insert(leaf.sequence, leaf.sequence + 1);
            } else {
                except.leaves.push(leaf);
            }
        }
        except
    }
}

/// How the journal stands when the ledger is opened.
#[derive(Debug, Clone, Copy)]
pub struct JournalState {
    pub id: [u8; 16],
    /// Everything below is settled, durably.
    pub cursor: u64,
    /// The end of the journal.
    pub tail: u64,
}

impl Shipments {
    /// Opens the file of a destination and lets go of what the journal no longer stands for.
    /// Blocking.
    pub fn open(
        path: &Path,
        env: &Env,
        journal: JournalState,
        shared: Option<Arc<dyn SharedPlans>>,
    ) -> io::Result<Self> {
        let saved = shared.as_ref().map(|shared| shared.load()).transpose()?;
        let is_shared = shared.is_some();
        let content = match (saved, env.files.read(path)) {
            // Another replica had the journal since: what our file says is of before.
            (Some((saved, false)), _) => saved,
            (_, Ok(content)) => content,
            (saved, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                saved.map(|(saved, _)| saved).unwrap_or_default()
            }
            (_, Err(error)) => return Err(error),
        };
        let mut ahead = Ranges::new();
        let mut live: BTreeMap<u64, (Planned, bool)> = BTreeMap::new();
        let mut next_id = 0;
        let mut ours = false;
        for line in parse(&content) {
            match line {
                Line::Journal(id) => ours = id == hex::encode(journal.id),
                // Positions of another journal mean other records.
                _ if !ours => {}
                Line::Planned(planned) => {
                    next_id = next_id.max(planned.id + 1);
                    live.insert(planned.id, (planned, false));
                }
                Line::Ahead(positions) => ahead.insert_all(&positions),
                Line::Settled { id, except, except_leaves } => mark_settled(
                    &mut live,
                    id,
                    &Except { positions: except, leaves: except_leaves },
                ),
            }
        }
        // What reaches past the end was lost by the journal (weaker durability and a power
        // failure): the positions will be given to other records.
        // The end of a journal that others keep is not known yet; nothing of it is given out anew.
        let lost = |planned: &Planned| planned.bounds().is_some_and(|(_, end)| end > journal.tail);
        live.retain(|_, (planned, _)| is_shared || !lost(planned));
        if !ahead.is_empty() {
            live.insert(next_id, (Planned::ahead(next_id, ahead), true));
            next_id += 1;
        }
        forget(&mut live, journal.cursor);
        // Written anew at every opening: what was let go must not come back, and what follows
        // must not stand behind a torn line.
        let (file, len) = rewrite(env, path, &journal.id, &live)?;
        Ok(Self {
            env: env.clone(),
            path: path.to_owned(),
            journal: journal.id,
            file,
            len,
            entries: live.len(),
            closed: false,
            unsound: false,
            next_id,
            live,
            shared,
            sharing: Arc::default(),
        })
    }

    /// Shipments that left, or were about to, and were not settled.
    pub fn unsettled(&self) -> Vec<Planned> {
        self.live.values().filter(|(_, settled)| !settled).map(|(p, _)| p.clone()).collect()
    }

    /// What shipments that are settled hold, at or above the cursor.
    pub fn settled(&self) -> impl Iterator<Item = &Planned> {
        self.live.values().filter(|(_, settled)| *settled).map(|(planned, _)| planned)
    }

    /// Every unsettled shipment that holds the position.
    pub fn find(&self, sequence: u64) -> Option<&Planned> {
        let mut unsettled = self.live.values().filter(|(_, settled)| !settled);
        unsettled.find(|(planned, _)| planned.contains(sequence)).map(|(p, _)| p)
    }

    /// Writes a shipment down in our own file. Blocking.
    pub fn plan(&mut self, mut planned: Planned) -> io::Result<u64> {
        planned.id = self.next_id;
        self.append(&Line::Planned(planned.clone()), true)?;
        self.next_id += 1;
        let id = planned.id;
        self.live.insert(id, (planned, false));
        Ok(id)
    }

    /// It has not left: nobody needs to know of it.
    fn unplan(&mut self, id: u64) {
        self.live.remove(&id);
        self.unsound = true;
    }

    /// What other replicas are told: what is under way and can be built again from the journal, as
    /// far as there is room. What needs more than that is delivered anew, under other keys, by a
    /// replica that takes over.
    fn shared_content(&self, max_bytes: usize) -> io::Result<Vec<u8>> {
        let mut content = render(&Line::Journal(hex::encode(self.journal)))?;
        for planned in self.live.values().filter(|(_, settled)| !settled).map(|(p, _)| p) {
            if planned.body.is_some() || !planned.reasons.is_empty() {
                continue;
            }
            let line = render(&Line::Planned(planned.clone()))?;
            if content.len() + line.len() <= max_bytes {
                content.extend(line);
            }
        }
        let mut ahead = Ranges::new();
        self.settled().for_each(|planned| ahead.insert_all(&planned.positions));
        content.extend(ahead_line(&ahead, max_bytes.saturating_sub(content.len()))?);
        Ok(content)
    }

    /// Takes note that a shipment arrived. Synced only where it must be: should the note be lost,
    /// the shipment is built again under its key and overwrites itself. But what it left out must
    /// not be lost, nor the note (`durably`) where it cannot be built again. Blocking.
    pub fn settle(&mut self, id: u64, except: Except, durably: bool) -> io::Result<()> {
        mark_settled(&mut self.live, id, &except);
        let durably = durably || !except.is_empty();
        let Except { positions: except, leaves: except_leaves } = except;
        self.append(&Line::Settled { id, except, except_leaves }, durably)
    }

    /// Forgets shipments that the durable cursor has passed. Blocking.
    pub fn forget_below(&mut self, cursor: u64) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        forget(&mut self.live, cursor);
        if self.entries > limits::LEDGER_COMPACT_ENTRIES && self.entries > 4 * self.live.len() {
            self.unsound = true;
            self.mend()?;
        }
        Ok(())
    }

    /// Takes no more notes: what is under way in the background must not write into the file of
    /// the next run.
    pub fn close(&mut self) {
        self.closed = true;
    }

    fn append(&mut self, line: &Line, durably: bool) -> io::Result<()> {
        if self.closed {
            return Err(io::Error::other("the ledger is closed"));
        }
        self.mend()?;
        // A write that fails leaves the file in doubt, and a failed fsync must not be tried again
        // on it: until all of this went well, the file counts as unsound.
        self.unsound = true;
        let bytes = render(line)?;
        self.file.write_all_at(&[IoSlice::new(&bytes)], self.len)?;
        if durably {
            self.file.sync_data()?;
        }
        self.len += bytes.len() as u64;
        self.entries += 1;
        self.unsound = false;
        Ok(())
    }

    /// Writes an unsound file anew.
    fn mend(&mut self) -> io::Result<()> {
        if self.unsound {
            let (file, len) = rewrite(&self.env, &self.path, &self.journal, &self.live)?;
            (self.file, self.len, self.entries) = (file, len, self.live.len());
            self.unsound = false;
        }
        Ok(())
    }
}

/// As many settled positions, lowest first, as the room has; none is nothing that is lost.
fn ahead_line(ahead: &Ranges, room: usize) -> io::Result<Vec<u8>> {
    // A few runs take little: the number is halved until they fit.
    let mut runs: Vec<(u64, u64)> = ahead.iter().take(SHARED_RUNS_MAX).collect();
    while !runs.is_empty() {
        let mut some = Ranges::new();
        runs.iter().for_each(|&(start, end)| some.insert(start, end));
        let line = render(&Line::Ahead(some))?;
        if line.len() <= room {
            return Ok(line);
        }
        runs.truncate(runs.len() / 2);
    }
    Ok(Vec::new())
}

/// Forgets what the cursor has passed. A shipment that it has entered arrived whole, even if that
/// note was lost in a crash: what a shipment leaves out is noted durably.
fn forget(live: &mut BTreeMap<u64, (Planned, bool)>, cursor: u64) {
    live.retain(|_, (planned, settled)| {
        let Some((start, end)) = planned.bounds() else { return false };
        if planned.body.is_none() {
            *settled |= start < cursor;
        } else if start < cursor {
            // What was settled of it without it (a chain that takes records apart otherwise, a
            // damaged frame) says nothing of the rest. Its own arrival is noted durably.
            if planned.order.is_none() {
                // What is in the body is no longer told by the positions.
                planned.order = Some(planned.members().leaves());
            }
            planned.positions.remove_below(cursor);
            planned.parts = planned.parts.split_off(&cursor);
        }
        end > cursor
    });
}

fn mark_settled(live: &mut BTreeMap<u64, (Planned, bool)>, id: u64, except: &Except) {
    if let Some((planned, settled)) = live.get_mut(&id) {
        *settled = true;
        planned.positions = planned.positions.without(&except.positions);
        for sequence in planned.parts.keys().copied().collect::<Vec<_>>() {
            if except.positions.contains(sequence) {
                planned.parts.remove(&sequence);
            }
        }
        planned.leave_out(&except.leaves);
        // Only what it holds is asked for from now on.
        (planned.order, planned.reasons) = (None, Vec::new());
    }
}

fn render(line: &Line) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(line)?;
    Ok(format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes())).into_bytes())
}

/// The lines up to the first that is torn or damaged.
fn parse(content: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        let parsed = line.strip_suffix(b"\n").and_then(|line| {
            let checksum =
                u32::from_str_radix(std::str::from_utf8(line.get(..8)?).ok()?, 16).ok()?;
            let json = line.get(9..)?;
            (crc32c::crc32c(json) == checksum).then_some(())?;
            serde_json::from_slice(json).ok()
        });
        match parsed {
            Some(line) => lines.push(line),
            None => break,
        }
    }
    lines
}

/// Replaces the file by one that holds only what is still needed.
fn rewrite(
    env: &Env,
    path: &Path,
    journal: &[u8; 16],
    live: &BTreeMap<u64, (Planned, bool)>,
) -> io::Result<(Box<dyn File>, u64)> {
    let mut content = render(&Line::Journal(hex::encode(journal)))?;
    for (planned, settled) in live.values() {
        content.extend(render(&Line::Planned(planned.clone()))?);
        if *settled {
            let (except, except_leaves) = (Ranges::new(), Vec::new());
            let settled = Line::Settled { id: planned.id, except, except_leaves };
            content.extend(render(&settled)?);
        }
    }
    env.files.replace(path, &content)?;
    Ok((env.files.open(path)?, content.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: JournalState = JournalState { id: [7; 16], cursor: 0, tail: 1_000_000 };

    fn planned(start: u64, end: u64) -> Planned {
        Planned {
            id: 0,
            key: format!("k/{start}"),
            route: Route::Objects,
            positions: Ranges::of(start, end),
            parts: BTreeMap::new(),
            transforms: 0,
            order: None,
            records: end - start,
            listed: false,
            body: None,
            compression: Compression::Gzip,
            content_encoding: true,
            framing: Framing::default(),
            reasons: Vec::new(),
        }
    }

    fn settled_positions(shipments: &Shipments) -> Ranges {
        shipments.settled().flat_map(|planned| planned.positions.iter()).collect()
    }

    #[test]
    fn parts_of_positions_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let env = Env::real();
        let part = |leaves: &[u32]| Part { of: 4, leaves: leaves.to_vec() };
        let parts = BTreeMap::from([(10, part(&[0, 2])), (12, part(&[1]))]);
        let mut shipments = Shipments::open(&path, &env, STATE, None).unwrap();
        let shared = Planned { parts, ..planned(7, 9) };
        let id = shipments.plan(shared.clone()).unwrap();
        let leaf = |sequence, index, of| Leaf { sequence, index, of };
        let except = [leaf(7, 0, 1), leaf(8, 1, 3), leaf(10, 2, 4), leaf(12, 1, 4)];
        drop(shipments);
        let mut shipments = Shipments::open(&path, &env, STATE, None).unwrap();
        assert_eq!(shipments.unsettled(), vec![shared]);
        assert_eq!(shipments.find(12).unwrap().id, id);
        shipments.settle(id, except.into_iter().collect(), false).unwrap();
        drop(shipments);
        let shipments = Shipments::open(&path, &env, STATE, None).unwrap();
        let settled: Vec<&Planned> = shipments.settled().collect();
        assert_eq!(settled[0].positions, Ranges::new());
        let kept = BTreeMap::from([(8, Part { of: 3, leaves: vec![0, 2] }), (10, part(&[0]))]);
        assert_eq!(settled[0].parts, kept);
    }

    #[test]
    fn what_left_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let env = Env::real();
        let mut shipments = Shipments::open(&path, &env, STATE, None).unwrap();
        let first = shipments.plan(planned(0, 10)).unwrap();
        let second = shipments.plan(planned(10, 20)).unwrap();
        assert_eq!((first, second), (0, 1));
        shipments.settle(second, Ranges::of(12, 13).into(), false).unwrap();
        drop(shipments);

        let shipments = Shipments::open(&path, &env, STATE, None).unwrap();
        assert_eq!(shipments.unsettled(), vec![planned(0, 10)]);
        let settled: Ranges = [(10, 12), (13, 20)].into_iter().collect();
        assert_eq!(settled_positions(&shipments), settled);
        assert_eq!(shipments.find(3).unwrap().key, "k/0");
        assert_eq!(shipments.find(13), None);
    }

    #[test]
    fn what_the_journal_no_longer_stands_for_never_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let env = Env::real();
        let mut shipments = Shipments::open(&path, &env, STATE, None).unwrap();
        let id = shipments.plan(planned(0, 50)).unwrap();
        shipments.settle(id, Except::default(), false).unwrap();
        shipments.plan(planned(50, 90)).unwrap();
        drop(shipments);
        // The journal lost its tail; later the same positions are other records.
        let shorter = JournalState { tail: 40, ..STATE };
        assert!(Shipments::open(&path, &env, shorter, None).unwrap().unsettled().is_empty());
        let shipments = Shipments::open(&path, &env, STATE, None).unwrap();
        assert_eq!(settled_positions(&shipments), Ranges::new());
        assert_eq!(shipments.unsettled(), vec![]);
        drop(shipments);

        let mut shipments = Shipments::open(&path, &env, STATE, None).unwrap();
        shipments.plan(planned(0, 50)).unwrap();
        drop(shipments);
        let other = JournalState { id: [8; 16], ..STATE };
        assert_eq!(Shipments::open(&path, &env, other, None).unwrap().unsettled(), vec![]);
    }

    #[test]
    fn a_torn_line_at_any_byte_loses_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let env = Env::real();
        let mut shipments = Shipments::open(&path, &env, STATE, None).unwrap();
        shipments.plan(planned(0, 10)).unwrap();
        let whole = std::fs::read(&path).unwrap().len();
        shipments.plan(planned(10, 20)).unwrap();
        drop(shipments);
        let content = std::fs::read(&path).unwrap();
        for cut in whole..content.len() {
            std::fs::write(&path, &content[..cut]).unwrap();
            let mut shipments = Shipments::open(&path, &env, STATE, None).unwrap();
            assert_eq!(shipments.unsettled(), vec![planned(0, 10)], "cut at {cut}");
            assert_eq!(shipments.plan(planned(10, 20)).unwrap(), 1);
            drop(shipments);
            assert_eq!(Shipments::open(&path, &env, STATE, None).unwrap().unsettled().len(), 2);
        }
    }

    #[test]
    fn a_shipment_that_the_cursor_has_entered_is_not_sent_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let env = Env::real();
        let mut shipments = Shipments::open(&path, &env, STATE, None).unwrap();
        shipments.plan(planned(0, 10)).unwrap();
        shipments.plan(planned(10, 20)).unwrap();
        let left_out = shipments.plan(planned(20, 30)).unwrap();
        shipments.settle(left_out, Ranges::of(22, 23).into(), false).unwrap();
        shipments.forget_below(22).unwrap();
        assert_eq!(shipments.unsettled(), vec![]);
        assert_eq!(settled_positions(&shipments).within(22, 30), Ranges::of(23, 30));
    }

    #[test]
    fn the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let env = Env::real();
        let mut shipments = Shipments::open(&path, &env, STATE, None).unwrap();
        for round in 0..limits::LEDGER_COMPACT_ENTRIES as u64 {
            let id = shipments.plan(planned(round, round + 1)).unwrap();
            shipments.settle(id, Except::default(), false).unwrap();
            shipments.forget_below(round + 1).unwrap();
        }
        assert!(shipments.entries <= limits::LEDGER_COMPACT_ENTRIES + 1);
        assert!(shipments.live.is_empty());
    }

    /// Plans beside a journal that another replica takes over.
    struct Beside {
        saved: Mutex<Vec<u8>>,
        max_bytes: usize,
        lost: std::sync::atomic::AtomicBool,
    }

    impl SharedPlans for Beside {
        fn load(&self) -> io::Result<(Vec<u8>, bool)> {
            Ok((self.saved.lock().clone(), false))
        }

        fn save(&self, plans: &[u8]) -> io::Result<()> {
            if self.lost.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(io::Error::other("another replica has it"));
            }
            assert!(plans.len() <= self.max_bytes);
            *self.saved.lock() = plans.to_vec();
            Ok(())
        }

        fn max_bytes(&self) -> usize {
            self.max_bytes
        }
    }

    fn beside(max_bytes: usize) -> Arc<Beside> {
        Arc::new(Beside { saved: Mutex::default(), max_bytes, lost: false.into() })
    }

    #[test]
    fn who_takes_over_knows_what_is_under_way_and_what_has_arrived() {
        let folder = tempfile::tempdir().unwrap();
        let shared = beside(4000);
        let open = |name: &str| {
            let shared = Some(shared.clone() as Arc<dyn SharedPlans>);
            // Nothing was fetched yet: where the journal ends is not known.
            let state = JournalState { tail: 0, ..STATE };
            Shipments::open(&folder.path().join(name), &Env::real(), state, shared).unwrap()
        };
        let ours = Mutex::new(open("a"));
        plan(&ours, planned(0, 10)).unwrap();
        let second = plan(&ours, planned(10, 20)).unwrap();
        ours.lock().settle(second, Except::default(), false).unwrap();
        plan(&ours, planned(20, 30)).unwrap();
        let theirs = open("b");
        let keys: Vec<_> = theirs.unsettled().into_iter().map(|planned| planned.key).collect();
        assert_eq!(keys, ["k/0", "k/20"]);
        assert_eq!(settled_positions(&theirs), Ranges::of(10, 20));
        shared.lost.store(true, std::sync::atomic::Ordering::Relaxed);
        plan(&ours, planned(30, 40)).unwrap_err();
        assert_eq!(ours.lock().unsettled().len(), 2, "what others do not know has not left");
    }

    #[test]
    fn what_others_are_told_has_room() {
        let folder = tempfile::tempdir().unwrap();
        let shared = beside(1500);
        let beside = Some(shared.clone() as Arc<dyn SharedPlans>);
        let ours = Shipments::open(&folder.path().join("a"), &Env::real(), STATE, beside).unwrap();
        let ours = Mutex::new(ours);
        // Every other position has arrived: as many runs as there are.
        let mut scattered = Ranges::new();
        (0..2000).for_each(|n| scattered.insert(2 * n + 1, 2 * n + 2));
        let id = plan(&ours, Planned { positions: scattered, ..planned(0, 1) }).unwrap();
        ours.lock().settle(id, Except::default(), false).unwrap();
        for n in 0..20 {
            plan(&ours, planned(10_000 + n, 10_001 + n)).unwrap();
        }
        assert!(shared.saved.lock().len() <= 1500);
        let beside = Some(shared as Arc<dyn SharedPlans>);
        let theirs =
            Shipments::open(&folder.path().join("b"), &Env::real(), STATE, beside).unwrap();
        assert!(!theirs.unsettled().is_empty());
    }
}
