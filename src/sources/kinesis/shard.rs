//! What the parts of the source have in common: shards, what is read of them, and who reads which.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A shard as ListShards describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    pub id: String,
    /// Shards that it came of: one by a split, two by a merge. They may be gone already.
    pub parents: Vec<String>,
    /// Its range of hash keys, both included.
    pub hash_range: (u128, u128),
    /// Whether it takes no more records (its range of sequence numbers has an end).
    pub closed: bool,
}

/// How far a shard was read. Sequence numbers are decimal and up to 129 digits long.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Checkpoint {
    /// Before the oldest record that is kept.
    TrimHorizon,
    /// Before what comes in from now on.
    Latest,
    /// Before the first record that arrived at or after the source's `at_timestamp`.
    AtTimestamp,
    /// Behind this record. `sub_sequence` is a place in an aggregate, 0 where there is none.
    /// `whole` tells that nothing of the record is left: always, unless it was the middle of an
    /// aggregate.
    Sequence { number: String, sub_sequence: u64, whole: bool },
    /// Behind the shard's last record.
    ShardEnd,
}

/// `TRIM_HORIZON`, `LATEST`, `AT_TIMESTAMP`, `SHARD_END` (the Kinesis Client Library's sentinels),
/// or the sequence number, followed by `:` and the sub-sequence number where the record is not
/// whole.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str("TRIM_HORIZON"),
            Self::Latest => f.write_str("LATEST"),
            Self::AtTimestamp => f.write_str("AT_TIMESTAMP"),
            Self::Sequence { number, whole: true, .. } => f.write_str(number),
            Self::Sequence { number, sub_sequence, whole: false } => {
                write!(f, "{number}:{sub_sequence}")
            }
            Self::ShardEnd => f.write_str("SHARD_END"),
        }
    }
}

impl Checkpoint {
    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |text: &str| {
            (1..=129).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
        };
        Some(match text {
            "TRIM_HORIZON" => Self::TrimHorizon,
            "LATEST" => Self::Latest,
            "AT_TIMESTAMP" => Self::AtTimestamp,
            "SHARD_END" => Self::ShardEnd,
            _ => {
                let (number, sub) = match text.split_once(':') {
                    Some((number, sub)) => (number, Some(sub.parse().ok()?)),
                    None => (text, None),
                };
                digits(number).then(|| Self::Sequence {
                    number: number.to_owned(),
                    sub_sequence: sub.unwrap_or(0),
                    whole: sub.is_none(),
                })?
            }
        })
    }
}

/// A record as the stream holds it: before an aggregate is taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    pub sequence_number: String,
    pub partition_key: String,
    /// ApproximateArrivalTimestamp, in milliseconds since the Unix epoch.
    pub arrival_ms: i64,
    pub data: Bytes,
}

/// What one read of a shard gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    pub records: Vec<StoredRecord>,
    /// Where to go on even without a record (ContinuationSequenceNumber of enhanced fan-out).
    pub continuation: Option<String>,
    pub millis_behind_latest: i64,
    /// The shard is read to its end: ids and parents of the shards that follow, as far as the
    /// answer names them.
    pub ended: Option<Vec<(String, Vec<String>)>>,
}

/// Why a read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Too fast: the same again after a while.
    #[error("throttled: {0}")]
    Throttled(String),
    /// Trouble that passes; the reader goes on where it was.
    #[error("{code}: {message}")]
    Trouble { code: String, message: String },
    /// Refused, as long as nothing is changed: a permission, a key.
    #[error("{code}: {message}")]
    Denied { code: String, message: String },
    /// The stream or the shard is not there (any more).
    #[error("not found: {0}")]
    Gone(String),
}

/// Reads one shard, one way or the other, in order.
#[async_trait]
pub trait ShardReader: Send {
    /// What comes next. Waits as long as the service's limits ask for; an answer without records
    /// means nothing but that. After `ended` it is not asked again. After an error it may be asked
    /// again, and goes on behind the last record it gave.
    async fn next(&mut self) -> Result<Batch, ReadError>;
}

/// A lease that this replica holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub shard_id: String,
    pub checkpoint: Checkpoint,
    pub parents: Vec<String>,
    /// When the shard came to be known and was to be read from `Latest` on, in milliseconds since
    /// the Unix epoch, where the coordinator has kept it.
    pub since_ms: Option<i64>,
    /// It came to be known just now and by this process: `Latest` is now.
    pub is_new: bool,
    /// Tells one holding of a lease from the next: a lease that was lost and taken again is read
    /// anew from its checkpoint.
    pub holding: u64,
}

/// Why a checkpoint was not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Another replica has the lease: whatever was read and is not checkpointed is its to read.
    #[error("the lease was taken by another replica")]
    Lost,
    #[error("{code}: {message}")]
    Trouble { code: String, message: String },
}

/// Who reads which shard. Alone one holds them all.
#[async_trait]
pub trait Coordinator: Send + Sync {
    /// Tells which shards there are, and where reading begins in those of which nothing is known
    /// yet. A shard whose parent is known begins at `TrimHorizon` whatever `initial` says. The
    /// list is whole: closed shards that still hold records are in it. From `Latest` on, those of
    /// them of which nothing is known, nor of what they came of, are not read.
    async fn sync(&self, shards: &[Shard], initial: &Checkpoint) -> Result<(), CheckpointError>;

    /// The leases that this replica holds and whose shards may be read: their parents are at their
    /// end, or gone. By shard id.
    fn held(&self) -> watch::Receiver<Arc<BTreeMap<String, Held>>>;

    /// Whether this replica still holds it: to be asked before what was read is put. It may know
    /// sooner than `held` shows, as after the process was frozen.
    fn holds(&self, held: &Held) -> bool {
        let now = self.held();
        now.borrow().get(&held.shard_id).is_some_and(|now| now.holding == held.holding)
    }

    /// A held shard was read to its end, and these follow it, as far as its last answer names them.
    /// They may not be listed yet.
    fn followed_by(&self, _held: &Held, _children: &[String]) {}

    /// Keeps how far a held shard is safe. `ShardEnd` ends it.
    async fn checkpoint(&self, held: &Held, to: &Checkpoint) -> Result<(), CheckpointError>;

    /// Takes, renews and balances until `stop`, then gives back what it holds.
    async fn run(&self, stop: CancellationToken);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_come_back_as_they_were_written() {
        let sequence = |sub_sequence, whole| Checkpoint::Sequence {
            number: "49590338271490256608559692538361571095921575989136588898".into(),
            sub_sequence,
            whole,
        };
        for checkpoint in [
            Checkpoint::TrimHorizon,
            Checkpoint::Latest,
            Checkpoint::AtTimestamp,
            Checkpoint::ShardEnd,
            sequence(0, true),
            sequence(7, false),
        ] {
            assert_eq!(Checkpoint::parse(&checkpoint.to_string()), Some(checkpoint));
        }
        for text in ["", "abc", "12:", "12:x", ":1", "latest", "-3"] {
            assert_eq!(Checkpoint::parse(text), None, "{text}");
        }
    }
}
