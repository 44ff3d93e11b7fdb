//! The HTTP Event Collector of Splunk, with indexer acknowledgement.
//!
//! ```text
//!  shipment ─▶ body (checked, framed, gzip) ─POST─▶ raw | event ─▶ 200 ackId ─▶ acks ─▶ delivered
//!                │ unfit envelopes                     │ 400, object N at fault
//!                ▼                                     ▼
//!             rejected            before N: acknowledged │ N: rejected │ after N: left, sent again
//! ```
//! Splunk cannot tell that events come a second time: what is sent again after a lost
//! acknowledgement may stand there twice. Nothing is lost: a record counts as delivered only when
//! its indexer has acknowledged it.

mod acks;
mod answer;
mod body;
mod check;
mod codes;
mod collector;
mod cookies;
mod envelope;
mod options;
#[cfg(test)]
mod tests;

pub use options::{EndpointType, Metadata, Options};

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;

use self::{
    acks::{Acks, Mark},
    answer::{ENABLE_ACKNOWLEDGEMENT, UnfitKind, Verdict},
    body::Body,
    collector::Collector,
};
use crate::{
    env::CpuPool,
    fault::{Cause, Details, Failure, Fault, output_type},
    limits,
    net::http::{TlsError, UrlError},
    seams::{Delivered, Left, Shipment, Sink, Trial},
};

