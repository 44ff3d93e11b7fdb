//! The Glue Data Catalog: a table's columns, and its partitions. Protocol JSON 1.1 (API
//! reference), signed requests, no SDK crate.

mod cached;
mod classify;
mod schema;
#[cfg(test)]
pub(crate) mod tests;

pub use cached::CachedTable;
pub use schema::SchemaVersion;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{aws::Access, http::UrlError, signed::SignedClient};
use crate::{
    fault::Fault,
    limits::{GLUE_ANSWER_BYTES_MAX, GLUE_TIMEOUT},
};

/// The catalog of one region.
pub struct Glue {
    client: SignedClient,
    /// Whether a role is assumed, for the right word when that fails.
    role: bool,
}

/// Which table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// Account of the catalog; that of the credentials if absent.
    pub catalog_id: Option<String>,
    pub database: String,
    pub table: String,
}

/// What the catalog knows of a table. Types are Hive's, as texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub columns: Vec<(String, String)>,
    pub partition_keys: Vec<(String, String)>,
    pub version_id: Option<String>,
    /// `s3://bucket/prefix`.
    pub location: Option<String>,
    /// As it came, for partitions are described alike.
    pub storage_descriptor: Value,
}

impl Glue {
    /// `endpoint` is the URL of another server that speaks Glue's API. Asks nobody.
    pub fn new(access: &Access, endpoint: Option<String>) -> Result<Self, UrlError> {
        let client = SignedClient::new(access, "glue", endpoint)?;
        Ok(Self { client, role: access.role.is_some() })
    }

    /// The table as it is now, or as it was in a version.
    pub async fn get_table(&self, name: &TableName, version: Option<&str>) -> Result<Table, Fault> {
        let catalog_id = name.catalog_id.as_deref();
        let answer = match version {
            None => {
                let question =
                    GetTable { catalog_id, database_name: &name.database, name: &name.table };
                self.ask("GetTable", &question).await?
            }
            Some(version_id) => {
                let question = GetTableVersion {
                    catalog_id,
                    database_name: &name.database,
                    table_name: &name.table,
                    version_id,
                };
                self.ask("GetTableVersion", &question).await?
            }
        };
        let answer: TableAnswer = serde_json::from_slice(&answer).map_err(classify::unreadable)?;
        let described = answer.table.or(answer.table_version.map(|version| version.table));
        match described {
            Some(table) => table.understood(),
            None => Err(classify::incomplete()),
        }
    }

    /// Makes a partition of the table, described as the table is, for the objects below
    /// `location`. One that is there already is left as it is.
    pub async fn create_partition(
        &self,
        name: &TableName,
        table: &Table,
        values: &[String],
        location: &str,
    ) -> Result<(), Fault> {
        let mut storage_descriptor = match &table.storage_descriptor {
            Value::Object(members) => members.clone(),
            _ => Map::new(),
        };
        storage_descriptor.insert("Location".into(), location.into());
        let question = CreatePartition {
            catalog_id: name.catalog_id.as_deref(),
            database_name: &name.database,
            table_name: &name.table,
            partition_input: PartitionInput { values, storage_descriptor },
        };
        match self.ask("CreatePartition", &question).await {
            Err(Fault::Halt { cause }) if cause.code == classify::ALREADY_EXISTS => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn ask(&self, action: &'static str, question: &impl Serialize) -> Result<Bytes, Fault> {
        let body = serde_json::to_vec(question).expect("texts serialize");
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", &*format!("AWSGlue.{action}")),
        ];
        let sent =
            self.client.post("/", &headers, body.into(), GLUE_TIMEOUT, GLUE_ANSWER_BYTES_MAX).await;
        match sent {
            Ok(answer) if answer.status.is_success() => Ok(answer.body),
            Ok(answer) => Err(classify::refusal(action, &answer)),
            Err(error) => Err(classify::failure(action, &error, self.role)),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetTable<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog_id: Option<&'a str>,
    database_name: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetTableVersion<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog_id: Option<&'a str>,
    database_name: &'a str,
    table_name: &'a str,
    version_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CreatePartition<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog_id: Option<&'a str>,
    database_name: &'a str,
    table_name: &'a str,
    partition_input: PartitionInput<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PartitionInput<'a> {
    values: &'a [String],
    storage_descriptor: Map<String, Value>,
}

/// The answer of either question.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TableAnswer {
    table: Option<TableData>,
    table_version: Option<TableVersion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TableVersion {
    table: TableData,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TableData {
    #[serde(default)]
    storage_descriptor: Value,
    #[serde(default)]
    partition_keys: Option<Vec<ColumnData>>,
    #[serde(default)]
    version_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ColumnData {
    name: String,
    /// Absent for a column of unknown type.
    #[serde(default)]
    r#type: Option<String>,
}

impl TableData {
    fn understood(self) -> Result<Table, Fault> {
        let columns = match self.storage_descriptor.get("Columns") {
            None | Some(Value::Null) => Vec::new(),
            Some(columns) => {
                Vec::<ColumnData>::deserialize(columns).map_err(classify::unreadable)?
            }
        };
        let location = self.storage_descriptor.get("Location").and_then(Value::as_str);
        let pairs = |columns: Vec<ColumnData>| {
            columns.into_iter().map(|c| (c.name, c.r#type.unwrap_or_default())).collect()
        };
        Ok(Table {
            columns: pairs(columns),
            partition_keys: pairs(self.partition_keys.unwrap_or_default()),
            version_id: self.version_id,
            location: location.map(str::to_owned),
            storage_descriptor: self.storage_descriptor,
        })
    }
}
