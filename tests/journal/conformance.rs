//! The contract of `seams::Journal`, run by every implementation.

use std::{path::Path, sync::Arc};

use standpipe::{
    buffer::{Durability, LocalJournal, MemoryJournal, Options},
    env::{Env, sim::SimFiles},
    seams::{AppendError, Appended, Entry, Journal, JournalError},
};

use crate::support::{EVERYTHING, at, call, options, put, records, sim_env, small};

/// Runs every case on a fresh journal.
async fn suite(make: impl Fn(&Options) -> Arc<dyn Journal>) {
    let roomy = options(1 << 30);
    appends_in_order(make(&roomy)).await;
    reads_are_cut(make(&roomy)).await;
    odd_puts(make(&roomy)).await;
    empty_records_have_their_price(make(&roomy)).await;
    cursors(make(&roomy)).await;
    retried_calls(make(&roomy)).await;
    many_writers(make(&roomy)).await;
    callers_that_go_away(make(&roomy)).await;
    closing(make(&roomy)).await;
    full_and_free_again(make(&options(20_000))).await;
}

async fn appends_in_order(journal: Arc<dyn Journal>) {
    let mut tail = journal.tail();
    assert_eq!(*tail.borrow_and_update(), at(0));
    let first = journal.append(put(&[b"a", b"", b"ccc"])).await.unwrap();
    assert_eq!(first, Appended { first: at(0), records: 3, repeated: false, places: None });
    assert!(tail.has_changed().unwrap(), "an append moves the tail");
    assert_eq!(*tail.borrow_and_update(), at(3));
    assert_eq!(journal.append(put(&[b"d"])).await.unwrap().first, at(3));
    let expected: Vec<(u64, Vec<u8>)> =
        vec![(0, b"a".into()), (1, b"".into()), (2, b"ccc".into()), (3, b"d".into())];
    assert_eq!(records(&*journal, 0).await, expected);
    let Entry::Frame(frame) = &journal.read(at(0), at(9), 1).await.unwrap()[0] else {
        panic!("a frame")
    };
    assert_eq!(frame.arrival_ms, 1_700_000_000_000);
    assert!(journal.stats().used_bytes > 0);
}

async fn reads_are_cut(journal: Arc<dyn Journal>) {
    for n in 0..10u8 {
        journal.append(put(&[&[n; 100], &[n + 100; 100]])).await.unwrap();
    }
    let read = |from, before, bytes| {
        let journal = Arc::clone(&journal);
        async move { journal.read(at(from), at(before), bytes).await.unwrap() }
    };
    let bounds = |entries: &[Entry]| {
        entries.iter().map(|e| (e.first().sequence, e.end().sequence)).collect::<Vec<_>>()
    };
    assert_eq!(bounds(&read(3, 8, EVERYTHING).await), [(3, 4), (4, 6), (6, 8)]);
    assert_eq!(bounds(&read(3, 7, EVERYTHING).await), [(3, 4), (4, 6), (6, 7)]);
    assert_eq!(bounds(&read(5, 6, EVERYTHING).await), [(5, 6)]);
    assert_eq!(bounds(&read(0, 20, 0).await), [(0, 2)], "at least one");
    assert_eq!(bounds(&read(0, 20, 300).await), [(0, 2), (2, 4)], "the last exceeds");
    assert_eq!(read(4, 4, EVERYTHING).await, []);
    assert_eq!(read(20, 30, EVERYTHING).await, []);
    assert_eq!(read(25, 30, EVERYTHING).await, [], "beyond the tail there is nothing");
    assert_eq!(read(18, u64::MAX, EVERYTHING).await.len(), 1, "no further than the tail");
}

