//! The columns of Parquet and ORC files: Hive's types, and where a schema comes from.

use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Fields, Schema as ArrowSchema, TimeUnit};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// A type of Hive, as the Glue Data Catalog has them (`uniontype` is not among them).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HiveType {
    Boolean,
    Tinyint,
    Smallint,
    Int,
    Bigint,
    Float,
    Double,
    Decimal { precision: u8, scale: u8 },
    String,
    Char(u32),
    Varchar(u32),
    Binary,
    Date,
    Timestamp,
    Array(Box<HiveType>),
    Map(Box<HiveType>, Box<HiveType>),
    Struct(Vec<Column>),
}

/// A column of a table, or a field of a struct.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub of: HiveType,
}

/// The columns of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSchema {
    pub columns: Vec<Column>,
    /// Columns that stand in the prefix (`dt=2026-11-21/`) and not in the files.
    pub partition_keys: Vec<Column>,
}

/// Where the columns of a table stand that others keep: the Glue Data Catalog.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// The table as it is now; an answer may be remembered for a while. A fault holds the
    /// destination and never rejects a record.
    async fn table(&self) -> Result<Arc<TableSchema>, Fault>;
}

impl TableSchema {
    /// The same as an Arrow schema; every column may be null.
    pub fn to_arrow(&self) -> ArrowSchema {
        ArrowSchema::new(fields(&self.columns))
    }
}

fn fields(columns: &[Column]) -> Fields {
    columns.iter().map(|column| ArrowField::new(&column.name, column.of.to_arrow(), true)).collect()
}

impl HiveType {
    /// The Arrow type that holds its values. Names of inner fields are those of Hive's own Parquet
    /// writer: `array_element`, `key`, `value`.
    pub fn to_arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Tinyint => DataType::Int8,
            Self::Smallint => DataType::Int16,
            Self::Int => DataType::Int32,
            Self::Bigint => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
            Self::String | Self::Char(_) | Self::Varchar(_) => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Nanosecond, None),
            Self::Array(of) => {
                DataType::List(Arc::new(ArrowField::new("array_element", of.to_arrow(), true)))
            }
            Self::Map(key, value) => {
                let entries = DataType::Struct(Fields::from(vec![
                    ArrowField::new("key", key.to_arrow(), false),
                    ArrowField::new("value", value.to_arrow(), true),
                ]));
                DataType::Map(Arc::new(ArrowField::new("map", entries, false)), false)
            }
            Self::Struct(columns) => DataType::Struct(fields(columns)),
        }
    }
}
