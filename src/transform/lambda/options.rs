//! Which function is called, and how.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    limits::{LAMBDA_CONCURRENCY_MAX, LAMBDA_NAME_CHARS_MAX},
    net::http::{UrlError, parse_url},
    units::{ByteSize, Span},
};

/// The function to call: on AWS Lambda by `function`, or anywhere by `url`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// ARN of the function, with or without a version or an alias; a name alone where `endpoint`
    /// or `region` say enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// URL that takes the same event by POST and gives the same answer (beyond Firehose).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Tries after the first, for function errors and calls that failed.
    #[serde(default = "default_retries")]
    pub number_of_retries: u32,
    /// Bytes of records in one call. Firehose: 0.2 to 3 MB. A call whose event would exceed
    /// Lambda's 6 MiB is cut, whatever this says.
    #[serde(default = "default_size")]
    pub buffer_size: ByteSize,
    /// How long records are gathered for a call at the most. Firehose: 0 to 900 s.
    #[serde(default = "default_interval")]
    pub buffer_interval: Span,
    /// Calls under way at a time.
    #[serde(default = "default_concurrency")]
    pub concurrency: u32,
    /// Time for one call.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// Role to assume for the calls; the destination's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// URL of a server that speaks Lambda's API; AWS if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Region of the function; that of its ARN if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What becomes of records while the function cannot be called at all.
    #[serde(default)]
    pub on_unavailable: OnUnavailable,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            function,
            url,
            number_of_retries,
            buffer_size,
            buffer_interval,
            concurrency,
            timeout,
            role_arn,
            endpoint,
            region,
            on_unavailable,
        } = self;
        f.debug_struct("Options")
            .field("function", function)
            .field("url", &url.as_deref().map(without_secrets))
            .field("number_of_retries", number_of_retries)
            .field("buffer_size", buffer_size)
            .field("buffer_interval", buffer_interval)
            .field("concurrency", concurrency)
            .field("timeout", timeout)
            .field("role_arn", role_arn)
            .field("endpoint", &endpoint.as_deref().map(without_secrets))
            .field("region", region)
            .field("on_unavailable", on_unavailable)
            .finish()
    }
}

/// What of a URL may be shown: neither name and password nor a query, which often holds a key.
fn without_secrets(url: &str) -> String {
    match parse_url(url) {
        Ok(url) => format!("{}{}", url.origin().ascii_serialization(), url.path()),
        Err(_) => "(no URL)".to_owned(),
    }
}

/// What becomes of records while the function cannot be called for a reason that is not theirs: no
/// connection, no permission, no such function, too many calls, Lambda itself in trouble.
///
/// Firehose gives up after the retries and sends every record of the outage to the error output,
/// from where somebody has to fetch them. Here such trouble holds what is undelivered, as trouble
/// with a destination does, and the records go on once it is mended. What may be the records' own
/// fault (the function fails, or takes too long) fails them in both cases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnavailable {
    /// They wait, and the function is called again until it answers.
    #[default]
    Hold,
    /// They go to the error output as `processing-failed` after the retries, as with Firehose.
    Fail,
}

/// Why no transform can be made of these options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LambdaError {
    #[error("a function is called by `function` or by `url`: name one of them, and not both")]
    Target,
    #[error("{0:?} is no function: write its ARN or its name")]
    Function(String),
    #[error("url: {0}")]
    Url(UrlError),
    #[error("endpoint: {0}")]
    Endpoint(UrlError),
    #[error("concurrency is {0}: write 1 to {LAMBDA_CONCURRENCY_MAX}")]
    Concurrency(u32),
    #[error("{0} must be more than nothing")]
    Nothing(&'static str),
}

/// What an ARN or a name of a function says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    /// As the API's path takes it.
    pub name: String,
    pub region: Option<String>,
}

impl Options {
    /// Checks what no call is needed to check.
    pub fn validate(&self) -> Result<(), LambdaError> {
        match (&self.function, &self.url) {
            (Some(function), None) => drop(parse_function(function)?),
            (None, Some(url)) => drop(parse_url(url).map_err(LambdaError::Url)?),
            _ => return Err(LambdaError::Target),
        }
        if let Some(endpoint) = &self.endpoint {
            parse_url(endpoint).map_err(LambdaError::Endpoint)?;
        }
        if !(1..=LAMBDA_CONCURRENCY_MAX).contains(&self.concurrency) {
            return Err(LambdaError::Concurrency(self.concurrency));
        }
        if self.buffer_size.0 == 0 {
            return Err(LambdaError::Nothing("buffer_size"));
        }
        if self.timeout.0.is_zero() {
            return Err(LambdaError::Nothing("timeout"));
        }
        Ok(())
    }
}

