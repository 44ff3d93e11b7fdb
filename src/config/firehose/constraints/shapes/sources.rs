//! Sources other than a plain PutRecord.

use super::s3::SECRETS_MANAGER_CONFIGURATION;
use super::scalars::{
    DATABASE_COLUMN_NAME, DATABASE_NAME, DATABASE_TABLE_NAME, NON_EMPTY_STRING_WITHOUT_WHITESPACE,
    ROLE_ARN,
};
use crate::config::firehose::constraints::{
    Member, Pattern, Shape, any_list, integer, matching, may, need, one_of,
};

pub const DIRECT_PUT_SOURCE_CONFIGURATION: &[Member] =
    &[need("ThroughputHintInMBs", integer(1, 100))];

pub const KINESIS_STREAM_SOURCE_CONFIGURATION: &[Member] = &[
    need("KinesisStreamARN", matching(1, 512, Pattern::KinesisStreamArn)),
    need("RoleARN", ROLE_ARN),
];

pub const MSK_SOURCE_CONFIGURATION: &[Member] = &[
    need("MSKClusterARN", matching(1, 512, Pattern::AnyArn)),
    need("TopicName", matching(1, 255, Pattern::TopicName)),
    need("AuthenticationConfiguration", Shape::Structure(AUTHENTICATION_CONFIGURATION)),
    may("ReadFromTimestamp", Shape::Timestamp),
];

pub const AUTHENTICATION_CONFIGURATION: &[Member] =
    &[need("RoleARN", ROLE_ARN), need("Connectivity", one_of(&["PUBLIC", "PRIVATE"]))];

pub const DATABASE_SOURCE_CONFIGURATION: &[Member] = &[
    need("Type", one_of(&["MySQL", "PostgreSQL"])),
    need("Endpoint", matching(1, 255, Pattern::NotBlank)),
    need("Port", integer(0, 65_535)),
    may("SSLMode", one_of(&["Disabled", "Enabled"])),
    need("Databases", Shape::Structure(DATABASE_LIST)),
    need("Tables", Shape::Structure(DATABASE_TABLE_LIST)),
    may("Columns", Shape::Structure(DATABASE_COLUMN_LIST)),
    may("SurrogateKeys", any_list(&NON_EMPTY_STRING_WITHOUT_WHITESPACE)),
    need("SnapshotWatermarkTable", DATABASE_TABLE_NAME),
    need(
        "DatabaseSourceAuthenticationConfiguration",
        Shape::Structure(DATABASE_SOURCE_AUTHENTICATION_CONFIGURATION),
    ),
    need("DatabaseSourceVPCConfiguration", Shape::Structure(DATABASE_SOURCE_VPC_CONFIGURATION)),
];

pub const DATABASE_LIST: &[Member] =
    &[may("Include", any_list(&DATABASE_NAME)), may("Exclude", any_list(&DATABASE_NAME))];

pub const DATABASE_TABLE_LIST: &[Member] = &[
    may("Include", any_list(&DATABASE_TABLE_NAME)),
    may("Exclude", any_list(&DATABASE_TABLE_NAME)),
];

pub const DATABASE_COLUMN_LIST: &[Member] = &[
    may("Include", any_list(&DATABASE_COLUMN_NAME)),
    may("Exclude", any_list(&DATABASE_COLUMN_NAME)),
];

pub const DATABASE_SOURCE_AUTHENTICATION_CONFIGURATION: &[Member] =
    &[need("SecretsManagerConfiguration", Shape::Structure(SECRETS_MANAGER_CONFIGURATION))];

pub const DATABASE_SOURCE_VPC_CONFIGURATION: &[Member] =
    &[need("VpcEndpointServiceName", matching(47, 255, Pattern::VpcEndpointService))];
