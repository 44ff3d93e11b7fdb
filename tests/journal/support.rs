//! What the journal's tests have in common.

use std::{path::Path, sync::Arc};

use standpipe::{
    buffer::{Keyring, LocalJournal, Options, Tuning},
    env::{Env, ManualClock, sim::SimFiles},
    record::{CallId, Frame, Position, Provenance, Put, Step},
    seams::{Entry, Journal},
    units::ByteSize,
};

pub const FOLDER: &str = "/j/stream";
pub const EVERYTHING: usize = usize::MAX;

pub fn at(sequence: u64) -> Position {
    Position::new(0, sequence)
}

pub fn put(records: &[&[u8]]) -> Put {
    let mut put = Put { arrival_ms: 1_700_000_000_000, ..Put::default() };
    for record in records {
        put.push(record);
    }
    put
}

pub fn call(n: u8) -> CallId {
    CallId { digest: [n; 16], body_checksum: u32::from(n) * 3 }
}

pub fn options(max_bytes: u64) -> Options {
    Options { max_size: ByteSize(max_bytes), ..Options::default() }
}

/// Segments of 4 KiB, so that a few puts fill several.
pub fn small() -> Tuning {
    Tuning {
        segment_bytes: 4096,
        disk_reserve_bytes: 8192,
        keep_delivered_bytes: 0,
        ..Tuning::default()
    }
}

pub fn sim_env(files: &SimFiles) -> Env {
    Env { clock: Arc::new(ManualClock::at(1)), files: Arc::new(files.clone()) }
}

pub fn open_sim(files: &SimFiles) -> LocalJournal {
    open_at(&sim_env(files), Path::new(FOLDER), None)
}

pub fn open_at(env: &Env, folder: &Path, keys: Option<Arc<Keyring>>) -> LocalJournal {
    LocalJournal::open_tuned(folder, &options(1 << 30), env, keys, small()).unwrap()
}

/// Everything from `from` to the tail; checks that the entries chain.
pub async fn read_all(journal: &dyn Journal, from: u64) -> Vec<Entry> {
    let tail = *journal.tail().borrow();
    let mut next = at(from);
    let mut entries = Vec::new();
    while next < tail {
        let read = journal.read(next, tail, 700).await.unwrap();
        assert!(!read.is_empty(), "nothing between {next} and {tail}");
        for entry in read {
            assert_eq!(entry.first(), next, "entries must chain");
            assert!(entry.end() > next, "an empty entry at {next}");
            next = entry.end();
            entries.push(entry);
        }
    }
    assert_eq!(next, tail.max(at(from)));
    entries
}

/// All records with their sequences.
pub async fn records(journal: &dyn Journal, from: u64) -> Vec<(u64, Vec<u8>)> {
    let entries = read_all(journal, from).await;
    let frames = entries.iter().filter_map(frame);
    frames.flat_map(|frame| frame.iter().map(|(s, data)| (s, data.to_vec()))).collect()
}

pub fn frame(entry: &Entry) -> Option<&Frame> {
    match entry {
        Entry::Frame(frame) => Some(frame),
        Entry::Damaged { .. } => None,
    }
}

/// The damaged stretches among the entries.
pub fn damaged(entries: &[Entry]) -> Vec<(u64, u64)> {
    let stretches = entries.iter().filter(|entry| frame(entry).is_none());
    stretches.map(|entry| (entry.first().sequence, entry.end().sequence)).collect()
}

/// The segment files of the simulated journal.
pub fn segments(files: &SimFiles) -> Vec<String> {
    use standpipe::env::Files;
    let names = files.list(Path::new(FOLDER)).unwrap();
    names.into_iter().filter(|name| name.ends_with(".seg")).collect()
}

/// A put of one record of a source that stands at these places afterwards.
pub fn pulled(record: &[u8], steps: &[(&str, Option<&str>)]) -> Put {
    let step = |&(key, position): &(&str, Option<&str>)| match position {
        Some(position) => Step::to(key, position),
        None => Step::done(key),
    };
    let provenance =
        Provenance { steps: steps.iter().map(step).collect(), ..Provenance::default() };
    Put { provenance: Some(Box::new(provenance)), ..put(&[record]) }
}
