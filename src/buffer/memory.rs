//! The journal in memory, for `durability: memory`: the same rules, lost with the process.

use std::collections::{BTreeMap, VecDeque};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::watch;

use super::{
    Options,
    calls::{Calls, Place},
    check_put, frame, new_id,
};
use crate::{
    limits,
    record::{Frame, FrameProvenance, Position, Put},
    seams::{AppendError, Appended, Entry, Journal, JournalError, JournalStats, Upstream},
};

/// Keeps frames until every cursor has passed them.
pub struct MemoryJournal {
    id: [u8; 16],
    state: Mutex<State>,
    tail: watch::Sender<Position>,
    settled: watch::Sender<Position>,
}

struct State {
    frames: VecDeque<Frame>,
    used_bytes: u64,
    max_bytes: u64,
    cursors: BTreeMap<String, u64>,
    calls: Calls,
    next: u64,
    closed: bool,
}

impl MemoryJournal {
    pub fn new(options: &Options) -> Self {
        Self {
            id: new_id(),
            state: Mutex::new(State {
                frames: VecDeque::new(),
                used_bytes: 0,
                max_bytes: options.max_size.0,
                cursors: BTreeMap::new(),
                calls: Calls::new(limits::CALLS_REMEMBERED),
                next: 0,
                closed: false,
            }),
            tail: watch::Sender::new(Position::START),
            settled: watch::Sender::new(Position::START),
        }
    }

    /// Random; part of what makes a record id unique.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Whether an append of so many records with so many bytes finds room now.
    pub fn has_room(&self, records: usize, data_bytes: usize) -> bool {
        let state = self.state.lock();
        let bytes = frame::footprint(records, data_bytes) as u64;
        state.used_bytes + bytes <= state.max_bytes
    }

    /// Whether a journal takes so many records with so many bytes in one put.
    pub fn takes(records: usize, data_bytes: usize) -> bool {
        frame::footprint(records, data_bytes) <= limits::FRAME_BYTES_MAX
    }

    pub fn set_max_bytes(&self, max_bytes: u64) {
        self.state.lock().max_bytes = max_bytes;
    }

    /// True if the record at this position is still kept.
    pub fn contains(&self, position: Position) -> bool {
        let state = self.state.lock();
        position.lane == 0 && (state.oldest()..state.next).contains(&position.sequence)
    }
}

/// A put as a frame of the journal.
fn whole(put: Put, first: Position) -> Frame {
    let Put { lengths, data, arrival_ms, provenance, .. } = put;
    let unfit = provenance.as_ref().is_some_and(|provenance| provenance.unfit.is_some());
    let provenance =
        provenance.map(|provenance| FrameProvenance::encoded(provenance.encode_to_vec().into()));
    Frame { first, arrival_ms, lengths, data: Bytes::from(data), provenance, unfit }
}

impl State {
    /// What every destination has settled; nothing while there is none.
    fn settled(&self) -> u64 {
        self.cursors.values().min().copied().unwrap_or(0)
    }

    fn oldest(&self) -> u64 {
        self.frames.front().map_or(self.next, |frame| frame.first.sequence)
    }

    fn release(&mut self) {
        let Some(&before) = self.cursors.values().min() else { return };
        while let Some(frame) = self.frames.front()
            && frame.end().sequence <= before
        {
            self.used_bytes -= frame::footprint_of(frame) as u64;
            self.frames.pop_front();
        }
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, put: Put) -> Result<Appended, AppendError> {
        check_put(&put, false)?;
        let mut state = self.state.lock();
        let first = Position::new(0, state.next);
        if state.closed {
            return Err(AppendError::Closed);
        }
        if put.lengths.is_empty() {
            return Ok(Appended { first, records: 0, repeated: false, places: None });
        }
        if let Some(Place { first, records }) = put.call.and_then(|call| state.calls.get(&call)) {
            return Ok(Appended {
                first: Position::new(0, first),
                records,
                repeated: true,
                places: None,
            });
        }
        let call = put.call;
        let frame = whole(put, first);
        let bytes = frame::footprint_of(&frame) as u64;
        if state.used_bytes + bytes > state.max_bytes {
            let (used_bytes, max_bytes) = (state.used_bytes, state.max_bytes);
            return Err(AppendError::Full { used_bytes, max_bytes });
        }
        let records = frame.lengths.len() as u32;
        if let Some(call) = call {
            state.calls.insert(call, Place { first: first.sequence, records });
        }
        state.next = frame.end().sequence;
        state.used_bytes += bytes;
        state.frames.push_back(frame);
        self.tail.send_replace(Position::new(0, state.next));
        Ok(Appended { first, records, repeated: false, places: None })
    }

    fn tail(&self) -> watch::Receiver<Position> {
        self.tail.subscribe()
    }

    async fn read(
        &self,
        from: Position,
        before: Position,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, JournalError> {
        let state = self.state.lock();
        let (mut at, before) = (from.sequence, before.sequence.min(state.next));
        let mut entries = Vec::new();
        let oldest = state.oldest().min(before);
        if at < oldest {
            entries.push(Entry::Damaged { first: from, end: Position::new(0, oldest) });
            at = oldest;
        }
        let start = state.frames.partition_point(|frame| frame.end().sequence <= at);
        let mut bytes = 0;
        for frame in state.frames.range(start..) {
            let Some(part) = frame::cut(frame.clone(), at, before) else { break };
            bytes += frame::footprint_of(&part);
            entries.push(Entry::Frame(part));
            if bytes >= max_bytes {
                break;
            }
        }
        Ok(entries)
    }

    async fn open_cursor(&self, name: &str, from_tail: bool) -> Result<Position, JournalError> {
        let mut state = self.state.lock();
        let new = if from_tail { state.next } else { state.oldest() };
        let at = *state.cursors.entry(name.to_owned()).or_insert(new);
        Ok(Position::new(0, at))
    }

    async fn commit(&self, cursor: &str, before: Position) -> Result<(), JournalError> {
        let mut state = self.state.lock();
        let before = before.sequence.min(state.next);
        let Some(at) = state.cursors.get_mut(cursor) else {
            return Err(JournalError::UnknownCursor(cursor.to_owned()));
        };
        *at = before.max(*at);
        state.release();
        self.settled.send_replace(Position::new(0, state.settled()));
        Ok(())
    }

    fn cursors(&self) -> Vec<String> {
        self.state.lock().cursors.keys().cloned().collect()
    }

    async fn drop_cursor(&self, name: &str) -> Result<(), JournalError> {
        let mut state = self.state.lock();
        if state.cursors.remove(name).is_none() {
            return Err(JournalError::UnknownCursor(name.to_owned()));
        }
        state.release();
        self.settled.send_replace(Position::new(0, state.settled()));
        Ok(())
    }

    /// Nothing outlives the process, so nothing is known of an earlier one.
    async fn upstream(&self) -> Result<Upstream, JournalError> {
        Ok(Upstream { positions: BTreeMap::new(), durable: false })
    }

    fn settled(&self) -> watch::Receiver<Position> {
        self.settled.subscribe()
    }

    fn stats(&self) -> JournalStats {
        let state = self.state.lock();
        let (used_bytes, max_bytes) = (state.used_bytes, state.max_bytes);
        JournalStats { used_bytes, max_bytes, ..JournalStats::default() }
    }

    async fn close(&self) {
        self.state.lock().closed = true;
    }
}
