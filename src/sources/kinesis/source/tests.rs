//! Against a stream in memory, in paused time.

mod emulator;
mod world;

use std::path::Path;

use tokio::task::JoinHandle;

use self::world::{TestCoordinator, World, WorldReaders};
use super::*;
use crate::{
    env::Env, net::aws::Access, record::Put, sources::testing::TestInlet, telemetry::Metrics,
};

fn options(start: Start) -> Options {
    let mut options: Options = serde_json::from_str(r#"{"stream": "s"}"#).unwrap();
    options.start = start;
    options
}

fn context(folder: &Path) -> Context {
    let region = "eu-west-1".into();
    Context {
        stream: "mine".into(),
        folder: folder.to_owned(),
        access: Access { region, keys: None, role: None, sts_endpoint: None },
        msk_endpoint: None,
        metrics: Metrics::new().source("mine"),
        env: Env::real(),
    }
}

/// A source and what is around it. The world, the coordinator and the folder outlive it.
struct Scene {
    world: Arc<World>,
    coordinator: Arc<TestCoordinator>,
    folder: tempfile::TempDir,
    start: Start,
}

struct Running {
    inlet: Arc<TestInlet>,
    metrics: SourceMetrics,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Scene {
    fn new(shards: &[&str], start: Start) -> Self {
        let (world, coordinator) = (World::with(shards), TestCoordinator::new());
        Self { world, coordinator, folder: tempfile::tempdir().unwrap(), start }
    }

    fn source(&self) -> KinesisSource {
        let context = context(self.folder.path());
        let source = KinesisSource::new(options(self.start.clone()), context).unwrap();
        source.with(Doubles {
            listing: self.world.clone(),
            readers: Arc::new(WorldReaders(self.world.clone())),
            coordinator: self.coordinator.clone(),
        })
    }

    fn run(&self, inlet: &Arc<TestInlet>) -> Running {
        let source = self.source();
        let metrics = source.context.metrics.clone();
        let (stop, inlet) = (CancellationToken::new(), inlet.clone());
        let (token, into) = (stop.clone(), inlet.clone());
        let task = tokio::spawn(async move { source.run(into, token).await });
        Running { inlet, metrics, stop, task }
    }

    async fn until_checkpoint(&self, shard: &str, expected: &str) {
        until(|| self.coordinator.checkpoint_of(shard).as_deref() == Some(expected)).await;
    }

    fn last_opened(&self, shard: &str) -> Option<String> {
        let opened = self.world.opened().into_iter().rev().find(|(id, _)| id == shard);
        opened.map(|(_, from)| from)
    }
}

impl Running {
    async fn stop(self) -> Arc<TestInlet> {
        self.stop.cancel();
        self.task.await.unwrap();
        self.inlet
    }

    fn records(&self) -> Vec<String> {
        texts(&self.inlet)
    }
}

fn texts(inlet: &TestInlet) -> Vec<String> {
    inlet.records().into_iter().map(|record| String::from_utf8(record).unwrap()).collect()
}

/// In paused time nothing else happens than what is due before.
async fn until(condition: impl Fn() -> bool) {
    let all = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), all).await.expect("an hour was not enough");
}

