//! Standpipe: a self-hosted Amazon Data Firehose.
//!
//! The modules stand in the order in which a record meets them; see `ARCHITECTURE.md` for the
//! map. Imports point strictly downward (`tests/tidy.rs` checks the table there).
#![forbid(unsafe_code)]

// Layer 0: vocabulary, bounds and the machine.
pub mod env;
pub mod fault;
pub mod limits;
pub mod net;
pub mod record;
pub mod retry;
pub mod seams;
pub mod telemetry;
pub mod units;

// Layer 1: the rooms a record passes; they do not know each other.
pub mod backup;
pub mod batch;
pub mod buffer;
pub mod encode;
pub mod partition;
pub mod sinks;
pub mod sources;
pub mod transform;

// Layer 2: the record's way, and what describes it.
pub mod config;
pub mod delivery;
pub mod replay;

// Layer 3: the composition root.
pub mod daemon;

// Layer 4 and 5: the outside.
pub mod api;
pub mod cli;
