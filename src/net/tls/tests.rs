use super::*;
use crate::net::tls_double::{Authority, Shown};

#[test]
fn files_that_are_none_are_named_with_the_reason() {
    let authority = Authority::new();
    let write = |name: &str, text: &str| {
        std::fs::write(authority.file(name), text).unwrap();
        Some(authority.file(name))
    };
    let good = authority.member();
    let other = authority.issue(Shown::Good);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let text = write("text", "hello");
    for (tls, file, reason) in [
        (Tls { ca_file: Some(authority.file("gone")), ..good.clone() }, "gone", "No such file"),
        (Tls { ca_file: text.clone(), ..good.clone() }, "text", "no certificate in PEM"),
        (Tls { ca_file: write("bad", broken), ..good.clone() }, "bad", "unusable certificate"),
        (Tls { certificate_file: text.clone(), ..good.clone() }, "text", "no certificate in PEM"),
        (Tls { key_file: text, ..good.clone() }, "text", "no private key in PEM"),
        (Tls { key_file: None, ..good.clone() }, "us.pem", "no private key in PEM"),
        (Tls { certificate_file: None, ..good.clone() }, "us.key", "without certificate_file"),
        (Tls { key_file: write("other", &other.key), ..good.clone() }, "us.pem", "with its key"),
    ] {
        let error = tls.config().unwrap_err();
        assert!(error.file.ends_with(file), "{error}");
        assert!(error.reason.contains(reason), "{error}");
    }
    assert!(good.config().unwrap().client_auth_cert_resolver.has_certs());
    assert!(!Tls::default().config().unwrap().client_auth_cert_resolver.has_certs());
}

#[test]
fn a_key_may_stand_in_the_file_of_its_certificate() {
    let authority = Authority::new();
    let issued = authority.issue(Shown::Good);
    let both = authority.file("both.pem");
    std::fs::write(&both, issued.certificate + &issued.key).unwrap();
    let tls = Tls { certificate_file: Some(both), ..authority.trusted() };
    assert!(tls.config().unwrap().client_auth_cert_resolver.has_certs());
}

#[test]
fn the_end_of_a_certificate_is_read_and_nonsense_is_none() {
    let authority = Authority::new();
    let der = |shown| {
        let issued = authority.issue(shown);
        CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()
    };
    let until = |der: &[u8]| good_until(der).map(|at| at.to_string());
    assert_eq!(until(&der(Shown::Expired)).as_deref(), Some("2021-02-03T00:00:00Z"));
    let good = der(Shown::Good);
    assert_eq!(until(&good).as_deref(), Some("2049-12-31T00:00:00Z"));
    for end in 0..good.len() {
        assert_eq!(until(&good[..end]), None, "{end}");
    }
    // Any byte may be any other: no panic.
    for at in 0..good.len().min(200) {
        for byte in [0, 0x7f, 0x80, 0x84, 0x88, 0xff] {
            let mut mangled = good.to_vec();
            mangled[at] = byte;
            let _ = until(&mangled);
        }
    }
}
