//! What a user says of a stream's journal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kafka::KafkaOptions;
use crate::{limits, units::ByteSize};

/// The journal of a stream: how safely and how much it keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Journal")]
pub struct Options {
    /// What an acknowledged record survives.
    pub durability: Durability,
    /// The most disk (with `durability: memory`, memory) that undelivered records may take. At
    /// the limit puts are refused with ServiceUnavailableException; nothing is deleted.
    pub max_size: ByteSize,
    /// A Kafka topic as the journal, for more than one replica. The other settings mean nothing
    /// then: the brokers keep the records, for as long as the topic's retention says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaOptions>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            max_size: ByteSize(limits::JOURNAL_BYTES_DEFAULT),
            kafka: None,
        }
    }
}

/// What an acknowledged record survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// A crash of the daemon, of the system, and a power failure: on stable storage before the
    /// answer.
    #[default]
    Fsync,
    /// A crash of the daemon; not of the system: handed to the operating system before the answer.
    Os,
    /// Nothing: kept in memory only, lost with the process.
    Memory,
}
