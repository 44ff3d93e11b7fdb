//! The Firehose wire protocol, from the socket to an in-memory backend.

mod client;
mod doors;
mod fake;
mod limits;
mod sdk;
mod signatures;
mod transport;
