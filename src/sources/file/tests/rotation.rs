//! Rotation by rename, by copy and truncate, by deletion.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_renamed_file_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    for include in ["app.log", "app.log*"] {
        let mut bed = Bed::new(&[include]);
        bed.append("app.log", "a\nb\n");
        bed.start();
        bed.wait_for(2).await;
        bed.rename("app.log", "app.log.1");
        bed.append("app.log", "d\n");
        bed.append("app.log.1", "c\n");
        bed.wait_for(4).await;
        assert_eq!(bed.sorted(), ["a", "b", "c", "d"]);
        // All records of a file carry the path that it was met under.
        let puts = bed.puts();
        let path = |put: &Put| put.provenance.clone().unwrap().place.unwrap().path.unwrap();
        assert!(puts.iter().all(|put| path(put).ends_with("/app.log")), "{puts:?}");
        bed.stop().await;
        bed.start();
        bed.append("app.log", "e\n");
        bed.wait_for(5).await;
        assert_eq!(bed.sorted(), ["a", "b", "c", "d", "e"], "{include}");
        bed.crash().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_renamed_away_is_closed_after_a_while_with_its_last_line() {
    let mut bed = Bed::new(&["app.log"]);
    bed.append("app.log", "a\nno newline");
    bed.start();
    bed.wait_for(1).await;
    bed.rename("app.log", "old");
    bed.wait_for(2).await;
    bed.until_open(0).await;
    assert_eq!(bed.records(), ["a", "no newline"]);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_file_is_held_until_it_is_read() {
    let mut bed = Bed::new(&["*.log"]);
    let text = numbered(0, 80_000);
    bed.append("a.log", &text);
    bed.inlet.refuse_as_full(u64::MAX);
    bed.start();
    bed.until("a full journal", |bed| bed.metrics.backpressured.get() > 0).await;
    fs::remove_file(bed.path("a.log")).unwrap();
    bed.until("a round", |bed| bed.metrics.backpressured.get() > 3).await;
    bed.inlet.refuse_as_full(0);
    bed.wait_for(80_000).await;
    assert_eq!(bed.records(), lines(0, 80_000));
    assert_eq!(bed.metrics.lost_files.get(), 0);
    bed.until_open(0).await;
    assert!(bed.puts().len() > 2, "in pieces");
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_truncated_is_not_read_again() {
    let mut bed = Bed::new(&["app.log*"]);
    bed.append("app.log", &numbered(0, 100));
    bed.start();
    bed.wait_for(100).await;
    fs::copy(bed.path("app.log"), bed.path("app.log.1")).unwrap();
    // The copy is noticed before the truncation.
    bed.until("a look", |bed| bed.metrics.parts.get() == 1).await;
    File::options().write(true).open(bed.path("app.log")).unwrap().set_len(0).unwrap();
    bed.append("app.log", &numbered(100, 103));
    bed.wait_for(103).await;
    bed.until_open(2).await;
    bed.append("app.log", &numbered(103, 104));
    bed.wait_for(104).await;
    assert_eq!(bed.records(), lines(0, 104));
    bed.stop().await;
    // Nor after a restart.
    bed.start();
    bed.until_open(2).await;
    bed.append("app.log", &numbered(104, 105));
    bed.wait_for(105).await;
    assert_eq!(bed.records(), lines(0, 105));
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_file_whose_lines_are_about_to_be_stored_is_not_read_again() {
    for packed in [false, true] {
        let mut bed = Bed::new(&["app.log*"]);
        bed.append("app.log", &numbered(0, 100));
        bed.inlet.refuse_as_full(u64::MAX);
        bed.start();
        let full = |times| move |bed: &Bed| bed.metrics.backpressured.get() > times;
        bed.until("a full journal", full(0)).await;
        fs::copy(bed.path("app.log"), bed.path("app.log.1")).unwrap();
        bed.age("app.log.1");
        if packed {
            bed.gzip("app.log.1");
        }
        File::options().write(true).open(bed.path("app.log")).unwrap().set_len(0).unwrap();
        bed.append("app.log", &numbered(100, 103));
        let times = bed.metrics.backpressured.get();
        bed.until("some rounds", full(times + 5)).await;
        bed.inlet.refuse_as_full(0);
        bed.wait_for(103).await;
        bed.until_open(if packed { 1 } else { 2 }).await;
        bed.append("app.log", &numbered(103, 104));
        bed.wait_for(104).await;
        assert_eq!(bed.records(), lines(0, 104), "packed: {packed}");
        bed.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_copied_and_truncated_unread_is_read_from_the_copy() {
    let mut bed = Bed::new(&["app.log*"]);
    bed.append("app.log", &numbered(0, 10));
    bed.start();
    bed.wait_for(10).await;
    bed.stop().await;
    bed.append("app.log", &numbered(10, 20));
    fs::copy(bed.path("app.log"), bed.path("app.log.1")).unwrap();
    File::options().write(true).open(bed.path("app.log")).unwrap().set_len(0).unwrap();
    bed.append("app.log", &numbered(20, 25));
    bed.start();
    bed.wait_for(25).await;
    bed.until_open(2).await;
    assert_eq!(bed.sorted(), lines(0, 25));
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_truncated_file_is_read_once_from_its_beginning() {
    let mut bed = Bed::new(&["app.log"]);
    bed.append("app.log", &numbered(0, 50));
    bed.start();
    bed.wait_for(50).await;
    // Shorter than before.
    fs::write(bed.path("app.log"), numbered(50, 60)).unwrap();
    bed.wait_for(60).await;
    // Grown beyond the place before anybody looks.
    bed.inlet.refuse_as_full(u64::MAX);
    fs::write(bed.path("app.log"), numbered(60, 80)).unwrap();
    bed.inlet.refuse_as_full(0);
    bed.wait_for(80).await;
    // The same size as before.
    fs::write(bed.path("app.log"), numbered(80, 100)).unwrap();
    bed.wait_for(100).await;
    bed.append("app.log", &numbered(100, 101));
    bed.wait_for(101).await;
    assert_eq!(bed.records(), lines(0, 101));
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_truncated_while_nobody_looked_is_read_from_its_beginning() {
    for regrown in [10, 50, 51, 200] {
        let mut bed = Bed::new(&["app.log"]);
        bed.append("app.log", &numbered(0, 50));
        bed.start();
        bed.wait_for(50).await;
        bed.crash().await;
        fs::write(bed.path("app.log"), numbered(50, 50 + regrown)).unwrap();
        bed.start();
        bed.wait_for(50 + regrown).await;
        assert_eq!(bed.records(), lines(0, 50 + regrown));
        bed.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_paths_to_one_file_are_one_file() {
    let mut bed = Bed::new(&["*.log", "pods/*.log"]);
    fs::create_dir(bed.path("pods")).unwrap();
    bed.append("pods/0.log", "a\n");
    std::os::unix::fs::symlink(bed.path("pods/0.log"), bed.path("link.log")).unwrap();
    fs::hard_link(bed.path("pods/0.log"), bed.path("hard.log")).unwrap();
    bed.start();
    bed.wait_for(1).await;
    bed.append("link.log", "b\n");
    bed.wait_for(2).await;
    assert_eq!(bed.metrics.parts.get(), 1);
    // One of the paths goes: the file stays.
    fs::remove_file(bed.path("hard.log")).unwrap();
    bed.append("link.log", "c\n");
    bed.wait_for(3).await;
    assert_eq!(bed.records(), ["a", "b", "c"]);
    bed.stop().await;
}
