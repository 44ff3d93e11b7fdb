//! What every outgoing AWS client shares: connections, credentials, and no retries of its own.
//!
//! Connections and credentials belong to the process, not to a destination: a thousand streams to
//! one endpoint use one pool, and streams with the same role ask STS once an hour together.
//! Nothing here talks to the network; credentials are fetched when the first request needs them,
//! so a start never waits for STS or an instance's metadata.

use std::{collections::HashMap, sync::LazyLock};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, identity::IdentityCache, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, sts::AssumeRoleProvider,
    timeout::TimeoutConfig,
};
use aws_credential_types::{
    Credentials,
    provider::{
        self, ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future,
    },
};
use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};

use crate::{limits, units::Secret};

/// The name under which Standpipe's assumed roles appear in CloudTrail.
const SESSION_NAME: &str = "standpipe";

/// Static keys. They are revealed anew for every request, so a rotated file is picked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticKeys {
    pub access_key_id: Secret,
    pub secret_access_key: Secret,
    pub session_token: Option<Secret>,
}

/// A role to assume with the credentials at hand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Role {
    pub arn: String,
    pub external_id: Option<String>,
}

/// As whom to speak to AWS, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub region: String,
    /// `None` is the default credential chain: environment, profile, web identity, container,
    /// instance.
    pub keys: Option<StaticKeys>,
    pub role: Option<Role>,
    /// URL of the STS that is asked for the role's credentials, whichever role it is; the region's
    /// own if absent.
    pub sts_endpoint: Option<String>,
}

impl Access {
    /// The same in another region and as another role, where these are given. The role is assumed
    /// at the same STS; the external id belongs to its role alone.
    pub fn redirected(mut self, region: Option<&str>, role_arn: Option<&str>) -> Self {
        if let Some(region) = region {
            self.region = region.to_owned();
        }
        if let Some(arn) = role_arn
            && self.role.as_ref().is_none_or(|role| role.arn != arn)
        {
            self.role = Some(Role { arn: arn.to_owned(), external_id: None });
        }
        self
    }
}

/// A client configuration for this access: shared connections, lazy credentials, retries off.
pub async fn config(access: &Access) -> SdkConfig {
    let Some(keys) = &access.keys else { return shared(access).await };
    let config = with_keys(&load(&access.region).await, keys);
    match &access.role {
        None => config,
        Some(role) => assuming(&config, role, access.sts_endpoint.as_deref()).await,
    }
}

/// What credentials that come from the machine are shared by: runtime, region, role, and the STS
/// that gives the role.
pub(super) type SharedKey = (Id, String, Option<Role>, Option<String>);

pub(super) fn shared_key(access: &Access) -> SharedKey {
    let Access { region, keys: _, role, sts_endpoint } = access;
    (Handle::current().id(), region.clone(), role.clone(), sts_endpoint.clone())
}

/// Configurations whose credentials come from the machine. They are kept per runtime, as their
/// connections are.
static SHARED: LazyLock<tokio::sync::Mutex<HashMap<SharedKey, SdkConfig>>> =
    LazyLock::new(tokio::sync::Mutex::default);

async fn shared(access: &Access) -> SdkConfig {
    let key = shared_key(access);
    let mut known = SHARED.lock().await;
    if let Some(config) = known.get(&key) {
        return config.clone();
    }
    let mut config = load(&access.region).await;
    if let Some(role) = &access.role {
        config = assuming(&config, role, access.sts_endpoint.as_deref()).await;
    }
    if known.len() >= limits::AWS_IDENTITIES_SHARED {
        known.clear();
    }
    known.insert(key, config.clone());
    config
}

/// The default chain in this region. Reads environment and profile; asks nobody.
async fn load(region: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .http_client(http_client())
        .identity_cache(IdentityCache::lazy().load_timeout(limits::CREDENTIALS_TIMEOUT).build())
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(limits::CONNECT_TIMEOUT)
                .operation_attempt_timeout(limits::CREDENTIALS_TIMEOUT)
                .build(),
        )
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled().grace_period(limits::STALL_GRACE).build(),
        )
        .load()
        .await
}

fn with_keys(config: &SdkConfig, keys: &StaticKeys) -> SdkConfig {
    config
        .clone()
        .into_builder()
        .credentials_provider(SharedCredentialsProvider::new(keys.clone()))
        .identity_cache(IdentityCache::no_cache())
        .build()
}

