//! Records that are read from the journal once more: those that a format or a destination refused,
//! for the error output wants their arrival, and of some of them how they arrived. It may take a
//! while, so it has a task of its own.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    DeliveryError, Destination,
    intake::transform,
    run::{self, Run},
    ship::{Failed, Weight},
};
use crate::{
    batch::Origin,
    fault::Failure,
    record::{Leaf, Ranges, Record},
    seams::Entry,
    transform::Segment,
};

/// What was read again.
pub(super) struct Again {
    found: Vec<Found>,
    damaged: Ranges,
    /// What is held in memory for it counts as under way.
    _weight: Option<Weight>,
}

struct Found {
    leaf: Leaf,
    arrival_ms: i64,
    failure: Failure,
    raw: Bytes,
}

impl Again {
    /// What the journal has lost since: of what was sent only the arrival is not known any more.
    fn without_record(&mut self, destination: &Destination, failed: Vec<Failed>) {
        for Failed { leaf, failure, sent } in failed {
            match sent {
                Some(raw) => {
                    let arrival_ms = destination.env.clock.now_ms();
                    self.found.push(Found { leaf, arrival_ms, failure, raw });
                }
                None => self.damaged.insert(leaf.sequence, leaf.sequence + 1),
            }
        }
    }
}

impl Run {
    /// Reads failed leaves again, on their way to the error output.
    pub(super) fn read_again(&mut self, mut failed: Vec<Failed>, weight: Option<Weight>) {
        if failed.is_empty() {
            return;
        }
        failed.sort_by_key(|failed| failed.leaf);
        let (destination, segments) = (self.destination.clone(), self.segments.clone());
        self.again.spawn(read(destination, segments, failed, weight));
    }

    /// Puts what was read again on its way.
    pub(super) fn enter_again(&mut self, again: Again) -> Result<(), DeliveryError> {
        self.damaged(&again.damaged);
        self.settle(&again.damaged)?;
        for Found { leaf, arrival_ms, failure, raw } in again.found {
            let Leaf { sequence, index, of } = leaf;
            let indexes = [index];
            let origin = match of {
                1 => Origin::Whole(sequence),
                _ => Origin::Leaves { sequence, of, leaves: &indexes },
            };
            self.fail(origin, arrival_ms, &[&raw], &failure);
        }
        Ok(())
    }
}

/// Reads leaves that are in the order of the journal: each frame once, each record through the
/// transforms at most once.
async fn read(
    destination: Arc<Destination>,
    segments: Arc<Vec<Segment>>,
    failed: Vec<Failed>,
    weight: Option<Weight>,
) -> Result<Again, DeliveryError> {
    let mut again = Again { found: Vec::new(), damaged: Ranges::new(), _weight: weight };
    let mut failed = failed.into_iter().peekable();
    let end = destination.journal.tail().borrow().sequence;
    while let Some(Failed { leaf, .. }) = failed.peek() {
        for entry in run::read(destination.journal.as_ref(), leaf.sequence, end).await? {
            let (first, behind) = (entry.first().sequence, entry.end().sequence);
            let records = match entry {
                Entry::Frame(frame) => frame.to_records(),
                Entry::Damaged { .. } => Vec::new(),
            };
            while let Some(Failed { leaf, .. }) = failed.peek()
                && leaf.sequence < behind
            {
                let sequence = leaf.sequence;
                let mut of_record = Vec::new();
                while let Some(same) = failed.next_if(|failed| failed.leaf.sequence == sequence) {
                    of_record.push(same);
                }
                match records.get(sequence.saturating_sub(first) as usize) {
                    Some(record) => {
                        let found = as_they_were(&destination, &segments, record, of_record);
                        again.found.extend(found.await?);
                    }
                    None => again.without_record(&destination, of_record),
                }
            }
        }
    }
    Ok(again)
}

/// The leaves of one record as the error output wants them: as they were sent where a destination
/// refused them, else as they were before anybody was called, and nobody is called for it.
async fn as_they_were(
    destination: &Arc<Destination>,
    segments: &Arc<Vec<Segment>>,
    record: &Record,
    failed: Vec<Failed>,
) -> Result<Vec<Found>, DeliveryError> {
    let arrival_ms = record.arrival_ms;
    let is_known = failed.iter().all(|failed| failed.sent.is_some() || failed.leaf.of == 1);
    let mut pieces = Vec::new();
    if !is_known {
        let most = segments.iter().position(|segment| segment.waits);
        let most = most.unwrap_or(segments.len());
        let records = vec![record.clone()];
        let routed = transform(destination.clone(), segments.clone(), most, records).await?;
        let leaves = routed.into_iter().next().map(|routed| routed.leaves).unwrap_or_default();
        pieces = leaves.into_iter().map(|fate| fate.raw(record)).collect();
    }
    let found = failed.into_iter().map(|Failed { leaf, failure, sent }| {
        let piece = pieces.get(leaf.index as usize).filter(|_| pieces.len() as u32 == leaf.of);
        let raw = sent.or_else(|| piece.cloned()).unwrap_or_else(|| record.data.clone());
        Found { leaf, arrival_ms, failure, raw }
    });
    Ok(found.collect())
}
