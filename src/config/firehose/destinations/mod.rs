//! The documents of destinations other than S3: what all of them have in common, and a table of
//! what is special about each.
//!
//! A stored document has the members of the kind's description, with every default written out.
//! What a description never shows (a key, a token) is kept beside it.

mod http_endpoint;
mod search;
mod splunk;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    ApiError,
    destination::{
        Document, check_logging, check_plain, in_order, logging_defaults, merge_members,
        plain_defaults,
    },
    prefix, processing,
};
use crate::{net::http::parse_url, units::Secret};

pub(super) use http_endpoint::HTTP_ENDPOINT;
pub(super) use search::{ELASTICSEARCH, OPENSEARCH, SERVERLESS};
pub(super) use splunk::SPLUNK;

/// What a destination is given and never shows, by the member's name.
pub(super) type Secrets = BTreeMap<String, Secret>;

/// The backup bucket in a description.
pub(super) const BACKUP: &str = "S3DestinationDescription";

/// What is special about a kind.
pub(super) struct Table {
    /// The members of its description, in the order in which they are described.
    members: &'static [&'static str],
    /// SizeInMBs and IntervalInSeconds unless told otherwise.
    hints: (i64, i64),
    /// RetryOptions.DurationInSeconds unless told otherwise.
    retry_s: i64,
    /// S3BackupMode for failed records only, which is the default, and for all of them.
    pub(super) modes: [&'static str; 2],
    /// BufferSizeInMBs of a Lambda processor unless told otherwise.
    lambda_size_mbs: &'static str,
    /// Processors that it does not take.
    refused_processors: &'static [&'static str],
    /// Members of which one takes the place of the others.
    alternatives: &'static [&'static str],
    /// The structure that holds the secret (none: the configuration itself), and its name.
    secret: Option<(Option<&'static str>, &'static str)>,
    /// Structures that an update changes member by member instead of as a whole.
    merged: &'static [&'static str],
    /// Rules of its own.
    check: fn(&Document, &Secrets) -> Result<(), ApiError>,
    /// Writes out the defaults of its own members.
    complete: fn(&mut Document),
}

impl Table {
    /// The document and the secrets of a new stream, from a configuration without unknown members.
    pub(super) fn create(&self, configuration: &Value) -> Result<(Document, Secrets), ApiError> {
        let mut document = described(configuration, "S3Configuration");
        let mut secrets = Secrets::new();
        self.keep_secret(&mut document, &mut secrets);
        self.check(&document, &secrets)?;
        Ok((self.materialise(&document), secrets))
    }

    /// The stored document and secrets with an update merged in. Omitted members keep their value,
    /// a secret among them; an empty secret removes it.
    pub(super) fn update(
        &self,
        stored: &Document,
        secrets: &Secrets,
        update: &Value,
    ) -> Result<(Document, Secrets), ApiError> {
        let mut update = described(update, "S3Update");
        let mut secrets = secrets.clone();
        self.keep_secret(&mut update, &mut secrets);
        self.check_switch(stored, &update)?;
        let mut merged = stored.clone();
        if self.alternatives.iter().any(|member| update.contains_key(*member)) {
            merged.retain(|member, _| !self.alternatives.contains(&member.as_str()));
        }
        for (member, value) in update {
            if member == BACKUP || self.merged.contains(&member.as_str()) {
                merge_members(&mut merged, &member, value);
            } else {
                merged.insert(member, value);
            }
        }
        self.check(&merged, &secrets)?;
        Ok((self.materialise(&merged), secrets))
    }

    /// Takes the secret out of what will be described.
    fn keep_secret(&self, document: &mut Document, secrets: &mut Secrets) {
        let Some((within, name)) = self.secret else { return };
        let holder = match within {
            Some(member) => document.get_mut(member).and_then(Value::as_object_mut),
            None => Some(document),
        };
        match holder.and_then(|holder| holder.shift_remove(name)) {
            Some(Value::String(secret)) if !secret.is_empty() => {
                secrets.insert(name.to_owned(), Secret::Value(secret));
            }
            Some(_) => drop(secrets.remove(name)),
            None => {}
        }
    }

    /// More records can be backed up later on, not fewer.
    fn check_switch(&self, stored: &Document, update: &Document) -> Result<(), ApiError> {
        let mode = |document: &Document| document.get("S3BackupMode").cloned().unwrap_or_default();
        let [failed, all] = self.modes;
        if mode(stored) == all && mode(update) == failed {
            return refuse(&format!("S3BackupMode cannot be changed from {all} to {failed}."));
        }
        Ok(())
    }

