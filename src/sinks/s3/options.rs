//! What the S3 sink needs to know of its bucket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{ByteSize, Secret};

/// Where and how objects are stored. Every default is already resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The bucket's name, or `file:///some/folder` for a local folder.
    pub bucket: String,
    pub region: String,
    pub endpoint: Option<String>,
    pub path_style: bool,
    /// Static keys; `None` is the default credential chain.
    pub credentials: Option<CredentialSource>,
    /// Role to assume, already `None` where roles are ignored.
    pub role_arn: Option<String>,
    pub external_id: Option<String>,
    pub sts_endpoint: Option<String>,
    pub encryption: Encryption,
    pub checksums: Checksums,
    pub multipart_threshold: ByteSize,
    /// What the key of the object of a trial begins with: as the keys of deliveries do, so that
    /// the same permissions are tried.
    pub check_prefix: String,
}

/// Static keys for outgoing requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialSource {
    /// The id of the key.
    pub access_key_id: Secret,
    /// The secret that goes with it.
    pub secret_access_key: Secret,
    /// The token of temporary keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret>,
}

/// Server-side encryption of objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Whatever the bucket does by itself.
    #[default]
    None,
    /// SSE-S3: AES256 with keys of S3.
    SseS3,
    /// SSE-KMS with the key of this ARN or alias.
    SseKms(String),
}

/// When checksums go along with requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Checksums {
    /// A CRC-32 with every upload, as AWS SDKs do.
    #[default]
    WhenSupported,
    /// Only where S3 demands one; for servers that refuse or mangle them.
    WhenRequired,
}
