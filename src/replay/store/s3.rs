//! A bucket of S3 as a store.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Body, Object, StoreError};
use crate::{
    fault::Fault,
    limits,
    sinks::{
        SinkError,
        s3::{self, Options},
    },
};

/// What may stand in `x-amz-copy-source` as it is.
const COPY_SOURCE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// One bucket, and those that its manifests name.
pub struct S3Bucket {
    client: Client,
    bucket: String,
}

impl S3Bucket {
    /// Asks nobody yet.
    pub async fn connect(options: Options) -> Result<Self, SinkError> {
        let client = s3::reader(&options).await?;
        Ok(Self { client, bucket: options.bucket })
    }

    pub(super) fn list(&self, prefix: &str) -> Listing<'_> {
        Listing { bucket: self, prefix: prefix.to_owned(), token: None, ended: false }
    }

    pub(super) async fn named(&self, url: &str) -> Result<Object, StoreError> {
        let parts = url.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        let Some((bucket, key)) = parts.filter(|(_, key)| !key.is_empty()) else {
            return Err(StoreError::Object("it is no object of S3".to_owned()));
        };
        let head = again("HeadObject", || self.client.head_object().bucket(bucket).key(key).send())
            .await?;
        Ok(Object {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            size_bytes: head.content_length().and_then(|size| size.try_into().ok()).unwrap_or(0),
            modified_ms: head.last_modified().map_or(0, millis),
            etag: head.e_tag().unwrap_or_default().to_owned(),
        })
    }

    pub(super) async fn open(&self, object: &Object, offset: u64) -> Result<Body, StoreError> {
        let range = (offset > 0).then(|| format!("bytes={offset}-"));
        let etag = Some(object.etag.clone()).filter(|etag| !etag.is_empty());
        let answer = again("GetObject", || {
            // Another object under the same key is not what was listed: 412.
            self.client
                .get_object()
                .bucket(&object.bucket)
                .key(&object.key)
                .set_if_match(etag.clone())
                .set_range(range.clone())
                .send()
        })
        .await?;
        Ok(Body::S3(answer.body))
    }

    pub(super) async fn delete(&self, object: &Object) -> Result<(), StoreError> {
        again("DeleteObject", || {
            self.client.delete_object().bucket(&object.bucket).key(&object.key).send()
        })
        .await?;
        Ok(())
    }

    /// S3 cannot rename: the object is copied, and deleted once the copy is there.
    pub(super) async fn move_to(&self, object: &Object, key: &str) -> Result<(), StoreError> {
        let source = format!("{}/{}", object.bucket, object.key);
        let source = utf8_percent_encode(&source, COPY_SOURCE).to_string();
        again("CopyObject", || {
            self.client.copy_object().bucket(&object.bucket).key(key).copy_source(&source).send()
        })
        .await?;
        self.delete(object).await
    }
}

/// Pages of ListObjectsV2.
pub struct Listing<'a> {
    bucket: &'a S3Bucket,
    prefix: String,
    token: Option<String>,
    ended: bool,
}

impl Listing<'_> {
    pub(super) async fn next(&mut self) -> Result<Vec<Object>, StoreError> {
        let S3Bucket { client, bucket } = self.bucket;
        while !self.ended {
            let page = again("ListObjectsV2", || {
                client
                    .list_objects_v2()
                    .bucket(bucket)
                    .prefix(&self.prefix)
                    .set_continuation_token(self.token.clone())
                    .send()
            })
            .await
            // Without a listing there is nothing to go on with.
            .map_err(|error| StoreError::Store(error.to_string()))?;
            let token = page.next_continuation_token().map(ToOwned::to_owned);
            // A server that repeats a page would never end.
            self.ended = token.is_none() || token == self.token;
            self.token = token;
            let objects = page.contents().iter().filter_map(|object| {
                let key = object.key()?;
                // Consoles put empty objects where folders should be.
                (!key.ends_with('/')).then(|| Object {
                    bucket: bucket.clone(),
                    key: key.to_owned(),
                    size_bytes: object.size().and_then(|size| size.try_into().ok()).unwrap_or(0),
                    modified_ms: object.last_modified().map_or(0, millis),
                    etag: object.e_tag().unwrap_or_default().to_owned(),
                })
            });
            let objects: Vec<Object> = objects.collect();
            if !objects.is_empty() {
                return Ok(objects);
            }
        }
        Ok(Vec::new())
    }
}

fn millis(time: &aws_sdk_s3::primitives::DateTime) -> i64 {
    time.to_millis().unwrap_or(0)
}

/// Sends a request until it is answered, with growing waits after passing trouble.
async fn again<T, E, Answer>(
    operation: &'static str,
    mut request: impl FnMut() -> Answer,
) -> Result<T, StoreError>
where
    Answer: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let mut wait = limits::S3_BACKOFF_INITIAL;
    for attempt in 1.. {
        let fault = match request().await {
            Ok(answer) => return Ok(answer),
            Err(error) => s3::fault(operation, &error),
        };
        match &fault {
            Fault::Retry { cause, after } if attempt < limits::REPLAY_ATTEMPTS => {
                tracing::debug!(operation, code = cause.code, "request is sent again");
                tokio::time::sleep(after.unwrap_or(Duration::ZERO).max(wait)).await;
                wait = (wait * 2).min(limits::S3_BACKOFF_MAX);
            }
            _ => return Err(fault.into()),
        }
    }
    unreachable!("the loop has no end but its returns")
}

#[cfg(test)]
#[path = "s3_tests.rs"]
mod tests;
