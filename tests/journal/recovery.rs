//! The recovery cases, each made by hand on a journal of three segments, and flipped bytes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use standpipe::{
    buffer::{LocalJournal, OpenError},
    env::{
        Env, Files,
        sim::{SimFiles, Trouble},
    },
    seams::Journal,
};

use crate::support::{
    FOLDER, at, damaged, frame, open_sim, options, put, read_all, segments, sim_env, small,
};

/// Bytes of a frame before its body, and of one with a record of 500 bytes.
const FRAME: usize = 72 + 4 + 500;
/// Frames in a segment of 4 KiB.
const PER_SEGMENT: u64 = 7;
const RECORDS: u64 = 3 * PER_SEGMENT;

fn content(sequence: u64) -> Vec<u8> {
    vec![sequence as u8 + 1; 500]
}

/// Three full segments, closed.
async fn prepared() -> SimFiles {
    let files = SimFiles::new(9);
    let journal = open_sim(&files);
    for n in 0..RECORDS {
        journal.append(put(&[&content(n)])).await.unwrap();
    }
    drop(journal);
    assert_eq!(segments(&files).len(), 3);
    files
}

fn segment(index: u64) -> PathBuf {
    Path::new(FOLDER).join(format!("{:016x}.seg", index * PER_SEGMENT))
}

fn frame_at(index: usize) -> usize {
    64 + index * FRAME
}

/// Opens, checks what is there and what is reported, and that appending and a second opening work.
async fn check(files: &SimFiles, lost: &[(u64, u64)], tail: u64) {
    let journal = open_sim(files);
    assert_eq!(*journal.tail().borrow(), at(tail));
    let entries = read_all(&journal, 0).await;
    assert_eq!(damaged(&entries), lost);
    for (sequence, data) in entries.iter().filter_map(frame).flat_map(|frame| frame.iter()) {
        assert_eq!(data, content(sequence));
    }
    let count: u64 = lost.iter().map(|(first, end)| end - first).sum();
    assert_eq!(journal.stats().damaged, count);
    for &(first, end) in lost {
        assert!((first..end).all(|sequence| !journal.contains(at(sequence))));
    }
    assert_eq!(journal.append(put(&[&content(tail)])).await.unwrap().first, at(tail));
    drop(journal);
    let journal = open_sim(files);
    let again = read_all(&journal, 0).await;
    assert_eq!(damaged(&again), lost, "a second opening finds the same");
    assert_eq!(again.last().unwrap().end(), at(tail + 1));
}

#[tokio::test]
async fn clean_end() {
    check(&prepared().await, &[], RECORDS).await;
}

#[tokio::test]
async fn torn_tail_is_cut_back() {
    for cut in [1, 4, 71, 72, 73, FRAME - 1, FRAME] {
        let files = prepared().await;
        let last = frame_at(PER_SEGMENT as usize - 1);
        files.tamper(&segment(2), |bytes| bytes.truncate(last + FRAME - cut));
        check(&files, &[], RECORDS - 1).await;
        let files = prepared().await;
        files.tamper(&segment(2), |bytes| bytes[last + FRAME - cut..].fill(0));
        check(&files, &[], RECORDS - 1).await;
    }
}

#[tokio::test]
async fn rubbish_behind_the_end_is_cut_back() {
    let files = prepared().await;
    files.tamper(&segment(2), |bytes| bytes.extend([0xF5; 1000]));
    check(&files, &[], RECORDS).await;
}

#[tokio::test]
async fn damage_in_the_middle_never_cuts_what_follows() {
    for index in 0..3 {
        // A header, a body, and both of two neighbours.
        let files = prepared().await;
        let first = index * PER_SEGMENT;
        files.tamper(&segment(index), |bytes| bytes[frame_at(2) + 30] ^= 1);
        check(&files, &[(first + 2, first + 3)], RECORDS).await;
        let files = prepared().await;
        files.tamper(&segment(index), |bytes| bytes[frame_at(2) + 300] ^= 1);
        check(&files, &[(first + 2, first + 3)], RECORDS).await;
        let files = prepared().await;
        files.tamper(&segment(index), |bytes| bytes[frame_at(1) + 9..frame_at(3) + 9].fill(0xF5));
        check(&files, &[(first + 1, first + 4)], RECORDS).await;
    }
}

