//! Retried calls across restarts and crashes.

use std::path::Path;

use standpipe::{
    buffer::{LocalJournal, Tuning},
    env::sim::{SimFiles, Trouble},
    record::Put,
    seams::{AppendError, Appended, Journal},
};

use crate::support::{FOLDER, at, call, open_sim, options, put, sim_env, small};

fn with_call(n: u8) -> Put {
    Put { call: Some(call(n)), ..put(&[&[n; 300], b"tail"]) }
}

#[tokio::test]
async fn a_retry_after_a_crash_gets_the_first_answer() {
    for seed in 0..20 {
        let files = SimFiles::new(seed);
        let journal = open_sim(&files);
        for n in 0..60 {
            journal.append(with_call(n)).await.unwrap();
        }
        assert!(crate::support::segments(&files).len() > 3);
        files.crash();
        drop(journal);
        let journal = open_sim(&files);
        for n in 0..60 {
            let again = journal.append(with_call(n)).await.unwrap();
            assert_eq!(
                again,
                Appended { first: at(u64::from(n) * 2), records: 2, repeated: true, places: None }
            );
        }
        assert_eq!(*journal.tail().borrow(), at(120));
    }
}

#[tokio::test]
async fn the_window_is_bounded_and_read_from_the_tail_only() {
    let files = SimFiles::new(1);
    let journal = open_sim(&files);
    for n in 0..60 {
        journal.append(with_call(n)).await.unwrap();
    }
    drop(journal);
    let tuning = Tuning { calls_tail_bytes: 5000, ..small() };
    let env = sim_env(&files);
    let journal =
        LocalJournal::open_tuned(Path::new(FOLDER), &options(1 << 30), &env, None, tuning).unwrap();
    assert!(journal.append(with_call(59)).await.unwrap().repeated);
    assert!(!journal.append(with_call(0)).await.unwrap().repeated, "too long ago");
}

/// A call that was stored, delivered and never answered: its next attempt may come after the
/// second restart.
#[tokio::test]
async fn a_delivered_call_is_known_after_restarts() {
    let files = SimFiles::new(1);
    let tuning = Tuning { keep_delivered_bytes: 1 << 20, ..small() };
    let open = |files: &SimFiles| {
        let folder = Path::new(FOLDER);
        LocalJournal::open_tuned(folder, &options(1 << 30), &sim_env(files), None, tuning).unwrap()
    };
    for life in 0..3 {
        let journal = open(&files);
        journal.open_cursor("d", false).await.unwrap();
        for n in life * 20..(life + 1) * 20 {
            let answer = journal.append(with_call(n)).await.unwrap();
            journal.commit("d", answer.first.plus(2)).await.unwrap();
        }
        assert_eq!(journal.stats().used_bytes, 0, "all of it is delivered");
    }
    let journal = open(&files);
    assert!(journal.append(with_call(0)).await.unwrap().repeated);
}

#[tokio::test]
async fn a_refused_call_may_be_tried_again() {
    let files = SimFiles::new(1);
    let journal = open_sim(&files);
    journal.set_max_bytes(10);
    journal.append(with_call(1)).await.unwrap_err();
    journal.set_max_bytes(1 << 20);
    let answer = journal.append(with_call(1)).await.unwrap();
    assert_eq!(answer, Appended { first: at(0), records: 2, repeated: false, places: None });
    journal.set_max_bytes(10);
    assert!(journal.append(with_call(1)).await.unwrap().repeated, "a full journal still knows it");
}

#[tokio::test]
async fn a_write_that_was_taken_back_is_forgotten() {
    let files = SimFiles::new(1);
    let journal = open_sim(&files);
    journal.append(with_call(1)).await.unwrap();
    files.trouble(Trouble::Full(0));
    journal.append(with_call(2)).await.unwrap_err();
    let answer = journal.append(with_call(2)).await.unwrap();
    assert_eq!(answer, Appended { first: at(2), records: 2, repeated: false, places: None });
}

#[tokio::test]
async fn a_retry_is_not_answered_before_the_first_is_durable() {
    for _ in 0..20 {
        let files = SimFiles::new(1);
        let journal = open_sim(&files);
        journal.append(with_call(1)).await.unwrap();
        files.trouble(Trouble::Sync(0));
        let attempts = (0..20).map(|_| journal.append(with_call(2)));
        for answer in futures::future::join_all(attempts).await {
            assert!(matches!(answer, Err(AppendError::Failed(_))), "{answer:?}");
        }
    }
}
