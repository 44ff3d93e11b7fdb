//! Requests to one HTTP Event Collector: who asks, on which channel, with which cookies.

use std::{sync::Arc, time::Duration};

use ::http::{
    HeaderMap, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE},
};
use bytes::Bytes;
use uuid::Uuid;

use super::{
    ConnectError, EndpointType, Options,
    answer::{Hec, Verdict, transport},
    codes,
    cookies::Jar,
};
use crate::{
    env::SystemClock,
    fault::Fault,
    limits,
    net::{
        http::{Request, Tls, Url, client_with, parse_url, send_by},
        keys::Key,
        probe::probe,
    },
    seams::Trial,
};

/// The name of the header by which requests belong together.
const CHANNEL: &str = "x-splunk-request-channel";

/// The collector as one sink sees it.
pub(super) struct Collector {
    tls: Tls,
    key: Key,
    /// Where acknowledgement ids are counted. One for the life of the sink.
    channel: String,
    cookies: Jar,
    post_url: Url,
    ack_url: Url,
    health_url: Url,
    content_type: HeaderValue,
    gzip: bool,
    timeout: Duration,
}

impl Collector {
    /// The way to the server: name, connection, TLS.
    pub async fn probe(&self) -> Vec<Trial> {
        probe(&self.post_url, &self.tls).await
    }

    pub fn new(options: &Options) -> Result<Self, ConnectError> {
        let base = parse_url(&options.endpoint)?;
        // Made here only to see that it can be.
        client_with(&options.tls)?;
        let channel = Uuid::new_v4().to_string();
        let (post_url, content_type) = match options.endpoint_type {
            EndpointType::Event => (below(&base, "event"), "application/json"),
            EndpointType::Raw => {
                let mut url = below(&base, "raw");
                let metadata = &options.metadata;
                let mut query = url.query_pairs_mut();
                query.append_pair("channel", &channel);
                for (name, value) in [
                    ("index", &metadata.index),
                    ("source", &metadata.source),
                    ("sourcetype", &metadata.sourcetype),
                    ("host", &metadata.host),
                ] {
                    if let Some(value) = value {
                        query.append_pair(name, value);
                    }
                }
                drop(query);
                (url, "text/plain")
            }
        };
        Ok(Self {
            tls: options.tls.clone(),
            key: Key::new(options.token.clone(), "hec_token").map_err(ConnectError::Secret)?,
            channel,
            cookies: Jar::new(Arc::new(SystemClock::default())),
            post_url,
            ack_url: below(&base, "ack"),
            health_url: below(&base, "health"),
            content_type: HeaderValue::from_static(content_type),
            gzip: options.gzip,
            timeout: options.timeout.0,
        })
    }

    /// Sends events.
    pub async fn post(&self, body: Bytes) -> Result<Hec, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        if self.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let request = self.request(Method::POST, &self.post_url, headers, &self.channel, body);
        self.ask(request, self.timeout).await
    }

    /// Asks which of these ids are acknowledged. `true` is said once of each: the answer must
    /// reach those who wait for it.
    pub async fn poll(&self, ids: &[u64]) -> Result<Hec, Fault> {
        self.acks(ids, &self.channel).await
    }

    /// Asks for an acknowledgement that nobody waits for, on a channel that nobody uses: what
    /// there is to know of the token without leaving an event.
    pub async fn try_acks(&self) -> Result<Hec, Fault> {
        self.acks(&[0], &Uuid::new_v4().to_string()).await
    }

    /// Asks how the collector is.
    pub async fn health(&self) -> Result<Hec, Fault> {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        let request = self.request(Method::GET, &self.health_url, headers, &self.channel, body);
        self.ask(request, self.timeout.min(limits::SPLUNK_POLL_TIMEOUT)).await
    }

    async fn acks(&self, ids: &[u64], channel: &str) -> Result<Hec, Fault> {
        let body = serde_json::json!({"acks": ids}).to_string().into();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let request = self.request(Method::POST, &self.ack_url, headers, channel, body);
        self.ask(request, self.timeout.min(limits::SPLUNK_POLL_TIMEOUT)).await
    }

    fn request(
        &self,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        channel: &str,
        body: Bytes,
    ) -> Request {
        let channel = HeaderValue::from_str(channel).expect("a UUID is made of digits and dashes");
        headers.insert(CHANNEL, channel);
        let mut request = Request::new(method, url.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        request
    }

    /// Sends a request with token and cookies, and remembers what its answer says of either.
    async fn ask(&self, mut request: Request, timeout: Duration) -> Result<Hec, Fault> {
        let token = self.key.get().await?;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, authorization(&token)?);
        if let Some(cookies) = self.cookies.header() {
            headers.insert(COOKIE, cookies);
        }
        // Asked for each time: its certificates may have been renewed.
        let client = client_with(&self.tls)
            .map_err(|error| Fault::halt(codes::SSL_HANDSHAKE, error.to_string()))?;
        let limit = limits::SPLUNK_ANSWER_BYTES_MAX;
        let answer = send_by(&client, request, timeout, limit).await;
        let answer = answer.map_err(|error| transport(&error))?;
        self.cookies.take(&answer.headers);
        let hec = Hec::read(&answer);
        if let Verdict::Token(_) = hec.verdict() {
            self.key.refused(&token);
        }
        Ok(hec)
    }
}

/// The URL of a part of the collector. Whatever stands before it stays: a proxy may have put the
/// collector below a path of its own.
fn below(base: &Url, part: &str) -> Url {
    let mut url = base.clone();
    let path = format!("{}/services/collector/{part}", base.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

fn authorization(token: &str) -> Result<HeaderValue, Fault> {
    let mut header = HeaderValue::from_str(&format!("Splunk {token}")).map_err(|_| {
        Fault::halt(codes::INVALID_TOKEN, "the token holds characters that no header can carry")
    })?;
    header.set_sensitive(true);
    Ok(header)
}
