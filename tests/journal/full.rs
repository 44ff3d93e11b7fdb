//! A full disk, and the failures that stick.

use std::{io::IoSlice, path::Path};

use standpipe::{
    buffer::{Durability, LocalJournal, OpenError, Options, Tuning},
    env::{
        Env, Files,
        sim::{SimFiles, Trouble},
    },
    seams::{AppendError, Journal, JournalError},
};

use crate::support::{
    FOLDER, at, open_sim, options, put, read_all, records, segments, sim_env, small,
};

#[tokio::test]
async fn a_full_disk_refuses_loses_nothing_and_recovers_by_itself() {
    let files = SimFiles::new(1);
    let journal = open_sim(&files);
    journal.open_cursor("a", false).await.unwrap();
    // Room for three segments beside what is left alone.
    files.set_budget(Some(8192 + 3 * 4096 + 500));
    let mut stored = 0;
    let error = loop {
        match journal.append(put(&[&[7; 500]])).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Full { .. }), "{error}");
    assert!(stored >= 14, "{stored} puts in three segments");
    assert_eq!(records(&journal, 0).await.len(), stored);
    assert_eq!(journal.stats().failed, None);
    files.set_budget(None);
    assert_eq!(journal.append(put(&[b"again"])).await.unwrap().first, at(stored as u64));
    files.set_budget(Some(0));
    let error = loop {
        if let Err(error) = journal.append(put(&[&[7; 500]])).await {
            break error;
        }
    };
    assert!(matches!(error, AppendError::Full { .. }), "{error}");
    let tail = *journal.tail().borrow();
    files.set_budget(None);
    journal.commit("a", tail).await.unwrap();
    assert_eq!(journal.append(put(&[b"again"])).await.unwrap().first, tail);
}

#[tokio::test]
async fn a_write_that_meets_a_full_disk_is_taken_back() {
    // As on a filesystem that reserves nothing: the reservation is gone after a restart, and the
    // disk fills up before it is made again.
    for seed in 0..30 {
        let files = SimFiles::new(seed);
        let journal = open_sim(&files);
        journal.append(put(&[b"a"])).await.unwrap();
        files.trouble(Trouble::Full(0));
        let error = journal.append(put(&[&[9; 2000]])).await.unwrap_err();
        assert!(matches!(error, AppendError::Full { .. }), "{error}");
        assert_eq!(journal.append(put(&[b"b"])).await.unwrap().first, at(1));
        files.crash();
        drop(journal);
        let journal = open_sim(&files);
        let expected = [(0, b"a".to_vec()), (1, b"b".to_vec())];
        assert_eq!(records(&journal, 0).await, expected);
        assert_eq!(journal.stats().damaged, 0);
    }
}

#[tokio::test]
async fn the_first_failure_sticks_and_reading_goes_on() {
    for trouble in [Trouble::Write(1), Trouble::Sync(1)] {
        let files = SimFiles::new(3);
        let journal = open_sim(&files);
        journal.open_cursor("a", false).await.unwrap();
        journal.append(put(&[b"a"])).await.unwrap();
        files.trouble(trouble);
        journal.append(put(&[b"b"])).await.unwrap();
        let first = journal.append(put(&[b"c"])).await.unwrap_err();
        let AppendError::Failed(cause) = &first else { panic!("{first}") };
        assert_eq!(journal.append(put(&[b"d"])).await, Err(first.clone()));
        assert_eq!(journal.stats().failed.as_ref(), Some(cause));
        let expected = [(0, b"a".to_vec()), (1, b"b".to_vec())];
        assert_eq!(records(&journal, 0).await, expected);
        journal.commit("a", at(1)).await.unwrap();
        drop(journal);
        let journal = open_sim(&files);
        assert_eq!(read_all(&journal, 0).await[..2].len(), 2);
        journal.append(put(&[b"e"])).await.unwrap();
    }
}

