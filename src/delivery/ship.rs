//! One shipment from a closed batch to its arrival: encode, write down, send, settle.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Destination, Shipments,
    bodies::Bodies,
    history::{Arrived, History},
    settle::is_error,
    shipments::{Except, Planned, Reason},
};
use crate::{
    batch::{Batch, CloseReason},
    encode::{self, Compression},
    fault::{Cause, Failure, Fault, output_type},
    partition::ObjectName,
    record::{Leaf, Members, Ranges, Route},
    retry::{self, Ended},
    seams::{Delivered, Encoded, RawBatch, Shipment},
};

/// A batch to be shipped.
pub struct Parcel {
    pub batch: Batch,
    /// Set when it is built again: everything about it was decided the first time.
    pub planned: Option<Planned>,
    pub reasons: Vec<Reason>,
}

impl Parcel {
    /// A shipment of an earlier run whose body was kept.
    pub fn kept(planned: Planned, transforms_id: u32) -> Self {
        let mut members = planned.members();
        if planned.transforms != transforms_id {
            // Its pieces go their way anew as well: those in it end nothing.
            members.parts.clear();
        }
        let batch = Batch {
            route: planned.route.clone(),
            raw: RawBatch { records: planned.records, ..RawBatch::default() },
            members,
            oldest_arrival_ms: 0,
            reason: CloseReason::Recovery,
            objects_touch: false,
        };
        Self { batch, planned: Some(planned), reasons: Vec::new() }
    }
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
    /// `members` are at the destination; the others are to fail or to be sent again.
    Delivered { members: Members, failed: Vec<(Leaf, Failure)>, leftovers: Vec<Leaf> },
    /// The task was told to leave: nothing is known.
    Stopped,
    /// It cannot be made or sent; the next run makes it anew.
    Broken(String),
}

pub struct Shipped {
    pub route: Route,
    pub raw_len: usize,
    pub encoded_len: usize,
    pub outcome: Outcome,
}

/// A batch that is encoded, without the records that the format could not hold.
struct Made {
    body: Bytes,
    extension: &'static str,
    content_encoding: Option<&'static str>,
    records: u64,
    members: Members,
    unfit: Vec<(Leaf, Failure)>,
}

/// Ships one batch. Retries until it is delivered; ends otherwise only with its task.
pub async fn ship(
    destination: Arc<Destination>,
    shipments: Arc<Mutex<Shipments>>,
    history: Arc<Mutex<History>>,
    parcel: Parcel,
    weight: Weight,
) -> Shipped {
    let route = parcel.batch.route.clone();
    let raw_len = parcel.batch.raw.data_bytes() as usize;
    let mut encoded_len = 0;
    let len = &mut encoded_len;
    let outcome = match attempt(&destination, &shipments, &history, parcel, weight, len).await {
        Ok(outcome) => outcome,
        Err(Trouble::Stopped) => Outcome::Stopped,
        Err(Trouble::Broken(reason)) => Outcome::Broken(reason),
    };
    Shipped { route, raw_len, encoded_len, outcome }
}

/// Why a shipment was not made.
enum Trouble {
    Stopped,
    Broken(String),
}

