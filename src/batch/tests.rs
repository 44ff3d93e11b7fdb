use super::*;
use std::io;

use crate::record::{Position, Ranges};

fn batcher(size: u64, interval_s: u64) -> Batcher {
    let options = Buffering {
        size: ByteSize(size),
        interval: Span(Duration::from_secs(interval_s)),
        size_of: SizeOf::Records,
    };
    Batcher::new(options, Framing::default())
}

fn add(batcher: &mut Batcher, sequence: u64, data: &[u8], now_s: u64) -> Option<Batch> {
    let arrival_ms = 1000 + sequence as i64;
    let now = Now::at(Duration::from_secs(now_s));
    batcher.add(&Route::Objects, Origin::Whole(sequence), arrival_ms, [data], now)
}

#[test]
fn a_batch_closes_when_it_reaches_its_size() {
    let mut batcher = batcher(10, 300);
    assert!(add(&mut batcher, 0, b"12345", 0).is_none());
    let batch = add(&mut batcher, 1, b"67890", 0).expect("ten bytes are there");
    assert_eq!(batch.raw.tail.data, b"1234567890");
    assert_eq!(batch.members.whole, Ranges::of(0, 2));
    assert_eq!((batch.reason, batch.oldest_arrival_ms), (CloseReason::Size, 1000));
    assert_eq!((batcher.open_bytes(), batcher.open_batches()), (0, 0));
}

#[test]
fn a_batch_closes_when_its_first_record_is_old_enough() {
    let mut batcher = batcher(1000, 60);
    add(&mut batcher, 0, b"a", 5);
    add(&mut batcher, 1, b"b", 50);
    assert_eq!(batcher.next_due(), Some(Duration::from_secs(65)));
    assert!(batcher.close_due(Duration::from_secs(64), false).is_empty());
    let due = batcher.close_due(Duration::from_secs(65), false);
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].reason, CloseReason::Interval);
    assert_eq!(batcher.next_due(), None);
}

#[test]
fn interval_zero_closes_at_once() {
    let mut batcher = batcher(1000, 0);
    add(&mut batcher, 0, b"a", 5);
    assert_eq!(batcher.close_due(Duration::from_secs(5), false).len(), 1);
}

#[test]
fn routes_do_not_mix_and_only_objects_are_framed() {
    let mut batcher =
        Batcher::new(Buffering::default(), Framing { delimiter: b"\n".to_vec(), if_missing: true });
    let errors = Route::Errors("processing-failed".into());
    let now = Now::at(Duration::ZERO);
    batcher.add(&Route::Objects, Origin::Whole(0), 0, [&b"a"[..]], now);
    batcher.add(&Route::Objects, Origin::Whole(1), 0, [&b"b\n"[..]], now);
    batcher.add(&errors, Origin::Whole(2), 0, [&b"{}\n"[..]], now);
    let mut batches = batcher.close_all(CloseReason::Drain);
    batches.sort_by_key(|batch| batch.route != Route::Objects);
    assert_eq!(batches[0].raw.tail.data, b"a\nb\n");
    assert_eq!(batches[1].raw.tail.data, b"{}\n");
    assert_eq!(batches[1].members.whole, Ranges::of(2, 3));
}

#[test]
fn a_frame_is_added_like_its_records_one_by_one() {
    let frame = Frame {
        first: Position::new(0, 4),
        arrival_ms: 7,
        lengths: vec![6, 0, 6, 3],
        data: bytes::Bytes::from_static(b"aaaaaabbbbbbccc"),
        provenance: None,
        unfit: false,
    };
    let now = Now::at(Duration::ZERO);
    let mut whole = batcher(10, 60);
    let mut closed = Vec::new();
    whole.add_frame(&Route::Objects, &frame, now, &mut closed);
    let mut single = batcher(10, 60);
    let mut expected = Vec::new();
    for (sequence, record) in frame.iter() {
        expected.extend(single.add(&Route::Objects, Origin::Whole(sequence), 7, [record], now));
    }
    closed.extend(whole.close_all(CloseReason::Flush));
    expected.extend(single.close_all(CloseReason::Flush));
    let view = |batches: &[Batch]| -> Vec<(Vec<u8>, Ranges, u64)> {
        let batch = |b: &Batch| (b.raw.tail.data.clone(), b.members.whole.clone(), b.raw.records);
        batches.iter().map(batch).collect()
    };
    assert_eq!(view(&closed), view(&expected));
    assert_eq!(closed.len(), 2);
    assert_eq!(closed[1].members.whole, Ranges::of(7, 8));
}