fn shard_of(put: &Put) -> String {
    let place = put.provenance.as_ref().unwrap().place.clone().unwrap();
    assert_eq!(place.stream_arn.as_deref(), Some("arn:aws:kinesis:eu-west-1:1:stream/s"));
    place.shard_id.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_split_and_a_merge_are_followed_parents_first() {
    let scene = Scene::new(&["a"], Start::TrimHorizon);
    for data in ["a1", "a2", "a3"] {
        scene.world.put("a", data);
    }
    scene.world.reshard(&["a"], &["b", "c"]);
    scene.world.put("b", "b1");
    scene.world.put("c", "c1");
    let running = scene.run(&TestInlet::durable(BTreeMap::new()));
    running.inlet.wait_for(5).await;
    let records = running.records();
    assert_eq!(records[..3], ["a1", "a2", "a3"], "the parent comes first");
    scene.until_checkpoint("a", "SHARD_END").await;
    until(|| running.metrics.parts.get() == 2).await;

    scene.world.reshard(&["b", "c"], &["d"]);
    scene.world.put("d", "d1");
    running.inlet.wait_for(6).await;
    assert_eq!(running.records()[5], "d1");
    let told = scene.coordinator.told();
    let end_of = |shard: &str| {
        told.iter().position(|told| *told == (shard.to_owned(), "SHARD_END".to_owned())).unwrap()
    };
    assert!(end_of("a") < end_of("b").min(end_of("c")));
    assert_eq!(scene.last_opened("d").as_deref(), Some("TRIM_HORIZON"));
    scene.until_checkpoint("d", "106").await;
    for (shard, children) in [("a", &["b", "c"][..]), ("b", &["d"]), ("c", &["d"])] {
        assert_eq!(scene.coordinator.followed(shard).unwrap(), children);
    }

    let inlet = running.stop().await;
    let put = inlet.puts().pop().unwrap();
    assert_eq!(shard_of(&put), "d");
    let provenance = put.provenance.unwrap();
    assert_eq!(provenance.steps, [Step::to("s/d", "106")]);
    assert_eq!(provenance.records[0].sequence_number.as_deref(), Some("106"));
    assert_eq!(provenance.records[0].timestamp_ms, Some(1106));
    assert_eq!(*scene.coordinator.runs_ended.borrow(), 1, "the leases are given back");
}

#[tokio::test(start_paused = true)]
async fn in_memory_a_shard_ends_when_its_records_are_settled_and_not_before() {
    let scene = Scene::new(&["a"], Start::TrimHorizon);
    for data in ["a1", "a2", "a3"] {
        scene.world.put("a", data);
    }
    scene.world.reshard(&["a"], &["b"]);
    scene.world.put("b", "b1");
    let running = scene.run(&TestInlet::in_memory());
    running.inlet.wait_for(3).await;
    running.inlet.settle(2);
    scene.until_checkpoint("a", "102").await;
    // Much longer than anything takes: the third is not settled, so the child must wait.
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(running.records().len(), 3);
    running.inlet.settle(3);
    running.inlet.wait_for(4).await;
    assert_eq!(scene.coordinator.checkpoint_of("a").unwrap(), "SHARD_END");

    // What was not settled is read again by the next start, and nothing else.
    let stopped = running.stop().await;
    assert_eq!(texts(&stopped), ["a1", "a2", "a3", "b1"]);
    let again = scene.run(&TestInlet::in_memory());
    again.inlet.wait_for(1).await;
    assert_eq!(again.records(), ["b1"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_stopped_keeps_its_leases_until_its_journal_in_memory_is_delivered() {
    let scene = Scene::new(&["a", "b"], Start::TrimHorizon);
    scene.world.put("a", "a1");
    scene.world.put("b", "b1");
    scene.world.reshard(&["b"], &["c"]);
    let running = scene.run(&TestInlet::drained_last());
    running.inlet.wait_for(2).await;
    running.stop.cancel();
    running.inlet.draining.cancelled().await;
    scene.world.put("a", "a2");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(*scene.coordinator.runs_ended.borrow(), 0, "the leases are renewed");
    // What is delivered is told as ever, and not only at the end.
    running.inlet.settle(1);
    let told = || ["a", "b"].map(|shard| scene.coordinator.checkpoint_of(shard).unwrap());
    until(|| told().iter().filter(|at| *at != "TRIM_HORIZON").count() == 1).await;
    running.inlet.settle(2);
    running.inlet.drained.cancel();
    running.stop().await;
    assert_eq!(told(), ["101", "SHARD_END"]);
    assert_eq!(*scene.coordinator.runs_ended.borrow(), 1);
    let again = scene.run(&TestInlet::in_memory());
    again.inlet.wait_for(1).await;
    assert_eq!(again.records(), ["a2"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_behind_the_later_of_journal_and_coordinator() {
    let scene = Scene::new(&["a", "b"], Start::TrimHorizon);
    for data in ["1", "2", "3"] {
        scene.world.put("a", data);
    }
    let running = scene.run(&TestInlet::durable(BTreeMap::new()));
    running.inlet.wait_for(3).await;
    let inlet = running.stop().await;

    // A crash between the journal and the coordinator: the coordinator knows less.
    let coordinator = TestCoordinator::new();
    let scene = Scene { coordinator, ..scene };
    scene.world.put("a", "4");
    let running = scene.run(&inlet.reopened());
    running.inlet.wait_for(1).await;
    assert_eq!(running.records(), ["4"]);
    assert_eq!(scene.last_opened("a").as_deref(), Some("103"));
    let inlet = running.stop().await;

    // Another replica has read on meanwhile: the coordinator knows more.
    scene.world.put("a", "5");
    scene.world.put("a", "6");
    scene.coordinator.lose("a", Some("105"));
    scene.coordinator.take("a");
    let running = scene.run(&inlet.reopened());
    running.inlet.wait_for(1).await;
    assert_eq!(running.records(), ["6"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_stops_its_reader_and_is_read_anew_when_it_comes_back() {
    let scene = Scene::new(&["a"], Start::TrimHorizon);
    scene.world.put("a", "1");
    let running = scene.run(&TestInlet::in_memory());
    running.inlet.wait_for(1).await;
    // What was read is not put while the journal is full; then the lease goes.
    running.inlet.refuse_as_full(u64::MAX);
    scene.world.put("a", "2");
    until(|| running.metrics.backpressured.get() > 0).await;
    scene.coordinator.lose("a", None);
    until(|| running.metrics.parts.get() == 0).await;
    running.inlet.refuse_as_full(0);
    running.inlet.settle(1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(running.records(), ["1"]);
    assert_eq!(scene.coordinator.checkpoint_of("a").unwrap(), "TRIM_HORIZON", "no longer ours");

    scene.coordinator.take("a");
    running.inlet.wait_for(3).await;
    assert_eq!(running.records(), ["1", "1", "2"], "from the lease's checkpoint");
    running.inlet.settle(3);
    scene.until_checkpoint("a", "102").await;
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_is_refused_as_lost_ends_the_reading_too() {
    let scene = Scene::new(&["a"], Start::TrimHorizon);
    let running = scene.run(&TestInlet::durable(BTreeMap::new()));
    until(|| running.metrics.parts.get() == 1).await;
    scene.coordinator.lose_silently("a");
    scene.world.put("a", "1");
    running.inlet.wait_for(1).await;
    until(|| running.metrics.parts.get() == 0).await;
    scene.world.put("a", "2");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(running.records(), ["1"]);
    // What is stored durably is not read again.
    scene.coordinator.take("a");
    running.inlet.wait_for(2).await;
    assert_eq!(running.records(), ["1", "2"]);
    scene.until_checkpoint("a", "102").await;
}

#[tokio::test(start_paused = true)]
async fn latest_means_the_first_start_for_shards_that_gave_nothing_yet() {
    let scene = Scene::new(&["a", "b"], Start::Latest);
    scene.world.put("a", "old");
    let running = scene.run(&TestInlet::durable(BTreeMap::new()));
    until(|| running.metrics.parts.get() == 2).await;
    assert_eq!(scene.last_opened("a").as_deref(), Some("LATEST"));
    scene.world.put("a", "1");
    running.inlet.wait_for(1).await;
    let inlet = running.stop().await;

    scene.world.reshard(&["a"], &["c"]);
    scene.world.put("c", "2");
    let running = scene.run(&inlet.reopened());
    running.inlet.wait_for(1).await;
    assert_eq!(running.records(), ["2"]);
    assert_eq!(scene.last_opened("a").as_deref(), Some("102"));
    assert_eq!(scene.last_opened("c").as_deref(), Some("TRIM_HORIZON"));
    let from = scene.last_opened("b").unwrap();
    let since = Since::open(scene.folder.path(), "s", &Env::real());
    assert_eq!(from, format!("AT_TIMESTAMP {}", since.at_ms), "what came while it was stopped");
    assert!(!since.is_new);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_gave_nothing_yet_is_handed_over_without_a_gap() {
    let scene = Scene::new(&["a"], Start::Latest);
    let running = scene.run(&TestInlet::durable(BTreeMap::new()));
    until(|| running.metrics.parts.get() == 1).await;
    assert_eq!(scene.last_opened("a").as_deref(), Some("LATEST"));
    // Records come while nobody has it, and another time is known than that of the first start.
    scene.coordinator.note_since("a", 1050);
    scene.coordinator.lose("a", None);
    until(|| running.metrics.parts.get() == 0).await;
    scene.world.put("a", "1");
    scene.coordinator.take("a");
    running.inlet.wait_for(1).await;
    assert_eq!(running.records(), ["1"]);
    assert_eq!(scene.last_opened("a").as_deref(), Some("AT_TIMESTAMP 1050"));
    running.stop().await;
}

/// A journal that has failed.
struct FailedInlet(Arc<TestInlet>);

#[async_trait]
impl Inlet for FailedInlet {
    async fn put(&self, _: Put) -> Result<crate::seams::Appended, crate::seams::AppendError> {
        Err(crate::seams::AppendError::Failed("no disk".into()))
    }

    async fn upstream(&self) -> Result<crate::seams::Upstream, crate::seams::JournalError> {
        self.0.upstream().await
    }

    fn settled(&self) -> watch::Receiver<crate::record::Position> {
        self.0.settled()
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_journal_has_failed_gives_its_leases_back() {
    let scene = Scene::new(&["a", "b"], Start::TrimHorizon);
    let source = scene.source();
    let inlet = Arc::new(FailedInlet(TestInlet::durable(BTreeMap::new())));
    let running = tokio::spawn(async move { source.run(inlet, CancellationToken::new()).await });
    until(|| scene.world.opened().len() == 2).await;
    assert_eq!(*scene.coordinator.runs_ended.borrow(), 0);
    scene.world.put("a", "1");
    running.await.unwrap();
    assert_eq!(*scene.coordinator.runs_ended.borrow(), 1);
    assert_eq!(scene.coordinator.checkpoint_of("a").unwrap(), "TRIM_HORIZON");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dropped_renews_no_longer() {
    let scene = Scene::new(&["a"], Start::TrimHorizon);
    let running = scene.run(&TestInlet::durable(BTreeMap::new()));
    until(|| running.metrics.parts.get() == 1).await;
    running.task.abort();
    until(|| *scene.coordinator.runs_ended.borrow() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_child_of_a_shard_that_the_journal_knows_begins_at_its_first_record() {
    let scene = Scene::new(&["a"], Start::Latest);
    scene.world.reshard(&["a"], &["b"]);
    scene.world.put("b", "1");
    // The coordinator has lost its state, and takes b for a beginning.
    let known = [("s/a".to_owned(), "SHARD_END".to_owned())];
    let running = scene.run(&TestInlet::durable(known.into()));
    running.inlet.wait_for(1).await;
    assert_eq!(running.records(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn trouble_is_counted_and_gone_through_without_a_loss() {
    let scene = Scene::new(&["a"], Start::TrimHorizon);
    for data in ["1", "2", "3"] {
        scene.world.put("a", data);
    }
    let denied = || ReadError::Denied { code: "Kinesis.AccessDenied".into(), message: "no".into() };
    let trouble = ReadError::Trouble { code: "Kinesis.Timeout".into(), message: "slow".into() };
    scene.world.fail_next([ReadError::Throttled("t".into()), trouble, denied(), denied()]);
    let running = scene.run(&TestInlet::durable(BTreeMap::new()));
    running.inlet.wait_for(3).await;
    assert_eq!(running.metrics.throttled.get(), 1);
    assert_eq!(running.records(), ["1", "2", "3"]);

    // The stream is deleted, and comes back.
    scene.world.set_stream_gone(true);
    scene.world.put("a", "4");
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(scene.coordinator.checkpoint_of("a").unwrap(), "103", "that is no end");
    scene.world.set_stream_gone(false);
    running.inlet.wait_for(4).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_retention_deleted_does_not_hold_back_its_children() {
    let scene = Scene::new(&["a", "x"], Start::TrimHorizon);
    scene.world.put("a", "1");
    let running = scene.run(&TestInlet::durable(BTreeMap::new()));
    running.inlet.wait_for(1).await;
    let inlet = running.stop().await;
    scene.world.reshard(&["a"], &["b"]);
    scene.world.put("b", "2");
    scene.world.remove("a");
    let running = scene.run(&inlet.reopened());
    running.inlet.wait_for(1).await;
    assert_eq!(running.records(), ["2"]);
    scene.until_checkpoint("a", "SHARD_END").await;
    // The journal is told with the next record that it need not keep the position.
    scene.world.put("b", "3");
    tokio::time::sleep(Duration::from_secs(120)).await;
    scene.world.put("b", "4");
    running.inlet.wait_for(3).await;
    let puts = running.stop().await.puts();
    let steps: Vec<_> = puts.iter().flat_map(|put| put.provenance.clone().unwrap().steps).collect();
    assert!(steps.contains(&Step::done("s/a")), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn falling_behind_shows() {
    let scene = Scene::new(&["a", "b"], Start::TrimHorizon);
    for number in 0..10 {
        scene.world.put("a", &number.to_string());
    }
    let inlet = TestInlet::durable(BTreeMap::new());
    inlet.refuse_as_full(u64::MAX);
    let running = scene.run(&inlet);
    until(|| running.metrics.millis_behind_latest.get() == 8000).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(running.metrics.millis_behind_latest.get(), 8000, "two are read, and none ahead");
    assert_eq!(running.records().len(), 0);
    inlet.refuse_as_full(0);
    running.inlet.wait_for(10).await;
    until(|| running.metrics.millis_behind_latest.get() == 0).await;
    assert_eq!(running.records().len(), 10);
    assert!(inlet.puts().iter().all(|put| put.records() == 2), "a put for each read");
    running.stop().await;
}

#[test]
fn what_can_never_work_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let source = |json: &str| {
        let options: Options = serde_json::from_str(json).unwrap();
        KinesisSource::new(options, context(folder.path()))
    };
    for (json, expected) in [
        ("{}", "stream: give"),
        (r#"{"stream": "no name"}"#, "no name of"),
        (r#"{"stream_arn": "arn:aws:s3:::bucket"}"#, "no ARN of"),
        (r#"{"stream": "t", "stream_arn": "arn:aws:kinesis:r:1:stream/s"}"#, "two streams"),
        (r#"{"stream": "s", "poll_interval": "100ms"}"#, "poll_interval"),
        (r#"{"stream": "s", "start": {"at_timestamp": "soon"}}"#, "at_timestamp"),
        (r#"{"stream": "s", "endpoint": "nowhere"}"#, "endpoint"),
    ] {
        let error = source(json).err().unwrap_or_default();
        assert!(error.contains(expected), "{json}: {error}");
    }
    let arn = r#"{"stream_arn": "arn:aws-cn:kinesis:cn-north-1:1:stream/s",
        "start": {"at_timestamp": "2026-01-31T12:00:00Z"}}"#;
    let source = source(arn).ok().unwrap();
    assert_eq!(source.context.access.region, "cn-north-1");
    assert_eq!((source.name.as_str(), source.timestamp_ms), ("s", 1_769_860_800_000));
}
