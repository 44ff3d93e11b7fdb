//! A row of the lease table, as the Kinesis Client Library 2.x writes it
//! (`DynamoDBLeaseSerializer`), in DynamoDB's JSON.

use serde_json::{Map, Value, json};

use crate::sources::kinesis::Checkpoint;

/// The table's key.
pub(super) const KEY: &str = "leaseKey";
pub(super) const OWNER: &str = "leaseOwner";
pub(super) const COUNTER: &str = "leaseCounter";
pub(super) const SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const SUB_SEQUENCE: &str = "checkpointSubSequenceNumber";
pub(super) const PARENTS: &str = "parentShardId";
pub(super) const CHILDREN: &str = "childShardIds";
const RANGE_START: &str = "startingHashKey";
const RANGE_END: &str = "endingHashKey";
/// A hand-off of 3.x is under way.
pub(super) const HANDING_OVER: &str = "checkpointOwner";
/// Our own: since when a lease that begins at `LATEST` is there, in milliseconds since the Unix
/// epoch. The library leaves alone what it does not know.
const SINCE: &str = "standpipeSince";
/// Half-way checkpoints, which any checkpoint ends.
pub(super) const PENDING: [&str; 3] =
    ["pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState"];
/// What kind of row it is, from 3.5 on.
const ENTITY: &str = "entityType";
/// Leases of an application that reads several streams have it.
const STREAM: &str = "streamName";
/// The row in which 3.x keeps which version's rules hold, and its attribute.
pub(super) const MIGRATION: &str = "Migration3.0";
const CLIENT_VERSION: &str = "cv";
const CLIENT_VERSION_2X: &str = "CLIENT_VERSION_2X";

/// The sub-sequence number of a record of which nothing is left. The library skips what is at or
/// below (sequence number, sub-sequence number): so it skips all of the record, aggregate or not,
/// and does not read the rest of an aggregate twice.
const WHOLE: u64 = i64::MAX as u64;

/// A lease as it stands in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    /// The shard's id.
    pub key: String,
    pub owner: Option<String>,
    /// Raised with every change: who expects the old one, and finds another, has lost.
    pub counter: u64,
    /// How often the owner changed since the last checkpoint.
    pub switches: u64,
    pub checkpoint: Checkpoint,
    pub parents: Vec<String>,
    pub children: Vec<String>,
    /// Hash keys, both included. Rows of old versions have none.
    pub range: Option<(u128, u128)>,
    /// When it was made, if it began at `LATEST`, in milliseconds since the Unix epoch: whoever
    /// takes it before a record was read of it reads from there on. Rows of the library have none.
    pub since_ms: Option<i64>,
}

/// What a row of the table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Row {
    Lease(Box<Lease>),
    /// Bookkeeping of 3.x.
    Other,
    /// 3.x rules over the table.
    Ruled(String),
    /// A lease of an application that reads several streams.
    ManyStreams,
}

impl Lease {
    /// The lease of a shard that nobody has had yet.
    pub fn fresh(shard: &super::super::Shard, checkpoint: Checkpoint, now_ms: i64) -> Self {
        Self {
            since_ms: (checkpoint == Checkpoint::Latest).then_some(now_ms),
            key: shard.id.clone(),
            owner: None,
            counter: 0,
            switches: 0,
            checkpoint,
            parents: shard.parents.clone(),
            children: Vec::new(),
            range: Some(shard.hash_range),
        }
    }

    pub fn is_ended(&self) -> bool {
        self.checkpoint == Checkpoint::ShardEnd
    }

