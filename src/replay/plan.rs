//! What is to be replayed, and how.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    batches::BatchLimits,
    filter::Filter,
    kind::Kind,
    lines::{Form, Records},
    pace::Rate,
    state::State,
    store::{Object, Store},
};
use crate::limits;

/// What happens to an object all of whose records were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposal {
    Keep,
    Delete,
    /// Moved to this prefix, in place of the one that was listed.
    MoveTo(String),
}

/// What the objects hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// Error records and manifests.
    Errors,
    /// Records one behind the other, as a backup of source records has them.
    Raw,
}

/// Why a plan is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("what is moved to {0:?} would be replayed again: that is among the objects to replay")]
    MovesIntoItself(String),
}

/// What is to be replayed, and how.
pub struct Plan {
    pub store: Arc<Store>,
    /// What the keys begin with.
    pub prefix: String,
    /// The stream that wrote the objects; those of others, by their names, are passed over.
    pub stream: Option<String>,
    pub contents: Contents,
    /// How plain records end: those of [`Contents::Raw`], and those that a manifest names.
    pub delimiter: Vec<u8>,
    pub keep_delimiter: bool,
    pub filter: Arc<Filter>,
    /// Absent: nothing is remembered.
    pub state: Option<State>,
    /// How often a record is handed on at most, coming back in between. Needs a state.
    pub replays_max: u32,
    /// Records with more attempts are left where they are.
    pub attempts_max: Option<u32>,
    pub rate: Rate,
    pub disposal: Disposal,
    pub batch: BatchLimits,
    /// Calls of the deliverer under way at a time.
    pub in_flight: usize,
    /// Bytes of records in calls under way, from which on no further call begins.
    pub in_flight_bytes: u64,
    /// When this replay began, in milliseconds since 1970. Objects written later are left for the
    /// next one: they may tell of records that this one put through.
    pub started_ms: i64,
    pub stop: CancellationToken,
}

impl Plan {
    /// A plan that hands on every error record once, as fast as it goes, and keeps the objects.
    pub fn new(store: Arc<Store>, prefix: &str, started_ms: i64) -> Self {
        Self {
            store,
            prefix: prefix.to_owned(),
            stream: None,
            contents: Contents::Errors,
            delimiter: b"\n".to_vec(),
            keep_delimiter: true,
            filter: Arc::default(),
            state: None,
            replays_max: 3,
            attempts_max: None,
            rate: Rate::default(),
            disposal: Disposal::Keep,
            batch: BatchLimits {
                records: limits::BATCH_RECORDS_MAX,
                bytes: limits::BATCH_BYTES_MAX,
            },
            in_flight: limits::REPLAY_IN_FLIGHT,
            in_flight_bytes: limits::REPLAY_JOURNAL_BYTES,
            started_ms,
            stop: CancellationToken::new(),
        }
    }

    /// Whether the plan makes sense as a whole.
    pub fn check(&self) -> Result<(), PlanError> {
        match &self.disposal {
            Disposal::MoveTo(to) if self.store.lists(&self.prefix, to) => {
                Err(PlanError::MovesIntoItself(to.clone()))
            }
            _ => Ok(()),
        }
    }

    /// How an object is read that was listed, or named by a manifest.
    pub(super) fn form(&self, object: &Object, is_named: bool) -> Form {
        let kind = match (&self.contents, is_named) {
            (Contents::Errors, false) => return Form::Errors,
            (_, true) => Kind::Redshift,
            (Contents::Raw, false) => Kind::Source,
        };
        Form::Records(Records {
            kind,
            delimiter: self.delimiter.clone(),
            keep_delimiter: self.keep_delimiter,
            arrival_ms: Some(object.modified_ms),
        })
    }

    /// Where an object is moved to.
    pub(super) fn moved_key(&self, to: &str, key: &str) -> String {
        format!("{to}{}", key.strip_prefix(self.prefix.as_str()).unwrap_or(key))
    }
}
