//! Positions across stops and crashes.

use super::*;
use crate::sources::file::{Start, identity::Position, is_shipped};

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_point_neither_loses_nor_doubles() {
    let mut bed = Bed::new(&["*.log"]);
    // Several puts of each, and a line that is not complete yet.
    let lines_each = 8_000;
    for name in ["a.log", "b.log"] {
        let text: String = (0..lines_each).map(|i| format!("{name} {}\n", line(i))).collect();
        bed.append(name, &text);
        bed.append(name, "half");
    }
    let total = 2 * lines_each;
    let mut goal = 1;
    while goal < total {
        bed.start();
        bed.wait_for(goal).await;
        goal = bed.records().len() + 1;
        bed.crash().await;
    }
    bed.start();
    bed.append("a.log", " done\n");
    bed.append("b.log", " done\n");
    bed.wait_for(total + 2).await;
    for name in ["a.log", "b.log"] {
        let mut expected: Vec<_> = (0..lines_each).map(|i| format!("{name} {}", line(i))).collect();
        expected.push("half done".to_owned());
        let mut seen = bed.records();
        let other = if name == "a.log" { "b.log" } else { "a.log" };
        seen.retain(|record| !record.starts_with(other));
        seen.dedup();
        seen.retain({
            let mut halves = 0;
            move |record| {
                halves += usize::from(record == "half done");
                record != "half done" || halves == 1
            }
        });
        seen.sort_unstable();
        expected.sort_unstable();
        assert_eq!(seen, expected);
    }
    assert_eq!(bed.records().len(), total + 2, "none twice");
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_renamed_while_stopped_is_read_on() {
    for include in ["app.log", "app.log*"] {
        let mut bed = Bed::new(&[include]);
        bed.append("app.log", &numbered(0, 5));
        bed.start();
        bed.wait_for(5).await;
        bed.stop().await;
        bed.append("app.log", &numbered(5, 8));
        bed.rename("app.log", "app.log.1");
        bed.append("app.log", &numbered(8, 10));
        bed.start();
        bed.wait_for(10).await;
        assert_eq!(bed.sorted(), lines(0, 10), "{include}");
        assert_eq!(bed.metrics.lost_files.get(), 0);
        bed.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_in_memory_repeats_what_was_not_settled() {
    let mut bed = Bed::new(&["*.log"]);
    bed.inlet = TestInlet::in_memory();
    bed.append("a.log", &numbered(0, 3));
    bed.start();
    bed.wait_for(3).await;
    bed.append("a.log", &numbered(3, 5));
    bed.wait_for(5).await;
    assert_eq!(bed.positions(), BTreeMap::new(), "nothing is settled");
    bed.inlet.settle(3);
    let saved = bed.folder.path().join("own/positions.json");
    bed.until("a saved position", |_| {
        fs::read_to_string(&saved).is_ok_and(|text| text.contains("a.log"))
    })
    .await;
    let shipped = is_shipped(&bed.positions(), &bed.path("a.log")).unwrap();
    assert_eq!((shipped.bytes, shipped.is_complete()), (numbered(0, 3).len() as u64, false));
    bed.crash().await;
    bed.inlet = TestInlet::in_memory();
    bed.start();
    bed.wait_for(7).await;
    let expected: Vec<_> = lines(0, 5).into_iter().chain(lines(3, 5)).collect();
    assert_eq!(bed.records(), expected);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_stopped_saves_what_is_delivered_of_a_journal_in_memory() {
    let mut bed = Bed::new(&["*.log"]);
    bed.inlet = TestInlet::drained_last();
    bed.append("a.log", &numbered(0, 3));
    bed.start();
    bed.wait_for(3).await;
    let inlet = bed.inlet.clone();
    let delivered = tokio::spawn(async move {
        inlet.draining.cancelled().await;
        inlet.settle(3);
        inlet.drained.cancel();
    });
    bed.stop().await;
    delivered.await.unwrap();
    bed.append("a.log", &numbered(3, 5));
    bed.inlet = TestInlet::in_memory();
    bed.start();
    bed.wait_for(5).await;
    assert_eq!(bed.records(), lines(0, 5));
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn reading_may_begin_at_the_end_of_what_is_there() {
    let mut bed = Bed::new(&["*.log"]);
    bed.options.start = Start::End;
    bed.append("old.log", "passed over\nand a ");
    bed.append("quiet.log", "passed over too\n");
    bed.start();
    bed.until_open(2).await;
    bed.append("old.log", "half\n");
    bed.wait_for(1).await;
    bed.append("new.log", "from its beginning\n");
    bed.wait_for(2).await;
    for (name, is_safe) in [("old.log", false), ("quiet.log", false), ("new.log", true)] {
        let shipped = is_shipped(&bed.positions(), &bed.path(name)).unwrap();
        let bytes = if is_safe { shipped.size } else { 0 };
        assert_eq!((shipped.bytes, shipped.is_complete()), (bytes, is_safe), "{name}");
    }
    bed.crash().await;
    // What comes while nobody looks is not passed over.
    bed.append("quiet.log", "while stopped\n");
    bed.append("newer.log", "new while stopped\n");
    bed.start();
    bed.wait_for(4).await;
    let expected = ["and a half", "from its beginning", "new while stopped", "while stopped"];
    assert_eq!(bed.sorted(), expected);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_without_any_file_is_a_start() {
    let mut bed = Bed::new(&["*.log"]);
    bed.options.start = Start::End;
    bed.start();
    let saved = bed.folder.path().join("own/positions.json");
    bed.until("the mark of a start", |_| saved.exists()).await;
    bed.crash().await;
    bed.append("later.log", "a\n");
    bed.start();
    bed.wait_for(1).await;
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_inode_that_was_given_anew_is_another_file() {
    let text = numbered(0, 40);
    let tampered: [fn(&mut Position); 4] = [
        // Seek beyond the end.
        |position| position.at = 1_000_000,
        // Other first bytes, other bytes before the place.
        |position| position.head.hash ^= 1,
        |position| position.before.hash ^= 1,
        // The same bytes, born at another time.
        |position| position.born = position.born.map(|born| born - 1),
    ];
    for tamper in tampered {
        let mut bed = Bed::new(&["a.log"]);
        bed.append("a.log", &text);
        bed.start();
        bed.wait_for(40).await;
        let (key, position) = bed.positions().into_iter().next().unwrap();
        bed.stop().await;
        let mut position = Position::decode(&position).unwrap();
        if position.born.is_none() {
            continue;
        }
        tamper(&mut position);
        bed.inlet = TestInlet::durable([(key, position.encode())].into());
        bed.start();
        bed.wait_for(80).await;
        assert_eq!(bed.records()[40..], lines(0, 40));
        bed.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_numbered_anew_has_the_same_files() {
    let mut bed = Bed::new(&["a.log"]);
    bed.append("a.log", &numbered(0, 4));
    bed.start();
    bed.wait_for(4).await;
    let (key, position) = bed.positions().into_iter().next().unwrap();
    bed.stop().await;
    let mut position = Position::decode(&position).unwrap();
    position.dev += 1;
    bed.inlet = TestInlet::durable([(key, position.encode())].into());
    bed.append("a.log", &numbered(4, 5));
    bed.start();
    bed.wait_for(5).await;
    assert_eq!(bed.records(), lines(0, 5));
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_moved_to_another_disk_is_read_on() {
    let mut bed = Bed::new(&["*.log"]);
    bed.append("a.log", &numbered(0, 100));
    bed.start();
    bed.wait_for(100).await;
    bed.stop().await;
    // As `mv` does it: copied with its times, and deleted.
    let modified = fs::metadata(bed.path("a.log")).unwrap().modified().unwrap();
    fs::copy(bed.path("a.log"), bed.path("b.log")).unwrap();
    File::options().append(true).open(bed.path("b.log")).unwrap().set_modified(modified).unwrap();
    fs::remove_file(bed.path("a.log")).unwrap();
    bed.start();
    bed.until_open(1).await;
    bed.append("b.log", &numbered(100, 102));
    bed.wait_for(102).await;
    assert_eq!(bed.records(), lines(0, 102));
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_through_is_said_to_be() {
    let mut bed = Bed::new(&["*.log"]);
    bed.append("a.log", "a\n\n\n");
    bed.append("other", "x");
    bed.start();
    bed.wait_for(1).await;
    let shipped = |bed: &Bed, name: &str| is_shipped(&bed.positions(), &bed.path(name)).unwrap();
    bed.until("all of it", |bed| shipped(bed, "a.log").is_complete()).await;
    assert!(!shipped(&bed, "other").is_complete(), "nobody reads it");
    bed.append("a.log", "b\nhalf");
    bed.wait_for(2).await;
    assert_eq!(shipped(&bed, "a.log").bytes, 6);
    // Rotated, it ends.
    bed.rename("a.log", "a.old");
    bed.until("the rest", |bed| shipped(bed, "a.old").is_complete()).await;
    assert_eq!(bed.records(), ["a", "b", "half"]);
    assert!(is_shipped(&bed.positions(), &bed.path("nothing")).is_err());
    bed.stop().await;
}
