//! A small client of the daemon's own endpoints, signed like the Firehose API.

use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use clap::Args;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::env::{Clock, SystemClock};

/// Time for an answer. Flushing waits for the destination, so it is generous.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Largest answer: the trace of one record is a few KiB.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Where the daemon is and who asks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// URL of the daemon. With https the machine's certificates are trusted; SSL_CERT_FILE names
    /// others.
    #[arg(
        long = "endpoint-url",
        visible_alias = "endpoint",
        value_name = "URL",
        default_value = "http://127.0.0.1:4573",
        env = "STANDPIPE_ENDPOINT"
    )]
    pub endpoint: Uri,

    /// Region to sign for; the daemon takes any.
    #[arg(long, default_value = "us-east-1", env = "AWS_REGION")]
    pub region: String,

    /// Look for no credentials, for a daemon with `anonymous: true`. Otherwise the credentials
    /// are found as the AWS SDKs do: AWS_ACCESS_KEY_ID, AWS_PROFILE and so on.
    #[arg(long)]
    pub anonymous: bool,
}

impl Connection {
    /// The settings of AWS clients for this connection.
    pub async fn sdk_config(&self) -> SdkConfig {
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(self.region.clone()))
            .endpoint_url(self.endpoint.to_string());
        let loader = match self.anonymous {
            // The SDK always signs these calls; an anonymous daemon does not look.
            true => loader.credentials_provider(anonymous()),
            false => loader,
        };
        loader.load().await
    }

    /// Fails at once where nothing listens, instead of after many retries.
    pub async fn reach(&self) -> anyhow::Result<()> {
        let host = self.endpoint.host().context("--endpoint-url names no host")?;
        let https = self.endpoint.scheme_str() == Some("https");
        let port = self.endpoint.port_u16().unwrap_or(if https { 443 } else { 80 });
        let address = (host.trim_matches(['[', ']']), port);
        let attempt = tokio::net::TcpStream::connect(address);
        let connected = tokio::time::timeout(Duration::from_secs(10), attempt).await;
        connected
            .map_err(anyhow::Error::new)
            .and_then(|connected| connected.map_err(anyhow::Error::new))
            .with_context(|| {
                format!(
                    "cannot reach {}: is the daemon running, and is this its --endpoint-url?",
                    self.endpoint
                )
            })?;
        Ok(())
    }
}

fn anonymous() -> Credentials {
    Credentials::new("anonymous", "anonymous", None, None, "--anonymous")
}

/// What may stand in a path segment as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A text as one segment of a path.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A client of the daemon's endpoints.
pub struct Admin<'a> {
    connection: &'a Connection,
}

impl<'a> Admin<'a> {
    pub fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }

    /// Calls an endpoint and returns its JSON; an error answer becomes an error with its message.
    pub async fn call(&self, method: Method, path: &str) -> anyhow::Result<Value> {
        self.connection.reach().await?;
        let base = self.connection.endpoint.to_string();
        let uri = format!("{}{path}", base.trim_end_matches('/'));
        let mut request = Request::builder()
            .method(method)
            .uri(&uri)
            .header(http::header::USER_AGENT, concat!("standpipe/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::new()))
            .with_context(|| format!("{uri} is no URL"))?;
        if !self.connection.anonymous {
            let credentials = self.credentials().await?;
            sign_request(&mut request, credentials, &self.connection.region)?;
        }
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
            .context("the certificates of this machine cannot be read")?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let exchange = async {
            let answer = client.request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
            anyhow::Ok((status, body))
        };
        let (status, body) = tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .with_context(|| format!("no answer from {uri} in {ANSWER_TIMEOUT:?}"))?
            .with_context(|| format!("{uri} does not answer"))?;
        understand(status, &body)
    }

    async fn credentials(&self) -> anyhow::Result<Credentials> {
        let config = self.connection.sdk_config().await;
        let provider = config.credentials_provider().context("no way to find credentials")?;
        provider.provide_credentials().await.context(
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use --anonymous",
        )
    }
}

/// Signs a request without a body with Signature Version 4 for the service `firehose`.
fn sign_request<B>(
    request: &mut Request<B>,
    credentials: Credentials,
    region: &str,
) -> anyhow::Result<()> {
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("firehose")
        .time(UNIX_EPOCH + Duration::from_millis(SystemClock::default().now_ms().max(0) as u64))
        .settings(SigningSettings::default())
        .build()?
        .into();
    let uri = request.uri().to_string();
    let signable = SignableRequest::new(
        request.method().as_str(),
        &uri,
        std::iter::empty(),
        SignableBody::Bytes(&[]),
    )?;
    let (instructions, _) = sign(signable, &params)?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

fn understand(status: StatusCode, body: &[u8]) -> anyhow::Result<Value> {
    let value: Value = match body.trim_ascii() {
        [] => Value::Null,
        text => serde_json::from_slice(text).unwrap_or_else(|_| {
            Value::String(String::from_utf8_lossy(text).chars().take(500).collect())
        }),
    };
    if status.is_success() {
        return Ok(value);
    }
    let message = value["message"].as_str().or(value.as_str()).unwrap_or("(no message)");
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            " (are these the keys that the daemon knows?)"
        }
        _ => "",
    };
    match value["__type"].as_str() {
        Some(kind) => bail!("the daemon answered {status}, {kind}: {message}{hint}"),
        None => bail!("the daemon answered {status}: {message}{hint}"),
    }
}

