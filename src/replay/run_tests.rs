use std::{fs, path::Path, time::Duration};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    env::{Clock, Env, ManualClock, RealFiles},
    fault::Cause,
    replay::{
        BatchLimits, CodePattern, Contents, FailedLine, Filter, Rate, State, Store, store::Folder,
    },
};

/// What a deliverer is to do at its n-th call, from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Take,
    Fail,
    /// Takes the records, and has the replay stopped.
    TakeAndStop,
    /// Takes nothing of the batch, which is the records' fault.
    Refuse,
    StoreAgain,
}

#[derive(Default)]
struct Script {
    acts: Vec<Act>,
    stop: CancellationToken,
    calls: Mutex<usize>,
    taken: Mutex<Vec<String>>,
}

impl Script {
    fn new(acts: &[Act]) -> Self {
        Self { acts: acts.to_vec(), ..Self::default() }
    }

    /// Takes `calls` batches before it does something else.
    fn after(calls: usize, act: Act) -> Self {
        let mut acts = vec![Act::Take; calls];
        acts.push(act);
        Self::new(&acts)
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().clone()
    }
}

#[async_trait::async_trait]
impl Deliverer for Script {
    async fn deliver(&self, lines: Vec<FailedLine>) -> Result<Vec<Outcome>, DeliverError> {
        let act = {
            let mut calls = self.calls.lock();
            *calls += 1;
            self.acts.get(*calls - 1).copied().unwrap_or(Act::Take)
        };
        // Other calls get their turn in between.
        tokio::task::yield_now().await;
        let cause = || Cause::new("Some.Code", "unfit");
        let outcome = match act {
            Act::Fail => return Err(DeliverError::Failed("broken".into())),
            Act::Refuse => return Ok(vec![Outcome::Refused(cause()); lines.len()]),
            Act::StoreAgain => Outcome::StoredAgain(cause()),
            Act::Take => Outcome::Delivered,
            Act::TakeAndStop => {
                self.stop.cancel();
                Outcome::Delivered
            }
        };
        let texts = lines.iter().map(|line| String::from_utf8_lossy(&line.raw).into_owned());
        self.taken.lock().extend(texts);
        Ok(vec![outcome; lines.len()])
    }
}

struct World {
    root: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("errors")).unwrap();
        Self { root, clock: Arc::new(ManualClock::at(1_000_000_000_000)) }
    }

    /// Objects `a`, `b`, ... of so many lines, with records `a0`, `a1`, ...
    fn with_objects(sizes: &[usize]) -> Self {
        let world = Self::new();
        for (letter, size) in ('a'..).zip(sizes) {
            let text: String = (0..*size).map(|n| line(&format!("{letter}{n}"))).collect();
            world.write(&letter.to_string(), &text);
        }
        world
    }

    fn write(&self, key: &str, data: impl AsRef<[u8]>) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }

    fn path(&self, key: &str) -> std::path::PathBuf {
        self.root.path().join("errors").join(key)
    }

    fn exists(&self, key: &str) -> bool {
        self.path(key).exists()
    }

    fn state(&self) -> State {
        let env = Env { clock: self.clock.clone(), files: Arc::new(RealFiles) };
        State::open(&env, &self.root.path().join("state"), "p").unwrap()
    }

    fn plan(&self) -> Plan {
        let store = Store::Folder(Folder::new(self.path("")));
        Plan {
            batch: BatchLimits { records: 4, bytes: 1000 },
            in_flight: 1,
            // Files are written now, and that is past.
            ..Plan::new(Arc::new(store), "", i64::MAX)
        }
    }

    async fn run(&self, script: &Script) -> Report {
        self.run_with(script, |_| {}).await
    }

    async fn run_with(&self, script: &Script, change: impl FnOnce(&mut Plan)) -> Report {
        let mut plan = Plan { state: Some(self.state()), stop: script.stop.clone(), ..self.plan() };
        change(&mut plan);
        run(plan, script, &()).await
    }
}

fn line(raw: &str) -> String {
    failed(raw, 1, 5)
}

