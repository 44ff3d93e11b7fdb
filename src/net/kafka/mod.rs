//! How Kafka clusters are spoken to: by sources that read topics, and by journals that are topics.

mod client;
mod iam;
mod link;
mod oidc;
mod security;
mod tokens;

pub use client::{check_config, client_config};
pub use link::Link;
pub use security::{KafkaTls, Sasl, Security};
pub use tokens::{Token, TokenFeed, Tokens, tokens};