/// A JSON value as indented `key: value` lines.
pub fn readable(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Null => text.push_str("done\n"),
        Value::Object(_) | Value::Array(_) => write_nested(value, 0, &mut text),
        scalar => text = format!("{}\n", plain(scalar)),
    }
    text
}

fn write_nested(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                match member {
                    Value::Object(inner) if !inner.is_empty() => {
                        *text += &format!("{indent}{key}:\n");
                        write_nested(member, depth + 1, text);
                    }
                    Value::Array(inner) if !inner.is_empty() => {
                        *text += &format!("{indent}{key}:\n");
                        write_nested(member, depth + 1, text);
                    }
                    scalar => *text += &format!("{indent}{key}: {}\n", plain(scalar)),
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                write_nested(item, depth + 1, &mut inner);
                // The dash takes the place of the first line's last two spaces.
                *text += &format!("{indent}- {}", &inner[(depth + 1) * 2..]);
            }
        }
        scalar => *text += &format!("{indent}{}\n", plain(scalar)),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        Value::Object(_) | Value::Array(_) => "(none)".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_becomes_readable() {
        let value = json!({
            "stream": "clicks",
            "size_bytes": 12,
            "destinations": [
                {"name": "s3", "state": "delivered", "object": {"bucket": "b", "key": "k"}},
                {"name": "s3-2", "state": "waiting", "object": null},
            ],
            "notes": [],
            "tags": ["x", "y"],
        });
        insta::assert_snapshot!(readable(&value), @"
        stream: clicks
        size_bytes: 12
        destinations:
          - name: s3
            state: delivered
            object:
              bucket: b
              key: k
          - name: s3-2
            state: waiting
            object: -
        notes: (none)
        tags:
          - x
          - y
        ");
        assert_eq!(readable(&Value::Null), "done\n");
        assert_eq!(readable(&json!([{}])), "- (none)\n");
    }

    #[test]
    fn error_answers_carry_their_message() {
        let body = br#"{"__type": "ResourceNotFoundException", "message": "no such record"}"#;
        let error = understand(StatusCode::NOT_FOUND, body).unwrap_err().to_string();
        assert_eq!(
            error,
            "the daemon answered 404 Not Found, ResourceNotFoundException: no such record"
        );
        let error = understand(StatusCode::BAD_GATEWAY, b"<html>").unwrap_err().to_string();
        assert_eq!(error, "the daemon answered 502 Bad Gateway: <html>");
        assert_eq!(understand(StatusCode::NO_CONTENT, b"").unwrap(), Value::Null);
    }

    #[test]
    fn segments_hold_no_slash() {
        assert_eq!(segment("a/b c+d.e"), "a%2Fb%20c%2Bd.e");
    }
}