fn failed(raw: &str, attempts: u32, ended_ms: i64) -> String {
    let raw = base64_simd::STANDARD.encode_to_string(raw);
    format!(
        "{{\"attemptsMade\":{attempts},\"arrivalTimestamp\":3,\"errorCode\":\"Splunk.X\",\
         \"attemptEndingTimestamp\":{ended_ms},\"rawData\":\"{raw}\"}}\n"
    )
}

const SIZES: [usize; 5] = [7, 1, 4, 0, 10];

fn all() -> Vec<String> {
    ('a'..)
        .zip(SIZES)
        .flat_map(|(letter, size)| (0..size).map(move |n| format!("{letter}{n}")))
        .collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[tokio::test]
async fn every_record_is_handed_on_once_and_in_order() {
    let world = World::with_objects(&SIZES);
    let script = Script::default();
    let report = world.run(&script).await;
    assert_eq!(script.taken(), all());
    assert!(report.is_clean());
    assert_eq!((report.records.delivered, report.objects.finished), (22, 5));
    let again = Script::default();
    let report = world.run(&again).await;
    assert!(again.taken().is_empty());
    assert_eq!((report.objects.known, report.objects.finished), (5, 0));
}

#[tokio::test]
async fn a_replay_goes_on_from_every_place_where_it_may_stop() {
    for act in [Act::Fail, Act::TakeAndStop] {
        // 22 records in batches of 4.
        for calls in 0..6 {
            let world = World::with_objects(&SIZES);
            let first = Script::after(calls, act);
            let report = world.run(&first).await;
            let expected = match act {
                Act::Fail => End::Failed("broken".into()),
                // Nothing was left to stop.
                _ if calls == 5 => End::Complete,
                _ => End::Stopped,
            };
            assert_eq!(report.end, expected, "{act:?} after {calls}");
            let second = Script::default();
            assert_eq!(world.run(&second).await.end, End::Complete);
            let both = [first.taken(), second.taken()].concat();
            assert_eq!(both, all(), "{act:?} after {calls}");
        }
    }
}

#[tokio::test]
async fn with_several_calls_under_way_nothing_is_lost_and_no_finished_object_repeated() {
    for calls in 0..6 {
        let world = World::with_objects(&SIZES);
        let first = Script::after(calls, Act::Fail);
        let report = world.run_with(&first, |plan| plan.in_flight = 3).await;
        let second = Script::default();
        world.run_with(&second, |plan| plan.in_flight = 3).await;
        let mut both = sorted([first.taken(), second.taken()].concat());
        both.dedup();
        assert_eq!(both, all(), "after {calls}");
        // A whole object is missing in the second run for each that the first one finished.
        let letters: std::collections::BTreeSet<_> =
            second.taken().iter().map(|text| text.chars().next()).collect();
        let finished = report.objects.finished as usize;
        assert!(letters.len() <= SIZES.len() - finished, "{finished} {letters:?}");
    }
}

#[tokio::test]
async fn calls_under_way_are_bounded_by_their_bytes() {
    /// The most bytes that were under way at a time.
    #[derive(Default)]
    struct Most(Mutex<(usize, usize)>);
    #[async_trait::async_trait]
    impl Deliverer for Most {
        async fn deliver(&self, lines: Vec<FailedLine>) -> Result<Vec<Outcome>, DeliverError> {
            let bytes: usize = lines.iter().map(|line| line.raw.len()).sum();
            {
                let (now, most) = &mut *self.0.lock();
                *now += bytes;
                *most = (*most).max(*now);
            }
            // All that may begin has begun by then.
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            self.0.lock().0 -= bytes;
            Ok(vec![Outcome::Delivered; lines.len()])
        }
    }
    let world = World::new();
    world.write("a", line(&"x".repeat(100)).repeat(50));
    let most = Most::default();
    let plan = Plan {
        in_flight: 50,
        in_flight_bytes: 1000,
        batch: BatchLimits { records: 4, bytes: 10_000 },
        ..world.plan()
    };
    assert_eq!(run(plan, &most, &()).await.records.delivered, 50);
    // One batch more than the bound at most.
    let most = most.0.lock().1;
    assert!((1..1400).contains(&most), "{most}");
}

#[tokio::test]
async fn without_a_state_everything_is_done_again() {
    let world = World::with_objects(&[3]);
    for _ in 0..2 {
        let script = Script::default();
        run(world.plan(), &script, &()).await;
        assert_eq!(script.taken(), ["a0", "a1", "a2"]);
    }
}

#[tokio::test]
async fn an_answer_of_another_length_settles_nothing() {
    struct Short;
    #[async_trait::async_trait]
    impl Deliverer for Short {
        async fn deliver(&self, _: Vec<FailedLine>) -> Result<Vec<Outcome>, DeliverError> {
            Ok(vec![Outcome::Delivered])
        }
    }
    let world = World::with_objects(&[3]);
    let report = run(world.plan(), &Short, &()).await;
    assert!(matches!(report.end, End::Failed(_)), "{:?}", report.end);
    assert_eq!(report.records.delivered, 0);
}

#[tokio::test]
async fn objects_are_put_away_only_if_all_of_them_was_taken() {
    for moved in [false, true] {
        let world = World::with_objects(&[3, 3]);
        world.write("sub/damaged", format!("{}nonsense\n", line("x")));
        world.write("wrong", line("y").replace("Splunk.X", "Splunk.Y"));
        let to = world.root.path().join("done");
        let change = |plan: &mut Plan| {
            plan.disposal = match moved {
                true => Disposal::MoveTo(format!("{}/", to.display())),
                false => Disposal::Delete,
            };
            plan.batch.records = 3;
            let codes = vec![CodePattern::parse("Splunk.X")];
            plan.filter = Arc::new(Filter { codes, ..Filter::default() });
        };
        // The second object is refused.
        let script = Script::after(1, Act::Refuse);
        let report = world.run_with(&script, change).await;
        assert!(!world.exists("a") && world.exists("b"));
        assert!(world.exists("sub/damaged") && world.exists("wrong"));
        assert_eq!(to.join("a").exists(), moved);
        let objects = report.objects;
        assert_eq!((objects.deleted, objects.moved), if moved { (0, 1) } else { (1, 0) });
        assert_eq!((objects.finished, objects.kept), (4, 3));
        let records = report.records;
        assert_eq!((records.refused, records.damaged, records.filtered), (3, 1, 1));
        assert!(!report.is_clean());
        // Refused is refused: the next run does not try them again, and keeps the object.
        let report = world.run_with(&Script::default(), change).await;
        assert_eq!((report.objects.kept, report.records.delivered), (3, 0));
        assert!(world.exists("b"));
    }
}

#[tokio::test]
async fn an_object_with_damage_is_kept_however_often_the_replay_stops() {
    let world = World::new();
    let damaged = line("x").replace("\"rawData\":\"", "\"rawData\":\"~~");
    world.write("a", damaged + &["a0", "a1", "a2", "a3", "a4", "a5"].map(line).concat());
    let delete = |plan: &mut Plan| plan.disposal = Disposal::Delete;
    // The first batch is taken, and the damage lies before its end.
    world.run_with(&Script::after(1, Act::Fail), delete).await;
    let report = world.run_with(&Script::default(), delete).await;
    assert_eq!((report.records.damaged, report.objects.kept), (1, 1));
    assert!(world.exists("a"));
}

#[tokio::test]
async fn objects_of_others_are_neither_read_nor_put_away() {
    const TAIL: &str = "1-2026-07-13-14-05-12-67e55044-10b1-426f-9247-bb680e5fe0c8";
    let world = World::new();
    let names = ["e-logs", "e-logs-audit", "f-logs"].map(|it| it.replacen('-', "/", 1));
    for name in &names {
        world.write(&format!("{name}-{TAIL}"), line("x"));
    }
    // One of the stream's own, of another destination's kind, and one with both.
    let other = line("y").replace("Splunk.X", "OS.X");
    let own = ["e/logs-2", "e/logs-3"].map(|name| format!("{name}{}", &TAIL[1..]));
    world.write(&own[0], &other);
    world.write(&own[1], line("z") + &other);
    let script = Script::default();
    let report = world.run_with(&script, |plan| {
        plan.prefix = "e/".into();
        plan.stream = Some("logs".into());
        plan.disposal = Disposal::Delete;
        plan.filter = Arc::new(Filter { kinds: vec![Kind::Splunk], ..Filter::default() });
    });
    assert_eq!(report.await.objects.deleted, 1);
    assert_eq!(script.taken(), ["x", "z"]);
    let left: Vec<String> = names.iter().map(|name| format!("{name}-{TAIL}")).chain(own).collect();
    let left: Vec<bool> = left.iter().map(|name| world.exists(name)).collect();
    assert_eq!(left, [false, true, true, true, true]);
}

#[tokio::test]
async fn what_was_not_put_away_is_by_the_next_run() {
    let world = World::with_objects(&[3]);
    world.run(&Script::default()).await;
    let delete = |plan: &mut Plan| plan.disposal = Disposal::Delete;
    let report = world.run_with(&Script::default(), delete).await;
    assert_eq!((report.objects.known, report.objects.deleted), (1, 1));
    assert!(!world.exists("a"));
}

#[tokio::test]
async fn a_move_among_the_objects_themselves_is_refused() {
    let world = World::new();
    let outside = world.root.path().join("done");
    for (to, is_fine) in [("done/", false), ("../done/", false), (outside.to_str().unwrap(), true)]
    {
        let plan = Plan { disposal: Disposal::MoveTo(to.into()), ..world.plan() };
        // Places are compared as they are written: the second only looks as if it lay below.
        assert_eq!(plan.check().is_ok(), is_fine, "{to}");
    }
}

#[tokio::test]
async fn objects_that_cannot_be_read_are_named_and_the_rest_goes_on() {
    use crate::{
        encode::{Compression, encoder},
        seams::RawBatch,
    };
    let world = World::with_objects(&[2]);
    world.write("b.parquet", b"PAR1 and columns");
    let many: String = (0..3000).map(|n| line(&format!("{:x}", n * 7_919_993u64))).collect();
    let packed = encoder(Compression::Gzip).encode(RawBatch::of(many.into_bytes(), 1)).unwrap();
    world.write("c.gz", &packed.body[..packed.body.len() / 2]);
    world.write("d", line("d0"));
    let first = Script::default();
    let report = world.run(&first).await;
    assert_eq!((report.end.clone(), report.objects.unreadable), (End::Complete, 2));
    assert!(!report.is_clean());
    let named: Vec<&str> = report.troubles.iter().map(|trouble| &*trouble.object).collect();
    assert_eq!(named, ["b.parquet", "c.gz"]);
    let taken = first.taken();
    assert!(taken.len() > 100 && taken.contains(&"a1".into()) && taken.contains(&"d0".into()));
    // They are looked at again, but what was handed on of them is not handed on again.
    let second = Script::default();
    let report = world.run(&second).await;
    assert_eq!((report.objects.unreadable, second.taken().len()), (2, 0));
}

#[tokio::test]
async fn a_manifest_is_done_when_its_objects_are() {
    let world = World::new();
    world.write("data/one", "r1\nr2\n");
    world.write("data/two", "r3\n");
    world.write("data/columns", b"PAR1");
    let manifest = |names: &[&str]| {
        let entries: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({"url": format!("file:../data/{name}")}))
            .collect();
        serde_json::json!({"entries": entries}).to_string()
    };
    // The store is the folder above: manifests name what lies beside them.
    world.write("m/good", manifest(&["one", "two"]).replace("../", ""));
    world.write("m/bad", manifest(&["columns", "absent"]).replace("../", ""));
    let script = Script::default();
    let report = world
        .run_with(&script, |plan| {
            plan.contents = Contents::Errors;
            plan.disposal = Disposal::Delete;
        })
        .await;
    // Listed by themselves, the data are no error records.
    assert_eq!(script.taken(), ["r1\n", "r2\n", "r3\n"]);
    assert!(!world.exists("m/good") && world.exists("m/bad"));
    assert!(world.exists("data/one") && world.exists("data/two"));
    assert_eq!(report.objects.deleted, 1);
    let second = Script::default();
    world.run(&second).await;
    assert!(second.taken().is_empty());
}

