//! A client of AWS APIs that needs no SDK crate: requests signed with Signature Version 4, and
//! answers as they come. It retries nothing and judges nothing.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use ::http::{HeaderName, HeaderValue, Method};
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use bytes::Bytes;
use tokio::sync::OnceCell;

pub use super::http::{Answer, Body, SendError, Streamed};
use super::{
    aws::Access,
    credentials::{Wallet, wallet},
    http::{self, Request, Tls, Url, UrlError},
    sigv4::sha256,
};
use crate::env::{Clock, SystemClock};

/// OpenSearch Serverless, which wants the body's hash as a header, too
/// (`x-amz-content-sha256`; OpenSearch guide, "Signing HTTP requests with other clients").
const SERVERLESS: &str = "aoss";

/// One service in one region, as one identity.
pub struct SignedClient {
    access: Access,
    service: &'static str,
    endpoint: Option<String>,
    tls: Tls,
    wallet: OnceCell<Arc<Wallet>>,
    clock: SystemClock,
}

impl SignedClient {
    /// `service` is the name in signatures and in AWS's host names; `endpoint` the URL of another
    /// server, AWS if absent. Asks nobody; credentials are fetched with the first request.
    pub fn new(
        access: &Access,
        service: &'static str,
        endpoint: Option<String>,
    ) -> Result<Self, UrlError> {
        if let Some(endpoint) = &endpoint {
            base(endpoint)?;
        }
        base(&default_endpoint(service, &access.region))?;
        Ok(Self {
            access: access.clone(),
            service,
            endpoint,
            tls: Tls::default(),
            wallet: OnceCell::new(),
            clock: SystemClock::default(),
        })
    }

