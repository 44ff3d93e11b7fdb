//! The journal as a source sees it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    record::{Position, Put},
    seams::{AppendError, Appended, Inlet, Journal, JournalError, Upstream},
    telemetry::StreamMetrics,
};

/// What a source and its stream tell each other when the stream ends.
#[derive(Clone, Default)]
pub(super) struct Farewell {
    /// The source is to stop.
    pub stop: CancellationToken,
    /// Its last put has returned, and it waits for the deliveries.
    pub all_put: CancellationToken,
    /// Nothing more is delivered.
    pub drained: CancellationToken,
}

/// Puts go to the journal.
pub(super) struct JournalInlet {
    pub journal: Arc<dyn Journal>,
    pub farewell: Farewell,
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

    async fn drain(&self) {
        let Farewell { stop, all_put, drained } = &self.farewell;
        // One that ends by itself does not end the deliveries.
        if stop.is_cancelled() {
            all_put.cancel();
            drained.cancelled().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, poll};

    use super::*;
    use crate::buffer::{MemoryJournal, Options};

    #[tokio::test]
    async fn a_drain_begins_with_the_end_of_the_stream_and_lasts_until_it_is_over() {
        let farewell = Farewell::default();
        let journal = Arc::new(MemoryJournal::new(&Options::default()));
        let inlet = JournalInlet { journal, farewell: farewell.clone(), counted: None };
        assert_eq!(inlet.drain().now_or_never(), Some(()), "the source has ended by itself");
        assert!(!farewell.all_put.is_cancelled());
        farewell.stop.cancel();
        let mut drain = inlet.drain();
        assert!(poll!(&mut drain).is_pending() && farewell.all_put.is_cancelled());
        farewell.drained.cancel();
        drain.await;
        assert_eq!(inlet.drain().now_or_never(), Some(()), "nobody waits any more");
    }
}
