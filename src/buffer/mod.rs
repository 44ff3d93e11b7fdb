//! The journal: the durable log of a stream.
//!
//! ```text
//!   append ─▶ queue (32 MiB) ─▶ writer thread: frames ─▶ segment files ─▶ tail
//!                                                           │
//!   read   ◀─ reader ◀─ walk (verifies) ◀───────────────────┘
//!   commit ─▶ cursors ─▶ state file ─▶ segments that all have passed are removed
//! ```
//!
//! `local` is the journal on disk: `frame` and `segment` are its format, `writer` appends, `reader`
//! reads, `cursor` keeps positions, `open` and `recovery` start it, `stands` keeps where its
//! source stands upstream. `memory` is the second
//! implementation.

mod calls;
mod crypto;
mod cursor;
mod frame;
pub mod kafka;
mod local;
mod memory;
mod open;
mod options;
mod queue;
mod reader;
mod recovery;
mod segment;
mod shared;
mod stands;
mod walk;
mod writer;

pub use crypto::{CryptoError, KEY_BYTES, KeyError, Keyring};
pub use local::{LocalJournal, OpenError};
pub use memory::MemoryJournal;
pub use options::{Durability, Options};
pub use segment::Tuning;

use crate::{limits, record::Put, seams::AppendError};

/// A random journal id.
fn new_id() -> [u8; 16] {
    *uuid::Uuid::new_v4().as_bytes()
}

/// Refuses a put that cannot be a frame. Sources keep far below these bounds; it does not stick.
fn check_put(put: &Put, encrypted: bool) -> Result<(), AppendError> {
    let total: u64 = put.lengths.iter().map(|&length| u64::from(length)).sum();
    if total != put.data.len() as u64 {
        let text = format!("the lengths of a put say {total} bytes, it has {}", put.data.len());
        return Err(AppendError::Failed(text.into()));
    }
    let bytes = frame::frame_bytes(put, encrypted);
    if bytes > limits::FRAME_BYTES_MAX {
        let most = limits::FRAME_BYTES_MAX;
        let text = format!("a put of {bytes} bytes is larger than the largest frame, {most}");
        return Err(AppendError::Failed(text.into()));
    }
    Ok(())
}
