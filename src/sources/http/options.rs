//! What a user says of records that come in by HTTP.

use std::{net::SocketAddr, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{auth, hec::HecOutput};
use crate::{
    limits,
    net::server::TlsOptions,
    units::{ByteSize, Secret},
};

/// Records that are posted to us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "HttpSource")]
pub struct Options {
    /// Address to listen on. Streams may share one, with the same `tls` and `plain_http`. Anything
    /// but loopback needs a credential, and `tls` or `plain_http: true`.
    #[schemars(with = "String", extend("format" = "socket-address"))]
    pub listen: SocketAddr,
    /// Path to post to, `/STREAM` if absent. `splunk_hec` and `otlp` have paths of their own, which
    /// follow this one where it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^/[A-Za-z0-9._~/-]*$"),
        extend("patternErrorMessage" = "must begin with / and have letters, digits and ._~/- only")
    )]
    pub path: Option<String>,
    /// What is spoken.
    pub protocol: ProtocolName,
    /// What bodies of `records` are.
    pub format: Format,
    /// Bearer token (`Authorization: Bearer …`), or a list of tokens that are all good, for
    /// rotation. For `splunk_hec` the token of `Authorization: Splunk …`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secrets>,
    /// Name and password (`Authorization: Basic …`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// The access key of `firehose` (`X-Amz-Firehose-Access-Key`), or a list of good ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key: Option<Secrets>,
    /// Accept requests without a credential. Only on a loopback address.
    pub anonymous: bool,
    /// Certificate and key of the listener; plain HTTP if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsOptions>,
    /// Allow plain HTTP on an address that is not loopback.
    pub plain_http: bool,
    /// What of an event of `splunk_hec` becomes the record: the whole `envelope` (if absent), or
    /// the `event` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<HecOutput>,
    /// Indexer acknowledgement of `splunk_hec`: requests name a channel, answers carry an `ackId`,
    /// and clients ask for it. It is never needed to be safe: an answer comes after the journal.
    pub ack: bool,
    /// Largest body, as it is sent and as it is unpacked: 16 MiB if absent, 64 MiB for `firehose`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_size: Option<ByteSize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4574)),
            path: None,
            protocol: ProtocolName::Records,
            format: Format::Auto,
            token: None,
            basic: None,
            access_key: None,
            anonymous: false,
            tls: None,
            plain_http: false,
            output: None,
            ack: false,
            max_body_size: None,
        }
    }
}

/// How records are posted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProtocolName {
    /// Plain bodies: lines, JSON documents, anything.
    #[default]
    Records,
    /// What a Firehose stream with an HTTP endpoint as its destination sends.
    Firehose,
    /// Splunk's HTTP event collector.
    SplunkHec,
    /// OpenTelemetry logs over HTTP.
    Otlp,
}

/// What a body holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// What its Content-Type says: `application/x-ndjson` is `ndjson`, `application/json` is
    /// `json`, `text/…` is `lines`, anything else `raw`.
    #[default]
    Auto,
    /// One JSON document in each line. Lines that are not JSON are refused, with the whole body.
    Ndjson,
    /// A JSON array, each element a record; or any other JSON document, which is one record.
    Json,
    /// Each line a record. Empty lines are passed over.
    Lines,
    /// The whole body is one record.
    Raw,
}

/// One secret or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Secrets {
    One(Secret),
    Many(Vec<Secret>),
}

impl Secrets {
    pub fn all(&self) -> &[Secret] {
        match self {
            Self::One(secret) => std::slice::from_ref(secret),
            Self::Many(secrets) => secrets,
        }
    }
}

/// Basic authentication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The name, without a colon.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// What can never work, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    #[error(
        "`path` must begin with / and have letters, digits and ._~/- only, without // or a / at the end"
    )]
    Path,
    #[error("set {0}, or `anonymous: true` on a loopback address: anybody could post otherwise")]
    NoCredential(&'static str),
    #[error("`anonymous: true` and a credential exclude each other")]
    Both,
    #[error("`{option}` is not for `protocol: {protocol}`")]
    Foreign { option: &'static str, protocol: &'static str },
    #[error("`anonymous: true` is allowed on a loopback address only, not on {0}")]
    Anonymous(SocketAddr),
    #[error("{0} is not a loopback address: set `tls`, or `plain_http: true` to do without")]
    PlainHttp(SocketAddr),
    #[error("`basic.username` must not be empty or hold a colon")]
    Username,
    #[error("`max_body_size` must be between 1KiB and 64MiB")]
    BodySize,
}

impl Options {
    /// What can be said without asking anybody.
    pub fn check(&self) -> Result<(), OptionsError> {
        if self.path.as_deref().is_some_and(|path| !is_path(path)) {
            return Err(OptionsError::Path);
        }
        let bytes = self.max_body() as u64;
        if !(limits::KIB..=limits::HTTP_BODY_BYTES_MAX as u64).contains(&bytes) {
            return Err(OptionsError::BodySize);
        }
        if let Some(basic) = &self.basic
            && (basic.username.is_empty() || basic.username.contains(':'))
        {
            return Err(OptionsError::Username);
        }
        self.check_credentials()?;
        if self.listen.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        if self.anonymous {
            return Err(OptionsError::Anonymous(self.listen));
        }
        if self.tls.is_none() && !self.plain_http {
            return Err(OptionsError::PlainHttp(self.listen));
        }
        Ok(())
    }

