//! The inputs of the twelve operations.

use super::endpoints::{
    HTTP_ENDPOINT_DESTINATION_CONFIGURATION, HTTP_ENDPOINT_DESTINATION_UPDATE,
    SPLUNK_DESTINATION_CONFIGURATION, SPLUNK_DESTINATION_UPDATE,
};
use super::s3::{
    EXTENDED_S3_DESTINATION_CONFIGURATION, EXTENDED_S3_DESTINATION_UPDATE,
    S3_DESTINATION_CONFIGURATION, S3_DESTINATION_UPDATE,
};
use super::scalars::{DELIVERY_STREAM_NAME, DELIVERY_STREAM_TYPE, DESTINATION_ID, TAG_KEY};
use super::search::{
    ELASTICSEARCH_DESTINATION_CONFIGURATION, ELASTICSEARCH_DESTINATION_UPDATE,
    OPENSEARCH_DESTINATION_CONFIGURATION, OPENSEARCH_DESTINATION_UPDATE,
    OPENSEARCH_SERVERLESS_DESTINATION_CONFIGURATION, OPENSEARCH_SERVERLESS_DESTINATION_UPDATE,
};
use super::sources::{
    DATABASE_SOURCE_CONFIGURATION, DIRECT_PUT_SOURCE_CONFIGURATION,
    KINESIS_STREAM_SOURCE_CONFIGURATION, MSK_SOURCE_CONFIGURATION,
};
use super::warehouses::{
    ICEBERG_DESTINATION_CONFIGURATION, ICEBERG_DESTINATION_UPDATE,
    REDSHIFT_DESTINATION_CONFIGURATION, REDSHIFT_DESTINATION_UPDATE,
    SNOWFLAKE_DESTINATION_CONFIGURATION, SNOWFLAKE_DESTINATION_UPDATE,
};
use crate::config::firehose::constraints::{
    Member, Pattern, Shape, integer, list, matching, may, need, one_of,
};

pub const CREATE_DELIVERY_STREAM: &[Member] = &[
    need("DeliveryStreamName", DELIVERY_STREAM_NAME),
    may("DeliveryStreamType", DELIVERY_STREAM_TYPE),
    may("DirectPutSourceConfiguration", Shape::Structure(DIRECT_PUT_SOURCE_CONFIGURATION)),
    may("KinesisStreamSourceConfiguration", Shape::Structure(KINESIS_STREAM_SOURCE_CONFIGURATION)),
    may(
        "DeliveryStreamEncryptionConfigurationInput",
        Shape::Structure(DELIVERY_STREAM_ENCRYPTION_CONFIGURATION_INPUT),
    ),
    may("S3DestinationConfiguration", Shape::Structure(S3_DESTINATION_CONFIGURATION)),
    may(
        "ExtendedS3DestinationConfiguration",
        Shape::Structure(EXTENDED_S3_DESTINATION_CONFIGURATION),
    ),
    may("RedshiftDestinationConfiguration", Shape::Structure(REDSHIFT_DESTINATION_CONFIGURATION)),
    may(
        "ElasticsearchDestinationConfiguration",
        Shape::Structure(ELASTICSEARCH_DESTINATION_CONFIGURATION),
    ),
    may(
        "AmazonopensearchserviceDestinationConfiguration",
        Shape::Structure(OPENSEARCH_DESTINATION_CONFIGURATION),
    ),
    may("SplunkDestinationConfiguration", Shape::Structure(SPLUNK_DESTINATION_CONFIGURATION)),
    may(
        "HttpEndpointDestinationConfiguration",
        Shape::Structure(HTTP_ENDPOINT_DESTINATION_CONFIGURATION),
    ),
    may("Tags", list(1, 50, &Shape::Structure(TAG))),
    may(
        "AmazonOpenSearchServerlessDestinationConfiguration",
        Shape::Structure(OPENSEARCH_SERVERLESS_DESTINATION_CONFIGURATION),
    ),
    may("MSKSourceConfiguration", Shape::Structure(MSK_SOURCE_CONFIGURATION)),
    may("SnowflakeDestinationConfiguration", Shape::Structure(SNOWFLAKE_DESTINATION_CONFIGURATION)),
    may("IcebergDestinationConfiguration", Shape::Structure(ICEBERG_DESTINATION_CONFIGURATION)),
    may("DatabaseSourceConfiguration", Shape::Structure(DATABASE_SOURCE_CONFIGURATION)),
];

