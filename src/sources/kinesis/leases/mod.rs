//! Who reads which shard.
//!
//! ```text
//! alone:  every shard is ours; positions in a file of the data directory
//! dynamo: a table in DynamoDB, in the format and by the rules of the Kinesis Client Library 2.x
//!
//!   sync ──▶ plan ──▶ rows of shards ─┐
//!   take ──▶ scan ──▶ balance ──▶ take├──▶ holdings ──▶ held()
//!   renew, checkpoint ────────────────┤        ▲
//!   fence (own monotonic clock) ──────┴────────┘
//! ```

mod alone;
mod balance;
mod dynamo;
mod holding;
mod item;
mod plan;
mod rounds;
mod table;
mod worker;

#[cfg(test)]
mod tests;

pub use alone::Alone;
pub use dynamo::DynamoCoordinator;
pub use worker::worker_id;