    fn check_credentials(&self) -> Result<(), OptionsError> {
        let (protocol, takes, wanted): (_, &[&str], _) = match self.protocol {
            ProtocolName::Records => ("records", &["token", "basic"], "`token` or `basic`"),
            ProtocolName::Firehose => ("firehose", &["access_key"], "`access_key`"),
            ProtocolName::SplunkHec => ("splunk_hec", &["token"], "`token`"),
            ProtocolName::Otlp => ("otlp", &["token", "basic"], "`token` or `basic`"),
        };
        let count = |secrets: &Option<Secrets>| secrets.as_ref().map(|secrets| secrets.all().len());
        let given = [
            ("token", count(&self.token)),
            ("basic", self.basic.as_ref().map(|_| 1)),
            ("access_key", count(&self.access_key)),
        ];
        let mut credentials = 0;
        for (option, count) in given {
            if count.is_some() && !takes.contains(&option) {
                return Err(OptionsError::Foreign { option, protocol });
            }
            credentials += count.unwrap_or_default();
        }
        if self.format != Format::Auto && self.protocol != ProtocolName::Records {
            return Err(OptionsError::Foreign { option: "format", protocol });
        }
        if self.protocol != ProtocolName::SplunkHec {
            for (option, given) in [("output", self.output.is_some()), ("ack", self.ack)] {
                if given {
                    return Err(OptionsError::Foreign { option, protocol });
                }
            }
        }
        match (self.anonymous, credentials) {
            (false, 0) => Err(OptionsError::NoCredential(wanted)),
            (true, 1..) => Err(OptionsError::Both),
            _ => Ok(()),
        }
    }

    /// The path that is posted to.
    pub fn path_of(&self, stream: &str) -> String {
        self.path.clone().unwrap_or_else(|| format!("/{stream}"))
    }

    /// Largest body in bytes.
    pub fn max_body(&self) -> usize {
        let default = match self.protocol {
            // A Firehose stream gathers up to 64 MiB, and never sends again what was too large.
            ProtocolName::Firehose => limits::HTTP_BODY_BYTES_MAX,
            _ => limits::HTTP_BODY_BYTES_DEFAULT,
        };
        self.max_body_size.map_or(default, |size| size.0.try_into().unwrap_or(usize::MAX))
    }

    /// All secrets that admit.
    pub fn secrets(&self) -> Vec<&Secret> {
        let lists = [&self.token, &self.access_key];
        let lists = lists.into_iter().flatten().flat_map(Secrets::all);
        lists.chain(self.basic.as_ref().map(|basic| &basic.password)).collect()
    }

    /// The files that credentials are read from.
    pub fn files(&self) -> Vec<PathBuf> {
        auth::files(self.secrets())
    }

    /// What stands before the paths of a protocol that has its own.
    pub fn prefix(&self) -> &str {
        self.path.as_deref().unwrap_or_default().trim_end_matches('/')
    }

    /// The bearer tokens.
    pub fn tokens(&self) -> Vec<Secret> {
        self.token.as_ref().map(|tokens| tokens.all().to_vec()).unwrap_or_default()
    }
}

fn is_path(path: &str) -> bool {
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"._~/-".contains(&c);
    path.starts_with('/')
        && path.bytes().all(is_plain)
        && !path.contains("//")
        && (path == "/" || !path.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(yaml: &str) -> Result<(), OptionsError> {
        let options: Options = serde_yaml::from_str(yaml).unwrap();
        options.check()
    }

    #[test]
    fn what_is_unsafe_or_senseless_is_refused() {
        for good in [
            "{anonymous: true}",
            "{listen: '0.0.0.0:1', token: t, plain_http: true, path: /a/b}",
            "{listen: '[::]:1', token: [a, {file: /b}], tls: {certificate: /c, key: {file: /k}}}",
            "{basic: {username: u, password: p}, max_body_size: 1KiB}",
            "{protocol: firehose, access_key: k}",
            "{protocol: splunk_hec, token: t, ack: true, output: event}",
        ] {
            assert_eq!(of(good), Ok(()), "{good}");
        }
        let any: SocketAddr = "0.0.0.0:1".parse().unwrap();
        let no = |wanted| OptionsError::NoCredential(wanted);
        let foreign = |option, protocol| OptionsError::Foreign { option, protocol };
        for (bad, error) in [
            ("{}", no("`token` or `basic`")),
            ("{token: []}", no("`token` or `basic`")),
            ("{protocol: firehose}", no("`access_key`")),
            ("{anonymous: true, token: t}", OptionsError::Both),
            ("{listen: '0.0.0.0:1', anonymous: true}", OptionsError::Anonymous(any)),
            ("{listen: '0.0.0.0:1', token: t}", OptionsError::PlainHttp(any)),
            ("{token: t, path: a}", OptionsError::Path),
            ("{token: t, path: /a/}", OptionsError::Path),
            ("{token: t, path: '/a?b'}", OptionsError::Path),
            ("{token: t, access_key: k}", foreign("access_key", "records")),
            ("{protocol: firehose, token: t}", foreign("token", "firehose")),
            ("{protocol: firehose, access_key: k, format: raw}", foreign("format", "firehose")),
            ("{protocol: otlp, token: t, ack: true}", foreign("ack", "otlp")),
            ("{token: t, output: event}", foreign("output", "records")),
            ("{basic: {username: 'a:b', password: p}}", OptionsError::Username),
            ("{token: t, max_body_size: 65MiB}", OptionsError::BodySize),
        ] {
            assert_eq!(of(bad), Err(error), "{bad}");
        }
    }
}
