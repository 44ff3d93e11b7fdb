//! The HTTP client that everything outside the AWS SDK shares: one pool of connections, bounded
//! answers, and errors that say on whose side the trouble is.
//!
//! Redirects are not followed: a signed or authenticated request must not wander to another host.
//! Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`, ...), as the SDK's client
//! takes them.

use std::{collections::HashMap, error::Error as _, sync::LazyLock, time::Duration};

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use hyper_rustls::ConfigBuilderExt;
use parking_lot::Mutex;
pub use reqwest::{Client, Request, Url};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use tokio::runtime::{Handle, Id};

use crate::limits;

/// What a server answered, whatever the status.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The wait that the server asks for in seconds, up to [`limits::RETRY_AFTER_MAX`]. The form
    /// with a date is not read.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds: u64 = self.header("retry-after")?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds).min(limits::RETRY_AFTER_MAX))
    }
}

/// Why there is no answer. The texts hold no URL, for a URL may hold a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No connection: name, port, route, proxy or TLS. The server has seen nothing of the request.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The answer was not complete in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The answer is larger than allowed; the rest of it was not read.
    #[error("the answer is larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    /// The connection was lost before the answer was complete. The server may have done the work.
    #[error("the connection was lost: {0}")]
    Broken(String),
    /// There are no credentials to sign with.
    #[error("no credentials: {0}")]
    Credentials(String),
    /// The request cannot be sent at all: a header or a path that HTTP does not allow.
    #[error("the request cannot be made: {0}")]
    Request(String),
}

/// Why a text is no address to send requests to. The text itself is not repeated: it may hold a
/// password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no URL of a server: write http://host:port or https://host:port")]
pub struct UrlError;

/// Reads an absolute URL with a host, of HTTP or HTTPS.
pub fn parse_url(text: &str) -> Result<Url, UrlError> {
    let url: Url = text.parse().map_err(|_| UrlError)?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.fragment().is_none();
    if fits { Ok(url) } else { Err(UrlError) }
}

/// The client of the current runtime. A pooled connection is driven by the runtime that opened it,
/// so a process with several runtimes (as tests have) gets one pool for each.
pub fn client() -> Client {
    static CLIENTS: LazyLock<Mutex<HashMap<Id, Client>>> = LazyLock::new(Mutex::default);
    CLIENTS.lock().entry(Handle::current().id()).or_insert_with(new_client).clone()
}

fn new_client() -> Client {
    Client::builder()
        .use_preconfigured_tls(tls())
        .user_agent(concat!("standpipe/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(limits::CONNECT_TIMEOUT)
        .pool_idle_timeout(limits::IDLE_CONNECTION)
        // Answers may be minutes away; what stands between must not forget the connection.
        .tcp_keepalive(limits::KEEP_ALIVE)
        .http2_keep_alive_interval(limits::KEEP_ALIVE)
        .http2_keep_alive_timeout(limits::STALL_GRACE)
        .build()
        .expect("the TLS configuration is of the very type the client takes")
}

/// TLS as the rest of the program speaks it: aws-lc, and the certificates of the machine.
fn tls() -> ClientConfig {
    static TLS: LazyLock<ClientConfig> = LazyLock::new(|| {
        let builder = || {
            ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
                .with_safe_default_protocol_versions()
                .expect("aws-lc knows a cipher suite for every version")
        };
        let mut config = match builder().with_native_roots() {
            Ok(builder) => builder.with_no_client_auth(),
            Err(error) => {
                // Plain HTTP still works; over TLS every server is now unknown.
                tracing::warn!(%error, "no certificates of authorities on this machine");
                builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    });
    TLS.clone()
}

/// Sends a request once and reads the answer, all within `timeout` and never more than
/// `answer_limit` bytes of body.
pub async fn send(
    request: Request,
    timeout: Duration,
    answer_limit: usize,
) -> Result<Answer, SendError> {
    match tokio::time::timeout(timeout, exchange(request, answer_limit)).await {
        Ok(answer) => answer,
        Err(_) => Err(SendError::Timeout(timeout)),
    }
}

async fn exchange(request: Request, answer_limit: usize) -> Result<Answer, SendError> {
    let mut response = client().execute(request).await.map_err(failure)?;
    let too_large = || SendError::TooLarge { limit_bytes: answer_limit };
    let declared = response.content_length().unwrap_or(0);
    if declared > answer_limit as u64 {
        return Err(too_large());
    }
    let mut body = Vec::with_capacity(declared as usize);
    while let Some(piece) = response.chunk().await.map_err(failure)? {
        if body.len() + piece.len() > answer_limit {
            return Err(too_large());
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: body.into(),
    })
}

fn failure(error: reqwest::Error) -> SendError {
    if error.is_connect() {
        SendError::Connect(root_cause(error))
    } else if error.is_builder() {
        SendError::Request(root_cause(error))
    } else {
        SendError::Broken(root_cause(error))
    }
}

/// The innermost text of an error; the outer ones repeat the URL.
fn root_cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text.chars().take(limits::MESSAGE_CHARS_MAX).collect()
}
