//! Groups records by route until size or interval is due. Pure: time is passed in.

use std::{collections::HashMap, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    limits,
    record::{Frame, Members, Route},
    seams::{Aside, Chunk, RawBatch},
    units::{ByteSize, Span},
};

/// When a batch is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Buffering {
    /// Size at which a batch is closed. Firehose: 1 to 128 MiB; here 1 byte to 1 GiB.
    pub size: ByteSize,
    /// Age of the oldest record at which a batch is closed. Firehose: 0 to 900 s; here to a day.
    pub interval: Span,
    /// Which bytes `size` counts.
    pub size_of: SizeOf,
}

impl Default for Buffering {
    fn default() -> Self {
        Self {
            size: ByteSize(limits::BUFFER_BYTES_DEFAULT),
            interval: Span(limits::BUFFER_INTERVAL_DEFAULT),
            size_of: SizeOf::default(),
        }
    }
}

/// Which bytes `buffering.size` counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SizeOf {
    /// The records' bytes before compression, as Firehose counts.
    #[default]
    Records,
    /// The object's bytes after compression, so that objects reach the size.
    Object,
}

/// Why a batch was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    Size,
    Interval,
    /// All open batches together took more memory than allowed, and this was the largest.
    Budget,
    /// Somebody asked for it.
    Flush,
    /// The daemon or the stream is stopping.
    Drain,
    /// Built again after a crash, under the key it had before.
    Recovery,
}

impl CloseReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Interval => "interval",
            Self::Budget => "budget",
            Self::Flush => "flush",
            Self::Drain => "drain",
            Self::Recovery => "recovery",
        }
    }
}

/// What is put behind every record when an object is put together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Framing {
    pub delimiter: Vec<u8>,
    /// Only behind records that do not end with the delimiter already.
    pub if_missing: bool,
}

impl Framing {
    /// Appends a record as it stands in an object.
    pub fn write(&self, record: &[u8], into: &mut Vec<u8>) {
        into.extend_from_slice(record);
        if !(self.if_missing && record.ends_with(&self.delimiter)) {
            into.extend_from_slice(&self.delimiter);
        }
    }
}

/// A batch that takes no more records.
#[derive(Debug, Clone)]
pub struct Batch {
    pub route: Route,
    pub raw: RawBatch,
    pub members: Members,
    /// Arrival of the oldest record: the instant of the object's key.
    pub oldest_arrival_ms: i64,
    pub reason: CloseReason,
    /// True when a JSON object was followed by another without anything between them.
    pub objects_touch: bool,
}

/// Which position records come from, and which of its leaves they are.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// One record, which is the whole position.
    Whole(u64),
    Leaves {
        sequence: u64,
        of: u32,
        leaves: &'a [u32],
    },
}

/// Two times on one clock.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Since when the record has waited. It may lie in the past for one from before a restart.
    pub since: Duration,
    /// Now.
    pub read: Duration,
}

impl Now {
    pub fn at(now: Duration) -> Self {
        Self { since: now, read: now }
    }
}

/// A batch that still grows.
#[derive(Debug, Default)]
struct Open {
    raw: RawBatch,
    /// Bytes of `raw.aside` and `raw.sealed`.
    bytes_before: u64,
    /// Memory that it is counted with.
    memory_bytes: u64,
    members: Members,
    oldest_arrival_ms: i64,
    since: Duration,
    read: Duration,
    objects_touch: bool,
}

impl Open {
    /// Appends one record, framed for an object or as it is.
    fn push(&mut self, record: &[u8], framing: Option<&Framing>, by_record: bool) {
        let data = &mut self.raw.tail.data;
        if let Some(framing) = framing {
            self.objects_touch |= record.first() == Some(&b'{') && data.last() == Some(&b'}');
            framing.write(record, data);
        } else {
            data.extend_from_slice(record);
        }
        if by_record {
            self.raw.tail.ends.push(data.len() as u32);
        }
        self.raw.records += 1;
    }

    fn bytes(&self) -> u64 {
        self.bytes_before + self.raw.tail.data.len() as u64
    }