#[tokio::test]
async fn damage_and_a_torn_tail() {
    let files = prepared().await;
    files.tamper(&segment(2), |bytes| {
        bytes[frame_at(1) + 300] ^= 1;
        bytes.truncate(frame_at(6) + 100);
    });
    check(&files, &[(15, 16)], RECORDS - 1).await;
}

#[tokio::test]
async fn an_earlier_segment_that_ends_early_or_is_missing() {
    let files = prepared().await;
    files.tamper(&segment(1), |bytes| bytes.truncate(frame_at(5)));
    check(&files, &[(12, 14)], RECORDS).await;
    let files = prepared().await;
    files.remove(&segment(1)).unwrap();
    check(&files, &[(7, 14)], RECORDS).await;
    let files = prepared().await;
    files.tamper(&segment(1), Vec::clear);
    check(&files, &[(7, 14)], RECORDS).await;
}

#[tokio::test]
async fn the_first_segment_is_missing() {
    let files = prepared().await;
    let journal = open_sim(&files);
    journal.open_cursor("a", false).await.unwrap();
    drop(journal);
    files.remove(&segment(0)).unwrap();
    let journal = open_sim(&files);
    assert_eq!(journal.open_cursor("a", false).await.unwrap(), at(0));
    assert_eq!(journal.stats().damaged, 7, "found at opening");
    assert_eq!(damaged(&read_all(&journal, 0).await), [(0, 7)]);
}

#[tokio::test]
async fn the_last_segment_is_missing() {
    let files = prepared().await;
    let journal = open_sim(&files);
    journal.open_cursor("a", false).await.unwrap();
    drop(journal);
    files.remove(&segment(2)).unwrap();
    // The state file knows how far the tail had come: no position is given twice.
    check(&files, &[(14, 21)], RECORDS).await;
}

#[tokio::test]
async fn a_broken_header_hides_no_frames() {
    for index in 0..3 {
        let files = prepared().await;
        files.tamper(&segment(index), |bytes| bytes[..64].fill(0));
        check(&files, &[], RECORDS).await;
    }
}

#[tokio::test]
async fn a_segment_that_was_just_created() {
    for torn in [0, 10, 64] {
        let files = prepared().await;
        let mut header = vec![0; torn];
        files.create_new(&segment(3)).unwrap();
        // A whole header of this journal, or a piece of one.
        let sound = files.read(&segment(2)).unwrap();
        if torn < 64 {
            header.copy_from_slice(&sound[..torn]);
        }
        files.tamper(&segment(3), |bytes| *bytes = header);
        check(&files, &[], RECORDS).await;
    }
}

#[tokio::test]
async fn an_empty_segment_is_written_on() {
    let files = SimFiles::new(1);
    let journal = open_sim(&files);
    journal.append(put(&[&content(0)])).await.unwrap();
    drop(journal);
    files.tamper(&segment(0), |bytes| bytes.truncate(64));
    check(&files, &[], 0).await;
    assert_eq!(segments(&files), ["0000000000000000.seg"]);
}

#[tokio::test]
async fn a_last_segment_without_any_sound_frame_is_set_aside() {
    let files = prepared().await;
    files.tamper(&segment(2), |bytes| bytes.fill(7));
    check(&files, &[], 14).await;
    let names = files.list(Path::new(FOLDER)).unwrap();
    assert!(names.contains(&"000000000000000e.seg.damaged".to_owned()), "{names:?}");
}

