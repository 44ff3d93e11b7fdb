//! HTTP endpoints (API reference, HttpEndpointDestinationConfiguration).

use serde_json::{Value, json};

use super::{Secrets, Table, check_header, check_managed, check_url, refuse};
use crate::config::firehose::{
    ApiError,
    destination::{Document, check_hints},
};

pub static HTTP_ENDPOINT: Table = Table {
    members: &[
        "EndpointConfiguration",
        "BufferingHints",
        "CloudWatchLoggingOptions",
        "RequestConfiguration",
        "ProcessingConfiguration",
        "RoleARN",
        "RetryOptions",
        "S3BackupMode",
        "S3DestinationDescription",
        "SecretsManagerConfiguration",
    ],
    hints: (5, 300),
    retry_s: 300,
    modes: ["FailedDataOnly", "AllData"],
    lambda_size_mbs: "1",
    refused_processors: &[],
    alternatives: &[],
    secret: Some((Some("EndpointConfiguration"), "AccessKey")),
    // Its key cannot be read back by whoever changes the rest of it.
    merged: &["EndpointConfiguration"],
    check,
    complete,
};

fn check(document: &Document, secrets: &Secrets) -> Result<(), ApiError> {
    check_hints(document)?;
    let url = document.get("EndpointConfiguration").and_then(|endpoint| endpoint["Url"].as_str());
    check_url("EndpointConfiguration.Url", url.unwrap_or_default(), true)?;
    check_header("AccessKey", secrets)?;
    check_managed(document)?;
    check_attributes(document)
}

/// They are sent as one object.
fn check_attributes(document: &Document) -> Result<(), ApiError> {
    let attributes =
        document.get("RequestConfiguration").map(|request| &request["CommonAttributes"]);
    let attributes = attributes.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let name = |at: usize| &attributes[at]["AttributeName"];
    if (1..attributes.len()).any(|at| (0..at).any(|before| name(before) == name(at))) {
        return refuse("Duplicate AttributeName passed to CommonAttributes.");
    }
    Ok(())
}

fn complete(document: &mut Document) {
    let request = document.get("RequestConfiguration").unwrap_or(&Value::Null);
    let attributes = request["CommonAttributes"].as_array().cloned().unwrap_or_default();
    let request = json!({
        "ContentEncoding": request["ContentEncoding"].as_str().unwrap_or("NONE"),
        "CommonAttributes": attributes,
    });
    document.insert("RequestConfiguration".into(), request);
}
