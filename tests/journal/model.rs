//! Random actions, crashes and failures among them, against a model that knows what was promised:
//! what was acknowledged is there, in order, exactly once and whole, until it is settled; what was
//! not is whole or absent; cursors never go back; nothing that some cursor needs is given back.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use standpipe::{
    buffer::{LocalJournal, Tuning},
    env::sim::{SimFiles, Trouble},
    record::{CallId, Put},
    seams::{AppendError, Entry, Journal},
};

use crate::support::{FOLDER, at, options, read_all, sim_env, small};

const CURSORS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Action {
    /// Puts that wait together, each with record sizes.
    Append(Vec<Vec<u16>>),
    /// The last acknowledged or doubtful put comes again.
    Retry,
    Commit {
        cursor: usize,
        percent: u64,
    },
    Drop(usize),
    Crash,
    Restart,
    Trouble(Trouble),
    /// Trouble that comes while the journal is opened.
    CrashInto(Trouble),
    Disk(Option<u16>),
    Limit(u32),
    Check,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        (0u64..6).prop_map(Trouble::Sync),
        (0u64..6).prop_map(Trouble::Write),
        (0u64..6).prop_map(Trouble::Full),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let sizes = prop::collection::vec(prop_oneof![Just(0u16), 1u16..900], 0..4);
    prop_oneof![
        12 => prop::collection::vec(sizes, 1..6).prop_map(Action::Append),
        2 => Just(Action::Retry),
        5 => (0..CURSORS.len(), 0u64..=100)
            .prop_map(|(cursor, percent)| Action::Commit { cursor, percent }),
        1 => (0..CURSORS.len()).prop_map(Action::Drop),
        3 => Just(Action::Crash),
        2 => Just(Action::Restart),
        2 => trouble().prop_map(Action::Trouble),
        1 => trouble().prop_map(Action::CrashInto),
        1 => prop::option::of(0u16..20_000).prop_map(Action::Disk),
        1 => (2_000u32..100_000).prop_map(Action::Limit),
        2 => Just(Action::Check),
    ]
}

/// What was promised.
#[derive(Default)]
struct Model {
    /// Number of the put → its records.
    puts: BTreeMap<u64, Vec<Vec<u8>>>,
    /// First sequence → number of the put, for what is acknowledged or was read.
    stored: BTreeMap<u64, u64>,
    /// Puts that may or may not be stored.
    doubtful: BTreeSet<u64>,
    /// Cursor → what was acknowledged, and what was asked for at most.
    cursors: BTreeMap<&'static str, (u64, u64)>,
    /// Cursors whose drop was not saved, and how far they may stand: they may come back.
    ghosts: BTreeMap<&'static str, u64>,
    /// Below it space may have been given back.
    released: u64,
    last: Option<u64>,
}

impl Model {
    fn put(&mut self, sizes: &[u16]) -> (u64, Put) {
        let number = self.puts.len() as u64;
        let mut records = vec![number.to_le_bytes().to_vec()];
        records.extend(sizes.iter().map(|&size| vec![number as u8; size.into()]));
        self.puts.insert(number, records);
        (number, self.again(number))
    }

    fn again(&self, number: u64) -> Put {
        let mut digest = [0; 16];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        let call = Some(CallId { digest, body_checksum: 1 });
        let mut put = Put { arrival_ms: number as i64, call, ..Put::default() };
        self.puts[&number].iter().for_each(|record| put.push(record));
        put
    }

    fn note_released(&mut self) {
        let lowest = self.cursors.values().map(|(_, asked)| *asked).min();
        // Without other cursors a ghost alone decides what is kept.
        let lowest = lowest.or_else(|| self.ghosts.values().max().copied());
        self.released = self.released.max(lowest.unwrap_or(0));
    }

    /// Checks all that can be read from `released` on; what was read is promised from now on.
    async fn check(&mut self, journal: &LocalJournal, promise: bool) {
        let tail = journal.tail().borrow().sequence;
        let mut expected: BTreeMap<u64, u64> =
            self.stored.range(self.released..).map(|(&first, &number)| (first, number)).collect();
        let mut seen = BTreeSet::new();
        // A frame that spans the mark is read as a whole from its start.
        let spanning = self.stored.range(..self.released).next_back();
        let from = match spanning {
            Some((&first, number)) if first + self.len(*number) > self.released => {
                expected.insert(first, *number);
                first
            }
            _ => self.released,
        };
        for entry in read_all(journal, from.min(tail)).await {
            let first = entry.first().sequence;
            let Entry::Frame(frame) = entry else {
                let end = entry.end().sequence;
                let hit = expected.range(..end).next_back();
                let hit = hit.filter(|(start, number)| *start + self.len(**number) > first);
                assert_eq!(hit, None, "acknowledged positions {first}..{end} are lost");
                continue;
            };
            let records: Vec<_> = frame.iter().map(|(_, data)| data.to_vec()).collect();
            let number = u64::from_le_bytes(records[0][..].try_into().unwrap());
            assert_eq!(self.puts.get(&number), Some(&records), "a put is stored whole");
            assert_eq!(frame.arrival_ms, number as i64);
            assert!(seen.insert(number), "put {number} is stored twice");
            match expected.remove(&first) {
                Some(promised) => assert_eq!(promised, number),
                None => {
                    assert!(self.doubtful.contains(&number), "put {number} was refused");
                    if promise {
                        self.doubtful.remove(&number);
                        self.stored.insert(first, number);
                    }
                }
            }
        }
        assert!(expected.is_empty(), "acknowledged puts are missing: {expected:?}, tail {tail}");
    }

