//! The Firehose API's configuration shapes.

mod error;

pub use error::ApiError;
