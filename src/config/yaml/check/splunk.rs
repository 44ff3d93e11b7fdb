//! Splunk and Datadog: collectors of logs.

use super::{
    endpoint::{self, Keys, UrlRules},
    not_empty, span,
};
use crate::{
    config::{
        DatadogDestination, SplunkDestination,
        yaml::{Found, problem::join},
    },
    limits,
    sinks::splunk::EndpointType,
    units::Span,
};

pub(super) fn destination(path: &str, splunk: &SplunkDestination, found: &mut Found) {
    let at = join(path, "endpoint");
    let help = "write it like https://splunk.example:8088";
    let rules = UrlRules { plain_http: splunk.plain_http, query: false, help };
    endpoint::url(&at, &splunk.endpoint, rules, found);
    if splunk.endpoint.contains("/services/collector") {
        let message = "must end before /services/collector: endpoint_type says what follows";
        found.add(&at, message, Some(help));
    }
    let keys = Keys {
        name: "token",
        given: splunk.token.as_ref(),
        managed: splunk.secrets_manager.as_ref(),
        needed: true,
    };
    endpoint::keys(path, keys, found);
    acknowledgment(path, splunk, found);
    metadata(path, splunk, found);
}

fn acknowledgment(path: &str, splunk: &SplunkDestination, found: &mut Found) {
    let at = join(path, "acknowledgment_timeout");
    let timeout = splunk.acknowledgment_timeout;
    at_least(&at, timeout, Span(limits::SPLUNK_ACKNOWLEDGMENT_MIN), found);
    span(&at, timeout, limits::SPLUNK_ACKNOWLEDGMENT_MAX, found);
    let at = join(path, "acknowledgment_poll");
    at_least(&at, splunk.acknowledgment_poll, Span(limits::SPLUNK_POLL_MIN), found);
    if splunk.acknowledgment_poll > timeout {
        found.add(&at, "must not be longer than acknowledgment_timeout", None);
    }
}

fn at_least(path: &str, value: Span, least: Span, found: &mut Found) {
    if value < least {
        found.add(path, format!("must be at least {least}, not {value}"), None);
    }
}

/// Events bring their own metadata; the collector takes it from the query for raw bytes only.
fn metadata(path: &str, splunk: &SplunkDestination, found: &mut Found) {
    let path = join(path, "metadata");
    let metadata = &splunk.metadata;
    for (key, text) in [
        ("index", &metadata.index),
        ("source", &metadata.source),
        ("sourcetype", &metadata.sourcetype),
        ("host", &metadata.host),
    ] {
        let at = join(&path, key);
        not_empty(&at, text.as_deref(), found);
        if text.is_some() && splunk.endpoint_type == EndpointType::Event {
            let help = Some("records of endpoint_type: event say it themselves");
            found.add(&at, "has no effect with endpoint_type: event", help);
        }
    }
}

pub(super) fn datadog(path: &str, datadog: &DatadogDestination, found: &mut Found) {
    site(&join(path, "site"), datadog, found);
    if let Some(url) = &datadog.endpoint {
        let help = "write it like https://intake.example";
        let rules = UrlRules { plain_http: datadog.plain_http, query: false, help };
        endpoint::url(&join(path, "endpoint"), url, rules, found);
    }
    let keys = Keys {
        name: "api_key",
        given: datadog.api_key.as_ref(),
        managed: datadog.secrets_manager.as_ref(),
        needed: true,
    };
    endpoint::keys(path, keys, found);
    for (key, text) in [
        ("service", &datadog.service),
        ("source", &datadog.source),
        ("hostname", &datadog.hostname),
    ] {
        not_empty(&join(path, key), text.as_deref(), found);
    }
    for (index, tag) in datadog.tags.iter().enumerate() {
        let unfit = |c: char| c == ',' || c.is_whitespace() || c.is_control();
        if tag.is_empty()
            || tag.contains(unfit)
            || tag.chars().count() > limits::DATADOG_TAG_CHARS_MAX
        {
            let message = format!(
                "must be 1 to {} characters without commas and white space",
                limits::DATADOG_TAG_CHARS_MAX
            );
            let at = format!("{}[{index}]", join(path, "tags"));
            found.add(&at, message, Some("write it like env:prod"));
        }
    }
}

fn site(path: &str, datadog: &DatadogDestination, found: &mut Found) {
    if datadog.endpoint.is_some() && found.places.is_set(path) {
        return found.add(path, "has no effect beside endpoint", None);
    }
    let site = &datadog.site;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let labels = site.split('.').all(|label| !label.is_empty());
    if !(site.contains('.') && labels && site.chars().all(allowed)) {
        let shown = found.places.shown(path, site);
        let help = Some("write the name alone, like datadoghq.eu");
        found.add(path, format!("{shown} is no site"), help);
    }
}
