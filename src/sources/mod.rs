//! Where records come from.
//!
//! `direct_put` is pushed to, and so is `http`, which puts through it. `kinesis`, `kafka` and
//! `file` pull: they store where they stand beside the records (`checkpoints`).

mod checkpoints;
mod context;
mod direct_put;
pub mod file;
pub mod http;
pub mod kafka;
pub mod kinesis;
#[cfg(test)]
mod testing;
mod throttle;

pub use checkpoints::{Checkpoints, NotPut};
pub use context::Context;
pub use direct_put::{Accepted, DirectPut, PutError};
pub use throttle::{Limits, Throttle};
