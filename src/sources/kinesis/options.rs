//! What a user says of a Kinesis data stream to read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{limits, units::Span};

/// A Kinesis data stream to read: all of its shards, through splits and merges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KinesisSource")]
pub struct Options {
    /// The stream's name; or give `stream_arn`, which a stream of another account needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The stream's ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_arn: Option<String>,
    /// Region; the ARN's, or that of the `aws` section, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// URL of a server that speaks Kinesis' API; AWS if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Role to assume for reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// External id that the role asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Where reading begins in shards that nothing is known of yet. Children of shards that were
    /// read begin at their first record whatever this says.
    #[serde(default)]
    pub start: Start,
    /// Time between two GetRecords of a shard that is caught up. All readers of a shard share five
    /// calls a second. Firehose: 1 s.
    #[serde(default = "Options::default_poll_interval")]
    pub poll_interval: Span,
    /// Read by enhanced fan-out: 2 MiB/s for each shard that no other reader shares, at extra cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enhanced_fan_out: Option<FanOut>,
    /// Share the shards with other replicas; one alone keeps its positions by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases: Option<Leases>,
}

impl Options {
    /// A stream by its ARN, by everything else's default.
    pub fn of_arn(arn: &str) -> Self {
        Self {
            stream: None,
            stream_arn: Some(arn.to_owned()),
            region: None,
            endpoint: None,
            role_arn: None,
            external_id: None,
            start: Start::default(),
            poll_interval: Self::default_poll_interval(),
            enhanced_fan_out: None,
            leases: None,
        }
    }

    fn default_poll_interval() -> Span {
        Span(limits::KINESIS_POLL_INTERVAL)
    }
}

/// Where reading begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At what comes in from now on, as Firehose does.
    #[default]
    Latest,
    /// At the oldest record that is kept.
    TrimHorizon,
    /// At the first record that arrived at or after this RFC 3339 time.
    AtTimestamp(String),
}

/// Enhanced fan-out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FanOut {
    /// The consumer's name; it is registered if it is not there. Default: `standpipe-STREAM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// ARN of a consumer that is registered already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_arn: Option<String>,
}

/// Leases in DynamoDB, in the table format of the Kinesis Client Library 2.x.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Leases {
    /// The table: the application's name of the Kinesis Client Library. It is made (on demand
    /// billing) if it is not there.
    pub table: String,
    /// URL of a server that speaks DynamoDB's API; AWS if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// This replica's name in the table, different for each: `leaseOwner`. Default: one made from
    /// the host's name that the data directory keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// A lease that was not renewed for so long may be taken by another replica.
    #[serde(default = "Leases::default_failover")]
    pub failover: Span,
    /// The most leases this replica holds at a time; no limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_leases: Option<u32>,
}

impl Leases {
    fn default_failover() -> Span {
        Span(limits::LEASE_FAILOVER)
    }
}
