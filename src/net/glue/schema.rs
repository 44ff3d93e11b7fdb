//! Schemas of the Glue Schema Registry.

use serde::{Deserialize, Serialize};

use super::{Glue, classify};
use crate::fault::Fault;

/// A version of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SchemaVersion {
    pub schema_definition: String,
    /// `AVRO`, `JSON` or `PROTOBUF`.
    pub data_format: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetSchemaVersion<'a> {
    schema_version_id: &'a str,
}

impl Glue {
    /// The version with this id, a UUID; `None` if there is none.
    pub async fn schema_version(&self, id: &str) -> Result<Option<SchemaVersion>, Fault> {
        let question = GetSchemaVersion { schema_version_id: id };
        match self.ask("GetSchemaVersion", &question).await {
            Ok(answer) => serde_json::from_slice(&answer).map(Some).map_err(classify::unreadable),
            Err(Fault::Halt { cause }) if cause.code == classify::NOT_FOUND => Ok(None),
            Err(fault) => Err(fault),
        }
    }
}
