//! An outlet and what surrounds it become a destination that can run.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use super::{
    build::{self, Outlet},
    processing::StreamContext,
    requests::Owner,
};
use crate::{
    delivery::{Budget, Destination, Part, Reporter, Status, Tally},
    encode::Records,
    env::{CpuPool, Env},
    seams::Journal,
    telemetry::DestinationMetrics,
};

/// What a destination is put into.
pub struct Surroundings {
    pub stream: StreamContext,
    /// Name of the stream.
    pub name: String,
    pub version_id: Arc<AtomicU64>,
    pub journal: Arc<dyn Journal>,
    pub journal_id: [u8; 16],
    pub uncounted_records: i64,
    /// Holds the ledger and the history.
    pub folder: PathBuf,
    pub metrics: DestinationMetrics,
    pub status: Status,
    /// The place among several deliveries of one destination.
    pub tally: Option<Tally>,
    pub env: Env,
    pub budget: Arc<Budget>,
    pub pool: CpuPool,
}

/// Makes all parts of an outlet. Asks nobody yet.
pub async fn assemble(outlet: &Outlet, around: Surroundings) -> Result<Destination, String> {
    let Surroundings { stream, env, pool, metrics, status, .. } = around;
    let reporter = Reporter {
        part: Part::Destination,
        stream: around.name.clone(),
        name: outlet.name.clone(),
        status: status.clone(),
        metrics: metrics.clone(),
        env: env.clone(),
    };
    // Another journal, another destination of the same index, or other transforms have other
    // records at the same places.
    let which = format!("{}/{}", outlet.name, outlet.processing.transforms_id());
    let (journal, which) = (hex::encode(&around.journal_id[..4]), crc32c::crc32c(which.as_bytes()));
    let owner = Owner { arn: stream.arn.clone(), tag: format!("{journal}{which:08x}") };
    let table = outlet.processing.table(&env).map_err(|error| error.to_string())?;
    let registered = outlet.processing.registers.then(|| table.clone()).flatten();
    let folder = around.folder.clone();
    let format = match outlet.requests {
        Some(_) => Arc::new(Records),
        None => outlet.processing.format(outlet.compression, table, folder, &env)?,
    };
    let ways = build::ways(outlet, true, owner, registered, &env, &pool).await?;
    Ok(Destination {
        stream: around.name,
        name: outlet.name.clone(),
        version_id: around.version_id,
        journal: around.journal,
        journal_id: around.journal_id,
        error_members: outlet.processing.error_members(&stream),
        attempts_before: Arc::default(),
        transforms: outlet.processing.chain(stream, Some(Arc::new(reporter)))?,
        transforms_id: outlet.processing.transforms_id(),
        format,
        partitions_max: outlet.processing.partitions_max,
        framing: outlet.framing.clone(),
        buffering: outlet.buffering,
        error_buffering: outlet.error_buffering,
        naming: build::naming(outlet)?,
        compression: outlet.compression,
        content_encoding: outlet.content_encoding,
        way: ways.way,
        backup: ways.backup,
        bounds: outlet.bounds(),
        folder: around.folder,
        env,
        metrics,
        uncounted_records: around.uncounted_records,
        status,
        tally: around.tally,
        budget: around.budget,
        pool,
    })
}