#[tokio::test]
async fn raw_objects_are_taken_apart_at_their_delimiter() {
    let world = World::new();
    world.write("a", "one;two;three");
    let script = Script::default();
    let report = world
        .run_with(&script, |plan| {
            plan.contents = Contents::Raw;
            plan.delimiter = b";".to_vec();
            plan.keep_delimiter = false;
        })
        .await;
    assert_eq!(script.taken(), ["one", "two", "three"]);
    assert!(report.is_clean());
}

#[tokio::test]
async fn a_record_that_comes_back_is_not_handed_on_for_ever() {
    let world = World::new();
    let change = |plan: &mut Plan| plan.replays_max = 3;
    let mut rounds = 0;
    for round in 0..6 {
        let now = world.clock.now_ms();
        // The stream failed the record again, half an hour ago, with a line break behind it.
        world.write(
            &format!("{round}"),
            failed(&format!("x{}", "\n".repeat(round)), 1, now - 1_800_000),
        );
        let script = Script::default();
        let report = world.run_with(&script, change).await;
        rounds += script.taken().len();
        assert_eq!(report.records.circling, u64::from(round >= 3), "round {round}");
        assert_eq!(report.is_clean(), round < 3);
        world.clock.advance(Duration::from_secs(3600));
    }
    assert_eq!(rounds, 3);
}

