//! What can be wrong with prefixes, each with what to do about it.

use std::fmt;

use super::java_time::{PadTooNarrow, PatternError, ZoneError};
use crate::limits;

/// Which of the two prefixes is meant, by its name in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Prefix,
    ErrorOutputPrefix,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "Prefix",
            Self::ErrorOutputPrefix => "ErrorOutputPrefix",
        })
    }
}

/// A mistake in a prefix, or a key that came out too long. Texts are Firehose's where they are
/// known, the one with AWS's own typing error included.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    #[error(
        "{place} has {chars} characters, more than {}; shorten it",
        limits::PREFIX_CONFIGURED_CHARS_MAX
    )]
    Configured { place: Place, chars: usize },
    #[error(
        "{place} has an expression without its end: {rest}; close it with }}, and use !{{ for \
         nothing but an expression"
    )]
    Unterminated { place: Place, rest: String },
    #[error(
        "{place} has an expression inside an expression: !{{{expression}; close the first with }}, \
         and use !{{ for nothing but an expression"
    )]
    Nested { place: Place, expression: String },
    #[error(
        "{place} has the expression !{{{expression}}}, which is not of the form \
         !{{namespace:value}}; write for example !{{timestamp:yyyy/MM/dd}}"
    )]
    Form { place: Place, expression: String },
    #[error(
        "{place} has the unknown namespace {namespace}; use timestamp, firehose or source, in lower \
         case"
    )]
    UnknownNamespace { place: Place, namespace: String },
    #[error(
        "{place} has the unknown expression !{{firehose:{value}}}; use random-string, or \
         error-output-type in ErrorOutputPrefix"
    )]
    UnknownValue { place: Place, value: String },
    #[error(
        "Prefix has the unknown expression !{{source:{0}}}; use topic, partition, shard_id, path, \
         stream_arn, key, partition_key, or header.NAME with the name of a Kafka header"
    )]
    UnknownSource(String),
    #[error(
        "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic \
         Partitioning is enabled."
    )]
    DynamicPartitioning,
    #[error(
        "ErrorOutputPrefix has the namespace {0}, but failed records have no partition keys; use \
         it in Prefix only"
    )]
    PartitionKeyOfError(String),
    #[error(
        "Prefix has !{{firehose:error-output-type}}, which only failed records have; use it in \
         ErrorOutputPrefix"
    )]
    ErrorTypeInPrefix,
    #[error(
        "ErrorOutputPrefix has expressions but not !{{firehose:error-output-type}}; add it, as in \
         errors/!{{firehose:error-output-type}}/"
    )]
    ErrorTypeMissing,
    #[error(
        "Ths supplied prefix(es) do not satisfy the following constraint: ErrorOutputPrefix cannot \
         be null or empty when Prefix contains expressions"
    )]
    ErrorPrefixMissing,
    #[error(
        "{place} has the timestamp pattern {pattern:?}, which is not one of Java's \
         DateTimeFormatter: {source}; put literal text into single quotes"
    )]
    Timestamp { place: Place, pattern: String, source: PatternError },
    #[error(
        "{place} has a timestamp pattern that cannot always be printed: {source}; pad it wider"
    )]
    Pad { place: Place, source: PadTooNarrow },
    #[error(transparent)]
    TimeZone(#[from] ZoneError),
    #[error(
        "FileExtension {0:?} is not allowed; begin with a dot, then use lower-case letters, digits \
         and !-_.*'() only, at most {max} characters",
        max = limits::FILE_EXTENSION_CHARS_MAX
    )]
    FileExtension(String),
    #[error(
        "{place} has {chars} characters after evaluation, more than {}; shorten it",
        limits::PREFIX_CHARS_MAX
    )]
    Evaluated { place: Place, chars: usize },
    #[error(
        "{place} makes object keys of {bytes} bytes, more than the {} that S3 takes; shorten it",
        limits::S3_KEY_BYTES_MAX
    )]
    Key { place: Place, bytes: usize },
    #[error("the arrival time {0} ms lies outside the calendar")]
    Arrival(i64),
    #[error(
        "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning is \
         enabled"
    )]
    KeysMissing,
    #[error("Prefix has control characters, which mean something in partitions; remove them")]
    Control,
    #[error("late records are told by event times, which are off; turn them on or late off")]
    LateWithoutEventTime,
    #[error("the prefix of late records {0:?} must be literal text, as late/")]
    LatePrefix(String),
    #[error("the partition is of another prefix than the one configured now")]
    Route,
}

/// Which setting a mistake lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    Prefix,
    ErrorOutputPrefix,
    FileExtension,
    CustomTimeZone,
    /// What becomes of late records.
    Late,
}

impl From<Place> for Setting {
    fn from(place: Place) -> Self {
        match place {
            Place::Prefix => Self::Prefix,
            Place::ErrorOutputPrefix => Self::ErrorOutputPrefix,
        }
    }
}

impl PrefixError {
    pub fn setting(&self) -> Setting {
        match self {
            Self::Configured { place, .. }
            | Self::Unterminated { place, .. }
            | Self::Nested { place, .. }
            | Self::Form { place, .. }
            | Self::UnknownNamespace { place, .. }
            | Self::UnknownValue { place, .. }
            | Self::Timestamp { place, .. }
            | Self::Pad { place, .. }
            | Self::Evaluated { place, .. }
            | Self::Key { place, .. } => (*place).into(),
            Self::UnknownSource(_)
            | Self::DynamicPartitioning
            | Self::ErrorTypeInPrefix
            | Self::Arrival(_)
            | Self::KeysMissing
            | Self::Control
            | Self::Route => Setting::Prefix,
            Self::LateWithoutEventTime | Self::LatePrefix(_) => Setting::Late,
            Self::PartitionKeyOfError(_) | Self::ErrorTypeMissing | Self::ErrorPrefixMissing => {
                Setting::ErrorOutputPrefix
            }
            Self::TimeZone(_) => Setting::CustomTimeZone,
            Self::FileExtension(_) => Setting::FileExtension,
        }
    }
}
