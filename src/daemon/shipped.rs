//! Whether a file may be deleted: every byte of it is safe.

use std::path::Path;

use serde::Serialize;

use super::Daemon;
use crate::sources::file::is_shipped;

/// How much of a file is safe with one stream that follows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShippedFile {
    pub stream: String,
    /// Bytes from its beginning that are safe.
    pub bytes: u64,
    /// Its size.
    pub size: u64,
    /// Whether every byte is.
    pub shipped: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ShippedError {
    #[error("{0} cannot be read by the daemon: {1}")]
    Unreadable(String, std::io::Error),
    #[error(
        "no stream follows {0}: give the path as it stands in the daemon's own filesystem, and see \
         `source.file.include`"
    )]
    NotFollowed(String),
}

impl Daemon {
    /// How much of a file is safe: in a durable journal, or delivered to every destination. With
    /// each stream that follows it. Reads the file's beginning.
    pub async fn shipped(&self, path: &Path) -> Result<Vec<ShippedFile>, ShippedError> {
        let shown = || path.display().to_string();
        let mut found = Vec::new();
        for stream in self.streams().values() {
            let Some(source) = stream.file_source() else { continue };
            let (positions, asked) = (source.positions(), path.to_owned());
            let read = tokio::task::spawn_blocking(move || is_shipped(&positions, &asked)).await;
            let shipped = read.map_err(std::io::Error::other).flatten();
            let shipped = shipped.map_err(|error| ShippedError::Unreadable(shown(), error))?;
            // Under another name than the patterns say it is known by what it holds.
            if source.follows(path) || shipped.bytes > 0 {
                found.push(ShippedFile {
                    stream: stream.name.clone(),
                    bytes: shipped.bytes,
                    size: shipped.size,
                    shipped: shipped.is_complete(),
                });
            }
        }
        if found.is_empty() {
            return Err(ShippedError::NotFollowed(shown()));
        }
        Ok(found)
    }
}
