//! The traits between the rooms, with their contracts. A newcomer's second file.
//!
//! ```text
//!  Source ──put──▶ Journal ──read──▶ Transform ─▶ (partition, batch) ─▶ Encoder ─▶ Sink
//!
//!  Journal of one stream, one lane:
//!
//!      first                cursor of d1        cursor of d2                 tail
//!        |                      |                   |                         |
//!   ─────[ frame ][ frame ][ frame ][ frame ][ frame ][ frame ][ frame ]──────▶ append
//!        └─ reclaimable ───────┘└─ kept until every cursor has passed ───────┘
//! ```
//!
//! Each trait has one conformance suite that every implementation runs.

use std::{collections::BTreeMap, fmt, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    fault::{Cause, Details, Failure, Fault, output_type},
    net::sigv4::sha256,
    record::{Frame, Leaf, Piece, Position, Put, Ranges, Record, Route},
};

// ---------------------------------------------------------------------------------------- Source

/// Where a source puts records. `Ok` means: stored as durably as the stream promises.
#[async_trait]
pub trait Inlet: Send + Sync {
    async fn put(&self, put: Put) -> Result<Appended, AppendError>;

    /// The same of a put that the caller keeps, to make it again should the journal be full.
    async fn put_shared(&self, put: Arc<Put>) -> Result<Appended, AppendError> {
        self.put(Arc::unwrap_or_clone(put)).await
    }

    /// Where the source stood upstream when it last stored something ([`Provenance::steps`]).
    ///
    /// [`Provenance::steps`]: crate::record::Provenance::steps
    async fn upstream(&self) -> Result<Upstream, JournalError>;

    /// Everything below is settled by every destination. A source whose journal is not durable
    /// tells upstream no more than this.
    fn settled(&self) -> watch::Receiver<Position>;

    /// Called by a source that is being stopped and whose last put has returned, before it tells
    /// upstream for the last time: the stream delivers all that is open now. Returns once every
    /// destination has settled it, or the shutdown waits no longer.
    async fn drain(&self) {}
}

/// What a journal knows of its source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upstream {
    /// Positions by key, in the source's own words.
    pub positions: BTreeMap<String, String>,
    /// Whether what is stored outlives the process: upstream may then forget it at once.
    pub durable: bool,
}

/// Accepts or pulls records and acknowledges upstream only after `inlet.put` returned Ok.
#[async_trait]
pub trait Source: Send + Sync {
    /// Runs until `stop` is cancelled, then takes no more records, waits for the puts under way
    /// and returns, soon but for [`Inlet::drain`]. A full journal answers `AppendError::Full`: pull sources pause, push sources
    /// tell their client to try later.
    async fn run(&self, inlet: Arc<dyn Inlet>, stop: CancellationToken);
}

// --------------------------------------------------------------------------------------- Journal

/// Where a put came to lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    pub first: Position,
    /// How many records lie there: of a repeated call as many as its first attempt stored.
    pub records: u32,
    /// True when this very call had been stored before and was not stored again.
    pub repeated: bool,
    /// Where each record lies, if they do not lie one behind the other from `first` on.
    pub places: Option<Arc<[Position]>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The stream's disk limit is reached, or the disk is full: try again later. Nothing is stored.
    #[error("the journal is full: {used_bytes} of {max_bytes} bytes hold undelivered records")]
    Full { used_bytes: u64, max_bytes: u64 },
    /// The first write or fsync error, for ever: whether the put is stored is not known.
    #[error("the journal has failed: {0}")]
    Failed(Arc<str>),
    #[error("the journal is closed")]
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    #[error("journal {operation} failed: {message}")]
    Io { operation: &'static str, message: String },
    #[error("unknown cursor {0}")]
    UnknownCursor(String),
}

/// What a read meets, in order and without gaps: `end` of one is `first` of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Frame(Frame),
    /// Positions whose bytes are damaged or whose segment is missing. They were reported when
    /// found, and are settled as lost by name; what follows them is intact.
    Damaged {
        first: Position,
        end: Position,
    },
}

impl Entry {
    pub fn first(&self) -> Position {
        match self {
            Self::Frame(frame) => frame.first,
            Self::Damaged { first, .. } => *first,
        }
    }

    pub fn end(&self) -> Position {
        match self {
            Self::Frame(frame) => frame.end(),
            Self::Damaged { end, .. } => *end,
        }
    }
}

/// Plans of shipments beside a journal that several replicas read, one at a time.
pub trait SharedPlans: Send + Sync {
    /// What was saved last, and whether it was by this replica. Blocking.
    fn load(&self) -> io::Result<(Vec<u8>, bool)>;

