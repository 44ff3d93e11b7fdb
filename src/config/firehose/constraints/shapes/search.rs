//! OpenSearch, Elasticsearch and OpenSearch Serverless.

use super::s3::{
    CLOUD_WATCH_LOGGING_OPTIONS, PROCESSING_CONFIGURATION, S3_DESTINATION_CONFIGURATION,
    S3_DESTINATION_UPDATE,
};
use super::scalars::{
    ELASTICSEARCH_CLUSTER_ENDPOINT, ELASTICSEARCH_DOMAIN_ARN, ELASTICSEARCH_INDEX_NAME,
    ELASTICSEARCH_INDEX_ROTATION_PERIOD, ELASTICSEARCH_TYPE_NAME,
    NON_EMPTY_STRING_WITHOUT_WHITESPACE, OPENSEARCH_CLUSTER_ENDPOINT, OPENSEARCH_DOMAIN_ARN,
    OPENSEARCH_INDEX_NAME, OPENSEARCH_INDEX_ROTATION_PERIOD,
    OPENSEARCH_SERVERLESS_COLLECTION_ENDPOINT, OPENSEARCH_SERVERLESS_INDEX_NAME,
    OPENSEARCH_TYPE_NAME, ROLE_ARN,
};
use crate::config::firehose::constraints::{Member, Shape, integer, list, may, need, one_of};

