//! What users report of others.

use super::*;
use crate::{
    sources::file::{
        follow::{Follow, Outcome, Task},
        identity::{Candidate, Position},
    },
    units::{ByteSize, Span},
};

#[tokio::test(start_paused = true)]
async fn files_that_begin_alike_are_different_files() {
    let mut bed = Bed::new(&["*.log"]);
    let banner = "=".repeat(3_000) + "\n";
    for name in ["a.log", "b.log", "b.log.2.log"] {
        bed.append(name, &banner);
        bed.append(name, &format!("{name}\n"));
        bed.age(name);
    }
    bed.start();
    bed.wait_for(6).await;
    let records = bed.sorted();
    assert_eq!(records[..3], vec![banner.trim_end(); 3]);
    assert_eq!(records[3..], ["a.log", "b.log", "b.log.2.log"]);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_file_that_begins_as_a_deleted_one_is_read_from_its_beginning() {
    let mut bed = Bed::new(&["*.log"]);
    bed.append("a.log", "started\n");
    bed.start();
    bed.wait_for(1).await;
    fs::remove_file(bed.path("a.log")).unwrap();
    bed.until_open(0).await;
    bed.append("a.log", "started\nmore\n");
    bed.wait_for(3).await;
    assert_eq!(bed.records(), ["started", "started", "more"]);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn empty_and_tiny_files_are_read() {
    let mut bed = Bed::new(&["*.log"]);
    bed.options.last_line_timeout = Span(Duration::from_millis(20));
    bed.append("empty.log", "");
    bed.append("tiny.log", "x");
    bed.start();
    bed.wait_for(1).await;
    bed.until_open(2).await;
    bed.append("empty.log", "y\n");
    bed.wait_for(2).await;
    bed.append("tiny.log", " and its rest\n");
    bed.wait_for(3).await;
    assert_eq!(bed.records(), ["x", "y", " and its rest"]);
    bed.crash().await;
    bed.start();
    bed.append("tiny.log", "z\n");
    bed.wait_for(4).await;
    assert_eq!(bed.records()[3], "z");
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_line_over_the_limit_is_cut_marked_and_counted() {
    let mut bed = Bed::new(&["*.log"]);
    bed.options.lines.max_line_size = ByteSize(2_000);
    bed.append("a.log", &format!("{}\nshort\n", "x".repeat(600_000)));
    bed.start();
    bed.wait_for(2).await;
    assert_eq!(bed.records(), ["x".repeat(2_000), "short".to_owned()]);
    let origins: Vec<_> =
        bed.puts().iter().flat_map(|put| put.provenance.clone().unwrap().records).collect();
    assert_eq!(origins[0].cut_bytes, Some(598_000));
    bed.until("the count", |bed| bed.metrics.cut_lines.get() == 1).await;
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn offsets_are_kept_where_they_are_asked_for() {
    let mut bed = Bed::new(&["*.log"]);
    bed.options.offsets = true;
    bed.append("a.log", "a\nbc\n");
    bed.start();
    bed.wait_for(2).await;
    let origins = bed.puts()[0].provenance.clone().unwrap().records;
    let offsets: Vec<_> = origins.iter().map(|origin| origin.offset.unwrap()).collect();
    assert_eq!(offsets, [0, 2]);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn old_files_are_left_alone_until_they_change() {
    let mut bed = Bed::new(&["*.log"]);
    bed.options.ignore_older = Some(Span(Duration::from_secs(3_600)));
    bed.append("old.log", "old\n");
    bed.age("old.log");
    bed.append("new.log", "new\n");
    bed.start();
    bed.wait_for(1).await;
    assert_eq!(bed.records(), ["new"]);
    bed.append("old.log", "again\n");
    bed.wait_for(3).await;
    assert_eq!(bed.records(), ["new", "old", "again"]);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn more_files_than_may_be_open_are_read_in_turns() {
    let mut bed = Bed::new(&["*.log"]);
    bed.options.max_open_files = 2;
    for i in 0..9 {
        bed.append(&format!("{i}.log"), &format!("{i} a\n"));
    }
    bed.start();
    bed.wait_for(9).await;
    for i in 0..9 {
        bed.append(&format!("{i}.log"), &format!("{i} b\n"));
    }
    bed.wait_for(18).await;
    let mut expected: Vec<_> = (0..9).flat_map(|i| [format!("{i} a"), format!("{i} b")]).collect();
    expected.sort_unstable();
    assert_eq!(bed.sorted(), expected);
    assert!(bed.metrics.parts.get() <= 2);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_while_stopped_is_counted_once() {
    let mut bed = Bed::new(&["*.log"]);
    bed.append("a.log", &numbered(0, 10));
    bed.append("a.log", "an unfinished line");
    bed.start();
    bed.wait_for(10).await;
    bed.crash().await;
    fs::remove_file(bed.path("a.log")).unwrap();
    bed.append("b.log", "b\n");
    bed.start();
    bed.wait_for(11).await;
    bed.until("the count", |bed| bed.metrics.lost_files.get() == 1).await;
    bed.append("b.log", "b\n");
    bed.wait_for(12).await;
    bed.crash().await;
    bed.append("b.log", "b\n");
    bed.start();
    bed.wait_for(13).await;
    assert_eq!(bed.metrics.lost_files.get(), 1);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn containers_of_kubernetes_are_followed_across_rotation_and_crash() {
    let mut bed = Bed::new(&["*/*/*.log"]);
    bed.options.lines = serde_json::from_value(serde_json::json!({"format": "cri"})).unwrap();
    fs::create_dir_all(bed.path("ns_pod_uid/c")).unwrap();
    let cri = |stream: &str, tag: &str, text: &str| {
        format!("2024-05-01T10:00:00.123456789Z {stream} {tag} {text}\n")
    };
    let log = "ns_pod_uid/c/0.log";
    bed.append(log, &cri("stdout", "P", "out one, "));
    bed.append(log, &cri("stderr", "F", "err one"));
    bed.start();
    bed.wait_for(1).await;
    bed.crash().await;
    bed.append(log, &cri("stdout", "F", "and two"));
    bed.start();
    bed.wait_for(2).await;
    bed.rename(log, "ns_pod_uid/c/0.log.20240501-100000");
    bed.append(log, &cri("stderr", "F", "err two"));
    bed.wait_for(3).await;
    fs::remove_dir_all(bed.path("ns_pod_uid")).unwrap();
    bed.until_open(0).await;
    assert_eq!(bed.records(), ["err one", "out one, and two", "err two"]);
    bed.stop().await;
}

#[tokio::test]
async fn options_that_cannot_work_are_said() {
    let bed = Bed::new(&["*.log"]);
    let wrong: [fn(&mut Options); 5] = [
        |options| options.include.clear(),
        |options| options.include = vec!["logs/*.log".to_owned()],
        |options| options.exclude = vec!["[a".to_owned()],
        |options| options.max_open_files = 0,
        |options| options.lines.max_line_size = ByteSize(0),
    ];
    let context = |bed: &Bed| bed.source().context.clone();
    for change in wrong {
        let mut options = bed.options.clone();
        change(&mut options);
        assert!(FileSource::new(options, context(&bed)).is_err());
    }
}

#[test]
fn what_comes_before_a_pass_that_only_gives_out_is_not_taken_for_read() {
    let bed = Bed::new(&["*.log"]);
    bed.append("a.log", &numbered(0, 1));
    let source = bed.source();
    let candidate = Candidate::open(&bed.path("a.log")).unwrap();
    let mut follow = Follow::new("k".into(), Position::default(), &candidate, &source.rules);
    let mut pass = |task| {
        let pass = follow.pass(task, Duration::ZERO, 0).unwrap();
        follow.stored(pass.position);
        (pass.put.map_or(0, |put| put.records()), pass.outcome)
    };
    assert_eq!(pass(Task::Read), (1, Outcome::AtEnd));
    bed.append("a.log", &numbered(1, 3));
    assert_eq!(pass(Task::Flush), (0, Outcome::More));
    assert_eq!(pass(Task::Read), (2, Outcome::AtEnd));
    assert_eq!(pass(Task::Flush), (0, Outcome::AtEnd));
}
