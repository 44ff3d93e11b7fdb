//! Records that are taken apart, go to several partitions, and come from transforms that call
//! somebody else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use fastrand::Rng;
use standpipe::{
    buffer::{LocalJournal, MemoryJournal, Options, Tuning},
    env::sim::SimFiles,
    fault::{Failure, Fault, output_type::PROCESSING_FAILED},
    record::{Piece, Record},
    seams::{Journal, Remote, Transform, Verdict},
    transform::Chain,
};
use tokio::sync::Semaphore;

use crate::world::{Answer, Running, ScriptedSink, Setting, env, put_of, real_env, until};

const PREFIX: &str = "good/k=!{partitionKeyFromQuery:k}/";

/// Splits at commas. The first letter is the partition; `x` is dropped, `f` fails.
struct Apart;

#[async_trait]
impl Transform for Apart {
    fn name(&self) -> &'static str {
        "apart"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let piece = |part: &[u8]| Piece { data: Bytes::copy_from_slice(part), ..Piece::default() };
        let split = |record: &Record| {
            let mut parts: Vec<Piece> = record.data.split(|&b| b == b',').map(piece).collect();
            match parts.len() {
                1 => Verdict::Emit(parts.remove(0)),
                _ => Verdict::Split(parts),
            }
        };
        records.iter().map(split).collect()
    }
}

struct Keys;

#[async_trait]
impl Transform for Keys {
    fn name(&self) -> &'static str {
        "keys"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let verdict = |record: &Record| {
            let mut piece = Piece { data: record.data.clone(), notes: record.notes.clone() };
            let key = String::from_utf8_lossy(&record.data[..1]).into_owned();
            piece.notes.edit().from_query.push(("k".into(), key));
            match record.data[0] {
                b'x' => Verdict::Drop,
                b'f' => Verdict::Fail(Failure::new(PROCESSING_FAILED, "Test.Unfit", "no")),
                _ => Verdict::Emit(piece),
            }
        };
        records.iter().map(verdict).collect()
    }
}

fn chain() -> Chain {
    Chain::new(vec![Arc::new(Apart), Arc::new(Keys)])
}

fn parted(env: standpipe::env::Env, folder: &std::path::Path) -> Setting {
    let mut setting = Setting::new(env, folder);
    (setting.transforms, setting.prefix) = (chain(), PREFIX);
    setting
}

fn memory() -> Arc<MemoryJournal> {
    Arc::new(MemoryJournal::new(&Options::default()))
}

fn counts(running: &Running) -> [u64; 3] {
    let metrics = &running.metrics;
    [&metrics.records, &metrics.failed_records, &metrics.dropped_records].map(|c| c.get())
}

/// The error output's records, unpacked.
fn failed(sink: &ScriptedSink, output_type: &str) -> Vec<String> {
    let raw = |line: String| {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let raw = base64_simd::STANDARD.decode_to_vec(line["rawData"].as_str().unwrap()).unwrap();
        String::from_utf8(raw).unwrap()
    };
    sink.lines(&format!("bad/{output_type}/")).into_iter().map(raw).collect()
}