    /// Begins a new chunk once the last one is full: a buffer that doubles again and again is
    /// copied as often, and holds twice the memory in the end.
    fn seal(&mut self) {
        let bytes = self.raw.tail.data.len();
        if bytes >= limits::CHUNK_BYTES {
            let next = Chunk { data: Vec::with_capacity(limits::CHUNK_BYTES), ends: Vec::new() };
            self.raw.sealed.push(std::mem::replace(&mut self.raw.tail, next));
            self.bytes_before += bytes as u64;
        }
    }

    /// Takes note of the memory it has now; answers with the difference.
    fn weigh(&mut self) -> i64 {
        let sealed = (self.raw.sealed.len() * limits::CHUNK_BYTES) as u64;
        let Chunk { data, .. } = &self.raw.tail;
        // Of room that was taken in advance only what is filled counts, as if it had grown: else a
        // few records of many streams would use up the budget.
        let ahead = data.capacity().saturating_sub(data.len().next_power_of_two());
        let now = sealed + self.raw.tail.memory_bytes() - ahead as u64;
        now as i64 - std::mem::replace(&mut self.memory_bytes, now) as i64
    }

    /// Whether the ends of the tail's records must make a new beginning.
    fn is_tail_full(&self) -> bool {
        self.raw.tail.data.len() >= limits::CHUNK_BYTES_MAX
    }
}

/// The open batch of a route. Its oldest arrival is kept up to date.
fn open_of<'a>(
    batches: &'a mut HashMap<Route, Open>,
    route: &Route,
    arrival_ms: i64,
) -> &'a mut Open {
    let open = batches.get_mut(route).expect("it was opened before");
    open.oldest_arrival_ms = open.oldest_arrival_ms.min(arrival_ms);
    open
}

/// The open batches of one destination.
#[derive(Debug)]
pub struct Batcher {
    options: Buffering,
    /// Of the error output.
    error_options: Buffering,
    framing: Framing,
    /// Whether the ends of records are kept.
    by_record: bool,
    /// Whether batches consist of chunks that can be put aside.
    in_chunks: bool,
    /// Bytes an encoded byte costs before encoding; 1 where records are counted.
    expansion: f64,
    open: HashMap<Route, Open>,
    /// Bytes in memory.
    open_bytes: u64,
    /// Open batches that are not of an error output.
    partitions: usize,
    /// What the next batch of objects is made for: as much as the last one, if that was full. A buffer
    /// that doubles again and again is copied as often.
    room: usize,
    /// No batch is due before; looked for anew once it has passed. `None` if nothing is open.
    earliest: Option<Duration>,
    /// What `earliest` goes by.
    catching_up: bool,
}

impl Batcher {
    pub fn new(options: Buffering, framing: Framing) -> Self {
        Self {
            options,
            error_options: options,
            framing,
            by_record: false,
            in_chunks: false,
            expansion: 1.0,
            open: HashMap::new(),
            open_bytes: 0,
            partitions: 0,
            room: 0,
            earliest: None,
            catching_up: false,
        }
    }

    /// Takes everything into one batch a route: for batches whose records are decided.
    pub fn unlimited(framing: Framing) -> Self {
        let options = Buffering { size: ByteSize(u64::MAX), ..Buffering::default() };
        Self::new(options, framing)
    }

    /// The same, keeping where each record ends for an encoder that asks for it.
    pub fn by_record(self, by_record: bool) -> Self {
        Self { by_record, ..self }
    }

    /// The same with a buffering of its own for the error output.
    pub fn with_errors(self, error_options: Buffering) -> Self {
        Self { error_options, ..self }
    }

    /// The same in chunks, each of which may be put aside.
    pub fn in_chunks(self, in_chunks: bool) -> Self {
        Self { in_chunks, ..self }
    }

    /// How many bytes before encoding an encoded byte stands for: what `size_of: object` goes by.
    pub fn set_expansion(&mut self, expansion: f64) {
        self.expansion = expansion.clamp(1.0, 1000.0);
    }

    /// Bytes of open batches in memory.
    pub fn open_bytes(&self) -> u64 {
        self.open_bytes
    }

    pub fn open_batches(&self) -> usize {
        self.open.len()
    }

    /// Whether records of this route go into a batch that is there already.
    pub fn is_open(&self, route: &Route) -> bool {
        self.open.contains_key(route)
    }