pub const DELIVERY_STREAM_ENCRYPTION_CONFIGURATION_INPUT: &[Member] = &[
    may("KeyARN", matching(1, 512, Pattern::KmsKeyArn)),
    need("KeyType", one_of(&["AWS_OWNED_CMK", "CUSTOMER_MANAGED_CMK"])),
];

pub const TAG: &[Member] =
    &[need("Key", TAG_KEY), may("Value", matching(0, 256, Pattern::TagValue))];

pub const DELETE_DELIVERY_STREAM: &[Member] =
    &[need("DeliveryStreamName", DELIVERY_STREAM_NAME), may("AllowForceDelete", Shape::Boolean)];

pub const DESCRIBE_DELIVERY_STREAM: &[Member] = &[
    need("DeliveryStreamName", DELIVERY_STREAM_NAME),
    may("Limit", integer(1, 10_000)),
    may("ExclusiveStartDestinationId", DESTINATION_ID),
];

pub const LIST_DELIVERY_STREAMS: &[Member] = &[
    may("Limit", integer(1, 10_000)),
    may("DeliveryStreamType", DELIVERY_STREAM_TYPE),
    may("ExclusiveStartDeliveryStreamName", DELIVERY_STREAM_NAME),
];

pub const LIST_TAGS_FOR_DELIVERY_STREAM: &[Member] = &[
    need("DeliveryStreamName", DELIVERY_STREAM_NAME),
    may("ExclusiveStartTagKey", TAG_KEY),
    may("Limit", integer(1, 50)),
];

pub const PUT_RECORD: &[Member] =
    &[need("DeliveryStreamName", DELIVERY_STREAM_NAME), need("Record", Shape::Structure(RECORD))];

pub const RECORD: &[Member] = &[need("Data", Shape::Blob)];

pub const PUT_RECORD_BATCH: &[Member] = &[
    need("DeliveryStreamName", DELIVERY_STREAM_NAME),
    need("Records", list(1, 500, &Shape::Structure(RECORD))),
];

pub const START_DELIVERY_STREAM_ENCRYPTION: &[Member] = &[
    need("DeliveryStreamName", DELIVERY_STREAM_NAME),
    may(
        "DeliveryStreamEncryptionConfigurationInput",
        Shape::Structure(DELIVERY_STREAM_ENCRYPTION_CONFIGURATION_INPUT),
    ),
];

pub const STOP_DELIVERY_STREAM_ENCRYPTION: &[Member] =
    &[need("DeliveryStreamName", DELIVERY_STREAM_NAME)];

pub const TAG_DELIVERY_STREAM: &[Member] = &[
    need("DeliveryStreamName", DELIVERY_STREAM_NAME),
    need("Tags", list(1, 50, &Shape::Structure(TAG))),
];

pub const UNTAG_DELIVERY_STREAM: &[Member] =
    &[need("DeliveryStreamName", DELIVERY_STREAM_NAME), need("TagKeys", list(1, 50, &TAG_KEY))];

pub const UPDATE_DESTINATION: &[Member] = &[
    need("DeliveryStreamName", DELIVERY_STREAM_NAME),
    need("CurrentDeliveryStreamVersionId", matching(1, 50, Pattern::VersionId)),
    need("DestinationId", DESTINATION_ID),
    may("S3DestinationUpdate", Shape::Structure(S3_DESTINATION_UPDATE)),
    may("ExtendedS3DestinationUpdate", Shape::Structure(EXTENDED_S3_DESTINATION_UPDATE)),
    may("RedshiftDestinationUpdate", Shape::Structure(REDSHIFT_DESTINATION_UPDATE)),
    may("ElasticsearchDestinationUpdate", Shape::Structure(ELASTICSEARCH_DESTINATION_UPDATE)),
    may(
        "AmazonopensearchserviceDestinationUpdate",
        Shape::Structure(OPENSEARCH_DESTINATION_UPDATE),
    ),
    may("SplunkDestinationUpdate", Shape::Structure(SPLUNK_DESTINATION_UPDATE)),
    may("HttpEndpointDestinationUpdate", Shape::Structure(HTTP_ENDPOINT_DESTINATION_UPDATE)),
    may(
        "AmazonOpenSearchServerlessDestinationUpdate",
        Shape::Structure(OPENSEARCH_SERVERLESS_DESTINATION_UPDATE),
    ),
    may("SnowflakeDestinationUpdate", Shape::Structure(SNOWFLAKE_DESTINATION_UPDATE)),
    may("IcebergDestinationUpdate", Shape::Structure(ICEBERG_DESTINATION_UPDATE)),
];
