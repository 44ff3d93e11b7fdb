//! What failed, delivered once more by itself when the destination has been well for a while.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{build::Outlet, direct::Direct, processing::StreamContext};
use crate::{
    config::ReplaySpec,
    delivery::{State as Health, Status},
    env::Env,
    limits,
    replay::{
        self, DeliverError, Deliverer, Disposal, End, FailedLine, Filter, Kind, Outcome, Plan,
        Report, Source, State, Store,
    },
    sinks::{Bucket, parse_bucket},
    telemetry::{Counter, DeliveryKind},
};

/// Calls under way at a time: each waits until its records have come to their end.
const IN_FLIGHT: usize = 32;

/// Watches one destination.
pub struct Replays {
    pub spec: ReplaySpec,
    pub outlet: Outlet,
    pub stream: String,
    pub context: StreamContext,
    pub folder: PathBuf,
    pub status: Status,
    /// Records that went to the bucket.
    pub failed_records: Counter,
    pub env: Env,
}

impl Replays {
    /// Runs until it is aborted. What a replay has done by then is remembered.
    pub async fn run(self) {
        // Earlier runs of the daemon may have left something, too.
        let mut failed_before = None;
        let mut well_since: Option<Instant> = None;
        loop {
            tokio::time::sleep(limits::REPLAY_LOOK_EVERY.min(self.spec.after.0)).await;
            if !self.is_well() {
                well_since = None;
                continue;
            }
            let since = *well_since.get_or_insert_with(Instant::now);
            let failed = self.failed_records.get();
            if since.elapsed() < self.spec.after.0 || failed_before == Some(failed) {
                continue;
            }
            let (stream, destination) = (&self.stream, &self.outlet.name);
            if let Ok((Source::Folder(folder), _)) = self.source()
                && !folder.exists()
            {
                // Nothing has failed yet.
                failed_before = Some(failed);
                continue;
            }
            match self.replay().await {
                Ok(report) => {
                    let replayed = report.records.delivered;
                    let objects = report.objects.deleted;
                    if replayed > 0 {
                        tracing::info!(
                            stream,
                            destination,
                            replayed,
                            objects,
                            "failed records replayed"
                        );
                    }
                    if let End::Failed(reason) = report.end {
                        tracing::warn!(stream, destination, reason, "a replay ended early");
                        well_since = None;
                        continue;
                    }
                    failed_before = Some(failed);
                }
                Err(reason) => {
                    tracing::warn!(
                        stream,
                        destination,
                        reason,
                        "failed records cannot be replayed"
                    );
                    well_since = None;
                }
            }
        }
    }

    fn is_well(&self) -> bool {
        let progress = self.status.get();
        progress.state == Health::Delivering && progress.error_output == Health::Delivering
    }

    async fn replay(&self) -> Result<Report, String> {
        let (source, prefix) = self.source()?;
        let store = Store::connect(&source, self.outlet.bucket.clone()).await.map_err(text)?;
        let scratch = self.folder.join("replay");
        let outlet = self.outlet.clone();
        let context = self.context.clone();
        let direct = Direct::of(outlet, &self.stream, context, &scratch).await.map_err(text)?;
        let purpose = self.purpose(&source, &prefix);
        // What is replayed from where may change with the settings, and has a state of its own.
        let path = self.folder.join(format!("replay-{}.jsonl", replay::fingerprint(&purpose)));
        let env = self.env.clone();
        let state = tokio::task::spawn_blocking(move || State::open(&env, &path, &purpose));
        let state = state.await.map_err(text)?.map_err(text)?;
        let plan = Plan {
            // Several streams may share a bucket and a prefix, and so may destinations of several
            // kinds.
            stream: Some(self.stream.clone()),
            filter: Arc::new(Filter { kinds: kinds(&self.outlet), ..Filter::default() }),
            state: Some(state),
            disposal: Disposal::Delete,
            in_flight: IN_FLIGHT,
            ..Plan::new(Arc::new(store), &prefix, self.env.clock.now_ms())
        };
        Ok(replay::run(plan, &Straight { direct, env: self.env.clone() }, &()).await)
    }

    /// Everything that decides which records go where.
    fn purpose(&self, source: &Source, prefix: &str) -> String {
        let endpoint = self.outlet.bucket.endpoint.as_deref().unwrap_or_default();
        let (name, stream) = (&self.outlet.name, &self.stream);
        format!("{source} ({prefix:?} at {endpoint:?}) to {name} of {stream:?}")
    }

    /// Where failed records are: below what all keys of the error output begin with.
    fn source(&self) -> Result<(Source, String), String> {
        let prefix = &self.outlet.keys.error_output_prefix;
        let prefix = prefix.split_once("!{").map_or(prefix.as_str(), |(plain, _)| plain);
        let bucket = parse_bucket(&self.outlet.bucket.bucket).map_err(text)?;
        Ok(match bucket {
            Bucket::S3(bucket) => {
                (Source::S3 { bucket, prefix: prefix.to_owned() }, prefix.to_owned())
            }
            Bucket::Folder(root) => {
                let (folder, rest) = prefix.rsplit_once('/').unwrap_or(("", prefix));
                (Source::Folder(root.join(folder)), rest.to_owned())
            }
        })
    }
}

/// The failures of a destination itself. What a transform refused is no business of the
/// destination's being well again.
fn kinds(outlet: &Outlet) -> Vec<Kind> {
    use DeliveryKind::*;
    match outlet.kind {
        DeliveryToHttpEndpoint | DeliveryToDatadog => vec![Kind::HttpEndpoint],
        DeliveryToSplunk => vec![Kind::Splunk],
        DeliveryToAmazonOpenSearchService | DeliveryToAmazonOpenSearchServerless => {
            vec![Kind::OpenSearch]
        }
        // The configuration allows no replay there: nothing is of these kinds.
        DeliveryToS3 | BackupToS3 => vec![Kind::Source],
    }
}

/// Straight to the destination.
struct Straight {
    direct: Direct,
    env: Env,
}

#[async_trait]
impl Deliverer for Straight {
    async fn deliver(&self, lines: Vec<FailedLine>) -> Result<Vec<Outcome>, DeliverError> {
        let now_ms = self.env.clock.now_ms();
        let outcomes = self.direct.deliver(lines, now_ms).await;
        outcomes.map_err(|error| DeliverError::Failed(error.to_string()))
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
