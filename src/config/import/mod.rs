//! Configurations of others that become ours. Pure: text in, text and remarks out.

mod agent_options;
mod comments;
mod kinesis_agent;

pub use kinesis_agent::{AgentError, AgentImport, Imported, kinesis_agent};
