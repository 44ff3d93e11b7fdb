//! Splunk (API reference, SplunkDestinationConfiguration).

use serde_json::json;

use super::{Secrets, Table, check_header, check_managed, check_url, refuse, text};
use crate::config::firehose::{ApiError, destination::Document, processing};

/// `HECToken` is a member of the service's description too. Here no token is ever shown.
pub static SPLUNK: Table = Table {
    members: &[
        "HECEndpoint",
        "HECEndpointType",
        "HECAcknowledgmentTimeoutInSeconds",
        "RetryOptions",
        "S3BackupMode",
        "S3DestinationDescription",
        "ProcessingConfiguration",
        "CloudWatchLoggingOptions",
        "BufferingHints",
        "SecretsManagerConfiguration",
    ],
    hints: (5, 60),
    retry_s: 3600,
    modes: ["FailedEventsOnly", "AllEvents"],
    lambda_size_mbs: "0.25",
    refused_processors: &[],
    alternatives: &[],
    secret: Some((None, "HECToken")),
    merged: &[],
    check,
    complete,
};

fn check(document: &Document, secrets: &Secrets) -> Result<(), ApiError> {
    check_url("HECEndpoint", text(document, "HECEndpoint"), false)?;
    check_header("HECToken", secrets)?;
    if check_managed(document)? {
        // There is no role of the destination to fall back on.
        if document["SecretsManagerConfiguration"]["RoleARN"].is_null() {
            return refuse(
                "RoleARN must be specified in SecretsManagerConfiguration for Splunk destination.",
            );
        }
    } else if secrets.is_empty() {
        return refuse(
            "HECToken must be specified when SecretsManagerConfiguration is not enabled.",
        );
    }
    check_extraction(document)
}

/// What is unpacked is one document with many events (developer guide, "Decompress CloudWatch
/// Logs"); splitting them is the point of it.
fn check_extraction(document: &Document) -> Result<(), ApiError> {
    let has = |kind| processing::find(document, kind).is_some();
    if processing::enabled(document) && has("Decompression") && !has("CloudWatchLogProcessing") {
        return refuse(
            "Message extraction must be enabled when decompression is enabled for Splunk \
             destination.",
        );
    }
    Ok(())
}

fn complete(document: &mut Document) {
    document.entry("HECAcknowledgmentTimeoutInSeconds").or_insert(json!(180));
}
