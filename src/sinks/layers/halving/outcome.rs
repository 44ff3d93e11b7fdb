//! What became of the pieces of a shipment, put together again.

use std::ops::Range;

use crate::{
    fault::{Cause, Failure, Fault},
    seams::{Delivered, Left, Shipment, Sink},
};

/// The answers to the pieces, under the indexes of the whole. They come in the order of the
/// records.
pub struct Pieces<'a> {
    sink: &'a dyn Sink,
    records: u64,
    rejected: Vec<(u64, Failure)>,
    left: Vec<u64>,
    /// The gravest of what the pieces were left for.
    fault: Option<Fault>,
}

impl<'a> Pieces<'a> {
    pub fn new(sink: &'a dyn Sink, records: u64) -> Self {
        Self { sink, records, rejected: Vec::new(), left: Vec::new(), fault: None }
    }

    /// Whether the destination does not want us: then there is no sense in sending it more.
    pub fn is_halted(&self) -> bool {
        matches!(self.fault, Some(Fault::Halt { .. }))
    }

    /// A piece that was not sent, because of what became of those before it.
    pub fn left_aside(&mut self, range: Range<u64>) {
        self.left.extend(range);
    }

    /// The answer to a piece that stays as it is.
    pub fn answered(
        &mut self,
        piece: &Shipment,
        range: Range<u64>,
        answer: Result<Delivered, Fault>,
    ) {
        let start = range.start;
        match answer {
            Ok(Delivered { rejected, left }) => {
                let rejected =
                    rejected.into_iter().map(|(index, failure)| (start + index, failure));
                self.rejected.extend(rejected);
                if let Some(Left { indexes, fault }) = left {
                    self.left.extend(indexes.into_iter().map(|index| start + index));
                    fault.into_iter().for_each(|fault| self.suffered(fault));
                }
            }
            // One record alone, if too large.
            Err(Fault::Reject { cause } | Fault::TooLarge { cause }) => {
                self.reject(piece, range, &cause);
            }
            Err(fault) => {
                self.left.extend(range);
                self.suffered(fault);
            }
        }
    }

    /// Records that were rejected each by itself, one like the other, and are not to blame: they
    /// are held with the rest.
    pub fn take_back(&mut self, indexes: &[u64], cause: Cause) {
        self.rejected.retain(|(index, _)| !indexes.contains(index));
        self.left.extend(indexes);
        self.left.sort_unstable();
        self.suffered(Fault::Halt { cause });
    }

    fn reject(&mut self, piece: &Shipment, range: Range<u64>, cause: &Cause) {
        for (within, index) in range.enumerate() {
            let failure = Failure {
                output_type: self.sink.output_type(),
                cause: cause.clone(),
                attempts: 1,
                details: self.sink.details(piece, within as u64),
            };
            self.rejected.push((index, failure));
        }
    }

    fn suffered(&mut self, fault: Fault) {
        self.fault = Some(match self.fault.take() {
            None => fault,
            Some(before) => graver(before, fault),
        });
    }

    /// The answer to the whole. When nothing at all was settled, it is the fault itself.
    pub fn combined(self) -> Result<Delivered, Fault> {
        let all_left = self.left.len() as u64 == self.records;
        match self.fault {
            Some(fault) if all_left => Err(fault),
            fault => {
                let left = (!self.left.is_empty()).then_some(Left { indexes: self.left, fault });
                Ok(Delivered { rejected: self.rejected, left })
            }
        }
    }
}

/// What must be mended before what passes; the longer wait before the shorter.
fn graver(one: Fault, other: Fault) -> Fault {
    match (&one, &other) {
        (Fault::Halt { .. }, _) => one,
        (_, Fault::Halt { .. }) => other,
        (Fault::Retry { after: first, .. }, Fault::Retry { after: second, .. })
            if second > first =>
        {
            other
        }
        _ => one,
    }
}
