//! The S3 destination, and the structures that all destinations share.

use super::conversion::DATA_FORMAT_CONVERSION_CONFIGURATION;
use super::scalars::{
    AWS_KMS_KEY_ARN, BUCKET_ARN, COMPRESSION_FORMAT, CUSTOM_TIME_ZONE, ERROR_OUTPUT_PREFIX,
    FILE_EXTENSION, PREFIX, ROLE_ARN, S3_BACKUP_MODE,
};
use crate::config::firehose::constraints::{
    Member, Pattern, Shape, any_list, integer, matching, may, need, one_of,
};

pub const S3_DESTINATION_CONFIGURATION: &[Member] = &[
    need("RoleARN", ROLE_ARN),
    need("BucketARN", BUCKET_ARN),
    may("Prefix", PREFIX),
    may("ErrorOutputPrefix", ERROR_OUTPUT_PREFIX),
    may("BufferingHints", Shape::Structure(BUFFERING_HINTS)),
    may("CompressionFormat", COMPRESSION_FORMAT),
    may("EncryptionConfiguration", Shape::Structure(ENCRYPTION_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
];

pub const BUFFERING_HINTS: &[Member] =
    &[may("SizeInMBs", integer(1, 128)), may("IntervalInSeconds", integer(0, 900))];

pub const ENCRYPTION_CONFIGURATION: &[Member] = &[
    may("NoEncryptionConfig", one_of(&["NoEncryption"])),
    may("KMSEncryptionConfig", Shape::Structure(KMS_ENCRYPTION_CONFIG)),
];

pub const KMS_ENCRYPTION_CONFIG: &[Member] = &[need("AWSKMSKeyARN", AWS_KMS_KEY_ARN)];

pub const CLOUD_WATCH_LOGGING_OPTIONS: &[Member] = &[
    may("Enabled", Shape::Boolean),
    may("LogGroupName", matching(0, 512, Pattern::LogGroup)),
    may("LogStreamName", matching(0, 512, Pattern::LogStream)),
];

pub const EXTENDED_S3_DESTINATION_CONFIGURATION: &[Member] = &[
    need("RoleARN", ROLE_ARN),
    need("BucketARN", BUCKET_ARN),
    may("Prefix", PREFIX),
    may("ErrorOutputPrefix", ERROR_OUTPUT_PREFIX),
    may("BufferingHints", Shape::Structure(BUFFERING_HINTS)),
    may("CompressionFormat", COMPRESSION_FORMAT),
    may("EncryptionConfiguration", Shape::Structure(ENCRYPTION_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("S3BackupMode", S3_BACKUP_MODE),
    may("S3BackupConfiguration", Shape::Structure(S3_DESTINATION_CONFIGURATION)),
    may(
        "DataFormatConversionConfiguration",
        Shape::Structure(DATA_FORMAT_CONVERSION_CONFIGURATION),
    ),
    may("DynamicPartitioningConfiguration", Shape::Structure(DYNAMIC_PARTITIONING_CONFIGURATION)),
    may("FileExtension", FILE_EXTENSION),
    may("CustomTimeZone", CUSTOM_TIME_ZONE),
];

pub const PROCESSING_CONFIGURATION: &[Member] =
    &[may("Enabled", Shape::Boolean), may("Processors", any_list(&Shape::Structure(PROCESSOR)))];

pub const PROCESSOR: &[Member] = &[
    need(
        "Type",
        one_of(&[
            "Decompression",
            "Lambda",
            "RecordDeAggregation",
            "MetadataExtraction",
            "AppendDelimiterToRecord",
            "CloudWatchLogProcessing",
        ]),
    ),
    may("Parameters", any_list(&Shape::Structure(PROCESSOR_PARAMETER))),
];

pub const PROCESSOR_PARAMETER: &[Member] = &[
    need(
        "ParameterName",
        one_of(&[
            "DataMessageExtraction",
            "NumberOfRetries",
            "Delimiter",
            "RoleArn",
            "JsonParsingEngine",
            "SubRecordType",
            "MetadataExtractionQuery",
            "BufferIntervalInSeconds",
            "LambdaArn",
            "BufferSizeInMBs",
            "CompressionFormat",
        ]),
    ),
    need("ParameterValue", matching(1, 5_120, Pattern::NotBlank)),
];

pub const DYNAMIC_PARTITIONING_CONFIGURATION: &[Member] =
    &[may("RetryOptions", Shape::Structure(RETRY_OPTIONS)), may("Enabled", Shape::Boolean)];

pub const RETRY_OPTIONS: &[Member] = &[may("DurationInSeconds", integer(0, 7_200))];

pub const SECRETS_MANAGER_CONFIGURATION: &[Member] = &[
    may("SecretARN", matching(1, 2_048, Pattern::SecretArn)),
    may("RoleARN", ROLE_ARN),
    need("Enabled", Shape::Boolean),
];

pub const S3_DESTINATION_UPDATE: &[Member] = &[
    may("RoleARN", ROLE_ARN),
    may("BucketARN", BUCKET_ARN),
    may("Prefix", PREFIX),
    may("ErrorOutputPrefix", ERROR_OUTPUT_PREFIX),
    may("BufferingHints", Shape::Structure(BUFFERING_HINTS)),
    may("CompressionFormat", COMPRESSION_FORMAT),
    may("EncryptionConfiguration", Shape::Structure(ENCRYPTION_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
];

pub const EXTENDED_S3_DESTINATION_UPDATE: &[Member] = &[
    may("RoleARN", ROLE_ARN),
    may("BucketARN", BUCKET_ARN),
    may("Prefix", PREFIX),
    may("ErrorOutputPrefix", ERROR_OUTPUT_PREFIX),
    may("BufferingHints", Shape::Structure(BUFFERING_HINTS)),
    may("CompressionFormat", COMPRESSION_FORMAT),
    may("EncryptionConfiguration", Shape::Structure(ENCRYPTION_CONFIGURATION)),
    may("CloudWatchLoggingOptions", Shape::Structure(CLOUD_WATCH_LOGGING_OPTIONS)),
    may("ProcessingConfiguration", Shape::Structure(PROCESSING_CONFIGURATION)),
    may("S3BackupMode", S3_BACKUP_MODE),
    may("S3BackupUpdate", Shape::Structure(S3_DESTINATION_UPDATE)),
    may(
        "DataFormatConversionConfiguration",
        Shape::Structure(DATA_FORMAT_CONVERSION_CONFIGURATION),
    ),
    may("DynamicPartitioningConfiguration", Shape::Structure(DYNAMIC_PARTITIONING_CONFIGURATION)),
    may("FileExtension", FILE_EXTENSION),
    may("CustomTimeZone", CUSTOM_TIME_ZONE),
];
