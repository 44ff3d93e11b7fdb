//! What a user says of a journal that is a Kafka topic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{limits, net::kafka::Security, units::Span};

/// A Kafka topic as the journal: any replica accepts records, and any replica delivers them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KafkaJournal")]
pub struct KafkaOptions {
    /// Brokers to begin with, as `host:port`.
    pub brokers: Vec<String>,
    /// The topic; made if it is not there. It must hold nothing else.
    pub topic: String,
    /// Partitions of a topic that is made: the most replicas that can deliver side by side.
    #[serde(default = "KafkaOptions::default_partitions")]
    pub partitions: i32,
    /// Copies of each partition of a topic that is made. If absent: three with three brokers or
    /// more, the brokers' default with fewer. With three copies or more, two must have a record
    /// before it is acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<i32>,
    /// How long the brokers may take to confirm a record; then the client is told to try again.
    #[serde(default = "KafkaOptions::default_ack_timeout")]
    pub ack_timeout: Span,
    /// A replica that was not heard of for so long has its partitions delivered by another.
    #[serde(default = "KafkaOptions::default_session_timeout")]
    pub session_timeout: Span,
    /// TLS to the brokers; plain text if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<crate::net::kafka::KafkaTls>,
    /// Who we are; nobody in particular if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<crate::net::kafka::Sasl>,
}

impl KafkaOptions {
    fn default_partitions() -> i32 {
        limits::KAFKA_JOURNAL_PARTITIONS
    }

    fn default_ack_timeout() -> Span {
        Span(limits::KAFKA_ACK_TIMEOUT)
    }

    fn default_session_timeout() -> Span {
        Span(limits::KAFKA_JOURNAL_SESSION_TIMEOUT)
    }

    pub fn security(&self) -> Security {
        Security { tls: self.tls.clone(), sasl: self.sasl.clone() }
    }
}
