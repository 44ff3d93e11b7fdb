//! Where failed records are, as a user names it.

use std::path::PathBuf;

use crate::sinks::{Bucket, SinkError, parse_bucket};

/// `s3://bucket/prefix`, `file:///some/folder` or `file:some/folder`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// All objects whose keys begin with the prefix, as S3 understands it: no folder is meant
    /// unless it ends in `/`.
    S3 { bucket: String, prefix: String },
    /// A folder with all below it, or one file.
    Folder(PathBuf),
}

/// Why a text names no objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    #[error("{0:?} is no place: write s3://bucket/prefix or file:///some/folder")]
    Scheme(String),
    #[error(transparent)]
    Bucket(#[from] SinkError),
}

impl Source {
    pub fn parse(url: &str) -> Result<Self, SourceError> {
        if let Some(rest) = url.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            return match parse_bucket(bucket)? {
                Bucket::S3(bucket) => Ok(Self::S3 { bucket, prefix: prefix.to_owned() }),
                Bucket::Folder(_) => Err(SourceError::Scheme(url.to_owned())),
            };
        }
        if !url.starts_with("file:") {
            return Err(SourceError::Scheme(url.to_owned()));
        }
        match parse_bucket(url)? {
            Bucket::Folder(path) => Ok(Self::Folder(path)),
            Bucket::S3(_) => Err(SourceError::Scheme(url.to_owned())),
        }
    }

    /// What every key begins with.
    pub fn prefix(&self) -> &str {
        match self {
            Self::S3 { prefix, .. } => prefix,
            Self::Folder(_) => "",
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Folder(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let s3 = |bucket: &str, prefix: &str| {
            Ok(Source::S3 { bucket: bucket.into(), prefix: prefix.into() })
        };
        for (url, expected) in [
            ("s3://logs", s3("logs", "")),
            ("s3://logs/", s3("logs", "")),
            ("s3://logs/errors/a b/", s3("logs", "errors/a b/")),
            ("file:///var/errors", Ok(Source::Folder("/var/errors".into()))),
            ("file:errors", Ok(Source::Folder("errors".into()))),
            ("logs/errors", Err(SourceError::Scheme("logs/errors".into()))),
            ("https://logs", Err(SourceError::Scheme("https://logs".into()))),
            ("s3://file:x/y", Err(SourceError::Scheme("s3://file:x/y".into()))),
            ("s3:///y", Err(SinkError::Bucket(String::new()).into())),
        ] {
            assert_eq!(Source::parse(url), expected, "{url}");
        }
        for url in ["s3://logs/errors/", "file:/var/errors"] {
            assert_eq!(Source::parse(url).unwrap().to_string(), url);
        }
    }
}
