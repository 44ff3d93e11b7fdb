//! The durable side of the ledger: every shipment's key and positions are written here before it
//! leaves, so that after a crash the same shipment is built again under the same key.
//!
//! A text file of lines `CRC-32C (8 hex digits), space, JSON`, appended to and rewritten once it
//! has grown. A torn last line was never relied upon: its shipment had not left.

use std::{
    collections::BTreeMap,
    io::{self, IoSlice},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    batch::Framing,
    encode::Compression,
    env::{Env, File},
    limits,
    record::{Ranges, Route},
};

/// Everything that makes a shipment the same shipment when it is built again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub id: u64,
    pub key: String,
    pub route: Route,
    pub positions: Ranges,
    pub compression: Compression,
    pub content_encoding: bool,
    pub framing: Framing,
    /// For the error output: why each record failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// Why one record goes to the error output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub sequence: u64,
    pub code: String,
    pub message: String,
    pub attempts: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The journal whose positions are meant, in hexadecimal digits: the first line.
    Journal(String),
    Planned(Planned),
    Settled {
        id: u64,
        /// Positions that the shipment did not settle after all.
        #[serde(default, skip_serializing_if = "Ranges::is_empty")]
        except: Ranges,
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
    /// Set when a write or sync has failed: what the file holds is not known, and it is written
    /// anew before anything else is.
    unsound: bool,
    next_id: u64,
    live: BTreeMap<u64, (Planned, bool)>,
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
    pub fn open(path: &Path, env: &Env, journal: JournalState) -> io::Result<Self> {
        let content = match env.files.read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
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
                Line::Settled { id, except } => mark_settled(&mut live, id, &except),
            }
        }
        // What reaches past the end was lost by the journal (weaker durability and a power
        // failure): the positions will be given to other records.
        live.retain(|_, (planned, _)| {
            planned.positions.bounds().is_none_or(|(_, end)| end <= journal.tail)
        });
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
            unsound: false,
            next_id,
            live,
        })
    }

    /// Shipments that left, or were about to, and were not settled.
    pub fn unsettled(&self) -> Vec<Planned> {
        self.live.values().filter(|(_, settled)| !settled).map(|(p, _)| p.clone()).collect()
    }

    /// Positions of shipments that are settled, at or above the cursor.
    pub fn settled_positions(&self) -> Ranges {
        let settled = self.live.values().filter(|(_, settled)| *settled);
        settled.flat_map(|(planned, _)| planned.positions.iter()).collect()
    }

    /// Every unsettled shipment that holds the position.
    pub fn find(&self, sequence: u64) -> Option<&Planned> {
        let mut unsettled = self.live.values().filter(|(_, settled)| !settled);
        unsettled.find(|(planned, _)| planned.positions.contains(sequence)).map(|(p, _)| p)
    }

    /// Writes a shipment down. Durable on Ok; only then may it leave. Blocking.
    pub fn plan(&mut self, mut planned: Planned) -> io::Result<u64> {
        planned.id = self.next_id;
        self.append(&Line::Planned(planned.clone()), true)?;
        self.next_id += 1;
        self.live.insert(planned.id, (planned, false));
        Ok(self.next_id - 1)
    }

    /// Takes note that a shipment arrived. Not synced: should it be lost, the shipment is built
    /// again under its key and overwrites itself. Only what it left out must not be lost. Blocking.
    pub fn settle(&mut self, id: u64, except: Ranges) -> io::Result<()> {
        mark_settled(&mut self.live, id, &except);
        let durably = !except.is_empty();
        self.append(&Line::Settled { id, except }, durably)
    }

    /// Forgets shipments that the durable cursor has passed. Blocking.
    pub fn forget_below(&mut self, cursor: u64) -> io::Result<()> {
        forget(&mut self.live, cursor);
        if self.entries > limits::LEDGER_COMPACT_ENTRIES && self.entries > 4 * self.live.len() {
            self.unsound = true;
            self.mend()?;
        }
        Ok(())
    }

    fn append(&mut self, line: &Line, durably: bool) -> io::Result<()> {
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

/// Forgets what the cursor has passed. A shipment that it has entered arrived whole, even if that
/// note was lost in a crash: what a shipment leaves out is noted durably.
fn forget(live: &mut BTreeMap<u64, (Planned, bool)>, cursor: u64) {
    live.retain(|_, (planned, settled)| {
        let Some((start, end)) = planned.positions.bounds() else { return false };
        *settled |= start < cursor;
        end > cursor
    });
}

fn mark_settled(live: &mut BTreeMap<u64, (Planned, bool)>, id: u64, except: &Ranges) {
    if let Some((planned, settled)) = live.get_mut(&id) {
        *settled = true;
        planned.positions = planned.positions.without(except);
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
            let settled = Line::Settled { id: planned.id, except: Ranges::new() };
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
            compression: Compression::Gzip,
            content_encoding: true,
            framing: Framing::default(),
            reasons: Vec::new(),
        }
    }

    #[test]
    fn what_left_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let env = Env::real();
        let mut shipments = Shipments::open(&path, &env, STATE).unwrap();
        let first = shipments.plan(planned(0, 10)).unwrap();
        let second = shipments.plan(planned(10, 20)).unwrap();
        assert_eq!((first, second), (0, 1));
        shipments.settle(second, Ranges::of(12, 13)).unwrap();
        drop(shipments);

        let shipments = Shipments::open(&path, &env, STATE).unwrap();
        assert_eq!(shipments.unsettled(), vec![planned(0, 10)]);
        let settled: Ranges = [(10, 12), (13, 20)].into_iter().collect();
        assert_eq!(shipments.settled_positions(), settled);
        assert_eq!(shipments.find(3).unwrap().key, "k/0");
        assert_eq!(shipments.find(13), None);
    }

    #[test]
    fn what_the_journal_no_longer_stands_for_never_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let env = Env::real();
        let mut shipments = Shipments::open(&path, &env, STATE).unwrap();
        let id = shipments.plan(planned(0, 50)).unwrap();
        shipments.settle(id, Ranges::new()).unwrap();
        shipments.plan(planned(50, 90)).unwrap();
        drop(shipments);
        // The journal lost its tail; later the same positions are other records.
        let shorter = JournalState { tail: 40, ..STATE };
        assert!(Shipments::open(&path, &env, shorter).unwrap().unsettled().is_empty());
        let shipments = Shipments::open(&path, &env, STATE).unwrap();
        assert_eq!(shipments.settled_positions(), Ranges::new());
        assert_eq!(shipments.unsettled(), vec![]);
        drop(shipments);

        let mut shipments = Shipments::open(&path, &env, STATE).unwrap();
        shipments.plan(planned(0, 50)).unwrap();
        drop(shipments);
        let other = JournalState { id: [8; 16], ..STATE };
        assert_eq!(Shipments::open(&path, &env, other).unwrap().unsettled(), vec![]);
    }

    #[test]
    fn a_torn_line_at_any_byte_loses_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let env = Env::real();
        let mut shipments = Shipments::open(&path, &env, STATE).unwrap();
        shipments.plan(planned(0, 10)).unwrap();
        let whole = std::fs::read(&path).unwrap().len();
        shipments.plan(planned(10, 20)).unwrap();
        drop(shipments);
        let content = std::fs::read(&path).unwrap();
        for cut in whole..content.len() {
            std::fs::write(&path, &content[..cut]).unwrap();
            let mut shipments = Shipments::open(&path, &env, STATE).unwrap();
            assert_eq!(shipments.unsettled(), vec![planned(0, 10)], "cut at {cut}");
            assert_eq!(shipments.plan(planned(10, 20)).unwrap(), 1);
            drop(shipments);
            assert_eq!(Shipments::open(&path, &env, STATE).unwrap().unsettled().len(), 2);
        }
    }

    #[test]
    fn a_shipment_that_the_cursor_has_entered_is_not_sent_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let env = Env::real();
        let mut shipments = Shipments::open(&path, &env, STATE).unwrap();
        shipments.plan(planned(0, 10)).unwrap();
        shipments.plan(planned(10, 20)).unwrap();
        let left_out = shipments.plan(planned(20, 30)).unwrap();
        shipments.settle(left_out, Ranges::of(22, 23)).unwrap();
        shipments.forget_below(22).unwrap();
        assert_eq!(shipments.unsettled(), vec![]);
        assert_eq!(shipments.settled_positions().within(22, 30), Ranges::of(23, 30));
    }

    #[test]
    fn the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let env = Env::real();
        let mut shipments = Shipments::open(&path, &env, STATE).unwrap();
        for round in 0..limits::LEDGER_COMPACT_ENTRIES as u64 {
            let id = shipments.plan(planned(round, round + 1)).unwrap();
            shipments.settle(id, Ranges::new()).unwrap();
            shipments.forget_below(round + 1).unwrap();
        }
        assert!(shipments.entries <= limits::LEDGER_COMPACT_ENTRIES + 1);
        assert!(shipments.live.is_empty());
    }
}
