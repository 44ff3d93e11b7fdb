//! The head of a request: its URL, and every header but those of the connection.

use ::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT},
};

use super::{BodyFormat, ContentEncoding, Options, reveal};
use crate::{
    fault::Fault,
    net::http::{Url, parse_url},
    units::Secret,
};

/// As Firehose names itself.
const FIREHOSE_AGENT: &str = "Amazon Kinesis Data Firehose Agent/1.0";
/// The version of the delivery protocol.
const PROTOCOL: &str = "1.0";
/// Names the attempts of one delivery, for servers that know it: it is the same for all of them.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What stands before a body.
pub(super) struct Head {
    pub url: Url,
    pub headers: HeaderMap,
    /// The key that was sent.
    pub access_key: Option<String>,
    /// What must not be quoted of an answer.
    pub secrets: Vec<String>,
}

/// The name of a header that a configuration may add; `None` for what is no name, and for those
/// that frame the message or are the protocol's own.
pub(super) fn own_name(name: &str, body: BodyFormat) -> Option<HeaderName> {
    const FRAMING: [&str; 10] = [
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let text = name.as_str();
    let is_protocols =
        text.starts_with("x-amz-firehose-") || matches!(text, "content-type" | "user-agent");
    let taken = FRAMING.contains(&text) || (body == BodyFormat::Firehose && is_protocols);
    (!taken).then_some(name)
}

/// The head for a request of this id.
pub(super) fn build(
    options: &Options,
    request_id: &str,
    access_key: Option<String>,
) -> Result<Head, Fault> {
    let text = reveal("the URL", &options.url)?;
    let url = parse_url(&text).map_err(|error| {
        Fault::halt("HttpEndpoint.MakeRequestFailure.IllegalUriException", error.to_string())
    })?;
    let mut head = Head { secrets: secrets_of(&url), url, headers: HeaderMap::new(), access_key };
    match options.body {
        BodyFormat::Firehose => head.firehose(options, request_id)?,
        BodyFormat::Ndjson => head.plain("application/x-ndjson", request_id)?,
        BodyFormat::JsonArray => head.plain("application/json", request_id)?,
        BodyFormat::Raw => head.plain("application/octet-stream", request_id)?,
    }
    if options.content_encoding == ContentEncoding::Gzip {
        head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    for (name, secret) in &options.headers {
        let text = reveal("a header's value", secret)?;
        let name = own_name(name, options.body).ok_or_else(|| illegal(name))?;
        head.headers.insert(name.clone(), sensitive(name.as_str(), &text)?);
        head.secrets.push(text);
    }
    Ok(head)
}

impl Head {
    /// The headers of the delivery protocol (developer guide, "HTTP endpoint delivery request and
    /// response specifications").
    fn firehose(&mut self, options: &Options, request_id: &str) -> Result<(), Fault> {
        let mut set = |name: &'static str, value| {
            self.headers.insert(HeaderName::from_static(name), value);
        };
        set("x-amz-firehose-protocol-version", HeaderValue::from_static(PROTOCOL));
        set("x-amz-firehose-request-id", value("x-amz-firehose-request-id", request_id)?);
        let name = "x-amz-firehose-source-arn";
        set(name, value(name, &options.stream_arn)?);
        if let Some(key) = &self.access_key {
            let name = "x-amz-firehose-access-key";
            set(name, sensitive(name, key)?);
            self.secrets.push(key.clone());
        }
        if !options.common_attributes.is_empty() {
            let name = "x-amz-firehose-common-attributes";
            set(name, sensitive(name, &common_attributes(&options.common_attributes)?)?);
        }
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.headers.insert(USER_AGENT, HeaderValue::from_static(FIREHOSE_AGENT));
        Ok(())
    }

    fn plain(&mut self, content_type: &'static str, request_id: &str) -> Result<(), Fault> {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.headers.insert(IDEMPOTENCY_KEY, value(IDEMPOTENCY_KEY.as_str(), request_id)?);
        Ok(())
    }
}

/// `{"commonAttributes":{...}}` in the order of the configuration, in ASCII alone: that is what a
/// header holds for sure, and to JSON `\u00e9` is the same as `é`.
fn common_attributes(attributes: &[(String, Secret)]) -> Result<String, Fault> {
    let mut json = serde_json::Map::new();
    for (name, secret) in attributes {
        json.insert(name.clone(), reveal("a common attribute", secret)?.into());
    }
    let text = serde_json::json!({ "commonAttributes": json }).to_string();
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        // DEL is ASCII, but no header takes it.
        if c.is_ascii() && c != '\u{7f}' {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Ok(ascii)
}

/// Keys stand in user names, queries and long segments of paths.
fn secrets_of(url: &Url) -> Vec<String> {
    const SEGMENT_CHARS_MIN: usize = 16;
    let mut secrets = vec![url.username().to_owned()];
    secrets.extend(url.password().map(str::to_owned));
    secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    let segments = url.path().split('/').filter(|segment| segment.len() >= SEGMENT_CHARS_MIN);
    secrets.extend(segments.map(str::to_owned));
    secrets
}

fn value(name: &str, text: &str) -> Result<HeaderValue, Fault> {
    HeaderValue::from_str(text).map_err(|_| illegal(name))
}

fn sensitive(name: &str, text: &str) -> Result<HeaderValue, Fault> {
    let mut value = value(name, text)?;
    value.set_sensitive(true);
    Ok(value)
}

fn illegal(name: &str) -> Fault {
    Fault::halt(
        "HttpEndpoint.MakeRequestFailure.IllegalCharacterInHeaderValue",
        format!("header {name} holds a character that HTTP does not allow"),
    )
}
