//! The files that are written: one of the two writers.

use arrow_array::RecordBatch;

use super::Serializer;
use crate::encode::{
    orc, parquet,
    schema::{Column, HiveType, TableSchema},
};

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error(transparent)]
    Parquet(#[from] parquet::WriteError),
    #[error(transparent)]
    Orc(#[from] orc::WriteError),
}

/// One file that grows in memory.
pub(super) enum File {
    Parquet(Box<parquet::Writer>),
    Orc(Box<orc::Writer>),
}

impl File {
    pub(super) fn new(schema: &TableSchema, output: &Serializer) -> Result<Self, FileError> {
        Ok(match output {
            Serializer::Parquet(options) => {
                Self::Parquet(Box::new(parquet::Writer::new(schema, options)?))
            }
            Serializer::Orc(options) => Self::Orc(Box::new(orc::Writer::new(schema, options)?)),
        })
    }

    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), FileError> {
        match self {
            Self::Parquet(writer) => writer.write(rows)?,
            Self::Orc(writer) => writer.write(rows)?,
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, FileError> {
        Ok(match self {
            Self::Parquet(writer) => writer.finish()?,
            Self::Orc(writer) => writer.finish()?,
        })
    }
}

/// What the files' names end with.
pub(super) fn extension(output: &Serializer) -> &'static str {
    match output {
        Serializer::Parquet(_) => ".parquet",
        Serializer::Orc(_) => ".orc",
    }
}

/// The same without Bloom filters of columns that are not (yet) in the schema, or that no longer
/// have a type which has such filters.
pub(super) fn with_filters_of(output: &Serializer, schema: &TableSchema) -> Serializer {
    let mut output = output.clone();
    let filters = match &mut output {
        Serializer::Parquet(options) => &mut options.bloom_filter_columns,
        Serializer::Orc(options) => &mut options.bloom_filter_columns,
    };
    filters.retain(|path| has_leaf(&schema.columns, path));
    output
}

/// Whether there is a column, or with dots a field, that can have a filter.
fn has_leaf(columns: &[Column], path: &str) -> bool {
    columns.iter().any(|Column { name, of }| match path.strip_prefix(name.as_str()) {
        Some("") => !matches!(
            of,
            HiveType::Boolean | HiveType::Array(_) | HiveType::Map(..) | HiveType::Struct(_)
        ),
        Some(rest) => match (of, rest.strip_prefix('.')) {
            (HiveType::Struct(fields), Some(rest)) => has_leaf(fields, rest),
            _ => false,
        },
        None => false,
    })
}
