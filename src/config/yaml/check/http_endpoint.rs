//! HTTP endpoints.

use std::collections::{BTreeMap, HashMap};

use http::HeaderName;

use super::{
    endpoint::{self, Keys, UrlRules},
    not_empty, secret_place,
};
use crate::{
    config::{
        HttpEndpointDestination,
        yaml::{Found, problem::join},
    },
    limits,
    sinks::http_endpoint::{BodyFormat, Preset, presets::PresetError},
    units::Secret,
};

/// Headers of the connection, and those that say how the body is to be read.
const FRAMING: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// What the delivery protocol sets besides its own.
const PROTOCOL: [&str; 2] = ["content-type", "user-agent"];

pub(super) fn destination(path: &str, http: &HttpEndpointDestination, found: &mut Found) {
    place(path, http, found);
    if let Some(preset) = &http.preset {
        self::preset(path, preset, http.url.as_ref(), found);
    }
    let at = join(path, "endpoint_name");
    not_empty(&at, http.endpoint_name.as_deref(), found);
    let longest = limits::ENDPOINT_NAME_CHARS_MAX;
    if http.endpoint_name.as_ref().is_some_and(|name| name.chars().count() > longest) {
        found.add(&at, format!("must be at most {longest} characters"), None);
    }
    let keys = Keys {
        name: "access_key",
        given: http.access_key.as_ref(),
        managed: http.secrets_manager.as_ref(),
        needed: http.partner().is_some_and(|partner| partner.needs_access_key),
    };
    endpoint::keys(path, keys, found);
    attributes(&join(path, "common_attributes"), &http.common_attributes, found);
    headers(&join(path, "headers"), http, found);
    protocol_only(path, http, found);
}

/// Where requests go: to a URL, or to a partner's.
fn place(path: &str, http: &HttpEndpointDestination, found: &mut Found) {
    let at = join(path, "url");
    let Some(url) = &http.url else {
        let unclear = found.places.is_broken(&join(path, "preset"));
        if http.preset.is_none() && !unclear && !found.places.is_broken(&at) {
            let help = Some("set url: https://host/path, or the preset of a partner");
            found.add(&at, "the key \"url\" is missing", help);
        }
        return;
    };
    match url.reveal() {
        Ok(text) => {
            let help = "write it like https://host.example/path";
            let rules = UrlRules { plain_http: http.plain_http, query: true, help };
            endpoint::url(&secret_place(&at, url), &text, rules, found);
        }
        Err(error) => found.add(&join(&at, "file"), format!("cannot be read: {error}"), None),
    }
}

/// A partner, and whether what is said of it makes an endpoint.
fn preset(path: &str, preset: &Preset, url: Option<&Secret>, found: &mut Found) {
    let Err(error) = preset.resolve(url) else { return };
    // As it stands in the file: the one key of the mapping.
    let written = serde_json::to_value(preset).unwrap_or_default();
    let partner = written.as_object().and_then(|one| one.keys().next()).cloned();
    let at = join(&join(path, "preset"), &partner.unwrap_or_default());
    let message = error.to_string();
    let said = |field: &str| {
        message.strip_prefix(field).unwrap_or(&message).trim_start_matches([':', ' '])
    };
    match &error {
        PresetError::UrlNeeded { .. } => {
            found.add(&join(path, "url"), message, Some("set url: https://host/path"));
        }
        PresetError::Host { field, .. }
        | PresetError::Url { field }
        | PresetError::Empty { field } => {
            super::quoting(&join(&at, field), said(field), "makes no URL", found);
        }
        PresetError::Token(_) => found.add(&join(&at, "token"), message, None),
    }
}

/// Names are 1 to 256 characters and not blank, values up to 1024 (API reference,
/// HttpEndpointCommonAttribute).
fn attributes(path: &str, attributes: &BTreeMap<String, Secret>, found: &mut Found) {
    if attributes.len() > limits::COMMON_ATTRIBUTES_MAX {
        let message =
            format!("must be at most {}, not {}", limits::COMMON_ATTRIBUTES_MAX, attributes.len());
        found.add(path, message, None);
    }
    for (name, value) in attributes {
        let at = join(path, name);
        let longest = limits::ATTRIBUTE_NAME_CHARS_MAX;
        if name.trim().is_empty() || name.chars().count() > longest {
            let message = format!("the name of an attribute is 1 to {longest} characters");
            found.add(&at, message, None);
        }
        let place = secret_place(&at, value);
        let longest = limits::ATTRIBUTE_VALUE_CHARS_MAX;
        match value.reveal() {
            Ok(value) if value.chars().count() > longest => {
                found.add(&place, format!("must be at most {longest} characters"), None);
            }
            Ok(_) => {}
            Err(error) => found.add(&place, format!("cannot be read: {error}"), None),
        }
    }
}

fn headers(path: &str, http: &HttpEndpointDestination, found: &mut Found) {
    let mut known: HashMap<HeaderName, &str> = HashMap::new();
    for (name, value) in &http.headers {
        let at = join(path, name);
        match HeaderName::from_bytes(name.as_bytes()) {
            Err(_) => {
                let help = Some("only letters, digits and - _ . are common in one");
                found.add(&at, format!("{name:?} is no name of a header"), help);
            }
            Ok(header) if is_taken(header.as_str(), http.body) => {
                found.add(&at, "is set by the protocol", Some("leave it out"));
            }
            Ok(header) => {
                if let Some(first) = known.insert(header, name) {
                    found.add(&at, format!("is the same header as {first:?}"), None);
                }
            }
        }
        endpoint::in_header(&at, value, found);
    }
}

fn is_taken(header: &str, body: BodyFormat) -> bool {
    let is_protocols = header.starts_with("x-amz-firehose-") || PROTOCOL.contains(&header);
    FRAMING.contains(&header) || (body == BodyFormat::Firehose && is_protocols)
}

/// Settings that only the delivery protocol knows, beside a body that is none of it.
fn protocol_only(path: &str, http: &HttpEndpointDestination, found: &mut Found) {
    if http.body == BodyFormat::Firehose {
        return;
    }
    let help = Some("send it in headers, or leave body out");
    for (key, given) in [
        ("access_key", http.access_key.is_some()),
        ("secrets_manager", http.secrets_manager.is_some()),
        ("common_attributes", !http.common_attributes.is_empty()),
    ] {
        if given {
            found.add(&join(path, key), "is sent with body: firehose only", help);
        }
    }
    if http.preset.is_some() {
        let help = Some("leave body out, or give a url instead of the preset");
        found.add(&join(path, "body"), "must be firehose: partners take nothing else", help);
    }
}
