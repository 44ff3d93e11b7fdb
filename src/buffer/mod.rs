//! The journal: the durable log of a stream.

mod options;

pub use options::{Durability, Options};
