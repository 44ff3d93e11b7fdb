//! HTTP endpoints, Splunk and Datadog.

use serde_json::{Value, json};

use super::{
    common::{self, Common, secret_of, to_backup, to_managed, to_retry, to_scope},
    text, to_buffering,
};
use crate::{
    config::{
        DatadogDestination, HttpEndpointDestination, SplunkDestination, TransformSpec,
        firehose::{DestinationKind, destination::Document, destinations::Secrets},
    },
    net::http::parse_url,
    sinks::{
        http_endpoint::{ContentEncoding, Preset},
        splunk::EndpointType,
    },
    units::{Secret, Span},
};

/// What Splunk's own routes begin with; the base URL may name it.
const COLLECTOR: &str = "/services/collector";

pub(super) fn to_http(document: &Document, secrets: &Secrets) -> HttpEndpointDestination {
    let structure = |member: &str| document.get(member).unwrap_or(&Value::Null);
    let (endpoint, request) =
        (structure("EndpointConfiguration"), structure("RequestConfiguration"));
    let attributes = request["CommonAttributes"].as_array().map_or(&[][..], Vec::as_slice);
    let attribute = |attribute: &Value| {
        let value = Secret::Value(attribute["AttributeValue"].as_str()?.to_owned());
        Some((attribute["AttributeName"].as_str()?.to_owned(), value))
    };
    let managed = to_managed(document);
    HttpEndpointDestination {
        url: endpoint["Url"].as_str().map(|url| Secret::Value(url.to_owned())),
        endpoint_name: endpoint["Name"].as_str().map(str::to_owned),
        access_key: secret_of(secrets, "AccessKey", managed.as_ref()),
        secrets_manager: managed,
        content_encoding: Some(match request["ContentEncoding"].as_str() {
            Some("GZIP") => ContentEncoding::Gzip,
            _ => ContentEncoding::None,
        }),
        common_attributes: attributes.iter().filter_map(attribute).collect(),
        buffering: Some(to_buffering(document)),
        retry: to_retry(document),
        backup: to_backup(document),
        s3_backup_mode: to_scope(document),
        ..common::minimal(json!({}))
    }
}

pub(super) fn to_splunk(document: &Document, secrets: &Secrets) -> SplunkDestination {
    let managed = to_managed(document);
    let endpoint = text(document, "HECEndpoint");
    let timeout = document.get("HECAcknowledgmentTimeoutInSeconds").and_then(Value::as_u64);
    let default: SplunkDestination = common::minimal(json!({"endpoint": ""}));
    SplunkDestination {
        endpoint: endpoint.split_once(COLLECTOR).map_or(endpoint, |(base, _)| base).to_owned(),
        endpoint_type: match text(document, "HECEndpointType") {
            "Event" => EndpointType::Event,
            _ => EndpointType::Raw,
        },
        token: secret_of(secrets, "HECToken", managed.as_ref()),
        secrets_manager: managed,
        acknowledgment_timeout: timeout
            .map_or(default.acknowledgment_timeout, |s| Span(std::time::Duration::from_secs(s))),
        buffering: to_buffering(document),
        retry: to_retry(document),
        backup: to_backup(document),
        s3_backup_mode: to_scope(document),
        ..default
    }
}

/// Attributes may hold keys and are left out.
pub(super) fn from_http(
    http: &HttpEndpointDestination,
    transforms: &[TransformSpec],
) -> (DestinationKind, Document) {
    let url = match &http.url {
        Some(Secret::Value(url)) => shown_url(url),
        // Nothing here reads a file.
        Some(Secret::File { .. }) | None => None,
    };
    let name = http.endpoint_name.clone().or_else(|| http.preset.as_ref().map(preset_name));
    let gzip = http.content_encoding == Some(ContentEncoding::Gzip);
    let document = common::from(
        &Common {
            buffering: http.buffering,
            retry: http.retry,
            managed: http.secrets_manager.as_ref(),
            ..Common::of(
                DestinationKind::HttpEndpoint,
                &http.backup,
                http.s3_backup_mode,
                transforms,
            )
        },
        endpoint(url, name, gzip),
    );
    (DestinationKind::HttpEndpoint, document)
}

pub(super) fn from_splunk(
    splunk: &SplunkDestination,
    transforms: &[TransformSpec],
) -> (DestinationKind, Document) {
    let mut own = Document::new();
    let mut set = |member: &str, value: Value| own.insert(member.to_owned(), value);
    if let Some(url) = shown_url(&splunk.endpoint) {
        set("HECEndpoint", json!(url));
    }
    let event = splunk.endpoint_type == EndpointType::Event;
    set("HECEndpointType", json!(if event { "Event" } else { "Raw" }));
    let timeout = super::seconds(splunk.acknowledgment_timeout);
    set("HECAcknowledgmentTimeoutInSeconds", json!(timeout));
    let document = common::from(
        &Common {
            buffering: Some(splunk.buffering),
            retry: splunk.retry,
            managed: splunk.secrets_manager.as_ref(),
            ..Common::of(DestinationKind::Splunk, &splunk.backup, splunk.s3_backup_mode, transforms)
        },
        own,
    );
    (DestinationKind::Splunk, document)
}

/// The API knows Datadog as an HTTP endpoint.
pub(super) fn from_datadog(
    datadog: &DatadogDestination,
    transforms: &[TransformSpec],
) -> (DestinationKind, Document) {
    let url = match &datadog.endpoint {
        Some(endpoint) => shown_url(endpoint),
        None => Some(format!("https://http-intake.logs.{}", datadog.site)),
    };
    let kind = DestinationKind::HttpEndpoint;
    let document = common::from(
        &Common {
            buffering: Some(datadog.buffering),
            retry: datadog.retry,
            managed: datadog.secrets_manager.as_ref(),
            ..Common::of(kind, &datadog.backup, datadog.s3_backup_mode, transforms)
        },
        endpoint(url, Some("Datadog".to_owned()), datadog.gzip),
    );
    (kind, document)
}

fn endpoint(url: Option<String>, name: Option<String>, gzip: bool) -> Document {
    let mut endpoint = Document::new();
    endpoint.extend(url.map(|url| ("Url".to_owned(), url.into())));
    endpoint.extend(name.map(|name| ("Name".to_owned(), name.into())));
    let encoding = if gzip { "GZIP" } else { "NONE" };
    let request = json!({"ContentEncoding": encoding});
    [("EndpointConfiguration", Value::Object(endpoint)), ("RequestConfiguration", request)]
        .into_iter()
        .map(|(member, value)| (member.to_owned(), value))
        .collect()
}

/// A URL of the configuration file up to its port: keys stand in what follows (and in user names),
/// and whoever wrote the file can read it there.
pub(super) fn shown_url(text: &str) -> Option<String> {
    parse_url(text).ok().map(|url| url.origin().ascii_serialization())
}

/// The partner's name: its key in the configuration file, as a title.
fn preset_name(preset: &Preset) -> String {
    let key = match serde_json::to_value(preset) {
        Ok(Value::String(key)) => key,
        Ok(Value::Object(settings)) => settings.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    let title = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    key.split('_').map(title).collect::<Vec<_>>().join(" ")
}