/// The same configuration acting as `role`; its credentials are renewed before they expire.
async fn assuming(config: &SdkConfig, role: &Role, sts_endpoint: Option<&str>) -> SdkConfig {
    let mut sts = config.clone().into_builder();
    sts.set_endpoint_url(sts_endpoint.or(config.endpoint_url()).map(Into::into));
    let mut provider =
        AssumeRoleProvider::builder(&role.arn).session_name(SESSION_NAME).configure(&sts.build());
    if let Some(external_id) = &role.external_id {
        provider = provider.external_id(external_id);
    }
    config
        .clone()
        .into_builder()
        .credentials_provider(SharedCredentialsProvider::new(provider.build().await))
        .identity_cache(IdentityCache::lazy().load_timeout(limits::CREDENTIALS_TIMEOUT).build())
        .build()
}

/// The one HTTP client with its pool of connections. A pooled connection is driven by the runtime
/// that opened it, so a process with several runtimes (as tests have) gets one pool for each.
fn http_client() -> SharedHttpClient {
    static CLIENTS: LazyLock<Mutex<HashMap<Id, SharedHttpClient>>> = LazyLock::new(Mutex::default);
    CLIENTS.lock().entry(Handle::current().id()).or_insert_with(new_http_client).clone()
}

fn new_http_client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .proxy_config(ProxyConfig::from_env())
            .pool_idle_timeout(limits::IDLE_CONNECTION)
            .enable_tcp_nodelay(true);
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.build()
    })
}

impl StaticKeys {
    fn reveal(&self) -> provider::Result {
        let reveal = |secret: &Secret| secret.reveal().map_err(CredentialsError::provider_error);
        let token = self.session_token.as_ref().map(reveal).transpose()?;
        Ok(Credentials::new(
            reveal(&self.access_key_id)?,
            reveal(&self.secret_access_key)?,
            token,
            None,
            "StaticKeys",
        ))
    }
}

impl ProvideCredentials for StaticKeys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.reveal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> StaticKeys {
        StaticKeys {
            access_key_id: Secret::Value("AKIAEXAMPLE".into()),
            secret_access_key: Secret::Value("hush".into()),
            session_token: None,
        }
    }

    #[tokio::test]
    async fn static_keys_are_read_again_after_they_were_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let keys = StaticKeys { secret_access_key: Secret::File { file: file.clone() }, ..keys() };
        assert!(matches!(
            keys.provide_credentials().await,
            Err(CredentialsError::ProviderError(_))
        ));
        for secret in ["first", "second"] {
            std::fs::write(&file, format!("{secret}\n")).unwrap();
            let credentials = keys.provide_credentials().await.unwrap();
            assert_eq!(credentials.secret_access_key(), secret);
        }
    }

    #[test]
    fn another_role_is_assumed_at_the_same_sts_and_without_the_external_id() {
        let role = |arn: &str, external_id: Option<&str>| {
            Some(Role { arn: arn.into(), external_id: external_id.map(Into::into) })
        };
        let plain = Access {
            region: "eu-west-1".into(),
            keys: None,
            role: None,
            sts_endpoint: Some("http://sts".into()),
        };
        let other = plain.clone().redirected(Some("eu-north-1"), Some("arn:b"));
        assert_eq!(other.region, "eu-north-1");
        assert_eq!((&other.role, &other.sts_endpoint), (&role("arn:b", None), &plain.sts_endpoint));

        let access = Access { role: role("arn:a", Some("id")), ..plain };
        assert_eq!(access.clone().redirected(None, None), access);
        assert_eq!(access.clone().redirected(None, Some("arn:a")), access);
        let other = access.clone().redirected(None, Some("arn:b"));
        assert_eq!(other, Access { role: role("arn:b", None), ..access });
    }

    #[tokio::test]
    async fn the_sdk_never_retries_by_itself() {
        let role =
            Role { arn: "arn:aws:iam::123456789012:role/firehose".into(), external_id: None };
        for keys in [None, Some(keys())] {
            for role in [None, Some(role.clone())] {
                let access = Access {
                    region: "eu-west-1".into(),
                    keys: keys.clone(),
                    role,
                    sts_endpoint: None,
                };
                let config = config(&access).await;
                assert_eq!(config.retry_config().unwrap().max_attempts(), 1);
                assert_eq!(config.region().unwrap().as_ref(), "eu-west-1");
            }
        }
    }
}
