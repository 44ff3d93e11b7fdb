//! Every end a record can have.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use standpipe::{
    batch::SizeOf,
    buffer::{MemoryJournal, Options},
    delivery::{State, history},
    encode::Compression,
    fault::{Cause, Failure, Fault},
    record::{Piece, Ranges, Record},
    seams::{Delivered, Journal, Transform, Verdict},
    transform::Chain,
};

use crate::world::{Answer, Running, ScriptedSink, Setting, put_of, real_env, until};

/// Upper-cases; drops what begins with `drop`, fails what begins with `fail`, doubles `twin`.
struct Rules;

#[async_trait]
impl Transform for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let verdict = |record: &Record| {
            let text = String::from_utf8_lossy(&record.data).into_owned();
            let upper = Bytes::from(text.to_uppercase());
            match &text[..4] {
                "drop" => Verdict::Drop,
                "fail" => Verdict::Fail(failure("Test.Unfit")),
                "twin" => Verdict::Split(vec![piece(upper.clone()), piece(upper)]),
                _ => Verdict::Emit(piece(upper)),
            }
        };
        records.iter().map(verdict).collect()
    }
}

fn piece(data: Bytes) -> Piece {
    Piece { data, ..Piece::default() }
}

fn failure(code: &str) -> Failure {
    Failure {
        details: Vec::new(),
        output_type: "processing-failed",
        cause: Cause::new(code, "does not fit"),
        attempts: 1,
    }
}

pub fn memory() -> Arc<MemoryJournal> {
    Arc::new(MemoryJournal::new(&Options::default()))
}

fn counts(running: &Running) -> [u64; 3] {
    let metrics = &running.metrics;
    [&metrics.records, &metrics.failed_records, &metrics.dropped_records].map(|c| c.get())
}

