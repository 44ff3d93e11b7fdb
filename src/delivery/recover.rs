//! Where an earlier run ended, and what it had under way.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    DeliveryError, Destination, Shipments,
    bodies::Bodies,
    claims::{Claims, Ended, Ending},
    history::History,
    run,
    settle::is_error,
    ship::Parcel,
    shipments::{JournalState, Planned, Reason},
};
use crate::{
    batch::{Batch, Batcher, CloseReason, Now, Origin},
    record::{Frame, Ranges, Route},
    seams::Entry,
};

/// What is known at the start of a run.
pub(super) struct Recovered {
    pub shipments: Shipments,
    pub history: History,
    /// Positions that shipments of an earlier run hold or have settled whole: they are not read
    /// again.
    pub claimed: Ranges,
    pub settled: Ranges,
    pub claims: Claims,
}

/// Reads ledger and history. Blocking.
pub(super) fn recover(d: &Destination, journal: JournalState) -> io::Result<Recovered> {
    let (folder, env) = (&d.folder, &d.env);
    env.files.create_dir_all(folder)?;
    let mut shipments =
        Shipments::open(&folder.join("ledger"), env, journal, d.journal.shared_plans())?;
    release_other_kinds(&mut shipments, d)?;
    let history = History::open(&folder.join("history"))?;
    let needed: BTreeSet<String> = shipments
        .unsettled()
        .iter()
        .filter_map(|planned| Some(planned.body.as_ref()?.name.clone()))
        .collect();
    d.bodies().prepare()?;
    d.bodies().sweep(&needed)?;
    let mut claims = Claims::default();
    let mut settled = Ranges::new();
    for planned in shipments.settled() {
        settled.insert_all(&planned.positions);
        if planned.transforms != d.transforms_id {
            // Other transforms may take the record apart otherwise: which of its pieces are there
            // is not known any more. All go their way anew: rather twice than never.
            continue;
        }
        claims.hold(&planned.parts);
        let how = if is_error(&planned.route) { Ending::Failed } else { Ending::Delivered };
        for (sequence, part) in &planned.parts {
            // Nothing of it is read yet, so nothing can be settled.
            let leaves = part.leaves.len() as u32;
            claims.end(*sequence, part.of, leaves, how, &mut Ended::default());
        }
    }
    settled.remove_below(journal.cursor);
    let mut claimed = settled.clone();
    for planned in shipments.unsettled() {
        claimed.insert_all(&planned.positions);
        if planned.transforms == d.transforms_id {
            claims.hold(&planned.parts);
        }
    }
    Ok(Recovered { shipments, history, claimed, settled, claims })
}

/// Shipments of a destination that took objects, where this one takes records, or the other way
/// round, can never leave as they were: their records are read again.
fn release_other_kinds(shipments: &mut Shipments, d: &Destination) -> io::Result<()> {
    for planned in shipments.unsettled() {
        if planned.listed != d.format.lists() && !is_error(&planned.route) {
            shipments.settle(planned.id, planned.members().positions().into(), true)?;
        }
    }
    Ok(())
}

impl Destination {
    pub(super) fn bodies(&self) -> Bodies {
        Bodies::new(self.env.clone(), self.folder.join("bodies"))
    }
}

impl run::Run {
    /// Sends off again, under their old keys, the shipments that an earlier run did not see
    /// arrive.
    pub(super) async fn rebuild(&mut self) -> Result<(), DeliveryError> {
        let unsettled = self.shipments.lock().unsettled();
        for planned in unsettled {
            if planned.body.is_some() {
                self.send(Parcel::kept(planned, self.destination.transforms_id));
                continue;
            }
            let (batch, damaged) = self.build(&planned).await?;
            if damaged.is_empty() {
                self.send(Parcel { batch, planned: Some(planned), reasons: Vec::new() });
                continue;
            }
            // The object may have arrived whole: what is left of it must not overwrite it.
            self.release(&planned)?;
            self.damaged(&damaged);
            self.settle(&damaged)?;
            if batch.raw.records > 0 {
                self.send(Parcel { batch, planned: None, reasons: planned.reasons });
            }
        }
        Ok(())
    }

    /// A shipment that will never leave settles nothing.
    fn release(&mut self, planned: &Planned) -> Result<(), DeliveryError> {
        let except = planned.members().positions().into();
        let released = self.shipments.lock().settle(planned.id, except, true);
        released.map_err(DeliveryError::Open)
    }

    /// Builds a batch again from the journal: its records as they lie there, for it was planned
    /// without its body. Names the positions that are damaged.
    async fn build(&self, planned: &Planned) -> Result<(Batch, Ranges), DeliveryError> {
        let mut batcher = Batcher::unlimited(planned.framing.clone()).by_record(planned.listed);
        let reasons: HashMap<u64, &Reason> =
            planned.reasons.iter().map(|reason| (reason.sequence, reason)).collect();
        let mut damaged = Ranges::new();
        for (start, end) in planned.positions.iter() {
            let mut at = start;
            while at < end {
                let journal = self.destination.journal.clone();
                for entry in run::read(journal.as_ref(), at, end).await? {
                    let first = at;
                    at = entry.end().sequence;
                    match entry {
                        Entry::Frame(frame) => {
                            self.refill(&mut batcher, &planned.route, &frame, &reasons);
                        }
                        Entry::Damaged { .. } => damaged.insert(first, at),
                    }
                }
            }
        }
        let batch = batcher.close_all(CloseReason::Recovery).pop().unwrap_or_else(|| Batch {
            route: planned.route.clone(),
            raw: Default::default(),
            members: Default::default(),
            oldest_arrival_ms: self.destination.env.clock.now_ms(),
            reason: CloseReason::Recovery,
            objects_touch: false,
        });
        Ok((batch, damaged))
    }

    /// Puts a frame's records into a batch that is built again.
    fn refill(
        &self,
        batcher: &mut Batcher,
        route: &Route,
        frame: &Frame,
        reasons: &HashMap<u64, &Reason>,
    ) {
        let (now, arrival_ms) = (Now::at(Duration::ZERO), frame.arrival_ms);
        for (sequence, raw) in frame.iter() {
            let origin = Origin::Whole(sequence);
            if !is_error(route) {
                batcher.add(route, origin, arrival_ms, [raw], now);
            } else if let Some(reason) = reasons.get(&sequence) {
                let line = self.destination.error_line(route, raw, arrival_ms, reason);
                batcher.add(route, origin, arrival_ms, [&line[..]], now);
            }
        }
    }
}

/// Both are behind locks from here on.
pub(super) fn shared<T>(value: T) -> Arc<Mutex<T>> {
    Arc::new(Mutex::new(value))
}
