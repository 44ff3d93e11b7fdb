//! Every URL, and what else comes of a preset.

use serde_json::{Value, json};

use super::*;
use crate::net::http::parse_url;

fn preset(preset: Value) -> Preset {
    serde_json::from_value(preset).unwrap()
}

fn url(value: &str) -> Secret {
    Secret::Value(value.into())
}

#[test]
fn every_partner_has_its_url() {
    let datadog = |site: &str, kind: &str| json!({"datadog": {"site": site, "kind": kind}});
    let new_relic =
        |kind: &str, region: &str| json!({"new_relic": {"kind": kind, "region": region}});
    let dynatrace = |region: &str| json!({"dynatrace": {"region": region, "environment_url": "https://a.live.dynatrace.com/"}});
    let sumo_logic = |kind: &str, token: &str| json!({"sumo_logic": {"deployment": "endpoint4.collection.us2", "kind": kind, "token": token}});
    let coralogix = |domain: &str| json!({"coralogix": {"domain": domain}});
    let logz_io = |kind: &str, region: &str| json!({"logz_io": {"kind": kind, "region": region}});
    for (given, expected) in [
        (json!({"datadog": {}}), "https://aws-kinesis-http-intake.logs.datadoghq.com/v1/input"),
        (
            datadog("datadoghq.eu", "logs"),
            "https://aws-kinesis-http-intake.logs.datadoghq.eu/v1/input",
        ),
        (
            datadog("ddog-gov.com", "logs"),
            "https://aws-kinesis-http-intake.logs.ddog-gov.com/v1/input",
        ),
        (
            datadog("us3.datadoghq.com", "logs"),
            "https://aws-kinesis-http-intake.logs.us3.datadoghq.com/api/v2/logs?dd-protocol=aws-kinesis-firehose",
        ),
        (
            datadog("us5.datadoghq.com", "logs"),
            "https://aws-kinesis-http-intake.logs.us5.datadoghq.com/api/v2/logs?dd-protocol=aws-kinesis-firehose",
        ),
        (
            datadog("ap1.datadoghq.com", "logs"),
            "https://aws-kinesis-http-intake.logs.ap1.datadoghq.com/api/v2/logs?dd-protocol=aws-kinesis-firehose",
        ),
        (datadog("datadoghq.com", "metrics"), "https://awsmetrics-intake.datadoghq.com/v1/input"),
        (datadog("datadoghq.eu", "metrics"), "https://awsmetrics-intake.datadoghq.eu/v1/input"),
        (
            datadog("us5.datadoghq.com", "metrics"),
            "https://event-platform-intake.us5.datadoghq.com/api/v2/awsmetrics?dd-protocol=aws-kinesis-firehose",
        ),
        (
            datadog("ap1.datadoghq.com", "metrics"),
            "https://event-platform-intake.ap1.datadoghq.com/api/v2/awsmetrics?dd-protocol=aws-kinesis-firehose",
        ),
        (
            datadog("datadoghq.eu", "changes"),
            "https://cloudplatform-intake.datadoghq.eu/api/v2/cloudchanges?dd-protocol=aws-kinesis-firehose",
        ),
        (json!({"new_relic": {}}), "https://aws-api.newrelic.com/firehose/v1"),
        (new_relic("logs", "eu"), "https://aws-api.eu.newrelic.com/firehose/v1"),
        (new_relic("metrics", "us"), "https://aws-api.newrelic.com/cloudwatch-metrics/v1"),
        (new_relic("metrics", "eu"), "https://aws-api.eu01.nr-data.net/cloudwatch-metrics/v1"),
        (dynatrace("global"), "https://aws.cloud.dynatrace.com"),
        (dynatrace("us"), "https://us.aws.cloud.dynatrace.com"),
        (dynatrace("eu"), "https://eu.aws.cloud.dynatrace.com"),
        (
            sumo_logic("log", "ab-c_D=="),
            "https://endpoint4.collection.us2.sumologic.net/receiver/v1/kinesis/log/ab-c_D==",
        ),
        (
            sumo_logic("metric", "a/b?c"),
            "https://endpoint4.collection.us2.sumologic.net/receiver/v1/kinesis/metric/a%2Fb%3Fc",
        ),
        (json!({"coralogix": {}}), "https://firehose-ingress.coralogix.com/firehose"),
        (coralogix("eu2.coralogix.com"), "https://firehose-ingress.eu2.coralogix.com/firehose"),
        (coralogix("coralogix.us"), "https://firehose-ingress.coralogix.us/firehose"),
        (
            json!({"honeycomb": {"dataset": "my set"}}),
            "https://api.honeycomb.io/1/kinesis_events/my%20set",
        ),
        (
            json!({"honeycomb": {"dataset": "a", "api_host": "https://api.eu1.honeycomb.io/"}}),
            "https://api.eu1.honeycomb.io/1/kinesis_events/a",
        ),
        (
            json!({"logz_io": {}}),
            "https://aws-firehose-logs-listener.logz.io/?type=logzio_firehose",
        ),
        (
            logz_io("logs", "nl"),
            "https://aws-firehose-logs-listener-nl.logz.io/?type=logzio_firehose",
        ),
        (logz_io("metrics", "us"), "https://listener-aws-metrics-stream-us.logz.io/"),
        (logz_io("metrics", "au"), "https://listener-aws-metrics-stream-au.logz.io/"),
        (json!({"logic_monitor": {"account": "acme"}}), "https://acme.logicmonitor.com"),
        (
            json!({"splunk_observability": {"realm": "eu0"}}),
            "https://ingest.eu0.signalfx.com/v1/cloudwatch_metric_stream",
        ),
    ] {
        let resolved = preset(given.clone()).resolve(None).unwrap();
        assert_eq!(resolved.url.reveal().unwrap(), expected, "{given}");
        assert_eq!(parse_url(expected).unwrap().scheme(), "https");
        // What the user says comes first.
        let own = url("https://example.com/own");
        assert_eq!(preset(given).resolve(Some(&own)), Ok(Resolved { url: own, ..resolved }));
    }
}