    /// The row as it is created.
    pub fn to_item(&self) -> Value {
        let mut item = Map::new();
        item.insert(KEY.into(), text(&self.key));
        item.insert(COUNTER.into(), number(self.counter));
        item.insert(SWITCHES.into(), number(self.switches));
        for (name, value) in checkpoint(&self.checkpoint) {
            item.insert(name.into(), value);
        }
        if let Some(owner) = &self.owner {
            item.insert(OWNER.into(), text(owner));
        }
        // A set in DynamoDB is never empty.
        for (name, ids) in [(PARENTS, &self.parents), (CHILDREN, &self.children)] {
            if !ids.is_empty() {
                item.insert(name.into(), texts(ids));
            }
        }
        if let Some((start, end)) = self.range {
            item.insert(RANGE_START.into(), text(&start.to_string()));
            item.insert(RANGE_END.into(), text(&end.to_string()));
        }
        if let Some(since_ms) = self.since_ms {
            item.insert(SINCE.into(), number(since_ms.max(0) as u64));
        }
        Value::Object(item)
    }
}

impl Row {
    /// Reads a row; the error names the attribute that is not as it should be.
    pub fn read(item: &Value) -> Result<Self, String> {
        let key = string(item, KEY).ok_or("leaseKey is missing")?;
        if key == MIGRATION {
            return Ok(ruler(item).map_or(Self::Other, Self::Ruled));
        }
        if string(item, ENTITY).is_some_and(|entity| entity != "LEASE") {
            return Ok(Self::Other);
        }
        if item.get(STREAM).is_some() {
            return Ok(Self::ManyStreams);
        }
        let wrong = |name: &str| format!("{name} of {key:?} is missing or cannot be read");
        let count = |name: &str| integer(item, name).ok_or_else(|| wrong(name));
        let range = string(item, RANGE_START).zip(string(item, RANGE_END));
        Ok(Self::Lease(Box::new(Lease {
            key: key.to_owned(),
            owner: string(item, OWNER).map(Into::into),
            counter: count(COUNTER)?,
            switches: integer(item, SWITCHES).unwrap_or(0),
            checkpoint: stored_checkpoint(item).ok_or_else(|| wrong(CHECKPOINT))?,
            parents: set(item, PARENTS),
            children: set(item, CHILDREN),
            range: range.and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?))),
            since_ms: integer(item, SINCE).and_then(|ms| ms.try_into().ok()),
        })))
    }
}

/// The version of the library that rules by its row of `Migration3.0`, if it is not 2.x.
pub(super) fn ruler(item: &Value) -> Option<String> {
    let version = string(item, CLIENT_VERSION).unwrap_or("an unknown version");
    (version != CLIENT_VERSION_2X).then(|| version.to_owned())
}

/// The attributes of a checkpoint.
pub(super) fn checkpoint(at: &Checkpoint) -> [(&'static str, Value); 2] {
    let (text_of, sub) = match at {
        Checkpoint::Sequence { number, sub_sequence, whole } => {
            (number.clone(), if *whole { WHOLE } else { (*sub_sequence).min(WHOLE - 1) })
        }
        sentinel => (sentinel.to_string(), 0),
    };
    [(CHECKPOINT, text(&text_of)), (SUB_SEQUENCE, number(sub))]
}

fn stored_checkpoint(item: &Value) -> Option<Checkpoint> {
    // A colon is our own way of writing, which the table must not hold.
    let stored = string(item, CHECKPOINT).filter(|text| !text.contains(':'))?;
    let sub = integer(item, SUB_SEQUENCE).unwrap_or(0);
    Some(match Checkpoint::parse(stored)? {
        // The library's own checkpoints do not tell whether something is left of an aggregate: the
        // record is read again, and what was done of it is skipped.
        Checkpoint::Sequence { number, .. } if sub < WHOLE => {
            Checkpoint::Sequence { number, sub_sequence: sub, whole: false }
        }
        other => other,
    })
}

pub(super) fn text(value: &str) -> Value {
    json!({ "S": value })
}

pub(super) fn number(value: u64) -> Value {
    json!({ "N": value.to_string() })
}

pub(super) fn texts(values: &[String]) -> Value {
    json!({ "SS": values })
}

pub(super) fn key_of(key: &str) -> Value {
    json!({ KEY: text(key) })
}

fn string<'a>(item: &'a Value, name: &str) -> Option<&'a str> {
    item.get(name)?.get("S")?.as_str()
}

