//! Destinations that take records one by one: leftovers, refusals, the end of patience, and a
//! bucket of their own for what they do not take.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use standpipe::{
    delivery::State,
    fault::{Details, Failure, Fault, output_type},
    record::Leaf,
    seams::{Delivered, Left, Shipment, Sink},
};

use crate::{
    ends::memory,
    world::{Answer, Running, ScriptedSink, Setting, put_of, real_env, until},
};

/// What an attempt is told to do, by the text of records.
#[derive(Default)]
struct Next {
    reject: Vec<&'static str>,
    leave: Vec<&'static str>,
    fault: Option<Fault>,
}

/// Takes records one by one, and remembers under which ids and how often.
#[derive(Default)]
struct OneByOne {
    script: Mutex<VecDeque<Next>>,
    requests: Mutex<Vec<(String, Vec<String>)>>,
    taken: Mutex<BTreeMap<(u64, u32), String>>,
}

impl OneByOne {
    fn scripted(script: impl IntoIterator<Item = Next>) -> Arc<Self> {
        Arc::new(Self { script: Mutex::new(script.into_iter().collect()), ..Self::default() })
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().values().cloned().collect()
    }
}

#[async_trait]
impl Sink for OneByOne {
    async fn deliver(&self, shipment: &Shipment) -> Result<Delivered, Fault> {
        let texts: Vec<String> =
            shipment.iter().map(|r| String::from_utf8(r.to_vec()).unwrap()).collect();
        self.requests.lock().push((shipment.key.clone(), texts.clone()));
        let next = self.script.lock().pop_front().unwrap_or_default();
        if let (Some(fault), true) = (&next.fault, next.leave.is_empty()) {
            return Err(fault.clone());
        }
        let list = shipment.list.as_ref().expect("its records are listed");
        assert_eq!((list.ends.len(), list.leaves.len()), (texts.len(), shipment.records as usize));
        let (mut rejected, mut left) = (Vec::new(), Vec::new());
        for (at, text) in texts.iter().enumerate() {
            let is = |texts: &[&str]| texts.contains(&text.trim_end());
            let Leaf { sequence, index, .. } = list.leaves[at];
            if is(&next.reject) {
                let failure = Failure::new(output_type::SPLUNK_FAILED, "Test.Refused", "no");
                let details = self.details(shipment, at as u64);
                rejected.push((at as u64, Failure { details, ..failure }));
            } else if is(&next.leave) {
                left.push(at as u64);
            } else {
                let before = self.taken.lock().insert((sequence, index), text.clone());
                assert_eq!(before, None, "{text:?} came twice");
            }
        }
        let left = (!left.is_empty()).then_some(Left { indexes: left, fault: next.fault });
        Ok(Delivered { rejected, left })
    }

    fn output_type(&self) -> &'static str {
        output_type::SPLUNK_FAILED
    }

    fn details(&self, shipment: &Shipment, index: u64) -> Details {
        let leaf = shipment.list.as_ref().expect("listed").leaves[index as usize];
        vec![("EventId".into(), leaf.sequence.to_string().into())]
    }
}

fn start(
    setting: Setting,
    journal: &Arc<dyn standpipe::seams::Journal>,
    sink: &Arc<OneByOne>,
    bucket: &Arc<ScriptedSink>,
) -> Running {
    let backup = Some(bucket.clone() as Arc<dyn Sink>);
    Setting { lists: true, backup, ..setting }.start(journal.clone(), sink.clone())
}

fn busy() -> Fault {
    Fault::retry("Test.Busy", "later")
}

