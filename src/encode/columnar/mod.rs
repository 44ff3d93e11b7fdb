//! JSON records to Parquet or ORC files: reader, schema and writer put together.
//!
//! A batch becomes one file. Records are read into rows, and some thousand rows at a time are
//! handed to the writer, so that only the encoded file grows with the batch. Records that do not
//! fit come back one by one; a batch of nothing else has an empty body.

mod file;
mod inferred;
mod plan;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{file::FileError, plan::PlanError};
use self::{
    inferred::Inferred,
    plan::{Pass, Plan},
};
use super::{
    orc, parquet,
    rows::{Deserializer, REST_COLUMN, Unknown, show::to_json},
    schema::{
        Catalog, Column, HiveType, InferStore, SchemaError, StoreError, TableSchema,
        infer::{Inference, Names},
    },
};
use crate::{
    env::Files,
    fault::{Failure, Fault},
    limits,
    seams::{Encoded, Encoder, RawBatch},
    units::Span,
};

/// Makes the encoders of one destination.
pub struct Columnar {
    parts: Arc<Parts>,
    source: Source,
}

/// Why there can be no encoder.
#[derive(Debug, thiserror::Error)]
pub enum ColumnarError {
    #[error("schema: {0}")]
    Schema(#[from] SchemaError),
    #[error("schema: {path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("schema: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("unknown_fields: evolve needs a schema that is inferred: `schema: {{infer: {{}}}}`")]
    EvolveWithoutInfer,
    #[error(
        "input: case_insensitive: false does not go with `schema: {{infer: {{}}}}`, for columns whose names differ in case only are one"
    )]
    CaseWithInfer,
    #[error("schema: glue needs a catalog")]
    NoCatalog,
    #[error("schema: infer needs a folder to keep the schema in")]
    NoStore,
}

/// The file in the store's folder.
const STORE_FILE: &str = "schema.json";

enum Source {
    /// What never changes.
    Fixed(Arc<Plan>),
    Catalog {
        catalog: Arc<dyn Catalog>,
        last: Mutex<Option<Last>>,
    },
    Inferred(Arc<Inferred>),
}

/// The last answer of a catalog that could be used.
struct Last {
    table: Arc<TableSchema>,
    plan: Arc<Plan>,
    /// An answer since that could not be.
    refused: Option<Arc<TableSchema>>,
}

impl Last {
    /// The plan for a table, if it is known.
    fn plan_of(&self, table: &Arc<TableSchema>) -> Option<Arc<Plan>> {
        let is = |known: &Arc<TableSchema>| Arc::ptr_eq(known, table) || known == table;
        (is(&self.table) || self.refused.as_ref().is_some_and(is)).then(|| Arc::clone(&self.plan))
    }

    /// Stays the last, and tells why, once a table.
    fn outlive(&mut self, table: Arc<TableSchema>, error: &PlanError) -> Arc<Plan> {
        tracing::warn!(
            %error,
            "the table's new version does not go with the options; the one before still counts"
        );
        self.refused = Some(table);
        Arc::clone(&self.plan)
    }
}

impl Columnar {
    /// `catalog` is asked for [`SchemaSource::Glue`]; in the folder of `store` inferred schemas are
    /// kept.
    ///
    /// Errors: the schema, or the options for it. Those of a table of the catalog show only when it
    /// is asked.
    pub fn new(
        options: &Options,
        catalog: Option<Arc<dyn Catalog>>,
        store: Option<(PathBuf, Arc<dyn Files>)>,
    ) -> Result<Self, ColumnarError> {
        let evolves = options.unknown_fields == UnknownFields::Evolve;
        if evolves && !matches!(options.schema, SchemaSource::Infer(_)) {
            return Err(ColumnarError::EvolveWithoutInfer);
        }
        let minds_case = |input: &Deserializer| matches!(input, Deserializer::OpenxJson(openx) if !openx.case_insensitive);
        if minds_case(&options.input) && matches!(options.schema, SchemaSource::Infer(_)) {
            return Err(ColumnarError::CaseWithInfer);
        }
        let parts = Arc::new(Parts::new(options));
        let fixed = |schema| Ok::<_, PlanError>(Source::Fixed(Arc::new(parts.plan(schema)?)));
        let source = match &options.schema {
            SchemaSource::Glue(_) => {
                let catalog = catalog.ok_or(ColumnarError::NoCatalog)?;
                // What is wrong in any case is better told now.
                parts.probe_plan()?;
                Source::Catalog { catalog, last: Mutex::default() }
            }
            SchemaSource::Ddl(text) => fixed(TableSchema::from_ddl(text)?)?,
            SchemaSource::File(path) => fixed(TableSchema::from_ddl(&read_ddl(path)?)?)?,
            SchemaSource::Columns(columns) => {
                fixed(TableSchema::new(parsed(columns)?, Vec::new())?)?
            }
            SchemaSource::Infer(infer) => {
                let store = store.ok_or(ColumnarError::NoStore)?;
                Source::Inferred(Arc::new(parts.inferred(infer, evolves, store)?))
            }
        };
        Ok(Self { parts, source })
    }

