//! HTTP, TLS, AWS clients and signing, without a word of the domain.

pub mod aws;
pub mod sigv4;
