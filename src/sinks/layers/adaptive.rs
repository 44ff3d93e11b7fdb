//! The layer that has every attempt wait for a place, and learns from what becomes of it.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use tower::{Layer, Service};

use super::places::{Outcome, Places};
use crate::{
    fault::Fault,
    seams::{Delivered, Left, Shipment},
};

/// Puts [`Limited`] before a service.
#[derive(Clone)]
pub struct PlacesLayer {
    places: Arc<Places>,
}

impl PlacesLayer {
    pub fn new(places: Arc<Places>) -> Self {
        Self { places }
    }
}

impl<S> Layer<S> for PlacesLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { places: self.places.clone(), inner }
    }
}

/// A service that is called once there is a place. It is always ready: the wait belongs to the
/// call, so that whoever goes away while waiting leaves the queue.
#[derive(Clone)]
pub struct Limited<S> {
    places: Arc<Places>,
    inner: S,
}

impl<S> Service<Shipment> for Limited<S>
where
    S: Service<Shipment, Response = Delivered, Error = Fault> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Delivered;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<Delivered, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, shipment: Shipment) -> Self::Future {
        let (places, inner) = (self.places.clone(), self.inner.clone());
        async move {
            let place = places.take().await;
            let answer = tower::ServiceExt::oneshot(inner, shipment).await;
            place.leave(outcome(&answer));
            answer
        }
        .boxed()
    }
}

/// What an attempt tells about how much the destination bears.
fn outcome(answer: &Result<Delivered, Fault>) -> Outcome {
    let fault = match answer {
        Ok(Delivered { left: Some(Left { fault: Some(fault), .. }), .. }) | Err(fault) => fault,
        Ok(_) => return Outcome::Served,
    };
    match fault {
        Fault::Retry { .. } => Outcome::Strained,
        // The destination looked at all of it.
        Fault::Reject { .. } => Outcome::Served,
        // Neither costs the destination much, and some of it is found out without asking.
        Fault::Halt { .. } | Fault::TooLarge { .. } => Outcome::Untold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Cause;

    #[test]
    fn only_what_may_pass_by_itself_is_strain() {
        let cause = || Cause::new("X", "y");
        let left = |fault| {
            Ok(Delivered {
                rejected: vec![],
                left: Some(Left { indexes: vec![0], fault: Some(fault) }),
            })
        };
        for (answer, expected) in [
            (Ok(Delivered::default()), Outcome::Served),
            (Err(Fault::retry("X", "y")), Outcome::Strained),
            (left(Fault::retry("X", "y")), Outcome::Strained),
            (left(Fault::halt("X", "y")), Outcome::Untold),
            (Err(Fault::halt("X", "y")), Outcome::Untold),
            (Err(Fault::TooLarge { cause: cause() }), Outcome::Untold),
            (Err(Fault::Reject { cause: cause() }), Outcome::Served),
        ] {
            assert_eq!(outcome(&answer), expected, "{answer:?}");
        }
    }
}
