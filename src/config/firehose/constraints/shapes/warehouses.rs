//! Redshift, Snowflake and Iceberg.

use super::s3::{
    BUFFERING_HINTS, CLOUD_WATCH_LOGGING_OPTIONS, PROCESSING_CONFIGURATION, RETRY_OPTIONS,
    S3_DESTINATION_CONFIGURATION, S3_DESTINATION_UPDATE, SECRETS_MANAGER_CONFIGURATION,
};
use super::scalars::{
    CLUSTER_JDBC_URL, ERROR_OUTPUT_PREFIX, ICEBERG_S3_BACKUP_MODE,
    NON_EMPTY_STRING_WITHOUT_WHITESPACE, PASSWORD, REDSHIFT_S3_BACKUP_MODE, ROLE_ARN,
    SNOWFLAKE_ACCOUNT_URL, SNOWFLAKE_CONTENT_COLUMN_NAME, SNOWFLAKE_DATA_LOADING_OPTION,
    SNOWFLAKE_DATABASE, SNOWFLAKE_KEY_PASSPHRASE, SNOWFLAKE_META_DATA_COLUMN_NAME,
    SNOWFLAKE_PRIVATE_KEY, SNOWFLAKE_S3_BACKUP_MODE, SNOWFLAKE_SCHEMA, SNOWFLAKE_TABLE,
    SNOWFLAKE_USER, STRING_WITH_LETTERS_DIGITS_UNDERSCORES_DOTS, USERNAME,
};
use crate::config::firehose::constraints::{
    Member, Pattern, Shape, any_list, integer, matching, may, need, text,
};

