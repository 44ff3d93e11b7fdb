//! Version 1 of the stored format stays readable: a journal written by the first program that had
//! it, with a plain, an encrypted and a called frame in two segments, and a cursor.

use std::{path::Path, sync::Arc};

use standpipe::{
    buffer::{KEY_BYTES, Keyring},
    env::Env,
    record::Put,
    seams::{Appended, Journal},
};

use crate::support::{at, call, open_at, put, records};

const KEY: [u8; KEY_BYTES] = [0x5A; KEY_BYTES];
const FILES: [&str; 3] = ["0000000000000000.seg", "0000000000000004.seg", "state"];

fn fixture() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/journal-v1"))
}

fn keys() -> Option<Arc<Keyring>> {
    Some(Arc::new(Keyring::new(KEY, [])))
}

fn called() -> Put {
    Put { call: Some(call(7)), ..put(&[b"called"]) }
}

#[tokio::test]
async fn version_1_is_readable() {
    let folder = tempfile::tempdir().unwrap();
    for name in FILES {
        std::fs::copy(fixture().join(name), folder.path().join(name)).unwrap();
    }
    let journal = open_at(&Env::real(), folder.path(), keys());
    let expected: Vec<(u64, Vec<u8>)> = vec![
        (0, b"plain".into()),
        (1, b"".into()),
        (2, b"encrypted".into()),
        (3, b"called".into()),
        (4, vec![b'x'; 50]),
    ];
    assert_eq!(records(&journal, 0).await, expected);
    assert_eq!(journal.stats().damaged, 0);
    assert_eq!(journal.open_cursor("s3", false).await, Ok(at(2)));
    let again = journal.append(called()).await.unwrap();
    assert_eq!(again, Appended { first: at(3), records: 1, repeated: true, places: None });
    assert_eq!(journal.append(put(&[b"new"])).await.unwrap().first, at(5));
}

/// The plain frame, byte by byte, as the format's description says.
#[test]
fn the_first_frame_is_as_described() {
    let bytes = std::fs::read(fixture().join(FILES[0])).unwrap();
    let state = std::fs::read(fixture().join(FILES[2])).unwrap();
    let id = &bytes[16..32];
    assert_eq!(&bytes[..12], b"SPSEG\r\n\x1a\x01\0\0\0");
    assert_eq!(&state[..12], b"SPSTATE\x1a\x01\0\0\0");
    assert_eq!(&state[16..32], id);
    let frame = &bytes[64..64 + 72 + 13];
    let body = &frame[72..];
    assert_eq!(body, b"\x05\0\0\0\0\0\0\0plain");
    let mut expected = b"\xF5SPF\r\n\x1a\x01".to_vec();
    expected.extend(crc32c::crc32c_append(crc32c::crc32c(id), &frame[12..72]).to_le_bytes());
    expected.extend(crc32c::crc32c(body).to_le_bytes());
    expected.extend(13u32.to_le_bytes());
    expected.extend(2u32.to_le_bytes());
    expected.extend(0u64.to_le_bytes());
    expected.extend(1_700_000_000_000i64.to_le_bytes());
    expected.extend([0; 32]);
    assert_eq!(&frame[..72], expected);
}

/// Writes the fixture anew; only for a new version of the format, into a folder of its own.
#[tokio::test]
async fn the_fixture_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = match std::env::var_os("STANDPIPE_WRITE_FIXTURE") {
        Some(path) => path.into(),
        None => folder.path().to_owned(),
    };
    let journal = open_at(&Env::real(), &folder, keys());
    journal.append(put(&[b"plain", b""])).await.unwrap();
    journal.set_encrypted(true).unwrap();
    journal.append(put(&[b"encrypted"])).await.unwrap();
    journal.set_encrypted(false).unwrap();
    journal.append(called()).await.unwrap();
    journal.open_cursor("s3", false).await.unwrap();
    journal.commit("s3", at(2)).await.unwrap();
    drop(journal);
    let journal = open_at(&Env::real(), &folder, keys());
    journal.append(put(&[&[b'x'; 50]])).await.unwrap();
    drop(journal);
    for name in FILES {
        let (made, kept) = (folder.join(name), fixture().join(name));
        assert_eq!(std::fs::metadata(made).unwrap().len(), std::fs::metadata(kept).unwrap().len());
    }
}
