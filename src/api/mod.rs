//! The Firehose wire API, health and metrics, over a `Backend`.

mod answer;
pub mod backend;
pub mod decode;
mod skip;
