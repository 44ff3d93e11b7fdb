//! Records that are posted to us.
//!
//! ```text
//!  Listeners ─▶ Listener (one per address) ─▶ Routes ─▶ Protocol ─▶ Putter ─▶ DirectPut ─▶ journal
//!               accept, TLS, bodies           path,     plain, firehose,
//!               (net::server), unpack         caller    hec, otlp
//! ```
//!
//! Success is answered only after the journal has the records.

pub mod auth;
mod firehose;
mod formats;
pub mod hec;
mod json;
mod listener;
mod listeners;
mod options;
pub mod otlp;
mod plain;
pub mod protocol;
mod putter;
#[cfg(test)]
mod putter_double;
pub mod records;
mod routes;
mod source;
#[cfg(test)]
mod tests;
mod unpack;
mod walk;

pub use listener::State;
pub use listeners::{Conflict, Listeners, conflicts};
pub use options::{Basic, Format, Options, OptionsError, ProtocolName, Secrets};
pub use source::HttpSource;
