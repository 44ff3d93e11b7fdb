//! One shipment from a closed batch to its arrival: encode, write down, send, settle.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Destination, Shipments,
    bodies::Bodies,
    history::{Arrived, History},
    settle::is_error,
    shipments::{self, Except, Planned, Reason},
};
use crate::{
    batch::{Batch, CloseReason},
    encode::{self, Compression},
    fault::{Failure, Fault},
    partition::ObjectName,
    record::{Leaf, Members, Ranges, Route},
    retry::{self, Ended, Step},
    seams::{Delivered, Encoded, Left, Observer, RawBatch, RecordList, Shipment},
    sinks::layers::Attempts,
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
    /// `members` are at the destination; the others are to fail.
    Delivered { members: Members, failed: Vec<Failed>, weight: Option<Weight> },
    /// The task was told to leave: nothing is known.
    Stopped,
    /// It cannot be made or sent; the next run makes it anew.
    Broken(String),
}

/// A leaf that a format or a destination refused.
pub struct Failed {
    pub leaf: Leaf,
    pub failure: Failure,
    /// What was sent, where the destination takes records one by one.
    pub sent: Option<Bytes>,
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
    ends: Vec<u32>,
    extension: &'static str,
    content_encoding: Option<&'static str>,
    records: u64,
    members: Members,
    unfit: Vec<Failed>,
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
    // With where its records end and come from.
    let per_record = size_of::<u32>() + size_of::<Leaf>();
    weight.becomes(made.body.len() + per_record * made.ends.len());
    let Made { body, ends, extension, content_encoding, records, members, unfit } = made;
    *encoded_len = body.len();
    if members.is_empty() && planned.is_none() {
        return Ok(Outcome::Delivered { members, failed: unfit, weight: None });
    }
    let listed = planned.as_ref().map_or_else(|| lists(d, &route), |planned| planned.listed);
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
                listed,
                compression: if is_error(&route) || listed {
                    Compression::Uncompressed
                } else {
                    d.compression
                },
                content_encoding: d.content_encoding,
                framing: d.framing.clone(),
                reasons,
            };
            plan_it(d, shipments, plan, (&body, &ends), oldest_arrival_ms, extension).await?
        }
    };
    let shipment = Shipment {
        key: plan.key.clone(),
        body,
        content_type: "application/octet-stream",
        content_encoding: content_encoding.filter(|_| plan.content_encoding),
        records,
        positions: members.positions(),
        route: route.clone(),
        list: listed.then(|| Arc::new(RecordList { ends, leaves: members.leaves() })),
    };
    let refused = deliver(d, shipment).await?;
    let failed = refused.into_iter().filter_map(|(index, failure, sent)| {
        let leaf = members.leaf(index)?;
        // A body that was kept may hold more than the shipment still stands for.
        members.holds(leaf).then_some(Failed { leaf, failure, sent })
    });
    let refused: Vec<Failed> = failed.collect();
    let not_there: Vec<Leaf> = refused.iter().map(|failed| failed.leaf).collect();
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
    let failed: Vec<Failed> = unfit.into_iter().chain(refused).collect();
    let weight = Some(weight).filter(|_| failed.iter().any(|failed| failed.sent.is_some()));
    Ok(Outcome::Delivered { members: good, failed, weight })
}

/// Whether the shipments of a route list their records.
fn lists(d: &Destination, route: &Route) -> bool {
    d.format.lists() && !is_error(route)
}

/// A record of a shipment that its destination refused, and what was sent of it.
type Refused = (u64, Failure, Option<Bytes>);

/// Asks until every record of the shipment has come to an end: those that are not listed in the
/// answer are at the destination.
async fn deliver(d: &Arc<Destination>, shipment: Shipment) -> Result<Vec<Refused>, Trouble> {
    let (way, part) = (d.way(&shipment.route), d.part(&shipment.route));
    let pending = Arc::new(Mutex::new(Pending::of(shipment)));
    let never = CancellationToken::new();
    let failed =
        |fault: &Fault, attempts, wait| d.reporter(part).attempt_failed(fault, attempts, wait);
    let result = retry::until_done_through(&way.breaker, &way.retry, &never, failed, |attempt| {
        d.metrics.attempts.inc();
        let pending = pending.clone();
        async move {
            let shipment = pending.lock().shipment.clone();
            let delivered = way.sink.deliver(shipment).await?;
            pending.lock().take(delivered, attempt, &way.sink)
        }
    })
    .await;
    let mut pending = pending.lock();
    match result {
        Ok(()) => {
            d.metrics.success.inc();
            d.reporter(part).attempt_succeeded();
        }
        Err(Ended::Stopped) => return Err(Trouble::Stopped),
        Err(Ended::GaveUp { fault, attempts }) => {
            let is_theirs = matches!(fault, Fault::Reject { .. } | Fault::TooLarge { .. });
            match is_theirs {
                // It has answered.
                true => {
                    d.metrics.error(&fault.cause().code);
                    d.reporter(part).attempt_succeeded();
                }
                false => d.reporter(part).attempt_failed(&fault, attempts, Duration::ZERO),
            }
            tracing::warn!(
                stream = d.stream,
                destination = d.name,
                records = pending.shipment.records,
                code = fault.cause().code,
                cause = fault.cause().message,
                attempts,
                "records go to the error output"
            );
            pending.give_up(&fault, attempts, &way.sink);
        }
    }
    Ok(std::mem::take(&mut pending.refused))
}

/// What is left of a shipment after some attempts.
struct Pending {
    shipment: Shipment,
    /// Where its records stand in the whole shipment; `None` as long as it is whole.
    places: Option<Vec<u64>>,
    refused: Vec<Refused>,
}

