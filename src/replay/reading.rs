//! Reads an object in a thread of its own: unpacking and decoding are work for a processor, and
//! the libraries that unpack want to wait for their bytes.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    line::FailedLine,
    lines::{Damage, Form, Lines, Step, Wanted},
    state::{self, Digest},
    store::{Body, Object, Store, StoreError},
    unpack::unpack,
};
use crate::limits;

/// Records that a piece is closed after, at the latest.
const PIECE_LINES: usize = limits::BATCH_RECORDS_MAX;
/// Records that were passed over before a piece tells of them.
const PIECE_PASSED: u64 = 100_000;

/// A part of an object.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub lines: Vec<FailedLine>,
    /// What the records are recognised by, if that was asked for.
    pub digests: Vec<Digest>,
    pub filtered: u64,
    pub damaged: u64,
    /// The first of the damaged places of the whole object.
    pub damages: Vec<Damage>,
    /// URLs of a manifest.
    pub manifest: Vec<String>,
    /// Bytes of the object that were read since the last piece, as they are stored.
    pub read_bytes: u64,
    bytes: usize,
    passed: u64,
}

/// How reading an object goes.
#[derive(Debug)]
pub(super) enum Reading {
    Piece(Piece),
    /// The last: whether the object was read to its end. An error within an object that was
    /// unpacked so far is the object's; the store's own ends the replay.
    End(Result<(), StoreError>),
}

/// Begins to read. Nothing more is read once the receiver is gone.
pub(super) fn start(
    store: Arc<Store>,
    object: Object,
    form: Form,
    wanted: Wanted,
    digests: bool,
) -> mpsc::Receiver<Reading> {
    let (sender, receiver) = mpsc::channel(limits::REPLAY_PIECES_AHEAD);
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        let trouble = Arc::new(Mutex::new(None));
        let read = Arc::new(AtomicU64::new(0));
        let source = Source {
            store,
            object,
            handle,
            body: None,
            chunk: Bytes::new(),
            offset: 0,
            read: read.clone(),
            trouble: trouble.clone(),
        };
        let mut pieces =
            Pieces { sender, digests, read, told: 0, named: 0, open: Piece::default() };
        let end = match pieces.read(source, form, wanted) {
            // Nobody listens any more.
            Ok(false) => return,
            Ok(true) => Ok(()),
            // What the store said is the cause of what the unpacker says.
            Err(reason) => Err(trouble.lock().take().unwrap_or(StoreError::Object(reason))),
        };
        if pieces.close() {
            let _ = pieces.sender.blocking_send(Reading::End(end));
        }
    });
    receiver
}

struct Pieces {
    sender: mpsc::Sender<Reading>,
    digests: bool,
    read: Arc<AtomicU64>,
    told: u64,
    named: usize,
    open: Piece,
}

impl Pieces {
    /// `false` if nobody takes the pieces.
    fn read(&mut self, source: Source, form: Form, wanted: Wanted) -> Result<bool, String> {
        let source = unpack(source).map_err(|error| error.to_string())?;
        let mut lines = Lines::new(source, form, wanted);
        while let Some(step) = lines.step().map_err(|error| error.to_string())? {
            self.take(step);
            let full = self.open.lines.len() >= PIECE_LINES
                || self.open.bytes >= limits::REPLAY_PIECE_BYTES
                || self.open.passed >= PIECE_PASSED;
            if full && !self.close() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn take(&mut self, step: Step) {
        let open = &mut self.open;
        match step {
            Step::Line(line) => {
                if self.digests {
                    open.digests.push(state::digest_of(&line.raw));
                }
                open.bytes += line.raw.len();
                open.lines.push(line);
            }
            Step::Passed => open.passed += 1,
            Step::Filtered => {
                open.filtered += 1;
                open.passed += 1;
            }
            Step::Damaged(damage) => {
                open.damaged += 1;
                open.passed += 1;
                if self.named < limits::REPLAY_DAMAGES_NAMED {
                    self.named += 1;
                    open.damages.push(damage);
                }
            }
            Step::Manifest(urls) => open.manifest.extend(urls),
        }
    }

    fn close(&mut self) -> bool {
        let mut piece = std::mem::take(&mut self.open);
        let read = self.read.load(Ordering::Relaxed);
        piece.read_bytes = read - self.told;
        self.told = read;
        self.sender.blocking_send(Reading::Piece(piece)).is_ok()
    }
}

/// The bytes of an object as a reader; asked for again from where they broke off.
struct Source {
    store: Arc<Store>,
    object: Object,
    handle: Handle,
    body: Option<Body>,
    chunk: Bytes,
    offset: u64,
    read: Arc<AtomicU64>,
    trouble: Arc<Mutex<Option<StoreError>>>,
}

impl Source {
    /// The next bytes; empty at the end.
    async fn next(&mut self) -> Result<Bytes, StoreError> {
        let mut wait = limits::S3_BACKOFF_INITIAL;
        for attempt in 1.. {
            if self.offset >= self.object.size_bytes {
                return Ok(Bytes::new());
            }
            let body = match &mut self.body {
                Some(body) => body,
                body => body.insert(self.store.open(&self.object, self.offset).await?),
            };
            let reason = match body.next().await {
                Ok(Some(chunk)) => {
                    self.offset += chunk.len() as u64;
                    return Ok(chunk);
                }
                Ok(None) => "the object ends early".to_owned(),
                Err(error) => error.to_string(),
            };
            if matches!(body, Body::File(_)) {
                return Err(StoreError::Object(reason));
            }
            self.body = None;
            if attempt >= limits::REPLAY_ATTEMPTS {
                return Err(StoreError::Store(reason));
            }
            tracing::debug!(self.offset, reason, "reading an object broke off");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(limits::S3_BACKOFF_MAX);
        }
        unreachable!("the loop has no end but its returns")
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            let handle = self.handle.clone();
            match handle.block_on(self.next()) {
                Ok(chunk) => self.chunk = chunk,
                Err(error) => {
                    let text = error.to_string();
                    *self.trouble.lock() = Some(error);
                    return Err(io::Error::other(text));
                }
            }
            self.read.fetch_add(self.chunk.len() as u64, Ordering::Relaxed);
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
