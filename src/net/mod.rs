//! HTTP, TLS, AWS clients and signing, without a word of the domain.

pub mod aws;
#[cfg(test)]
#[path = "../../tests/common/aws_double.rs"]
pub(crate) mod aws_double;
mod credentials;
pub mod glue;
pub mod gzip;
pub mod http;
pub mod kafka;
pub mod keys;
pub mod presigned;
pub mod probe;
pub mod server;
pub mod signed;
pub mod sigv4;
pub mod tls;
#[cfg(test)]
#[path = "../../tests/common/tls_double.rs"]
pub(crate) mod tls_double;