    /// How many partitions are open.
    pub fn open_partitions(&self) -> usize {
        self.partitions
    }

    fn options_of(&self, route: &Route) -> &Buffering {
        match route {
            Route::Errors(_) => &self.error_options,
            Route::Objects | Route::Partition(_) => &self.options,
        }
    }

    /// The size before encoding at which a batch is closed.
    fn size_limit(&self, route: &Route) -> u64 {
        let options = self.options_of(route);
        let size = options.size.0.max(1);
        match options.size_of {
            SizeOf::Records => size,
            SizeOf::Object => {
                let wanted = (size as f64 * self.expansion) as u64;
                wanted.min(size.max(limits::BUFFER_BYTES_MAX))
            }
        }
    }

    /// The beginning of the largest open batch: what a first guess of the expansion is made from.
    pub fn sample(&self, bytes: usize) -> Option<Chunk> {
        let objects = self.open.iter().filter(|(route, _)| !matches!(route, Route::Errors(_)));
        let chunks = objects.map(|(_, open)| open.raw.sealed.first().unwrap_or(&open.raw.tail));
        let Chunk { data, ends } = chunks.max_by_key(|chunk| chunk.data.len())?;
        if data.len() < bytes {
            return None;
        }
        // Whole records, where records are told apart.
        let ends: Vec<u32> =
            ends.iter().copied().take_while(|end| *end as usize <= bytes).collect();
        let bytes = ends.last().map_or(bytes, |end| *end as usize);
        Some(Chunk { data: data[..bytes].to_vec(), ends })
    }