async fn attempt(
    d: &Arc<Destination>,
    shipments: &Arc<Mutex<Shipments>>,
    history: &Arc<Mutex<History>>,
    parcel: Parcel,
    mut weight: Weight,
    encoded_len: &mut usize,
) -> Result<Outcome, Trouble> {
    let Parcel { batch, planned, reasons } = parcel;
    let (route, reason) = (batch.route.clone(), batch.reason);
    let (oldest_arrival_ms, raw_len) = (batch.oldest_arrival_ms, batch.raw.data_bytes());
    let made = match &planned {
        Some(Planned { body: Some(_), .. }) => {
            load(d, shipments, planned.clone(), batch.members).await?
        }
        _ => encode(d, batch, planned.as_ref()).await?,
    };
    weight.becomes(made.body.len());
    let Made { body, extension, content_encoding, records, members, unfit } = made;
    *encoded_len = body.len();
    if members.is_empty() && planned.is_none() {
        return Ok(Outcome::Delivered { members, failed: unfit, leftovers: Vec::new() });
    }
    let plan = match planned {
        Some(planned) => planned,
        None => {
            let plan = Planned {
                id: 0,
                key: String::new(),
                route: route.clone(),
                positions: members.whole.clone(),
                parts: members.parts.clone(),
                transforms: d.transforms_id,
                order: members.order().map(<[Leaf]>::to_vec),
                records,
                body: None,
                compression: if is_error(&route) {
                    Compression::Uncompressed
                } else {
                    d.compression
                },
                content_encoding: d.content_encoding,
                framing: d.framing.clone(),
                reasons,
            };
            plan_it(d, shipments, plan, &body, oldest_arrival_ms, extension).await?
        }
    };
    let shipment = Shipment {
        key: plan.key.clone(),
        body,
        content_type: "application/octet-stream",
        content_encoding: content_encoding.filter(|_| plan.content_encoding),
        records,
        positions: members.positions(),
        is_error: is_error(&route),
    };
    let never = CancellationToken::new();
    let failed = |fault: &Fault, attempts, wait| d.attempt_failed(fault, attempts, wait);
    let result = retry::until_done(&d.retry, &never, failed, |_| {
        d.metrics.attempts.inc();
        d.sink.deliver(shipment.clone())
    })
    .await;
    drop((shipment, weight));
    let delivered = match result {
        Ok(delivered) => delivered,
        Err(Ended::Stopped) => return Err(Trouble::Stopped),
        // The destination refuses all of it for the records' own fault.
        Err(Ended::GaveUp { fault, attempts }) => {
            Delivered { rejected: reject_all(records, &fault, attempts), leftovers: vec![] }
        }
    };
    d.attempt_succeeded();
    let leaf = |index: u64| members.leaf(index);
    let rejected = delivered.rejected.into_iter();
    let rejected: Vec<(Leaf, Failure)> =
        rejected.filter_map(|(index, failure)| Some((leaf(index)?, failure))).collect();
    let leftovers: Vec<Leaf> = delivered.leftovers.into_iter().filter_map(leaf).collect();
    let not_there: Vec<Leaf> =
        rejected.iter().map(|(leaf, _)| *leaf).chain(leftovers.iter().copied()).collect();
    let mut good = members;
    good.remove(&not_there);
    if !good.is_empty() {
        if !is_error(&route) {
            d.metrics.bytes.inc_by(raw_len);
        }
        d.metrics.object(*encoded_len as u64, reason.as_str());
    }
    let except = not_there.into_iter().collect();
    note_arrival(d, shipments, history, plan, good.positions(), except).await?;
    let failed = unfit.into_iter().chain(rejected).collect();
    Ok(Outcome::Delivered { members: good, failed, leftovers })
}

/// Encodes a batch; what the format cannot hold is no member of it any more.
async fn encode(
    d: &Arc<Destination>,
    batch: Batch,
    planned: Option<&Planned>,
) -> Result<Made, Trouble> {
    let Batch { route, raw, mut members, .. } = batch;
    let encoder = match planned {
        Some(planned) => encode::encoder(planned.compression),
        None if is_error(&route) => encode::encoder(Compression::Uncompressed),
        None => {
            let never = CancellationToken::new();
            let failed = |fault: &Fault, attempts, wait| d.attempt_failed(fault, attempts, wait);
            // A format that is not there holds; it never rejects a record.
            let encoder = retry::until_done(&d.retry, &never, failed, |_| d.format.encoder());
            encoder.await.map_err(|_| Trouble::Stopped)?
        }
    };
    let (extension, content_encoding) = (encoder.extension(), encoder.content_encoding());
    let records = raw.records;
    let encoded = d.pool.run(move || encoder.encode(raw)).await;
    let Encoded { body, unfit } = encoded.map_err(|error| Trouble::Broken(error.to_string()))?;
    let records = records - unfit.len() as u64;
    let leaf = |(index, failure)| Some((members.leaf(index)?, failure));
    let unfit: Vec<(Leaf, Failure)> = unfit.into_iter().filter_map(leaf).collect();
    let leaves: Vec<Leaf> = unfit.iter().map(|(leaf, _)| *leaf).collect();
    members.remove(&leaves);
    Ok(Made { body, extension, content_encoding, records, members, unfit })
}