async fn odd_puts(journal: Arc<dyn Journal>) {
    let empty = journal.append(put(&[])).await.unwrap();
    assert_eq!(empty, Appended { first: at(0), records: 0, repeated: false, places: None });
    journal.append(put(&[b""])).await.unwrap();
    let mut wrong = put(&[b"abc"]);
    wrong.lengths[0] = 4;
    assert!(matches!(journal.append(wrong).await, Err(AppendError::Failed(_))));
    let large = put(&[&vec![0; standpipe::limits::FRAME_BYTES_MAX]]);
    assert!(matches!(journal.append(large).await, Err(AppendError::Failed(_))));
    assert_eq!(journal.append(put(&[b"x"])).await.unwrap().first, at(1), "it does not stick");
    let expected: Vec<(u64, Vec<u8>)> = vec![(0, b"".into()), (1, b"x".into())];
    assert_eq!(records(&*journal, 0).await, expected);
}

/// Records without a byte must not fill the memory of whoever reads with a bound.
async fn empty_records_have_their_price(journal: Arc<dyn Journal>) {
    for _ in 0..100 {
        journal.append(put(&[&b""[..]; 500])).await.unwrap();
    }
    // A frame has a header of 72 bytes and four for each record.
    let read = journal.read(at(0), at(u64::MAX), 10 * (72 + 500 * 4)).await.unwrap();
    assert_eq!(read.len(), 10);
}

async fn cursors(journal: Arc<dyn Journal>) {
    for n in 0..40u8 {
        journal.append(put(&[&[n; 400]])).await.unwrap();
    }
    assert_eq!(journal.open_cursor("a", false).await, Ok(at(0)));
    assert_eq!(journal.open_cursor("b", true).await, Ok(at(40)));
    assert_eq!(journal.open_cursor("b", false).await, Ok(at(40)), "idempotent");
    journal.commit("a", at(30)).await.unwrap();
    journal.commit("a", at(20)).await.unwrap();
    assert_eq!(journal.open_cursor("a", false).await, Ok(at(30)), "monotonic");
    let used = journal.stats().used_bytes;
    assert!(used < 40 * 400, "delivered space is given back: {used}");
    let kept = records(&*journal, 30).await;
    assert_eq!(kept.len(), 10, "what is not settled is kept");
    let late = journal.open_cursor("late", false).await.unwrap();
    assert!(late > at(0) && late <= at(30), "{late} is the oldest kept");
    assert!(journal.read(late, at(40), 1).await.unwrap()[0].end() > late);
    journal.drop_cursor("late").await.unwrap();
    let unknown = Err(JournalError::UnknownCursor("late".to_owned()));
    assert_eq!(journal.drop_cursor("late").await, unknown);
    assert_eq!(journal.commit("late", at(1)).await, unknown);
    journal.commit("a", at(40)).await.unwrap();
    assert_eq!(journal.stats().used_bytes, 0);
}

fn put_with_call(records: &[&[u8]], n: u8) -> standpipe::record::Put {
    standpipe::record::Put { call: Some(call(n)), ..put(records) }
}

async fn retried_calls(journal: Arc<dyn Journal>) {
    let mut one = put(&[b"one"]);
    one.call = Some(call(1));
    assert!(!journal.append(one.clone()).await.unwrap().repeated);
    journal.append(put(&[b"other"])).await.unwrap();
    let again = journal.append(one.clone()).await.unwrap();
    assert_eq!(again, Appended { first: at(0), records: 1, repeated: true, places: None });
    one.call = Some(standpipe::record::CallId { body_checksum: 99, ..call(1) });
    let other = journal.append(one).await.unwrap();
    assert_eq!(
        other,
        Appended { first: at(2), records: 1, repeated: false, places: None },
        "another body"
    );
    let mut flight = put(&[b"in flight"]);
    flight.call = Some(call(2));
    let attempts = (0..20).map(|_| journal.append(flight.clone()));
    let answers = futures::future::join_all(attempts).await;
    let firsts: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap().first).collect();
    assert!(firsts.iter().all(|&first| first == at(3)), "{firsts:?}");
    assert_eq!(answers.iter().filter(|answer| !answer.as_ref().unwrap().repeated).count(), 1);
    assert_eq!(*journal.tail().borrow(), at(4));
    let part = put_with_call(&[b"a", b"b"], 3);
    let stored = journal.append(part).await.unwrap();
    assert_eq!(stored, Appended { first: at(4), records: 2, repeated: false, places: None });
    let whole = journal.append(put_with_call(&[b"a", b"b", b"c"], 3)).await.unwrap();
    assert_eq!(
        whole,
        Appended { first: at(4), records: 2, repeated: true, places: None },
        "the part is told"
    );
}

