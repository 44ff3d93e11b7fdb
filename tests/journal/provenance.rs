//! Where pulled records come from, and where their source stands: beside the records, in one frame.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use proptest::prelude::*;
use standpipe::{
    buffer::{KEY_BYTES, Keyring, LocalJournal},
    env::{Files, sim::SimFiles},
    record::{Provenance, Put, RecordOrigin, Unfit},
    seams::{AppendError, Entry, Journal},
};

use crate::support::{
    FOLDER, at, frame, open_at, open_sim, options, pulled, put, read_all, segments, sim_env, small,
};

async fn positions(journal: &dyn Journal) -> BTreeMap<String, String> {
    journal.upstream().await.unwrap().positions
}

#[tokio::test]
async fn each_record_keeps_its_origin_also_in_a_part_of_its_frame() {
    let files = SimFiles::new(1);
    let keys = Arc::new(Keyring::load_or_generate(&files, Path::new("/j/key")).unwrap());
    assert_eq!(KEY_BYTES, 32);
    for encrypted in [false, true] {
        let folder = format!("/j/encrypted-{encrypted}");
        let keys = encrypted.then(|| keys.clone());
        let journal = open_at(&sim_env(&files), Path::new(&folder), keys);
        journal.set_encrypted(encrypted).unwrap();
        let record = |offset| RecordOrigin { offset: Some(offset), ..RecordOrigin::default() };
        let provenance = Provenance {
            records: vec![record(5), record(6), record(7)],
            unfit: Some(Unfit { code: "c".into(), message: "m".into() }),
            ..Provenance::default()
        };
        let records: [&[u8]; 3] = [b"a", b"", b"ccc"];
        let put = Put { provenance: Some(Box::new(provenance.clone())), ..put(&records) };
        journal.append(put).await.unwrap();
        let entries = journal.read(at(1), at(3), 1 << 20).await.unwrap();
        let part = entries.iter().find_map(frame).unwrap();
        assert!(part.unfit);
        let records = part.to_records();
        assert_eq!(records[1].data, &b"ccc"[..]);
        let offsets: Vec<_> = records
            .iter()
            .map(|record| record.notes.origin().unwrap().record().unwrap().offset.unwrap())
            .collect();
        assert_eq!(offsets, [6, 7]);
        assert_eq!(part.provenance.as_ref().unwrap().get(), &provenance);
    }
}

#[tokio::test]
async fn positions_outlive_the_segments_that_said_them() {
    let files = SimFiles::new(2);
    let journal = open_sim(&files);
    journal.open_cursor("d", false).await.unwrap();
    assert!(journal.upstream().await.unwrap().durable);
    journal.append(pulled(b"x", &[("quiet", Some("1")), ("gone", Some("2"))])).await.unwrap();
    for n in 0..40u64 {
        let position = n.to_string();
        journal.append(pulled(&[7; 500], &[("busy", Some(&position))])).await.unwrap();
        journal.commit("d", at(n + 2)).await.unwrap();
    }
    journal.append(pulled(b"x", &[("gone", None)])).await.unwrap();
    assert!(segments(&files).len() <= 2, "what is delivered is given back");
    let expected: BTreeMap<String, String> =
        [("busy", "39"), ("quiet", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    assert_eq!(positions(&journal).await, expected);
    drop(journal);
    let journal = open_sim(&files);
    assert_eq!(positions(&journal).await, expected);
    // Another journal in the same place knows nothing of them.
    drop(journal);
    for name in files.list(Path::new(FOLDER)).unwrap() {
        if name != "upstream" {
            files.remove(&Path::new(FOLDER).join(name)).unwrap();
        }
    }
    assert_eq!(positions(&open_sim(&files)).await, BTreeMap::new());
}

#[tokio::test]
async fn settled_follows_the_slowest_cursor() {
    let files = SimFiles::new(3);
    let journal = open_sim(&files);
    let settled = journal.settled();
    for name in ["a", "b"] {
        journal.open_cursor(name, false).await.unwrap();
    }
    journal.append(put(&[b"1", b"2", b"3"])).await.unwrap();
    journal.commit("a", at(3)).await.unwrap();
    assert_eq!(*settled.borrow(), at(0));
    journal.commit("b", at(2)).await.unwrap();
    assert_eq!(*settled.borrow(), at(2));
    drop(journal);
    assert_eq!(*open_sim(&files).settled().borrow(), at(2));
}

#[tokio::test]
async fn a_damaged_file_of_positions_is_an_error_and_loses_no_record() {
    let files = SimFiles::new(4);
    let journal = open_sim(&files);
    journal.upstream().await.unwrap();
    for n in 0..20u64 {
        journal.append(pulled(&[7; 500], &[("k", Some(&n.to_string()))])).await.unwrap();
    }
    drop(journal);
    let path = Path::new(FOLDER).join("upstream");
    let mut bytes = files.read(&path).unwrap();
    bytes[20] ^= 1;
    files.replace(&path, &bytes).unwrap();
    let journal = open_sim(&files);
    assert!(journal.upstream().await.is_err());
    assert_eq!(read_all(&journal, 0).await.len(), 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A source that goes on from what the journal says, through crashes, stores every record once.
    #[test]
    fn through_crashes_every_record_is_stored_once(
        seed in any::<u64>(),
        lives in prop::collection::vec(1usize..25, 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let files = SimFiles::new(seed);
            let mut expected = 0u64;
            for life in lives {
                let journal = LocalJournal::open_tuned(
                    Path::new(FOLDER), &options(1 << 20), &sim_env(&files), None, small(),
                ).unwrap();
                journal.open_cursor("d", false).await.unwrap();
                let known = positions(&journal).await;
                let next: u64 = known.get("k").map_or(0, |position| position.parse().unwrap());
                prop_assert!(next >= expected, "acknowledged up to {expected}, goes on at {next}");
                let tail = journal.tail().borrow().sequence;
                prop_assert_eq!(next, tail, "as many records as the source believes");
                let mut at_now = next;
                for _ in 0..life {
                    let data = [at_now as u8; 400];
                    let position = (at_now + 1).to_string();
                    match journal.append(pulled(&data, &[("k", Some(&position))])).await {
                        Ok(appended) => {
                            prop_assert_eq!(appended.first, at(at_now));
                            at_now += 1;
                        }
                        Err(AppendError::Full { .. }) => break,
                        Err(error) => panic!("{error}"),
                    }
                    if at_now.is_multiple_of(5) {
                        journal.commit("d", at(at_now)).await.unwrap();
                    }
                }
                expected = at_now;
                files.crash();
                drop(journal);
            }
            let journal = open_sim(&files);
            for entry in read_all(&journal, 0).await {
                if let Entry::Frame(frame) = entry {
                    for (sequence, data) in frame.iter() {
                        prop_assert_eq!(data[0], sequence as u8);
                    }
                }
            }
            Ok(())
        })?;
    }
}
