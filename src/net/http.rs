//! The HTTP client that everything outside the AWS SDK shares: one pool of connections for each
//! kind of TLS, bounded answers, and errors that say on whose side the trouble is.
//!
//! Redirects are not followed: a signed or authenticated request must not wander to another host.
//! Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`, ...), as the SDK's client
//! takes them.

mod stream;

use std::{collections::HashMap, error::Error, io, sync::LazyLock, time::Duration};

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use hyper::ext::ReasonPhrase;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use parking_lot::Mutex;
pub use reqwest::{Client, Request, Url};
use tokio::runtime::{Handle, Id};

pub use self::stream::{Body, Streamed};
use super::tls::{self, Stamp};
pub use super::tls::{Tls, TlsError, TlsTrouble};
use crate::{
    env::{Clock, SystemClock},
    limits,
};

/// What a server answered, whatever the status.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    /// What stands behind the status in HTTP/1, where it is not what usually stands there. Its
    /// first [`limits::MESSAGE_CHARS_MAX`] characters.
    pub reason: Option<String>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The wait that the server asks for, up to [`limits::RETRY_AFTER_MAX`]: seconds, or a date
    /// (RFC 9110, 10.2.3). A date counts from the server's own `Date`, where it tells it, so that
    /// clocks need not agree.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after")?.trim();
        let wait = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let now = self.header("date").and_then(http_date);
                let now_ms =
                    now.map_or_else(|| SystemClock::default().now_ms(), |at| at.as_millisecond());
                let wait_ms = http_date(text)?.as_millisecond() - now_ms;
                Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0))
            }
        };
        Some(wait.min(limits::RETRY_AFTER_MAX))
    }
}

/// A date in any of the three forms of RFC 9110, 5.6.7.
fn http_date(text: &str) -> Option<Timestamp> {
    const FORMS: [&str; 3] =
        ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let date = FORMS.iter().find_map(|form| DateTime::strptime(form, text.trim()).ok())?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Why there is no answer. The texts hold no URL, for a URL may hold a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No connection: name, port, route or proxy. The server has seen nothing of the request.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// No secure connection, or one that fell apart.
    #[error("TLS: {1}")]
    Tls(TlsTrouble, String),
    /// The answer was not complete in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The answer is larger than allowed; the rest of it was not read.
    #[error("the answer is larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    /// The connection was lost before the answer was complete. The server may have done the work.
    #[error("the connection was lost: {0}")]
    Broken(String),
    /// What came back is no HTTP. The server may have done the work.
    #[error("the answer is no HTTP: {0}")]
    Malformed(String),
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

/// Which versions of HTTP a client speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Versions {
    /// What the server likes best.
    #[default]
    Any,
    /// HTTP/1.1 alone, with names of headers as people write them (`Content-Type`).
    One,
    /// What the server likes best, for answers that go on for minutes, on connections of their
    /// own: in HTTP/2 an answer that nobody reads takes room from all others of its connection.
    Streams { lane: usize },
    /// The same by HTTP/2 alone, without asking first where there is no TLS to ask in.
    StreamsOfTwo { lane: usize },
}

/// Whom a client is for. A pooled connection is driven by the runtime that opened it, so a process
/// with several runtimes (as tests have) gets one pool for each.
#[derive(PartialEq, Eq, Hash)]
struct Name {
    runtime: Id,
    versions: Versions,
    tls: Tls,
}

/// A client, and the state of the files that it was made of.
struct Kept {
    client: Client,
    stamp: Stamp,
}

/// The clients that were made, no more than [`limits::HTTP_CLIENTS`].
#[derive(Default)]
struct Clients(HashMap<Name, Kept>);

impl Clients {
    fn keep(&mut self, name: Name, kept: Kept) {
        if self.0.len() >= limits::HTTP_CLIENTS && !self.0.contains_key(&name) {
            self.0.clear();
        }
        self.0.insert(name, kept);
    }
}

static CLIENTS: LazyLock<Mutex<Clients>> = LazyLock::new(Mutex::default);

/// The client of the current runtime, with the authorities of the machine.
pub fn client() -> Client {
    client_with(&Tls::default()).expect("there is no file that could be unreadable")
}

/// The client of the current runtime for servers with this TLS. Files that have changed are read
/// again; while they cannot be used, as between the writing of a certificate and its key, the
/// client stays what it was.
pub fn client_with(tls: &Tls) -> Result<Client, TlsError> {
    client_of(tls, Versions::Any)
}

/// [`client_with`] for these versions of HTTP.
pub fn client_of(tls: &Tls, versions: Versions) -> Result<Client, TlsError> {
    let name = Name { runtime: Handle::current().id(), versions, tls: tls.clone() };
    // Before the files are read: what changes meanwhile is seen the next time.
    let stamp = tls.stamp();
    let former = {
        let clients = CLIENTS.lock();
        match clients.0.get(&name) {
            Some(kept) if kept.stamp == stamp => return Ok(kept.client.clone()),
            former => former.map(|kept| kept.client.clone()),
        }
    };
    let client = match (new_client(tls, versions), former) {
        (Ok(client), _) => client,
        (Err(error), Some(former)) => {
            tracing::warn!(%error, "changed certificates are not usable, the former stay in force");
            former
        }
        (Err(error), None) => return Err(error),
    };
    CLIENTS.lock().keep(name, Kept { client: client.clone(), stamp });
    Ok(client)
}