    /// Replaces the plans. Durable on Ok, and refused to a replica that does not own the journal
    /// any more: what was not saved must not leave. Blocking.
    fn save(&self, plans: &[u8]) -> io::Result<()>;

    /// How large plans may be.
    fn max_bytes(&self) -> usize;
}

/// How much a journal holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Bytes on disk (or in memory) that no cursor has released yet.
    pub used_bytes: u64,
    /// The limit at which puts are refused.
    pub max_bytes: u64,
    /// The cause of the sticky failure, if any.
    pub failed: Option<Arc<str>>,
    /// Number of fsyncs and their total duration, for the metric.
    pub syncs: u64,
    pub sync_micros: u64,
    /// Positions found damaged at recovery or by readers.
    pub damaged: u64,
}

/// The durable log of one stream.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Stores a put as one frame, whole or not at all. `Ok` means it survives what the stream's
    /// durability promises. Appends that wait together share one write and one fsync. A put whose
    /// `call` is in the window of recent calls is not stored again: the first answer is repeated,
    /// also while the first is still being written. After the first write or fsync error every
    /// append fails with that first cause; reading goes on.
    async fn append(&self, put: Put) -> Result<Appended, AppendError>;

    /// The same of a put that the caller keeps.
    async fn append_shared(&self, put: Arc<Put>) -> Result<Appended, AppendError> {
        self.append(Arc::unwrap_or_clone(put)).await
    }

    /// The end of what may be read: moves after each durable append. Readers wait on it.
    fn tail(&self) -> watch::Receiver<Position>;

    /// Entries from `from` on, at least one if `from < tail`, no further than `before`, until
    /// `max_bytes` (headers and record lengths count too) are exceeded by the last. Never modifies a file. `from` may lie inside
    /// a frame: the frame is then handed out from that record on; a frame that spans `before` is
    /// cut there.
    async fn read(
        &self,
        from: Position,
        before: Position,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, JournalError>;

    /// Registers a cursor, at the oldest position kept if it is new (`from_tail`: at the tail),
    /// and returns where it stands. Idempotent. Durable on Ok. When the cursors were lost (their
    /// file is damaged or gone while records are kept), a new one starts at the oldest position
    /// whatever `from_tail` says, and nothing is reclaimed until the journal has been closed.
    async fn open_cursor(&self, name: &str, from_tail: bool) -> Result<Position, JournalError>;

    /// Everything below `before` is settled for this cursor. Monotonic: a lower position than the
    /// current one is ignored. Durable on Ok; space that every cursor has passed is reclaimed.
    async fn commit(&self, cursor: &str, before: Position) -> Result<(), JournalError>;

    /// The names of all cursors.
    fn cursors(&self) -> Vec<String>;

    /// Forgets a cursor, so that it no longer holds back retention.
    async fn drop_cursor(&self, name: &str) -> Result<(), JournalError>;

    /// Where the source stands upstream by the stored puts: the sum of their provenance's steps,
    /// those of puts that were given back since included.
    async fn upstream(&self) -> Result<Upstream, JournalError>;

    /// Everything below is settled by every cursor: durably, if the journal is durable.
    fn settled(&self) -> watch::Receiver<Position>;

    /// Where plans of shipments are kept so that whoever reads this journal next finds them. `None`
    /// for a journal that nobody else ever reads.
    fn shared_plans(&self) -> Option<Arc<dyn SharedPlans>> {
        None
    }

    fn stats(&self) -> JournalStats;

    /// Refuses further appends, finishes those under way, syncs, and lets go of the place on disk,
    /// so that it can be opened anew: cursors no longer move. Reads still work.
    async fn close(&self);
}

// ------------------------------------------------------------------------------------- Transform

/// What became of one input record. Exactly one per input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on as this one record.
    Emit(Piece),
    /// Was taken apart: goes on as these records, each of which has a fate of its own from here
    /// on. The same input must always be taken apart in the same way: which of them reached the
    /// destination before a crash is told by their places. None is the same as `Drop`.
    Split(Vec<Piece>),
    /// Ends here by a rule of the user's; counted.
    Drop,
    /// Goes to the error output with this reason.
    Fail(Failure),
}

/// One step of the chain.
#[async_trait]
pub trait Transform: Send + Sync {
    fn name(&self) -> &'static str;

    /// Exactly one verdict per input, in input order. Inputs keep their position; several of them
    /// may share one where an earlier step took a record apart. Emitted pieces carry the input's
    /// notes on, with what this step found out.
    async fn apply(&self, records: &[Record]) -> Vec<Verdict>;

    /// What the transform waits for elsewhere, and how records are gathered for it. `None` for one
    /// that only computes: it never waits, and runs on the CPU threads.
    fn remote(&self) -> Option<Remote> {
        None
    }

