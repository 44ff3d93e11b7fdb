//! The files that are written: one of the two writers.

use arrow_array::RecordBatch;

use super::Serializer;
use crate::{
    encode::{orc, parquet, schema::TableSchema},
    limits,
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
/// have a type which has such filters, by the writers' own rules.
pub(super) fn with_filters_of(output: &Serializer, schema: &TableSchema) -> Serializer {
    match output {
        Serializer::Parquet(options) => {
            with_few_filters(Serializer::Parquet(options.with_filters_of(schema)))
        }
        Serializer::Orc(options) => Serializer::Orc(options.with_filters_of(schema)),
    }
}

/// The same with Bloom filters that a writer takes. For schemas that come later: what is wrong with
/// the options should not hold records then.
pub(super) fn with_fair_filters(output: &Serializer) -> Serializer {
    let mut output = output.clone();
    let (columns, share, least) = match &mut output {
        Serializer::Parquet(options) => (
            &options.bloom_filter_columns,
            &mut options.bloom_filter_false_positive_probability,
            limits::PARQUET_BLOOM_FILTER_PROBABILITY_MIN,
        ),
        Serializer::Orc(options) => (
            &options.bloom_filter_columns,
            &mut options.bloom_filter_false_positive_probability,
            f64::MIN_POSITIVE,
        ),
    };
    if columns.is_empty() || (least..1.0).contains(share) {
        return output;
    }
    let asked = *share;
    *share = if asked < least {
        limits::PARQUET_BLOOM_FILTER_PROBABILITY_MIN
    } else {
        limits::BLOOM_FILTER_PROBABILITY_MAX
    };
    tracing::warn!(asked, taken = *share, "share of wrong hits of bloom filters is out of range");
    output
}

/// Cuts the list of Bloom filters to those that a file may have.
pub(super) fn with_few_filters(mut output: Serializer) -> Serializer {
    if let Serializer::Parquet(options) = &mut output {
        options.bloom_filter_columns.truncate(limits::PARQUET_BLOOM_FILTERS_MAX);
    }
    output
}

/// Tells of a list that is cut.
pub(super) fn log_many_filters(output: &Serializer) {
    let Serializer::Parquet(options) = output else { return };
    let (asked, most) = (options.bloom_filter_columns.len(), limits::PARQUET_BLOOM_FILTERS_MAX);
    if asked > most {
        tracing::warn!(asked, most, "not all bloom filters are written, for there are too many");
    }
}