pub const REDSHIFT_DESTINATION_CONFIGURATION: &[Member] = &[
    need("RoleARN", ROLE_ARN),
    need("ClusterJDBCURL", CLUSTER_JDBC_URL),
    need("CopyCommand", Shape::Structure(COPY_COMMAND)),
    may("Username", USERNAME),
    may("Password", PASSWORD),
    may("RetryOptions", Shape::Structure(REDSHIFT_RETRY_OPTIONS)),
    need("S3Configuration", Shape::Structure(S3_DESTINATION_CONFIGURATION)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("S3BackupMode", REDSHIFT_S3_BACKUP_MODE),
    may("S3BackupConfiguration", Shape::Structure(S3_DESTINATION_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("SecretsManagerConfiguration", Shape::Structure(SECRETS_MANAGER_CONFIGURATION)),
];

pub const COPY_COMMAND: &[Member] = &[
    need("DataTableName", matching(1, 512, Pattern::OneLine)),
    may("DataTableColumns", matching(0, 10_240, Pattern::OneLine)),
    may("CopyOptions", matching(0, 10_240, Pattern::OneLine)),
];

pub const REDSHIFT_RETRY_OPTIONS: &[Member] = &[may("DurationInSeconds", integer(0, 7_200))];

pub const SNOWFLAKE_DESTINATION_CONFIGURATION: &[Member] = &[
    need("AccountUrl", SNOWFLAKE_ACCOUNT_URL),
    may("PrivateKey", SNOWFLAKE_PRIVATE_KEY),
    may("KeyPassphrase", SNOWFLAKE_KEY_PASSPHRASE),
    may("User", SNOWFLAKE_USER),
    need("Database", SNOWFLAKE_DATABASE),
    need("Schema", SNOWFLAKE_SCHEMA),
    need("Table", SNOWFLAKE_TABLE),
    may("SnowflakeRoleConfiguration", Shape::Structure(SNOWFLAKE_ROLE_CONFIGURATION)),
    may("DataLoadingOption", SNOWFLAKE_DATA_LOADING_OPTION),
    may("MetaDataColumnName", SNOWFLAKE_META_DATA_COLUMN_NAME),
    may("ContentColumnName", SNOWFLAKE_CONTENT_COLUMN_NAME),
    may("SnowflakeVpcConfiguration", Shape::Structure(SNOWFLAKE_VPC_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    need("RoleARN", ROLE_ARN),
    may("RetryOptions", Shape::Structure(SNOWFLAKE_RETRY_OPTIONS)),
    may("S3BackupMode", SNOWFLAKE_S3_BACKUP_MODE),
    need("S3Configuration", Shape::Structure(S3_DESTINATION_CONFIGURATION)),
    may("SecretsManagerConfiguration", Shape::Structure(SECRETS_MANAGER_CONFIGURATION)),
    may("BufferingHints", Shape::Structure(SNOWFLAKE_BUFFERING_HINTS)),
];

pub const SNOWFLAKE_ROLE_CONFIGURATION: &[Member] =
    &[may("Enabled", Shape::Boolean), may("SnowflakeRole", text(1, 255))];

pub const SNOWFLAKE_VPC_CONFIGURATION: &[Member] =
    &[need("PrivateLinkVpceId", matching(47, 255, Pattern::VpcEndpointService))];

pub const SNOWFLAKE_RETRY_OPTIONS: &[Member] = &[may("DurationInSeconds", integer(0, 7_200))];

pub const SNOWFLAKE_BUFFERING_HINTS: &[Member] =
    &[may("SizeInMBs", integer(1, 128)), may("IntervalInSeconds", integer(0, 900))];

pub const ICEBERG_DESTINATION_CONFIGURATION: &[Member] = &[
    may(
        "DestinationTableConfigurationList",
        any_list(&Shape::Structure(DESTINATION_TABLE_CONFIGURATION)),
    ),
    may("SchemaEvolutionConfiguration", Shape::Structure(SCHEMA_EVOLUTION_CONFIGURATION)),
    may("TableCreationConfiguration", Shape::Structure(TABLE_CREATION_CONFIGURATION)),
    may("BufferingHints", Shape::Structure(BUFFERING_HINTS)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("S3BackupMode", ICEBERG_S3_BACKUP_MODE),
    may("RetryOptions", Shape::Structure(RETRY_OPTIONS)),
    need("RoleARN", ROLE_ARN),
    may("AppendOnly", Shape::Boolean),
    need("CatalogConfiguration", Shape::Structure(CATALOG_CONFIGURATION)),
    need("S3Configuration", Shape::Structure(S3_DESTINATION_CONFIGURATION)),
];

pub const DESTINATION_TABLE_CONFIGURATION: &[Member] = &[
    need("DestinationTableName", STRING_WITH_LETTERS_DIGITS_UNDERSCORES_DOTS),
    need("DestinationDatabaseName", STRING_WITH_LETTERS_DIGITS_UNDERSCORES_DOTS),
    may("UniqueKeys", any_list(&NON_EMPTY_STRING_WITHOUT_WHITESPACE)),
    may("PartitionSpec", Shape::Structure(PARTITION_SPEC)),
    may("S3ErrorOutputPrefix", ERROR_OUTPUT_PREFIX),
];

pub const PARTITION_SPEC: &[Member] =
    &[may("Identity", any_list(&Shape::Structure(PARTITION_FIELD)))];

pub const PARTITION_FIELD: &[Member] = &[need("SourceName", NON_EMPTY_STRING_WITHOUT_WHITESPACE)];

pub const SCHEMA_EVOLUTION_CONFIGURATION: &[Member] = &[need("Enabled", Shape::Boolean)];

pub const TABLE_CREATION_CONFIGURATION: &[Member] = &[need("Enabled", Shape::Boolean)];

pub const CATALOG_CONFIGURATION: &[Member] = &[
    may("CatalogARN", matching(1, 512, Pattern::CatalogArn)),
    may("WarehouseLocation", matching(1, 2_048, Pattern::Warehouse)),
];

pub const REDSHIFT_DESTINATION_UPDATE: &[Member] = &[
    may("RoleARN", ROLE_ARN),
    may("ClusterJDBCURL", CLUSTER_JDBC_URL),
    may("CopyCommand", Shape::Structure(COPY_COMMAND)),
    may("Username", USERNAME),
    may("Password", PASSWORD),
    may("RetryOptions", Shape::Structure(REDSHIFT_RETRY_OPTIONS)),
    may("S3Update", Shape::Structure(S3_DESTINATION_UPDATE)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("S3BackupMode", REDSHIFT_S3_BACKUP_MODE),
    may("S3BackupUpdate", Shape::Structure(S3_DESTINATION_UPDATE)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("SecretsManagerConfiguration", Shape::Structure(SECRETS_MANAGER_CONFIGURATION)),
];

pub const SNOWFLAKE_DESTINATION_UPDATE: &[Member] = &[
    may("AccountUrl", SNOWFLAKE_ACCOUNT_URL),
    may("PrivateKey", SNOWFLAKE_PRIVATE_KEY),
    may("KeyPassphrase", SNOWFLAKE_KEY_PASSPHRASE),
    may("User", SNOWFLAKE_USER),
    may("Database", SNOWFLAKE_DATABASE),
    may("Schema", SNOWFLAKE_SCHEMA),
    may("Table", SNOWFLAKE_TABLE),
    may("SnowflakeRoleConfiguration", Shape::Structure(SNOWFLAKE_ROLE_CONFIGURATION)),
    may("DataLoadingOption", SNOWFLAKE_DATA_LOADING_OPTION),
    may("MetaDataColumnName", SNOWFLAKE_META_DATA_COLUMN_NAME),
    may("ContentColumnName", SNOWFLAKE_CONTENT_COLUMN_NAME),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("RoleARN", ROLE_ARN),
    may("RetryOptions", Shape::Structure(SNOWFLAKE_RETRY_OPTIONS)),
    may("S3BackupMode", SNOWFLAKE_S3_BACKUP_MODE),
    may("S3Update", Shape::Structure(S3_DESTINATION_UPDATE)),
    may("SecretsManagerConfiguration", Shape::Structure(SECRETS_MANAGER_CONFIGURATION)),
    may("BufferingHints", Shape::Structure(SNOWFLAKE_BUFFERING_HINTS)),
];

pub const ICEBERG_DESTINATION_UPDATE: &[Member] = &[
    may(
        "DestinationTableConfigurationList",
        any_list(&Shape::Structure(DESTINATION_TABLE_CONFIGURATION)),
    ),
    may("SchemaEvolutionConfiguration", Shape::Structure(SCHEMA_EVOLUTION_CONFIGURATION)),
    may("TableCreationConfiguration", Shape::Structure(TABLE_CREATION_CONFIGURATION)),
    may("BufferingHints", Shape::Structure(BUFFERING_HINTS)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("S3BackupMode", ICEBERG_S3_BACKUP_MODE),
    may("RetryOptions", Shape::Structure(RETRY_OPTIONS)),
    may("RoleARN", ROLE_ARN),
    may("AppendOnly", Shape::Boolean),
    may("CatalogConfiguration", Shape::Structure(CATALOG_CONFIGURATION)),
    may("S3Configuration", Shape::Structure(S3_DESTINATION_CONFIGURATION)),
];
