//! Partitions of a table of the Glue Data Catalog.

use std::sync::Arc;

use async_trait::async_trait;

use super::Partitions;
use crate::{fault::Fault, net::glue::CachedTable};

/// A table whose data lies in one bucket.
pub struct GluePartitions {
    table: Arc<CachedTable>,
    bucket: String,
}

impl GluePartitions {
    pub fn new(table: Arc<CachedTable>, bucket: impl Into<String>) -> Self {
        Self { table, bucket: bucket.into() }
    }
}

#[async_trait]
impl Partitions for GluePartitions {
    async fn keys(&self) -> Result<Arc<[String]>, Fault> {
        let table = self.table.get().await?;
        Ok(table.partition_keys.iter().map(|(name, _)| name.clone()).collect())
    }

    async fn create(&self, values: &[String], prefix: &str) -> Result<(), Fault> {
        let location = format!("s3://{}/{prefix}", self.bucket);
        self.table.create_partition(values, &location).await
    }
}
