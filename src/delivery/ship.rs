//! One shipment from a closed batch to its arrival: encode, write down, send, settle.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Destination, Shipments,
    history::{Arrived, History},
    shipments::{Planned, Reason},
};
use crate::{
    batch::Batch,
    encode::{self, Compression},
    fault::{Cause, Fault},
    partition::ObjectName,
    record::{Ranges, Route},
    retry::{self, Ended},
    seams::{Delivered, Failure, Shipment},
};

/// A batch to be shipped.
pub struct Parcel {
    pub batch: Batch,
    /// Set when it is built again: everything about it was decided the first time.
    pub planned: Option<Planned>,
    pub reasons: Vec<Reason>,
}

/// The bytes a shipment holds, counted while it is under way.
pub struct Weight {
    total: Arc<AtomicU64>,
    bytes: u64,
}

impl Weight {
    pub fn of(total: &Arc<AtomicU64>, bytes: usize) -> Self {
        total.fetch_add(bytes as u64, Ordering::Relaxed);
        Self { total: total.clone(), bytes: bytes as u64 }
    }

    fn becomes(&mut self, bytes: usize) {
        self.total.fetch_add(bytes as u64, Ordering::Relaxed);
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes as u64;
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How a shipment ended.
pub enum Outcome {
    /// At the destination, but for what is listed; `like` is how it was built.
    Delivered { rejected: Vec<(u64, Failure)>, leftovers: Ranges, like: Box<Planned> },
    /// The task was told to leave: nothing is known.
    Stopped,
}

pub struct Shipped {
    pub route: Route,
    pub positions: Ranges,
    pub raw_len: usize,
    pub encoded_len: usize,
    pub outcome: Outcome,
}

impl Shipped {
    fn stopped(route: Route, positions: Ranges) -> Self {
        Self { route, positions, raw_len: 0, encoded_len: 0, outcome: Outcome::Stopped }
    }
}

/// Ships one batch. Retries until it is delivered; ends otherwise only with its task.
pub async fn ship(
    destination: Arc<Destination>,
    shipments: Arc<Mutex<Shipments>>,
    history: Arc<Mutex<History>>,
    parcel: Parcel,
    mut weight: Weight,
) -> Shipped {
    let d = &destination;
    let Parcel { batch, planned, reasons } = parcel;
    let Batch { route, raw, positions, oldest_arrival_ms, reason, .. } = batch;
    let (raw_len, records) = (raw.data.len(), raw.records);
    let mut plan = planned.clone().unwrap_or_else(|| Planned {
        id: 0,
        key: String::new(),
        route: route.clone(),
        positions: positions.clone(),
        compression: if route == Route::Objects {
            d.compression
        } else {
            Compression::Uncompressed
        },
        content_encoding: d.content_encoding,
        framing: d.framing.clone(),
        reasons,
    });
    let encoder = encode::encoder(plan.compression);
    let extension = encoder.extension();
    let content_encoding = encoder.content_encoding().filter(|_| plan.content_encoding);
    let encoded = d.pool.run(move || encoder.encode(raw)).await;
    weight.becomes(encoded.body.len());
    let never = CancellationToken::new();
    let failed = |fault: &Fault, attempts, wait| d.attempt_failed(fault, attempts, wait);
    if planned.is_none() {
        let uuid = uuid::Uuid::new_v4();
        let written = retry::until_done(&d.retry, &never, failed, |_| {
            let key = key_of(d, &route, oldest_arrival_ms, extension, uuid);
            write_down(shipments.clone(), plan.clone(), key)
        });
        match written.await {
            Ok(written) => plan = written,
            // Writing down is held or retried, never rejected.
            Err(_) => return Shipped::stopped(route, positions),
        }
    }
    let shipment = Shipment {
        key: plan.key.clone(),
        body: encoded.body,
        content_type: "application/octet-stream",
        content_encoding,
        records,
        positions: positions.clone(),
    };
    let result = retry::until_done(&d.retry, &never, failed, |_| {
        d.metrics.attempts.inc();
        d.sink.deliver(shipment.clone())
    })
    .await;
    let encoded_len = shipment.body.len();
    drop(weight);
    let (delivered, unfit) = match result {
        Ok(delivered) => (delivered, encoded.unfit),
        Err(Ended::Stopped) => return Shipped::stopped(route, positions),
        // The destination refuses all of it for the records' own fault.
        Err(Ended::GaveUp { fault, attempts }) => (
            Delivered {
                rejected: reject_all(positions.count(), &fault, attempts),
                leftovers: vec![],
            },
            vec![],
        ),
    };
    let rejected = by_position(&positions, delivered.rejected.into_iter().chain(unfit));
    let leftovers: Ranges = delivered
        .leftovers
        .iter()
        .filter_map(|index| positions.nth(*index))
        .map(|sequence| (sequence, sequence + 1))
        .collect();
    let mut except = leftovers.clone();
    for (sequence, _) in &rejected {
        except.insert(*sequence, sequence + 1);
    }
    let good = positions.without(&except);
    d.attempt_succeeded();
    if !good.is_empty() {
        if route == Route::Objects {
            d.metrics.bytes.inc_by(raw_len as u64);
        }
        d.metrics.object(encoded_len as u64, reason.as_str());
    }
    let like = plan.clone();
    note_arrival(d, &shipments, &history, plan, good, except).await;
    let outcome = Outcome::Delivered { rejected, leftovers, like: Box::new(like) };
    Shipped { route, positions, raw_len, encoded_len, outcome }
}

/// The key of a new shipment. A key that cannot be made is a wrong setting: it holds.
fn key_of(
    d: &Destination,
    route: &Route,
    oldest_arrival_ms: i64,
    extension: &str,
    uuid: uuid::Uuid,
) -> Result<String, Fault> {
    let name = ObjectName {
        stream: &d.stream,
        version_id: d.version_id.load(Ordering::Relaxed),
        oldest_arrival_ms,
        extension,
        uuid,
    };
    let key = match route {
        Route::Objects => d.naming.object_key(&name),
        Route::Errors(output_type) => d.naming.error_key(&name, output_type),
    };
    key.map_err(|error| Fault::halt("S3.InvalidPrefixConfigurationException", error.to_string()))
}

/// Writes the plan to the ledger under its key, durably. Without it nothing leaves.
async fn write_down(
    shipments: Arc<Mutex<Shipments>>,
    plan: Planned,
    key: Result<String, Fault>,
) -> Result<Planned, Fault> {
    let mut plan = Planned { key: key?, ..plan };
    let written = tokio::task::spawn_blocking(move || {
        plan.id = shipments.lock().plan(plan.clone())?;
        Ok::<_, std::io::Error>(plan)
    });
    match written.await {
        Ok(Ok(plan)) => Ok(plan),
        Ok(Err(error)) => {
            Err(Fault::halt("Standpipe.LedgerNotWritten", format!("the ledger: {error}")))
        }
        Err(error) => Err(Fault::halt("Standpipe.LedgerNotWritten", error.to_string())),
    }
}

/// Ledger and history learn that the shipment arrived. Should the disk refuse, the shipment is
/// delivered once more under the same key after a restart.
async fn note_arrival(
    d: &Arc<Destination>,
    shipments: &Arc<Mutex<Shipments>>,
    history: &Arc<Mutex<History>>,
    plan: Planned,
    good: Ranges,
    except: Ranges,
) {
    let at_ms = d.env.clock.now_ms();
    let (shipments, history) = (shipments.clone(), history.clone());
    let noted = tokio::task::spawn_blocking(move || {
        shipments.lock().settle(plan.id, except)?;
        if good.is_empty() {
            return Ok(());
        }
        let reasons = plan.reasons.into_iter().map(|r| (r.sequence, r.code, r.message));
        history.lock().add(&Arrived {
            key: plan.key,
            route: plan.route,
            positions: good,
            at_ms,
            reasons: reasons.collect(),
        })
    });
    if let Ok(Err(error)) = noted.await {
        tracing::error!(
            stream = d.stream,
            destination = d.name,
            %error,
            "arrival of a shipment cannot be written down"
        );
    }
}

fn by_position(
    positions: &Ranges,
    failures: impl Iterator<Item = (u64, Failure)>,
) -> Vec<(u64, Failure)> {
    failures.filter_map(|(index, failure)| Some((positions.nth(index)?, failure))).collect()
}

fn reject_all(positions: u64, fault: &Fault, attempts: u32) -> Vec<(u64, Failure)> {
    let Cause { code, message } = fault.cause();
    let failure = Failure {
        output_type: "delivery-failed",
        cause: Cause::new(code.clone(), message.clone()),
        attempts,
    };
    (0..positions).map(|index| (index, failure.clone())).collect()
}