/// The body of a shipment of an earlier run. One that is gone or damaged cannot leave: then the
/// shipment settles nothing, and its records are read again.
async fn load(
    d: &Arc<Destination>,
    shipments: &Arc<Mutex<Shipments>>,
    planned: Option<Planned>,
    members: Members,
) -> Result<Made, Trouble> {
    let Some(planned) = planned else { return Err(Trouble::Stopped) };
    let Some(kept) = planned.body.clone() else { return Err(Trouble::Stopped) };
    let never = CancellationToken::new();
    let failed = |fault: &Fault, attempts, wait| d.attempt_failed(fault, attempts, wait);
    let loaded = retry::until_done(&d.retry, &never, failed, |_| {
        let (bodies, kept) = (d.bodies(), kept.clone());
        async move {
            let halt = |error: String| Fault::halt("Standpipe.BodyNotRead", error);
            match tokio::task::spawn_blocking(move || bodies.load(&kept)).await {
                Ok(Ok(body)) => Ok(Ok(body)),
                Ok(Err(error)) if is_lost(&error) => Ok(Err(error)),
                // It may be there yet, and so may the object: another key would make it two.
                Ok(Err(error)) => Err(halt(error.to_string())),
                Err(error) => Err(halt(error.to_string())),
            }
        }
    });
    let body = match loaded.await.map_err(|_| Trouble::Stopped)? {
        Ok(body) => body,
        Err(error) => {
            let (shipments, id) = (shipments.clone(), planned.id);
            let except = planned.members().positions().into();
            let release = move || shipments.lock().settle(id, except, true);
            let released = tokio::task::spawn_blocking(release).await;
            let reason = format!("the kept body of {} is lost: {error}", planned.key);
            return Err(Trouble::Broken(match released {
                Ok(Ok(())) => reason,
                Ok(Err(error)) => format!("{reason}; and the ledger: {error}"),
                Err(error) => format!("{reason}; and the ledger: {error}"),
            }));
        }
    };
    Ok(Made {
        body,
        extension: "",
        content_encoding: encode::encoder(planned.compression).content_encoding(),
        records: planned.records,
        members,
        unfit: Vec::new(),
    })
}

/// Whether a body will never come back.
fn is_lost(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    matches!(error.kind(), NotFound | InvalidData | UnexpectedEof)
}

/// Gives a new shipment its key, and writes everything down that makes it the same after a crash.
async fn plan_it(
    d: &Arc<Destination>,
    shipments: &Arc<Mutex<Shipments>>,
    plan: Planned,
    body: &Bytes,
    oldest_arrival_ms: i64,
    extension: &str,
) -> Result<Planned, Trouble> {
    let uuid = uuid::Uuid::new_v4();
    let never = CancellationToken::new();
    let failed = |fault: &Fault, attempts, wait| d.attempt_failed(fault, attempts, wait);
    let written = retry::until_done(&d.retry, &never, failed, |_| {
        let key = key_of(d, &plan.route, oldest_arrival_ms, extension, uuid);
        // A plain batch is built again from the journal; all else is kept as it is.
        let keep = (!d.is_plain()).then(|| (d.bodies(), uuid.to_string(), body.clone()));
        write_down(shipments.clone(), plan.clone(), key, keep)
    });
    // Writing down is held or retried, never rejected.
    written.await.map_err(|_| Trouble::Stopped)
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
    let key = d.naming.key(&name, route);
    key.map_err(|error| Fault::halt("S3.InvalidPrefixConfigurationException", error.to_string()))
}

/// Writes the plan to the ledger under its key, durably, behind the body that is kept with it.
/// Without it nothing leaves.
async fn write_down(
    shipments: Arc<Mutex<Shipments>>,
    plan: Planned,
    key: Result<String, Fault>,
    keep: Option<(Bodies, String, Bytes)>,
) -> Result<Planned, Fault> {
    let mut plan = Planned { key: key?, ..plan };
    let written = tokio::task::spawn_blocking(move || {
        if let Some((bodies, name, body)) = keep {
            plan.body = Some(bodies.keep(&name, &body)?);
        }
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
    except: Except,
) -> Result<(), Trouble> {
    let leaves_out = !except.is_empty();
    let at_ms = d.env.clock.now_ms();
    let (shipments, history, bodies) = (shipments.clone(), history.clone(), d.bodies());
    let noted = tokio::task::spawn_blocking(move || {
        // A body may only go once it is certain that nobody will ask for it.
        shipments.lock().settle(plan.id, except, plan.body.is_some())?;
        if let Some(kept) = &plan.body {
            bodies.remove(&kept.name)?;
        }
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
        if leaves_out {
            // What was refused would count as arrived after a crash: rather all of it once more.
            return Err(Trouble::Broken(error.to_string()));
        }
    }
    Ok(())
}

fn reject_all(records: u64, fault: &Fault, attempts: u32) -> Vec<(u64, Failure)> {
    let Cause { code, message } = fault.cause();
    let failure = Failure {
        output_type: output_type::PROCESSING_FAILED,
        cause: Cause::new(code.clone(), message.clone()),
        attempts,
    };
    (0..records).map(|index| (index, failure.clone())).collect()
}