#[tokio::test(start_paused = true)]
async fn leftovers_alone_are_sent_again_and_refused_records_alone_fail() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = OneByOne::scripted([
        Next { reject: vec!["b"], leave: vec!["c", "d"], fault: Some(busy()) },
        Next { reject: vec!["d"], leave: vec!["c"], fault: Some(busy()) },
    ]);
    let bucket = ScriptedSink::scripted([]);
    let journal: Arc<dyn standpipe::seams::Journal> = journal;
    let running = start(Setting::new(real_env(), folder.path()), &journal, &sink, &bucket);
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a", "b", "c", "d", "e"])).await.unwrap();
    running.flush().await;
    let metrics = running.metrics.clone();
    until("three are delivered", || metrics.records.get() == 3).await;
    running.drain().await;
    assert_eq!(sink.taken(), ["a\n", "c\n", "e\n"]);
    let requests = sink.requests.lock();
    let texts: Vec<String> = requests.iter().map(|(_, texts)| texts.concat()).collect();
    assert_eq!(texts, ["a\nb\nc\nd\ne\n", "c\nd\n", "c\n"]);
    // Each request has an id of its own, for each is another one.
    assert!(requests[0].0 != requests[1].0 && requests[1].0 != requests[2].0);
    let failed = bucket.lines("bad/splunk-failed/");
    assert_eq!(failed.len(), 2);
    // As they were sent, with what their destination says of them, and the count of attempts.
    assert!(failed[0].contains(r#""rawData":"Ygo=","EventId":"1""#), "{failed:?}");
    assert!(failed[0].contains(r#""attemptsMade":1,"#), "{failed:?}");
    assert!(failed[1].contains(r#""rawData":"ZAo=","EventId":"3""#), "{failed:?}");
    assert!(failed[1].contains(r#""attemptsMade":2,"#), "{failed:?}");
    assert_eq!(bucket.objects.lock().len(), 1, "nothing else is in the bucket");
    assert_eq!(journal.stats().used_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_only_not_looked_at_is_sent_at_once_whatever_the_patience() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let round = |culprit, rest: &[&'static str]| Next {
        reject: vec![culprit],
        leave: rest.to_vec(),
        fault: None,
    };
    let sink = OneByOne::scripted([round("b", &["c", "d", "e"]), round("d", &["e"])]);
    let bucket = ScriptedSink::scripted([]);
    let journal: Arc<dyn standpipe::seams::Journal> = journal;
    let mut setting = Setting::new(real_env(), folder.path());
    setting.retry_for = Some(Duration::ZERO);
    let running = start(setting, &journal, &sink, &bucket);
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a", "b", "c", "d", "e"])).await.unwrap();
    running.flush().await;
    let metrics = running.metrics.clone();
    until("three are delivered", || metrics.records.get() == 3).await;
    running.drain().await;
    assert_eq!(sink.taken(), ["a\n", "c\n", "e\n"]);
    assert_eq!(bucket.lines("bad/splunk-failed/").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_again_and_again_uses_up_patience() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let leave = || Next { leave: vec!["b"], fault: Some(busy()), ..Next::default() };
    let sink = OneByOne::scripted((0..50).map(|_| leave()));
    let bucket = ScriptedSink::scripted([]);
    let journal: Arc<dyn standpipe::seams::Journal> = journal;
    let mut setting = Setting::new(real_env(), folder.path());
    setting.retry_for = Some(Duration::from_secs(5));
    let running = start(setting, &journal, &sink, &bucket);
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a", "b", "c"])).await.unwrap();
    running.flush().await;
    let metrics = running.metrics.clone();
    until("it waits in the error output", || metrics.open_batches.get() == 1).await;
    running.drain().await;
    assert_eq!(sink.taken(), ["a\n", "c\n"]);
    assert_eq!(bucket.lines("bad/splunk-failed/").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_took_objects_before_sends_nothing_of_them_as_they_were() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let down = (0..100).map(|_| Answer::Fail(Fault::retry("S3.SlowDown", "503")));
    let objects = ScriptedSink::scripted(down);
    let journal: Arc<dyn standpipe::seams::Journal> = journal;
    let mut setting = Setting::new(real_env(), folder.path());
    setting.compression = standpipe::encode::Compression::Gzip;
    let running = setting.start(journal.clone(), objects.clone());
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a", "b", "c"])).await.unwrap();
    running.flush().await;
    until("it was tried", || objects.attempts.lock().len() == 2).await;
    running.kill().await;
    let (sink, bucket) = (OneByOne::scripted([]), ScriptedSink::scripted([]));
    let running = start(Setting::new(real_env(), folder.path()), &journal, &sink, &bucket);
    running.drain().await;
    assert_eq!(sink.taken(), ["a\n", "b\n", "c\n"]);
    assert_eq!(journal.stats().used_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn patience_ends_in_the_bucket_and_the_id_stays_the_same() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = OneByOne::scripted((0..50).map(|_| Next { fault: Some(busy()), ..Next::default() }));
    let bucket = ScriptedSink::scripted([]);
    let journal: Arc<dyn standpipe::seams::Journal> = journal;
    let mut setting = Setting::new(real_env(), folder.path());
    setting.retry_for = Some(Duration::from_secs(5));
    let running = start(setting, &journal, &sink, &bucket);
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a", "b"])).await.unwrap();
    running.flush().await;
    let metrics = running.metrics.clone();
    until("both wait in the error output", || metrics.open_batches.get() == 1).await;
    assert!(matches!(running.status.get().state, State::Retrying { .. }));
    assert_eq!(metrics.success.get(), 0);
    running.drain().await;
    assert_eq!(metrics.failed_records.get(), 2);
    let requests = sink.requests.lock();
    assert!(requests.len() > 3, "{requests:?}");
    assert!(requests.iter().all(|request| *request == requests[0]), "{requests:?}");
    let failed = bucket.lines("bad/splunk-failed/");
    assert_eq!(failed.len(), 2);
    let attempts = format!(r#""attemptsMade":{},"#, requests.len());
    assert!(failed.iter().all(|line| line.contains(&attempts)), "{attempts} {failed:?}");
    assert!(failed[0].contains(r#""errorCode":"Test.Busy","errorMessage":"later""#), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn what_holds_a_destination_outlasts_its_patience() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let denied = Fault::halt("Test.Denied", "your token is unknown");
    let answers = (0..20).map(|_| Next { fault: Some(denied.clone()), ..Next::default() });
    let sink = OneByOne::scripted(answers);
    let bucket = ScriptedSink::scripted([]);
    let journal: Arc<dyn standpipe::seams::Journal> = journal;
    let mut setting = Setting::new(real_env(), folder.path());
    setting.retry_for = Some(Duration::ZERO);
    let running = start(setting, &journal, &sink, &bucket);
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a"])).await.unwrap();
    running.flush().await;
    until("it is held", || running.status.get().is_held()).await;
    let metrics = running.metrics.clone();
    until("it is delivered in the end", || metrics.records.get() == 1).await;
    running.drain().await;
    assert_eq!(bucket.objects.lock().len(), 0);
    assert_eq!(sink.requests.lock().len(), 21);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_fails_too_holds_everything_and_nothing_is_lost() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let refuse = |text| Next { reject: vec![text], ..Next::default() };
    let sink = OneByOne::scripted([refuse("a")]);
    let down = || Answer::Fail(Fault::halt("S3.NoSuchBucket", "404"));
    let bucket = ScriptedSink::scripted([down(), down(), down()]);
    let journal: Arc<dyn standpipe::seams::Journal> = journal;
    let running = start(Setting::new(real_env(), folder.path()), &journal, &sink, &bucket);
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a", "b"])).await.unwrap();
    running.flush().await;
    let metrics = running.metrics.clone();
    until("one is delivered", || metrics.records.get() == 1).await;
    running.flush().await;
    until("the error output is held", || running.status.get().is_held()).await;
    assert!(journal.stats().used_bytes > 0);
    until("the other is kept", || metrics.failed_records.get() == 1).await;
    running.drain().await;
    assert_eq!(bucket.lines("bad/splunk-failed/").len(), 1);
    assert_eq!(journal.stats().used_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_same_records_leave_under_the_same_id() {
    let (folder, journal) = (tempfile::tempdir().unwrap(), memory());
    let sink = OneByOne::scripted((0..3).map(|_| Next { fault: Some(busy()), ..Next::default() }));
    let bucket = ScriptedSink::scripted([]);
    let journal: Arc<dyn standpipe::seams::Journal> = journal;
    let running = start(Setting::new(real_env(), folder.path()), &journal, &sink, &bucket);
    until("the cursor is open", || !journal.cursors().is_empty()).await;
    journal.append(put_of(&["a", "b", "c"])).await.unwrap();
    running.flush().await;
    until("it was tried", || sink.requests.lock().len() == 2).await;
    running.kill().await;
    journal.append(put_of(&["d"])).await.unwrap();
    let running = start(Setting::new(real_env(), folder.path()), &journal, &sink, &bucket);
    let metrics = running.metrics.clone();
    until("they are delivered", || metrics.records.get() == 3).await;
    running.drain().await;
    assert_eq!(sink.taken(), ["a\n", "b\n", "c\n", "d\n"]);
    let requests = sink.requests.lock();
    let first: Vec<_> = requests.iter().filter(|(_, texts)| texts[0] == "a\n").collect();
    assert!(first.len() >= 3 && first.iter().all(|request| *request == first[0]), "{requests:?}");
}
