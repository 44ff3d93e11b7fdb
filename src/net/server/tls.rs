//! The listener's certificate: read again when its files change.

use std::{fs, io, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsAcceptor;

use crate::units::Secret;

/// Certificate and key of the listener, PEM; read again when the files change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsOptions {
    /// File with the certificate, followed by its intermediates.
    pub certificate: PathBuf,
    /// The private key, as `{file: path}` or the PEM text itself.
    pub key: Secret,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read the certificate {path}: {source}")]
    Certificate { path: PathBuf, source: io::Error },
    #[error("{0} holds no certificate in PEM form")]
    NoCertificate(PathBuf),
    #[error("cannot read the certificate's key: {0}")]
    Key(io::Error),
    #[error("the certificate's key is not a private key in PEM form")]
    NoKey,
    #[error("certificate and key are not usable together: {0}")]
    Unfit(rustls::Error),
}

/// The certificate in force.
pub struct Certificates {
    current: ArcSwap<ServerConfig>,
    options: TlsOptions,
}

impl Certificates {
    pub fn load(options: &TlsOptions) -> Result<Self, TlsError> {
        let current = ArcSwap::from(read(options)?);
        Ok(Self { current, options: options.clone() })
    }

    /// Reads the files again. On an error the old certificate stays in force.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(read(&self.options)?);
        Ok(())
    }

    /// For one connection, with the certificate of this moment.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// The files that certificate and key are read from.
    pub fn files(options: &TlsOptions) -> Vec<PathBuf> {
        let mut files = vec![options.certificate.clone()];
        if let Secret::File { file } = &options.key {
            files.push(file.clone());
        }
        files
    }
}

fn read(options: &TlsOptions) -> Result<Arc<ServerConfig>, TlsError> {
    let path = &options.certificate;
    let pem =
        fs::read(path).map_err(|source| TlsError::Certificate { path: path.clone(), source })?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NoCertificate(path.clone()))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(path.clone()));
    }
    let key = options.key.reveal().map_err(TlsError::Key)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| TlsError::NoKey)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(TlsError::Unfit)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
