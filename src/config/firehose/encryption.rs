//! Encryption of a stream at rest: StartDeliveryStreamEncryption and StopDeliveryStreamEncryption.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ApiError, Hose, HoseContext, Operation, operation::known_input};
use crate::limits;

/// A day in milliseconds: the window in which calls are counted.
const WINDOW_MS: i64 = 24 * 60 * 60 * 1000;

/// The encryption of a stream. The journal's key is the daemon's own whatever the key type says;
/// the ARN of a customer's key is kept and described.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    pub status: EncryptionStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_type: Option<KeyType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_arn: Option<String>,
}

/// Takes effect at once, so nothing is ever on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EncryptionStatus {
    Enabled,
    #[default]
    Disabled,
}

impl EncryptionStatus {
    pub fn is_on(self) -> bool {
        self == Self::Enabled
    }
}

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KeyType {
    AwsOwnedCmk,
    CustomerManagedCmk,
}

impl KeyType {
    fn as_str(self) -> &'static str {
        match self {
            Self::AwsOwnedCmk => "AWS_OWNED_CMK",
            Self::CustomerManagedCmk => "CUSTOMER_MANAGED_CMK",
        }
    }
}

impl Encryption {
    /// Encrypted with the service's own key.
    pub(super) fn owned() -> Self {
        Self {
            status: EncryptionStatus::Enabled,
            key_type: Some(KeyType::AwsOwnedCmk),
            key_arn: None,
        }
    }

    /// DeliveryStreamEncryptionConfiguration.
    pub(super) fn describe(&self) -> Value {
        let mut described = json!({});
        if let Some(arn) = &self.key_arn {
            described["KeyARN"] = json!(arn);
        }
        if let Some(key_type) = self.key_type {
            described["KeyType"] = json!(key_type.as_str());
        }
        described["Status"] = json!(if self.status.is_on() { "ENABLED" } else { "DISABLED" });
        described
    }
}

/// What a DeliveryStreamEncryptionConfigurationInput asks for.
pub(super) fn started(input: &Value) -> Result<Encryption, ApiError> {
    let arn = input["KeyARN"].as_str();
    match (input["KeyType"].as_str(), arn) {
        (Some("CUSTOMER_MANAGED_CMK"), Some(arn)) => Ok(Encryption {
            status: EncryptionStatus::Enabled,
            key_type: Some(KeyType::CustomerManagedCmk),
            key_arn: Some(arn.to_owned()),
        }),
        (Some("CUSTOMER_MANAGED_CMK"), None) => Err(ApiError::invalid_argument(
            "KeyARN is required when KeyType is CUSTOMER_MANAGED_CMK.",
        )),
        (_, Some(_)) => Err(ApiError::invalid_argument(
            "KeyARN can only be specified when KeyType is CUSTOMER_MANAGED_CMK.",
        )),
        (_, None) => Ok(Encryption::owned()),
    }
}

impl Hose {
    /// The stream after StartDeliveryStreamEncryption. Called again it changes the key.
    ///
    /// # Errors
    /// What `check` answers, InvalidArgumentException, and LimitExceededException after
    /// `limits::ENCRYPTION_CALLS_PER_DAY` calls.
    pub fn start_encryption(&self, body: &Value, ctx: &HoseContext) -> Result<Self, ApiError> {
        let body = known_input(Operation::StartDeliveryStreamEncryption, body)?;
        self.check_changeable()?;
        let encryption = match body.get("DeliveryStreamEncryptionConfigurationInput") {
            Some(input) => started(input)?,
            None => Encryption::owned(),
        };
        self.with_encryption(encryption, ctx.now_ms)
    }

    /// The stream after StopDeliveryStreamEncryption.
    ///
    /// # Errors
    /// As `start_encryption`.
    pub fn stop_encryption(&self, body: &Value, ctx: &HoseContext) -> Result<Self, ApiError> {
        known_input(Operation::StopDeliveryStreamEncryption, body)?;
        self.check_changeable()?;
        self.with_encryption(Encryption::default(), ctx.now_ms)
    }

    fn with_encryption(&self, encryption: Encryption, now_ms: i64) -> Result<Self, ApiError> {
        let recent = |at: &i64| now_ms.saturating_sub(*at) < WINDOW_MS;
        let mut calls: Vec<i64> = self.encryption_calls_ms.iter().copied().filter(recent).collect();
        if calls.len() >= limits::ENCRYPTION_CALLS_PER_DAY {
            let message = format!(
                "StartDeliveryStreamEncryption and StopDeliveryStreamEncryption can be called at \
                 most {} times per 24 hours for Firehose {}.",
                limits::ENCRYPTION_CALLS_PER_DAY,
                self.name
            );
            return Err(ApiError::new("LimitExceededException", 400, message));
        }
        calls.push(now_ms);
        Ok(Self { encryption, encryption_calls_ms: calls, ..self.clone() })
    }
}
