//! A table that is asked for often and looked up seldom.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Glue, Table, TableName};
use crate::{env::Clock, fault::Fault};

/// A table, and how long what is known of it holds.
pub struct CachedTable {
    glue: Glue,
    name: TableName,
    /// A version never changes; without one the table is looked up again after `refresh`.
    version: Option<String>,
    refresh: Duration,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    /// Held by whoever is asking, so that one asks for all.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    table: Option<Arc<Table>>,
    /// On the clock's own scale.
    asked_at: Duration,
    /// Whether the last question failed, and somebody was told.
    stale: bool,
}

impl CachedTable {
    /// `version` is a number, or `LATEST` for the table as it is.
    pub fn new(
        glue: Glue,
        name: TableName,
        version: &str,
        refresh: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let version = (version != "LATEST").then(|| version.to_owned());
        let (known, asking) = Default::default();
        Self { glue, name, version, refresh, clock, known, asking }
    }

    /// The table. As long as nothing changes, answers share it. When a look-up fails, what was
    /// known before still counts; only the first look-up may answer a fault.
    pub async fn get(&self) -> Result<Arc<Table>, Fault> {
        if let Some(table) = self.fresh() {
            return Ok(table);
        }
        let turn = match (self.asking.try_lock(), self.any()) {
            (Ok(turn), _) => turn,
            (Err(_), Some(table)) => return Ok(table),
            (Err(_), None) => self.asking.lock().await,
        };
        // Whoever had the turn before may have found it.
        if let Some(table) = self.fresh() {
            return Ok(table);
        }
        let answer = self.glue.get_table(&self.name, self.version.as_deref()).await;
        let answer = self.take(answer);
        drop(turn);
        answer
    }

    /// Makes a partition of the table; see [`Glue::create_partition`].
    pub async fn create_partition(&self, values: &[String], location: &str) -> Result<(), Fault> {
        let table = self.get().await?;
        self.glue.create_partition(&self.name, &table, values, location).await
    }

    fn any(&self) -> Option<Arc<Table>> {
        self.known.lock().table.clone()
    }

    fn fresh(&self) -> Option<Arc<Table>> {
        let known = self.known.lock();
        let table = known.table.as_ref()?;
        let age = self.clock.monotonic().saturating_sub(known.asked_at);
        (self.version.is_some() || age < self.refresh).then(|| table.clone())
    }

    fn take(&self, answer: Result<Table, Fault>) -> Result<Arc<Table>, Fault> {
        let mut known = self.known.lock();
        known.asked_at = self.clock.monotonic();
        match (answer, known.table.clone()) {
            (Ok(table), Some(old)) if *old == table => {
                known.stale = false;
                Ok(old)
            }
            (Ok(table), _) => {
                let table = Arc::new(table);
                (known.table, known.stale) = (Some(table.clone()), false);
                Ok(table)
            }
            (Err(fault), Some(old)) => {
                if !std::mem::replace(&mut known.stale, true) {
                    let TableName { database, table, .. } = &self.name;
                    tracing::warn!(%database, %table, error = %fault, "table not refreshed");
                }
                Ok(old)
            }
            (Err(fault), None) => Err(fault),
        }
    }
}
