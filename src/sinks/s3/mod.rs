//! Amazon S3, and what speaks its API.
//!
//! One `deliver` is one attempt: a `PutObject`, or a multipart upload whose parts are slices of
//! the shipment's body, so an upload costs no memory of its own. The same key is overwritten, so
//! a repeated attempt leaves one object. An upload that fails or is cancelled is aborted at once;
//! what a crash leaves behind is for the bucket's lifecycle rule
//! (`AbortIncompleteMultipartUpload`).
//!
//! Over TLS with checksums on, bodies go unsigned (`UNSIGNED-PAYLOAD`) as other SDKs send them:
//! TLS guards the way and the CRC-32 the content, and hashing each byte with SHA-256 would be
//! the dearest step of the delivery.

mod check;
mod classify;
mod options;
mod upload;

pub(crate) use classify::fault;
pub use options::{Checksums, CredentialSource, Encryption, Options};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{
        Builder, RequestChecksumCalculation, ResponseChecksumValidation,
        StalledStreamProtectionConfig, timeout::TimeoutConfig,
    },
    primitives::ByteStream,
    types::ServerSideEncryption,
};
use aws_types::SdkConfig;

use super::SinkError;
use crate::{
    fault::Fault,
    limits,
    net::aws::{self, Access, Role, StaticKeys},
    seams::{Delivered, Shipment, Sink, Trial},
};

/// One bucket.
pub struct S3Sink {
    client: Client,
    bucket: String,
    encryption: Encryption,
    checksums: Checksums,
    multipart_threshold_bytes: u64,
    /// Whether bodies are hashed into the signature.
    sign_body: bool,
    /// Where a trial writes, and what it says of the place.
    check_prefix: String,
    region: String,
    endpoint: Option<String>,
}

impl S3Sink {
    /// Makes the client. Asks neither S3 nor STS nor a metadata service: what is wrong there
    /// shows at the first delivery.
    pub async fn connect(options: Options) -> Result<Self, SinkError> {
        let config = sdk_config(&options).await?;
        Ok(Self::with_config(options, &config))
    }

    fn with_config(options: Options, config: &SdkConfig) -> Self {
        let plain = options.endpoint.as_ref().is_some_and(|url| url.starts_with("http:"));
        Self {
            client: client(&options, config),
            bucket: options.bucket,
            encryption: options.encryption,
            checksums: options.checksums,
            multipart_threshold_bytes: options.multipart_threshold.0,
            sign_body: plain || options.checksums == Checksums::WhenRequired,
            check_prefix: options.check_prefix,
            region: options.region,
            endpoint: options.endpoint,
        }
    }

    async fn put(&self, shipment: &Shipment) -> Result<(), Fault> {
        let (encryption, key_id) = server_side(&self.encryption);
        let mut request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(&shipment.key)
            .body(ByteStream::from(shipment.body.clone()))
            .content_type(shipment.content_type)
            .set_content_encoding(shipment.content_encoding.map(Into::into))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(key_id)
            .customize();
        if !self.sign_body {
            request = request.disable_payload_signing();
        }
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(classify::fault("PutObject", &error)),
        }
    }
}

#[async_trait]
impl Sink for S3Sink {
    async fn deliver(&self, shipment: &Shipment) -> Result<Delivered, Fault> {
        if shipment.body.len() as u64 <= self.multipart_threshold_bytes {
            self.put(shipment).await?;
        } else {
            self.upload(shipment).await?;
        }
        Ok(Delivered::default())
    }

    async fn check(&self) -> Vec<Trial> {
        self.try_out().await
    }
}

/// A client for others who read what was stored: the same access, endpoint and timeouts.
pub(crate) async fn reader(options: &Options) -> Result<Client, SinkError> {
    let config = sdk_config(options).await?;
    Ok(client(options, &config))
}

async fn sdk_config(options: &Options) -> Result<SdkConfig, SinkError> {
    for endpoint in [&options.endpoint, &options.sts_endpoint].into_iter().flatten() {
        check_endpoint(endpoint)?;
    }
    Ok(aws::config(&access(options)).await)
}

fn check_endpoint(endpoint: &str) -> Result<(), SinkError> {
    let wrong = || SinkError::Endpoint(endpoint.to_owned());
    let uri: http::Uri = endpoint.parse().map_err(|_| wrong())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(()),
        _ => Err(wrong()),
    }
}

/// As whom the bucket is spoken to, for others who act for the same destination.
pub fn access(options: &Options) -> Access {
    Access {
        region: options.region.clone(),
        keys: options.credentials.as_ref().map(|keys| StaticKeys {
            access_key_id: keys.access_key_id.clone(),
            secret_access_key: keys.secret_access_key.clone(),
            session_token: keys.session_token.clone(),
        }),
        role: options
            .role_arn
            .as_ref()
            .map(|arn| Role { arn: arn.clone(), external_id: options.external_id.clone() }),
        sts_endpoint: options.sts_endpoint.clone(),
    }
}

fn client(options: &Options, config: &SdkConfig) -> Client {
    let checksums = match options.checksums {
        Checksums::WhenSupported => RequestChecksumCalculation::WhenSupported,
        Checksums::WhenRequired => RequestChecksumCalculation::WhenRequired,
    };
    let mut builder = Builder::from(config)
        .force_path_style(options.path_style)
        .request_checksum_calculation(checksums)
        // What a replay downloads may be a part of an object, which no checksum covers.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(limits::CONNECT_TIMEOUT)
                .operation_attempt_timeout(limits::S3_ATTEMPT_TIMEOUT)
                .build(),
        )
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled()
                .upload_enabled(true)
                .grace_period(limits::STALL_GRACE)
                .build(),
        );
    if let Some(endpoint) = &options.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    Client::from_conf(builder.build())
}

/// The algorithm and the key as the headers name them.
fn server_side(encryption: &Encryption) -> (Option<ServerSideEncryption>, Option<String>) {
    match encryption {
        Encryption::None => (None, None),
        Encryption::SseS3 => (Some(ServerSideEncryption::Aes256), None),
        Encryption::SseKms(key) => (Some(ServerSideEncryption::AwsKms), Some(key.clone())),
    }
}

#[cfg(test)]
mod tests;
