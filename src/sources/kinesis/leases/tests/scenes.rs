//! What happens to the leases when replicas come and go.

use Checkpoint::{Latest, ShardEnd, TrimHorizon};

use super::*;
use crate::sources::kinesis::CheckpointError;

struct Stage {
    server: Server,
    clock: Arc<dyn Clock>,
}

impl Stage {
    fn new() -> Self {
        Self { server: Server::default(), clock: Arc::new(TokioClock::default()) }
    }

    fn worker(&self, name: &str) -> Worker {
        let seed = name.bytes().map(u64::from).sum();
        Worker::start(&self.server, name, usize::MAX, self.clock.clone(), seed)
    }
}

/// Everything is held, each by one.
fn is_spread(workers: &[&Worker], shards: usize, most: usize) -> bool {
    let loads: Vec<_> = workers.iter().map(|worker| worker.held().len()).collect();
    loads.iter().sum::<usize>() == shards && loads.iter().all(|load| *load <= most)
}

#[tokio::test(start_paused = true)]
async fn the_load_evens_out_as_replicas_come_and_go() {
    let stage = Stage::new();
    let shards = shards(6);
    let a = stage.worker("a");
    a.sync(&shards).await;
    until("a holds all", || is_spread(&[&a], 6, 6)).await;
    let b = stage.worker("b");
    b.sync(&shards).await;
    until("two share", || is_spread(&[&a, &b], 6, 3)).await;
    let c = stage.worker("c");
    c.sync(&shards).await;
    until("three share", || is_spread(&[&a, &b, &c], 6, 2)).await;

    // Nothing moves any more.
    let before = [a.held(), b.held(), c.held()];
    sleep(FAILOVER * 20).await;
    assert_eq!([a.held(), b.held(), c.held()], before);

    // One that stops gives its leases back at once; for one that dies the others have to wait.
    b.stop().await;
    assert_eq!(stage.server.rows.lock().values().filter(|row| row.owner.is_none()).count(), 2);
    until("two again", || is_spread(&[&a, &c], 6, 3)).await;
    let died = tokio::time::Instant::now();
    c.kill();
    until("a has all again", || is_spread(&[&a], 6, 6)).await;
    let waited = died.elapsed();
    assert!(waited > FAILOVER / 3 && waited < FAILOVER * 4, "{waited:?}");
    a.stop().await;
    assert!(stage.server.rows.lock().values().all(|row| row.owner.is_none()));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_cut_off_lets_go_by_itself_before_another_takes_over() {
    let stage = Stage::new();
    let (a, b) = (stage.worker("a"), stage.worker("b"));
    a.sync(&shards(4)).await;
    until("a holds all", || is_spread(&[&a], 4, 4)).await;
    b.sync(&shards(4)).await;
    until("two share", || is_spread(&[&a, &b], 4, 2)).await;
    let held = a.held();
    a.weather.lock().cut = true;
    let cut = tokio::time::Instant::now();
    let mut changes = a.coordinator.held();
    until("a lets go", || changes.borrow_and_update().is_empty()).await;
    assert!(cut.elapsed() <= FAILOVER);
    assert!(b.ids().is_disjoint(&held.keys().cloned().collect()));
    until("b has all", || is_spread(&[&b], 4, 4)).await;
    a.weather.lock().cut = false;
    for held in held.values() {
        assert_eq!(a.coordinator.checkpoint(held, &at(1)).await, Err(CheckpointError::Lost));
    }
    until("two share again", || is_spread(&[&a, &b], 4, 2)).await;
    let again = a.held();
    assert!(again.values().all(|held| !held.checkpoint.eq(&at(1))));
    assert!(held.iter().all(|(id, held)| again.get(id).is_none_or(|h| h.holding > held.holding)));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_counts_from_when_it_was_sent() {
    let stage = Stage::new();
    let a = stage.worker("a");
    a.sync(&shards(1)).await;
    until("a holds it", || a.held().len() == 1).await;
    // One renewal is begun within a third of the failover time; its answer takes half of it.
    a.weather.lock().slow = FAILOVER / 2;
    sleep(FAILOVER * 2 / 5).await;
    a.weather.lock().cut = true;
    sleep(FAILOVER / 2).await;
    assert_eq!(a.held().len(), 1);
    sleep(FAILOVER / 2).await;
    assert_eq!(a.held().len(), 0, "and would last longer if it counted from the answer");
}

#[tokio::test(start_paused = true)]
async fn one_that_was_frozen_finds_that_its_leases_are_another_ones() {
    let stage = Stage::new();
    let (a, b) = (stage.worker("a"), stage.worker("b"));
    a.sync(&shards(2)).await;
    until("a holds all", || is_spread(&[&a], 2, 2)).await;
    a.is_frozen.store(true, Ordering::SeqCst);
    b.sync(&shards(2)).await;
    let stale = a.coordinator.held().borrow().clone();
    until("b has all", || is_spread(&[&b], 2, 2)).await;
    // It has not looked yet, and thinks it holds them.
    assert_eq!(*a.coordinator.held().borrow(), stale);
    assert_eq!(stale.len(), 2);
    for held in stale.values() {
        assert!(!a.coordinator.holds(held), "its clock tells");
        assert_eq!(a.coordinator.checkpoint(held, &at(1)).await, Err(CheckpointError::Lost));
    }
    assert_eq!(stage.server.checkpoint("shard-00"), Some(TrimHorizon));
    a.is_frozen.store(false, Ordering::SeqCst);
    until("two share", || is_spread(&[&a, &b], 2, 1)).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_has_its_leases_at_once() {
    let stage = Stage::new();
    let (a, b) = (stage.worker("a"), stage.worker("b"));
    a.sync(&shards(4)).await;
    b.sync(&shards(4)).await;
    until("two share", || is_spread(&[&a, &b], 4, 2)).await;
    for (n, held) in a.held().values().enumerate() {
        a.coordinator.checkpoint(held, &at(n as u64)).await.unwrap();
    }
    let ids = a.ids();
    a.kill();
    let again = stage.worker("a");
    again.sync(&shards(4)).await;
    let began = tokio::time::Instant::now();
    until("they are back", || again.ids() == ids).await;
    assert!(began.elapsed() < FAILOVER / 2);
    assert!(again.held().values().all(|held| held.checkpoint != TrimHorizon));
}

#[tokio::test(start_paused = true)]
async fn no_more_leases_are_held_than_allowed() {
    let stage = Stage::new();
    let a = Worker::start(&stage.server, "a", 2, stage.clock.clone(), 1);
    a.sync(&shards(5)).await;
    until("two", || a.held().len() == 2).await;
    sleep(FAILOVER * 20).await;
    assert_eq!(a.held().len(), 2);
    let b = stage.worker("b");
    b.sync(&shards(5)).await;
    until("b has the rest", || is_spread(&[&a, &b], 5, 3)).await;
}

#[tokio::test(start_paused = true)]
async fn children_are_read_once_their_parents_are_at_their_end_and_all_is_tidied_up() {
    let stage = Stage::new();
    let (a, b) = (stage.worker("a"), stage.worker("b"));
    let family = [
        shard("p", &[], true),
        shard("q", &[], false),
        shard("c", &["p"], false),
        shard("d", &["p"], false),
    ];
    a.sync(&family).await;
    b.sync(&family).await;
    let all = |ids: &[&str]| {
        let held: BTreeSet<_> = a.ids().union(&b.ids()).cloned().collect();
        held == ids.iter().map(|&id| id.to_owned()).collect()
    };
    until("the children wait", || all(&["p", "q"])).await;
    sleep(FAILOVER * 5).await;
    assert!(all(&["p", "q"]));
    let reader = if a.ids().contains("p") { &a } else { &b };
    let p = reader.held()["p"].clone();
    reader.coordinator.checkpoint(&p, &at(5)).await.unwrap();
    reader.coordinator.checkpoint(&p, &ShardEnd).await.unwrap();
    assert!(!reader.coordinator.held().borrow().contains_key("p"));
    assert_eq!(reader.coordinator.checkpoint(&p, &at(9)).await, Err(CheckpointError::Lost));
    let children = stage.server.rows.lock()["p"].children.clone();
    assert_eq!(children, ["c", "d"]);
    until("the children are read", || all(&["q", "c", "d"])).await;

    a.sync(&family).await;
    assert_eq!(stage.server.checkpoint("p"), Some(ShardEnd), "its children are where they began");
    for worker in [&a, &b] {
        for held in worker.held().values().filter(|held| held.shard_id != "q") {
            worker.coordinator.checkpoint(held, &at(1)).await.unwrap();
        }
    }
    a.sync(&family).await;
    assert_eq!(stage.server.checkpoint("p"), None);
    b.sync(&family).await;
    assert_eq!(stage.server.checkpoint("p"), None, "it is listed, and not made again");

    // q goes from the stream.
    let rest = [family[2].clone(), family[3].clone()];
    for gone in [false, true] {
        a.sync(&rest).await;
        // A renewal may come between the look and the deletion; then it takes one more.
        if gone {
            while stage.server.checkpoint("q").is_some() {
                a.sync(&rest).await;
            }
        }
        assert_eq!(stage.server.checkpoint("q").is_none(), gone);
    }
    until("nobody reads q", || all(&["c", "d"])).await;
}

#[tokio::test(start_paused = true)]
async fn the_row_of_a_shard_at_its_end_names_children_that_are_not_listed_yet() {
    let p = shard("p", &[], true);
    let ids = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
    for (listed, told, expected) in [
        (&[][..], &["d", "c"][..], &["c", "d"][..]),
        (&["c"], &["c", "d"], &["c", "d"]),
        (&["c"], &[], &["c"]),
        (&[], &[], &[]),
    ] {
        let stage = Stage::new();
        let a = stage.worker("a");
        let listed = listed.iter().map(|id| shard(id, &["p"], false));
        let family: Vec<_> = std::iter::once(p.clone()).chain(listed).collect();
        a.sync(&family).await;
        until("a reads p", || a.ids().contains("p")).await;
        let held = a.held()["p"].clone();
        a.coordinator.followed_by(&held, &ids(told));
        a.coordinator.checkpoint(&held, &at(5)).await.unwrap();
        assert_eq!(stage.server.rows.lock()["p"].children, ids(&[]), "it is not at its end");
        // A list that knows less takes nothing away.
        a.sync(&family).await;
        a.coordinator.checkpoint(&held, &ShardEnd).await.unwrap();
        assert_eq!(stage.server.rows.lock()["p"].children, ids(expected));
        a.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_table_begins_at_what_comes_in_from_now_on() {
    let stage = Stage::new();
    let a = stage.worker("a");
    let before = [shard("p", &[], true), shard("c", &["p"], false)];
    a.coordinator.sync(&before, &Latest).await.unwrap();
    until("c", || a.ids() == ["c".to_owned()].into()).await;
    assert_eq!(a.held()["c"].checkpoint, Latest);
    // Whoever has it next begins when the first one did.
    let first = a.held()["c"].clone();
    assert!(first.is_new && first.since_ms.is_some());
    a.stop().await;
    let a = stage.worker("b");
    a.coordinator.sync(&before, &TrimHorizon).await.unwrap();
    until("c again", || a.ids() == ["c".to_owned()].into()).await;
    let second = a.held()["c"].clone();
    assert_eq!(
        (second.checkpoint, second.since_ms, second.is_new),
        (Latest, first.since_ms, false)
    );
    let after = [shard("c", &["p"], true), shard("e", &["c"], false)];
    a.coordinator.sync(&after, &Latest).await.unwrap();
    assert_eq!(stage.server.checkpoint("e"), Some(TrimHorizon));
}

#[tokio::test(start_paused = true)]
async fn a_new_table_begins_where_the_journal_stands() {
    let stage = Stage::new();
    let link = Link::new(&stage.server, Arc::default(), 1);
    let timing = Timing::of(FAILOVER);
    let (table, clock) = (Box::new(link), stage.clock.clone());
    let coordinator =
        DynamoCoordinator::over(table, "a".into(), "clicks", timing, usize::MAX, clock);
    let coordinator = coordinator.knowing([("c".to_owned(), at(7))].into());
    let shards = [shard("p", &[], true), shard("c", &["p"], true), shard("d", &["c"], false)];
    coordinator.sync(&shards, &Latest).await.unwrap();
    let begun = ["p", "c", "d"].map(|id| stage.server.checkpoint(id));
    assert_eq!(begun, [None, Some(at(7)), Some(TrimHorizon)]);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_whose_answer_is_lost_is_found_out() {
    let stage = Stage::new();
    let a = stage.worker("a");
    a.sync(&shards(1)).await;
    until("a holds it", || a.held().len() == 1).await;
    let held = a.held()["shard-00"].clone();
    let keep = async |number| a.coordinator.checkpoint(&held, &at(number)).await;
    let stored = || stage.server.checkpoint("shard-00");
    keep(1).await.unwrap();
    for number in [2, 4, 6] {
        a.weather.lock().unanswered = 1;
        let error = keep(number).await.unwrap_err();
        assert!(matches!(error, CheckpointError::Trouble { .. }), "{error}");
        assert_eq!(stored(), Some(at(number)), "it was done");
        // The same again, or further.
        let next = if number == 4 { 4 } else { number + 1 };
        keep(next).await.unwrap();
        assert_eq!(stored(), Some(at(next)));
    }
    // A renewal finds out, too.
    a.weather.lock().unanswered = 1;
    keep(8).await.unwrap_err();
    sleep(FAILOVER).await;
    keep(9).await.unwrap();
    assert_eq!(stored(), Some(at(9)));
    assert!(a.coordinator.holds(&held), "it is the same holding all the time");

    // What looks like one's own doing must have been in doubt.
    stage.server.rows.lock().get_mut("shard-00").unwrap().counter += 1;
    assert_eq!(keep(10).await, Err(CheckpointError::Lost));
}

#[tokio::test(start_paused = true)]
async fn leases_of_another_stream_are_left_alone() {
    let stage = Stage::new();
    let a = stage.worker("a");
    a.sync(&shards(2)).await;
    let b = stage.worker("b");
    let mut other = shards(1);
    other[0].hash_range = (0, 5);
    let error = b.coordinator.sync(&other, &TrimHorizon).await.unwrap_err();
    assert!(error.to_string().contains("another stream"), "{error}");
    sleep(FAILOVER * 10).await;
    assert!(b.held().is_empty() && a.held().len() == 2);
}
