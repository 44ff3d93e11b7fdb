//! What happens to a record between the journal and its destination: one file per transform.
//!
//! | transform | Firehose's processor | fails as |
//! |---|---|---|
//! | `decompression` | Decompression | `decompression-failed` |
//! | `cloudwatch` | CloudWatchLogProcessing | `decompression-failed` |
//! | `deaggregation` | RecordDeAggregation | never: what it cannot take apart goes on whole |
//! | `lambda` | Lambda | `processing-failed` |
//! | `jq::Extraction` | MetadataExtraction | `metadata-extraction-failed` |
//! | `jq::Filter`, `jq::Map` | none | `processing-failed` |
//! | `schema_registry` | none | `processing-failed` |
//! | `event_time` | none | `metadata-extraction-failed` |
//! | `agent::{SingleLine, CsvToJson, LogToJson}` | none: the Kinesis Agent's | `processing-failed` |
//!
//! AppendDelimiterToRecord is not among them: it is how a batch puts its records together.

pub mod agent;
mod arena;
mod chain;
pub mod cloudwatch;
pub mod deaggregation;
pub mod decompression;
pub mod event_time;
pub mod jq;
mod json_scan;
pub mod lambda;
pub mod schema_registry;

pub use chain::{Chain, End, MissingVerdict, Segment, UnderWay};
