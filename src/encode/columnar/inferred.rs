//! Batches with a schema that is inferred from them.
//!
//! ```text
//!  batch ──read──▶ all members known, all values fit ─────────────────────────▶ file
//!             └──▶ something is new ─▶ observe all ─▶ widen ─▶ keep ─▶ read again ─▶ file
//! ```
//! A file is always of one version of the schema, which was made durable before. Encoders that
//! run side by side share the newest version; one that finds it wider than its own reads again.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    Parts,
    plan::{Pass, Plan, each_record},
};
use crate::{
    encode::{
        rows::RowReader,
        schema::{
            HiveType, InferStore, TableSchema,
            infer::{Inference, Observed, changes},
        },
    },
    fault::{Failure, output_type::FORMAT_CONVERSION_FAILED},
    limits,
    seams::{Encoded, Encoder, RawBatch},
};

/// What a reader says of values that do not fit their column.
const MISFIT: &str = "DataFormatConversion.MalformedData";

/// The encoder with an inferred schema.
pub(super) struct Inferred {
    parts: Arc<Parts>,
    inference: Inference,
    /// New members become columns; otherwise the schema of the first batch stays.
    evolves: bool,
    /// Every batch is observed before it is read, for the reader cuts fractions off where a column
    /// holds whole numbers, and nothing would tell.
    is_watchful: bool,
    state: Mutex<State>,
}

struct State {
    store: InferStore,
    /// The newest version.
    plan: Option<Arc<Plan>>,
    /// Members that stay without a column although they were observed: too deep, names too long,
    /// nothing in them but nulls. They may get a type yet, but not every batch needs reading twice
    /// for them.
    idle: HashSet<String>,
    /// The same of values that fit no column however it is widened, or are rounded in one whose type
    /// is given.
    has_stubborn_values: bool,
}

impl Inferred {
    pub(super) fn new(
        parts: Arc<Parts>,
        inference: Inference,
        evolves: bool,
        is_watchful: bool,
        store: InferStore,
        plan: Option<Plan>,
    ) -> Self {
        let plan = plan.map(Arc::new);
        let state = State { store, plan, idle: HashSet::new(), has_stubborn_values: false };
        Self { parts, inference, evolves, is_watchful, state: Mutex::new(state) }
    }

    /// The schema that holds these records, too.
    pub(super) fn plan_of(&self, records: &[Bytes]) -> io::Result<Option<Arc<Plan>>> {
        let mut observed = Observed::default();
        for record in records {
            self.inference.observe_into(&mut observed, record);
        }
        self.widen(&observed)
    }

    fn pass(&self, batch: &RawBatch) -> io::Result<Pass> {
        let (plan, idle, has_stubborn_values) = {
            let state = self.state.lock();
            (state.plan.clone(), state.idle.clone(), state.has_stubborn_values)
        };
        let mut whole = None;
        if let Some(plan) = plan.as_ref().filter(|_| !self.evolves || !self.is_watchful) {
            let is_full = is_full(&plan.schema);
            let news = News { evolves: self.evolves, is_full, idle: &idle, has_stubborn_values };
            let pass = plan.run(batch, |reader, unfit| news.are_in_reader(reader, unfit))?;
            match pass {
                Some(pass) if !news.may_be_in(&pass) => return Ok(pass),
                pass => whole = pass,
            }
        }
        let observed = self.observe(batch)?;
        let newest = self.widen(&observed)?;
        let Some(newest) = newest else { return self.without_columns(batch) };
        let is_same = plan.is_some_and(|plan| Arc::ptr_eq(&plan, &newest));
        match whole {
            Some(whole) if is_same => Ok(whole),
            _ => {
                let pass = newest.run(batch, |_, _| false)?;
                pass.map(|pass| self.noted(pass)).ok_or_else(|| io::Error::other("nobody stops it"))
            }
        }
    }

    fn observe(&self, batch: &RawBatch) -> io::Result<Observed> {
        let mut observed = Observed::default();
        each_record(batch, |_, record| {
            self.inference.observe_into(&mut observed, record);
            Ok(true)
        })?;
        Ok(observed)
    }

