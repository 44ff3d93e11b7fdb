//! Groups records by route until size or interval is due. Pure: time is passed in.

use std::{collections::HashMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    limits,
    record::{Frame, Ranges, Route},
    seams::RawBatch,
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
    pub positions: Ranges,
    /// Arrival of the oldest record: the instant of the object's key.
    pub oldest_arrival_ms: i64,
    pub reason: CloseReason,
    /// True when a JSON object was followed by another without anything between them.
    pub objects_touch: bool,
}

/// A batch that still grows.
#[derive(Debug, Default)]
struct Open {
    raw: RawBatch,
    positions: Ranges,
    oldest_arrival_ms: i64,
    since: Duration,
    objects_touch: bool,
}

impl Open {
    /// Appends one record, framed for an object or as it is.
    fn push(&mut self, record: &[u8], framing: Option<&Framing>) {
        if let Some(framing) = framing {
            self.objects_touch |=
                record.first() == Some(&b'{') && self.raw.tail.data.last() == Some(&b'}');
            framing.write(record, &mut self.raw.tail.data);
        } else {
            self.raw.tail.data.extend_from_slice(record);
        }
        self.raw.records += 1;
    }
}

/// The open batch of a route, begun if there is none. Its oldest arrival is kept up to date.
fn open_of<'a>(
    batches: &'a mut HashMap<Route, Open>,
    route: &Route,
    arrival_ms: i64,
    now: Duration,
) -> &'a mut Open {
    // Not the entry API: it would clone the route for every record.
    if !batches.contains_key(route) {
        let open = Open { oldest_arrival_ms: arrival_ms, since: now, ..Open::default() };
        batches.insert(route.clone(), open);
    }
    let open = batches.get_mut(route).expect("it was inserted above");
    open.oldest_arrival_ms = open.oldest_arrival_ms.min(arrival_ms);
    open
}

/// The open batches of one destination.
#[derive(Debug)]
pub struct Batcher {
    options: Buffering,
    framing: Framing,
    /// Bytes an encoded byte costs before encoding; 1 where records are counted.
    expansion: f64,
    open: HashMap<Route, Open>,
    open_bytes: u64,
}

impl Batcher {
    pub fn new(options: Buffering, framing: Framing) -> Self {
        Self { options, framing, expansion: 1.0, open: HashMap::new(), open_bytes: 0 }
    }

    /// Takes everything into one batch a route: for batches whose records are decided.
    pub fn unlimited(framing: Framing) -> Self {
        let options = Buffering { size: ByteSize(u64::MAX), ..Buffering::default() };
        Self::new(options, framing)
    }

    /// How many bytes before encoding an encoded byte stands for: what `size_of: object` goes by.
    pub fn set_expansion(&mut self, expansion: f64) {
        self.expansion = expansion.clamp(1.0, 1000.0);
    }

    pub fn open_bytes(&self) -> u64 {
        self.open_bytes
    }

    pub fn open_batches(&self) -> usize {
        self.open.len()
    }

    /// The size before encoding at which a batch is closed.
    fn size_limit(&self) -> u64 {
        let size = self.options.size.0.max(1);
        match self.options.size_of {
            SizeOf::Records => size,
            SizeOf::Object => {
                let wanted = (size as f64 * self.expansion) as u64;
                wanted.min(size.max(limits::BUFFER_BYTES_MAX))
            }
        }
    }

    /// The beginning of the largest open batch: what a first guess of the expansion is made from.
    pub fn sample(&self, bytes: usize) -> Option<Vec<u8>> {
        let largest = self.open.values().max_by_key(|open| open.raw.tail.data.len())?;
        (largest.raw.tail.data.len() >= bytes).then(|| largest.raw.tail.data[..bytes].to_vec())
    }

