//! OpenSearch, Elasticsearch and OpenSearch Serverless, by `_bulk`.
//!
//! ```text
//! records ─▶ body: a line of what to do, a line of document, ... ─▶ POST /_bulk ─▶ items
//!    │                                                                               │
//!    └─ no JSON object: rejected       400: rejected ◀─ 2xx, 409: delivered ─▶ 429, 5xx: left
//! ```
//!
//! A document's id is made of the stream's prefix and the record's place in the journal, so a
//! repetition finds it there and adds none: as long as it goes to the same index. Collections of
//! time series and vectors take no ids; there a repetition may add a document, as it may with
//! `NoDocumentId`.

mod answer;
mod body;
mod check;
mod options;
#[cfg(test)]
mod tests;
mod way;

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;

pub use options::{Auth, DocumentId, Flavor, Options};
pub use way::ConnectError;

use self::{
    answer::Asked,
    body::{Bulk, Framing},
    way::Way,
};
use crate::{
    env::CpuPool,
    fault::{Details, Fault, output_type},
    limits,
    net::http::Answer,
    record::Route,
    seams::{Delivered, Shipment, Sink, Trial},
};

/// The answer is to hold what is read of it and no more.
const BULK: &str = "/_bulk?filter_path=errors%2Citems.%2A.status%2Citems.%2A.error";
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

/// A cluster, domain or collection.
pub struct OpenSearchSink {
    options: Options,
    way: Way,
    pool: CpuPool,
    /// The collection has said that it takes no ids.
    ids_refused: AtomicBool,
}

impl OpenSearchSink {
    /// Asks nobody: fails for an endpoint that is no URL and certificates that cannot be read. To
    /// be called within the runtime that will deliver.
    pub fn connect(options: Options, pool: CpuPool) -> Result<Self, ConnectError> {
        let way = Way::new(&options)?;
        Ok(Self { options, way, pool, ids_refused: AtomicBool::new(false) })
    }

    fn with_ids(&self) -> bool {
        self.options.document_id == DocumentId::FirehoseDefault
            && !self.ids_refused.load(Ordering::Relaxed)
    }

    /// The index, or the data stream, of a shipment.
    fn index<'a>(&'a self, shipment: &'a Shipment) -> &'a str {
        match &shipment.route {
            Route::Partition(index) => index,
            Route::Objects | Route::Errors(_) => &self.options.index,
        }
    }

    async fn build(&self, shipment: &Shipment, with_ids: bool) -> Bulk {
        let framing = Framing::new(&self.options, self.index(shipment), with_ids);
        let (shipment, packed) = (shipment.clone(), self.options.gzip);
        self.pool.run(move || body::build(&shipment, &framing, packed)).await
    }

    /// Sends a body and hands back the answer, if the cluster took the request up.
    async fn bulk(&self, body: Bytes, documents: usize) -> Result<Answer, Fault> {
        let headers = [NDJSON, ("content-encoding", "gzip")];
        let headers = if self.options.gzip { &headers[..] } else { &headers[..1] };
        let limit = answer_limit(documents);
        let answer = self.way.send(Method::POST, BULK, headers, body, limit).await?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(answer::refusal(&answer, self.options.flavor))
        }
    }

    async fn judge(
        &self,
        answer: Answer,
        sent: Vec<u64>,
        with_ids: bool,
    ) -> Result<Delivered, Fault> {
        let flavor = self.options.flavor;
        let judge = move || answer::judge(&answer, Asked { sent: &sent, with_ids, flavor });
        let verdict = self.pool.run(judge).await?;
        if verdict.ids_refused && !self.ids_refused.swap(true, Ordering::Relaxed) {
            tracing::warn!("the collection takes no document ids: repetitions may add documents");
        }
        Ok(verdict.delivered)
    }
}

fn answer_limit(documents: usize) -> usize {
    let wanted = limits::BULK_ANSWER_BYTES_BASE
        .saturating_add(documents.saturating_mul(limits::BULK_ANSWER_BYTES_PER_RECORD));
    wanted.min(limits::BULK_ANSWER_BYTES_MAX)
}

#[async_trait]
impl Sink for OpenSearchSink {
    async fn deliver(&self, shipment: &Shipment) -> Result<Delivered, Fault> {
        let with_ids = self.with_ids();
        let Bulk { body, sent, unfit } = self.build(shipment, with_ids).await;
        if sent.is_empty() {
            return Ok(Delivered { rejected: unfit, left: None });
        }
        let answer = self.bulk(body, sent.len()).await?;
        let mut delivered = self.judge(answer, sent, with_ids).await?;
        if !unfit.is_empty() {
            delivered.rejected.extend(unfit);
            delivered.rejected.sort_by_key(|(index, _)| *index);
        }
        Ok(delivered)
    }

    fn output_type(&self) -> &'static str {
        output_type::OPENSEARCH_FAILED
    }

    /// The members of Firehose's failed documents. The id is empty where the cluster makes it up.
    fn details(&self, shipment: &Shipment, index: u64) -> Details {
        let leaf = shipment.list.as_ref().and_then(|list| list.leaves.get(index as usize));
        let id = match leaf {
            Some(&leaf) if self.with_ids() => body::document_id(&self.options.id_prefix, leaf),
            _ => String::new(),
        };
        let name = self.index(shipment);
        if self.options.flavor == Flavor::Serverless {
            return vec![("osDocumentId".into(), id.into()), ("osIndexName".into(), name.into())];
        }
        let type_name = self.options.type_name.as_deref().unwrap_or_default();
        vec![
            ("esDocumentId".into(), id.into()),
            ("esIndexName".into(), name.into()),
            ("esTypeName".into(), type_name.into()),
        ]
    }

    async fn check(&self) -> Vec<Trial> {
        self.trials().await
    }
}
