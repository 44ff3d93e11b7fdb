//! The columns of Parquet and ORC files: Hive's types, and where a schema comes from.

mod ddl;
mod error;
mod glue;
pub mod infer;
mod store;
mod tokens;
mod types;

#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc};

use arrow_schema::{DataType, Field as ArrowField, Fields, Schema as ArrowSchema, TimeUnit};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::{
    error::{Place, SchemaError},
    glue::{GlueCatalog, cached_table},
    store::{InferStore, StoreError},
};
use crate::{fault::Fault, limits};

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
    /// Checks that there are columns and that each has a name of its own: Hive's names know no
    /// case, and a partition column may not stand among the others.
    pub fn new(columns: Vec<Column>, partition_keys: Vec<Column>) -> Result<Self, SchemaError> {
        if columns.is_empty() {
            return Err(SchemaError::NoColumns);
        }
        if columns.len() + partition_keys.len() > limits::SCHEMA_FIELDS_MAX {
            return Err(SchemaError::TooManyColumns { max: limits::SCHEMA_FIELDS_MAX });
        }
        let mut names = HashSet::new();
        for (at, Column { name, .. }) in columns.iter().chain(&partition_keys).enumerate() {
            check_name(at + 1, name)?;
            if !names.insert(name.to_lowercase()) {
                return Err(SchemaError::Duplicate { name: name.clone() });
            }
        }
        Ok(Self { columns, partition_keys })
    }

    /// Reads a `CREATE TABLE` statement or a list of columns: `id bigint, tags array<string>`.
    pub fn from_ddl(text: &str) -> Result<Self, SchemaError> {
        ddl::parse(text)
    }

    /// A schema of columns that are given one by one, by name and type.
    pub fn from_columns<N, T>(columns: &[(N, T)]) -> Result<Self, SchemaError>
    where
        N: AsRef<str>,
        T: AsRef<str>,
    {
        let columns = columns.iter().map(|(name, of)| Column::parse(name.as_ref(), of.as_ref()));
        Self::new(columns.collect::<Result<_, _>>()?, Vec::new())
    }

    /// The same as an Arrow schema; every column may be null.
    pub fn to_arrow(&self) -> ArrowSchema {
        ArrowSchema::new(fields(&self.columns))
    }
}

fn check_name(number: usize, name: &str) -> Result<(), SchemaError> {
    if name.trim().is_empty() {
        return Err(SchemaError::EmptyName { number });
    }
    let (chars, max) = (name.chars().count(), limits::COLUMN_NAME_CHARS_MAX);
    if chars > max { Err(SchemaError::LongName { number, chars, max }) } else { Ok(()) }
}

impl Column {
    /// A column whose type stands as text, as Glue and configurations have it.
    pub fn parse(name: &str, of: &str) -> Result<Self, SchemaError> {
        let of = of.parse().map_err(|source| SchemaError::Column {
            name: name.to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self { name: name.to_owned(), of })
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
