//! JSON records to Parquet or ORC files: reader, schema and writer put together.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{orc, parquet, rows::Deserializer};
use crate::units::Span;

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
    pub database: String,
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
    /// They become columns; for `schema: {infer: …}`.
    Evolve,
}
