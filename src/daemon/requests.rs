//! Destinations that take records one by one: from what a user says to sinks.

use std::{sync::Arc, time::Duration};

use super::identity::Identity;
use crate::{
    batch::Buffering,
    config::{
        AwsOptions, DatadogDestination, HttpEndpointDestination, OnDenied, OpenSearchDestination,
        SearchAuth, SplunkDestination, Target,
    },
    env::CpuPool,
    limits,
    net::{http::parse_url, keys::KeySource},
    partition::IndexNaming,
    retry::Policy,
    seams::Sink,
    sinks::{
        datadog::{self, DatadogSink},
        http_endpoint::{self, HttpEndpointSink},
        opensearch::{self, Auth, Flavor, OpenSearchSink},
        splunk::{self, SplunkSink},
    },
    telemetry::DeliveryKind,
    units::{Secret, Span},
};

/// A destination that takes records one by one, complete: nothing of it is looked up elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Requests {
    pub kind: DeliveryKind,
    pub buffering: Buffering,
    pub retry: Policy,
    /// The index that records belong to, where the destination has such.
    pub index: Option<IndexNaming>,
    sink: Options,
}

#[derive(Debug, Clone, PartialEq)]
enum Options {
    HttpEndpoint(http_endpoint::Options),
    Splunk(splunk::Options),
    OpenSearch(opensearch::Options),
    Datadog(datadog::Options),
}

/// Whose records they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// ARN of the stream.
    pub arn: String,
    /// Tells its records from those of others: positions of another journal are other records.
    pub tag: String,
}

impl Requests {
    /// The settings of a destination over the `aws` section's; `None` of one that takes objects.
    pub fn of(
        target: Target<'_>,
        aws: &AwsOptions,
        from_file: bool,
    ) -> Result<Option<Self>, String> {
        let aws = Identity { aws, from_file };
        let sink = match target {
            Target::S3(_) => return Ok(None),
            Target::HttpEndpoint(d) => http(d, &aws)?,
            Target::Splunk(d) => splunk(d, &aws),
            Target::OpenSearch(d) => search(d, &aws, Flavor::OpenSearch),
            Target::Elasticsearch(d) => search(d, &aws, Flavor::Elasticsearch),
            Target::Datadog(d) => datadog(d, &aws),
        };
        let index = match target {
            Target::OpenSearch(d) | Target::Elasticsearch(d) => {
                Some(IndexNaming { name: d.index_name.clone(), rotation: d.rotation() })
            }
            _ => None,
        };
        Ok(Some(Self {
            kind: kind(target),
            buffering: target.buffering(),
            retry: Policy {
                deadline: target.retry_duration(),
                gives_up_held: target.on_denied() == OnDenied::Backup,
                ..Policy::forever(limits::ENDPOINT_BACKOFF_INITIAL, limits::ENDPOINT_BACKOFF_MAX)
            },
            index,
            sink,
        }))
    }

    /// The sink, and how long one attempt may take. Asks nobody.
    pub fn connect(
        &self,
        owner: Owner,
        pool: CpuPool,
    ) -> Result<(Arc<dyn Sink>, Duration), String> {
        let (sink, timeout): (Arc<dyn Sink>, Span) = match self.sink.clone() {
            Options::HttpEndpoint(options) => {
                let timeout = options.timeout;
                let options = http_endpoint::Options { stream_arn: owner.arn, ..options };
                (Arc::new(HttpEndpointSink::connect(options, pool).map_err(text)?), timeout)
            }
            Options::Splunk(options) => {
                let timeout = options.timeout.0
                    + options.acknowledgment_timeout.0
                    // Before the events a key is looked up and acknowledgement proven.
                    + limits::SPLUNK_POLL_TIMEOUT
                    + limits::SECRET_TIMEOUT;
                let timeout = Span(timeout);
                (Arc::new(SplunkSink::connect(options, pool).map_err(text)?), timeout)
            }
            Options::OpenSearch(options) => {
                let timeout = options.timeout;
                let options = opensearch::Options { id_prefix: owner.tag, ..options };
                (Arc::new(OpenSearchSink::connect(options, pool).map_err(text)?), timeout)
            }
            Options::Datadog(options) => {
                let timeout = options.timeout;
                (Arc::new(DatadogSink::connect(options, pool).map_err(text)?), timeout)
            }
        };
        // The sink's own limits come first, and tell more.
        Ok((sink, timeout.0 + limits::ATTEMPT_GRACE))
    }

    /// The code of an attempt that took too long even so.
    pub fn timeout_code(&self) -> &'static str {
        match &self.sink {
            Options::HttpEndpoint(_) => "HttpEndpoint.RequestTimeout",
            Options::Splunk(_) => "Splunk.ConnectionTimeout",
            Options::OpenSearch(_) => "OS.RequestTimeout",
            Options::Datadog(_) => "Datadog.RequestTimeout",
        }
    }
}

fn kind(target: Target<'_>) -> DeliveryKind {
    match target {
        Target::S3(_) => DeliveryKind::DeliveryToS3,
        Target::HttpEndpoint(_) => DeliveryKind::DeliveryToHttpEndpoint,
        Target::Splunk(_) => DeliveryKind::DeliveryToSplunk,
        Target::OpenSearch(d) | Target::Elasticsearch(d) if d.serverless => {
            DeliveryKind::DeliveryToAmazonOpenSearchServerless
        }
        Target::OpenSearch(_) | Target::Elasticsearch(_) => {
            DeliveryKind::DeliveryToAmazonOpenSearchService
        }
        Target::Datadog(_) => DeliveryKind::DeliveryToDatadog,
    }
}

