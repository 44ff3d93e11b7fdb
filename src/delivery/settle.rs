//! The ends of records: shipments that arrive, records that fail, positions that are settled.

use super::{
    DeliveryError,
    claims::{Ended, Ending},
    run::Run,
    ship::{Failed, Outcome, Shipped},
    shipments::Reason,
};
use crate::{
    batch::{Now, Origin},
    fault::Failure,
    record::{Members, Ranges, Route},
};

impl Run {
    /// A shipment has come to its end.
    pub(super) fn arrived(&mut self, shipped: Shipped) -> Result<(), DeliveryError> {
        if shipped.raw_len > 0 && shipped.encoded_len > 0 && !is_error(&shipped.route) {
            self.learn(shipped.raw_len, shipped.encoded_len);
        }
        match shipped.outcome {
            Outcome::Stopped => Ok(()),
            Outcome::Broken(reason) => Err(DeliveryError::Task(reason)),
            Outcome::Delivered { members, failed, weight } => {
                // From now on these positions end leaf by leaf.
                let mut ended = Ended::default();
                for Failed { leaf, .. } in failed.iter().filter(|failed| failed.leaf.of > 1) {
                    self.claims.part(leaf.sequence, leaf.of, &mut ended);
                }
                self.settle_members(&shipped.route, &members)?;
                self.read_again(failed, weight);
                Ok(())
            }
        }
    }

    /// What a shipment brought to its destination.
    fn settle_members(&mut self, route: &Route, members: &Members) -> Result<(), DeliveryError> {
        let how = if is_error(route) { Ending::Failed } else { Ending::Delivered };
        let mut ended = Ended::default();
        for (sequence, part) in &members.parts {
            let leaves = part.leaves.len() as u32;
            self.claims.end(*sequence, part.of, leaves, how, &mut ended);
        }
        let metrics = &self.destination.metrics;
        match how {
            Ending::Failed => metrics.failed_records.inc_by(members.whole.count()),
            _ => metrics.records.inc_by(members.whole.count()),
        };
        self.settle(&members.whole)?;
        self.settle_ended(&ended)
    }

    /// Leaves that a transform dropped.
    pub(super) fn drop_leaves(
        &mut self,
        sequence: u64,
        of: u32,
        count: u32,
    ) -> Result<(), DeliveryError> {
        let mut ended = Ended::default();
        self.claims.part(sequence, of, &mut ended);
        self.claims.end(sequence, of, count, Ending::Dropped, &mut ended);
        self.settle_ended(&ended)
    }

    fn settle_ended(&mut self, ended: &Ended) -> Result<(), DeliveryError> {
        let metrics = &self.destination.metrics;
        metrics.records.inc_by(ended.delivered.count());
        metrics.failed_records.inc_by(ended.failed.count());
        metrics.dropped_records.inc_by(ended.dropped.count());
        for ranges in [&ended.delivered, &ended.failed, &ended.dropped] {
            self.settle(ranges)?;
        }
        Ok(())
    }

    /// A failed record, or leaves of one, become records of the error route: the same way, another
    /// prefix.
    pub(super) fn fail(
        &mut self,
        origin: Origin<'_>,
        arrival_ms: i64,
        raws: &[&[u8]],
        failure: &Failure,
    ) {
        let sequence = match origin {
            Origin::Whole(sequence) | Origin::Leaves { sequence, .. } => sequence,
        };
        self.destination.attempts_before.fails(sequence, &failure.cause);
        let reason = Reason {
            sequence,
            code: failure.cause.code.clone(),
            message: failure.cause.message.clone(),
            attempts: failure.attempts,
            details: failure.details.clone(),
        };
        let route = Route::Errors(failure.output_type.into());
        let line = |raw: &&[u8]| self.destination.error_line(&route, raw, arrival_ms, &reason);
        let lines: Vec<Vec<u8>> = raws.iter().map(line).collect();
        self.reasons.entry(route.clone()).or_default().push(reason);
        let now = Now::at(self.destination.env.clock.monotonic());
        let closed =
            self.batcher.add(&route, origin, arrival_ms, lines.iter().map(|l| &l[..]), now);
        self.ship_all(closed);
    }

    /// Settles positions, those that are not read yet as soon as they are.
    pub(super) fn settle(&mut self, positions: &Ranges) -> Result<(), DeliveryError> {
        if positions.is_empty() {
            return Ok(());
        }
        let opened = self.ledger.opened();
        let committed = match positions.bounds() {
            Some((_, end)) if end <= opened => self.ledger.settle(positions)?,
            _ => {
                let now = positions.within(0, opened);
                self.settled_early.insert_all(&positions.without(&now));
                self.ledger.settle(&now)?
            }
        };
        if let Some(committed) = committed {
            self.claimed.remove_below(committed);
            self.committer.commit(committed);
        }
        Ok(())
    }

    /// Says aloud that records are gone: the one end that no promise covers.
    pub(super) fn damaged(&self, positions: &Ranges) {
        self.destination.metrics.damaged_records.inc_by(positions.count());
        for (first, end) in positions.iter() {
            tracing::error!(
                stream = self.destination.stream,
                destination = self.destination.name,
                first,
                end,
                "records are damaged in the journal and cannot be delivered"
            );
        }
    }
}

pub(super) fn is_error(route: &Route) -> bool {
    matches!(route, Route::Errors(_))
}