#[tokio::test]
async fn a_record_with_too_many_attempts_is_left() {
    let world = World::new();
    world.write("a", failed("few", 10, 5) + &failed("many", 11, 5));
    let script = Script::new(&[Act::StoreAgain]);
    let report = world.run_with(&script, |plan| plan.attempts_max = Some(10)).await;
    assert_eq!(script.taken(), ["few"]);
    let records = report.records;
    assert_eq!((records.stored_again, records.exhausted, records.delivered), (1, 1, 0));
}

#[tokio::test]
async fn objects_written_since_the_replay_began_are_for_the_next_one() {
    let world = World::with_objects(&[2]);
    let script = Script::default();
    let report = world.run_with(&script, |plan| plan.started_ms = 1000).await;
    assert_eq!((report.objects.newer, script.taken().len()), (1, 0));
    let filter = Filter { from_ms: Some(i64::MAX), ..Filter::default() };
    let report = world.run_with(&script, |plan| plan.filter = Arc::new(filter)).await;
    assert_eq!((report.objects.older, script.taken().len()), (1, 0));
}

#[tokio::test]
async fn a_survey_changes_nothing() {
    let world = World::with_objects(&SIZES);
    let plan = Plan { disposal: Disposal::Delete, state: Some(world.state()), ..world.plan() };
    let report = survey(plan, &()).await;
    let rows: Vec<_> = report
        .summary
        .rows()
        .map(|(kind, code, row)| (kind, code.to_owned(), row.records, row.sample.record.clone()))
        .collect();
    assert_eq!(rows, [(Kind::Splunk, "Splunk.X".to_owned(), 22, "a0".to_owned())]);
    assert!(world.exists("a"));
    let script = Script::default();
    world.run(&script).await;
    assert_eq!(script.taken(), all());
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_no_success() {
    let store = Store::Folder(Folder::new(Path::new("/nowhere/at/all").to_owned()));
    let report = run(Plan::new(Arc::new(store), "", i64::MAX), &Script::default(), &()).await;
    assert!(matches!(report.end, End::Failed(_)), "{:?}", report.end);
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_kept() {
    let world = World::with_objects(&[100]);
    let begun = tokio::time::Instant::now();
    let script = Script::default();
    let rate = Rate { records_per_s: Some(10.0), bytes_per_s: None };
    let plan = Plan { rate, batch: BatchLimits { records: 500, bytes: 1 << 20 }, ..world.plan() };
    let report = run(plan, &script, &()).await;
    assert_eq!(report.records.delivered, 100);
    // Ten batches of ten; the last goes after nine seconds.
    assert_eq!((*script.calls.lock(), begun.elapsed().as_secs()), (10, 9));
}

#[tokio::test]
async fn progress_comes_to_its_end() {
    struct Last(Mutex<Advance>);
    impl Observer for Last {
        fn advanced(&self, advance: &Advance) {
            *self.0.lock() = *advance;
        }
    }
    let world = World::with_objects(&SIZES);
    let last = Last(Mutex::default());
    run(world.plan(), &Script::default(), &last).await;
    let advance = *last.0.lock();
    assert!(advance.is_listed);
    assert_eq!((advance.listed_objects, advance.done_objects), (5, 5));
    assert_eq!((advance.listed_bytes, advance.records), (advance.done_bytes, 22));
    assert!(advance.done_bytes > 0);
}
