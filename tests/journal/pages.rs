//! What is delivered need not stay in the kernel's page cache.

use std::{collections::BTreeMap, path::Path};

use standpipe::{
    buffer::{Durability, LocalJournal, Options, Tuning},
    env::sim::SimFiles,
    seams::Journal,
};

use crate::support::{FOLDER, at, options, put, read_all, sim_env, small};

/// The stretches of files whose pages were let go: inode, offset, bytes.
fn forgotten(files: &SimFiles) -> Vec<(u64, u64, u64)> {
    let parse = |line: &String| {
        let mut words = line.strip_prefix("forget ")?.split([' ', '+']);
        let mut number = || words.find_map(|word| word.parse().ok());
        Some((number()?, number()?, number()?))
    };
    files.trace().iter().filter_map(parse).collect()
}

#[tokio::test]
async fn pages_of_what_every_cursor_has_passed_are_let_go_and_of_nothing_else() {
    let tuning = Tuning {
        segment_bytes: 65_536,
        forget_bytes: 10_000,
        keep_delivered_bytes: 1 << 20,
        ..small()
    };
    for durability in [Durability::Fsync, Durability::Os] {
        let files = SimFiles::new(5);
        let options = Options { durability, ..options(1 << 30) };
        let journal =
            LocalJournal::open_tuned(Path::new(FOLDER), &options, &sim_env(&files), None, tuning)
                .unwrap();
        for name in ["a", "b"] {
            journal.open_cursor(name, false).await.unwrap();
        }
        for _ in 0..200 {
            journal.append(put(&[&[7; 1000]])).await.unwrap();
        }
        read_all(&journal, 0).await;
        journal.commit("a", at(200)).await.unwrap();
        assert_eq!(forgotten(&files), [], "the other one still needs it");
        let mut ends = BTreeMap::new();
        for settled in [5, 30, 100, 200] {
            journal.commit("b", at(settled)).await.unwrap();
            for (inode, offset, bytes) in forgotten(&files) {
                ends.insert(inode, offset + bytes);
            }
            // A record takes a little more than itself.
            let let_go: u64 = ends.values().sum();
            assert!(let_go <= settled * 1100, "{let_go} of {settled} records");
        }
        let stretches = forgotten(&files);
        if durability == Durability::Os {
            assert_eq!(stretches, [], "nobody knows what of it is on the disk");
            continue;
        }
        assert_eq!(ends.len(), 4, "{stretches:?}");
        assert!(ends.values().sum::<u64>() > 180_000, "{ends:?}");
        // Each begins in the page in which the one before has ended.
        for pair in stretches.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let end = pair[0].1 + pair[0].2;
            assert!(pair[1].1 <= end && end - pair[1].1 < 4096, "{stretches:?}");
        }
        // Delivered records can still be read.
        assert_eq!(read_all(&journal, 0).await.len(), 200);
    }
}
