//! The Firehose API's configuration shapes.
