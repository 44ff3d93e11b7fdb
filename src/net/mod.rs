//! HTTP, TLS and signing, without a word of the domain.

pub mod sigv4;
