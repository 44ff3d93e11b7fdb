//! The way to a server, step by step: its name, a connection, TLS. For trials of destinations.

use std::{net::SocketAddr, sync::Arc};

use hyper_util::client::proxy::matcher::Matcher;
use rustls::ProtocolVersion;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    http::{Tls, TlsTrouble, Url},
    tls,
};
use crate::{fault::Cause, limits, seams::Trial};

const NAME: &str = "name resolution";
const CONNECTION: &str = "connection";
const HANDSHAKE: &str = "TLS";

/// Goes the way to the server of this URL until a step fails. Sends nothing over the connection.
/// Where the environment names a proxy, the way ends there: it alone sees what is behind it.
///
/// Codes: `Standpipe.NameNotFound`, `Standpipe.ConnectionFailed`, and those of TLS
/// ([`tls_code`]).
pub async fn probe(url: &Url, tls: &Tls) -> Vec<Trial> {
    let mut trials = Vec::new();
    let proxy = url.as_str().parse().ok().and_then(|uri| Matcher::from_system().intercept(&uri));
    let (host, port) = match &proxy {
        Some(proxy) => (
            proxy.uri().host().unwrap_or_default().to_owned(),
            proxy.uri().port_u16().unwrap_or(limits::PROXY_PORT),
        ),
        None => (
            url.host_str().unwrap_or_default().to_owned(),
            url.port_or_known_default().unwrap_or(443),
        ),
    };
    let host = host.trim_matches(['[', ']']);
    let addresses = note(&mut trials, NAME, resolve(host, port).await);
    let Some(addresses) = addresses else { return trials };
    let socket = note(&mut trials, CONNECTION, connect(&addresses, proxy.is_some()).await);
    let Some(socket) = socket else { return trials };
    if proxy.is_none() && url.scheme() == "https" {
        note(&mut trials, HANDSHAKE, shake_hands(host, socket, tls).await);
    }
    trials
}

/// Writes a step down and hands on what it is for.
fn note<T>(
    trials: &mut Vec<Trial>,
    step: &'static str,
    result: Result<(T, String), Cause>,
) -> Option<T> {
    let (found, result) = match result {
        Ok((found, text)) => (Some(found), Ok(text)),
        Err(cause) => (None, Err(cause)),
    };
    trials.push(Trial { step, result });
    found
}

async fn resolve(host: &str, port: u16) -> Result<(Vec<SocketAddr>, String), Cause> {
    let wrong = |text: String| Cause::new("Standpipe.NameNotFound", format!("{host}: {text}"));
    let looking = tokio::net::lookup_host((host, port));
    let found = tokio::time::timeout(limits::CONNECT_TIMEOUT, looking)
        .await
        .map_err(|_| wrong(late()))?
        .map_err(|error| wrong(error.to_string()))?;
    let addresses: Vec<_> = found.take(limits::PROBED_ADDRESSES).collect();
    if addresses.is_empty() {
        return Err(wrong("no address".into()));
    }
    let text: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    let text = format!("{host} is {}", text.join(", "));
    Ok((addresses, text))
}

async fn connect(
    addresses: &[SocketAddr],
    through_proxy: bool,
) -> Result<(TcpStream, String), Cause> {
    let to = if through_proxy { "to the proxy at " } else { "to " };
    let mut troubles = Vec::new();
    for address in addresses {
        let trying = TcpStream::connect(address);
        let trouble = match tokio::time::timeout(limits::CONNECT_TIMEOUT, trying).await {
            Ok(Ok(socket)) => return Ok((socket, format!("{to}{address}"))),
            Ok(Err(error)) => error.to_string(),
            Err(_) => late(),
        };
        troubles.push(format!("{to}{address}: {trouble}"));
    }
    Err(Cause::new("Standpipe.ConnectionFailed", troubles.join("; ")))
}

fn late() -> String {
    format!("nothing within {} s", limits::CONNECT_TIMEOUT.as_secs())
}

/// The code of an error of TLS, as HTTP endpoints' error records spell it behind `HttpEndpoint.`.
pub fn tls_code(trouble: TlsTrouble) -> &'static str {
    match trouble {
        TlsTrouble::Handshake => "SSLHandshakeFailure",
        TlsTrouble::Issuer => "SSLHandshakeCertificatePathFailure",
        TlsTrouble::Certificate => "SSLHandshakeCertificatePathValidationFailure",
        TlsTrouble::Connection => "SSLFailure",
    }
}

async fn shake_hands(host: &str, socket: TcpStream, tls: &Tls) -> Result<((), String), Cause> {
    let wrong = |trouble, text: String| Cause::new(tls_code(trouble), text);
    let config = tls.config().map_err(|error| wrong(TlsTrouble::Handshake, error.to_string()))?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| wrong(TlsTrouble::Certificate, format!("{host} is no name for TLS")))?;
    let shaking = TlsConnector::from(Arc::new(config)).connect(name, socket);
    let shaken = tokio::time::timeout(limits::CONNECT_TIMEOUT, shaking)
        .await
        .map_err(|_| wrong(TlsTrouble::Handshake, late()))?;
    match shaken {
        Ok(stream) => Ok(((), describe(&stream))),
        Err(error) => {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            let (trouble, text) = match inner {
                Some(error) => tls::explain(error, true),
                None => (TlsTrouble::Handshake, error.to_string()),
            };
            Err(wrong(trouble, text))
        }
    }
}

fn describe(stream: &TlsStream<TcpStream>) -> String {
    let (_, connection) = stream.get_ref();
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS",
    };
    let first = connection.peer_certificates().and_then(|chain| chain.first());
    match first.and_then(|certificate| tls::good_until(certificate)) {
        Some(until) => format!("{version}, certificate good until {until}"),
        None => version.into(),
    }
}

#[cfg(test)]
mod tests;
