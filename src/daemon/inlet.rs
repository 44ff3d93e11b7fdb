//! The journal as a source sees it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    record::{Position, Put},
    seams::{AppendError, Appended, Inlet, Journal, JournalError, Upstream},
    telemetry::StreamMetrics,
};

/// Puts go to the journal.
pub(super) struct JournalInlet {
    pub journal: Arc<dyn Journal>,
    /// Where records are counted that nobody else counts: Direct PUT counts its own.
    pub counted: Option<StreamMetrics>,
}

#[async_trait]
impl Inlet for JournalInlet {
    async fn put(&self, put: Put) -> Result<Appended, AppendError> {
        self.put_shared(Arc::new(put)).await
    }

    async fn put_shared(&self, put: Arc<Put>) -> Result<Appended, AppendError> {
        let bytes = put.data.len() as u64;
        let appended = self.journal.append_shared(put).await?;
        if let Some(metrics) = &self.counted
            && !appended.repeated
        {
            metrics.incoming_records.inc_by(u64::from(appended.records));
            metrics.incoming_bytes.inc_by(bytes);
        }
        Ok(appended)
    }

    async fn upstream(&self) -> Result<Upstream, JournalError> {
        self.journal.upstream().await
    }

    fn settled(&self) -> watch::Receiver<Position> {
        self.journal.settled()
    }
}
