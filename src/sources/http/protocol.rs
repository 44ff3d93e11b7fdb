//! What a protocol of posted records is to the listener.
//!
//! ```text
//!  listener ─▶ path ─▶ method ─▶ admits ─▶ body (size, pace, unpacking) ─▶ answer ─▶ Putter
//!              404      405      401       413, 408, 415, 400, 503
//! ```
//!
//! A protocol sees only requests that are its own, whole and unpacked, and says success only after
//! its putter did. Everything that goes wrong before is worded by it, too ([`Protocol::refuse`]).

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
    request::Parts,
};

use super::records::Records;
use crate::{
    net::sigv4::sha256,
    record::{CallId, Position},
};

pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Who sent a request, as far as it matters: a digest of the credential that admitted it. All of
/// an endpoint without authentication are one.
pub type Caller = [u8; 32];

/// Whether a request belongs to a protocol's stream.
pub enum Admission {
    Yes(Caller),
    /// It does not, or not yet: others of the same path are asked. If nobody takes it, the first
    /// one's answer is given.
    No(Box<Response<Bytes>>),
}

impl Admission {
    pub fn no(answer: Response<Bytes>) -> Self {
        Self::No(Box::new(answer))
    }
}

/// A request that was admitted, with its whole body.
pub struct Incoming {
    pub head: Parts,
    /// The body, unpacked.
    pub body: Bytes,
    pub caller: Caller,
    pub peer: SocketAddr,
}

/// What stopped a request before its protocol saw it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the body is larger than {max} bytes; send less at a time, or raise `max_body_size`")]
    TooLarge { max: usize },
    #[error("the body came too slowly")]
    TooSlow,
    #[error("the body ended early")]
    Broken,
    #[error("there is no room for the body now, send it again later")]
    Crowded,
    #[error("the encoding {0:?} is not known: use gzip, zstd or none")]
    Encoding(String),
    #[error("the body is not what its Content-Encoding says: {0}")]
    Unpack(String),
    #[error("the stream is being stopped, send it again later")]
    Stopping,
}

impl Refusal {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken | Self::Unpack(_) => StatusCode::BAD_REQUEST,
            Self::Crowded | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    /// Whether sending the same again may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Crowded | Self::Stopping)
    }
}

/// One way to post records. One instance serves one stream.
#[async_trait]
pub trait Protocol: Send + Sync {
    /// The paths it answers, absolute, without a slash at the end; requests may have one.
    fn paths(&self) -> Vec<String>;

    /// The methods a path takes.
    fn methods(&self, _path: &str) -> &'static [Method] {
        const POST: &[Method] = &[Method::POST];
        POST
    }

    /// Digests of the credentials by which it tells its requests from others of the same path
    /// ([`super::auth::digest`]). Empty: it takes whatever comes.
    fn keys(&self) -> Vec<Caller>;

    /// Reads the credentials again, whose files have changed. On an error the old ones stay.
    fn reload(&self) -> Result<(), String>;

    /// Whether a request is its own, from the head alone.
    fn admits(&self, head: &Parts) -> Admission;

    /// Largest body in bytes, as it is sent and as it is unpacked.
    fn max_body(&self) -> usize;

    /// The answer to a request of its own that was stopped before.
    fn refuse(&self, _head: &Parts, refusal: &Refusal) -> Response<Bytes> {
        let answer = problem(refusal.status(), &refusal.to_string());
        if refusal.is_passing() { retry_after(answer, RETRY_AFTER_S) } else { answer }
    }

    /// Answers a request of its own. Success means: stored.
    async fn answer(&self, request: Incoming, putter: &dyn Putter) -> Response<Bytes>;
}

/// Where a protocol puts records.
#[async_trait]
pub trait Putter: Send + Sync {
    /// Stores records, durable on Ok. One part (see [`Records`]) is stored whole or not at all.
    /// Goes on to its end when the client leaves.
    async fn put(&self, records: Records, call: Option<Call>) -> Result<Stored, NotStored>;
}

/// Recognises a call that is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    digest: [u8; 32],
    body_checksum: u32,
}

impl Call {
    /// The call that `parts` name (the protocol, the caller, the key that the client gave) with
    /// this body.
    pub fn of(parts: &[&[u8]], body: &[u8]) -> Self {
        let mut text = Vec::with_capacity(160);
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        }
        Self { digest: sha256(&text), body_checksum: crc32c::crc32c(body) }
    }

    /// The same where not the whole body tells one attempt from another call.
    pub fn with_checksum(parts: &[&[u8]], body_checksum: u32) -> Self {
        Self { body_checksum, ..Self::of(parts, &[]) }
    }

    /// The identity of one part of the call's records.
    pub fn part(&self, index: usize) -> CallId {
        let mut text = [0; 40];
        text[..32].copy_from_slice(&self.digest);
        text[32..].copy_from_slice(&(index as u64).to_be_bytes());
        let mut digest = [0; 16];
        digest.copy_from_slice(&sha256(&text)[..16]);
        CallId { digest, body_checksum: self.body_checksum }
    }
}

/// What was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    pub records: u64,
    /// All of it had been stored before, by an earlier attempt of the same call.
    pub repeated: bool,
    /// Where the first record lies; `None` if there was none.
    pub first: Option<Position>,
}

/// Why records are not stored, and how many of them (the first ones) are all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotStored {
    pub why: Why,
    /// More than 0 only where there were several parts.
    pub stored: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error("the stream's throughput limit is reached, send it again later")]
    Throttled,
    #[error("the stream's journal is full, send it again later")]
    Full,
    #[error("the stream's journal has failed: {0}")]
    Failed(Arc<str>),
    #[error("the stream is being stopped, send it again later")]
    Stopping,
}

/// What clients are told to wait, in seconds, where there is no better number.
pub const RETRY_AFTER_S: u64 = 1;
/// The same for a full journal or a failed one, which seldom mend at once.
pub const RETRY_AFTER_FULL_S: u64 = 10;

impl NotStored {
    /// 429 for the stream's own limit, else 503.
    pub fn status(&self) -> StatusCode {
        match self.why {
            Why::Throttled => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Seconds after which the client may try again.
    pub fn retry_after_s(&self) -> u64 {
        match self.why {
            Why::Throttled | Why::Stopping => RETRY_AFTER_S,
            Why::Full | Why::Failed(_) => RETRY_AFTER_FULL_S,
        }
    }
}

/// An answer with a JSON body.
pub fn json(status: StatusCode, body: &serde_json::Value) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

/// `{"error": "…"}`.
pub fn problem(status: StatusCode, message: &str) -> Response<Bytes> {
    json(status, &serde_json::json!({ "error": message }))
}

/// The answer, with the wait that the client is asked for.
pub fn retry_after(mut answer: Response<Bytes>, seconds: u64) -> Response<Bytes> {
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

/// A header's text, trimmed; `None` where it is missing or empty.
pub fn header<'a>(head: &'a Parts, name: &str) -> Option<Cow<'a, str>> {
    let text = head.headers.get(name)?.as_bytes().trim_ascii();
    (!text.is_empty()).then(|| String::from_utf8_lossy(text))
}

/// Runs what takes long for a body of this size where it does not keep sockets waiting.
pub async fn compute<T: Send + 'static>(
    body_bytes: usize,
    run: impl FnOnce() -> T + Send + 'static,
) -> T {
    /// So much is parsed in well under a millisecond; a change of threads costs more.
    const AT_ONCE_BYTES: usize = 128 * 1024;
    if body_bytes <= AT_ONCE_BYTES {
        return run();
    }
    match tokio::task::spawn_blocking(run).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