async fn many_writers(journal: Arc<dyn Journal>) {
    let tasks: Vec<_> = (0..50u8)
        .map(|task| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move {
                let mut places = Vec::new();
                for n in 0..20u8 {
                    let answer = journal.append(put(&[&[task, n], &[task, n, 1]])).await.unwrap();
                    places.push((answer.first.sequence, vec![task, n]));
                }
                places
            })
        })
        .collect();
    let mut expected = Vec::new();
    for task in tasks {
        let places = task.await.unwrap();
        assert!(places.is_sorted_by_key(|(first, _)| *first), "one task's puts stay in order");
        expected.extend(places);
    }
    expected.sort();
    let stored = records(&*journal, 0).await;
    assert_eq!(stored.len(), 2000);
    let firsts: Vec<_> = stored.into_iter().filter(|(sequence, _)| sequence % 2 == 0).collect();
    assert_eq!(firsts, expected);
}

async fn callers_that_go_away(journal: Arc<dyn Journal>) {
    for n in 0..50u8 {
        let mut append = Box::pin(journal.append(put(&[&[n; 50]])));
        // Polled once at most, then dropped.
        let _ = futures::poll!(&mut append);
        drop(append);
    }
    let last = journal.append(put(&[b"last"])).await.unwrap().first;
    let stored = records(&*journal, 0).await;
    assert_eq!(stored.last(), Some(&(last.sequence, b"last".to_vec())));
    let (_, dropped) = stored.split_last().unwrap();
    assert!(dropped.iter().all(|(_, data)| data.len() == 50 && data.iter().all(|b| *b == data[0])));
}

async fn closing(journal: Arc<dyn Journal>) {
    journal.append(put(&[b"a"])).await.unwrap();
    journal.close().await;
    assert_eq!(journal.append(put(&[b"b"])).await, Err(AppendError::Closed));
    assert_eq!(records(&*journal, 0).await, [(0, b"a".to_vec())]);
    journal.close().await;
}

async fn full_and_free_again(journal: Arc<dyn Journal>) {
    journal.open_cursor("a", false).await.unwrap();
    let mut next = 0;
    for round in 0..5u8 {
        let error = loop {
            match journal.append(put(&[&[round; 700]])).await {
                Ok(answer) => {
                    assert_eq!(answer.first, at(next));
                    next += 1;
                }
                Err(error) => break error,
            }
        };
        let AppendError::Full { used_bytes, max_bytes } = error else { panic!("{error}") };
        assert!(max_bytes == 20_000 && used_bytes <= 20_000 && used_bytes > 15_000);
        assert_eq!(*journal.tail().borrow(), at(next), "nothing is stored");
        journal.commit("a", at(next)).await.unwrap();
    }
    assert!(next > 100, "{next} puts in five rounds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    suite(|options| Arc::new(MemoryJournal::new(options))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_on_simulated_files() {
    suite(|options| {
        let env = sim_env(&SimFiles::new(1));
        let folder = Path::new("/j/stream");
        Arc::new(LocalJournal::open_tuned(folder, options, &env, None, small()).unwrap())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_on_real_files() {
    for durability in [Durability::Fsync, Durability::Os] {
        let root = tempfile::tempdir().unwrap();
        let made = std::cell::Cell::new(0);
        suite(|options| {
            made.set(made.get() + 1);
            let folder = root.path().join(made.get().to_string());
            let options = Options { durability, ..options.clone() };
            let tuning = standpipe::buffer::Tuning { disk_reserve_bytes: 0, ..small() };
            let opened = LocalJournal::open_tuned(&folder, &options, &Env::real(), None, tuning);
            Arc::new(opened.unwrap())
        })
        .await;
    }
}
