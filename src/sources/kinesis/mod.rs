//! A Kinesis data stream as a source.
//!
//! ```text
//!  Coordinator ──held──▶ source ──open──▶ ShardReader (polling, fan-out) ──▶ cut ──▶ journal
//!      ▲  ▲                │  one task for each held shard                            │
//!      │  └── shards ── discovery ◀── a shard has ended                               │
//!      └───── checkpoints ◀───────────────────── what is safe ◀───────────────────────┘
//! ```

mod client;
mod cut;
mod discovery;
pub mod fan_out;
mod kpl;
mod leases;
mod options;
mod part;
mod polling;
mod position;
mod reading;
mod shard;
mod since;
mod source;
mod trouble;

pub use client::{AskError, Client, StreamInfo, StreamName};
pub use kpl::UserRecord;
pub use leases::{Alone, DynamoCoordinator, worker_id};
pub use options::{FanOut, Leases, Options, Start};
pub use polling::{Polling, ReaderFactory};
pub use shard::{
    Batch, Checkpoint, CheckpointError, Coordinator, Held, ReadError, Shard, ShardReader,
    StoredRecord,
};
pub use source::KinesisSource;

use crate::sources::Context;

/// What can never work of these options, in words for their author. Asks nobody.
pub fn check(options: &Options, stream: &str) -> Result<(), String> {
    KinesisSource::new(options.clone(), Context::for_check(stream)).map(|_| ())
}
