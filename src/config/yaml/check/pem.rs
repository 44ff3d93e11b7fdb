//! Files in PEM: certificates and the keys that go with them.

use std::path::Path;

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::secret_place;
use crate::{
    config::yaml::{Found, problem::join},
    net::http::Tls,
    units::Secret,
};

/// A file with at least one certificate.
pub(super) fn certificates(path: &str, file: &Path, found: &mut Found) {
    let chain = CertificateDer::pem_file_iter(file)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>());
    match chain {
        Ok(chain) if chain.is_empty() => found.add(path, "holds no PEM certificate", None),
        Ok(_) => {}
        Err(error) => found.add(path, format!("cannot be read: {error}"), None),
    }
}

/// A private key.
pub(super) fn private_key(path: &str, key: &Secret, found: &mut Found) {
    let at = secret_place(path, key);
    match key.reveal() {
        // The parser's error could quote the key.
        Ok(pem) if PrivateKeyDer::from_pem_slice(pem.as_bytes()).is_err() => {
            found.add(&at, "holds no PEM private key", None);
        }
        Ok(_) => {}
        Err(error) => found.add(&at, format!("cannot be read: {error}"), None),
    }
}

/// The certificates of one destination.
pub(super) fn tls(path: &str, tls: &Tls, found: &mut Found) {
    let at = |key| join(path, key);
    for (key, file) in [("ca_file", &tls.ca_file), ("certificate_file", &tls.certificate_file)] {
        if let Some(file) = file {
            certificates(&at(key), file, found);
        }
    }
    match (&tls.certificate_file, &tls.key_file) {
        (Some(_), None) if !found.places.is_broken(&at("key_file")) => {
            let help = Some("set key_file, the private key that goes with it");
            found.add(&at("certificate_file"), "shows nothing without its key", help);
        }
        (None, Some(_)) if !found.places.is_broken(&at("certificate_file")) => {
            let help = Some("set certificate_file, the certificate that goes with it");
            found.add(&at("key_file"), "has no effect without its certificate", help);
        }
        _ => {}
    }
    if let Some(file) = &tls.key_file {
        let key = Secret::File { file: file.clone() };
        // What is said of the file belongs to the key itself: there is no key below it.
        match key.reveal() {
            Ok(text) => private_key(&at("key_file"), &Secret::Value(text), found),
            Err(error) => found.add(&at("key_file"), format!("cannot be read: {error}"), None),
        }
    }
}
