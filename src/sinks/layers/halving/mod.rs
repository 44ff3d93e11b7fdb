//! The layer that cuts what is too large for a destination, and sends the pieces.

mod outcome;
mod size;
#[cfg(test)]
mod tests;

use std::{
    ops::Range,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use tower::{Layer, Service, ServiceExt};

use crate::{
    fault::Fault,
    limits::{PIECES_FAILED_IN_A_ROW, REFUSED_ALONE_MAX, REFUSED_BYTES_MIN},
    seams::{Delivered, Shipment, Sink},
};
use outcome::Pieces;
use size::{Lesson, Refusals, Size};

/// Puts [`Halving`] before a service.
#[derive(Clone)]
pub struct HalvingLayer {
    sink: Arc<dyn Sink>,
    refusals: Arc<Refusals>,
}

impl HalvingLayer {
    /// The sink says how a record that is refused stands in the error output.
    pub fn new(sink: Arc<dyn Sink>) -> Self {
        Self { sink, refusals: Arc::default() }
    }
}

impl<S> Layer<S> for HalvingLayer {
    type Service = Halving<S>;

    fn layer(&self, inner: S) -> Halving<S> {
        Halving { sink: self.sink.clone(), refusals: self.refusals.clone(), inner }
    }
}

/// A service that takes shipments of any size. An object, whose records are not told apart, goes
/// on as it is.
#[derive(Clone)]
pub struct Halving<S> {
    sink: Arc<dyn Sink>,
    refusals: Arc<Refusals>,
    inner: S,
}

impl<S> Service<Shipment> for Halving<S>
where
    S: Service<Shipment, Response = Delivered, Error = Fault> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    type Response = Delivered;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<Delivered, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, shipment: Shipment) -> Self::Future {
        let halving = self.clone();
        async move {
            match shipment.list.as_ref().map(|list| list.ends.len() as u64) {
                None => halving.inner.oneshot(shipment).await,
                Some(records) => halving.deliver(&shipment, records).await,
            }
        }
        .boxed()
    }
}

impl<S> Halving<S>
where
    S: Service<Shipment, Response = Delivered, Error = Fault> + Clone,
{
    async fn deliver(&self, shipment: &Shipment, records: u64) -> Result<Delivered, Fault> {
        let mut lesson = Lesson::default();
        let answer = self.deliver_pieces(shipment, records, &mut lesson).await;
        self.refusals.learn(&lesson);
        answer
    }

    /// Piece by piece, in order.
    async fn deliver_pieces(
        &self,
        shipment: &Shipment,
        records: u64,
        lesson: &mut Lesson,
    ) -> Result<Delivered, Fault> {
        let mut pieces = Pieces::new(&*self.sink, records);
        // Halves that wait, the first on top: at most one for each time that the whole can be
        // halved.
        let mut waiting: Vec<_> = std::iter::once(0..records).collect();
        let mut failures = 0;
        let mut refused_alone = Vec::new();
        while let Some(range) = waiting.pop() {
            if pieces.is_halted() || failures >= PIECES_FAILED_IN_A_ROW {
                pieces.left_aside(range);
                continue;
            }
            let size = Size::of(shipment, &range);
            if is_divisible(&range) && self.refusals.would_refuse(size) {
                halve(range, &mut waiting);
                continue;
            }
            let piece = cut(shipment, &range, records);
            let answer = self.inner.clone().oneshot(piece.clone()).await;
            if answer.is_ok() {
                lesson.passed(size);
            }
            match answer {
                Err(Fault::TooLarge { .. }) if is_divisible(&range) => {
                    lesson.refused(size);
                    halve(range, &mut waiting);
                }
                Err(Fault::TooLarge { cause }) => {
                    if size.bytes < REFUSED_BYTES_MIN && !lesson.has_passed() {
                        refused_alone.push(range.start);
                    }
                    let fault = Fault::TooLarge { cause: cause.clone() };
                    pieces.answered(&piece, range, Err(fault));
                    if refused_alone.len() >= REFUSED_ALONE_MAX {
                        pieces.take_back(&refused_alone, cause);
                    }
                }
                // Nothing was cut: the answer is the whole's own.
                _ if range == (0..records) => return answer,
                _ => {
                    failures = if is_failure(&answer) { failures + 1 } else { 0 };
                    pieces.answered(&piece, range, answer);
                }
            }
        }
        pieces.combined()
    }
}

/// Whether nothing of the piece got through.
fn is_failure(answer: &Result<Delivered, Fault>) -> bool {
    matches!(answer, Err(Fault::Retry { .. } | Fault::Halt { .. }))
}

fn is_divisible(range: &Range<u64>) -> bool {
    range.end - range.start > 1
}

fn halve(range: Range<u64>, waiting: &mut Vec<Range<u64>>) {
    let middle = range.start + (range.end - range.start).div_ceil(2);
    waiting.push(middle..range.end);
    waiting.push(range.start..middle);
}

/// The shipment of these records alone; the whole as it is.
fn cut(shipment: &Shipment, range: &Range<u64>, records: u64) -> Shipment {
    if range.end - range.start == records {
        return shipment.clone();
    }
    let indexes: Vec<u64> = range.clone().collect();
    shipment.select(&indexes)
}
