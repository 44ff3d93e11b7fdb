//! Amazon S3, what speaks its API, and a local folder that takes its place.

mod options;

pub use options::{Checksums, CredentialSource, Encryption, Options};