    /// The newest version, which holds what was observed; `None` if not one column is known.
    fn widen(&self, observed: &Observed) -> io::Result<Option<Arc<Plan>>> {
        let mut state = self.state.lock();
        let old = match &state.plan {
            Some(plan) if !self.evolves => return Ok(Some(Arc::clone(plan))),
            Some(plan) => plan.schema.clone(),
            None => self.inference.base(),
        };
        let wider = self.inference.widen(&old, observed);
        if wider.is_none() && state.plan.is_some() {
            return Ok(state.plan.clone());
        }
        let schema = wider.unwrap_or_else(|| old.clone());
        if schema.columns.is_empty() {
            return Ok(None);
        }
        let plan = self.parts.growing_plan(schema).map_err(io::Error::other)?;
        let version = state.store.keep(&plan.schema)?;
        log_changes(version, &old, &plan.schema, observed);
        Ok(Some(Arc::clone(state.plan.insert(Arc::new(plan)))))
    }

    /// Remembers the members that still have no column.
    fn noted(&self, pass: Pass) -> Pass {
        let mut state = self.state.lock();
        state.has_stubborn_values |= has_misfits(&pass.unfit) || pass.rounded_values > 0;
        for name in pass.unknown.keys() {
            if state.idle.len() >= limits::UNKNOWN_NAMES_LOGGED {
                break;
            }
            if !state.idle.contains(name) {
                state.idle.insert(name.clone());
            }
        }
        pass
    }

    /// What becomes of records before any of them had a member: there is no file without columns.
    fn without_columns(&self, batch: &RawBatch) -> io::Result<Pass> {
        let plan = self.parts.probe_plan().map_err(io::Error::other)?;
        let failure = Failure::new(
            FORMAT_CONVERSION_FAILED,
            "DataFormatConversion.InvalidSchema",
            "No column is known: neither this record nor one before it has a member",
        );
        plan.refuse(batch, &failure)
    }
}

impl Encoder for Inferred {
    fn encode(&self, batch: RawBatch) -> io::Result<Encoded> {
        let pass = self.pass(&batch)?;
        let is_full = || self.state.lock().plan.as_ref().is_some_and(|plan| is_full(&plan.schema));
        if !self.evolves || is_full() {
            self.parts.log_unknown(&pass.unknown, &[], batch.records);
        }
        Ok(pass.into_encoded())
    }

    fn extension(&self) -> &'static str {
        self.parts.extension()
    }

    fn content_encoding(&self) -> Option<&'static str> {
        None
    }

    fn by_record(&self) -> bool {
        true
    }
}

/// What makes a batch worth a second look.
struct News<'a> {
    evolves: bool,
    is_full: bool,
    idle: &'a HashSet<String>,
    has_stubborn_values: bool,
}

impl News<'_> {
    /// Whether the rest of the batch need not be read before it is observed.
    fn are_in_reader(&self, reader: &RowReader, unfit: &[(u64, Failure)]) -> bool {
        let has_new_misfits =
            !self.has_stubborn_values && (has_misfits(unfit) || reader.rounded_values() > 0);
        let has_values = !self.is_full && reader.unknown_values() > 0;
        let has_new_names = || has_values && self.has_new_names(&reader.unknown());
        self.evolves && (has_new_misfits || has_new_names())
    }

    /// Whether the batch should be observed although it has been read.
    fn may_be_in(&self, pass: &Pass) -> bool {
        let has_unknown = pass.unknown_values > 0;
        self.evolves
            && (has_misfits(&pass.unfit)
                || pass.rounded_values > 0
                || (has_unknown && !self.is_full))
    }

    fn has_new_names(&self, unknown: &BTreeMap<String, u64>) -> bool {
        self.idle.len() < limits::UNKNOWN_NAMES_LOGGED
            && unknown.keys().any(|name| !self.idle.contains(name))
    }
}

fn has_misfits(unfit: &[(u64, Failure)]) -> bool {
    unfit.iter().any(|(_, failure)| failure.cause.code == MISFIT)
}

/// Whether no column is added any more.
fn is_full(schema: &TableSchema) -> bool {
    schema.columns.len() >= limits::INFERRED_COLUMNS_MAX
}

fn log_changes(version: u64, old: &TableSchema, new: &TableSchema, observed: &Observed) {
    for change in changes(old, new, observed) {
        let was = change.was.as_ref().map_or_else(|| "none".to_owned(), HiveType::to_string);
        tracing::info!(
            version,
            field = ?change.path,
            was,
            is = %change.is,
            share_of_records = change.share,
            "schema widened"
        );
    }
}