#[tokio::test]
async fn a_journal_is_opened_once() {
    let folder = tempfile::tempdir().unwrap();
    let open = || LocalJournal::open(folder.path(), &Options::default(), &Env::real(), None);
    let journal = open().unwrap();
    assert!(matches!(open(), Err(OpenError::Locked(_))));
    let id = journal.id();
    drop(journal);
    assert_eq!(open().unwrap().id(), id);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_trace() {
    async fn run(seed: u64) -> Vec<String> {
        let files = SimFiles::new(seed);
        for round in 0..6u8 {
            let journal = open_sim(&files);
            journal.open_cursor("a", false).await.unwrap();
            for n in 0..20u8 {
                let size = usize::from(n) * 37 + usize::from(round);
                journal.append(put(&[&vec![n; size]])).await.unwrap();
            }
            let tail = *journal.tail().borrow();
            journal.commit("a", at(tail.sequence / 2)).await.unwrap();
            files.trouble(Trouble::Sync(2));
            for _ in 0..4 {
                let _ = journal.append(put(&[&[1; 900]])).await;
            }
            files.calm();
            files.crash();
        }
        files.trace()
    }
    assert_eq!(run(5).await, run(5).await);
}

#[tokio::test]
async fn os_durability_syncs_only_at_the_end_of_a_segment() {
    let files = SimFiles::new(1);
    let options = Options { durability: Durability::Os, ..options(1 << 30) };
    let open =
        || LocalJournal::open_tuned(Path::new(FOLDER), &options, &sim_env(&files), None, small());
    let journal = open().unwrap();
    for n in 0..60u8 {
        journal.append(put(&[&[n; 300]])).await.unwrap();
    }
    let syncs = journal.stats().syncs;
    assert!(syncs < 20, "{syncs} syncs for 60 puts");
    drop(journal);
    assert_eq!(records(&open().unwrap(), 0).await.len(), 60, "a crash of the daemon");
}

#[tokio::test]
async fn a_segment_whose_name_was_not_synced_gets_it_at_the_next_opening() {
    for seed in 0..40 {
        let files = SimFiles::new(seed);
        let journal = open_sim(&files);
        // The first sync of a new segment is that of its header, the second that of its name.
        files.trouble(Trouble::Sync(1));
        journal.append(put(&[b"lost"])).await.unwrap_err();
        drop(journal);
        let journal = open_sim(&files);
        journal.append(put(&[b"kept"])).await.unwrap();
        files.crash();
        drop(journal);
        assert_eq!(records(&open_sim(&files), 0).await, [(0, b"kept".to_vec())]);
    }
}

#[tokio::test]
async fn space_is_kept_for_a_cursor_whose_drop_was_not_saved() {
    let files = SimFiles::new(1);
    let journal = open_sim(&files);
    journal.open_cursor("slow", false).await.unwrap();
    journal.open_cursor("fast", false).await.unwrap();
    for n in 0..20u8 {
        journal.append(put(&[&[n; 900]])).await.unwrap();
    }
    journal.commit("fast", at(20)).await.unwrap();
    files.trouble(Trouble::Sync(0));
    journal.drop_cursor("slow").await.unwrap_err();
    // A rotation gives back what it may.
    for n in 20..30u8 {
        journal.append(put(&[&[n; 900]])).await.unwrap();
    }
    files.crash();
    drop(journal);
    let journal = open_sim(&files);
    assert_eq!(journal.open_cursor("slow", false).await, Ok(at(0)));
    assert_eq!(records(&journal, 0).await.len(), 30);
}

/// A disk that has room for one segment only.
#[tokio::test]
async fn a_delivered_segment_makes_room_for_the_next_on_a_small_disk() {
    for restart in [false, true] {
        let files = SimFiles::new(1);
        files.set_budget(Some(8192 + 4096 + 1000));
        let mut journal = open_sim(&files);
        journal.open_cursor("a", false).await.unwrap();
        for round in 0..5 {
            let error = loop {
                if let Err(error) = journal.append(put(&[&[7; 500]])).await {
                    break error;
                }
            };
            assert!(matches!(error, AppendError::Full { .. }), "{error}");
            let tail = *journal.tail().borrow();
            journal.commit("a", tail).await.unwrap();
            if restart {
                drop(journal);
                journal = open_sim(&files);
            }
            let answer = journal.append(put(&[b"x"])).await;
            assert_eq!(answer.map(|answer| answer.first), Ok(tail), "round {round}");
            assert_eq!(segments(&files).len(), 1);
            assert_eq!(records(&journal, tail.sequence).await, [(tail.sequence, b"x".to_vec())]);
        }
        assert_eq!(journal.stats().damaged, 0);
    }
}

/// Space is taken as it is needed, and a disk that is full at a later step is no end of it.
#[tokio::test]
async fn space_is_reserved_in_steps_and_a_later_step_may_wait() {
    let files = SimFiles::new(1);
    let tuning = Tuning { segment_bytes: 65_536, reserve_first_bytes: 1024, ..small() };
    let folder = Path::new(FOLDER);
    let open = || {
        LocalJournal::open_tuned(folder, &options(1 << 30), &sim_env(&files), None, tuning).unwrap()
    };
    const BUDGET: u64 = 1 << 20;
    files.set_budget(Some(BUDGET));
    let taken = || BUDGET - files.free_bytes(folder).unwrap();
    let journal = open();
    journal.open_cursor("a", false).await.unwrap();
    journal.append(put(&[b"first"])).await.unwrap();
    assert!(taken() < 2048, "{} bytes are taken for one record", taken());
    // Room for a few more, but not for a step of 16 KiB ahead.
    files.set_budget(Some(8192 + 9000));
    let mut stored = 1;
    let error = loop {
        let puts: Vec<_> = (0..3).map(|_| journal.append(put(&[&[7; 500]]))).collect();
        let answers = futures::future::join_all(puts).await;
        stored += answers.iter().filter(|answer| answer.is_ok()).count();
        if let Some(error) = answers.into_iter().find_map(Result::err) {
            break error;
        }
    };
    assert!(matches!(error, AppendError::Full { .. }), "{error}");
    assert!(stored > 12, "{stored} puts in 9,000 bytes");
    assert_eq!(journal.stats().failed, None);
    assert_eq!(records(&journal, 0).await.len(), stored);
    files.set_budget(None);
    assert_eq!(journal.append(put(&[b"again"])).await.unwrap().first, at(stored as u64));
    assert_eq!(segments(&files).len(), 1, "the same segment goes on");
    files.crash();
    drop(journal);
    let journal = open();
    assert_eq!(records(&journal, 0).await.len(), stored + 1);
    assert_eq!(journal.stats().damaged, 0);
    // Delivered but full: what it holds is given back for the next.
    journal.append(put(&[&[1; 900]])).await.unwrap();
    journal.append(put(&[&[1; 900]])).await.unwrap();
    let tail = *journal.tail().borrow();
    journal.commit("a", tail).await.unwrap();
    files.set_budget(Some(8192 + 5000));
    while journal.append(put(&[&[7; 500]])).await.is_ok() {
        let tail = *journal.tail().borrow();
        journal.commit("a", tail).await.unwrap();
        if tail > at(stored as u64 + 100) {
            return;
        }
    }
    panic!("all is delivered, and yet there is no room");
}

#[tokio::test]
async fn what_a_failed_creation_left_is_swept_up() {
    let next = Path::new(FOLDER).join("0000000000000000.seg");
    for torn in [0, 10, 64] {
        let files = SimFiles::new(1);
        let journal = open_sim(&files);
        let left = files.create_new(&next).unwrap();
        left.write_all_at(&[IoSlice::new(&vec![0; torn])], 0).unwrap();
        assert_eq!(journal.append(put(&[b"a"])).await.unwrap().first, at(0), "{torn} bytes");
        assert_eq!(records(&journal, 0).await, [(0, b"a".to_vec())]);
    }
    // What holds more is somebody's, and stays.
    let files = SimFiles::new(1);
    let journal = open_sim(&files);
    let foreign = files.create_new(&next).unwrap();
    foreign.write_all_at(&[IoSlice::new(&[1; 65])], 0).unwrap();
    let error = journal.append(put(&[b"a"])).await.unwrap_err();
    assert!(matches!(error, AppendError::Failed(_)), "{error}");
    assert_eq!(files.read(&next).unwrap(), [1; 65]);
    files.remove(&next).unwrap();
    assert_eq!(journal.append(put(&[b"a"])).await.unwrap().first, at(0));
}

#[tokio::test]
async fn a_panic_of_the_writer_is_a_failure_that_sticks() {
    let files = SimFiles::new(1);
    let journal = open_sim(&files);
    journal.append(put(&[b"a"])).await.unwrap();
    files.trouble(Trouble::Panic(0));
    let error = journal.append(put(&[b"b"])).await.unwrap_err();
    assert!(matches!(error, AppendError::Failed(_)), "{error}");
    let cause = journal.stats().failed.expect("it is seen from outside");
    assert!(cause.contains("panicked"), "{cause}");
    for _ in 0..3 {
        let again = journal.append(put(&[b"c"])).await;
        assert_eq!(again, Err(AppendError::Failed(cause.clone())), "not: closed");
    }
    assert_eq!(records(&journal, 0).await, [(0, b"a".to_vec())]);
}

#[tokio::test]
async fn a_closed_journal_lets_go_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let open = || LocalJournal::open(folder.path(), &Options::default(), &Env::real(), None);
    let old = open().unwrap();
    old.open_cursor("a", true).await.unwrap();
    old.append(put(&[b"a"])).await.unwrap();
    assert!(matches!(open(), Err(OpenError::Locked(_))));
    old.close().await;
    let new = open().unwrap();
    assert_eq!(new.append(put(&[b"b"])).await.unwrap().first, at(1));
    assert_eq!(records(&old, 0).await, [(0, b"a".to_vec())], "reads still work");
    new.commit("a", at(1)).await.unwrap();
    // The old one must not write what is no longer its own.
    let late = old.commit("a", at(1)).await;
    assert!(matches!(late, Err(JournalError::Io { .. })), "{late:?}");
    assert_eq!(records(&new, 1).await, [(1, b"b".to_vec())]);
    old.close().await;
    assert!(matches!(open(), Err(OpenError::Locked(_))), "closing twice takes nothing away");
}