#[tokio::test]
async fn foreign_files_are_left_alone() {
    let files = prepared().await;
    let notes = Path::new(FOLDER).join("notes.txt");
    files.replace(&notes, b"do not touch").unwrap();
    // A segment of another journal, before, and one behind everything.
    let other = SimFiles::new(2);
    let theirs = open_sim(&other);
    theirs.append(put(&[b"theirs"])).await.unwrap();
    drop(theirs);
    let foreign = other.read(&segment(0)).unwrap();
    let paths = [3, 900].map(|first: u64| Path::new(FOLDER).join(format!("{first:016x}.seg")));
    for path in &paths {
        files.replace(path, &foreign).unwrap();
    }
    check(&files, &[], RECORDS).await;
    assert_eq!(files.read(&notes).unwrap(), b"do not touch");
    for path in &paths {
        assert_eq!(files.read(path).unwrap(), foreign);
    }
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let files = prepared().await;
    files.tamper(&segment(1), |bytes| {
        bytes[8] = 2;
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..64]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    });
    let opened = LocalJournal::open_tuned(
        Path::new(FOLDER),
        &options(1 << 30),
        &sim_env(&files),
        None,
        small(),
    );
    assert!(matches!(opened, Err(OpenError::Newer { version: 2, .. })));
}

#[tokio::test]
async fn a_lost_state_file_loses_the_cursors_only() {
    let files = prepared().await;
    let journal = open_sim(&files);
    let id = journal.id();
    journal.open_cursor("a", true).await.unwrap();
    drop(journal);
    files.tamper(&Path::new(FOLDER).join("state"), |bytes| bytes[40] ^= 1);
    let journal = open_sim(&files);
    assert_eq!(journal.id(), id);
    assert_eq!(journal.open_cursor("a", false).await.unwrap(), at(14), "the oldest kept");
}

/// Whoever comes first after the state file was lost must not cost the others their backlog.
#[tokio::test]
async fn lost_cursors_start_at_the_oldest_record_and_give_nothing_back() {
    let state = Path::new(FOLDER).join("state");
    for missing in [false, true] {
        let files = prepared().await;
        let journal = open_sim(&files);
        for name in ["a", "b"] {
            assert_eq!(journal.open_cursor(name, false).await.unwrap(), at(0));
        }
        drop(journal);
        if missing {
            files.remove(&state).unwrap();
        } else {
            files.tamper(&state, |bytes| bytes[40] ^= 1);
        }
        let journal = open_sim(&files);
        assert_eq!(journal.open_cursor("a", true).await.unwrap(), at(0));
        journal.commit("a", at(RECORDS)).await.unwrap();
        assert_eq!(segments(&files).len(), 3, "nothing is given back to the first that comes");
        // A crash now, with a sound state file again, changes nothing.
        files.crash();
        drop(journal);
        let journal = open_sim(&files);
        assert_eq!(journal.open_cursor("a", true).await.unwrap(), at(RECORDS));
        assert_eq!(journal.open_cursor("b", true).await.unwrap(), at(0));
        assert_eq!(journal.cursors(), ["a", "b"], "only those that were opened are named");
        assert_eq!(read_all(&journal, 0).await.len(), RECORDS as usize);
        assert!(journal.open_cursor("", true).await.is_err());
        assert!(journal.drop_cursor("").await.is_err());
        journal.commit("b", at(PER_SEGMENT)).await.unwrap();
        assert_eq!(segments(&files).len(), 3);
        // Closed in order, all is as ever.
        journal.close().await;
        assert_eq!(segments(&files).len(), 2);
        drop(journal);
        let journal = open_sim(&files);
        assert_eq!(journal.open_cursor("b", true).await.unwrap(), at(PER_SEGMENT));
        assert_eq!(journal.open_cursor("new", true).await.unwrap(), at(RECORDS));
    }
}

/// A sector that cannot be read for a moment must not end in a cut.
#[tokio::test]
async fn an_unreadable_last_segment_is_not_cut() {
    let mut refused = 0;
    for read in 0..12 {
        let files = prepared().await;
        files.trouble(Trouble::Read(read));
        let env = sim_env(&files);
        let opened =
            LocalJournal::open_tuned(Path::new(FOLDER), &options(1 << 30), &env, None, small());
        match opened {
            Ok(journal) => drop(journal),
            Err(OpenError::Unreadable { path, .. }) => {
                assert_eq!(path, segment(2));
                refused += 1;
            }
            // The state and the headers.
            Err(OpenError::Io { operation: "read", .. }) => {}
            Err(error) => panic!("{error}"),
        }
        files.calm();
        check(&files, &[], RECORDS).await;
    }
    assert!(refused > 0, "no read of the last segment was struck");
}