    /// Adds what became of the record at a position, and answers with the batch if that filled it.
    ///
    /// All leaves that go to one route are added together, so that they stay together.
    pub fn add<'a>(
        &mut self,
        route: &Route,
        origin: Origin<'_>,
        arrival_ms: i64,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        now: Now,
    ) -> Option<Batch> {
        let limit = self.size_limit(route);
        // Error lines bring their own newline.
        let is_error = matches!(route, Route::Errors(_));
        // Not the entry API: it would clone the route for every record.
        if !self.open.contains_key(route) {
            self.begin(route, arrival_ms, now);
        }
        let open = open_of(&mut self.open, route, arrival_ms);
        for piece in pieces {
            open.push(piece, (!is_error).then_some(&self.framing), self.by_record && !is_error);
        }
        if self.in_chunks {
            open.seal();
        }
        match origin {
            Origin::Whole(sequence) => open.members.push(sequence),
            Origin::Leaves { sequence, of, leaves } => {
                open.members.push_leaves(sequence, of, leaves);
            }
        }
        self.open_bytes = self.open_bytes.saturating_add_signed(open.weigh());
        let full = open.bytes() >= limit || open.is_tail_full();
        if full { self.close(&route.clone(), CloseReason::Size) } else { None }
    }

    /// Adds the records of a whole frame, as they are, to one route: what `add` does for each, with
    /// the look-ups made once. Batches that are full on the way go to `closed`.
    pub fn add_frame(&mut self, route: &Route, frame: &Frame, now: Now, closed: &mut Vec<Batch>) {
        let limit = self.size_limit(route);
        let mut records = frame.iter().peekable();
        while records.peek().is_some() {
            if !self.open.contains_key(route) {
                self.begin(route, frame.arrival_ms, now);
            }
            let open = open_of(&mut self.open, route, frame.arrival_ms);
            let mut full = false;
            for (sequence, record) in records.by_ref() {
                open.push(record, Some(&self.framing), self.by_record);
                open.members.push(sequence);
                if self.in_chunks {
                    open.seal();
                }
                if open.bytes() >= limit || open.is_tail_full() {
                    full = true;
                    break;
                }
            }
            self.open_bytes = self.open_bytes.saturating_add_signed(open.weigh());
            if full {
                closed.extend(self.close(route, CloseReason::Size));
            }
        }
    }

    /// When the next batch is due by interval, on the clock that `now` comes from.
    ///
    /// While `catching_up`, a record's age does not count: all of a backlog would be due at once,
    /// and a day of it become objects of one read each. What counts then is how long the batch has
    /// been open, so that a small partition never waits for the end of a large backlog.
    ///
    /// The answer may be too early, when the batch that was due has been closed otherwise.
    pub fn next_due(&self) -> Option<Duration> {
        self.earliest.filter(|_| !self.open.is_empty())
    }

    fn due(&self, route: &Route, open: &Open) -> Duration {
        let from = if self.catching_up { open.read } else { open.since };
        from + self.options_of(route).interval.0
    }

    /// Closes every batch whose interval has passed, oldest first.
    pub fn close_due(&mut self, now: Duration, catching_up: bool) -> Vec<Batch> {
        let is_known = self.catching_up == catching_up;
        self.catching_up = catching_up;
        if is_known && self.earliest.is_none_or(|earliest| now < earliest) {
            return Vec::new();
        }
        let mut due = Vec::new();
        let mut earliest: Option<Duration> = None;
        for (route, open) in &self.open {
            let at = self.due(route, open);
            if now >= at {
                due.push((at, route.clone()));
            } else {
                earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
            }
        }
        self.earliest = earliest;
        due.sort_by_key(|(since, _)| *since);
        due.into_iter().filter_map(|(_, route)| self.close(&route, CloseReason::Interval)).collect()
    }

    /// Closes everything.
    pub fn close_all(&mut self, reason: CloseReason) -> Vec<Batch> {
        let routes: Vec<Route> = self.open.keys().cloned().collect();
        routes.into_iter().filter_map(|route| self.close(&route, reason)).collect()
    }

    /// Closes the largest batch, for the sake of memory.
    pub fn close_largest(&mut self) -> Option<Batch> {
        let route = self.open.iter().max_by_key(|(_, open)| open.bytes())?.0.clone();
        self.close(&route, CloseReason::Budget)
    }

    /// Puts the largest batches' bytes aside, one after the other, until no more than `target`
    /// bytes are in memory.
    pub fn put_aside(&mut self, target: u64, mut keep: impl FnMut(Chunk) -> Arc<dyn Aside>) {
        let mut by_size: Vec<&mut Open> = self.open.values_mut().collect();
        by_size.sort_unstable_by_key(|open| std::cmp::Reverse(open.memory_bytes));
        for open in by_size {
            if self.open_bytes <= target {
                break;
            }
            let tail = std::mem::take(&mut open.raw.tail);
            open.bytes_before += tail.data.len() as u64;
            let chunks = open.raw.sealed.drain(..).chain([tail]);
            let chunks = chunks.filter(|chunk| !chunk.data.is_empty());
            open.raw.aside.extend(chunks.map(&mut keep));
            self.open_bytes = self.open_bytes.saturating_add_signed(open.weigh());
        }
    }

    /// Opens a batch.
    fn begin(&mut self, route: &Route, arrival_ms: i64, now: Now) {
        let Now { since, read } = now;
        let mut open = Open { oldest_arrival_ms: arrival_ms, since, read, ..Open::default() };
        if *route == Route::Objects && !self.in_chunks {
            open.raw.tail.data.reserve_exact(self.room);
        }
        self.open.insert(route.clone(), open);
        self.partitions += usize::from(!matches!(route, Route::Errors(_)));
        let from = if self.catching_up { now.read } else { now.since };
        let due = from + self.options_of(route).interval.0;
        self.earliest = Some(self.earliest.map_or(due, |earliest| earliest.min(due)));
    }

    fn close(&mut self, route: &Route, reason: CloseReason) -> Option<Batch> {
        let (route, open) = self.open.remove_entry(route)?;
        self.open_bytes = self.open_bytes.saturating_sub(open.memory_bytes);
        if !matches!(route, Route::Errors(_)) {
            self.partitions -= 1;
        }
        if route == Route::Objects {
            let bytes = open.raw.tail.data.len();
            let is_full = reason == CloseReason::Size;
            self.room = if is_full { (bytes + bytes / 16).min(limits::BATCH_ROOM_MAX) } else { 0 };
        }
        Some(Batch {
            route,
            raw: open.raw,
            members: open.members,
            oldest_arrival_ms: open.oldest_arrival_ms,
            reason,
            objects_touch: open.objects_touch,
        })
    }
}

#[cfg(test)]
mod tests;
