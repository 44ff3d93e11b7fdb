//! Where an object goes: S3 keys.
pub mod java_time;