/// A reader goes on around a bad sector.
#[tokio::test]
async fn a_reader_goes_on_around_a_bad_sector() {
    let files = prepared().await;
    let journal = open_sim(&files);
    // One read in one piece, then the pieces of it: the first of these fails.
    files.trouble(Trouble::Read(0));
    files.trouble(Trouble::Read(1));
    let entries = read_all(&journal, 0).await;
    assert_eq!(entries.last().unwrap().end(), at(RECORDS));
    assert!(!damaged(&entries).is_empty());
    assert!(entries.iter().filter_map(frame).count() >= 2 * PER_SEGMENT as usize);
}

#[tokio::test]
async fn a_record_cannot_pass_for_a_frame() {
    // A record holds the bytes of another journal's frame; the frame around it is damaged.
    let other = SimFiles::new(2);
    let theirs = open_sim(&other);
    theirs.append(put(&[&[66; 100]])).await.unwrap();
    theirs.append(put(&[&[66; 100]])).await.unwrap();
    drop(theirs);
    let bait = other.read(&segment(0)).unwrap()[64..].to_vec();
    let files = SimFiles::new(1);
    let journal = open_sim(&files);
    for record in [&b"a"[..], &bait, b"b"] {
        journal.append(put(&[record])).await.unwrap();
    }
    drop(journal);
    files.tamper(&segment(0), |bytes| bytes[64 + 77 + 10] ^= 1);
    let journal = open_sim(&files);
    let entries = read_all(&journal, 0).await;
    assert_eq!(damaged(&entries), [(1, 2)]);
    assert_eq!(frame(&entries[2]).unwrap().data, &b"b"[..]);
}

/// Any flipped byte costs at most the frame it lies in, and never gives wrong bytes.
#[tokio::test]
async fn any_flipped_byte_costs_one_frame_at_most() {
    let files = SimFiles::new(1);
    let tuning = standpipe::buffer::Tuning { segment_bytes: 600, ..small() };
    let env = sim_env(&files);
    let open = |env: &Env| {
        let folder = Path::new(FOLDER);
        LocalJournal::open_tuned(folder, &options(1 << 30), env, None, tuning).unwrap()
    };
    let journal = open(&env);
    let mut expected = BTreeMap::new();
    for n in 0..9u8 {
        let answer = journal.append(put(&[&[n; 40], b"", &[n; 33]])).await.unwrap();
        for (i, record) in [vec![n; 40], vec![], vec![n; 33]].into_iter().enumerate() {
            expected.insert(answer.first.sequence + i as u64, record);
        }
    }
    drop(journal);
    let names = segments(&files);
    assert!(names.len() >= 3);
    let mut random = fastrand::Rng::with_seed(4);
    for name in &names {
        let path = Path::new(FOLDER).join(name);
        let sound = files.read(&path).unwrap();
        for index in 0..sound.len() {
            files.tamper(&path, |bytes| bytes[index] ^= 1 << random.u8(..8));
            let journal = open(&env);
            let entries = read_all(&journal, 0).await;
            let mut missing = expected.clone();
            for (sequence, data) in entries.iter().filter_map(frame).flat_map(|f| f.iter()) {
                let record = missing.remove(&sequence).expect("once");
                assert_eq!(record, data, "byte {index} of {name}");
            }
            assert!(missing.len() <= 3, "byte {index} of {name} costs {}", missing.len());
            let frames: std::collections::BTreeSet<_> = missing.keys().map(|s| s / 3).collect();
            assert!(frames.len() <= 1 && missing.len() % 3 == 0, "a frame is lost as a whole");
            drop(journal);
            files.remove(&path).unwrap_or_default();
            let file = files.create_new(&path).unwrap();
            file.write_all_at(&[std::io::IoSlice::new(&sound)], 0).unwrap();
        }
    }
}