    fn len(&self, number: u64) -> u64 {
        self.puts[&number].len() as u64
    }

    /// The cursors after an opening stand between what was acknowledged and what was asked for.
    async fn check_cursors(&mut self, journal: &LocalJournal) {
        for (name, (acknowledged, asked)) in self.cursors.clone() {
            let Ok(position) = journal.open_cursor(name, false).await else { continue };
            let position = position.sequence;
            assert!(position >= acknowledged && position <= asked, "cursor {name} at {position}");
        }
    }

    fn answered(&mut self, number: u64, answer: Result<standpipe::seams::Appended, AppendError>) {
        match answer {
            Ok(answer) => {
                let first = answer.first.sequence;
                if answer.repeated {
                    let known = self.stored.get(&first);
                    assert!(known == Some(&number) || self.doubtful.contains(&number));
                }
                let moved = self.stored.iter().find(|(_, known)| **known == number);
                if let Some((&before, _)) = moved
                    && before != first
                {
                    assert!(before + self.len(number) <= self.released, "stored once");
                    self.stored.remove(&before);
                }
                self.doubtful.remove(&number);
                self.stored.insert(first, number);
                self.last = Some(number);
            }
            Err(AppendError::Full { .. }) => {}
            Err(AppendError::Failed(_)) => {
                let known = self.stored.values().any(|known| *known == number);
                if !known {
                    self.doubtful.insert(number);
                    self.last = Some(number);
                }
            }
            Err(AppendError::Closed) => panic!("nobody closed it"),
        }
    }
}

struct Run {
    files: SimFiles,
    journal: Option<LocalJournal>,
    model: Model,
    max_bytes: u64,
}

impl Run {
    fn open(&self) -> Option<LocalJournal> {
        let tuning = Tuning { group_commit_bytes: 3000, ..small() };
        let folder = std::path::Path::new(FOLDER);
        let env = sim_env(&self.files);
        LocalJournal::open_tuned(folder, &options(self.max_bytes), &env, None, tuning).ok()
    }

    async fn reopen(&mut self, into: Option<Trouble>) {
        self.journal = None;
        self.files.calm();
        if let Some(trouble) = into {
            self.files.trouble(trouble);
            if let Some(journal) = self.open() {
                self.model.check(&journal, false).await;
            }
            self.files.calm();
        }
        let full = self.open();
        let journal = match full {
            Some(journal) => journal,
            None => {
                // A journal cannot begin on a full disk; one that exists opens.
                self.files.set_budget(None);
                self.open().expect("opens without trouble")
            }
        };
        self.model.check(&journal, true).await;
        self.model.check_cursors(&journal).await;
        self.model.note_released();
        self.journal = Some(journal);
    }

    async fn act(&mut self, action: Action) {
        let journal = self.journal.as_ref().expect("open between actions");
        let model = &mut self.model;
        match action {
            Action::Append(puts) => {
                let puts: Vec<_> = puts.iter().map(|sizes| model.put(sizes)).collect();
                let appends = puts
                    .into_iter()
                    .map(|(number, put)| async move { (number, journal.append(put).await) });
                for (number, answer) in futures::future::join_all(appends).await {
                    model.answered(number, answer);
                }
            }
            Action::Retry => {
                if let Some(number) = model.last {
                    let answer = journal.append(model.again(number)).await;
                    model.answered(number, answer);
                }
            }
            Action::Commit { cursor, percent } => {
                let name = CURSORS[cursor];
                let tail = journal.tail().borrow().sequence;
                let before = tail * percent / 100;
                if !model.cursors.contains_key(name)
                    && let Ok(position) = journal.open_cursor(name, false).await
                {
                    let new = model.ghosts.remove(name).is_none();
                    assert!(!new || position.sequence <= model.released, "at the oldest kept");
                    model.cursors.insert(name, (position.sequence, position.sequence));
                }
                let Some(known) = model.cursors.get_mut(name) else { return };
                known.1 = known.1.max(before);
                if journal.commit(name, at(before)).await.is_ok() {
                    known.0 = known.0.max(before);
                }
                model.note_released();
            }
            Action::Drop(cursor) => {
                // A drop that was not saved takes effect later, or not at all.
                if let Some((_, asked)) = model.cursors.remove(CURSORS[cursor]) {
                    if journal.drop_cursor(CURSORS[cursor]).await.is_err() {
                        model.ghosts.insert(CURSORS[cursor], asked);
                    }
                    model.note_released();
                }
            }
            Action::Crash => {
                self.files.crash();
                self.reopen(None).await;
            }
            Action::Restart => self.reopen(None).await,
            Action::CrashInto(trouble) => {
                self.files.crash();
                self.reopen(Some(trouble)).await;
            }
            Action::Trouble(trouble) => self.files.trouble(trouble),
            Action::Disk(bytes) => self.files.set_budget(bytes.map(u64::from)),
            Action::Limit(bytes) => {
                self.max_bytes = bytes.into();
                journal.set_max_bytes(self.max_bytes);
            }
            Action::Check => model.check(journal, true).await,
        }
    }
}

proptest! {
    // A failing case is printed whole; seeds in a file would not survive a change of the actions.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_journal_keeps_its_promises(
        seed in any::<u64>(),
        actions in prop::collection::vec(action(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut run = Run {
                files: SimFiles::new(seed),
                journal: None,
                model: Model::default(),
                max_bytes: 1 << 30,
            };
            run.reopen(None).await;
            for action in actions {
                run.act(action).await;
            }
            run.files.crash();
            run.reopen(None).await;
        });
    }
}
