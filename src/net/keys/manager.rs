//! AWS Secrets Manager: the value of one secret. Protocol JSON 1.1 (API reference,
//! GetSecretValue), signed requests, no SDK crate.
//!
//! What is wrong with a secret is the fault of no record: *Retry* passes by itself (throttling,
//! trouble of the service, the network), *Halt* waits for somebody to mend a permission, a name or
//! the secret. No text says anything of the secret's value.

use serde_json::{Value, json};

use super::{NOT_READ, SecretsManager};
use crate::{
    fault::{Cause, Fault},
    limits::{MESSAGE_CHARS_MAX, SECRET_ANSWER_BYTES_MAX, SECRET_TIMEOUT},
    net::{
        aws::Access,
        http::{Answer, SendError, UrlError},
        signed::{SignedClient, error_type},
    },
};

/// One member of one secret.
pub struct Manager {
    client: SignedClient,
    secret_id: String,
    member: &'static str,
}

impl Manager {
    /// Asks nobody.
    pub fn new(
        secret: &SecretsManager,
        access: Access,
        member: &'static str,
    ) -> Result<Self, UrlError> {
        let region = secret.region.as_deref().or_else(|| region_of(&secret.secret_arn));
        let access = access.redirected(region, secret.role_arn.as_deref());
        let client = SignedClient::new(&access, "secretsmanager", secret.endpoint.clone())?;
        Ok(Self { client, secret_id: secret.secret_arn.clone(), member })
    }

    /// Name or ARN of the secret.
    pub fn secret(&self) -> &str {
        &self.secret_id
    }

    /// The member as it is now.
    pub async fn ask(&self) -> Result<String, Fault> {
        let body = json!({"SecretId": self.secret_id}).to_string();
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "secretsmanager.GetSecretValue"),
        ];
        let sent = self
            .client
            .post("/", &headers, body.into(), SECRET_TIMEOUT, SECRET_ANSWER_BYTES_MAX)
            .await;
        match sent {
            Ok(answer) if answer.status.is_success() => self.member_of(&answer),
            Ok(answer) => Err(self.refusal(&answer)),
            Err(error) => Err(self.failure(&error)),
        }
    }

    fn member_of(&self, answer: &Answer) -> Result<String, Fault> {
        let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
            return Err(Fault::retry(NOT_READ, self.text("the answer is no JSON")));
        };
        let Some(text) = body.get("SecretString").and_then(Value::as_str) else {
            return Err(self.unfit("it holds no text"));
        };
        // The parser's own words may repeat what it read.
        let Ok(Value::Object(members)) = serde_json::from_str(text) else {
            return Err(self.unfit("it is no JSON object"));
        };
        match members.get(self.member) {
            None => Err(self.unfit("it has no such member")),
            Some(Value::String(key)) if !key.trim_end().is_empty() => Ok(key.trim_end().to_owned()),
            Some(Value::String(_)) => Err(self.unfit("the member is empty")),
            Some(_) => Err(self.unfit("the member is no text")),
        }
    }

    fn unfit(&self, why: &str) -> Fault {
        let Self { member, .. } = self;
        let wanted = format!("{why}: a JSON object with the text {member:?} is expected");
        Fault::halt(NOT_READ, self.text(&wanted))
    }

    /// Secrets Manager answered with an error.
    fn refusal(&self, answer: &Answer) -> Fault {
        let status = answer.status.as_u16();
        let name = error_type(answer).unwrap_or_else(|| format!("status {status}"));
        let said = message(answer);
        let text = if said.is_empty() { name.clone() } else { format!("{name}: {said}") };
        let cause = Cause::new(NOT_READ, self.text(&text));
        let passes = match name.strip_suffix("Exception").unwrap_or(&name) {
            "Throttling"
            | "TooManyRequests"
            | "RequestLimitExceeded"
            | "LimitExceeded"
            | "InternalServiceError"
            | "InternalFailure"
            | "ServiceUnavailable" => true,
            _ => matches!(status, 408 | 429 | 500..=599),
        };
        if passes {
            Fault::Retry { cause, after: answer.retry_after() }
        } else {
            Fault::Halt { cause }
        }
    }

    /// There was no answer.
    fn failure(&self, error: &SendError) -> Fault {
        let text = self.text(&error.to_string());
        match error {
            SendError::Connect(_)
            | SendError::Tls(..)
            | SendError::Broken(_)
            | SendError::Malformed(_)
            | SendError::Timeout(_) => Fault::retry(NOT_READ, text),
            _ => Fault::halt(NOT_READ, text),
        }
    }

    fn text(&self, what: &str) -> String {
        format!("secret {}: {what}", self.secret_id)
    }
}

/// `arn:aws:secretsmanager:eu-west-1:123456789012:secret:name` is in `eu-west-1`.
fn region_of(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let is_secret = parts.next() == Some("arn") && parts.nth(1) == Some("secretsmanager");
    parts.next().filter(|region| is_secret && !region.is_empty())
}

fn message(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = ["message", "Message"].iter().find_map(|key| body.get(key)?.as_str());
    text.unwrap_or_default().chars().take(MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::region_of;

    #[test]
    fn a_secrets_arn_names_its_region() {
        for (arn, region) in [
            ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:a", Some("eu-west-1")),
            ("arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a:b", Some("cn-north-1")),
            ("arn:aws:secretsmanager::123456789012:secret:a", None),
            ("arn:aws:s3:eu-west-1:123456789012:bucket", None),
            ("prod/datadog", None),
            ("", None),
        ] {
            assert_eq!(region_of(arn), region, "{arn}");
        }
    }
}
