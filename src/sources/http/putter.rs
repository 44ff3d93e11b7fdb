//! From the records of a request to puts of the stream.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    protocol::{Call, NotStored, Putter, Stored, Why},
    records::Records,
};
use crate::{
    record::Put,
    seams::AppendError,
    sources::{DirectPut, PutError},
    telemetry::SourceMetrics,
};

/// Puts through a stream's [`DirectPut`], part by part in order.
pub struct DirectPutter {
    pub direct: Arc<DirectPut>,
    pub metrics: SourceMetrics,
}

#[async_trait]
impl Putter for DirectPutter {
    async fn put(&self, records: Records, call: Option<Call>) -> Result<Stored, NotStored> {
        let mut stored = Stored { records: 0, repeated: !records.is_empty(), first: None };
        let lengths = records.lengths();
        if let Err(error) = self.direct.admit(&lengths) {
            return Err(NotStored { why: self.why(error), stored: 0 });
        }
        for (index, part) in records.into_parts().into_iter().enumerate() {
            let records = part.records() as u64;
            let call = call.map(|call| call.part(index));
            match self.direct.put_admitted(Put { call, ..part }).await {
                Ok(appended) => {
                    stored.first.get_or_insert(appended.first);
                    stored.records += records;
                    stored.repeated &= appended.repeated;
                }
                Err(error) => {
                    return Err(NotStored { why: self.why(error), stored: stored.records });
                }
            }
        }
        Ok(stored)
    }
}

impl DirectPutter {
    fn why(&self, error: PutError) -> Why {
        match error {
            PutError::Throttled => {
                self.metrics.throttled.inc();
                Why::Throttled
            }
            PutError::Append(AppendError::Full { .. }) => {
                self.metrics.backpressured.inc();
                Why::Full
            }
            PutError::Append(AppendError::Failed(cause)) => Why::Failed(cause),
            PutError::Append(AppendError::Closed) => Why::Stopping,
        }
    }
}
