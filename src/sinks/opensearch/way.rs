//! How requests reach the cluster: as nobody, with a password, or signed.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};

use super::{
    answer::unanswered,
    options::{Auth, Flavor, Options},
};
use crate::{
    fault::Fault,
    net::{
        http::{Answer, Request, Tls, TlsError, Url, UrlError, client_with, parse_url, send_by},
        probe::probe,
        signed::SignedClient,
    },
    seams::Trial,
    units::Secret,
};

/// Why no sink can be made of the options. None of it depends on the destination being up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Endpoint(#[from] UrlError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The way to one endpoint.
pub(super) struct Way {
    kind: Kind,
    /// Where it leads, for a trial.
    url: Url,
    tls: Tls,
    timeout: Duration,
}

enum Kind {
    Plain { endpoint: Url, login: Option<(String, Secret)> },
    Signed(Box<SignedClient>),
}

impl Way {
    pub(super) fn new(options: &Options) -> Result<Self, ConnectError> {
        let endpoint = options.endpoint.clone();
        // Made here only to see that it can be: at each request it is asked for again, for its
        // certificates may have been renewed.
        client_with(&options.tls)?;
        let plain = |login| plain(&endpoint, login);
        let kind = match &options.auth {
            Auth::None => plain(None)?,
            Auth::Basic { username, password } => {
                plain(Some((username.clone(), password.clone())))?
            }
            Auth::Aws(access) => {
                let serverless = options.flavor == Flavor::Serverless;
                let service = if serverless { "aoss" } else { "es" };
                let client = SignedClient::new(access, service, Some(endpoint))?;
                Kind::Signed(Box::new(client.with_tls(options.tls.clone())))
            }
        };
        let url = parse_url(&options.endpoint)?;
        Ok(Self { kind, url, tls: options.tls.clone(), timeout: options.timeout.0 })
    }

    /// Name, connection and TLS.
    pub(super) async fn probe(&self) -> Vec<Trial> {
        probe(&self.url, &self.tls).await
    }

    pub(super) fn is_signed(&self) -> bool {
        matches!(self.kind, Kind::Signed(_))
    }

    /// Sends one request; `path` begins with `/` and is percent-encoded. Any answer is `Ok`.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
        answer_limit: usize,
    ) -> Result<Answer, Fault> {
        let sent = match &self.kind {
            Kind::Signed(client) => {
                client.send(method, path, headers, body, self.timeout, answer_limit).await
            }
            Kind::Plain { endpoint, login } => {
                let client = client_with(&self.tls)
                    .map_err(|error| Fault::halt("OS.CertificateNotRead", error.to_string()))?;
                let mut request = Request::new(method, join(endpoint, path)?);
                for (name, value) in headers {
                    let value = HeaderValue::from_str(value).map_err(|_| unsendable(name))?;
                    request.headers_mut().insert(HeaderName::from_static(name), value);
                }
                if let Some((username, password)) = login {
                    let value = credentials(username, password)?;
                    request.headers_mut().insert(header::AUTHORIZATION, value);
                }
                *request.body_mut() = Some(body.into());
                send_by(&client, request, self.timeout, answer_limit).await
            }
        };
        sent.map_err(|error| unanswered(&error))
    }
}

fn plain(endpoint: &str, login: Option<(String, Secret)>) -> Result<Kind, ConnectError> {
    let endpoint = parse_url(endpoint)?;
    if endpoint.query().is_some() {
        // It would end up in the middle of every URL.
        return Err(UrlError.into());
    }
    Ok(Kind::Plain { endpoint, login })
}

fn join(endpoint: &Url, path: &str) -> Result<Url, Fault> {
    let text = format!("{}{path}", endpoint.as_str().trim_end_matches('/'));
    text.parse().map_err(|_| unsendable("path"))
}

fn unsendable(what: &str) -> Fault {
    Fault::halt("OS.ValidationException", format!("{what} holds what it must not"))
}

/// The password is read anew for every request: it may stand in a file that changes.
fn credentials(username: &str, password: &Secret) -> Result<HeaderValue, Fault> {
    let password = password
        .reveal()
        .map_err(|error| Fault::halt("Standpipe.KeyNotRead", error.to_string()))?;
    let pair = base64_simd::STANDARD.encode_to_string(format!("{username}:{password}"));
    let mut value =
        HeaderValue::from_str(&format!("Basic {pair}")).expect("base64 is what headers may hold");
    value.set_sensitive(true);
    Ok(value)
}