/// No key at all: the configuration's check refuses it where one is needed.
fn no_key() -> KeySource {
    KeySource::Given(Secret::Value(String::new()))
}

fn http(d: &HttpEndpointDestination, aws: &Identity<'_>) -> Result<Options, String> {
    let preset = d.preset.as_ref().map(|preset| preset.resolve(d.url.as_ref())).transpose();
    let preset = preset.map_err(text)?;
    let url = preset.as_ref().map(|preset| preset.url.clone()).or_else(|| d.url.clone());
    let encoding = preset.as_ref().map(|preset| preset.content_encoding);
    let mut attributes = preset.map(|preset| preset.common_attributes).unwrap_or_default();
    attributes.retain(|(name, _)| !d.common_attributes.contains_key(name));
    attributes
        .extend(d.common_attributes.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(Options::HttpEndpoint(http_endpoint::Options {
        url: url.ok_or("an HTTP endpoint needs a url or a preset")?,
        access_key: aws.key(&d.access_key, &d.secrets_manager, d.backup.role_arn.as_deref()),
        content_encoding: d.content_encoding.or(encoding).unwrap_or_default(),
        common_attributes: attributes,
        body: d.body,
        headers: d.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        tls: d.tls.clone(),
        timeout: d.timeout,
        stream_arn: String::new(),
    }))
}

fn splunk(d: &SplunkDestination, aws: &Identity<'_>) -> Options {
    let token = aws.key(&d.token, &d.secrets_manager, d.backup.role_arn.as_deref());
    Options::Splunk(splunk::Options {
        endpoint: d.endpoint.clone(),
        endpoint_type: d.endpoint_type,
        token: token.unwrap_or_else(no_key),
        acknowledgment_timeout: d.acknowledgment_timeout,
        acknowledgment_poll: d.acknowledgment_poll,
        acknowledgment: d.acknowledgment,
        gzip: d.gzip,
        metadata: d.metadata.clone(),
        tls: d.tls.clone(),
        timeout: d.timeout,
    })
}

fn search(d: &OpenSearchDestination, aws: &Identity<'_>, flavor: Flavor) -> Options {
    let of_amazon = amazon_region(&d.endpoint);
    let region = d.region.as_deref().or(of_amazon.as_deref());
    Options::OpenSearch(opensearch::Options {
        endpoint: d.endpoint.clone(),
        // A trial asks about the index as of now; where names rotate, about the first part of it.
        index: d.index_name.clone(),
        flavor: if d.serverless { Flavor::Serverless } else { flavor },
        auth: match d.who() {
            SearchAuth::None => Auth::None,
            SearchAuth::Basic { username, password } => Auth::Basic { username, password },
            SearchAuth::Aws => Auth::Aws(aws.access(region, d.role_arn.as_deref())),
        },
        type_name: d.type_name.clone().filter(|name| !name.is_empty()),
        document_id: d.document_id,
        data_stream: d.data_stream,
        gzip: d.gzip,
        tls: d.tls.clone(),
        timeout: d.timeout,
        id_prefix: String::new(),
    })
}

/// The region in the name of a host of Amazon's: `x.eu-west-1.es.amazonaws.com`.
fn amazon_region(endpoint: &str) -> Option<String> {
    // Parsed, so that it is in lower case and without what stands before it.
    let url = parse_url(endpoint).ok()?;
    let host = url.host_str()?;
    // `x.aos.eu-west-1.on.aws`, with both versions of IP.
    if let Some(name) = host.strip_suffix(".on.aws") {
        let (rest, region) = name.rsplit_once('.')?;
        return rest.ends_with(".aos").then(|| region.to_owned());
    }
    let name = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".amazonaws.com")?;
    let name = name.strip_suffix(".es").or_else(|| name.strip_suffix(".aoss"))?;
    name.rsplit('.').next().map(str::to_owned)
}

fn datadog(d: &DatadogDestination, aws: &Identity<'_>) -> Options {
    let key = aws.key(&d.api_key, &d.secrets_manager, d.backup.role_arn.as_deref());
    Options::Datadog(datadog::Options {
        site: d.site.clone(),
        endpoint: d.endpoint.clone(),
        api_key: key.unwrap_or_else(no_key),
        service: d.service.clone(),
        source: d.source.clone(),
        hostname: d.hostname.clone(),
        tags: d.tags.clone(),
        gzip: d.gzip,
        tls: d.tls.clone(),
        timeout: d.timeout,
    })
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_amazon_name_their_region() {
        for (endpoint, region) in [
            ("https://search-x-abc.eu-west-1.es.amazonaws.com", Some("eu-west-1")),
            ("https://abc.us-east-1.aoss.amazonaws.com/", Some("us-east-1")),
            ("https://search-x.cn-north-1.es.amazonaws.com.cn:443", Some("cn-north-1")),
            ("https://search-x.aos.eu-west-1.on.aws/", Some("eu-west-1")),
            ("https://user:a@SEARCH-x.EU-West-1.ES.amazonaws.com", Some("eu-west-1")),
            ("https://x.lambda-url.eu-west-1.on.aws", None),
            ("https://opensearch.example:9200", None),
            ("https://es.amazonaws.com.evil.example", None),
        ] {
            assert_eq!(amazon_region(endpoint).as_deref(), region, "{endpoint}");
        }
    }
}