    /// Whether a small record may become a very large one here: then few go through together.
    fn expands(&self) -> bool {
        false
    }
}

/// Who hears of the attempts of a transform that calls somebody else: without it a function that
/// may not be called would hold a stream in silence.
pub trait Observer: Send + Sync {
    fn attempt_failed(&self, fault: &Fault, attempts: u32, wait: Duration);
    fn attempt_succeeded(&self);
}

/// How records are gathered for a transform that calls somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    /// Bytes of records that are gathered for one call of `apply`.
    pub gather_bytes: u64,
    /// How long they are gathered at the most.
    pub gather_for: Duration,
    /// Calls of `apply` under way at a time; their answers are taken in the order of the records.
    pub concurrency: usize,
}

// --------------------------------------------------------------------------------------- Encoder

/// Records as they will stand in the object before compression, one behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunk {
    pub data: Vec<u8>,
    /// Where each record ends in `data`; empty unless the encoder asks for it
    /// ([`Encoder::by_record`]).
    pub ends: Vec<u32>,
}

impl Chunk {
    /// Memory that it takes, the room that its buffers have to spare included.
    pub fn memory_bytes(&self) -> u64 {
        (self.data.capacity() + self.ends.capacity() * size_of::<u32>()) as u64
    }
}

/// A chunk that was put aside to save memory.
pub trait Aside: Send + Sync + fmt::Debug {
    /// Reads it back.
    fn load(&self) -> io::Result<Chunk>;
    /// Bytes of its data.
    fn data_bytes(&self) -> u64;
}

/// The records of a closed batch: what was put aside, oldest first, then what is in memory.
#[derive(Debug, Clone, Default)]
pub struct RawBatch {
    pub aside: Vec<Arc<dyn Aside>>,
    /// Chunks that are full.
    pub sealed: Vec<Chunk>,
    /// The chunk that grew last.
    pub tail: Chunk,
    pub records: u64,
}

impl RawBatch {
    /// A batch that is wholly in memory.
    pub fn of(data: Vec<u8>, records: u64) -> Self {
        Self { tail: Chunk { data, ends: Vec::new() }, records, ..Self::default() }
    }

    /// Bytes of all records.
    pub fn data_bytes(&self) -> u64 {
        let aside: u64 = self.aside.iter().map(|chunk| chunk.data_bytes()).sum();
        aside + self.in_memory().map(|chunk| chunk.data.len() as u64).sum::<u64>()
    }

    /// Memory that it takes, the room that its buffers have to spare included.
    pub fn memory_bytes(&self) -> u64 {
        self.in_memory().map(Chunk::memory_bytes).sum()
    }

    fn in_memory(&self) -> impl Iterator<Item = &Chunk> {
        self.sealed.iter().chain(std::iter::once(&self.tail))
    }

    /// All bytes in one piece.
    pub fn whole(self) -> io::Result<Vec<u8>> {
        if self.aside.is_empty() && self.sealed.is_empty() {
            return Ok(self.tail.data);
        }
        let mut data = Vec::with_capacity(self.data_bytes() as usize);
        for chunk in self.chunks() {
            data.extend_from_slice(&chunk?.data);
        }
        Ok(data)
    }

    /// Chunk by chunk, in order; each is read when it is asked for.
    pub fn chunks(self) -> impl Iterator<Item = io::Result<Chunk>> {
        let aside = self.aside.into_iter().map(|chunk| chunk.load());
        aside.chain(self.sealed.into_iter().map(Ok)).chain(std::iter::once(Ok(self.tail)))
    }
}

/// An encoded batch, and the records that the format could not hold.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    pub body: Bytes,
    /// Where each record ends in `body`, for destinations that take records one by one; empty for
    /// an object, which is one piece.
    pub ends: Vec<u32>,
    /// Index of the record in the batch, and why it did not fit.
    pub unfit: Vec<(u64, Failure)>,
}

/// Batch to bytes: no clock, no network. One bad record never fails its neighbours. An error means
/// that what was put aside could not be read back; the batch is then made again from the journal.
pub trait Encoder: Send + Sync {
    fn encode(&self, batch: RawBatch) -> io::Result<Encoded>;
    /// What the format appends to the key (`.gz`), empty for none.
    fn extension(&self) -> &'static str;
    /// The `Content-Encoding` Firehose sets for it.
    fn content_encoding(&self) -> Option<&'static str>;
    /// Whether it must be told where each record ends.
    fn by_record(&self) -> bool {
        false
    }
}

// ------------------------------------------------------------------------------------------ Sink

