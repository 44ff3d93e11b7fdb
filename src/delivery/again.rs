//! Records that are read from the journal once more: those that a format or a destination refused,
//! for the error output wants them as they arrived, and those that are to be sent again. It may
//! take a while, and a transform may have to be called for it, so it has a task of its own.

use std::sync::Arc;

use super::{
    DeliveryError, Destination,
    intake::{Fate, transform},
    run::{self, Run},
};
use crate::{
    batch::{Now, Origin},
    fault::{Failure, output_type},
    record::{Leaf, Ranges, Record},
    seams::Entry,
    transform::Segment,
};

/// What was read again.
#[derive(Default)]
pub(super) struct Again {
    found: Vec<Found>,
    damaged: Ranges,
}

struct Found {
    leaf: Leaf,
    arrival_ms: i64,
    fate: Fate,
}

impl Run {
    /// Reads leaves again: some fail, the others go on.
    pub(super) fn read_again(&mut self, failed: Vec<(Leaf, Failure)>, leftovers: Vec<Leaf>) {
        if failed.is_empty() && leftovers.is_empty() {
            return;
        }
        let failed = failed.into_iter().map(|(leaf, failure)| (leaf, Some(failure)));
        let mut wanted: Vec<Wanted> =
            failed.chain(leftovers.into_iter().map(|leaf| (leaf, None))).collect();
        wanted.sort_by_key(|(leaf, _)| *leaf);
        let (destination, segments) = (self.destination.clone(), self.segments.clone());
        self.again.spawn(read(destination, segments, wanted));
    }

    /// Puts what was read again on its way.
    pub(super) fn enter_again(&mut self, again: Again) -> Result<(), DeliveryError> {
        self.damaged(&again.damaged);
        self.settle(&again.damaged)?;
        for Found { leaf, arrival_ms, fate } in again.found {
            let now = Now::at(self.destination.env.clock.monotonic());
            let Leaf { sequence, index, of } = leaf;
            let indexes = [index];
            let origin = match of {
                1 => Origin::Whole(sequence),
                _ => Origin::Leaves { sequence, of, leaves: &indexes },
            };
            self.enter(fate, origin, arrival_ms, now)?;
        }
        Ok(())
    }
}

/// A leaf, and why it fails if it does.
type Wanted = (Leaf, Option<Failure>);

/// Reads leaves that are in the order of the journal: each frame once, each record through the
/// transforms once.
async fn read(
    destination: Arc<Destination>,
    segments: Arc<Vec<Segment>>,
    wanted: Vec<Wanted>,
) -> Result<Again, DeliveryError> {
    let mut again = Again::default();
    let mut wanted = wanted.into_iter().peekable();
    let end = destination.journal.tail().borrow().sequence;
    while let Some((leaf, _)) = wanted.peek() {
        for entry in run::read(destination.journal.as_ref(), leaf.sequence, end).await? {
            let (first, behind) = (entry.first().sequence, entry.end().sequence);
            let records = match entry {
                Entry::Frame(frame) => frame.to_records(),
                Entry::Damaged { .. } => Vec::new(),
            };
            while let Some((leaf, _)) = wanted.peek()
                && leaf.sequence < behind
            {
                let sequence = leaf.sequence;
                let mut of_record = Vec::new();
                while let Some(same) = wanted.next_if(|(leaf, _)| leaf.sequence == sequence) {
                    of_record.push(same);
                }
                match records.get(sequence.saturating_sub(first) as usize) {
                    Some(record) => {
                        again
                            .found
                            .extend(fates(&destination, &segments, record, of_record).await?);
                    }
                    None => again.damaged.insert(sequence, sequence + 1),
                }
            }
        }
    }
    Ok(again)
}

/// What becomes of the wanted leaves of one record.
async fn fates(
    destination: &Arc<Destination>,
    segments: &Arc<Vec<Segment>>,
    record: &Record,
    wanted: Vec<Wanted>,
) -> Result<Vec<Found>, DeliveryError> {
    let arrival_ms = record.arrival_ms;
    let is_whole = wanted.iter().all(|(leaf, failure)| leaf.of == 1 && failure.is_some());
    let fails = wanted.iter().all(|(_, failure)| failure.is_some());
    let mut leaves = Vec::new();
    if !is_whole {
        // What fails is wanted as it was before anybody was called, and nobody is called for it.
        let most = segments.iter().position(|segment| segment.waits).filter(|_| fails);
        let most = most.unwrap_or(segments.len());
        let records = vec![record.clone()];
        let routed = transform(destination.clone(), segments.clone(), most, records).await?;
        leaves = routed.into_iter().next().map(|routed| routed.leaves).unwrap_or_default();
    }
    let of = leaves.len() as u32;
    let mut leaves: Vec<Option<Fate>> = leaves.into_iter().map(Some).collect();
    let found = wanted.into_iter().map(|(leaf, failure)| {
        let place = leaves.get_mut(leaf.index as usize).filter(|_| of == leaf.of);
        let fate = place.and_then(Option::take);
        let fate = match (failure, fate) {
            (Some(failure), fate) => Fate::Fail {
                failure,
                raw: fate.map_or_else(|| record.data.clone(), |fate| fate.raw(record)),
            },
            (None, Some(fate)) => fate,
            (None, None) => Fate::Fail {
                failure: Failure::new(
                    output_type::PROCESSING_FAILED,
                    "Standpipe.TransformChanged",
                    format!("the record was taken apart into {} before, now into {of}", leaf.of),
                ),
                raw: record.data.clone(),
            },
        };
        Found { leaf, arrival_ms, fate }
    });
    Ok(found.collect())
}
