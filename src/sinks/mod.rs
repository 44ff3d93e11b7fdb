//! Destinations: one attempt each, honestly classified.

pub mod s3;