#[tokio::test(start_paused = true)]
async fn every_piece_reaches_its_own_end_and_the_record_is_settled_with_the_last() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = ScriptedSink::scripted([]);
    let running = parted(real_env(), folder.path()).start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    let records = ["a1,b2,a3", "b4", "x5,x6", "f7,a8,x9", "f10,f11", "a12,a13"];
    journal.append(put_of(&records)).await.unwrap();
    running.flush().await;
    until("all is settled", || counts(&running) == [3, 2, 1]).await;
    assert_eq!(sink.lines("good/k=a/"), ["a1", "a3", "a8", "a12", "a13"]);
    assert_eq!(sink.lines("good/k=b/"), ["b2", "b4"]);
    assert_eq!(failed(&sink, "processing-failed"), ["f7", "f10", "f11"], "pieces, not siblings");
    until("the commit follows", || journal.stats().used_bytes == 0).await;
    running.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_is_not_settled_before_its_last_piece() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = ScriptedSink::scripted([Answer::Take, Answer::Hang]);
    let running = parted(real_env(), folder.path()).start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a1,b2"])).await.unwrap();
    running.flush().await;
    until("both have left", || sink.attempts.lock().len() == 2).await;
    assert_eq!(sink.objects.lock().len(), 1);
    assert_eq!((counts(&running), journal.stats().used_bytes > 0), ([0, 0, 0], true));
    running.kill().await;
    // What was taken apart is put together again: the piece that arrived does not leave again.
    let running = parted(real_env(), folder.path()).start(journal.clone(), sink.clone());
    until("it is settled now", || journal.stats().used_bytes == 0).await;
    let lines = [sink.lines("good/k=a/"), sink.lines("good/k=b/")].concat();
    assert_eq!(lines, ["a1", "b2"]);
    assert_eq!(counts(&running), [1, 0, 0]);
    running.drain().await;
}

#[tokio::test(start_paused = true)]
async fn surplus_partitions_go_to_the_error_output() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = ScriptedSink::scripted([]);
    let mut setting = parted(real_env(), folder.path());
    setting.partitions_max = 2;
    let running = setting.start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a1", "b2", "c3", "d4,e5,d6", "a7"])).await.unwrap();
    let metrics = running.metrics.clone();
    until("the surplus is told", || metrics.partition_count_exceeded.get() == 1).await;
    running.flush().await;
    until("all is settled", || counts(&running) == [3, 2, 0]).await;
    assert_eq!(failed(&sink, "activePartitionExceeded"), ["c3", "d4", "d6", "e5"]);
    // Once they are closed there is room for others.
    journal.append(put_of(&["e8"])).await.unwrap();
    running.flush().await;
    until("it is there", || sink.lines("good/k=e/") == ["e8"]).await;
    running.drain().await;
    assert_eq!(journal.stats().used_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn what_memory_has_no_room_for_comes_back_from_disk() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = ScriptedSink::scripted([]);
    let mut setting = parted(real_env(), folder.path());
    (setting.size, setting.budget) = (1 << 30, 50_000);
    let running = setting.start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    let mut expected: BTreeMap<char, Vec<String>> = BTreeMap::new();
    let mut random = Rng::with_seed(7);
    for i in 0..400 {
        let letter = random.char('g'..='m');
        let record = format!("{letter}{i}-{}", "y".repeat(random.usize(0..4000)));
        journal.append(put_of(&[&record])).await.unwrap();
        expected.entry(letter).or_default().push(record);
    }
    let metrics = running.metrics.clone();
    until("all is read", || metrics.open_batches.get() as usize == expected.len()).await;
    running.drain().await;
    for (letter, records) in expected {
        assert_eq!(sink.lines(&format!("good/k={letter}/")), records, "{letter}");
    }
    assert_eq!(sink.objects.lock().len(), 7, "one object a partition: none was closed early");
    assert_eq!(journal.stats().used_bytes, 0);
}

/// Calls somebody who answers when told to.
struct Distant {
    leave: Arc<Semaphore>,
    inside: Arc<AtomicUsize>,
    gather_bytes: u64,
}

#[async_trait]
impl Transform for Distant {
    fn name(&self) -> &'static str {
        "distant"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        self.inside.fetch_add(1, Ordering::SeqCst);
        self.leave.acquire().await.expect("never closed").forget();
        let verdict = |record: &Record| {
            let data = Bytes::from([&record.data[..], b"!"].concat());
            Verdict::Emit(Piece { data, notes: record.notes.clone() })
        };
        records.iter().map(verdict).collect()
    }

    fn remote(&self) -> Option<Remote> {
        let gather_for = Duration::from_secs(30);
        Some(Remote { gather_bytes: self.gather_bytes, gather_for, concurrency: 3 })
    }
}

