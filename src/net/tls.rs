//! TLS as a client: whom to trust, what to show, and what went wrong, in words.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::SystemTime,
};

use hyper_rustls::ConfigBuilderExt;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ConfigBuilder, Error, RootCertStore,
    WantsVerifier, client::WantsClientCert, crypto::aws_lc_rs,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS of one destination's own: authorities that the machine does not know, and a certificate to
/// show. PEM files, read when the client is made and again when one of them has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Certificates of authorities to trust instead of the machine's.
    pub ca_file: Option<PathBuf>,
    /// Our certificate, followed by its intermediates, for servers that ask for one.
    pub certificate_file: Option<PathBuf>,
    /// The private key that goes with it; in the certificate's file if absent.
    pub key_file: Option<PathBuf>,
}

/// Why no client can be made with these certificates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct TlsError {
    pub file: String,
    pub reason: String,
}

/// At which point TLS failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsTrouble {
    /// The two sides did not agree, or the server wants a certificate that it was not shown.
    Handshake,
    /// No authority that is trusted here vouches for the server's certificate.
    Issuer,
    /// The server's certificate is not good: out of date, of another name, revoked.
    Certificate,
    /// The connection was secure, and then broke the rules.
    Connection,
}

/// What changes when files are rotated: of each file its time and size; nothing for one that is
/// not there.
pub(super) type Stamp = Vec<Option<(SystemTime, u64)>>;

impl Tls {
    /// The TLS of a client, without protocols to agree on (ALPN). Reads the files.
    pub fn config(&self) -> Result<ClientConfig, TlsError> {
        let trusting = match &self.ca_file {
            Some(file) => builder().with_root_certificates(authorities(file)?),
            None => machines_roots(),
        };
        match (&self.certificate_file, &self.key_file) {
            (None, None) => Ok(trusting.with_no_client_auth()),
            (None, Some(key)) => Err(wrong(key, "a key without certificate_file")),
            (Some(certificate), key) => {
                let chain = certificates(certificate)?;
                let key = private_key(key.as_ref().unwrap_or(certificate))?;
                trusting.with_client_auth_cert(chain, key).map_err(|error| {
                    wrong(certificate, format!("not usable with its key: {error}"))
                })
            }
        }
    }

    /// Tells one state of the files from the next.
    pub(super) fn stamp(&self) -> Stamp {
        let look = |file: &PathBuf| {
            let metadata = fs::metadata(file).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        let files = [&self.ca_file, &self.certificate_file, &self.key_file];
        files.into_iter().flatten().map(look).collect()
    }
}

fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("aws-lc knows a cipher suite for every version")
}

/// The authorities that the machine trusts, read once.
fn machines_roots() -> ConfigBuilder<ClientConfig, WantsClientCert> {
    static ROOTS: LazyLock<ConfigBuilder<ClientConfig, WantsClientCert>> = LazyLock::new(|| {
        builder().with_native_roots().unwrap_or_else(|error| {
            // Plain HTTP still works; over TLS every server is now unknown.
            tracing::warn!(%error, "no certificates of authorities on this machine");
            builder().with_root_certificates(RootCertStore::empty())
        })
    });
    ROOTS.clone()
}

fn wrong(file: &Path, reason: impl Into<String>) -> TlsError {
    TlsError { file: file.display().to_string(), reason: reason.into() }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|error: io::Error| wrong(file, error.to_string()))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(file)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(wrong(file, "holds no certificate in PEM form")),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(file)?)
        .map_err(|_| wrong(file, "holds no private key in PEM form, or an encrypted one"))
}

fn authorities(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(file)? {
        store
            .add(certificate)
            .map_err(|error| wrong(file, format!("holds an unusable certificate: {error}")))?;
    }
    Ok(store)
}

/// What an error means, and the same in words. `connecting`: the handshake was not over.
pub(super) fn explain(error: &Error, connecting: bool) -> (TlsTrouble, String) {
    match error {
        // A bad signature: the authority has the name of one that is trusted, but another key.
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => (
            TlsTrouble::Issuer,
            "the server's certificate is not from an authority that is trusted here".into(),
        ),
        Error::InvalidCertificate(fault) => {
            (TlsTrouble::Certificate, format!("the server's certificate {}", flaw(fault)))
        }
        // In TLS 1.3 a server looks at our certificate when our side of the handshake is over.
        Error::AlertReceived(alert) if connecting || is_about_us(*alert) => {
            (TlsTrouble::Handshake, format!("the server broke the TLS handshake off: {alert:?}"))
        }
        Error::InvalidMessage(_) if connecting => {
            (TlsTrouble::Handshake, "the server does not speak TLS on this port".into())
        }
        _ if connecting => (TlsTrouble::Handshake, error.to_string()),
        _ => (TlsTrouble::Connection, error.to_string()),
    }
}

fn is_about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::HandshakeFailure
            // The signature under our certificate is not its issuer's.
            | AlertDescription::DecryptError
    )
}

fn flaw(fault: &CertificateError) -> String {
    match fault {
        CertificateError::Expired => "has expired".into(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("has expired: it was good until {}", moment(*not_after))
        }
        CertificateError::NotValidYet => "is not valid yet".into(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("is not valid yet: it will be from {} on", moment(*not_before))
        }
        CertificateError::NotValidForName => "is for another name".into(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().take(5).map(|name| plain(name)).collect();
            let more = if presented.len() > names.len() { ", ..." } else { "" };
            format!("is not for {} but for {}{more}", expected.to_str(), names.join(", "))
        }
        CertificateError::Revoked => "is revoked".into(),
        other => format!("is not good: {other}"),
    }
}

/// The name alone: `DnsName("example.com")` is how rustls lists it.
fn plain(name: &str) -> &str {
    name.split('"').nth(1).unwrap_or(name)
}

fn moment(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or("-".into(), |at| at.to_string())
}

/// Until when a certificate is good (`notAfter`, RFC 5280, 4.1.2.5). `None` for what is no X.509.
pub(super) fn good_until(certificate: &[u8]) -> Option<jiff::Timestamp> {
    const VERSION: u8 = 0xa0;
    const UTC_TIME: u8 = 0x17;
    let (_, certificate, _) = element(certificate)?;
    let (_, mut signed, _) = element(certificate)?;
    if signed.first() == Some(&VERSION) {
        signed = element(signed)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        signed = element(signed)?.2;
    }
    let (_, validity, _) = element(signed)?;
    let (_, _, rest) = element(validity)?;
    let (kind, text, _) = element(rest)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    // Two digits of a year stand for 1950 to 2049.
    let text = match (kind, text.get(..2)?.parse::<u8>().ok()?) {
        (UTC_TIME, 0..50) => format!("20{text}"),
        (UTC_TIME, _) => format!("19{text}"),
        _ => text.to_owned(),
    };
    let date = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// The first element of DER: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let digits = usize::from(first & 0x7f);
        if !(1..=4).contains(&digits) {
            return None;
        }
        let (bytes, after) = rest.split_at_checked(digits)?;
        length = bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests;
