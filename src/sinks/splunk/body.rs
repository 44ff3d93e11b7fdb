//! The body of a request, and which record each of its objects belongs to.

use bytes::Bytes;

use super::{
    EndpointType,
    codes::INVALID_DATA_FORMAT,
    envelope::{self, NamesIndex},
};
use crate::{
    fault::{Failure, output_type},
    net::gzip,
    seams::Shipment,
};

/// A record that is in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    /// Its index in the shipment.
    index: u64,
    /// How many objects it holds, one at least.
    objects: u32,
}

/// What a request carries.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// As it goes over the wire.
    pub bytes: Bytes,
    /// Its size before compression, which is what Splunk's limits are about.
    pub plain_bytes: usize,
    /// Whether there is nothing in it but white space.
    pub is_blank: bool,
    sent: Vec<Sent>,
    /// Records that no request may carry.
    pub unfit: Vec<(u64, Failure)>,
}

impl Body {
    /// Builds the body of a shipment. CPU work: belongs on the pool.
    pub fn build(shipment: &Shipment, endpoint_type: EndpointType, pack: bool) -> Self {
        let mut body = match endpoint_type {
            EndpointType::Raw => Self::raw(shipment),
            EndpointType::Event => Self::events(shipment),
        };
        body.plain_bytes = body.bytes.len();
        if pack && !body.sent.is_empty() {
            body.bytes = gzip::pack(&body.bytes);
        }
        body
    }

    /// Every record ends a line, so that none flows into the next.
    fn raw(shipment: &Shipment) -> Self {
        let has_end = |record: &[u8]| record.is_empty() || record.ends_with(b"\n");
        let without = records(shipment).filter(|record| !has_end(record)).count();
        let sent = (0..records(shipment).len() as u64).map(|index| Sent { index, objects: 1 });
        let sent = sent.collect();
        let is_blank = shipment.body.trim_ascii().is_empty();
        if without == 0 {
            return Self { bytes: shipment.body.clone(), sent, is_blank, ..Self::default() };
        }
        let mut bytes = Vec::with_capacity(shipment.body.len() + without);
        for record in records(shipment) {
            bytes.extend_from_slice(record);
            if !has_end(record) {
                bytes.push(b'\n');
            }
        }
        Self { bytes: bytes.into(), sent, is_blank, ..Self::default() }
    }

    /// The records that are sound, one behind the other; JSON objects need nothing between them.
    fn events(shipment: &Shipment) -> Self {
        let mut body = Self::default();
        for (index, record) in (0..).zip(records(shipment)) {
            let mut objects = 0;
            match envelope::inspect(record, |_| objects += 1) {
                Ok(()) => body.sent.push(Sent { index, objects }),
                Err(unfit) => body.unfit.push((index, refusal(unfit.to_string()))),
            }
        }
        if body.unfit.is_empty() {
            body.bytes = shipment.body.clone();
            return body;
        }
        let mut bytes = Vec::with_capacity(shipment.body.len());
        let mut sound = body.sent.iter().map(|sent| sent.index).peekable();
        for (index, record) in (0..).zip(records(shipment)) {
            if sound.next_if_eq(&index).is_some() {
                bytes.extend_from_slice(record);
            }
        }
        body.bytes = bytes.into();
        body
    }

    /// Whether no record is fit to be sent.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Which of the records sent holds the object with this number, as an index of `sent`.
    pub fn holder(&self, object: u64) -> Option<usize> {
        let mut first = 0;
        self.sent.iter().position(|sent| {
            first += u64::from(sent.objects);
            object < first
        })
    }

    /// The index in the shipment of a record sent.
    pub fn index(&self, sent: usize) -> u64 {
        self.sent[sent].index
    }

    /// The records before and after one of those sent, by index in the shipment.
    pub fn around(&self, sent: usize) -> (Vec<u64>, Vec<u64>) {
        let indexes = |part: &[Sent]| part.iter().map(|sent| sent.index).collect();
        (indexes(&self.sent[..sent]), indexes(&self.sent[sent + 1..]))
    }

    /// Whether the object with this number names an index.
    pub fn names_index(&self, shipment: &Shipment, object: u64) -> NamesIndex {
        let Some(holder) = self.holder(object) else { return false };
        let before: u64 = self.sent[..holder].iter().map(|sent| u64::from(sent.objects)).sum();
        let mut number = before;
        let mut named = false;
        if let Some(record) = records(shipment).nth(self.sent[holder].index as usize) {
            // The record was sound when the body was made of it.
            let _ = envelope::inspect(record, |names_index| {
                named |= number == object && names_index;
                number += 1;
            });
        }
        named
    }
}

/// The records of a shipment; one that does not list them is a record as a whole.
fn records(shipment: &Shipment) -> impl ExactSizeIterator<Item = &[u8]> {
    let count = match &shipment.list {
        Some(list) => list.ends.len(),
        None => 1,
    };
    let mut start = 0;
    (0..count).map(move |index| {
        let end = match &shipment.list {
            Some(list) => list.ends[index] as usize,
            None => shipment.body.len(),
        };
        let record = &shipment.body[start..end];
        start = end;
        record
    })
}

fn refusal(message: String) -> Failure {
    Failure::new(output_type::SPLUNK_FAILED, INVALID_DATA_FORMAT, message)
}