#[test]
fn objects_that_touch_are_noticed() {
    let mut batcher = batcher(1000, 60);
    add(&mut batcher, 0, b"{\"a\":1}", 0);
    add(&mut batcher, 1, b"{\"a\":2}", 0);
    assert!(batcher.close_all(CloseReason::Flush)[0].objects_touch);
    add(&mut batcher, 2, b"{\"a\":1}\n", 0);
    add(&mut batcher, 3, b"{\"a\":2}\n", 0);
    assert!(!batcher.close_all(CloseReason::Flush)[0].objects_touch);
}

#[test]
fn size_of_object_counts_what_encoding_leaves() {
    let mut batcher = batcher(10, 60);
    batcher.options.size_of = SizeOf::Object;
    batcher.set_expansion(4.0);
    assert!(add(&mut batcher, 0, &[b'x'; 39], 0).is_none());
    assert!(add(&mut batcher, 1, b"x", 0).is_some());
}

fn partition(name: &str) -> Route {
    Route::Partition(name.into())
}

#[test]
fn while_catching_up_only_the_time_since_a_batch_was_begun_counts() {
    let mut batcher = batcher(1000, 60);
    let seconds = Duration::from_secs;
    let old = Now { since: seconds(100), read: seconds(900) };
    batcher.add(&partition("a"), Origin::Whole(0), 0, [&b"a"[..]], old);
    assert!(batcher.close_due(seconds(959), true).is_empty());
    assert_eq!(batcher.next_due(), Some(seconds(960)));
    assert_eq!(batcher.close_due(seconds(960), true).len(), 1);
}

#[derive(Debug)]
struct Kept(Chunk);

impl Aside for Kept {
    fn load(&self) -> io::Result<Chunk> {
        Ok(self.0.clone())
    }

    fn data_bytes(&self) -> u64 {
        self.0.data.len() as u64
    }
}

#[test]
fn what_was_put_aside_comes_back_in_its_place_and_counts_for_the_size() {
    let mut batcher = batcher(40, 60).by_record(true);
    let now = Now::at(Duration::ZERO);
    let add = |batcher: &mut Batcher, name: &str, sequence: u64, data: &[u8]| {
        batcher.add(&partition(name), Origin::Whole(sequence), 0, [data], now)
    };
    add(&mut batcher, "large", 0, b"0123456789");
    add(&mut batcher, "small", 1, b"x");
    batcher.put_aside(30, |chunk| Arc::new(Kept(chunk)));
    assert!(batcher.open_bytes() < 64, "one batch is in memory");
    assert_eq!(batcher.open_batches(), 2);
    add(&mut batcher, "large", 2, b"abcdefghij");
    batcher.put_aside(0, |chunk| Arc::new(Kept(chunk)));
    assert_eq!(batcher.open_bytes(), 0);
    add(&mut batcher, "small", 5, b"x");
    add(&mut batcher, "large", 3, b"ABCDEFGHIJ");
    let full = add(&mut batcher, "large", 4, b"9876543210").expect("40 bytes are there");
    assert_eq!(full.members.whole, [(0, 1), (2, 5)].into_iter().collect::<Ranges>());
    assert_eq!((full.raw.data_bytes(), full.raw.aside.len()), (40, 2));
    let ends: Vec<Vec<u32>> = full.raw.clone().chunks().map(|c| c.unwrap().ends).collect();
    assert_eq!(ends, [vec![10], vec![10], vec![10, 20]]);
    assert_eq!(full.raw.whole().unwrap(), b"0123456789abcdefghijABCDEFGHIJ9876543210");
    assert!(batcher.open_bytes() < 64);
}

#[test]
fn a_batch_is_made_as_large_as_the_last_one_if_that_was_full() {
    let mut batcher = batcher(1 << 20, 60);
    let record = vec![b'x'; 300_000];
    for sequence in 0..4 {
        let full = add(&mut batcher, sequence, &record, 0);
        assert_eq!(full.is_some(), sequence == 3);
    }
    add(&mut batcher, 4, b"x", 0);
    assert!(batcher.open_bytes() < 1000, "what is not filled is not counted");
    let closed = batcher.close_due(Duration::from_secs(60), false);
    assert!((1_200_000..1_300_000).contains(&closed[0].raw.tail.data.capacity()));
    add(&mut batcher, 5, b"x", 60);
    let closed = batcher.close_all(CloseReason::Drain);
    assert!(closed[0].raw.tail.data.capacity() < 1000, "the last one was small");
}
