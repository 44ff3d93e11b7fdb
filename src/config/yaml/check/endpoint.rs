//! What destinations that are asked over HTTP have in common: URLs, keys, requests, retries and
//! the backup.

use std::time::Duration;

use http::HeaderValue;

use super::{delimiter_bytes, not_empty, pem, role, s3, secret_place, size, span};
use crate::{
    batch::SizeOf,
    config::{
        BackupScope, Target, delimiter,
        yaml::{Found, problem::join},
    },
    limits,
    net::{http::parse_url, keys::SecretsManager},
    units::{Secret, Span},
};

/// What every kind but S3 has; `path` is the kind's.
pub(super) fn shared(path: &str, target: Target, found: &mut Found) {
    if let Some(tls) = target.tls() {
        pem::tls(&join(path, "tls"), tls, found);
    }
    if let Some(timeout) = target.timeout() {
        self::timeout(&join(path, "timeout"), timeout, found);
    }
    buffering(&join(path, "buffering"), target, found);
    if let Some(duration) = target.retry().and_then(|retry| retry.duration) {
        let at = join(&join(path, "retry"), "duration");
        span(&at, duration, limits::RETRY_DURATION_MAX, found);
    }
    backup(path, target, found);
}

fn timeout(path: &str, timeout: Duration, found: &mut Found) {
    if timeout.is_zero() {
        found.add(path, format!("must be more than {}", Span(timeout)), None);
    }
    span(path, Span(timeout), limits::REQUEST_TIMEOUT_MAX, found);
}

fn buffering(path: &str, target: Target, found: &mut Found) {
    let buffering = target.buffering();
    size(&join(path, "size"), buffering.size, 1, target.batch_bytes_max(), found);
    span(&join(path, "interval"), buffering.interval, limits::BUFFER_INTERVAL_MAX, found);
    if buffering.size_of == SizeOf::Object {
        let message = "must be records: only s3 counts the bytes of objects";
        found.add(&join(path, "size_of"), message, None);
    }
}

fn backup(path: &str, target: Target, found: &mut Found) {
    let (Some(backup), Some(scope)) = (target.backup(), target.backup_scope()) else { return };
    let at = join(path, "backup");
    s3::destination(&at, &backup.to_s3(), found);
    let Some(text) = &backup.append_delimiter else { return };
    let at = join(&at, "append_delimiter");
    delimiter_bytes(&at, &delimiter::bytes(text), found);
    if scope == BackupScope::FailedOnly && !found.places.is_broken(&join(path, "s3_backup_mode")) {
        let message = "stands behind source records, and none are kept";
        found.add(&at, message, Some("set s3_backup_mode: all"));
    }
}

/// What a kind's URL may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct UrlRules {
    /// Whether TLS may be left out.
    pub plain_http: bool,
    /// Whether something may stand behind a question mark.
    pub query: bool,
    /// How to write it.
    pub help: &'static str,
}

/// The URL of a destination. It may hold a key, so no message repeats any of it.
pub(super) fn url(path: &str, text: &str, rules: UrlRules, found: &mut Found) {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    let spaced = text.contains(|c: char| c.is_whitespace() || c.is_control());
    let Ok(url) = parse_url(text) else {
        return found.add(path, "is no URL of a server", Some(rules.help));
    };
    // What the parser mends (`https:host`, line breaks) would go out otherwise than it stands here.
    if spaced || !matches!(scheme, Some("http" | "https")) {
        return found.add(path, "is no URL of a server", Some(rules.help));
    }
    if scheme == Some("http") && !rules.plain_http {
        let help = Some("set plain_http: true to send records and keys as they are");
        found.add(path, "must begin with https://", help);
    }
    if !url.username().is_empty() || url.password().is_some() {
        let help = Some("keys have settings of their own, and headers");
        found.add(path, "must not hold a user or a password", help);
    }
    if url.query().is_some() && !rules.query {
        found.add(path, "must end before the question mark", Some(rules.help));
    }
}

/// The settings that give a kind its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'a> {
    /// The setting's name.
    pub name: &'static str,
    pub given: Option<&'a Secret>,
    pub managed: Option<&'a SecretsManager>,
    /// Whether there must be one.
    pub needed: bool,
}

/// A key, given or managed, and not both.
pub(super) fn keys(path: &str, keys: Keys, found: &mut Found) {
    let Keys { name, given, managed, needed } = keys;
    let (at, managed_at) = (join(path, name), join(path, "secrets_manager"));
    if given.is_some() && managed.is_some() {
        let message = format!("is another key beside {name}: give one of them");
        found.add(&managed_at, message, None);
    }
    let unclear = found.places.is_broken(&at) || found.places.is_broken(&managed_at);
    if needed && given.is_none() && managed.is_none() && !unclear {
        let help = format!("set {name}: {{file: /path}}, or secrets_manager: {{secret_arn: …}}");
        found.add(&at, format!("the key {name:?} is missing"), Some(&help));
    }
    if let Some(secret) = given {
        in_header(&at, secret, found);
    }
    if let Some(managed) = managed {
        secrets_manager(&managed_at, managed, found);
    }
}

/// A secret that goes into a header.
pub(super) fn in_header(path: &str, secret: &Secret, found: &mut Found) {
    super::secret(path, secret, found);
    let Ok(value) = secret.reveal() else { return };
    let at = secret_place(path, secret);
    if value.len() > limits::ACCESS_KEY_BYTES_MAX {
        found.add(&at, format!("must be at most {} bytes", limits::ACCESS_KEY_BYTES_MAX), None);
    } else if HeaderValue::from_str(&value).is_err() {
        found.add(&at, "cannot stand in a header: only ASCII, without line breaks", None);
    }
}

fn secrets_manager(path: &str, managed: &SecretsManager, found: &mut Found) {
    let at = join(path, "secret_arn");
    let fits = match managed.secret_arn.strip_prefix("arn:") {
        Some(arn) => {
            let parts: Vec<&str> = arn.splitn(6, ':').collect();
            matches!(parts[..], [_, "secretsmanager", region, account, "secret", name]
                if !region.is_empty() && !account.is_empty() && !name.is_empty())
        }
        None => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
            (1..=512).contains(&managed.secret_arn.len()) && managed.secret_arn.chars().all(allowed)
        }
    };
    if !fits {
        let help = "write it like arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-Ab1Cd2";
        found.add(&at, "is neither the ARN of a secret nor its name", Some(help));
    }
    role(&join(path, "role_arn"), managed.role_arn.as_deref(), found);
    not_empty(&join(path, "region"), managed.region.as_deref(), found);
    s3::endpoint(&join(path, "endpoint"), managed.endpoint.as_deref(), found);
}