#[tokio::test(start_paused = true)]
async fn delivered_dropped_failed_and_nothing_else() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = ScriptedSink::scripted([]);
    let mut setting = Setting::new(real_env(), folder.path());
    setting.transforms = Chain::new(vec![Arc::new(Rules)]);
    let running = setting.start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["aaaa", "drop", "fail-1", "twin", "fail-2", "bbbb"])).await.unwrap();
    assert_eq!(running.flush().await, 2);
    until("all is settled", || counts(&running) == [3, 2, 1]).await;
    assert_eq!(sink.lines("good/2026/s-1-2026"), ["AAAA", "TWIN", "TWIN", "BBBB"]);
    let failed = sink.lines("bad/processing-failed/s-1-");
    assert_eq!(failed.len(), 2);
    assert!(failed[0].contains(r#""rawData":"ZmFpbC0x""#), "{failed:?}");
    assert!(failed[0].contains(r#""errorCode":"Test.Unfit""#), "{failed:?}");
    until("the commit follows", || journal.stats().used_bytes == 0).await;

    let found = history::find(&folder.path().join("history"), 4).unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].key.starts_with("bad/"));
    assert_eq!(found[0].reasons[1].1, "Test.Unfit");
    running.drain().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_destination_rejects_goes_to_the_error_output() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = ScriptedSink::scripted([Answer::TakeBut(Delivered {
        rejected: vec![(1, failure("Test.Rejected"))],
        left: None,
    })]);
    let running = Setting::new(real_env(), folder.path()).start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a", "b", "c", "d"])).await.unwrap();
    running.flush().await;
    until("the others are delivered", || counts(&running)[0] == 3).await;
    running.drain().await;
    let failed = sink.lines("bad/processing-failed/");
    assert_eq!(failed.len(), 1);
    assert!(failed[0].contains(r#""rawData":"Yg==""#), "{failed:?}");
    assert_eq!(journal.stats().used_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_shipment_fails_its_records_and_holds_nobody_back() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let cause = Cause::new("Test.Never", "never");
    let sink = ScriptedSink::scripted([Answer::Fail(Fault::Reject { cause })]);
    let running = Setting::new(real_env(), folder.path()).start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a", "b"])).await.unwrap();
    running.flush().await;
    let batches = running.metrics.clone();
    until("both wait in the error output", || batches.open_batches.get() == 1).await;
    running.drain().await;
    assert_eq!(sink.lines("good/").len(), 0);
    assert_eq!(sink.lines("bad/").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn trouble_is_retried_and_a_hold_ends_by_itself_under_the_same_key() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let held = || Answer::Fail(Fault::halt("S3.AccessDenied", "403 on PutObject"));
    let sink = ScriptedSink::scripted([
        Answer::Fail(Fault::retry("S3.SlowDown", "503")),
        Answer::TakeAndFail(Fault::retry("S3.RequestTimeout", "no answer")),
        held(),
        held(),
        held(),
    ]);
    let running = Setting::new(real_env(), folder.path()).start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a"])).await.unwrap();
    running.flush().await;
    let status = running.status.clone();
    until("it is held", || matches!(status.get().state, State::Held { .. })).await;
    assert_eq!(running.metrics.held.get(), 1);
    until("it goes on", || status.get().state == State::Delivering).await;
    until("it is delivered", || counts(&running)[0] == 1).await;
    let attempts = sink.attempts.lock().clone();
    assert_eq!(attempts.len(), 6);
    assert!(attempts.iter().all(|key| *key == attempts[0]));
    assert_eq!(sink.objects.lock().len(), 1);
    assert_eq!(running.metrics.held.get(), 0);
    running.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_leaves_its_records_to_the_next() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let env = real_env();
    let sink = ScriptedSink::scripted([Answer::Hang]);
    let running = Setting::new(env.clone(), folder.path()).start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a", "b"])).await.unwrap();
    running.flush().await;
    journal.append(put_of(&["c"])).await.unwrap();
    until("one is on its way", || sink.attempts.lock().len() == 1).await;
    running.stop().await;

    let running = Setting::new(env, folder.path()).start(journal.clone(), sink.clone());
    until("the first is sent again", || sink.attempts.lock().len() == 2).await;
    running.drain().await;
    let attempts = sink.attempts.lock().clone();
    assert_eq!(attempts[0], attempts[1], "the same shipment keeps its key");
    let mut lines = sink.lines("good/");
    lines.sort();
    assert_eq!(lines, ["a", "b", "c"]);
    assert_eq!(journal.stats().used_bytes, 0);
}

/// Built again, the shipment holds fewer records than positions: one is dropped by now.
#[tokio::test(start_paused = true)]
async fn a_rejected_shipment_fails_every_position_of_it() {
    let (folder, journal, env) = (tempfile::tempdir().unwrap(), memory(), real_env());
    let cause = Cause::new("Test.Never", "never");
    let sink = ScriptedSink::scripted([Answer::Hang, Answer::Fail(Fault::Reject { cause })]);
    let running = Setting::new(env.clone(), folder.path()).start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["drop", "aaaa"])).await.unwrap();
    running.flush().await;
    until("it is on its way", || sink.attempts.lock().len() == 1).await;
    running.stop().await;

    let mut setting = Setting::new(env, folder.path());
    setting.transforms = Chain::new(vec![Arc::new(Rules)]);
    let running = setting.start(journal.clone(), sink.clone());
    let metrics = running.metrics.clone();
    running.drain().await;
    assert_eq!((metrics.records.get(), metrics.failed_records.get()), (0, 2));
    assert_eq!(sink.lines("bad/").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn size_and_interval_close_batches_in_the_clocks_order() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = ScriptedSink::scripted([]);
    let mut setting = Setting::new(real_env(), folder.path());
    setting.size = 10;
    let running = setting.start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["123456789", "x"])).await.unwrap();
    until("the size closes it", || counts(&running)[0] == 1).await;
    until("the interval closes the rest", || counts(&running)[0] == 2).await;
    assert_eq!(sink.objects.lock().len(), 2);
    running.drain().await;
}

#[tokio::test(start_paused = true)]
async fn objects_reach_the_size_they_were_given_when_encoded_bytes_are_counted() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = ScriptedSink::scripted([]);
    let mut setting = Setting::new(real_env(), folder.path());
    (setting.size, setting.size_of) = (32 << 10, SizeOf::Object);
    setting.compression = Compression::Gzip;
    let running = setting.start(journal.clone(), sink.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..400 {
        let record =
            |_| format!("{{\"level\":\"info\",\"service\":\"cart\",\"ms\":{}}}", random.u16(..));
        let records: Vec<String> = (0..100).map(record).collect();
        journal.append(put_of(&records)).await.unwrap();
    }
    running.flush().await;
    until("all is delivered", || counts(&running)[0] == 40_000).await;
    let mut sizes: Vec<usize> = sink.objects.lock().values().map(Vec::len).collect();
    sizes.sort_unstable();
    // The flush leaves one that is smaller.
    assert!(sizes.len() > 3, "{sizes:?}");
    assert!(sizes[1..].iter().all(|size| (29_000..37_000).contains(size)), "{sizes:?}");
    running.drain().await;
}

#[test]
fn positions_of_rejected_records_count_through_gaps() {
    let positions: Ranges = [(4, 6), (9, 12)].into_iter().collect();
    assert_eq!(
        (0..6).map(|i| positions.nth(i)).collect::<Vec<_>>(),
        [4, 5, 9, 10, 11].map(Some).into_iter().chain([None]).collect::<Vec<_>>()
    );
}
