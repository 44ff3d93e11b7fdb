//! Decodes records that were written with a schema of a registry.
//!
//! ```text
//! 00 │ id │ Avro ─┐                    ┌ Avro ─▶ one JSON document
//!                 ├─▶ schema (cached) ─┼ JSON ─▶ the payload as it is
//! 03 │ … │ UUID │ ┘                    └ Protocol Buffers, none such ─▶ error output
//! ```
//!
//! A registry that cannot be reached, or does not let us in, holds the records: that is no fault of
//! theirs. A schema that it does not have is.

mod avro;
mod codes;
mod confluent;
mod framing;
mod options;
mod plan;
mod registry;
#[cfg(test)]
mod tests;

pub use options::{ConfluentOptions, GlueOptions, Options, OptionsError, Unframed};

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;

use self::{
    framing::{Framed, SchemaId},
    registry::{Form, Registry},
};
use crate::{
    fault::{Cause, Failure, output_type::PROCESSING_FAILED},
    limits,
    net::aws::Access,
    record::{Piece, Record},
    seams::{Observer, Remote, Transform, Verdict},
};

/// The transform.
pub struct SchemaRegistry {
    registry: Registry,
    unframed: Unframed,
}

impl SchemaRegistry {
    /// Makes the transform; asks nobody. `access` is the destination's: the registry's region and
    /// role replace its own.
    ///
    /// # Errors
    /// The options can never work.
    pub fn new(options: &Options, access: Access) -> Result<Self, OptionsError> {
        Ok(Self { registry: Registry::new(options, access)?, unframed: options.unframed })
    }

    /// The same, and `observer` hears of every question.
    pub fn observed(self, observer: Arc<dyn Observer>) -> Self {
        Self { registry: self.registry.observed(observer), ..self }
    }

    async fn forms(&self, records: &[Record]) -> HashMap<SchemaId, Arc<Form>> {
        let mut forms = HashMap::new();
        for framed in records.iter().filter_map(|record| Framed::of(&record.data)) {
            if let Entry::Vacant(entry) = forms.entry(framed.id) {
                entry.insert(self.registry.form(framed.id).await);
            }
        }
        forms
    }
}

#[async_trait]
impl Transform for SchemaRegistry {
    fn name(&self) -> &'static str {
        "decode_schema_registry"
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let forms = self.forms(records).await;
        let (records, unframed) = (records.to_vec(), self.unframed);
        let decode =
            move || records.iter().map(|record| verdict(record, &forms, unframed)).collect();
        // Decoding is work for a processor, and this task may be one that serves sockets.
        match tokio::task::spawn_blocking(decode).await {
            Ok(verdicts) => verdicts,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn remote(&self) -> Option<Remote> {
        Some(Remote {
            gather_bytes: limits::SCHEMA_GATHER_BYTES,
            gather_for: limits::SCHEMA_GATHER_FOR,
            concurrency: limits::SCHEMA_CONCURRENCY,
        })
    }
}

fn verdict(record: &Record, forms: &HashMap<SchemaId, Arc<Form>>, unframed: Unframed) -> Verdict {
    let Some(framed) = Framed::of(&record.data) else {
        return match unframed {
            Unframed::Pass => emit(record, record.data.clone()),
            Unframed::Fail => fail(codes::no_header()),
        };
    };
    let payload = || framed.payload().map_err(codes::not_unpacked);
    let decoded = match forms.get(&framed.id).map(AsRef::as_ref) {
        Some(Form::Avro(plan)) => payload().and_then(|payload| {
            avro::to_json(plan, &payload).map(Bytes::from).map_err(codes::not_decoded)
        }),
        Some(Form::Json) => payload().map(|payload| Bytes::copy_from_slice(&payload)),
        Some(Form::Unreadable(cause)) => Err(cause.clone()),
        None => Err(codes::unknown_schema()),
    };
    decoded.map_or_else(fail, |data| emit(record, data))
}

fn emit(record: &Record, data: Bytes) -> Verdict {
    Verdict::Emit(Piece { data, notes: record.notes.clone() })
}

fn fail(cause: Cause) -> Verdict {
    Verdict::Fail(Failure { cause, ..Failure::new(PROCESSING_FAILED, "", "") })
}