fn new_client(tls: &Tls, versions: Versions) -> Result<Client, TlsError> {
    let mut config = tls.config()?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let builder = match versions {
        Versions::Any => Client::builder(),
        Versions::Streams { .. } => stream::windows(Client::builder()),
        Versions::StreamsOfTwo { .. } => stream::windows(Client::builder()).http2_prior_knowledge(),
        Versions::One => {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Client::builder().http1_only().http1_title_case_headers()
        }
    };
    Ok(builder
        .use_preconfigured_tls(config)
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
        .expect("the TLS configuration is of the very type the client takes"))
}

/// Sends a request once and reads the answer, all within `timeout` and never more than
/// `answer_limit` bytes of body.
pub async fn send(
    request: Request,
    timeout: Duration,
    answer_limit: usize,
) -> Result<Answer, SendError> {
    send_by(&client(), request, timeout, answer_limit).await
}

/// Sends a request once by this client, as [`send`] does.
pub async fn send_by(
    client: &Client,
    request: Request,
    timeout: Duration,
    answer_limit: usize,
) -> Result<Answer, SendError> {
    let exchange = async {
        let (mut answer, mut response) = ask(client, request).await?;
        answer.body = body(&mut response, answer_limit).await?.into();
        Ok(answer)
    };
    tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(SendError::Timeout(timeout)))
}

/// Sends a request once and reads the answer's head within `timeout`. The body of an answer that
/// is no refusal is for the caller to read, for as long as it goes on.
pub async fn open(
    tls: &Tls,
    request: Request,
    timeout: Duration,
    answer_limit: usize,
) -> Result<Streamed, SendError> {
    let opening = stream::open(tls, request, answer_limit);
    tokio::time::timeout(timeout, opening).await.unwrap_or(Err(SendError::Timeout(timeout)))
}

/// Sends a request once by this client, for an answer of which the status alone matters: of the
/// body stands here what arrived soon, up to `quote` bytes, whatever becomes of the rest.
pub async fn send_for_status(
    client: &Client,
    request: Request,
    timeout: Duration,
    quote: usize,
) -> Result<Answer, SendError> {
    let asked = tokio::time::timeout(timeout, ask(client, request)).await;
    let (mut answer, mut response) = asked.unwrap_or(Err(SendError::Timeout(timeout)))?;
    let mut start = Vec::new();
    let reading = async {
        while start.len() < quote
            && let Ok(Some(piece)) = response.chunk().await
        {
            start.extend_from_slice(&piece[..piece.len().min(quote - start.len())]);
        }
    };
    let _ = tokio::time::timeout(timeout.min(limits::ANSWER_QUOTE_WAIT), reading).await;
    answer.body = start.into();
    Ok(answer)
}

async fn ask(client: &Client, request: Request) -> Result<(Answer, reqwest::Response), SendError> {
    let mut response = client.execute(request).await.map_err(failure)?;
    let reason = response.extensions().get::<ReasonPhrase>().map(|reason| {
        let text = String::from_utf8_lossy(reason.as_bytes());
        text.chars().take(limits::MESSAGE_CHARS_MAX).collect()
    });
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    Ok((Answer { status, reason, headers, body: Bytes::new() }, response))
}

async fn body(response: &mut reqwest::Response, limit_bytes: usize) -> Result<Vec<u8>, SendError> {
    let declared = response.content_length().unwrap_or(0);
    if declared > limit_bytes as u64 {
        return Err(SendError::TooLarge { limit_bytes });
    }
    let mut body = Vec::with_capacity(declared as usize);
    while let Some(piece) = response.chunk().await.map_err(failure)? {
        if body.len() + piece.len() > limit_bytes {
            return Err(SendError::TooLarge { limit_bytes });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn failure(error: reqwest::Error) -> SendError {
    let connecting = error.is_connect();
    let is_request = error.is_builder();
    let error = error.without_url();
    if let Some(error) = below(&error).find_map(|cause| cause.downcast_ref()) {
        let (trouble, text) = tls::explain(error, connecting);
        return SendError::Tls(trouble, bounded(&text));
    }
    let text = root_cause(&error);
    if connecting {
        // A connection that ends before it is one: only a TLS handshake waits for bytes there.
        let kinds = below(&error).filter_map(|cause| cause.downcast_ref::<io::Error>());
        let ended = kinds.map(io::Error::kind).any(|kind| kind == io::ErrorKind::UnexpectedEof);
        return if ended {
            SendError::Tls(TlsTrouble::Handshake, text)
        } else {
            SendError::Connect(text)
        };
    }
    let is_no_http = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref().is_some_and(|error: &hyper::Error| error.is_parse())
    };
    if is_request {
        SendError::Request(text)
    } else if below(&error).any(is_no_http) {
        SendError::Malformed(text)
    } else {
        SendError::Broken(text)
    }
}

/// An error and all below it. What an I/O error wraps is not its source but itself.
fn below<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// The innermost text of an error; the outer ones repeat the URL.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    bounded(&below(error).last().map(ToString::to_string).unwrap_or_default())
}

fn bounded(text: &str) -> String {
    text.chars().take(limits::MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