    /// The encoder with the schema of now. A catalog may have to be asked; its fault holds the
    /// batch, and so does a table that cannot be written, unless an earlier version of it could.
    pub async fn encoder(&self) -> Result<Arc<dyn Encoder>, Fault> {
        let plan = match &self.source {
            Source::Inferred(inferred) => return Ok(Arc::clone(inferred) as _),
            Source::Fixed(plan) => Arc::clone(plan),
            Source::Catalog { catalog, last } => self.plan_of(catalog.table().await?, last)?,
        };
        Ok(Arc::new(Fixed { parts: Arc::clone(&self.parts), plan }))
    }

    fn plan_of(
        &self,
        table: Arc<TableSchema>,
        last: &Mutex<Option<Last>>,
    ) -> Result<Arc<Plan>, Fault> {
        let mut last = last.lock();
        if let Some(plan) = last.as_ref().and_then(|last| last.plan_of(&table)) {
            return Ok(plan);
        }
        match (self.parts.plan((*table).clone()), &mut *last) {
            (Ok(plan), _) => {
                let plan = Arc::new(plan);
                *last = Some(Last { table, plan: Arc::clone(&plan), refused: None });
                Ok(plan)
            }
            (Err(error), Some(last)) => Ok(last.outlive(table, &error)),
            (Err(error), None) => {
                let message = format!("the table: {error}");
                Err(Fault::halt("DataFormatConversion.InvalidSchema", message))
            }
        }
    }

    /// What the files' names end with.
    pub fn extension(&self) -> &'static str {
        self.parts.extension()
    }

    /// The rows that records become, as JSON, record by record. An inferred schema is widened by
    /// them as if they were a batch.
    pub async fn show(&self, records: &[Bytes]) -> Result<Vec<Shown>, Fault> {
        let plan = match &self.source {
            Source::Inferred(inferred) => inferred.plan_of(records),
            Source::Fixed(plan) => Ok(Some(Arc::clone(plan))),
            Source::Catalog { catalog, last } => {
                Ok(Some(self.plan_of(catalog.table().await?, last)?))
            }
        };
        let halt =
            |error: io::Error| Fault::halt("DataFormatConversion.InvalidSchema", error.to_string());
        let plan = plan.map_err(halt)?.ok_or_else(|| {
            Fault::halt("DataFormatConversion.InvalidSchema", "no record has a member")
        })?;
        let mut reader = plan.reader().map_err(|error| halt(io::Error::other(error)))?;
        let mut shown = |record: &Bytes| match reader.read(record) {
            Ok(_) => Ok(to_json(&reader.take())),
            Err(failure) => Err(failure),
        };
        Ok(records.iter().map(&mut shown).collect())
    }
}

/// The rows of one record, or why it has none.
pub type Shown = Result<Vec<serde_json::Value>, Failure>;

/// The encoder with a schema that stays.
struct Fixed {
    parts: Arc<Parts>,
    plan: Arc<Plan>,
}

