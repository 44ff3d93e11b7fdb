//! A put in the making: records of one partition, copied once out of librdkafka's memory.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};

use crate::{
    limits,
    record::{Header, Place, Provenance, Put, RecordOrigin, Step, Unfit},
};

/// What a record's origin takes beside its key and headers, about: the size of a put counts it.
const ORIGIN_BYTES: usize = 24;
/// The same of a header.
const HEADER_BYTES: usize = 8;

/// Runs `look`, which reads a text through librdkafka's binding: it panics where the text is not
/// UTF-8, and whoever wrote the text may be anybody.
pub(super) fn guarded<T>(look: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(look)).ok()
}

/// What a record has beside its data. `None` if it is without data and is to be passed over.
pub(super) struct Beside {
    origin: RecordOrigin,
    headers_bytes: usize,
}

impl Beside {
    pub fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map(|headers| {
            guarded(|| headers.iter().map(own_header).collect()).unwrap_or_else(|| {
                tracing::debug!("headers that are not UTF-8 are left out");
                Vec::new()
            })
        });
        let headers: Vec<Header> = headers.unwrap_or_default();
        let size = |header: &Header| {
            header.name.len() + header.value.as_ref().map_or(0, Bytes::len) + HEADER_BYTES
        };
        let headers_bytes = headers.iter().map(size).sum();
        let origin = RecordOrigin {
            timestamp_ms: message.timestamp().to_millis(),
            offset: Some(message.offset()),
            headers,
            tombstone: message.payload().is_none(),
            ..RecordOrigin::default()
        };
        Self { origin, headers_bytes }
    }

    /// What the record takes in a frame.
    pub fn frame_bytes(&self, message: &BorrowedMessage<'_>) -> usize {
        let key = message.key().map_or(0, <[u8]>::len);
        self.headers_bytes + key + message.payload().map_or(0, <[u8]>::len) + ORIGIN_BYTES
    }
}

fn own_header(header: rdkafka::message::Header<'_, &[u8]>) -> Header {
    Header { name: header.key.to_owned(), value: header.value.map(Bytes::copy_from_slice) }
}

/// Records of one partition, in their order.
#[derive(Default)]
pub(super) struct Gather {
    lengths: Vec<u32>,
    data: Vec<u8>,
    origins: Vec<RecordOrigin>,
    /// The keys one behind the other, and where each stands: one allocation for all of them.
    keys: Vec<u8>,
    key_ranges: Vec<Option<(usize, usize)>>,
    /// What all of it takes in a frame.
    bytes: usize,
    /// How large the last put was: what the next one is made for.
    last: (usize, usize),
}

impl Gather {
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Bytes of the put as it stands.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn push(&mut self, message: &BorrowedMessage<'_>, beside: Beside) {
        if self.is_empty() {
            self.make_room();
        }
        self.bytes += beside.frame_bytes(message);
        let payload = message.payload().unwrap_or_default();
        self.lengths.push(payload.len() as u32);
        self.data.extend_from_slice(payload);
        self.origins.push(beside.origin);
        self.key_ranges.push(message.key().map(|key| {
            let start = self.keys.len();
            self.keys.extend_from_slice(key);
            (start, self.keys.len())
        }));
    }

    fn make_room(&mut self) {
        let (bytes, records) = self.last;
        self.data.reserve(bytes + bytes / 8);
        self.lengths.reserve(records + records / 8);
        self.origins.reserve(records + records / 8);
        self.key_ranges.reserve(records + records / 8);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self { last: self.last, ..Self::default() };
    }

    /// The put, with where the source stands behind it.
    pub fn finish(
        &mut self,
        key: &str,
        place: Place,
        position: i64,
        unfit: Option<Unfit>,
        arrival_ms: i64,
    ) -> Put {
        let last = (self.data.len().min(2 * limits::KAFKA_PUT_BYTES), self.lengths.len());
        let gathered = std::mem::replace(self, Self { last, ..Self::default() });
        let keys = Bytes::from(gathered.keys);
        let mut records = gathered.origins;
        for (record, range) in records.iter_mut().zip(gathered.key_ranges) {
            record.key = range.map(|(start, end)| keys.slice(start..end));
        }
        let steps = vec![Step::to(key, position.to_string())];
        let provenance = Provenance { steps, place: Some(place), records, unfit };
        Put {
            lengths: gathered.lengths,
            data: gathered.data,
            arrival_ms,
            call: None,
            provenance: Some(Box::new(provenance)),
        }
    }
}

/// Where records of a partition come from.
pub(super) fn place(topic: &Arc<str>, partition: i32) -> Place {
    Place { topic: Some(topic.to_string()), partition: Some(partition), ..Place::default() }
}
