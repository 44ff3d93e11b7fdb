//! Any HTTP endpoint, by the delivery protocol of Amazon Data Firehose or by a plain body.
//!
//! Each shipment is one POST. What an answer means for what comes next is in `answer.rs` for the
//! delivery protocol and in `status.rs` for plain bodies, where the status alone counts.

mod answer;
mod body;
mod head;
mod options;
pub mod presets;
mod status;
mod trial;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

pub use options::{BodyFormat, ContentEncoding, Options};
pub use presets::Preset;

use self::{body::Body, head::Head};
use crate::{
    env::{Clock, CpuPool, SystemClock},
    fault::{Details, Fault, output_type},
    limits,
    net::{
        http::{
            Answer, Client, SendError, TlsError, UrlError, Versions, client_of, parse_url, send_by,
            send_for_status,
        },
        keys::Key,
        probe::tls_code,
    },
    seams::{Delivered, Shipment, Sink, Trial},
    units::Secret,
};

/// The member of a managed secret that is the access key (developer guide, "Authenticate with AWS
/// Secrets Manager").
const KEY_MEMBER: &str = "api_key";

/// Why there can never be a delivery with these options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("url: {0}")]
    Url(UrlError),
    #[error("endpoint of the secret: {0}")]
    Secret(UrlError),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("header {0:?}: HTTP knows no such name, or it is not for you to set")]
    Header(String),
}

/// One HTTP endpoint.
pub struct HttpEndpointSink {
    options: Options,
    key: Option<Key>,
    pool: CpuPool,
    clock: Arc<dyn Clock>,
}

impl HttpEndpointSink {
    /// Asks nobody. What stands in a file that is not there yet is looked up at each attempt.
    pub fn connect(options: Options, pool: CpuPool) -> Result<Self, ConnectError> {
        if let Ok(url) = options.url.reveal() {
            parse_url(&url).map_err(ConnectError::Url)?;
        }
        options.tls.config()?;
        for (name, _) in &options.headers {
            head::own_name(name, options.body).ok_or_else(|| ConnectError::Header(name.clone()))?;
        }
        let key = match &options.access_key {
            Some(source) => {
                Some(Key::new(source.clone(), KEY_MEMBER).map_err(ConnectError::Secret)?)
            }
            None => None,
        };
        Ok(Self { options, key, pool, clock: Arc::new(SystemClock::default()) })
    }

    fn is_firehose(&self) -> bool {
        self.options.body == BodyFormat::Firehose
    }

    /// Firehose speaks HTTP/1.1, and the names of its headers are written with capitals: there are
    /// receivers (functions behind gateways) that see them as they are sent.
    fn client(&self) -> Result<Client, Fault> {
        let versions = if self.is_firehose() { Versions::One } else { Versions::Any };
        client_of(&self.options.tls, versions)
            .map_err(|error| Fault::halt("HttpEndpoint.SSLFailure", error.to_string()))
    }

    /// The body of a shipment as it is sent, and the records that cannot be in it.
    async fn body(&self, shipment: &Shipment) -> Result<Body, Fault> {
        let (format, encoding) = (self.options.body, self.options.content_encoding);
        let now_ms = self.clock.now_ms();
        let shipment = shipment.clone();
        let build = move || {
            let mut body = body::build(format, &shipment, now_ms)?;
            if encoding == ContentEncoding::Gzip && body.records > 0 {
                body.bytes = body.packed();
            }
            Ok(body)
        };
        self.pool.run(build).await
    }

    /// One request with this body.
    async fn post(&self, head: Head, body: Bytes) -> Result<Answer, Fault> {
        let client = self.client()?;
        let request = client.post(head.url).headers(head.headers).body(body).build();
        let request = request.map_err(|error| {
            let text = error.without_url().to_string();
            Fault::halt("HttpEndpoint.MakeRequestFailure.IllegalUriException", text)
        })?;
        let timeout = self.options.timeout.0;
        let sent = if self.is_firehose() {
            send_by(&client, request, timeout, limits::ENDPOINT_ANSWER_BYTES_MAX).await
        } else {
            send_for_status(&client, request, timeout, limits::ENDPOINT_QUOTE_BYTES).await
        };
        sent.map_err(|error| unanswered(&error))
    }

