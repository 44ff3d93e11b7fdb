//! Destinations: one attempt each, honestly classified.

pub mod datadog;
pub mod file;
pub mod http_endpoint;
pub mod layers;
pub mod opensearch;
pub mod registered;
pub mod s3;
pub mod splunk;

use std::{path::PathBuf, sync::Arc};

use crate::{env::Env, seams::Sink};

/// A bucket as a configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bucket {
    /// A bucket of S3, by name or access point ARN.
    S3(String),
    /// A local folder.
    Folder(PathBuf),
}

/// Why no sink can be made of these options. None of it depends on the destination being up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    #[error("{0:?} is no bucket: write its name alone, or file:///some/folder")]
    Bucket(String),
    #[error("{0:?} names a folder of another host: write file:///some/folder")]
    FolderHost(String),
    #[error("{0:?} is no endpoint: write http://host:port or https://host:port")]
    Endpoint(String),
}

/// Tells a bucket's name from a folder: `logs`, `file:///var/log/out`, `file:relative/folder`.
/// What follows `file:` is a path as it stands; `%20` stays `%20`.
pub fn parse_bucket(text: &str) -> Result<Bucket, SinkError> {
    let wrong = || SinkError::Bucket(text.to_owned());
    if let Some(path) = text.strip_prefix("file:") {
        let path = match path.strip_prefix("//") {
            Some(rest) if rest.starts_with('/') => rest,
            Some("") => return Err(wrong()),
            Some(_) => return Err(SinkError::FolderHost(text.to_owned())),
            None => path,
        };
        if path.is_empty() || path.contains('\0') {
            return Err(wrong());
        }
        return Ok(Bucket::Folder(PathBuf::from(path)));
    }
    // An access point's ARN holds colons and a slash; a plain name neither.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let arn = |c: char| plain(c) || matches!(c, ':' | '/');
    let fits = match text.strip_prefix("arn:") {
        Some(rest) => rest.chars().all(arn),
        None => text.chars().all(plain),
    };
    if text.is_empty() || !fits { Err(wrong()) } else { Ok(Bucket::S3(text.to_owned())) }
}

/// The sink for these options. Neither the bucket nor any credentials are asked for here: what
/// is wrong with them shows at the first delivery and holds the destination.
pub async fn connect(options: s3::Options, env: &Env) -> Result<Arc<dyn Sink>, SinkError> {
    match parse_bucket(&options.bucket)? {
        Bucket::S3(_) => connect_as_is(options, env).await,
        Bucket::Folder(root) => {
            let sink = file::FileSink::new(root, env.files.clone());
            sink.prepare().await;
            Ok(Arc::new(sink))
        }
    }
}

/// The same, without making a folder ready that is not there: for a look at it.
pub async fn connect_as_is(options: s3::Options, env: &Env) -> Result<Arc<dyn Sink>, SinkError> {
    match parse_bucket(&options.bucket)? {
        Bucket::S3(_) => Ok(Arc::new(s3::S3Sink::connect(options).await?)),
        Bucket::Folder(root) => Ok(Arc::new(file::FileSink::new(root, env.files.clone()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_folders_are_told_apart() {
        let folder = |path: &str| Ok(Bucket::Folder(PathBuf::from(path)));
        let s3 = |name: &str| Ok(Bucket::S3(name.to_owned()));
        for (text, expected) in [
            ("my-logs", s3("my-logs")),
            ("My_old.Bucket", s3("My_old.Bucket")),
            (
                "arn:aws:s3:eu-west-1:123456789012:accesspoint/logs",
                s3("arn:aws:s3:eu-west-1:123456789012:accesspoint/logs"),
            ),
            ("file:///var/log/out", folder("/var/log/out")),
            ("file:///with space/100%25", folder("/with space/100%25")),
            ("file:/var/log/out", folder("/var/log/out")),
            ("file:out", folder("out")),
            ("file:./out", folder("./out")),
            ("file://host/out", Err(SinkError::FolderHost("file://host/out".into()))),
            ("file:", Err(SinkError::Bucket("file:".into()))),
            ("file://", Err(SinkError::Bucket("file://".into()))),
            ("", Err(SinkError::Bucket(String::new()))),
            ("s3://my-logs", Err(SinkError::Bucket("s3://my-logs".into()))),
            ("my-logs/prefix", Err(SinkError::Bucket("my-logs/prefix".into()))),
        ] {
            assert_eq!(parse_bucket(text), expected, "{text}");
        }
    }
}
