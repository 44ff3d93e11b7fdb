//! What stands before every sink, from the outside in: the halving of what is too large for it, a
//! limit on attempts at a time, and a time limit for each.
//!
//! ```text
//!  shipment ─▶ halving ─▶ places (fixed or adaptive) ─▶ time limit ─▶ sink
//! ```
//!
//! The halves of a shipment go one after the other, each of them an attempt of its own with a
//! place and a time limit of its own.

mod adaptive;
mod halving;
mod places;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use tower::{
    BoxError, ServiceBuilder, ServiceExt, timeout::error::Elapsed, util::BoxCloneSyncService,
};

use crate::{
    fault::{Details, Fault},
    limits,
    seams::{Delivered, Shipment, Sink, Trial},
};
use places::Places;

/// The settings of the layers.
#[derive(Debug, Clone)]
pub struct Options {
    /// One attempt, whole request. An attempt that takes longer is dropped and tried again.
    pub timeout: Duration,
    /// Attempts at a time; more wait for their turn, and the time limit does not run meanwhile.
    /// With `adaptive` the most there may ever be.
    pub concurrency: usize,
    /// Whether the limit follows what the destination bears: it grows by one after a round of
    /// successes, and is halved when the destination is in trouble.
    pub adaptive: bool,
    /// The code of an attempt that took too long: `S3.RequestTimeout`.
    pub timeout_code: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: limits::S3_ATTEMPT_TIMEOUT,
            concurrency: limits::SHIPMENTS_IN_FLIGHT,
            adaptive: false,
            timeout_code: "S3.RequestTimeout",
        }
    }
}

/// A sink behind its layers. Clones share the limits.
#[derive(Clone)]
pub struct Attempts {
    sink: Arc<dyn Sink>,
    places: Arc<Places>,
    service: BoxCloneSyncService<Shipment, Delivered, Fault>,
}

impl fmt::Debug for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts").field("limit", &self.limit()).finish_non_exhaustive()
    }
}

impl Attempts {
    pub fn new(sink: Arc<dyn Sink>, options: Options) -> Self {
        let Options { timeout, concurrency, adaptive, timeout_code } = options;
        let places = Arc::new(Places::new(concurrency, adaptive));
        let inner = sink.clone();
        let service = ServiceBuilder::new()
            .layer(halving::HalvingLayer::new(sink.clone()))
            .layer(adaptive::PlacesLayer::new(places.clone()))
            .map_err(move |error| fault(error, timeout, timeout_code))
            .timeout(timeout)
            .service_fn(move |shipment: Shipment| {
                let sink = inner.clone();
                async move { sink.deliver(&shipment).await }
            });
        Self { sink, places, service: BoxCloneSyncService::new(service) }
    }

    /// One attempt, as [`Sink::deliver`]; dropping the future ends it. Of a shipment that lists
    /// its records and is too large, the halves are attempted: then [`Fault::TooLarge`] never
    /// comes back.
    pub async fn deliver(&self, shipment: Shipment) -> Result<Delivered, Fault> {
        self.service.clone().oneshot(shipment).await
    }

    /// How many attempts there may be at a time as of now.
    pub fn limit(&self) -> usize {
        self.places.limit()
    }

    /// As [`Sink::output_type`].
    pub fn output_type(&self) -> &'static str {
        self.sink.output_type()
    }

    /// As [`Sink::details`].
    pub fn details(&self, shipment: &Shipment, index: u64) -> Details {
        self.sink.details(shipment, index)
    }

    /// As [`Sink::check`]: past the layers, for a trial needs no place among the deliveries.
    pub async fn check(&self) -> Vec<Trial> {
        self.sink.check().await
    }
}

/// The time limit boxes every error; what comes out is the sink's own fault, or that time is up.
fn fault(error: BoxError, timeout: Duration, timeout_code: &'static str) -> Fault {
    match error.downcast::<Fault>() {
        Ok(fault) => *fault,
        Err(other) if other.is::<Elapsed>() => {
            Fault::retry(timeout_code, format!("no answer within {} ms", timeout.as_millis()))
        }
        Err(other) => Fault::retry(timeout_code, other.to_string()),
    }
}
