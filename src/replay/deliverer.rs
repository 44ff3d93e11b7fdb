//! Who takes the records, and who watches.

use async_trait::async_trait;

use super::line::FailedLine;
use crate::fault::Cause;

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was accepted, and is somebody else's responsibility from now on.
    Delivered,
    /// It failed again, and was stored as an error record with the count of all its attempts: its
    /// old line is needed no longer.
    StoredAgain(Cause),
    /// It was not taken, and nobody else has it: its object is kept.
    Refused(Cause),
}

/// Why a replay cannot go on. Everything that may pass was tried already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliverError {
    /// The records are not settled; the next run hands them on again.
    #[error("{0}")]
    Failed(String),
    /// Delivering was stopped before the records were settled.
    #[error("stopped")]
    Stopped,
}

/// Takes records: a stream through its API, or a destination itself.
#[async_trait]
pub trait Deliverer: Send + Sync {
    /// Settles every record, with one outcome for each in their order, or none of them for sure.
    /// Retries are its own business. Calls overlap unless [`super::Plan::in_flight`] is 1.
    async fn deliver(&self, lines: Vec<FailedLine>) -> Result<Vec<Outcome>, DeliverError>;

    /// What keeps it from going on right now, for whoever waits for it.
    fn trouble(&self) -> Option<String> {
        None
    }
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Advance {
    /// Objects found so far, and their bytes; all of them once `is_listed`.
    pub listed_objects: u64,
    pub listed_bytes: u64,
    pub is_listed: bool,
    /// Objects that are done or passed over.
    pub done_objects: u64,
    /// Bytes of objects that were read or passed over, as they are stored. With a manifest's
    /// objects, which no listing names, there are more of them than listed.
    pub done_bytes: u64,
    /// Records that are settled.
    pub records: u64,
}

/// Watches a replay. Called often; what takes time belongs elsewhere.
pub trait Observer: Send + Sync {
    fn advanced(&self, advance: &Advance);
}

/// Watches nothing.
impl Observer for () {
    fn advanced(&self, _: &Advance) {}
}
