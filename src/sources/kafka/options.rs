//! What a user says of Kafka: brokers, security, topics.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    limits,
    net::kafka::Security,
    units::{ByteSize, Span},
};

/// Topics of a Kafka cluster (or MSK) to read, as a member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KafkaSource")]
pub struct Options {
    /// Brokers to begin with, as `host:port`; of an MSK cluster `cluster_arn` finds them, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brokers: Vec<String>,
    /// ARN of an MSK cluster whose brokers are asked for (GetBootstrapBrokers), in place of
    /// `brokers`: those that take `sasl` (`aws_msk_iam`, `scram_sha512`), TLS or plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_arn: Option<String>,
    /// How an MSK cluster is reached: from within its network, or from outside.
    #[serde(default)]
    pub connectivity: Connectivity,
    /// Topics to read. One that begins with `^` is a regular expression over all topics' names.
    pub topics: Vec<String>,
    /// The consumer group. Default: `standpipe-STREAM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// This replica's name in the group (`group.instance.id`), different for each: a restart
    /// within the session timeout then moves no partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Where reading begins in partitions that the group has no offset of.
    #[serde(default)]
    pub start: Start,
    /// A member that was not heard of for so long has its partitions taken from it.
    #[serde(default = "Options::default_session_timeout")]
    pub session_timeout: Span,
    /// Larger records go whole to the error output. Firehose: 10 MB.
    #[serde(default = "Options::default_max_record_size")]
    pub max_record_size: ByteSize,
    /// What becomes of records with a key and no value: `deliver` an empty record, or `skip`.
    #[serde(default)]
    pub tombstones: Tombstones,
    #[serde(flatten)]
    pub security: Security,
    /// Further settings of librdkafka, by its names. Those that Standpipe needs otherwise are
    /// refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub librdkafka: BTreeMap<String, String>,
}

impl Options {
    /// A topic of an MSK cluster, by everything else's default.
    pub fn of_cluster(arn: &str, connectivity: Connectivity, topic: &str) -> Self {
        Self {
            brokers: Vec::new(),
            cluster_arn: Some(arn.to_owned()),
            connectivity,
            topics: vec![topic.to_owned()],
            group: None,
            instance_id: None,
            start: Start::default(),
            session_timeout: Self::default_session_timeout(),
            max_record_size: Self::default_max_record_size(),
            tombstones: Tombstones::default(),
            security: Security::default(),
            librdkafka: BTreeMap::new(),
        }
    }

    fn default_session_timeout() -> Span {
        Span(limits::KAFKA_SESSION_TIMEOUT)
    }

    fn default_max_record_size() -> ByteSize {
        ByteSize(limits::KAFKA_RECORD_BYTES_DEFAULT)
    }
}

/// How an MSK cluster is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Connectivity {
    /// By the addresses of its own network.
    #[default]
    Private,
    /// By its public addresses.
    Public,
}

/// Where reading begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At what comes in from now on, as Firehose does.
    #[default]
    Latest,
    /// At the oldest record that is kept.
    Earliest,
    /// At the first record whose timestamp is not before this RFC 3339 time.
    AtTimestamp(String),
}

/// What becomes of records with a key and no value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tombstones {
    /// An empty record; `$source.tombstone` tells it from one that is empty.
    Deliver,
    /// Passed over, and counted.
    #[default]
    Skip,
}
