//! The journal as a Kafka topic: the third implementation, for more than one replica.
//!
//! ```text
//!  replica A   put ─▶ Front ──produce, acks=all──▶ topic ┬ partition 0 ─▶ KafkaLane ─▶ delivery   replica B
//!  replica B   put ─▶ Front ─────────────────────▶       ├ partition 1 ─▶ KafkaLane ─▶ delivery   replica A
//!                                                        └ partition 2 ─▶ KafkaLane ─▶ delivery   replica A
//! ```
//!
//! Every destination has a consumer group of its own, which gives each partition to one replica.
//! A `KafkaLane` is one partition as a journal: positions are offsets, and its one cursor is the group's
//! committed offset. Plans of shipments that are under way stand in the commit's metadata: they
//! are written before a shipment leaves, which the group refuses to a replica that has lost the
//! partition, and whoever has it next sends the same shipments under the same keys.

mod behind;
mod front;
mod lane;
mod member;
mod options;
mod plans;
mod producers;
mod topic;

pub use front::Front;
pub use lane::KafkaLane;
pub use member::{Event, Member};
pub use options::KafkaOptions;

use crate::net::sigv4::sha256;

/// The same at every replica: what names and ids are made of.
fn journal_id(topic: &str, partition: Option<i32>) -> [u8; 16] {
    let name = match partition {
        Some(partition) => format!("kafka journal {topic} {partition}"),
        None => format!("kafka journal {topic}"),
    };
    let mut id = [0; 16];
    id.copy_from_slice(&sha256(name.as_bytes())[..16]);
    id
}
