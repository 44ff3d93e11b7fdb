//! Encrypted frames.

use std::{path::Path, sync::Arc};

use standpipe::{
    buffer::{KEY_BYTES, KeyError, Keyring},
    env::{Files, sim::SimFiles},
    seams::{Journal, JournalError},
};

use crate::support::{FOLDER, at, open_at, open_sim, put, records, segments, sim_env};

const OLD: [u8; KEY_BYTES] = [1; KEY_BYTES];
const NEW: [u8; KEY_BYTES] = [2; KEY_BYTES];
const SECRET: &[u8] = b"the secret of the house";

async fn error_of(journal: &dyn Journal) -> String {
    match journal.read(at(1), at(2), 1).await {
        Err(JournalError::Io { operation: "decrypt", message }) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn plain_and_encrypted_frames_mix_and_keys_change() {
    let files = SimFiles::new(1);
    let env = sim_env(&files);
    let folder = Path::new(FOLDER);
    let ring = |current, previous: &[_]| Some(Arc::new(Keyring::new(current, previous.to_vec())));

    let journal = open_at(&env, folder, ring(OLD, &[]));
    assert!(!journal.is_encrypted());
    journal.append(put(&[b"plain"])).await.unwrap();
    journal.set_encrypted(true).unwrap();
    journal.append(put(&[SECRET])).await.unwrap();
    drop(journal);
    let journal = open_at(&env, folder, ring(NEW, &[OLD]));
    journal.set_encrypted(true).unwrap();
    journal.append(put(&[SECRET, b""])).await.unwrap();
    journal.set_encrypted(false).unwrap();
    journal.append(put(&[b"plain again"])).await.unwrap();
    let stored: Vec<_> = records(&journal, 0).await.into_iter().map(|(_, data)| data).collect();
    assert_eq!(stored, [&b"plain"[..], SECRET, SECRET, b"", b"plain again"]);
    drop(journal);

    for name in segments(&files) {
        let bytes = files.read(&folder.join(name)).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET), "plain text on disk");
    }

    let journal = open_at(&env, folder, ring(NEW, &[]));
    let message = error_of(&journal).await;
    assert!(message.contains("not among the configured keys"), "{message}");
    assert_eq!(journal.stats().damaged, 0, "with the right key nothing is lost");
    assert_eq!(journal.read(at(0), at(1), 1).await.unwrap().len(), 1, "plain frames still come");
    drop(journal);
    let journal = open_sim(&files);
    let message = error_of(&journal).await;
    assert!(message.contains("no key is configured"), "{message}");
    assert!(matches!(journal.set_encrypted(true), Err(KeyError::Missing)));
}

#[tokio::test]
async fn records_are_not_taken_from_another_place() {
    // The header is authenticated: a body moved under another header does not open. Checksums are
    // made good here, as someone with access to the disk could.
    let files = SimFiles::new(1);
    let env = sim_env(&files);
    let journal = open_at(&env, Path::new(FOLDER), Some(Arc::new(Keyring::new(OLD, []))));
    journal.set_encrypted(true).unwrap();
    journal.append(put(&[b"first"])).await.unwrap();
    journal.append(put(&[b"other"])).await.unwrap();
    let id = journal.id();
    drop(journal);
    let (header, body) = (72, 4 + 12 + 4 + 5 + 16);
    files.tamper(&Path::new(FOLDER).join(&segments(&files)[0]), |bytes| {
        let (first, other) = (64, 64 + header + body);
        let moved = bytes[other + header..other + header + body].to_vec();
        bytes[first + header..first + header + body].copy_from_slice(&moved);
        bytes[first + 12..first + 16].copy_from_slice(&crc32c::crc32c(&moved).to_le_bytes());
        let checksum =
            crc32c::crc32c_append(crc32c::crc32c(&id), &bytes[first + 12..first + header]);
        bytes[first + 8..first + 12].copy_from_slice(&checksum.to_le_bytes());
    });
    let journal = open_at(&env, Path::new(FOLDER), Some(Arc::new(Keyring::new(OLD, []))));
    let error = journal.read(at(0), at(1), 1).await.unwrap_err().to_string();
    assert!(error.contains("does not open"), "{error}");
    assert_eq!(records(&journal, 1).await, [(1, b"other".to_vec())]);
}
