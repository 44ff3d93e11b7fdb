//! Topics of a Kafka cluster as a source, MSK among them.
//!
//! A thread reads (`reader`), as a member of a consumer group (`group`), from where it was found
//! out to begin (`start`). Records are gathered to puts of one partition each (`gather`) that go
//! to the journal beside each other (`lane`). The group is told of what is safe, and of no more
//! (`commits`).

mod commits;
mod events;
mod gather;
mod group;
mod lane;
mod msk;
mod options;
mod reader;
mod source;
mod start;
#[cfg(test)]
mod tests;

pub use options::{Connectivity, Options, Start, Tombstones};
pub use source::KafkaSource;

use crate::sources::Context;

/// What can never work of these options, in words for their author. Asks nobody.
pub fn check(options: &Options, stream: &str) -> Result<(), String> {
    KafkaSource::new(options.clone(), Context::for_check(stream)).map(|_| ())
}
