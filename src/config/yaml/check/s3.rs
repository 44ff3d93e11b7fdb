//! S3 destinations and their backup.

use super::{delimiter_bytes, not_empty, size, span};
use crate::{
    batch::Buffering,
    config::{
        BackupMode, S3Destination, delimiter,
        yaml::{Found, problem::join},
    },
    limits,
    partition::{KeyNaming, KeyOptions, PrefixError, Setting},
    sinks::s3::Encryption,
};

pub(super) fn destination(path: &str, s3: &S3Destination, found: &mut Found) {
    bucket(&join(path, "bucket"), &s3.bucket, found);
    check_prefixes(path, &s3.key_options(), found);
    buffering(&join(path, "buffering"), &s3.buffering, found);
    not_empty(&join(path, "region"), s3.region.as_deref(), found);
    endpoint(&join(path, "endpoint"), s3.endpoint.as_deref(), found);
    let no_role = s3.role_arn.is_none() && !found.places.is_broken(&join(path, "role_arn"));
    if s3.external_id.is_some() && no_role {
        let help = Some("it goes along when a role is assumed: set role_arn too");
        found.add(&join(path, "external_id"), "has no effect without role_arn", help);
    }
    encryption(&join(path, "encryption"), Some(&s3.encryption), found);
    let at = join(path, "multipart_threshold");
    let (min, max) = (limits::MULTIPART_BYTES_MIN, limits::MULTIPART_BYTES_MAX);
    size(&at, s3.multipart_threshold, min, max, found);
    backup(path, s3, found);
}

fn backup(path: &str, s3: &S3Destination, found: &mut Found) {
    let (mode, at) = (join(path, "s3_backup_mode"), join(path, "s3_backup"));
    let Some(backup) = &s3.s3_backup else {
        if s3.s3_backup_mode == BackupMode::Enabled && !found.places.is_broken(&at) {
            let help = Some("set s3_backup: {bucket: …}");
            found.add(&mode, "enabled, but nothing says where to", help);
        }
        return;
    };
    if !found.places.is_set(&mode) && !found.places.is_broken(&mode) {
        let help = Some("set s3_backup_mode: enabled (or disabled, to say so)");
        found.add(&at, "has no effect without s3_backup_mode", help);
    }
    bucket(&join(&at, "bucket"), &backup.bucket, found);
    // The zone is the destination's and was looked at there.
    check_prefixes(&at, &backup.key_options(None), found);
    buffering(&join(&at, "buffering"), &backup.buffering, found);
    encryption(&join(&at, "encryption"), backup.encryption.as_ref(), found);
    if let Some(text) = &backup.append_delimiter {
        delimiter_bytes(&join(&at, "append_delimiter"), &delimiter::bytes(text), found);
    }
}

/// The rules of prefixes, extension and time zone; `path` is what holds the keys. A text that came
/// from the environment is not repeated.
fn check_prefixes(path: &str, keys: &KeyOptions, found: &mut Found) {
    for error in KeyNaming::parse(keys).err().unwrap_or_default() {
        let key = match error.setting() {
            Setting::Prefix => "prefix",
            Setting::ErrorOutputPrefix => "error_output_prefix",
            Setting::FileExtension => "file_extension",
            Setting::CustomTimeZone => "custom_time_zone",
            Setting::Late => "late",
        };
        let at = match error {
            PrefixError::LatePrefix(_) => join(&join(path, key), "prefix"),
            _ => join(path, key),
        };
        let zone = keys.custom_time_zone.as_deref().unwrap_or_default();
        let help = Some("write an IANA name like Europe/Berlin");
        match error.setting() {
            Setting::CustomTimeZone => {
                let shown = found.places.shown(&at, zone);
                found.add(&at, format!("{shown} is no time zone"), help);
            }
            _ if found.places.is_from_environment(&at) => {
                found.add(&at, "is no valid prefix", None)
            }
            _ => {
                let help = match error {
                    // A backup has no partitions to switch on.
                    PrefixError::DynamicPartitioning => {
                        path.ends_with(".s3").then_some("set dynamic_partitioning: {enabled: true}")
                    }
                    PrefixError::KeysMissing => {
                        Some("write it like app=!{partitionKeyFromQuery:app}/")
                    }
                    PrefixError::LateWithoutEventTime
                        if found.places.is_broken(&join(path, "event_time")) =>
                    {
                        continue;
                    }
                    PrefixError::LateWithoutEventTime => Some("set event_time"),
                    _ => None,
                };
                found.add(&at, error.to_string(), help);
            }
        }
    }
}

fn buffering(path: &str, buffering: &Buffering, found: &mut Found) {
    size(&join(path, "size"), buffering.size, 1, limits::BUFFER_BYTES_MAX, found);
    span(&join(path, "interval"), buffering.interval, limits::BUFFER_INTERVAL_MAX, found);
}

fn encryption(path: &str, encryption: Option<&Encryption>, found: &mut Found) {
    if let Some(Encryption::SseKms(key)) = encryption {
        not_empty(&join(path, "sse_kms"), Some(key), found);
    }
}

/// A name, or a folder as `file:///some/folder`.
fn bucket(path: &str, bucket: &str, found: &mut Found) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let (message, help) = if bucket.is_empty() {
        ("must not be empty", None)
    } else if let Some(folder) = bucket.strip_prefix("file:") {
        if folder.starts_with("///") && folder.len() > "///".len() {
            return;
        }
        ("is no local folder", Some("write file:///some/folder, with three slashes"))
    } else if bucket.starts_with('/') || bucket.starts_with('.') {
        ("is no bucket's name", Some("a local folder is written file:///some/folder"))
    } else if bucket.contains(':') {
        ("is no bucket's name", Some("write the name alone, without s3:// or arn:"))
    } else if bucket.contains('/') {
        ("is no bucket's name", Some("what comes behind the name belongs to prefix"))
    } else if bucket.len() > limits::BUCKET_CHARS_MAX || !bucket.chars().all(allowed) {
        ("is no bucket's name", Some("only a-z A-Z 0-9 . - _ are allowed, at most 255"))
    } else {
        return;
    };
    let message = match bucket {
        "" => message.to_owned(),
        _ => format!("{} {message}", found.places.shown(path, bucket)),
    };
    found.add(path, message, help);
}

/// The URL of a server: scheme, host and perhaps a port.
pub(super) fn endpoint(path: &str, url: Option<&str>, found: &mut Found) {
    let Some(url) = url else { return };
    let parsed = url.parse::<http::Uri>().ok();
    let fits = parsed.as_ref().is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    });
    // The user part of a URL may hold a password.
    let shown = match url.contains('@') {
        true => "it".to_owned(),
        false => found.places.shown(path, url),
    };
    if !fits || url.contains('@') {
        let help = Some("write it like http://127.0.0.1:9000 or https://s3.example.org");
        found.add(path, format!("{shown} is no URL of a server"), help);
    }
}
