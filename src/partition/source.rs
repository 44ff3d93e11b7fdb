//! What a prefix takes from where a record comes from: the namespace `source`.

use std::{borrow::Cow, fmt};

use bytes::Bytes;

use crate::record::{Notes, Place, RecordOrigin};

/// Begins the names of a Kafka record's headers.
const HEADER: &str = "header.";

/// The name in `!{source:NAME}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SourceKey {
    Topic,
    Partition,
    ShardId,
    Path,
    StreamArn,
    Key,
    PartitionKey,
    Header(String),
}

impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topic => "topic",
            Self::Partition => "partition",
            Self::ShardId => "shard_id",
            Self::Path => "path",
            Self::StreamArn => "stream_arn",
            Self::Key => "key",
            Self::PartitionKey => "partition_key",
            Self::Header(name) => return write!(f, "{HEADER}{name}"),
        })
    }
}

/// Why a record gives no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoValue {
    #[error("the record has no {0} in its source, and the prefix takes !{{source:{0}}}")]
    Missing(SourceKey),
    #[error("the record's {0} in its source is empty, and the prefix takes !{{source:{0}}}")]
    Empty(SourceKey),
    #[error("the record's {0} in its source is not UTF-8, and the prefix takes !{{source:{0}}}")]
    NotText(SourceKey),
}

impl SourceKey {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "topic" => Self::Topic,
            "partition" => Self::Partition,
            "shard_id" => Self::ShardId,
            "path" => Self::Path,
            "stream_arn" => Self::StreamArn,
            "key" => Self::Key,
            "partition_key" => Self::PartitionKey,
            _ => {
                let header = name.strip_prefix(HEADER).filter(|header| !header.is_empty())?;
                Self::Header(header.to_owned())
            }
        })
    }

    /// The value of a record, never empty.
    pub(super) fn value<'a>(&self, notes: &'a Notes) -> Result<Cow<'a, str>, NoValue> {
        let origin = notes.origin();
        let place = origin.and_then(|origin| origin.place());
        let record = origin.and_then(|origin| origin.record());
        let of_place = |get: fn(&Place) -> &Option<String>| place.and_then(|of| get(of).as_deref());
        let text = match self {
            Self::Topic => of_place(|place| &place.topic),
            Self::ShardId => of_place(|place| &place.shard_id),
            Self::Path => of_place(|place| &place.path),
            Self::StreamArn => of_place(|place| &place.stream_arn),
            Self::PartitionKey => record.and_then(|record| record.partition_key.as_deref()),
            Self::Partition => {
                let partition = place.and_then(|place| place.partition);
                let partition = partition.ok_or_else(|| NoValue::Missing(self.clone()))?;
                return Ok(partition.to_string().into());
            }
            Self::Key => self.text(record.and_then(|record| record.key.as_ref()))?,
            Self::Header(name) => self.text(record.and_then(|record| header(record, name)))?,
        };
        match text {
            None => Err(NoValue::Missing(self.clone())),
            Some("") => Err(NoValue::Empty(self.clone())),
            Some(text) => Ok(Cow::Borrowed(text)),
        }
    }

    fn text<'a>(&self, bytes: Option<&'a Bytes>) -> Result<Option<&'a str>, NoValue> {
        let text = bytes.map(|bytes| simdutf8::basic::from_utf8(bytes)).transpose();
        text.map_err(|_| NoValue::NotText(self.clone()))
    }
}

/// The value of a header. Of a name that comes twice the last counts, as in `$source` of jq.
fn header<'a>(record: &'a RecordOrigin, name: &str) -> Option<&'a Bytes> {
    let header = record.headers.iter().rev().find(|header| header.name == name);
    header.and_then(|header| header.value.as_ref())
}
