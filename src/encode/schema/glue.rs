//! Columns from the Glue Data Catalog.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{Catalog, Column, SchemaError, TableSchema};
use crate::{
    encode::columnar::GlueTable,
    env::Clock,
    fault::Fault,
    net::{
        aws::Access,
        glue::{CachedTable, Glue, Table, TableName},
        http::UrlError,
    },
};

/// The schema of one table. `LATEST` is looked up again every `refresh`; as long as that fails, or
/// brings a schema that cannot be read, the last good one counts.
pub struct GlueCatalog {
    table: Arc<CachedTable>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The table that was read last, and whether it was good.
    read: Option<(Arc<Table>, Result<(), Fault>)>,
    good: Option<Arc<TableSchema>>,
}

/// The table of the options, as `access` sees it where they name no region and role. It may be
/// shared with whatever registers the table's partitions.
pub fn cached_table(
    options: &GlueTable,
    access: Access,
    clock: Arc<dyn Clock>,
) -> Result<CachedTable, UrlError> {
    let access = access.redirected(options.region.as_deref(), options.role_arn.as_deref());
    let glue = Glue::new(&access, options.endpoint.clone())?;
    let name = TableName {
        catalog_id: options.catalog_id.clone(),
        database: options.database.clone(),
        table: options.table.clone(),
    };
    Ok(CachedTable::new(glue, name, &options.version_id, options.refresh.0, clock))
}

impl GlueCatalog {
    pub fn new(table: Arc<CachedTable>) -> Self {
        Self { table, state: Mutex::default() }
    }

    /// Reads the table unless it has been read already; the same table gives the same `Arc`.
    fn understand(&self, table: Arc<Table>) -> Result<Arc<TableSchema>, Fault> {
        let mut state = self.state.lock();
        let seen = state.read.as_ref().is_some_and(|(read, _)| Arc::ptr_eq(read, &table));
        if !seen {
            let outcome = schema(&table).map(|schema| state.good = Some(Arc::new(schema)));
            if let (Err(fault), Some(_)) = (&outcome, &state.good) {
                let version = table.version_id.as_deref().unwrap_or_default();
                tracing::warn!(%version, error = %fault, "the table's new schema is not usable");
            }
            state.read = Some((table, outcome));
        }
        match (&state.good, &state.read) {
            (Some(schema), _) => Ok(schema.clone()),
            (None, Some((_, Err(fault)))) => Err(fault.clone()),
            (None, _) => unreachable!("a table that was read well left its schema"),
        }
    }
}

#[async_trait]
impl Catalog for GlueCatalog {
    async fn table(&self) -> Result<Arc<TableSchema>, Fault> {
        self.understand(self.table.get().await?)
    }
}

/// The columns with their types read.
fn schema(table: &Table) -> Result<TableSchema, Fault> {
    let read = |columns: &[(String, String)]| {
        columns.iter().map(|(name, of)| Column::parse(name, of)).collect::<Result<Vec<_>, _>>()
    };
    let schema = read(&table.columns)
        .and_then(|columns| TableSchema::new(columns, read(&table.partition_keys)?));
    schema.map_err(|error| match error {
        SchemaError::NoColumns => Fault::halt(
            "DataFormatConversion.NonExistentColumns",
            "the table has no columns; a schema that stands in the Schema Registry is not read",
        ),
        error => Fault::halt(
            "DataFormatConversion.InvalidSchema",
            format!("The schema is invalid. Error parsing the schema: {error}"),
        ),
    })
}

#[cfg(test)]
#[path = "glue_tests.rs"]
mod tests;