    /// For a server with this TLS. Its files are looked at with each request.
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls, ..self }
    }

    /// Sends `body` to `path`, which begins with `/`, may have a query, and is percent-encoded
    /// already. Every header is signed. One attempt; any answer of the server is `Ok`.
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
        timeout: Duration,
        answer_limit: usize,
    ) -> Result<Answer, SendError> {
        self.send(Method::POST, path, headers, body, timeout, answer_limit).await
    }

    /// The same by another method.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
        timeout: Duration,
        answer_limit: usize,
    ) -> Result<Answer, SendError> {
        let client =
            http::client_with(&self.tls).map_err(|error| SendError::Request(error.to_string()))?;
        let (request, wallet) = self.request(method, path, headers, body).await?;
        let answer = http::send_by(&client, request, timeout, answer_limit).await?;
        heed(&answer, wallet).await;
        Ok(answer)
    }

    /// As [`post`](Self::post), for an answer that goes on: its head comes within `timeout`, a
    /// refusal's body has `answer_limit` bytes at most.
    pub async fn stream(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
        timeout: Duration,
        answer_limit: usize,
    ) -> Result<Streamed, SendError> {
        let (request, wallet) = self.request(Method::POST, path, headers, body).await?;
        let streamed = http::open(&self.tls, request, timeout, answer_limit).await?;
        if let Streamed::Refused(answer) = &streamed {
            heed(answer, wallet).await;
        }
        Ok(streamed)
    }

    /// The request, signed, and whose credentials it was signed with.
    async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> Result<(Request, &Wallet), SendError> {
        let wallet = self.wallet.get_or_init(|| wallet(&self.access)).await;
        let now_ms = self.clock.now_ms();
        let credentials = wallet.credentials(now_ms).await?;
        let url = self.url(wallet, path)?;
        let mut request = Request::new(method, url);
        self.fill(&mut request, headers, body, credentials, now_ms)?;
        Ok((request, wallet))
    }

    fn url(&self, wallet: &Wallet, path: &str) -> Result<Url, SendError> {
        let wrong = |error: String| SendError::Request(error);
        let endpoint = match (&self.endpoint, &wallet.endpoint) {
            (Some(endpoint), _) | (None, Some(endpoint)) => base(endpoint),
            (None, None) => base(&default_endpoint(self.service, &self.access.region)),
        };
        let endpoint = endpoint.map_err(|error| wrong(error.to_string()))?;
        let text = format!("{}{path}", endpoint.as_str().trim_end_matches('/'));
        text.parse().map_err(|_| wrong("the path is no path of a URL".into()))
    }

    /// Puts the headers, the signature and the body into a request.
    fn fill(
        &self,
        request: &mut Request,
        headers: &[(&'static str, &str)],
        body: Bytes,
        credentials: Credentials,
        now_ms: i64,
    ) -> Result<(), SendError> {
        let signature = self.sign(request, headers, &body, credentials, now_ms)?;
        let own = headers.iter().map(|(name, value)| (*name, (*value).to_owned()));
        for (name, value) in own.chain(signature) {
            let wrong = |_| SendError::Request(format!("header {name} holds what it must not"));
            let mut value = HeaderValue::from_str(&value).map_err(wrong)?;
            value.set_sensitive(matches!(name, "authorization" | "x-amz-security-token"));
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        *request.body_mut() = Some(body.into());
        Ok(())
    }

    /// The headers that sign the request.
    fn sign(
        &self,
        request: &Request,
        headers: &[(&'static str, &str)],
        body: &[u8],
        credentials: Credentials,
        now_ms: i64,
    ) -> Result<Vec<(&'static str, String)>, SendError> {
        let wrong = |error: &dyn std::error::Error| SendError::Request(error.to_string());
        let identity = credentials.into();
        let mut settings = SigningSettings::default();
        if self.service == SERVERLESS {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.access.region)
            .name(self.service)
            .time(UNIX_EPOCH + Duration::from_millis(now_ms.max(0) as u64))
            .settings(settings)
            .build()
            .expect("every parameter is set")
            .into();
        // Hashed here: aws-lc is faster than what the signer brings.
        let hash = SignableBody::Precomputed(hex::encode(sha256(body)));
        let (method, url) = (request.method().as_str(), request.url().as_str());
        let signable = SignableRequest::new(method, url, headers.iter().copied(), hash)
            .map_err(|error| wrong(&error))?;
        let (instructions, _) =
            sign(signable, &params).map_err(|error| wrong(&error))?.into_parts();
        let (signed, _) = instructions.into_parts();
        Ok(signed.into_iter().map(|header| (header.name(), header.value().to_owned())).collect())
    }
}

/// An endpoint: no query, which would end up in the middle of the URL.
fn base(endpoint: &str) -> Result<Url, UrlError> {
    let url = http::parse_url(endpoint)?;
    if url.query().is_some() { Err(UrlError) } else { Ok(url) }
}

/// Where AWS has the service: the partition of China has a domain of its own. Services of other
/// partitions are reached by an explicit endpoint.
fn default_endpoint(service: &str, region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://{service}.{region}.amazonaws.com{suffix}")
}

/// The name of an AWS error, from the header or the JSON body, without namespace and link:
/// `com.amazonaws.glue#EntityNotFoundException:http://...` is `EntityNotFoundException`.
pub fn error_type(answer: &Answer) -> Option<String> {
    let from_body = || {
        let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        let name = ["__type", "code", "Code"].iter().find_map(|key| body.get(key)?.as_str())?;
        Some(name.to_owned())
    };
    let text = match answer.header("x-amzn-errortype") {
        Some(name) => name.to_owned(),
        None => from_body()?,
    };
    let name = text.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default().trim();
    let fits = !name.is_empty() && name.len() <= 128 && name.is_ascii();
    fits.then(|| name.to_owned())
}

/// Whether an error's name says that the credentials are no longer (or were never) good.
pub fn is_about_credentials(error_type: &str) -> bool {
    const NAMES: [&str; 8] = [
        "UnrecognizedClient",
        "ExpiredToken",
        "InvalidClientTokenId",
        "InvalidSignature",
        "IncompleteSignature",
        "SignatureDoesNotMatch",
        "MissingAuthenticationToken",
        "InvalidToken",
    ];
    NAMES.iter().any(|name| error_type.strip_suffix("Exception").unwrap_or(error_type) == *name)
}

/// Credentials that were refused are not used again.
async fn heed(answer: &Answer, wallet: &Wallet) {
    if answer.status.is_client_error() && refuses_credentials(answer) {
        wallet.forget().await;
    }
}

fn refuses_credentials(answer: &Answer) -> bool {
    error_type(answer).is_some_and(|name| is_about_credentials(&name))
}

#[cfg(test)]
mod tests;
