//! Crashes at random moments on a disk that loses, keeps or tears what was not synced: every
//! acknowledged record is delivered once, whatever the destination does meanwhile.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fastrand::Rng;
use standpipe::{
    buffer::{LocalJournal, Options, Tuning},
    env::sim::SimFiles,
    fault::Fault,
    seams::Journal,
};

use crate::world::{Answer, ScriptedSink, Setting, env, put_of, until};

const LIVES: usize = 6;

fn answer(random: &mut Rng) -> Answer {
    match random.u8(0..10) {
        0 => Answer::Fail(Fault::retry("S3.SlowDown", "503")),
        1 => Answer::TakeAndFail(Fault::retry("S3.RequestTimeout", "no answer")),
        2 => Answer::Fail(Fault::halt("S3.NoSuchBucket", "404")),
        3 => Answer::Hang,
        _ => Answer::Take,
    }
}

fn open(files: &SimFiles, env: &standpipe::env::Env, folder: &std::path::Path) -> LocalJournal {
    files.calm();
    let tuning = Tuning {
        segment_bytes: 4096,
        disk_reserve_bytes: 0,
        keep_delivered_bytes: 0,
        ..Tuning::default()
    };
    LocalJournal::open_tuned(&folder.join("journal"), &Options::default(), env, None, tuning)
        .expect("a journal opens after any crash")
}

/// One history from its seed.
async fn live_and_die(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let files = SimFiles::new(seed);
    let env = env(Arc::new(files.clone()));
    // The history that `trace` reads is an ordinary file.
    let folder = tempfile::tempdir().unwrap();
    let sink = ScriptedSink::scripted([]);
    let mut acknowledged = Vec::new();
    let mut next_id = 0;
    for life in 0..LIVES {
        let journal = Arc::new(open(&files, &env, folder.path()));
        journal.open_cursor("d", true).await.unwrap();
        sink.script.lock().clear();
        sink.script.lock().extend((0..8).map(|_| answer(&mut random)));
        let mut setting = Setting::new(env.clone(), &folder.path().join("d"));
        std::fs::create_dir_all(&setting.folder).unwrap();
        setting.size = random.u64(50..400);
        setting.interval = Duration::from_secs(random.u64(0..30));
        let running = setting.start(journal.clone(), sink.clone());
        for _ in 0..random.usize(1..12) {
            let ids: Vec<String> =
                (0..random.usize(1..20)).map(|i| format!("id-{}", next_id + i)).collect();
            next_id += ids.len();
            if journal.append(put_of(&ids)).await.is_ok() {
                acknowledged.extend(ids);
            }
            tokio::time::sleep(Duration::from_millis(random.u64(0..40_000))).await;
        }
        if life + 1 < LIVES {
            // Journal and ledger die in the same moment.
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
    let mut delivered: BTreeMap<String, usize> = BTreeMap::new();
    for line in sink.lines("good/") {
        *delivered.entry(line).or_default() += 1;
    }
    for id in &acknowledged {
        assert_eq!(delivered.get(id), Some(&1), "seed {seed}: {id} of {acknowledged:?}");
    }
    // What was not acknowledged may be there, but not twice.
    assert!(delivered.values().all(|count| *count == 1), "seed {seed}: {delivered:?}");
}

#[tokio::test(start_paused = true)]
async fn no_acknowledged_record_is_lost_or_doubled() {
    let seeds = std::env::var("STANDPIPE_CRASH_SEEDS").ok().and_then(|n| n.parse().ok());
    for seed in 0..seeds.unwrap_or(150) {
        live_and_die(seed).await;
    }
}