#[tokio::test(start_paused = true)]
async fn calls_overlap_and_their_answers_are_taken_in_order() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = ScriptedSink::scripted([]);
    let (leave, inside) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let distant = Distant { leave: leave.clone(), inside: inside.clone(), gather_bytes: 10 };
    let mut setting = Setting::new(real_env(), folder.path());
    setting.transforms = Chain::new(vec![Arc::new(distant)]);
    let running = setting.start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    let records: Vec<String> = (0..20).map(|i| format!("r{i:03}")).collect();
    for two in records.chunks(2) {
        journal.append(put_of(two)).await.unwrap();
    }
    // Ten bytes are two records; three calls are under way, the others wait.
    until("three calls are under way", || inside.load(Ordering::SeqCst) >= 3).await;
    leave.add_permits(100);
    running.flush().await;
    until("all is settled", || counts(&running)[0] == 20).await;
    let shouted: Vec<String> = records.iter().map(|record| format!("{record}!")).collect();
    assert_eq!(sink.lines("good/"), shouted);
    running.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_ends_is_given_up_with_its_run_and_loses_nothing() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = ScriptedSink::scripted([]);
    let start = |permits: usize| {
        let leave = Arc::new(Semaphore::new(permits));
        let distant = Distant { leave, inside: Arc::default(), gather_bytes: 1 << 20 };
        let mut setting = Setting::new(real_env(), folder.path());
        setting.transforms = Chain::new(vec![Arc::new(distant)]);
        setting.start(journal.clone(), sink.clone())
    };
    let running = start(0);
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a", "b"])).await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    running.stop().await;
    let running = start(10);
    until("the interval has passed", || counts(&running)[0] == 2).await;
    assert_eq!(sink.lines("good/"), ["a!", "b!"]);
    running.drain().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_about_to_leave_leaves_as_it_was_though_the_transforms_have_changed() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = ScriptedSink::scripted((0..100).map(|_| Answer::Hang));
    let running = parted(real_env(), folder.path()).start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a1", "b2", "f3", "a4"])).await.unwrap();
    running.flush().await;
    let keys = || sink.attempts.lock().iter().cloned().collect::<BTreeSet<String>>();
    until("three objects are on their way", || keys().len() == 3).await;
    running.kill().await;
    let keys = keys();
    sink.script.lock().clear();
    let mut changed = parted(real_env(), folder.path());
    (changed.transforms, changed.transforms_id) = (Chain::new(vec![]), 2);
    let running = changed.start(journal.clone(), sink.clone());
    until("all is settled", || journal.stats().used_bytes == 0).await;
    running.drain().await;
    assert_eq!(sink.lines("good/k=a/"), ["a1", "a4"]);
    assert_eq!(sink.lines("good/k=b/"), ["b2"]);
    assert_eq!(failed(&sink, "processing-failed"), ["f3"]);
    assert!(sink.objects.lock().keys().all(|key| keys.contains(key)), "under their old keys");
    assert_eq!(std::fs::read_dir(folder.path().join("bodies")).unwrap().count(), 0);
}

fn answer(random: &mut Rng) -> Answer {
    match random.u8(0..10) {
        0 => Answer::Fail(Fault::retry("S3.SlowDown", "503")),
        1 => Answer::TakeAndFail(Fault::retry("S3.RequestTimeout", "no answer")),
        2 => Answer::Fail(Fault::halt("S3.NoSuchBucket", "404")),
        3 => Answer::Hang,
        _ => Answer::Take,
    }
}

/// Emits the pieces in another order than `Apart`.
struct ApartBackwards;

