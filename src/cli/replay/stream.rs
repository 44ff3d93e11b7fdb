//! Records back into a stream, by the calls that `standpipe send` makes.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{
        admin::Connection,
        send::{batches::Batch, lines::Line, upload::Uploader},
    },
    fault::Cause,
    limits,
    replay::{DeliverError, Deliverer, FailedLine, Outcome},
};

/// Puts records into a stream through its API.
pub struct StreamDeliverer {
    uploader: Arc<Uploader>,
    stop: CancellationToken,
}

impl StreamDeliverer {
    /// Fails at once where nothing listens.
    pub async fn connect(
        connection: &Connection,
        stream: &str,
        retries_max: u32,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        connection.reach().await?;
        let config = connection.sdk_config().await;
        // The pace is the replay's own.
        let uploader = Arc::new(Uploader::new(&config, stream, retries_max, None));
        Ok(Self { uploader, stop })
    }
}

#[async_trait]
impl Deliverer for StreamDeliverer {
    async fn deliver(&self, lines: Vec<FailedLine>) -> Result<Vec<Outcome>, DeliverError> {
        let mut batch = Batch::default();
        let mut outcomes = Vec::with_capacity(lines.len());
        for line in lines {
            let size = line.raw.len();
            if size > limits::RECORD_BYTES_MAX {
                // From a Kinesis stream with larger records, or written by somebody else.
                let message = format!("{size} bytes are more than a stream takes in a record");
                outcomes.push(Outcome::Refused(Cause::new("Replay.RecordTooLarge", message)));
                continue;
            }
            outcomes.push(Outcome::Delivered);
            batch.size_bytes += size;
            batch.lines.push(Line { number: line.line, data: line.raw.into() });
        }
        if batch.lines.is_empty() {
            return Ok(outcomes);
        }
        match self.uploader.send(batch, &self.stop, |_| {}).await {
            Ok(()) => Ok(outcomes),
            Err(refused) => Err(match refused.reason {
                Some(reason) => DeliverError::Failed(reason),
                None => DeliverError::Stopped,
            }),
        }
    }
}
