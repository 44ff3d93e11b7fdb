//! Texts that occur in more than one structure.

use crate::config::firehose::constraints::{Pattern, Shape, matching, one_of, text};

pub const DELIVERY_STREAM_NAME: Shape = matching(1, 64, Pattern::StreamName);
pub const DELIVERY_STREAM_TYPE: Shape =
    one_of(&["DirectPut", "KinesisStreamAsSource", "MSKAsSource", "DatabaseAsSource"]);
pub const ROLE_ARN: Shape = matching(1, 512, Pattern::RoleArn);
pub const AWS_KMS_KEY_ARN: Shape = matching(1, 512, Pattern::KmsKeyOrAliasArn);
pub const BUCKET_ARN: Shape = matching(1, 2_048, Pattern::BucketArn);
pub const PREFIX: Shape = matching(0, 1_024, Pattern::OneLine);
pub const ERROR_OUTPUT_PREFIX: Shape = matching(0, 1_024, Pattern::OneLine);
pub const COMPRESSION_FORMAT: Shape =
    one_of(&["ZIP", "HADOOP_SNAPPY", "Snappy", "GZIP", "UNCOMPRESSED"]);
pub const S3_BACKUP_MODE: Shape = one_of(&["Disabled", "Enabled"]);
pub const NON_EMPTY_STRING_WITHOUT_WHITESPACE: Shape = matching(1, 1_024, Pattern::NoWhiteSpace);
pub const NON_EMPTY_STRING: Shape = matching(1, 1_024, Pattern::NotBlank);
pub const FILE_EXTENSION: Shape = matching(0, 128, Pattern::FileExtension);
pub const CUSTOM_TIME_ZONE: Shape = matching(0, 50, Pattern::TimeZone);
pub const CLUSTER_JDBC_URL: Shape = matching(1, 512, Pattern::JdbcUrl);
pub const USERNAME: Shape = matching(1, 512, Pattern::OneLine);
pub const PASSWORD: Shape = matching(6, 512, Pattern::OneLine);
pub const REDSHIFT_S3_BACKUP_MODE: Shape = one_of(&["Disabled", "Enabled"]);
pub const ELASTICSEARCH_DOMAIN_ARN: Shape = matching(1, 512, Pattern::DomainArn);
pub const ELASTICSEARCH_CLUSTER_ENDPOINT: Shape = matching(1, 512, Pattern::HttpsEndpoint);
pub const ELASTICSEARCH_INDEX_NAME: Shape = matching(1, 80, Pattern::OneLine);
pub const ELASTICSEARCH_TYPE_NAME: Shape = matching(0, 100, Pattern::OneLine);
pub const ELASTICSEARCH_INDEX_ROTATION_PERIOD: Shape =
    one_of(&["NoRotation", "OneHour", "OneDay", "OneWeek", "OneMonth"]);
pub const OPENSEARCH_DOMAIN_ARN: Shape = matching(1, 512, Pattern::DomainArn);
pub const OPENSEARCH_CLUSTER_ENDPOINT: Shape = matching(1, 512, Pattern::HttpsEndpoint);
pub const OPENSEARCH_INDEX_NAME: Shape = matching(1, 80, Pattern::OneLine);
pub const OPENSEARCH_TYPE_NAME: Shape = matching(0, 100, Pattern::OneLine);
pub const OPENSEARCH_INDEX_ROTATION_PERIOD: Shape =
    one_of(&["NoRotation", "OneHour", "OneDay", "OneWeek", "OneMonth"]);
pub const HEC_ENDPOINT: Shape = matching(0, 2_048, Pattern::OneLine);
pub const HEC_ENDPOINT_TYPE: Shape = one_of(&["Raw", "Event"]);
pub const HEC_TOKEN: Shape = matching(0, 2_048, Pattern::OneLine);
pub const SPLUNK_S3_BACKUP_MODE: Shape = one_of(&["FailedEventsOnly", "AllEvents"]);
pub const HTTP_ENDPOINT_S3_BACKUP_MODE: Shape = one_of(&["FailedDataOnly", "AllData"]);
pub const TAG_KEY: Shape = matching(1, 128, Pattern::TagKey);
pub const OPENSEARCH_SERVERLESS_COLLECTION_ENDPOINT: Shape =
    matching(1, 512, Pattern::HttpsEndpoint);
pub const OPENSEARCH_SERVERLESS_INDEX_NAME: Shape = matching(1, 80, Pattern::OneLine);
pub const SNOWFLAKE_ACCOUNT_URL: Shape = matching(24, 2_048, Pattern::SnowflakeAccount);
pub const SNOWFLAKE_PRIVATE_KEY: Shape = matching(256, 4_096, Pattern::SnowflakePrivateKey);
pub const SNOWFLAKE_KEY_PASSPHRASE: Shape = text(7, 255);
pub const SNOWFLAKE_USER: Shape = text(1, 255);
pub const SNOWFLAKE_DATABASE: Shape = text(1, 255);
pub const SNOWFLAKE_SCHEMA: Shape = text(1, 255);
pub const SNOWFLAKE_TABLE: Shape = text(1, 255);
pub const SNOWFLAKE_DATA_LOADING_OPTION: Shape =
    one_of(&["JSON_MAPPING", "VARIANT_CONTENT_MAPPING", "VARIANT_CONTENT_AND_METADATA_MAPPING"]);
pub const SNOWFLAKE_META_DATA_COLUMN_NAME: Shape = text(1, 255);
pub const SNOWFLAKE_CONTENT_COLUMN_NAME: Shape = text(1, 255);
pub const SNOWFLAKE_S3_BACKUP_MODE: Shape = one_of(&["FailedDataOnly", "AllData"]);
pub const STRING_WITH_LETTERS_DIGITS_UNDERSCORES_DOTS: Shape =
    matching(1, 255, Pattern::IcebergName);
pub const ICEBERG_S3_BACKUP_MODE: Shape = one_of(&["FailedDataOnly", "AllData"]);
pub const DATABASE_NAME: Shape = matching(1, 64, Pattern::DatabaseName);
pub const DATABASE_TABLE_NAME: Shape = matching(1, 129, Pattern::DatabaseName);
pub const DATABASE_COLUMN_NAME: Shape = matching(1, 194, Pattern::DatabaseName);
pub const DESTINATION_ID: Shape = matching(1, 100, Pattern::DestinationId);