impl Pending {
    fn of(shipment: Shipment) -> Self {
        Self { shipment, places: None, refused: Vec::new() }
    }

    fn place(&self, index: u64) -> Option<u64> {
        match &self.places {
            Some(places) => places.get(index as usize).copied(),
            None => Some(index),
        }
    }

    fn refuse(&mut self, index: u64, failure: Failure) {
        // A copy: a slice would hold all that was sent along with it.
        let sent = self.shipment.list.is_some().then(|| self.shipment.record(index));
        let sent = sent.map(|record| Bytes::copy_from_slice(&record));
        if let Some(place) = self.place(index) {
            self.refused.push((place, failure, sent));
        }
    }

    /// What an attempt has brought; what it left is the rest. One that left everything has failed.
    fn take(
        &mut self,
        delivered: Delivered,
        attempt: u32,
        sink: &Attempts,
    ) -> Result<Step<()>, Fault> {
        for (index, mut failure) in delivered.rejected {
            failure.attempts = attempt;
            if failure.details.is_empty() && self.shipment.list.is_some() {
                failure.details = sink.details(&self.shipment, index);
            }
            self.refuse(index, failure);
        }
        let Some(Left { indexes, fault }) = delivered.left else { return Ok(Step::Done(())) };
        if indexes.len() as u64 >= self.shipment.records {
            let nothing = || Fault::retry("Standpipe.NothingTaken", "no record came to an end");
            return Err(fault.unwrap_or_else(nothing));
        }
        let places = indexes.iter().filter_map(|index| self.place(*index)).collect();
        self.shipment = self.shipment.select(&indexes);
        self.places = Some(places);
        Ok(Step::Partly(fault))
    }

    fn give_up(&mut self, fault: &Fault, attempts: u32, sink: &Attempts) {
        for index in 0..self.shipment.records {
            let failure = Failure {
                output_type: sink.output_type(),
                cause: fault.cause().clone(),
                attempts,
                details: sink.details(&self.shipment, index),
            };
            self.refuse(index, failure);
        }
    }
}

/// Encodes a batch; what the format cannot hold is no member of it any more.
async fn encode(
    d: &Arc<Destination>,
    batch: Batch,
    planned: Option<&Planned>,
) -> Result<Made, Trouble> {
    let Batch { route, raw, mut members, .. } = batch;
    let encoder = match planned {
        Some(planned) if planned.listed => Arc::new(encode::Records),
        Some(planned) => encode::encoder(planned.compression),
        None if is_error(&route) => encode::encoder(Compression::Uncompressed),
        None => {
            let never = CancellationToken::new();
            let failed =
                |fault: &Fault, attempts, wait| d.attempt_failed(&route, fault, attempts, wait);
            // A format that is not there holds; it never rejects a record.
            let retry = d.own_retry();
            let encoder = retry::until_done(&retry, &never, failed, |_| d.format.encoder());
            encoder.await.map_err(|_| Trouble::Stopped)?
        }
    };
    let (extension, content_encoding) = (encoder.extension(), encoder.content_encoding());
    let records = raw.records;
    let encoded = d.pool.run(move || encoder.encode(raw)).await;
    let Encoded { body, ends, unfit } =
        encoded.map_err(|error| Trouble::Broken(error.to_string()))?;
    let records = records - unfit.len() as u64;
    let failed =
        |(index, failure)| Some(Failed { leaf: members.leaf(index)?, failure, sent: None });
    let unfit: Vec<Failed> = unfit.into_iter().filter_map(failed).collect();
    let leaves: Vec<Leaf> = unfit.iter().map(|failed| failed.leaf).collect();
    members.remove(&leaves);
    Ok(Made { body, ends, extension, content_encoding, records, members, unfit })
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
    let failed =
        |fault: &Fault, attempts, wait| d.attempt_failed(&planned.route, fault, attempts, wait);
    let retry = d.own_retry();
    let loaded = retry::until_done(&retry, &never, failed, |_| {
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
    let (body, ends) = if planned.listed {
        split_kept(&body, planned.records)
            .ok_or_else(|| Trouble::Broken(format!("the kept body of {} is cut", planned.key)))?
    } else {
        (body, Vec::new())
    };
    Ok(Made {
        body,
        ends,
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
    (body, ends): (&Bytes, &[u32]),
    oldest_arrival_ms: i64,
    extension: &str,
) -> Result<Planned, Trouble> {
    let uuid = d.uuid_of(&plan);
    let never = CancellationToken::new();
    let failed =
        |fault: &Fault, attempts, wait| d.attempt_failed(&plan.route, fault, attempts, wait);
    let body = if d.is_plain() || !plan.listed { body.clone() } else { joined(body, ends) };
    let retry = d.own_retry();
    let written = retry::until_done(&retry, &never, failed, |_| {
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
        plan.id = shipments::plan(&shipments, plan.clone())?;
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

/// A body that is kept, and where its records end.
fn joined(body: &Bytes, ends: &[u32]) -> Bytes {
    let mut joined = Vec::with_capacity(body.len() + 4 * ends.len());
    joined.extend_from_slice(body);
    ends.iter().for_each(|end| joined.extend_from_slice(&end.to_le_bytes()));
    joined.into()
}

/// Takes apart what [`joined`] made of so many records.
fn split_kept(kept: &Bytes, records: u64) -> Option<(Bytes, Vec<u32>)> {
    let body_len = kept.len().checked_sub(4 * records as usize)?;
    let ends = kept[body_len..].chunks_exact(4);
    let ends: Vec<u32> =
        ends.map(|end| u32::from_le_bytes([end[0], end[1], end[2], end[3]])).collect();
    let ascend = ends.is_sorted() && ends.last().is_none_or(|last| *last as usize == body_len);
    ascend.then(|| (kept.slice(..body_len), ends))
}