/// An encoded batch on its way, with everything that makes a repetition the same delivery.
#[derive(Debug, Clone)]
pub struct Shipment {
    /// Object key, or request id.
    pub key: String,
    /// The object; or the records one behind the other, where `list` tells them apart.
    pub body: Bytes,
    pub content_type: &'static str,
    pub content_encoding: Option<&'static str>,
    pub records: u64,
    /// The positions this shipment settles.
    pub positions: Ranges,
    /// Where it goes: the partition of a record's route (an index, a table), or the error output.
    pub route: Route,
    /// Its records one by one, for destinations that take them so. `None` for an object.
    pub list: Option<Arc<RecordList>>,
}

/// The records of a shipment one by one. Both lists have one entry for each record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordList {
    /// Where each record ends in the body.
    pub ends: Vec<u32>,
    /// Where each record comes from: what stable ids are made of.
    pub leaves: Vec<Leaf>,
}

impl Shipment {
    /// Whether it is of the error output.
    pub fn is_error(&self) -> bool {
        matches!(self.route, Route::Errors(_))
    }

    /// The records, where they are told apart; none of an object.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let ends: &[u32] = self.list.as_ref().map_or(&[], |list| &list.ends);
        let mut start = 0;
        ends.iter().map(move |&end| {
            let record = &self.body[start..end as usize];
            start = end as usize;
            record
        })
    }

    /// One record, without copying it. Empty for an object and past the end.
    pub fn record(&self, index: u64) -> Bytes {
        let Some(list) = &self.list else { return Bytes::new() };
        let Some(&end) = list.ends.get(index as usize) else { return Bytes::new() };
        let start = index.checked_sub(1).map_or(0, |before| list.ends[before as usize]);
        self.body.slice(start as usize..end as usize)
    }

    /// A shipment of these records alone, given in ascending order, under a key of its own that is
    /// the same whenever it is made of the same records. An object cannot be taken apart: it stays
    /// whole.
    pub fn select(&self, indexes: &[u64]) -> Self {
        let Some(list) = &self.list else { return self.clone() };
        if indexes.len() == list.ends.len() {
            return self.clone();
        }
        let mut body = Vec::new();
        let mut picked = RecordList::default();
        let mut name = Vec::new();
        for &index in indexes {
            body.extend_from_slice(&self.record(index));
            picked.ends.push(body.len() as u32);
            let leaf = list.leaves[index as usize];
            picked.leaves.push(leaf);
            name.extend_from_slice(&leaf.sequence.to_be_bytes());
            name.extend_from_slice(&leaf.index.to_be_bytes());
        }
        name.extend_from_slice(self.key.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&sha256(&name)[..16]);
        Self {
            key: uuid::Builder::from_custom_bytes(id).into_uuid().to_string(),
            body: body.into(),
            records: indexes.len() as u64,
            list: Some(Arc::new(picked)),
            ..self.clone()
        }
    }
}

/// What an accepted attempt left over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Records that the destination refused for their own fault, by index in the shipment.
    pub rejected: Vec<(u64, Failure)>,
    /// Records to be sent again.
    pub left: Option<Left>,
}

/// Records of a shipment that are not at the destination yet, and why. Only of a shipment that
/// lists its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Indexes in the shipment, ascending.
    pub indexes: Vec<u64>,
    /// `Retry` or `Halt`; `None` where the attempt only did not get to them, because others were
    /// refused before: then they may be sent at once.
    pub fault: Option<Fault>,
}

/// One step of a trial of a destination, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// What was tried: `name resolution`, `TLS`, `authentication`, `write`.
    pub step: &'static str,
    /// What was found, or what is wrong in the destination's own words.
    pub result: Result<String, Cause>,
}

/// One destination. `deliver` is one attempt, honestly classified; nothing is retried inside.
#[async_trait]
pub trait Sink: Send + Sync {
    /// `Ok`: every record of the shipment is durably at the destination, except those listed.
    /// Delivering the same shipment twice leaves it there once, as far as the destination can tell.
    async fn deliver(&self, shipment: &Shipment) -> Result<Delivered, Fault>;

    /// The category under which records that it refuses stand in the error output: one of
    /// [`crate::fault::output_type`].
    fn output_type(&self) -> &'static str {
        output_type::PROCESSING_FAILED
    }

    /// What the error output says of a refused record besides what it says of all: its id at the
    /// destination, say. In the order in which it stands there.
    fn details(&self, _shipment: &Shipment, _index: u64) -> Details {
        Details::new()
    }

    /// Tries the destination once, step by step, until one fails: name resolution, connection,
    /// TLS, authentication, permission to write. Leaves nothing behind, or what its step names.
    async fn check(&self) -> Vec<Trial> {
        Vec::new()
    }
}
