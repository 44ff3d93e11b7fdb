//! Splunk and HTTP endpoints.

use super::s3::{
    CLOUD_WATCH_LOGGING_OPTIONS, PROCESSING_CONFIGURATION, S3_DESTINATION_CONFIGURATION,
    S3_DESTINATION_UPDATE, SECRETS_MANAGER_CONFIGURATION,
};
use super::scalars::{
    HEC_ENDPOINT, HEC_ENDPOINT_TYPE, HEC_TOKEN, HTTP_ENDPOINT_S3_BACKUP_MODE, ROLE_ARN,
    SPLUNK_S3_BACKUP_MODE,
};
use crate::config::firehose::constraints::{
    Member, Pattern, Shape, integer, list, matching, may, need, one_of,
};

pub const SPLUNK_DESTINATION_CONFIGURATION: &[Member] = &[
    need("HECEndpoint", HEC_ENDPOINT),
    need("HECEndpointType", HEC_ENDPOINT_TYPE),
    may("HECToken", HEC_TOKEN),
    may("HECAcknowledgmentTimeoutInSeconds", integer(180, 600)),
    may("RetryOptions", Shape::Structure(SPLUNK_RETRY_OPTIONS)),
    may("S3BackupMode", SPLUNK_S3_BACKUP_MODE),
    need("S3Configuration", Shape::Structure(S3_DESTINATION_CONFIGURATION)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("BufferingHints", Shape::Structure(SPLUNK_BUFFERING_HINTS)),
    may("SecretsManagerConfiguration", Shape::Structure(SECRETS_MANAGER_CONFIGURATION)),
];

pub const SPLUNK_RETRY_OPTIONS: &[Member] = &[may("DurationInSeconds", integer(0, 7_200))];

pub const SPLUNK_BUFFERING_HINTS: &[Member] =
    &[may("IntervalInSeconds", integer(0, 60)), may("SizeInMBs", integer(1, 5))];

pub const HTTP_ENDPOINT_DESTINATION_CONFIGURATION: &[Member] = &[
    need("EndpointConfiguration", Shape::Structure(HTTP_ENDPOINT_CONFIGURATION)),
    may("BufferingHints", Shape::Structure(HTTP_ENDPOINT_BUFFERING_HINTS)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("RequestConfiguration", Shape::Structure(HTTP_ENDPOINT_REQUEST_CONFIGURATION)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("RoleARN", ROLE_ARN),
    may("RetryOptions", Shape::Structure(HTTP_ENDPOINT_RETRY_OPTIONS)),
    may("S3BackupMode", HTTP_ENDPOINT_S3_BACKUP_MODE),
    need("S3Configuration", Shape::Structure(S3_DESTINATION_CONFIGURATION)),
    may("SecretsManagerConfiguration", Shape::Structure(SECRETS_MANAGER_CONFIGURATION)),
];

pub const HTTP_ENDPOINT_CONFIGURATION: &[Member] = &[
    need("Url", matching(1, 1_000, Pattern::HttpsUrl)),
    may("Name", matching(1, 256, Pattern::NotBlank)),
    may("AccessKey", matching(0, 4_096, Pattern::OneLine)),
];

pub const HTTP_ENDPOINT_BUFFERING_HINTS: &[Member] =
    &[may("SizeInMBs", integer(1, 64)), may("IntervalInSeconds", integer(0, 900))];

pub const HTTP_ENDPOINT_REQUEST_CONFIGURATION: &[Member] = &[
    may("ContentEncoding", one_of(&["NONE", "GZIP"])),
    may("CommonAttributes", list(0, 50, &Shape::Structure(HTTP_ENDPOINT_COMMON_ATTRIBUTE))),
];

pub const HTTP_ENDPOINT_COMMON_ATTRIBUTE: &[Member] = &[
    need("AttributeName", matching(1, 256, Pattern::NotBlank)),
    need("AttributeValue", matching(0, 1_024, Pattern::OneLine)),
];

pub const HTTP_ENDPOINT_RETRY_OPTIONS: &[Member] = &[may("DurationInSeconds", integer(0, 7_200))];

pub const SPLUNK_DESTINATION_UPDATE: &[Member] = &[
    may("HECEndpoint", HEC_ENDPOINT),
    may("HECEndpointType", HEC_ENDPOINT_TYPE),
    may("HECToken", HEC_TOKEN),
    may("HECAcknowledgmentTimeoutInSeconds", integer(180, 600)),
    may("RetryOptions", Shape::Structure(SPLUNK_RETRY_OPTIONS)),
    may("S3BackupMode", SPLUNK_S3_BACKUP_MODE),
    may("S3Update", Shape::Structure(S3_DESTINATION_UPDATE)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("BufferingHints", Shape::Structure(SPLUNK_BUFFERING_HINTS)),
    may("SecretsManagerConfiguration", Shape::Structure(SECRETS_MANAGER_CONFIGURATION)),
];

pub const HTTP_ENDPOINT_DESTINATION_UPDATE: &[Member] = &[
    may("EndpointConfiguration", Shape::Structure(HTTP_ENDPOINT_CONFIGURATION)),
    may("BufferingHints", Shape::Structure(HTTP_ENDPOINT_BUFFERING_HINTS)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("RequestConfiguration", Shape::Structure(HTTP_ENDPOINT_REQUEST_CONFIGURATION)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("RoleARN", ROLE_ARN),
    may("RetryOptions", Shape::Structure(HTTP_ENDPOINT_RETRY_OPTIONS)),
    may("S3BackupMode", HTTP_ENDPOINT_S3_BACKUP_MODE),
    may("S3Update", Shape::Structure(S3_DESTINATION_UPDATE)),
    may("SecretsManagerConfiguration", Shape::Structure(SECRETS_MANAGER_CONFIGURATION)),
];
