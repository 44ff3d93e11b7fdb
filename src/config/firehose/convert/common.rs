//! What all destinations but S3 have: the backup, retries, keys in Secrets Manager.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    Plain, hints, optional, plain, processors, seconds, text, to_bucket, to_buffering,
    to_compression, to_encryption,
};
use crate::{
    batch::Buffering,
    config::{
        BackupBucket, BackupScope, OnDenied, RetryOptions, TransformSpec,
        firehose::{
            DestinationKind,
            destination::Document,
            destinations::{BACKUP, Secrets},
        },
    },
    net::keys::SecretsManager,
    units::{Secret, Span},
};

/// A destination of the configuration file with every default, from what has none.
pub(super) fn minimal<T: DeserializeOwned>(mut required: Value) -> T {
    required["backup"] = json!({"bucket": ""});
    serde_json::from_value(required).expect("all other options have a default")
}

/// A secret that is in use: one of Secrets Manager takes its place.
pub(super) fn secret_of(
    secrets: &Secrets,
    name: &str,
    managed: Option<&SecretsManager>,
) -> Option<Secret> {
    secrets.get(name).filter(|_| managed.is_none()).cloned()
}

pub(super) fn to_managed(document: &Document) -> Option<SecretsManager> {
    let managed = document.get("SecretsManagerConfiguration").filter(|m| m["Enabled"] == true)?;
    let role_arn = managed["RoleARN"].as_str().map(str::to_owned);
    Some(SecretsManager {
        secret_arn: managed["SecretARN"].as_str()?.to_owned(),
        role_arn: role_arn.or_else(|| optional(document, "RoleARN")),
        region: None,
        endpoint: None,
    })
}

pub(super) fn to_retry(document: &Document) -> Option<RetryOptions> {
    let duration = document.get("RetryOptions").and_then(|r| r["DurationInSeconds"].as_u64());
    Some(RetryOptions {
        duration: Some(Span(Duration::from_secs(duration?))),
        on_denied: OnDenied::default(),
    })
}

/// `AllData`, `AllEvents`, `AllDocuments`, or what is only about failed ones.
pub(super) fn to_scope(document: &Document) -> BackupScope {
    if text(document, "S3BackupMode").starts_with("All") {
        BackupScope::All
    } else {
        BackupScope::FailedOnly
    }
}

pub(super) fn to_backup(document: &Document) -> BackupBucket {
    let none = Document::new();
    let backup = document.get(BACKUP).and_then(Value::as_object).unwrap_or(&none);
    BackupBucket {
        prefix: text(backup, "Prefix").to_owned(),
        error_output_prefix: text(backup, "ErrorOutputPrefix").to_owned(),
        buffering: to_buffering(backup),
        compression: to_compression(backup),
        role_arn: optional(backup, "RoleARN"),
        encryption: to_encryption(backup),
        ..serde_json::from_value(json!({"bucket": to_bucket(backup)}))
            .expect("all other options have a default")
    }
}

/// What the configuration file says of every destination but S3.
pub(super) struct Common<'a> {
    pub kind: DestinationKind,
    pub backup: &'a BackupBucket,
    pub scope: BackupScope,
    pub transforms: &'a [TransformSpec],
    pub buffering: Option<Buffering>,
    pub retry: Option<RetryOptions>,
    pub managed: Option<&'a SecretsManager>,
    /// The destination's own role.
    pub role_arn: Option<&'a str>,
}

impl<'a> Common<'a> {
    /// What each of them has.
    pub(super) fn of(
        kind: DestinationKind,
        backup: &'a BackupBucket,
        scope: BackupScope,
        transforms: &'a [TransformSpec],
    ) -> Self {
        let (buffering, retry, managed, role_arn) = (None, None, None, None);
        Self { kind, backup, scope, transforms, buffering, retry, managed, role_arn }
    }
}

/// The whole description, from the kind's own members.
pub(super) fn from(given: &Common<'_>, mut document: Document) -> Document {
    let mut set = |member: &str, value: Value| {
        document.insert(member.to_owned(), value);
    };
    let Some(table) = given.kind.table() else { return document };
    let [failed, all] = table.modes;
    set("S3BackupMode", json!(if given.scope == BackupScope::All { all } else { failed }));
    set(BACKUP, Value::Object(from_backup(given.backup)));
    if let Some(buffering) = given.buffering {
        set("BufferingHints", hints(buffering));
    }
    if let Some(duration) = given.retry.and_then(|retry| retry.duration) {
        set("RetryOptions", json!({"DurationInSeconds": seconds(duration)}));
    }
    if let Some(managed) = given.managed {
        let mut described = json!({"SecretARN": managed.secret_arn, "Enabled": true});
        if let Some(role_arn) = &managed.role_arn {
            described["RoleARN"] = json!(role_arn);
        }
        set("SecretsManagerConfiguration", described);
    }
    let role_arn = given.role_arn.or(given.backup.role_arn.as_deref());
    set("ProcessingConfiguration", processors::from_transforms(given.transforms, role_arn));
    table.materialise(&document)
}

fn from_backup(backup: &BackupBucket) -> Document {
    plain(Plain {
        bucket: &backup.bucket,
        prefix: &backup.prefix,
        error_output_prefix: &backup.error_output_prefix,
        buffering: backup.buffering,
        compression: backup.compression,
        role_arn: backup.role_arn.as_deref(),
        encryption: &backup.encryption,
    })
}