impl Encoder for Fixed {
    fn encode(&self, batch: RawBatch) -> io::Result<Encoded> {
        let pass = self.plan.run(&batch, |_, _| false)?;
        let pass = pass.ok_or_else(|| io::Error::other("nobody stops it"))?;
        self.parts.log_unknown(&pass.unknown, &self.plan.schema.partition_keys, batch.records);
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

impl Pass {
    fn into_encoded(self) -> Encoded {
        let mut body = self.body;
        body.shrink_to_fit();
        Encoded { body: Bytes::from(body), unfit: self.unfit, ..Encoded::default() }
    }
}

/// What all encoders of a destination share.
struct Parts {
    input: Deserializer,
    output: Serializer,
    unknown: Unknown,
    /// Members without a column that have been logged.
    logged: Mutex<HashSet<String>>,
}

impl Parts {
    fn new(options: &Options) -> Self {
        let unknown = match options.unknown_fields {
            UnknownFields::RestColumn => Unknown::Rest,
            UnknownFields::Drop | UnknownFields::Evolve => Unknown::Drop,
        };
        let input = options.input.clone();
        let output = match &options.schema {
            SchemaSource::Glue(_) => {
                file::log_many_filters(&options.output);
                file::with_few_filters(file::with_fair_filters(&options.output))
            }
            SchemaSource::Infer(_) => {
                file::log_many_filters(&options.output);
                file::with_fair_filters(&options.output)
            }
            _ => options.output.clone(),
        };
        Self { input, output, unknown, logged: Mutex::default() }
    }

    fn plan(&self, schema: TableSchema) -> Result<Plan, PlanError> {
        Plan::new(schema, &self.input, &self.output, self.unknown)
    }

    fn growing_plan(&self, schema: TableSchema) -> Result<Plan, PlanError> {
        Plan::growing(schema, &self.input, &self.output, self.unknown)
    }

    /// A plan with a column that nobody has: what it refuses, every schema would.
    fn probe_plan(&self) -> Result<Plan, PlanError> {
        let column = Column { name: "\0".to_owned(), of: HiveType::String };
        self.growing_plan(TableSchema { columns: vec![column], partition_keys: Vec::new() })
    }

    fn inferred(
        self: &Arc<Self>,
        infer: &Infer,
        evolves: bool,
        (folder, files): (PathBuf, Arc<dyn Files>),
    ) -> Result<Inferred, ColumnarError> {
        let given = parsed(&infer.columns)?;
        let reserved = (self.unknown == Unknown::Rest).then_some(REST_COLUMN);
        let is_strict = matches!(self.input, Deserializer::HiveJson(_));
        let names = Names::new(&self.input, reserved);
        let inference = Inference::new(names, given.clone(), !is_strict);
        if given.is_empty() {
            self.probe_plan()?;
        } else {
            self.growing_plan(TableSchema::new(given, Vec::new())?)?;
        }
        let store = InferStore::load(&folder.join(STORE_FILE), files)?;
        let plan = match store.current() {
            Some((_, kept)) => Some(self.growing_plan(inference.adopt(&kept))?),
            None => None,
        };
        Ok(Inferred::new(Arc::clone(self), inference, evolves, is_strict, store, plan))
    }

    /// Tells of members that are left out, each once.
    fn log_unknown(&self, unknown: &BTreeMap<String, u64>, known: &[Column], records: u64) {
        if self.unknown == Unknown::Rest || unknown.is_empty() {
            return;
        }
        let mut logged = self.logged.lock();
        for (name, count) in unknown {
            let is_known = known.iter().any(|column| column.name == *name);
            if is_known
                || logged.len() >= limits::UNKNOWN_NAMES_LOGGED
                || logged.contains(name.as_str())
            {
                continue;
            }
            logged.insert(name.clone());
            let share = *count as f64 / records.max(1) as f64;
            tracing::info!(field = ?name, share_of_records = share, "field has no column");
        }
    }

    fn extension(&self) -> &'static str {
        file::extension(&self.output)
    }
}

fn parsed(columns: &[ColumnSpec]) -> Result<Vec<Column>, SchemaError> {
    columns.iter().map(|column| Column::parse(&column.name, &column.of)).collect()
}

fn read_ddl(path: &Path) -> Result<String, ColumnarError> {
    let mut text = String::new();
    let most = limits::SCHEMA_DDL_BYTES_MAX as u64 + 1;
    fs::File::open(path)
        .and_then(|file| file.take(most).read_to_string(&mut text))
        .map_err(|source| ColumnarError::File { path: path.to_owned(), source })?;
    Ok(text)
}

/// Firehose's DataFormatConversionConfiguration, and more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// How records are read.
    #[serde(default)]
    pub input: Deserializer,
    /// What files are written.
    #[serde(default)]
    pub output: Serializer,
    /// Where the columns come from.
    pub schema: SchemaSource,
    /// What becomes of members of a record that are no column.
    #[serde(default)]
    pub unknown_fields: UnknownFields,
}

/// What files are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Serializer {
    Parquet(parquet::Options),
    Orc(orc::Options),
}

impl Default for Serializer {
    fn default() -> Self {
        Self::Parquet(parquet::Options::default())
    }
}

/// Where the columns come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemaSource {
    /// A table of the Glue Data Catalog.
    Glue(GlueTable),
    /// Hive's DDL: `CREATE TABLE …`, or the list of columns alone.
    Ddl(String),
    /// A file with such a DDL.
    File(PathBuf),
    /// The columns one by one: `[{name: id, type: bigint}]`.
    Columns(Vec<ColumnSpec>),
    /// From the records themselves.
    Infer(Infer),
}

/// A table of the Glue Data Catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlueTable {
    /// Its database.
    pub database: String,
    /// Its name.
    pub table: String,
    /// Account of the catalog; that of the credentials if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_id: Option<String>,
    /// Region of the catalog; the destination's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Version of the table, or `LATEST`, which is looked up again.
    #[serde(default = "latest")]
    pub version_id: String,
    /// How often the latest version is looked up.
    #[serde(default = "default_refresh")]
    pub refresh: Span,
    /// Role to assume; the destination's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// URL of a server that speaks Glue's API; AWS if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

fn latest() -> String {
    "LATEST".into()
}

fn default_refresh() -> Span {
    Span(std::time::Duration::from_secs(60))
}

/// A column: its name and Hive type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// Hive type: `bigint`, `array<struct<a:int,b:string>>`.
    #[serde(rename = "type")]
    pub of: String,
}

/// A schema from the records themselves. It is kept in the data directory and only ever widened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Infer {
    /// Columns whose types are given and not inferred: `[{name: id, type: bigint}]`.
    pub columns: Vec<ColumnSpec>,
}

/// What becomes of members that are no column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownFields {
    /// They are left out, as Firehose does; each is logged once.
    #[default]
    Drop,
    /// They are kept as JSON text in the column `_rest`.
    RestColumn,
    /// They become columns, and types are widened where values do not fit; for
    /// `schema: {infer: …}`. With the other two, an inferred schema stays that of the first batch.
    Evolve,
}