#[async_trait]
impl Transform for ApartBackwards {
    fn name(&self) -> &'static str {
        "apart backwards"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let backwards = |verdict| match verdict {
            Verdict::Split(pieces) => Verdict::Split(pieces.into_iter().rev().collect()),
            other => other,
        };
        Apart.apply(records).await.into_iter().map(backwards).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn pieces_of_other_transforms_are_not_taken_for_those_that_arrived() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = ScriptedSink::scripted([Answer::Take, Answer::Hang]);
    let running = parted(real_env(), folder.path()).start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a1,b2", "a3"])).await.unwrap();
    running.flush().await;
    until("one has arrived", || sink.objects.lock().len() == 1).await;
    running.kill().await;
    sink.script.lock().clear();
    let mut changed = parted(real_env(), folder.path());
    changed.transforms = Chain::new(vec![Arc::new(ApartBackwards), Arc::new(Keys)]);
    changed.transforms_id = 2;
    let running = changed.start(journal.clone(), sink.clone());
    running.flush().await;
    until("all is settled", || journal.stats().used_bytes == 0).await;
    running.drain().await;
    let mut lines = sink.lines("good/");
    lines.sort();
    lines.dedup();
    assert_eq!(lines, ["a1", "a3", "b2"], "rather twice than never");
}

/// One history from its seed: random records that are taken apart, crashes, a disk that forgets.
async fn live_and_die(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let files = SimFiles::new(seed);
    let env = env(Arc::new(files.clone()));
    let folder = tempfile::tempdir().unwrap();
    let sink = ScriptedSink::scripted([]);
    let mut acknowledged: Vec<String> = Vec::new();
    let mut next_id = 0;
    let lives = 6;
    for life in 0..lives {
        files.calm();
        let tuning = Tuning {
            segment_bytes: 4096,
            disk_reserve_bytes: 0,
            keep_delivered_bytes: 0,
            ..Tuning::default()
        };
        let path = folder.path().join("journal");
        let opened = LocalJournal::open_tuned(&path, &Options::default(), &env, None, tuning);
        let journal = Arc::new(opened.expect("a journal opens after any crash"));
        journal.open_cursor("d", true).await.unwrap();
        sink.script.lock().clear();
        sink.script.lock().extend((0..12).map(|_| answer(&mut random)));
        let mut setting = parted(env.clone(), &folder.path().join("d"));
        std::fs::create_dir_all(&setting.folder).unwrap();
        setting.size = random.u64(20..200);
        setting.interval = Duration::from_secs(random.u64(0..30));
        setting.budget = random.u64(50..1000);
        let running = setting.start(journal.clone(), sink.clone());
        for _ in 0..random.usize(1..10) {
            let mut pieces = Vec::new();
            let mut record = || {
                let count = random.usize(1..5);
                let ids: Vec<String> = (0..count)
                    .map(|_| {
                        next_id += 1;
                        format!("{}-{next_id}", random.char('a'..='f'))
                    })
                    .collect();
                pieces.extend(ids.clone());
                ids.join(",")
            };
            let records: Vec<String> = (0..3).map(|_| record()).collect();
            if journal.append(put_of(&records)).await.is_ok() {
                acknowledged.extend(pieces);
            }
            tokio::time::sleep(Duration::from_millis(random.u64(0..40_000))).await;
        }
        if life + 1 < lives {
            files.crash();
            running.kill().await;
            drop(journal);
        } else {
            let stats = journal.clone();
            sink.script.lock().clear();
            running.drain().await;
            until("the journal is empty", || stats.stats().used_bytes < 4096 * 2).await;
        }
    }
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for line in sink.lines("good/").into_iter().chain(failed(&sink, "processing-failed")) {
        *ends.entry(line).or_default() += 1;
    }
    for id in &acknowledged {
        assert_eq!(ends.get(id), Some(&1), "seed {seed}: {id} of {acknowledged:?}");
    }
    assert!(ends.values().all(|count| *count == 1), "seed {seed}: {ends:?}");
}

#[tokio::test(start_paused = true)]
async fn no_piece_of_an_acknowledged_record_is_lost_or_doubled() {
    let seeds = std::env::var("STANDPIPE_CRASH_SEEDS").ok().and_then(|n| n.parse().ok());
    for seed in 0..seeds.unwrap_or(100) {
        live_and_die(seed).await;
    }
}