    /// Sends the request and judges the answer.
    async fn exchange(&self, request_id: &str, body: Bytes) -> Result<Answer, Fault> {
        let head = self.head(request_id).await?;
        let (secrets, access_key) = (head.secrets.clone(), head.access_key.clone());
        let answer = self.post(head, body).await?;
        if matches!(answer.status.as_u16(), 401 | 403)
            && let (Some(key), Some(used)) = (&self.key, &access_key)
        {
            key.refused(used);
        }
        if self.is_firehose() {
            answer::judge(&answer, request_id, &secrets)?;
        } else {
            status::judge(&answer, &secrets)?;
        }
        Ok(answer)
    }

    /// URL and headers as of now: keys and files are looked up anew.
    async fn head(&self, request_id: &str) -> Result<Head, Fault> {
        let key = match &self.key {
            Some(key) if self.is_firehose() => Some(key.get().await?),
            _ => None,
        };
        head::build(&self.options, request_id, key)
    }
}

/// There is no answer, or none that can be read.
fn unanswered(error: &SendError) -> Fault {
    let code = match error {
        SendError::Connect(_) => "ConnectionFailed",
        SendError::Tls(trouble, _) => tls_code(*trouble),
        SendError::Timeout(_) => "RequestTimeout",
        SendError::TooLarge { .. } => "ResponseTooLarge",
        SendError::Broken(_) => "ConnectionReset",
        SendError::Malformed(_) => "IllegalResponseFailure",
        SendError::Request(_) | SendError::Credentials(_) => {
            let code = "HttpEndpoint.MakeRequestFailure.IllegalUriException";
            return Fault::halt(code, error.to_string());
        }
    };
    Fault::retry(format!("HttpEndpoint.{code}"), error.to_string())
}

/// Reads a secret of the configuration.
fn reveal(what: &str, secret: &Secret) -> Result<String, Fault> {
    secret.reveal().map_err(|error| {
        Fault::halt("Standpipe.SecretNotRead", format!("{what} cannot be read: {error}"))
    })
}

#[async_trait]
impl Sink for HttpEndpointSink {
    async fn deliver(&self, shipment: &Shipment) -> Result<Delivered, Fault> {
        let body = self.body(shipment).await?;
        let mut rejected = body.rejected;
        for (index, failure) in &mut rejected {
            failure.details = self.details(shipment, *index);
        }
        // A body without any record is worth no request.
        if body.records > 0 {
            self.exchange(&shipment.key, body.bytes).await?;
        }
        Ok(Delivered { rejected, left: None })
    }

    fn output_type(&self) -> &'static str {
        output_type::HTTP_ENDPOINT_FAILED
    }

    /// `subsequenceNumber` and `dataId`: the record's place, as 56 digits where Firehose has the
    /// sequence number of its own stream.
    fn details(&self, shipment: &Shipment, index: u64) -> Details {
        let leaf = shipment.list.as_ref().and_then(|list| list.leaves.get(index as usize));
        let Some(leaf) = leaf else { return Details::new() };
        vec![
            ("subsequenceNumber".to_owned(), json!(leaf.index)),
            ("dataId".to_owned(), json!(format!("{:056}.{}", leaf.sequence, leaf.index))),
        ]
    }

    /// The way to the server, then a request. For the delivery protocol that is a delivery of one
    /// empty record (`{"data":""}`), which the endpoint sees and may keep; for plain bodies a HEAD,
    /// which only proves that somebody answers there.
    async fn check(&self) -> Vec<Trial> {
        trial::run(self).await
    }
}

#[cfg(test)]
mod tests;