#[test]
fn partners_are_told_what_they_want() {
    let plain = |value: Value| match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, url(value.as_str().unwrap())))
            .collect::<Vec<_>>(),
        _ => unreachable!("an object"),
    };
    let own = url("https://example.com/own");
    for (given, name, mib, gzip, attributes) in [
        (json!({"datadog": {}}), "Datadog", 4, true, json!({})),
        (json!({"new_relic": {}}), "New Relic", 1, true, json!({})),
        (
            json!({"dynatrace": {"environment_url": "https://a.live.dynatrace.com"}}),
            "Dynatrace",
            5,
            true,
            json!({"dt-url": "https://a.live.dynatrace.com"}),
        ),
        (json!({"coralogix": {}}), "Coralogix", 6, true, json!({})),
        (
            json!({"coralogix": {"application_name": "a", "subsystem_name": "s",
                "integration_type": "RawText", "dynamic_metadata": true}}),
            "Coralogix",
            6,
            true,
            json!({"applicationName": "a", "subsystemName": "s", "integrationType": "RawText",
                "dynamicMetadata": "true"}),
        ),
        (json!({"honeycomb": {"dataset": "a"}}), "Honeycomb", 15, true, json!({})),
        (json!({"logz_io": {}}), "Logz.io", 5, false, json!({})),
        (json!({"logic_monitor": {"account": "a"}}), "LogicMonitor", 5, true, json!({})),
        (json!({"mongodb": {}}), "MongoDB Cloud", 5, false, json!({})),
        (json!({"elastic": {}}), "Elastic", 1, true, json!({})),
        (
            json!({"elastic": {"data_stream": "logs-a-b", "include_cw_extracted_fields": false}}),
            "Elastic",
            1,
            true,
            json!({"es_datastream_name": "logs-a-b", "include_cw_extracted_fields": "false"}),
        ),
        (
            json!({"splunk_observability": {"realm": "us0"}}),
            "Splunk Observability Cloud",
            1,
            true,
            json!({}),
        ),
    ] {
        let expected = Resolved {
            name,
            url: own.clone(),
            buffering_size: ByteSize(mib * MIB),
            buffering_interval: "60s".parse().unwrap(),
            content_encoding: if gzip { ContentEncoding::Gzip } else { ContentEncoding::None },
            common_attributes: plain(attributes),
            needs_access_key: true,
            retry: "300s".parse().unwrap(),
        };
        assert_eq!(preset(given.clone()).resolve(Some(&own)), Ok(expected), "{given}");
    }
    let sumo = json!({"sumo_logic": {"deployment": "a", "token": "hush"}});
    let resolved = preset(sumo).resolve(None).unwrap();
    assert_eq!((resolved.name, resolved.needs_access_key), ("Sumo Logic", false));
    assert!(!format!("{resolved:?}").contains("hush"), "the token is in the URL");
}

#[test]
fn what_leads_nowhere_or_elsewhere_is_said() {
    for (given, expected) in [
        (json!({"mongodb": {}}), PresetError::UrlNeeded { partner: "MongoDB Cloud" }),
        (json!({"elastic": {}}), PresetError::UrlNeeded { partner: "Elastic" }),
        (
            json!({"datadog": {"site": "evil.example/?"}}),
            PresetError::Host { field: "site", text: "evil.example/?".into() },
        ),
        (
            json!({"logic_monitor": {"account": "evil.example#"}}),
            PresetError::Host { field: "account", text: "evil.example#".into() },
        ),
        (
            json!({"splunk_observability": {"realm": ""}}),
            PresetError::Host { field: "realm", text: String::new() },
        ),
        (json!({"honeycomb": {"dataset": ""}}), PresetError::Empty { field: "dataset" }),
        (json!({"honeycomb": {"dataset": ".."}}), PresetError::Url { field: "dataset" }),
        (
            json!({"honeycomb": {"dataset": "a", "api_host": "api.honeycomb.io"}}),
            PresetError::Url { field: "api_host" },
        ),
        (
            json!({"dynatrace": {"environment_url": "abc12345"}}),
            PresetError::Url { field: "environment_url" },
        ),
        (
            json!({"sumo_logic": {"deployment": "a", "token": ""}}),
            PresetError::Empty { field: "token" },
        ),
    ] {
        assert_eq!(preset(given.clone()).resolve(None), Err(expected), "{given}");
    }
    let absent = json!({"sumo_logic": {"deployment": "a", "token": {"file": "/nowhere/token"}}});
    assert!(matches!(preset(absent).resolve(None), Err(PresetError::Token(_))));
}

#[test]
fn misspelt_settings_are_refused() {
    for given in [
        json!({"datadog": {"sight": "datadoghq.com"}}),
        json!({"new_relic": {"region": "mars"}}),
        json!({"dynatrace": {}}),
        json!({"mongodb": {"url": "https://a"}}),
        json!({"elastic": {"stream": "a"}}),
        json!({"graylog": {}}),
    ] {
        assert!(serde_json::from_value::<Preset>(given.clone()).is_err(), "{given}");
    }
}
