//! The listener: who may reach it, who may sign, and its certificate.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{not_empty, pem, secret};
use crate::config::{
    ApiOptions, Credential, TlsOptions,
    yaml::{Found, load_credentials, problem::join},
};

/// `takes_puts`: records come in by the API, so somebody must be able to sign.
pub(super) fn options(api: &ApiOptions, takes_puts: bool, found: &mut Found) {
    not_empty("api.region", Some(&api.region), found);
    exposure(api, takes_puts, found);
    if let Some(tls) = &api.tls {
        let TlsOptions { certificate, key } = tls;
        pem::certificates("api.tls.certificate", certificate, found);
        pem::private_key("api.tls.key", key, found);
    }
    credentials(&api.credentials, "api.credentials", found);
    if let Some(file) = &api.credentials_file
        && let Err(problems) = load_credentials(file)
    {
        found.elsewhere(problems);
    }
}

/// Nothing is open to the network that its owner has not opened in so many words.
fn exposure(api: &ApiOptions, takes_puts: bool, found: &mut Found) {
    let loopback = api.listen.ip().is_loopback();
    if api.anonymous && !loopback {
        found.add(
            "api.anonymous",
            "unsigned requests are taken on a loopback address only",
            Some("listen on 127.0.0.1, or give credentials"),
        );
    }
    if !loopback && api.tls.is_none() && !api.plain_http && !found.places.is_broken("api.tls") {
        found.add(
            "api.listen",
            "an address that others can reach needs a certificate",
            Some("set api.tls, or plain_http: true if something in front of it ends TLS"),
        );
    }
    let nobody_signs =
        !api.anonymous && api.credentials.is_empty() && api.credentials_file.is_none();
    if takes_puts && nobody_signs {
        let unclear = ["api.anonymous", "api.credentials_file", "api.credentials"];
        if unclear.iter().any(|path| found.places.is_broken(path)) {
            return;
        }
        found.add(
            "api.credentials",
            "nobody can sign a request",
            Some(
                "set api.credentials or api.credentials_file, or api.anonymous: true on a \
                 loopback address",
            ),
        );
    }
}

/// Checks a list of keys; `path` is empty for a file that is nothing but the list.
pub(in crate::config::yaml) fn credentials(keys: &[Credential], path: &str, found: &mut Found) {
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (index, key) in keys.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let id = &key.access_key_id;
        let at = join(&path, "access_key_id");
        let allowed = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ',' | '=');
        if id.is_empty() {
            found.add(&at, "must not be empty", None);
        } else if !id.chars().all(allowed) {
            found.add(&at, "must be ASCII without spaces, commas, slashes and =", None);
        } else if let Some(first) = known.insert(id, index) {
            found.add(&at, format!("is the same as that of entry [{first}]"), None);
        }
        secret(&join(&path, "secret_access_key"), &key.secret_access_key, found);
        if let Some(token) = &key.session_token {
            secret(&join(&path, "session_token"), token, found);
        }
        if let Some(expires) = &key.expires
            && expires.parse::<Timestamp>().is_err()
        {
            let at = join(&path, "expires");
            let shown = found.places.shown(&at, expires);
            let help = Some("write it like 2030-01-31T12:00:00Z");
            found.add(&at, format!("{shown} is no time"), help);
        }
    }
}
