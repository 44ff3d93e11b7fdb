//! What happens to a record between the journal and its destination.

mod chain;

pub use chain::{Chain, MissingVerdict};
