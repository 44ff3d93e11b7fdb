//! Datadog's logs intake, version 2.
//!
//! A record that is a JSON object is a log as it stands, with the reserved members that it lacks;
//! any other record is the message of one. An attempt is one request: a shipment that is more than
//! the intake takes at a time (5 MB before compression, 1,000 logs) is [`Fault::TooLarge`] before
//! anything is sent, and so is one that the intake finds malformed, for it does not say which log
//! it was. The intake knows no request again: a request that is repeated may leave its logs twice.

mod answer;
mod entry;
mod options;
mod place;
mod request;
#[cfg(test)]
mod tests;
mod trial;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use serde_json::json;

use crate::{
    env::CpuPool,
    fault::{Details, Fault, output_type},
    limits::DATADOG_ANSWER_BYTES_MAX,
    net::{
        http::{self, Answer, Client, Request, Tls, TlsError, Url, UrlError, parse_url},
        keys::Key,
    },
    seams::{Delivered, Shipment, Sink, Trial},
    units::Span,
};
use entry::Additions;

pub use options::Options;

/// The member of a managed secret that is the key.
const KEY_MEMBER: &str = "api_key";

/// Why no sink can be made of these options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("{0:?} is no site of Datadog: write datadoghq.com, us5.datadoghq.com, datadoghq.eu")]
    Site(String),
    #[error("endpoint: {0}")]
    Endpoint(UrlError),
    #[error("api_key: {0}")]
    Secret(UrlError),
    #[error(transparent)]
    Tls(TlsError),
}

/// The intake of one site.
pub struct DatadogSink {
    intake: Url,
    /// Where a key is tried out; other servers than Datadog's have no such place.
    validation: Option<Url>,
    key: Key,
    additions: Arc<Additions>,
    gzip: bool,
    tls: Tls,
    timeout: Span,
    pool: CpuPool,
}

impl fmt::Debug for DatadogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatadogSink").field("key", &self.key).finish_non_exhaustive()
    }
}

impl DatadogSink {
    /// Asks nobody.
    pub fn connect(options: Options, pool: CpuPool) -> Result<Self, ConnectError> {
        let (intake, validation) = match &options.endpoint {
            Some(endpoint) => (parse_url(endpoint).map_err(ConnectError::Endpoint)?, None),
            None => {
                let site = site(&options.site)?;
                let url = |text: String| {
                    parse_url(&text).map_err(|_| ConnectError::Site(options.site.clone()))
                };
                let validation = url(format!("https://api.{site}/api/v1/validate"))?;
                (url(format!("https://http-intake.logs.{site}/api/v2/logs"))?, Some(validation))
            }
        };
        Self::to(intake, validation, options, pool)
    }

    fn to(
        intake: Url,
        validation: Option<Url>,
        options: Options,
        pool: CpuPool,
    ) -> Result<Self, ConnectError> {
        let additions = Arc::new(Additions::new(&options));
        let Options { api_key, gzip, tls, timeout, .. } = options;
        let key = Key::new(api_key, KEY_MEMBER).map_err(ConnectError::Secret)?;
        http::client_with(&tls).map_err(ConnectError::Tls)?;
        Ok(Self { intake, validation, key, additions, gzip, tls, timeout, pool })
    }

    /// The client as of now: certificates may have changed.
    fn client(&self) -> Result<Client, Fault> {
        http::client_with(&self.tls)
            .map_err(|error| Fault::halt("Datadog.CertificateNotRead", error.to_string()))
    }

    /// Sends a request and judges what came back.
    async fn exchange(&self, request: Request, key: &str) -> Result<Answer, Fault> {
        let (timeout, limit) = (self.timeout.0, DATADOG_ANSWER_BYTES_MAX);
        let answer = http::send_by(&self.client()?, request, timeout, limit)
            .await
            .map_err(|error| answer::failure(&error))?;
        if matches!(answer.status.as_u16(), 401 | 403) {
            self.key.refused(key);
        }
        answer::judged(answer)
    }
}

#[async_trait]
impl Sink for DatadogSink {
    async fn deliver(&self, shipment: &Shipment) -> Result<Delivered, Fault> {
        let (shipment, additions, gzip) = (shipment.clone(), self.additions.clone(), self.gzip);
        let built = self.pool.run(move || request::build(&shipment, &additions, gzip)).await?;
        if let Some(body) = built.body {
            let key = self.key.get().await?;
            let request = request::post(&self.intake, &key, body, self.gzip)?;
            self.exchange(request, &key).await?;
        }
        Ok(Delivered { rejected: built.rejected, left: None })
    }

    fn output_type(&self) -> &'static str {
        output_type::HTTP_ENDPOINT_FAILED
    }

    /// The members of Firehose's failed requests to HTTP endpoints.
    fn details(&self, shipment: &Shipment, index: u64) -> Details {
        let leaf = shipment.list.as_ref().and_then(|list| list.leaves.get(index as usize));
        let Some(leaf) = leaf else { return Details::new() };
        vec![
            ("subsequenceNumber".to_owned(), json!(leaf.index)),
            ("dataId".to_owned(), json!(format!("{:056}.{}", leaf.sequence, leaf.index))),
        ]
    }

    async fn check(&self) -> Vec<Trial> {
        self.try_out().await
    }
}

/// The site as part of host names; a slash in it would lead the key to another host.
fn site(text: &str) -> Result<&str, ConnectError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if !text.is_empty() && text.bytes().all(fits) {
        Ok(text)
    } else {
        Err(ConnectError::Site(text.into()))
    }
}
