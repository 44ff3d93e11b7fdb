//! What leaves the machine: clients, credentials and signing. No word of records or streams.

pub mod aws;