/// Reads `arn:aws:lambda:eu-west-1:123456789012:function:name:alias`, a part of it, or a name.
pub(super) fn parse_function(text: &str) -> Result<Function, LambdaError> {
    let wrong = || LambdaError::Function(text.to_owned());
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.' | '$');
    if text.is_empty() || text.len() > LAMBDA_NAME_CHARS_MAX || !text.chars().all(allowed) {
        return Err(wrong());
    }
    let Some(rest) = text.strip_prefix("arn:") else {
        return Ok(Function { name: text.to_owned(), region: None });
    };
    // partition : lambda : region : account : function : name [: qualifier]
    let parts: Vec<_> = rest.split(':').collect();
    match parts[..] {
        [_, "lambda", region, _, "function", _] | [_, "lambda", region, _, "function", _, _]
            if parts.iter().all(|part| !part.is_empty()) =>
        {
            Ok(Function { name: text.to_owned(), region: Some(region.to_owned()) })
        }
        _ => Err(wrong()),
    }
}

fn default_retries() -> u32 {
    3
}

fn default_size() -> ByteSize {
    ByteSize(crate::limits::MIB)
}

fn default_interval() -> Span {
    Span(std::time::Duration::from_secs(60))
}

fn default_concurrency() -> u32 {
    5
}

fn default_timeout() -> Span {
    Span(std::time::Duration::from_secs(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(json: serde_json::Value) -> Options {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_secret_in_a_url_is_not_shown() {
        for url in ["https://joe:hush@host:8443/path?code=hush", "joe:hush@host"] {
            let shown = format!("{:?}", options(serde_json::json!({"url": url})));
            assert!(!shown.contains("hush") && !shown.contains("joe"), "{shown}");
        }
        let shown = without_secrets("https://joe:hush@host:8443/path?code=hush");
        assert_eq!(shown, "https://host:8443/path");
    }

    #[test]
    fn a_function_is_an_arn_or_a_name() {
        let arn = "arn:aws-cn:lambda:cn-north-1:123456789012:function:my-fn:$LATEST";
        assert_eq!(parse_function(arn).unwrap().region.as_deref(), Some("cn-north-1"));
        assert_eq!(parse_function("my_fn").unwrap().region, None);
        let long = "f".repeat(257);
        for wrong in [
            "",
            "a/b",
            "two words",
            "arn:aws:lambda:eu-west-1:123456789012:function",
            "arn:aws:lambda:eu-west-1:123456789012:layer:a",
            "arn:aws:s3:eu-west-1:123456789012:function:a",
            "arn:aws:lambda::123456789012:function:a",
            long.as_str(),
        ] {
            assert_eq!(parse_function(wrong), Err(LambdaError::Function(wrong.into())));
        }
    }

    #[test]
    fn options_are_checked_and_complete_themselves() {
        let plain = options(serde_json::json!({"function": "f"}));
        assert_eq!((plain.number_of_retries, plain.buffer_size.0), (3, 1 << 20));
        assert_eq!(plain.on_unavailable, OnUnavailable::Hold);
        assert_eq!(plain.validate(), Ok(()));
        for (json, expected) in [
            (serde_json::json!({}), LambdaError::Target),
            (serde_json::json!({"function": "f", "url": "http://a"}), LambdaError::Target),
            (serde_json::json!({"url": "a"}), LambdaError::Url(UrlError)),
            (
                serde_json::json!({"function": "f", "endpoint": "a:1"}),
                LambdaError::Endpoint(UrlError),
            ),
            (serde_json::json!({"function": "f", "concurrency": 0}), LambdaError::Concurrency(0)),
            (
                serde_json::json!({"function": "f", "buffer_size": 0}),
                LambdaError::Nothing("buffer_size"),
            ),
            (serde_json::json!({"function": "f", "timeout": 0}), LambdaError::Nothing("timeout")),
        ] {
            assert_eq!(options(json).validate(), Err(expected));
        }
    }
}
