//! On a disk that crashes.

use std::time::Duration;

use Checkpoint::{Latest, ShardEnd, TrimHorizon};

use super::*;
use crate::env::{
    SystemClock,
    sim::{SimFiles, Trouble},
};

fn env(files: &SimFiles) -> Env {
    Env { clock: Arc::new(SystemClock::default()), files: Arc::new(files.clone()) }
}

fn open(files: &SimFiles, known: &[(&str, Checkpoint)]) -> Alone {
    let known = known.iter().map(|(id, at)| ((*id).into(), at.clone())).collect();
    Alone::open("/data/clicks".into(), "clicks", known, &env(files)).unwrap()
}

fn shard(id: &str, parents: &[&str], closed: bool) -> Shard {
    Shard {
        id: id.into(),
        parents: parents.iter().map(|&id| id.into()).collect(),
        hash_range: (0, 9),
        closed,
    }
}

fn at(number: &str) -> Checkpoint {
    Checkpoint::Sequence { number: number.into(), sub_sequence: 0, whole: true }
}

fn held(alone: &Alone) -> Vec<(String, Checkpoint)> {
    let held = alone.held();
    let held = held.borrow();
    held.values().map(|held| (held.shard_id.clone(), held.checkpoint.clone())).collect()
}

fn pairs(of: &[(&str, Checkpoint)]) -> Vec<(String, Checkpoint)> {
    of.iter().map(|(id, at)| ((*id).into(), at.clone())).collect()
}

async fn keep(alone: &Alone, id: &str, to: Checkpoint) -> Result<(), CheckpointError> {
    let lease = alone.held().borrow()[id].clone();
    alone.checkpoint(&lease, &to).await
}

/// Runs until it is stopped, which is at once.
async fn stop(alone: &Alone) {
    let stop = CancellationToken::new();
    stop.cancel();
    alone.run(stop).await;
}

#[tokio::test]
async fn positions_outlive_the_process_and_children_follow_their_parents() {
    let files = SimFiles::new(3);
    let alone = open(&files, &[]);
    alone.sync(&[shard("a", &[], false), shard("b", &[], false)], &Latest).await.unwrap();
    assert_eq!(held(&alone), pairs(&[("a", Latest), ("b", Latest)]));
    keep(&alone, "a", at("9")).await.unwrap();
    keep(&alone, "a", at("10")).await.unwrap();
    keep(&alone, "a", at("9")).await.unwrap();
    stop(&alone).await;
    files.crash();

    let alone = open(&files, &[]);
    assert_eq!(held(&alone), [], "nothing is listed yet");
    let split = [
        shard("a", &[], true),
        shard("b", &[], false),
        shard("c", &["a"], false),
        shard("d", &["a"], false),
    ];
    alone.sync(&split, &Latest).await.unwrap();
    assert_eq!(held(&alone), pairs(&[("a", at("10")), ("b", Latest)]));
    let a = alone.held().borrow()["a"].clone();
    alone.checkpoint(&a, &ShardEnd).await.unwrap();
    let children = [("b", Latest), ("c", TrimHorizon), ("d", TrimHorizon)];
    assert_eq!(held(&alone), pairs(&children));

    // Gone from the stream: forgotten after the second time.
    for forgotten in [false, true] {
        alone.sync(&split[1..], &Latest).await.unwrap();
        assert_eq!(alone.state.lock().known.contains_key("a"), !forgotten);
    }
    assert_eq!(alone.checkpoint(&a, &ShardEnd).await, Err(CheckpointError::Lost));
    stop(&alone).await;
    assert_eq!(open(&files, &[]).state.lock().known.len(), 3);
}

#[tokio::test]
async fn what_the_journal_knows_wins_where_it_is_further() {
    let files = SimFiles::new(4);
    let alone = open(&files, &[("a", at("9")), ("b", at("9"))]);
    alone.sync(&[shard("a", &[], false), shard("b", &[], false)], &Latest).await.unwrap();
    keep(&alone, "a", at("10")).await.unwrap();
    stop(&alone).await;
    let alone = open(&files, &[("a", at("9")), ("b", at("11")), ("c", at("1"))]);
    let shards = ["a", "b", "c"].map(|id| shard(id, &[], false));
    alone.sync(&shards, &TrimHorizon).await.unwrap();
    assert_eq!(held(&alone), pairs(&[("a", at("10")), ("b", at("11")), ("c", at("1"))]));
}

#[tokio::test(start_paused = true)]
async fn the_file_is_written_once_a_second_at_the_most_and_after_trouble_again() {
    let files = SimFiles::new(5);
    let alone = Arc::new(open(&files, &[]));
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (alone, stop) = (alone.clone(), stop.clone());
        async move { alone.run(stop).await }
    });
    files.trouble(Trouble::Write(0));
    alone.sync(&[shard("a", &[], false)], &TrimHorizon).await.unwrap();
    let lease = alone.held().borrow()["a"].clone();
    let known = |files: &SimFiles| open(files, &[]).state.lock().known.get("a").cloned();
    for number in 0..1000 {
        alone.checkpoint(&lease, &at(&number.to_string())).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(known(&files).is_some_and(|at| at != TrimHorizon));
    let renames = files.trace().iter().filter(|line| line.starts_with("rename")).count();
    assert!((2..=11).contains(&renames), "{renames} writes in ten seconds");
    stop.cancel();
    running.await.unwrap();
    assert_eq!(known(&files), Some(at("999")));
}

#[test]
fn a_file_that_is_none_is_not_taken_for_nothing() {
    let files = SimFiles::new(6);
    let env = env(&files);
    let folder = Path::new("/data/clicks");
    env.files.create_dir_all(folder).unwrap();
    let open = |stream| Alone::open(folder.into(), stream, BTreeMap::new(), &env);
    for content in [
        "",
        "{}",
        r#"{"version":2,"stream":"clicks","shards":{}}"#,
        r#"{"version":1,"stream":"clicks","shards":{"a":"x"}}"#,
    ] {
        env.files.replace(&folder.join(FILE), content.as_bytes()).unwrap();
        let error = open("clicks").err().unwrap();
        assert!(error.contains("positions.json") && error.contains("delete it"), "{error}");
    }
    let good = r#"{"version":1,"stream":"clicks","shards":{"a":"12"}}"#;
    env.files.replace(&folder.join(FILE), good.as_bytes()).unwrap();
    assert_eq!(open("clicks").unwrap().state.lock().known.len(), 1);
    assert_eq!(open("orders").unwrap().state.lock().known.len(), 0);
}