fn integer(item: &Value, name: &str) -> Option<u64> {
    item.get(name)?.get("N")?.as_str()?.parse().ok()
}

fn set(item: &Value, name: &str) -> Vec<String> {
    let values = item.get(name).and_then(|value| value.get("SS")?.as_array());
    let mut ids: Vec<String> =
        values.into_iter().flatten().filter_map(|id| id.as_str().map(Into::into)).collect();
    ids.sort();
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: &str, sub_sequence: u64, whole: bool) -> Checkpoint {
        Checkpoint::Sequence { number: number.into(), sub_sequence, whole }
    }

    fn lease(checkpoint: Checkpoint) -> Lease {
        Lease {
            key: "shardId-000000000001".into(),
            owner: Some("a:1".into()),
            counter: 7,
            switches: 1,
            checkpoint,
            parents: vec!["shardId-000000000000".into()],
            children: vec!["shardId-000000000002".into(), "shardId-000000000003".into()],
            range: Some((0, u128::MAX)),
            since_ms: Some(1_700_000_000_123),
        }
    }

    #[test]
    fn leases_come_back_as_they_were_written() {
        for checkpoint in [
            Checkpoint::TrimHorizon,
            Checkpoint::Latest,
            Checkpoint::AtTimestamp,
            Checkpoint::ShardEnd,
            at("49590338271490256608559692538361571095921575989136588898", 0, true),
            at("12", 0, false),
            at("12", 7, false),
        ] {
            let lease = lease(checkpoint);
            assert_eq!(Row::read(&lease.to_item()), Ok(Row::Lease(Box::new(lease))));
        }
    }

    #[test]
    fn rows_of_the_library_are_understood() {
        let mut item = json!({
            "leaseKey": {"S": "shardId-000000000001"}, "leaseCounter": {"N": "12"},
            "checkpoint": {"S": "4959"}, "checkpointSubSequenceNumber": {"N": "0"},
            "ownerSwitchesSinceCheckpoint": {"N": "0"}, "throughputKBps": {"N": "1.5"},
        });
        let Ok(Row::Lease(lease)) = Row::read(&item) else { panic!("a lease") };
        assert_eq!(lease.checkpoint, at("4959", 0, false), "it may be the first of an aggregate");
        assert_eq!((lease.owner, lease.range, lease.parents), (None, None, vec![]));
        assert_eq!(lease.since_ms, None);
        item["entityType"] = text("LEASE");
        assert!(matches!(Row::read(&item), Ok(Row::Lease(_))));
        item["streamName"] = text("123456789012:clicks:1700000000");
        assert_eq!(Row::read(&item), Ok(Row::ManyStreams));
        item["entityType"] = text("WORKER_METRIC_STATS");
        assert_eq!(Row::read(&item), Ok(Row::Other));

        for (version, row) in [
            ("CLIENT_VERSION_2X", Row::Other),
            ("CLIENT_VERSION_3X", Row::Ruled("CLIENT_VERSION_3X".into())),
            ("CLIENT_VERSION_UPGRADE_FROM_2X", Row::Ruled("CLIENT_VERSION_UPGRADE_FROM_2X".into())),
        ] {
            let item = json!({ "leaseKey": text(MIGRATION), "cv": text(version) });
            assert_eq!(Row::read(&item), Ok(row));
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let mut item = lease(Checkpoint::Latest).to_item();
        for (name, value) in [
            (CHECKPOINT, text("12:3")),
            (CHECKPOINT, text("soon")),
            (COUNTER, text("7")),
            (COUNTER, json!({"N": "-1"})),
        ] {
            let good = std::mem::replace(&mut item[name], value);
            let error = Row::read(&item).unwrap_err();
            assert!(error.contains(name) && error.contains("shardId-000000000001"), "{error}");
            item[name] = good;
        }
        assert!(Row::read(&json!({})).is_err());
    }
}
