//! Where objects are: a bucket of S3 or a local folder.
//!
//! Objects are listed page by page and read as streams from any offset on, so a connection that
//! breaks in the middle of a large object costs only what was on its way. Names are keys in both
//! cases: below a folder they are the paths, with `/` between them.

mod folder;
mod s3;

use std::io;

use bytes::Bytes;

pub use folder::Folder;
pub use s3::S3Bucket;

use super::source::Source;
use crate::{
    fault::Fault,
    sinks::{SinkError, s3::Options},
};

/// An object as it was listed. It is another one if any of this differs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Object {
    /// The bucket; empty below a folder.
    pub bucket: String,
    pub key: String,
    pub size_bytes: u64,
    /// When it was last written, in milliseconds since 1970.
    pub modified_ms: i64,
    /// Empty below a folder.
    pub etag: String,
}

/// Why an object, or the store as a whole, could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// This object is not to be had: it is gone, or nobody may read it. Others may be.
    #[error("{0}")]
    Object(String),
    /// The store does not answer, however often it is asked.
    #[error("{0}")]
    Store(String),
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Retry { cause, .. } => Self::Store(cause.to_string()),
            other => Self::Object(other.cause().to_string()),
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Object(error.to_string())
    }
}

/// A bucket of S3 or a local folder.
pub enum Store {
    S3(S3Bucket),
    Folder(Folder),
}

impl Store {
    /// The store of a source. `options` says how S3 is reached; its bucket is the source's.
    pub async fn connect(source: &Source, options: Options) -> Result<Self, SinkError> {
        match source {
            Source::S3 { bucket, .. } => Ok(Self::S3(
                S3Bucket::connect(Options { bucket: bucket.clone(), ..options }).await?,
            )),
            Source::Folder(path) => Ok(Self::Folder(Folder::new(path.clone()))),
        }
    }

    /// Goes through the objects whose keys begin with the prefix, in the order of their names.
    pub fn list(&self, prefix: &str) -> Listing<'_> {
        match self {
            Self::S3(bucket) => Listing::S3(bucket.list(prefix)),
            Self::Folder(folder) => Listing::Folder(folder.list()),
        }
    }

    /// Whether an object under this key would be listed under the prefix.
    pub(super) fn lists(&self, prefix: &str, key: &str) -> bool {
        match self {
            Self::S3(_) => key.starts_with(prefix),
            Self::Folder(folder) => folder.contains(key),
        }
    }

    /// The object that a manifest names.
    pub async fn named(&self, url: &str) -> Result<Object, StoreError> {
        match self {
            Self::S3(bucket) => bucket.named(url).await,
            Self::Folder(folder) => folder.named(url),
        }
    }

    /// The bytes from an offset on.
    pub async fn open(&self, object: &Object, offset: u64) -> Result<Body, StoreError> {
        match self {
            Self::S3(bucket) => bucket.open(object, offset).await,
            Self::Folder(folder) => folder.open(object, offset),
        }
    }

    pub async fn delete(&self, object: &Object) -> Result<(), StoreError> {
        match self {
            Self::S3(bucket) => bucket.delete(object).await,
            Self::Folder(folder) => folder.delete(object),
        }
    }

    /// Moves an object; one that is there already under this key is replaced.
    pub async fn move_to(&self, object: &Object, key: &str) -> Result<(), StoreError> {
        match self {
            Self::S3(bucket) => bucket.move_to(object, key).await,
            Self::Folder(folder) => folder.move_to(object, key),
        }
    }
}

/// Objects, page by page.
pub enum Listing<'a> {
    S3(s3::Listing<'a>),
    Folder(folder::Listing),
}

impl Listing<'_> {
    /// The next objects; none at the end.
    pub async fn next(&mut self) -> Result<Vec<Object>, StoreError> {
        match self {
            Self::S3(listing) => listing.next().await,
            Self::Folder(listing) => listing.next(),
        }
    }
}

/// The bytes of an object, as they come.
pub enum Body {
    S3(aws_sdk_s3::primitives::ByteStream),
    File(std::fs::File),
}

impl Body {
    /// The next bytes; nothing at the end. Files are read where this is called: callers have a
    /// thread of their own.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::S3(stream) => stream.try_next().await.map_err(io::Error::other),
            Self::File(file) => folder::next(file),
        }
    }
}
