//! The daemon behind the wire.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::backend::{Backend, PutAnswer, RecordIds};
use crate::{
    config::{
        self,
        firehose::{ApiError, Operation},
    },
    daemon::{Daemon, TraceError},
    record::Put,
    seams::AppendError,
    sources::PutError,
};

/// Why a put is refused by a stream's own limits, as Firehose words it.
const SLOW_DOWN: &str = "Slow down.";

/// The running daemon, and the file it was started from.
pub struct DaemonBackend {
    daemon: Daemon,
    config: Option<PathBuf>,
}

impl DaemonBackend {
    /// Without a file there is nothing to reload.
    pub fn new(daemon: Daemon, config: Option<PathBuf>) -> Self {
        Self { daemon, config }
    }
}

#[async_trait]
impl Backend for DaemonBackend {
    async fn put(&self, stream: &str, put: Put) -> Result<PutAnswer, ApiError> {
        let running = self.daemon.stream(stream).ok_or_else(|| self.daemon.not_found(stream))?;
        if !running.takes_puts() {
            return Err(ApiError::invalid_argument(format!(
                "This operation is not permitted on {stream}: its records come from its source \
                 ({}), not by PutRecord and PutRecordBatch.",
                running.source_kind()
            )));
        }
        let accepted = running.source.put(put).await.map_err(|error| put_error(stream, &error))?;
        Ok(PutAnswer {
            record_ids: RecordIds {
                journal: running.tag,
                first: accepted.first,
                places: accepted.places,
            },
            encrypted: running.is_encrypted(),
            refused: accepted.refused,
            refusal: SLOW_DOWN,
        })
    }

    async fn control(&self, operation: Operation, body: Value) -> Result<Value, ApiError> {
        self.daemon.control(operation, &body).await
    }

    fn live(&self) -> bool {
        true
    }

    fn health(&self) -> (bool, Value) {
        let health = self.daemon.health();
        let details = serde_json::to_value(&health).expect("health is plain data");
        (health.ready, details)
    }

    fn metrics(&self) -> String {
        self.daemon.render_metrics()
    }

    async fn flush(&self, stream: &str) -> Result<Value, ApiError> {
        let running = self.daemon.stream(stream).ok_or_else(|| self.daemon.not_found(stream))?;
        Ok(json!({"stream": stream, "closed_batches": running.flush().await}))
    }

    async fn trace(&self, record_id: &str) -> Result<Value, ApiError> {
        match self.daemon.trace(record_id).await {
            Ok(trace) => Ok(serde_json::to_value(&trace).expect("a trace is plain data")),
            Err(error @ TraceError::Malformed(_)) => {
                Err(ApiError::invalid_argument(error.to_string()))
            }
            Err(error) => Err(ApiError::new("ResourceNotFoundException", 404, error.to_string())),
        }
    }

    async fn shipped(&self, path: &str) -> Result<Value, ApiError> {
        match self.daemon.shipped(Path::new(path)).await {
            Ok(streams) => Ok(json!({
                "path": path,
                "shipped": streams.iter().all(|stream| stream.shipped),
                "streams": streams,
            })),
            Err(error) => Err(ApiError::new("ResourceNotFoundException", 404, error.to_string())),
        }
    }

    async fn reload(&self) -> Result<Value, ApiError> {
        let Some(path) = self.config.clone() else {
            return Err(ApiError::invalid_argument("This daemon runs without a file."));
        };
        let loaded = tokio::task::spawn_blocking(move || config::load(&path)).await;
        let loaded =
            loaded.map_err(|error| ApiError::new("InternalFailure", 500, error.to_string()))?;
        let config = loaded.map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            ApiError::invalid_argument(format!("Nothing was changed: {}", lines.join("\n")))
        })?;
        let reloaded = self.daemon.reload(&config).await?;
        tracing::info!(?reloaded, "configuration reloaded");
        Ok(serde_json::to_value(&reloaded).expect("three lists of names"))
    }
}

/// What a client is told. Everything here may be tried again.
fn put_error(stream: &str, error: &PutError) -> ApiError {
    match error {
        PutError::Throttled => ApiError::unavailable(SLOW_DOWN),
        PutError::Append(AppendError::Full { .. }) => {
            ApiError::unavailable(format!("{SLOW_DOWN} The journal of {stream} is full: {error}."))
        }
        PutError::Append(AppendError::Closed) => {
            ApiError::unavailable(format!("{stream} is stopping."))
        }
        PutError::Append(AppendError::Failed(_)) => {
            ApiError::unavailable(format!("{stream} takes no records: {error}."))
        }
    }
}
