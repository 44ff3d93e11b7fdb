//! Takes the log events out of what a CloudWatch Logs subscription sends.
//!
//! | options | a data message becomes | a control message |
//! |---|---|---|
//! | none | itself, once it is seen to be one | goes on unchanged |
//! | `data_message_extraction` | the messages of its events, each followed by a newline | is dropped |
//! | `metadata` | one JSON object for each event, each followed by a newline | is dropped |
//!
//! What comes of one record is one record. A message that ends with a newline of its own gets
//! another: messages are never changed. A document without events leaves nothing behind and is
//! dropped. Bytes of messages that are not UTF-8 stay as they are; half of a surrogate pair becomes
//! U+FFFD, for there is nothing else that it could be.
//!
//! A record may hold several documents. If one of them is not what it should be the whole record
//! fails, with `CloudWatchLogProcessing.Failed`, or with
//! `CloudWatchLogProcessing.SizeLimitExceeded` if its events with their metadata are larger than
//! [`limits::UNPACKED_BYTES_MAX`]. AWS documents no codes; these have the form of its other ones.

mod cursor;
mod document;
mod output;

use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arena::{Arena, Place};
use crate::{
    fault::{Failure, output_type::DECOMPRESSION_FAILED},
    limits,
    record::{Piece, Record},
    seams::{Transform, Verdict},
};
use cursor::Malformed;
use document::Mode;
use output::Output;

/// Reads the documents of a CloudWatch Logs subscription; they must be unpacked already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Leaves the messages of the log events only, each followed by a newline.
    pub data_message_extraction: bool,
    /// Instead of bare messages one JSON object per log event, with the message and these members
    /// (beyond Firehose).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<Member>,
}

/// What may be kept of a log event and of the document around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Member {
    /// The event's id.
    Id,
    /// The event's time in milliseconds since 1970.
    Timestamp,
    LogGroup,
    LogStream,
    /// The account that the logs come from.
    Owner,
    SubscriptionFilters,
}

impl Member {
    /// Its name in the document, and in what is made of it.
    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Timestamp => "timestamp",
            Self::LogGroup => "logGroup",
            Self::LogStream => "logStream",
            Self::Owner => "owner",
            Self::SubscriptionFilters => "subscriptionFilters",
        }
    }
}

/// The step of the chain.
#[derive(Debug, Clone)]
pub struct CloudWatchLogs {
    mode: Arc<Mode>,
}

impl CloudWatchLogs {
    /// Members of `metadata` that are named twice are written once.
    pub fn new(options: &Options) -> Self {
        let mut members: Vec<Member> = Vec::new();
        for member in &options.metadata {
            if !members.contains(member) {
                members.push(*member);
            }
        }
        let mode = match (members.is_empty(), options.data_message_extraction) {
            (false, _) => Mode::Objects(members),
            (true, true) => Mode::Messages,
            (true, false) => Mode::Check,
        };
        Self { mode: Arc::new(mode) }
    }

    /// What becomes of a record; `None` if nothing.
    fn read(
        &self,
        record: &Record,
        output: &mut Output,
        arena: &mut Arena,
    ) -> Result<Option<Place>, Malformed> {
        output.clear();
        document::read_all(&record.data, &self.mode, output)?;
        let written = output.written();
        Ok((!written.is_empty()).then(|| arena.store(written)))
    }
}

#[async_trait]
impl Transform for CloudWatchLogs {
    fn name(&self) -> &'static str {
        "cloudwatch_logs"
    }

    /// What surrounds the events is repeated for each of them.
    fn expands(&self) -> bool {
        matches!(*self.mode, Mode::Objects(_))
    }

    async fn apply(&self, records: &[Record]) -> Vec<Verdict> {
        let mut output = Output::new(limits::UNPACKED_BYTES_MAX);
        let mut arena = Arena::default();
        let read: Vec<_> =
            records.iter().map(|record| self.read(record, &mut output, &mut arena)).collect();
        let bytes = arena.finish();
        let verdict = |(result, record): (Result<Option<Place>, Malformed>, &Record)| {
            let data = match result {
                Ok(_) if *self.mode == Mode::Check => record.data.clone(),
                Ok(Some(place)) => bytes(place),
                Ok(None) => return Verdict::Drop,
                Err(error) => return Verdict::Fail(failure(&error)),
            };
            Verdict::Emit(Piece { data, notes: record.notes.clone() })
        };
        read.into_iter().zip(records).map(verdict).collect()
    }
}

fn failure(error: &Malformed) -> Failure {
    let code = match error {
        Malformed::TooLarge { .. } => "CloudWatchLogProcessing.SizeLimitExceeded",
        _ => "CloudWatchLogProcessing.Failed",
    };
    Failure::new(DECOMPRESSION_FAILED, code, error.to_string())
}

#[cfg(test)]
mod tests;
