//! Authorities, certificates and servers of TLS for tests.
//!
//! Whoever includes this file has `net::tls` in the module around it, under the name `tls`.

#![allow(dead_code, reason = "each includer uses its own part")]

use std::{path::PathBuf, sync::Arc};

use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::tls::Tls;

/// An authority with a folder for the files of those who trust it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

/// A certificate and its key, in PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

/// Which certificate a server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Good,
    Expired,
    NotYet,
    OtherName,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// TLS that trusts this authority alone.
    pub fn trusted(&self) -> Tls {
        Tls { ca_file: Some(self.file("ca.pem")), ..Tls::default() }
    }

    /// TLS that shows a certificate of this authority, too.
    pub fn member(&self) -> Tls {
        let issued = self.issue(Shown::Good);
        std::fs::write(self.file("us.pem"), issued.certificate).unwrap();
        std::fs::write(self.file("us.key"), issued.key).unwrap();
        Tls {
            certificate_file: Some(self.file("us.pem")),
            key_file: Some(self.file("us.key")),
            ..self.trusted()
        }
    }

    pub fn issue(&self, shown: Shown) -> Issued {
        let name = if shown == Shown::OtherName { "other.example" } else { "localhost" };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2049, 12, 31);
        match shown {
            Shown::Expired => params.not_after = rcgen::date_time_ymd(2021, 2, 3),
            Shown::NotYet => params.not_before = rcgen::date_time_ymd(2048, 5, 6),
            Shown::Good | Shown::OtherName => {}
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    /// A server's TLS; `mutual`: clients must show a certificate of this authority.
    pub fn acceptor(&self, shown: Shown, mutual: bool) -> TlsAcceptor {
        let issued = self.issue(shown);
        let chain = vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
    }

    /// A server that answers every request with 200 and the body `secure`.
    pub async fn serve(&self, shown: Shown, mutual: bool) -> Server {
        let acceptor = self.acceptor(shown, mutual);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(socket) = acceptor.accept(socket).await else { return };
                    let answer = async |_: hyper::Request<Incoming>| {
                        Ok::<_, &str>(hyper::Response::new(Full::new(bytes::Bytes::from("secure"))))
                    };
                    let serving = http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service_fn(answer));
                    // A client that is turned away ends its connection with an error.
                    let _ = serving.await;
                });
            }
        });
        Server { url, task }
    }
}

/// A server over TLS. It ends when it is dropped.
pub struct Server {
    pub url: String,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