    /// Adds the record at `sequence` and answers with the batch if that filled it.
    ///
    /// `pieces` are what became of the record: they settle together, so they stay together.
    pub fn add<'a>(
        &mut self,
        route: &Route,
        sequence: u64,
        arrival_ms: i64,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        now: Duration,
    ) -> Option<Batch> {
        let limit = self.size_limit();
        let framed = *route == Route::Objects;
        let open = open_of(&mut self.open, route, arrival_ms, now);
        let before = open.raw.tail.data.len();
        for piece in pieces {
            // Error lines bring their own newline.
            open.push(piece, framed.then_some(&self.framing));
        }
        open.positions.insert(sequence, sequence + 1);
        self.open_bytes += (open.raw.tail.data.len() - before) as u64;
        let full = open.raw.tail.data.len() as u64 >= limit;
        if full { self.close(&route.clone(), CloseReason::Size) } else { None }
    }

    /// Adds the records of a whole frame, as they are, to the objects: what `add` does for each,
    /// with the look-ups made once. Batches that are full on the way go to `closed`.
    ///
    /// `now` may lie in the past for records that have waited since before a restart.
    pub fn add_frame(&mut self, frame: &Frame, now: Duration, closed: &mut Vec<Batch>) {
        let limit = self.size_limit();
        let mut records = frame.iter().peekable();
        while records.peek().is_some() {
            let open = open_of(&mut self.open, &Route::Objects, frame.arrival_ms, now);
            let before = open.raw.tail.data.len();
            let mut full = false;
            for (sequence, record) in records.by_ref() {
                open.push(record, Some(&self.framing));
                open.positions.insert(sequence, sequence + 1);
                if open.raw.tail.data.len() as u64 >= limit {
                    full = true;
                    break;
                }
            }
            self.open_bytes += (open.raw.tail.data.len() - before) as u64;
            if full {
                closed.extend(self.close(&Route::Objects, CloseReason::Size));
            }
        }
    }

    /// When the next batch is due by interval, on the clock that `now` comes from.
    pub fn next_due(&self) -> Option<Duration> {
        let interval = self.options.interval.0;
        self.open.values().map(|open| open.since + interval).min()
    }

    /// Closes every batch whose interval has passed, oldest first.
    pub fn close_due(&mut self, now: Duration) -> Vec<Batch> {
        let interval = self.options.interval.0;
        let mut due: Vec<(Duration, Route)> = self
            .open
            .iter()
            .filter(|(_, open)| now >= open.since + interval)
            .map(|(route, open)| (open.since, route.clone()))
            .collect();
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
        let route = self.open.iter().max_by_key(|(_, open)| open.raw.tail.data.len())?.0.clone();
        self.close(&route, CloseReason::Budget)
    }

    fn close(&mut self, route: &Route, reason: CloseReason) -> Option<Batch> {
        let (route, open) = self.open.remove_entry(route)?;
        self.open_bytes -= open.raw.tail.data.len() as u64;
        Some(Batch {
            route,
            raw: open.raw,
            positions: open.positions,
            oldest_arrival_ms: open.oldest_arrival_ms,
            reason,
            objects_touch: open.objects_touch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Position;

    fn batcher(size: u64, interval_s: u64) -> Batcher {
        let options = Buffering {
            size: ByteSize(size),
            interval: Span(Duration::from_secs(interval_s)),
            size_of: SizeOf::Records,
        };
        Batcher::new(options, Framing::default())
    }

    fn add(batcher: &mut Batcher, sequence: u64, data: &[u8], now_s: u64) -> Option<Batch> {
        let arrival_ms = 1000 + sequence as i64;
        batcher.add(&Route::Objects, sequence, arrival_ms, [data], Duration::from_secs(now_s))
    }

    #[test]
    fn a_batch_closes_when_it_reaches_its_size() {
        let mut batcher = batcher(10, 300);
        assert!(add(&mut batcher, 0, b"12345", 0).is_none());
        let batch = add(&mut batcher, 1, b"67890", 0).expect("ten bytes are there");
        assert_eq!(batch.raw.tail.data, b"1234567890");
        assert_eq!(batch.positions, Ranges::of(0, 2));
        assert_eq!((batch.reason, batch.oldest_arrival_ms), (CloseReason::Size, 1000));
        assert_eq!((batcher.open_bytes(), batcher.open_batches()), (0, 0));
    }

    #[test]
    fn a_batch_closes_when_its_first_record_is_old_enough() {
        let mut batcher = batcher(1000, 60);
        add(&mut batcher, 0, b"a", 5);
        add(&mut batcher, 1, b"b", 50);
        assert_eq!(batcher.next_due(), Some(Duration::from_secs(65)));
        assert!(batcher.close_due(Duration::from_secs(64)).is_empty());
        let due = batcher.close_due(Duration::from_secs(65));
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].reason, CloseReason::Interval);
        assert_eq!(batcher.next_due(), None);
    }

    #[test]
    fn interval_zero_closes_at_once() {
        let mut batcher = batcher(1000, 0);
        add(&mut batcher, 0, b"a", 5);
        assert_eq!(batcher.close_due(Duration::from_secs(5)).len(), 1);
    }

    #[test]
    fn routes_do_not_mix_and_only_objects_are_framed() {
        let mut batcher = Batcher::new(
            Buffering::default(),
            Framing { delimiter: b"\n".to_vec(), if_missing: true },
        );
        let errors = Route::Errors("processing-failed".into());
        let now = Duration::ZERO;
        batcher.add(&Route::Objects, 0, 0, [&b"a"[..]], now);
        batcher.add(&Route::Objects, 1, 0, [&b"b\n"[..]], now);
        batcher.add(&errors, 2, 0, [&b"{}\n"[..]], now);
        let mut batches = batcher.close_all(CloseReason::Drain);
        batches.sort_by_key(|batch| batch.route != Route::Objects);
        assert_eq!(batches[0].raw.tail.data, b"a\nb\n");
        assert_eq!(batches[1].raw.tail.data, b"{}\n");
        assert_eq!(batches[1].positions, Ranges::of(2, 3));
    }

    #[test]
    fn a_frame_is_added_like_its_records_one_by_one() {
        let frame = Frame {
            first: Position::new(0, 4),
            arrival_ms: 7,
            lengths: vec![6, 0, 6, 3],
            data: bytes::Bytes::from_static(b"aaaaaabbbbbbccc"),
        };
        let mut whole = batcher(10, 60);
        let mut closed = Vec::new();
        whole.add_frame(&frame, Duration::ZERO, &mut closed);
        let mut single = batcher(10, 60);
        let mut expected = Vec::new();
        for (sequence, record) in frame.iter() {
            expected.extend(single.add(&Route::Objects, sequence, 7, [record], Duration::ZERO));
        }
        closed.extend(whole.close_all(CloseReason::Flush));
        expected.extend(single.close_all(CloseReason::Flush));
        let view = |batches: &[Batch]| -> Vec<(Vec<u8>, Ranges, u64)> {
            let batch = |b: &Batch| (b.raw.tail.data.clone(), b.positions.clone(), b.raw.records);
            batches.iter().map(batch).collect()
        };
        assert_eq!(view(&closed), view(&expected));
        assert_eq!(closed.len(), 2);
        assert_eq!(closed[1].positions, Ranges::of(7, 8));
    }

    #[test]
    fn objects_that_touch_are_noticed() {
        let mut batcher = batcher(1000, 60);
        add(&mut batcher, 0, b"{\"a\":1}", 0);
        add(&mut batcher, 1, b"{\"a\":2}", 0);
        assert!(batcher.close_all(CloseReason::Flush)[0].objects_touch);
        add(&mut batcher, 2, b"{\"a\":1}\n", 0);
        add(&mut batcher, 3, b"{\"a\":2}\n", 0);
        assert!(!batcher.close_all(CloseReason::Flush)[0].objects_touch);
    }

    #[test]
    fn size_of_object_counts_what_encoding_leaves() {
        let mut batcher = batcher(10, 60);
        batcher.options.size_of = SizeOf::Object;
        batcher.set_expansion(4.0);
        assert!(add(&mut batcher, 0, &[b'x'; 39], 0).is_none());
        assert!(add(&mut batcher, 1, b"x", 0).is_some());
    }
}
