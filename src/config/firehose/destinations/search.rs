//! OpenSearch, Elasticsearch and OpenSearch Serverless (API reference,
//! AmazonopensearchserviceDestinationConfiguration and its like).

use serde_json::json;

use super::{Secrets, Table, check_url, refuse, text};
use crate::config::firehose::{ApiError, destination::Document};

const DOMAIN_MEMBERS: [&str; 14] = [
    "RoleARN",
    "DomainARN",
    "ClusterEndpoint",
    "IndexName",
    "TypeName",
    "IndexRotationPeriod",
    "BufferingHints",
    "RetryOptions",
    "S3BackupMode",
    "S3DestinationDescription",
    "ProcessingConfiguration",
    "CloudWatchLoggingOptions",
    "VpcConfigurationDescription",
    "DocumentIdOptions",
];

pub static ELASTICSEARCH: Table = Table {
    members: &DOMAIN_MEMBERS,
    hints: (5, 300),
    retry_s: 300,
    modes: ["FailedDocumentsOnly", "AllDocuments"],
    lambda_size_mbs: "1",
    // A record must be one document, and these make many events one record.
    refused_processors: &["Decompression", "CloudWatchLogProcessing"],
    alternatives: &["DomainARN", "ClusterEndpoint"],
    secret: None,
    merged: &[],
    check: check_domain,
    complete: complete_domain,
};

pub static OPENSEARCH: Table = Table { check: check_opensearch, ..ELASTICSEARCH };

pub static SERVERLESS: Table = Table {
    members: &[
        "RoleARN",
        "CollectionEndpoint",
        "IndexName",
        "BufferingHints",
        "RetryOptions",
        "S3BackupMode",
        "S3DestinationDescription",
        "ProcessingConfiguration",
        "CloudWatchLoggingOptions",
        "VpcConfigurationDescription",
    ],
    alternatives: &[],
    check: check_collection,
    complete: complete_vpc,
    ..ELASTICSEARCH
};

fn check_domain(document: &Document, _: &Secrets) -> Result<(), ApiError> {
    let given = |member| document.contains_key(member);
    match (given("DomainARN"), given("ClusterEndpoint")) {
        (true, false) => refuse(
            "DomainARN is not available here: the domain's endpoint is not looked up. Specify \
             ClusterEndpoint instead.",
        ),
        (false, true) => {
            check_url("ClusterEndpoint", text(document, "ClusterEndpoint"), false)?;
            check_index(document)
        }
        _ => refuse("Exactly one of DomainARN and ClusterEndpoint must be specified."),
    }
}

fn check_opensearch(document: &Document, secrets: &Secrets) -> Result<(), ApiError> {
    check_domain(document, secrets)?;
    if !text(document, "TypeName").is_empty() {
        return refuse(
            "TypeName must be empty for OpenSearch. For Elasticsearch before 7 use \
             ElasticsearchDestinationConfiguration.",
        );
    }
    Ok(())
}

fn check_collection(document: &Document, _: &Secrets) -> Result<(), ApiError> {
    let endpoint = text(document, "CollectionEndpoint");
    if endpoint.is_empty() {
        return refuse("CollectionEndpoint must be specified.");
    }
    check_url("CollectionEndpoint", endpoint, false)?;
    check_index(document)
}

/// What both servers refuse in the name of an index (their documentation of creating one).
fn check_index(document: &Document) -> Result<(), ApiError> {
    const FORBIDDEN: &str = "\\/*?\"<>| ,#:";
    let name = text(document, "IndexName");
    let unfit =
        |c: char| FORBIDDEN.contains(c) || c.is_whitespace() || c.is_control() || c.is_uppercase();
    if matches!(name, "." | "..") || name.starts_with(['_', '-', '+']) || name.contains(unfit) {
        return refuse(&format!(
            "IndexName {name} is not valid: it must be in lower case, must not begin with _ - + \
             and must not contain any of {FORBIDDEN}"
        ));
    }
    Ok(())
}

fn complete_domain(document: &mut Document) {
    // An empty text means "not set".
    document.retain(|member, value| member != "TypeName" || *value != "");
    document.entry("IndexRotationPeriod").or_insert(json!("OneDay"));
    let format = json!({"DefaultDocumentIdFormat": "FIREHOSE_DEFAULT"});
    document.entry("DocumentIdOptions").or_insert(format);
    complete_vpc(document);
}

/// The member must be there, and nobody is asked which network the subnets are in.
fn complete_vpc(document: &mut Document) {
    if let Some(vpc) = document.get_mut("VpcConfigurationDescription") {
        vpc["VpcId"] = json!("");
    }
}