pub const ELASTICSEARCH_DESTINATION_CONFIGURATION: &[Member] = &[
    need("RoleARN", ROLE_ARN),
    may("DomainARN", ELASTICSEARCH_DOMAIN_ARN),
    may("ClusterEndpoint", ELASTICSEARCH_CLUSTER_ENDPOINT),
    need("IndexName", ELASTICSEARCH_INDEX_NAME),
    may("TypeName", ELASTICSEARCH_TYPE_NAME),
    may("IndexRotationPeriod", ELASTICSEARCH_INDEX_ROTATION_PERIOD),
    may("BufferingHints", Shape::Structure(ELASTICSEARCH_BUFFERING_HINTS)),
    may("RetryOptions", Shape::Structure(ELASTICSEARCH_RETRY_OPTIONS)),
    may("S3BackupMode", one_of(&["FailedDocumentsOnly", "AllDocuments"])),
    need("S3Configuration", Shape::Structure(S3_DESTINATION_CONFIGURATION)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("VpcConfiguration", Shape::Structure(VPC_CONFIGURATION)),
    may("DocumentIdOptions", Shape::Structure(DOCUMENT_ID_OPTIONS)),
];

pub const ELASTICSEARCH_BUFFERING_HINTS: &[Member] =
    &[may("IntervalInSeconds", integer(0, 900)), may("SizeInMBs", integer(1, 100))];

pub const ELASTICSEARCH_RETRY_OPTIONS: &[Member] = &[may("DurationInSeconds", integer(0, 7_200))];

pub const VPC_CONFIGURATION: &[Member] = &[
    need("SubnetIds", list(1, 16, &NON_EMPTY_STRING_WITHOUT_WHITESPACE)),
    need("RoleARN", ROLE_ARN),
    need("SecurityGroupIds", list(1, 5, &NON_EMPTY_STRING_WITHOUT_WHITESPACE)),
];

pub const DOCUMENT_ID_OPTIONS: &[Member] =
    &[need("DefaultDocumentIdFormat", one_of(&["FIREHOSE_DEFAULT", "NO_DOCUMENT_ID"]))];

pub const OPENSEARCH_DESTINATION_CONFIGURATION: &[Member] = &[
    need("RoleARN", ROLE_ARN),
    may("DomainARN", OPENSEARCH_DOMAIN_ARN),
    may("ClusterEndpoint", OPENSEARCH_CLUSTER_ENDPOINT),
    need("IndexName", OPENSEARCH_INDEX_NAME),
    may("TypeName", OPENSEARCH_TYPE_NAME),
    may("IndexRotationPeriod", OPENSEARCH_INDEX_ROTATION_PERIOD),
    may("BufferingHints", Shape::Structure(OPENSEARCH_BUFFERING_HINTS)),
    may("RetryOptions", Shape::Structure(OPENSEARCH_RETRY_OPTIONS)),
    may("S3BackupMode", one_of(&["FailedDocumentsOnly", "AllDocuments"])),
    need("S3Configuration", Shape::Structure(S3_DESTINATION_CONFIGURATION)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("VpcConfiguration", Shape::Structure(VPC_CONFIGURATION)),
    may("DocumentIdOptions", Shape::Structure(DOCUMENT_ID_OPTIONS)),
];

pub const OPENSEARCH_BUFFERING_HINTS: &[Member] =
    &[may("IntervalInSeconds", integer(0, 900)), may("SizeInMBs", integer(1, 100))];

pub const OPENSEARCH_RETRY_OPTIONS: &[Member] = &[may("DurationInSeconds", integer(0, 7_200))];

pub const OPENSEARCH_SERVERLESS_DESTINATION_CONFIGURATION: &[Member] = &[
    need("RoleARN", ROLE_ARN),
    may("CollectionEndpoint", OPENSEARCH_SERVERLESS_COLLECTION_ENDPOINT),
    need("IndexName", OPENSEARCH_SERVERLESS_INDEX_NAME),
    may("BufferingHints", Shape::Structure(OPENSEARCH_SERVERLESS_BUFFERING_HINTS)),
    may("RetryOptions", Shape::Structure(OPENSEARCH_SERVERLESS_RETRY_OPTIONS)),
    may("S3BackupMode", one_of(&["FailedDocumentsOnly", "AllDocuments"])),
    need("S3Configuration", Shape::Structure(S3_DESTINATION_CONFIGURATION)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("VpcConfiguration", Shape::Structure(VPC_CONFIGURATION)),
];

pub const OPENSEARCH_SERVERLESS_BUFFERING_HINTS: &[Member] =
    &[may("IntervalInSeconds", integer(0, 900)), may("SizeInMBs", integer(1, 100))];

pub const OPENSEARCH_SERVERLESS_RETRY_OPTIONS: &[Member] =
    &[may("DurationInSeconds", integer(0, 7_200))];

pub const ELASTICSEARCH_DESTINATION_UPDATE: &[Member] = &[
    may("RoleARN", ROLE_ARN),
    may("DomainARN", ELASTICSEARCH_DOMAIN_ARN),
    may("ClusterEndpoint", ELASTICSEARCH_CLUSTER_ENDPOINT),
    may("IndexName", ELASTICSEARCH_INDEX_NAME),
    may("TypeName", ELASTICSEARCH_TYPE_NAME),
    may("IndexRotationPeriod", ELASTICSEARCH_INDEX_ROTATION_PERIOD),
    may("BufferingHints", Shape::Structure(ELASTICSEARCH_BUFFERING_HINTS)),
    may("RetryOptions", Shape::Structure(ELASTICSEARCH_RETRY_OPTIONS)),
    may("S3Update", Shape::Structure(S3_DESTINATION_UPDATE)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("DocumentIdOptions", Shape::Structure(DOCUMENT_ID_OPTIONS)),
];

pub const OPENSEARCH_DESTINATION_UPDATE: &[Member] = &[
    may("RoleARN", ROLE_ARN),
    may("DomainARN", OPENSEARCH_DOMAIN_ARN),
    may("ClusterEndpoint", OPENSEARCH_CLUSTER_ENDPOINT),
    may("IndexName", OPENSEARCH_INDEX_NAME),
    may("TypeName", OPENSEARCH_TYPE_NAME),
    may("IndexRotationPeriod", OPENSEARCH_INDEX_ROTATION_PERIOD),
    may("BufferingHints", Shape::Structure(OPENSEARCH_BUFFERING_HINTS)),
    may("RetryOptions", Shape::Structure(OPENSEARCH_RETRY_OPTIONS)),
    may("S3Update", Shape::Structure(S3_DESTINATION_UPDATE)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("DocumentIdOptions", Shape::Structure(DOCUMENT_ID_OPTIONS)),
];

pub const OPENSEARCH_SERVERLESS_DESTINATION_UPDATE: &[Member] = &[
    may("RoleARN", ROLE_ARN),
    may("CollectionEndpoint", OPENSEARCH_SERVERLESS_COLLECTION_ENDPOINT),
    may("IndexName", OPENSEARCH_SERVERLESS_INDEX_NAME),
    may("BufferingHints", Shape::Structure(OPENSEARCH_SERVERLESS_BUFFERING_HINTS)),
    may("RetryOptions", Shape::Structure(OPENSEARCH_SERVERLESS_RETRY_OPTIONS)),
    may("S3Update", Shape::Structure(S3_DESTINATION_UPDATE)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
];
