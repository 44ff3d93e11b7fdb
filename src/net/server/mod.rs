//! A listener for HTTP: connections, TLS, their limits, bodies, and the orderly end. The requests
//! are a [`Service`]'s.
//!
//! ```text
//!  socket ─▶ accept (slot, TLS, pace of heads, idleness) ─▶ Service ─▶ Bodies (memory, pace)
//! ```

mod accept;
mod body;
mod files;
mod idle;
mod limits;
mod memory;
mod origin;
pub mod tls;

pub use accept::{Answer, Peer, Service, accept};
pub use body::{Bodies, BodyError, Received, Sender, declared_length, drain};
pub use files::Watch;
pub use limits::ServerLimits;
pub use memory::Share;
pub use origin::is_foreign_page;
pub use tls::TlsOptions;
