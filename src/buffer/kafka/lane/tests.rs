use std::sync::Weak;

use rdkafka::ClientConfig;

use super::*;

fn lane(committed: u64, metadata: &str) -> KafkaLane {
    let link = Link { config: ClientConfig::new(), tokens: None };
    KafkaLane::new(("t", 3), (committed, metadata), "replica-1", Weak::new(), link)
}

/// Pushes records whose text is their offset.
fn push(lane: &KafkaLane, offsets: impl IntoIterator<Item = u64>) {
    for offset in offsets {
        assert!(lane.take(offset, 7, offset.to_string().as_bytes()));
    }
    lane.publish();
}

fn place(offset: u64) -> Position {
    Position::new(0, offset)
}

/// Entries as their offsets: what is there with its texts, and gaps.
fn told(entries: &[Entry]) -> Vec<String> {
    let mut told = Vec::new();
    for entry in entries {
        match entry {
            Entry::Frame(frame) => {
                let mut at = 0;
                for (nth, &length) in frame.lengths.iter().enumerate() {
                    let text = std::str::from_utf8(&frame.data[at..at + length as usize]).unwrap();
                    assert_eq!(text, frame.first.plus(nth as u64).sequence.to_string());
                    told.push(text.to_owned());
                    at += length as usize;
                }
            }
            Entry::Damaged { first, end } => {
                told.push(format!("{}..{}", first.sequence, end.sequence));
            }
        }
    }
    told
}

async fn read(lane: &KafkaLane, from: u64, before: u64) -> Vec<String> {
    told(&lane.read(place(from), place(before), usize::MAX).await.unwrap())
}

fn frame(first: u64, records: u64) -> Frame {
    let texts: Vec<_> = (first..first + records).map(|offset| offset.to_string()).collect();
    Frame {
        first: place(first),
        arrival_ms: 0,
        lengths: texts.iter().map(|text| text.len() as u32).collect(),
        data: texts.concat().into(),
        provenance: None,
        unfit: false,
    }
}

#[tokio::test]
async fn what_is_pushed_is_read_once_it_is_published_and_in_any_part() {
    let lane = lane(10, "");
    assert_eq!(*lane.tail().borrow(), place(10));
    assert!(lane.take(10, 7, b"10"));
    assert_eq!(*lane.tail().borrow(), place(10), "not published yet");
    push(&lane, 11..15);
    assert_eq!(*lane.tail().borrow(), place(15));
    assert_eq!(read(&lane, 10, 15).await, ["10", "11", "12", "13", "14"]);
    assert_eq!(read(&lane, 11, 13).await, ["11", "12"]);
    assert_eq!(read(&lane, 14, 99).await, ["14"]);
    assert_eq!(read(&lane, 15, 15).await, [""; 0]);
}

#[tokio::test]
async fn offsets_that_are_not_there_are_gaps_and_nothing_else_is() {
    let lane = lane(10, "");
    push(&lane, [12, 13, 16]);
    assert_eq!(read(&lane, 10, 17).await, ["10..12", "12", "13", "14..16", "16"]);
    assert_eq!(read(&lane, 10, 12).await, ["10..12"]);
    assert_eq!(read(&lane, 12, 17).await, ["12", "13", "14..16", "16"]);
    assert_eq!(read(&lane, 13, 17).await, ["13", "14..16", "16"]);
    assert_eq!(read(&lane, 14, 16).await, ["14..16"]);
    assert_eq!(read(&lane, 15, 17).await, ["15..16", "16"]);
    // What was let go is not taken for a gap: it is fetched again.
    assert!(lane.read_memory(13, 17, usize::MAX).is_none());
}

#[tokio::test]
async fn offsets_that_go_backwards_change_nothing() {
    let lane = lane(10, "");
    push(&lane, 10..13);
    // A topic that was made anew.
    push(&lane, 0..5);
    assert!(lane.take(12, 9, b"another 12"));
    lane.publish();
    assert_eq!(*lane.tail().borrow(), place(13));
    push(&lane, 13..15);
    assert_eq!(*lane.tail().borrow(), place(15));
    assert_eq!(read(&lane, 10, 15).await, ["10", "11", "12", "13", "14"]);
}

#[test]
fn what_was_passed_makes_room() {
    let lane = lane(0, "");
    let payload = vec![b'x'; FRAME_BYTES];
    let most = 2 * limits::KAFKA_LANE_BYTES / FRAME_BYTES;
    let pushed = (0..most as u64).take_while(|&offset| lane.take(offset, 7, &payload)).count();
    lane.publish();
    assert!(pushed < most && !lane.has_room());
    let end = lane.tail().borrow().sequence;
    let read = lane.read_memory(end - 1, end, usize::MAX).unwrap();
    assert!(matches!(&read[..], [Entry::Frame(frame)] if frame.lengths == [FRAME_BYTES as u32]));
    assert!(lane.has_room());
    assert!(lane.read_memory(0, end, usize::MAX).is_none(), "it was let go");
}

#[test]
fn frames_are_cut_to_what_is_asked_for() {
    let collected = |frames: &[(u64, u64)], from, before, max_bytes| {
        let frames = frames.iter().map(|&(first, records)| frame(first, records));
        told(&collect(frames, from, before, max_bytes))
    };
    assert_eq!(collected(&[(5, 4)], 6, 8, usize::MAX), ["6", "7"]);
    assert_eq!(collected(&[(1, 2), (5, 1)], 4, 6, usize::MAX), ["4..5", "5"]);
    assert_eq!(collected(&[(1, 1), (2, 1), (3, 1)], 1, 4, 1), ["1"], "one at least");
    // Nothing of it is kept: it is passed over whole, and only that.
    assert_eq!(collected(&[], 4, 6, usize::MAX), ["4..6"]);
    assert_eq!(collected(&[(9, 1)], 4, 6, usize::MAX), ["4..6"]);
    assert_eq!(collected(&[(1, 2)], 4, 6, usize::MAX), ["4..6"]);
    assert_eq!(collected(&[], 6, 6, usize::MAX), [""; 0]);
}

#[test]
fn plans_are_ours_if_we_have_written_them_and_are_not_saved_once_lost() {
    let ours = lane(4, "standpipe replica-1\nplan");
    let plans = ours.shared_plans().unwrap();
    assert_eq!(plans.load().unwrap(), (b"plan".to_vec(), true));
    let left = plans.save(b"other").unwrap_err();
    assert!(left.to_string().contains("the group was left"), "{left}");
    ours.lose();
    let lost = plans.save(b"other").unwrap_err();
    assert!(lost.to_string().contains("another replica"), "{lost}");
    assert_eq!(plans.load().unwrap(), (b"plan".to_vec(), true), "nothing of it was saved");

    let others = lane(4, "standpipe replica-2\nplan").shared_plans().unwrap().load().unwrap();
    assert_eq!(others, (b"plan".to_vec(), false));
    assert_eq!(lane(4, "").shared_plans().unwrap().load().unwrap(), (Vec::new(), false));
}