    fn check(&self, document: &Document, secrets: &Secrets) -> Result<(), ApiError> {
        check_logging(document)?;
        processing::check(document, false)?;
        processing::check_parameters(document)?;
        for kind in self.refused_processors {
            if processing::find(document, kind).is_some() {
                return refuse(&format!(
                    "The processor {kind} is not supported for this destination type."
                ));
            }
        }
        if let Some(Value::Object(backup)) = document.get(BACKUP) {
            check_plain(backup)?;
            prefix::check(backup, false)?;
        }
        (self.check)(document, secrets)
    }

    /// The document with every default written out, in the order of a description.
    pub(super) fn materialise(&self, given: &Document) -> Document {
        let mut document = given.clone();
        let (size_mbs, interval_s) = self.hints;
        let number = |member: &str, name: &str, default: i64| {
            given.get(member).and_then(|structure| structure[name].as_i64()).unwrap_or(default)
        };
        let hints = json!({
            "SizeInMBs": number("BufferingHints", "SizeInMBs", size_mbs),
            "IntervalInSeconds": number("BufferingHints", "IntervalInSeconds", interval_s),
        });
        let retry = number("RetryOptions", "DurationInSeconds", self.retry_s);
        let mode = given.get("S3BackupMode").cloned().unwrap_or_else(|| json!(self.modes[0]));
        let backup = given.get(BACKUP).and_then(Value::as_object);
        let backup = plain_defaults(backup.unwrap_or(&Document::new()), 5);
        let processing = processing::materialise(
            given.get("ProcessingConfiguration"),
            role_of(given),
            self.lambda_size_mbs,
        );
        let managed = given.get("SecretsManagerConfiguration").cloned();
        for (member, value) in [
            ("BufferingHints", hints),
            ("RetryOptions", json!({"DurationInSeconds": retry})),
            ("S3BackupMode", mode),
            (BACKUP, Value::Object(backup)),
            ("ProcessingConfiguration", processing),
            ("CloudWatchLoggingOptions", Value::Object(logging_defaults(given))),
            ("SecretsManagerConfiguration", managed.unwrap_or_else(|| json!({"Enabled": false}))),
        ] {
            document.insert(member.to_owned(), value);
        }
        (self.complete)(&mut document);
        in_order(&document, self.members.iter())
    }
}

/// A request's document with the members' names of a description.
fn described(request: &Value, backup: &str) -> Document {
    let mut document = request.as_object().cloned().unwrap_or_default();
    for (given, shown) in [(backup, BACKUP), ("VpcConfiguration", "VpcConfigurationDescription")] {
        if let Some(value) = document.shift_remove(given) {
            document.insert(shown.to_owned(), value);
        }
    }
    document
}

/// The destination's role; the bucket's where it has none (Splunk never has).
fn role_of(document: &Document) -> &str {
    let own = document.get("RoleARN").and_then(Value::as_str);
    own.or_else(|| document.get(BACKUP)?["RoleARN"].as_str()).unwrap_or_default()
}

/// The secret that Secrets Manager keeps: named where it is enabled. Says whether it is.
fn check_managed(document: &Document) -> Result<bool, ApiError> {
    let Some(managed) = document.get("SecretsManagerConfiguration") else { return Ok(false) };
    let enabled = managed["Enabled"] == true;
    if enabled && managed["SecretARN"].is_null() {
        refuse("SecretARN must be specified when SecretsManagerConfiguration is enabled.")?;
    }
    Ok(enabled)
}

/// What an HTTP header does not carry everywhere would fail every request.
fn check_header(name: &str, secrets: &Secrets) -> Result<(), ApiError> {
    let printable = |byte| (b' '..=b'~').contains(&byte);
    match secrets.get(name) {
        Some(Secret::Value(value)) if !value.bytes().all(printable) => {
            refuse(&format!("{name} must consist of printable ASCII characters."))
        }
        _ => Ok(()),
    }
}

/// The URL of a server that is asked with TLS. It may hold a key, so no message repeats it.
fn check_url(member: &str, text: &str, query: bool) -> Result<(), ApiError> {
    let mended = |c: char| c.is_whitespace() || c.is_control();
    let Some(url) = parse_url(text).ok().filter(|_| !text.contains(mended)) else {
        return refuse(&format!("{member} is not a valid URL."));
    };
    // The parser would mend `https:host`.
    if !text.starts_with("https://") {
        return refuse(&format!("{member} must begin with https://."));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(&format!("{member} must not contain a user name or password."));
    }
    if url.query().is_some() && !query {
        return refuse(&format!("{member} must not contain a query."));
    }
    Ok(())
}

fn text<'a>(document: &'a Document, member: &str) -> &'a str {
    document.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn refuse(message: &str) -> Result<(), ApiError> {
    Err(ApiError::invalid_argument(message))
}
