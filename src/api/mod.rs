//! The Firehose wire API, health and metrics, over a `Backend`.
//!
//! ```text
//!  socket ─▶ server (accept, TLS, connection limits)
//!         ─▶ handler (route) ─▶ size ─▶ claim ─▶ body ─▶ signature ─▶ decode ─▶ Backend
//!                               413     403   408, 500   403          400
//! ```
//!
//! Whoever cannot name a known key is turned away before a byte of his body is kept.

mod answer;
pub mod backend;
pub mod credentials;
mod daemon;
pub mod decode;
mod decode_fast;
mod handler;
mod route;
pub mod server;
mod skip;

pub use crate::net::server::{ServerLimits, tls};
pub use backend::{Backend, PutAnswer, RecordIds};
pub use daemon::DaemonBackend;
pub use server::{ServeError, Server, serve};
