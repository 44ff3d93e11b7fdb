//! Since when a source that began at `LATEST` is reading.
//!
//! A shard from which no record came has no position yet. Were it begun at `LATEST` again after a
//! restart, what came in meanwhile would be passed over; so the first start is written down, and
//! such a shard is read from that time on. Leases that we made tell it themselves, for every replica;
//! this is for one that is alone, and for leases that others made.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::env::Env;

const FILE: &str = "reading-since.json";

/// The first start, and whether this is it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Since {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    pub is_new: bool,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    kinesis_stream: String,
    since_ms: i64,
}

impl Since {
    /// Reads the file, or makes it: also where it tells of another stream.
    pub fn open(folder: &std::path::Path, kinesis_stream: &str, env: &Env) -> Self {
        let path = folder.join(FILE);
        match read(&path, env) {
            Ok(kept) if kept.kinesis_stream == kinesis_stream => {
                return Self { at_ms: kept.since_ms, is_new: false };
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "a file cannot be read and is made anew");
            }
            _ => {}
        }
        let since_ms = env.clock.now_ms();
        if let Err(error) = write(folder, path, kinesis_stream, since_ms, env) {
            tracing::warn!(%error, "the start of reading cannot be written down: records that come in while the source is stopped may be passed over in shards from which none was read");
        }
        Self { at_ms: since_ms, is_new: true }
    }
}

fn read(path: &std::path::Path, env: &Env) -> io::Result<Kept> {
    Ok(serde_json::from_slice(&env.files.read(path)?)?)
}

fn write(
    folder: &std::path::Path,
    path: PathBuf,
    kinesis_stream: &str,
    since_ms: i64,
    env: &Env,
) -> io::Result<()> {
    env.files.create_dir_all(folder)?;
    let kept = Kept { kinesis_stream: kinesis_stream.to_owned(), since_ms };
    env.files.replace(&path, &serde_json::to_vec(&kept)?)
}