/// Why no sink can be made of these options. None of it depends on Splunk being up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("the endpoint: {0}")]
    Endpoint(#[from] UrlError),
    #[error("the certificates: {0}")]
    Tls(#[from] TlsError),
    #[error("the Secrets Manager that holds the token: {0}")]
    Secret(UrlError),
}

/// A collector.
pub struct SplunkSink {
    collector: Arc<Collector>,
    /// `None` where acknowledgement is not wanted.
    acks: Option<Acks>,
    /// Whether events were taken, and what acknowledges them refuses to.
    lacks_acks: AtomicBool,
    endpoint_type: EndpointType,
    gzip: bool,
    pool: CpuPool,
}

/// What an object at fault leaves to do.
struct Unfit {
    kind: UnfitKind,
    object: Option<u64>,
    ack_id: Option<u64>,
    cause: Cause,
}

impl SplunkSink {
    /// Asks nobody; must be called on the runtime that will deliver.
    pub fn connect(options: Options, pool: CpuPool) -> Result<Self, ConnectError> {
        let collector = Arc::new(Collector::new(&options)?);
        let acks = options.acknowledgment.then(|| {
            let (every, timeout) = (options.acknowledgment_poll, options.acknowledgment_timeout);
            Acks::new(collector.clone(), every.0, timeout.0)
        });
        let (endpoint_type, gzip) = (options.endpoint_type, options.gzip);
        Ok(Self { collector, acks, lacks_acks: AtomicBool::default(), endpoint_type, gzip, pool })
    }

    async fn build(&self, shipment: &Shipment) -> Body {
        let (endpoint_type, gzip) = (self.endpoint_type, self.gzip);
        if endpoint_type == EndpointType::Raw && !gzip {
            // At most a copy: not worth another thread.
            return Body::build(shipment, endpoint_type, gzip);
        }
        let shipment = shipment.clone();
        self.pool.run(move || Body::build(&shipment, endpoint_type, gzip)).await
    }

    async fn send(&self, shipment: &Shipment, body: &Body) -> Result<Delivered, Fault> {
        if self.lacks_acks.load(Ordering::Relaxed) {
            self.prove_acknowledgement().await?;
            self.lacks_acks.store(false, Ordering::Relaxed);
        }
        let mark = self.acks.as_ref().map(Acks::mark);
        let hec = self.collector.post(body.bytes.clone()).await?;
        match hec.verdict() {
            Verdict::Taken { ack_id } => {
                self.acknowledged(ack_id, mark).await?;
                Ok(Delivered { rejected: body.unfit.clone(), left: None })
            }
            Verdict::Unfit { kind, object, ack_id, cause } => {
                self.part(shipment, body, Unfit { kind, object, ack_id, cause }, mark).await
            }
            Verdict::Channel(cause) => Err(Fault::Halt { cause }),
            Verdict::Token(fault) | Verdict::Fault(fault) => Err(fault),
        }
    }

    /// Waits until what was taken is acknowledged, if that is wanted.
    async fn acknowledged(&self, ack_id: Option<u64>, mark: Option<Mark>) -> Result<(), Fault> {
        let (Some(acks), Some(mark)) = (&self.acks, mark) else { return Ok(()) };
        let Some(id) = ack_id else {
            self.lacks_acks.store(true, Ordering::Relaxed);
            return Err(Fault::halt(
                codes::ACKNOWLEDGEMENTS_DISABLED,
                format!("Splunk took the events and gave no ackId: {ENABLE_ACKNOWLEDGEMENT}"),
            ));
        };
        let news = acks.wait(id, mark).await;
        // Until polls are answered again every attempt would only leave the events once more.
        if let Err(Fault::Halt { .. }) = news {
            self.lacks_acks.store(true, Ordering::Relaxed);
        }
        news
    }

    /// An object is at fault: its record is refused, those before it are there, those after it
    /// are to be sent again.
    async fn part(
        &self,
        shipment: &Shipment,
        body: &Body,
        unfit: Unfit,
        mark: Option<Mark>,
    ) -> Result<Delivered, Fault> {
        let Some(holder) = self.culprit(shipment, body, &unfit)? else {
            // Halved again and again, it is alone in the end.
            return Err(Fault::TooLarge { cause: unfit.cause });
        };
        let (before, after) = body.around(holder);
        // Those behind the culprit were only not looked at.
        let mut fault = None;
        let mut left = Vec::new();
        if !before.is_empty()
            && let Err(unsettled) = self.taken_before(unfit.ack_id, mark).await
        {
            left = before;
            let unknown = || Fault::Retry { cause: unfit.cause.clone(), after: None };
            fault = Some(unsettled.unwrap_or_else(unknown));
        }
        left.extend(after);
        let mut rejected = body.unfit.clone();
        let failure = Failure {
            output_type: output_type::SPLUNK_FAILED,
            cause: unfit.cause,
            attempts: 1,
            details: Details::new(),
        };
        rejected.push((body.index(holder), failure));
        rejected.sort_by_key(|&(index, _)| index);
        let left = (!left.is_empty()).then_some(Left { indexes: left, fault });
        Ok(Delivered { rejected, left })
    }

    /// Whether the objects before the one at fault are there for certain; if not, why, where there
    /// is a reason of its own.
    async fn taken_before(
        &self,
        ack_id: Option<u64>,
        mark: Option<Mark>,
    ) -> Result<(), Option<Fault>> {
        if self.acks.is_some() && ack_id.is_none() {
            return Err(None);
        }
        self.acknowledged(ack_id, mark).await.map_err(Some)
    }

    /// Which of the records sent is at fault; `None` where Splunk has not said so.
    fn culprit(
        &self,
        shipment: &Shipment,
        body: &Body,
        unfit: &Unfit,
    ) -> Result<Option<usize>, Fault> {
        let cause = || unfit.cause.clone();
        let is_raw = self.endpoint_type == EndpointType::Raw;
        let holder = unfit.object.and_then(|object| body.holder(object));
        match unfit.kind {
            UnfitKind::NoData if body.is_blank => Err(Fault::Reject { cause: cause() }),
            // The body got lost on the way: there was something in it.
            UnfitKind::NoData => Err(Fault::Retry { cause: cause(), after: None }),
            UnfitKind::Format
                if body.plain_bytes > limits::SPLUNK_CONTENT_BYTES
                    && unfit.object.unwrap_or(0) == 0 =>
            {
                Err(Fault::TooLarge {
                    cause: Cause::new(codes::CONTENT_TOO_LARGE, cause().message),
                })
            }
            // Raw bytes have no format that could be wrong.
            UnfitKind::Format if is_raw => Err(Fault::Retry { cause: cause(), after: None }),
            UnfitKind::Format => Ok(holder),
            // The index is the one of our settings, or of the token.
            UnfitKind::Index if is_raw => Err(Fault::Halt { cause: cause() }),
            UnfitKind::Index => self.names_wrong_index(shipment, body, unfit),
        }
    }

    /// The record whose envelope names an index that the token may not write to: Splunk tells the
    /// number of the object after it. Where none is named, it is the token's own index.
    fn names_wrong_index(
        &self,
        shipment: &Shipment,
        body: &Body,
        unfit: &Unfit,
    ) -> Result<Option<usize>, Fault> {
        let Some(object) = unfit.object else { return Ok(None) };
        let candidates = [object.checked_sub(1), Some(object)];
        let named = candidates.into_iter().flatten();
        match { named }.find(|&object| body.names_index(shipment, object)) {
            Some(object) => Ok(body.holder(object)),
            None => Err(Fault::Halt { cause: unfit.cause.clone() }),
        }
    }
}

#[async_trait]
impl Sink for SplunkSink {
    async fn deliver(&self, shipment: &Shipment) -> Result<Delivered, Fault> {
        if shipment.records == 0 {
            return Ok(Delivered::default());
        }
        let body = self.build(shipment).await;
        let delivered = if body.is_empty() {
            Ok(Delivered { rejected: body.unfit, left: None })
        } else {
            self.send(shipment, &body).await
        };
        delivered.and_then(|delivered| whole(shipment, delivered))
    }

    fn output_type(&self) -> &'static str {
        output_type::SPLUNK_FAILED
    }

    /// The record's place as Firehose writes it.
    fn details(&self, shipment: &Shipment, index: u64) -> Details {
        let leaf = shipment.list.as_ref().and_then(|list| list.leaves.get(index as usize));
        leaf.map_or(Details::new(), |leaf| {
            vec![("EventId".into(), format!("{:056}.{}", leaf.sequence, leaf.index).into())]
        })
    }

    async fn check(&self) -> Vec<Trial> {
        self.trials().await
    }
}

/// Of a shipment that does not list its records nothing can be rejected or left by itself.
fn whole(shipment: &Shipment, mut delivered: Delivered) -> Result<Delivered, Fault> {
    if shipment.list.is_some() {
        return Ok(delivered);
    }
    match (delivered.rejected.pop(), delivered.left) {
        (Some((_, failure)), _) => Err(Fault::Reject { cause: failure.cause }),
        (None, Some(left)) => Err(left.fault.unwrap_or_else(|| {
            Fault::retry(codes::SERVER_ERROR, "Splunk did not get to all of the events")
        })),
        (None, None) => Ok(Delivered::default()),
    }
}
