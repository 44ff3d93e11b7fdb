//! URLs that carry their signature in the query (Signature Version 4): whoever holds one may make
//! its request until it expires.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use tokio::sync::OnceCell;

use super::{
    aws::Access,
    credentials::{Wallet, wallet},
    http::SendError,
};

/// A signed URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Presigned {
    pub url: String,
    /// When the credentials behind the signature end, in milliseconds since 1970, if they say so:
    /// the URL ends with them.
    pub credentials_end_ms: Option<i64>,
}

/// Signs URLs of one service as one identity, whose credentials are asked for once.
pub struct Presigner {
    access: Access,
    service: &'static str,
    wallet: OnceCell<Arc<Wallet>>,
}

impl Presigner {
    /// Asks nobody; credentials are fetched with the first signature.
    pub fn new(access: Access, service: &'static str) -> Self {
        Self { access, service, wallet: OnceCell::new() }
    }

    /// Signs a GET of this URL, with its host as the only header, for so long.
    pub async fn get(
        &self,
        url: &str,
        life: Duration,
        now_ms: i64,
    ) -> Result<Presigned, SendError> {
        let wallet = self.wallet.get_or_init(|| wallet(&self.access)).await;
        let credentials = wallet.credentials(now_ms).await?;
        let credentials_end_ms = credentials.expiry().map(epoch_ms);
        let url = presign(url, &self.access.region, self.service, credentials, life, now_ms)?;
        Ok(Presigned { url, credentials_end_ms })
    }
}

fn presign(
    url: &str,
    region: &str,
    service: &str,
    credentials: Credentials,
    life: Duration,
    now_ms: i64,
) -> Result<String, SendError> {
    let wrong = |error: &dyn std::error::Error| SendError::Request(error.to_string());
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(life);
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(UNIX_EPOCH + Duration::from_millis(now_ms.max(0) as u64))
        .settings(settings)
        .build()
        .expect("every parameter is set")
        .into();
    let signable = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::Bytes(&[]))
        .map_err(|error| wrong(&error))?;
    let (instructions, _) = sign(signable, &params).map_err(|error| wrong(&error))?.into_parts();
    let mut request = ::http::Request::builder()
        .method("GET")
        .uri(url)
        .body(())
        .map_err(|error| wrong(&error))?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(request.uri().to_string())
}

fn epoch_ms(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
