//! What errors of Kinesis mean for a reader (API reference, errors of each action).

use serde_json::Value;

use super::{super::ReadError, AskError};
use crate::{
    limits::MESSAGE_CHARS_MAX,
    net::{
        http::{Answer, SendError},
        signed::{error_type, is_about_credentials},
    },
};

/// Kinesis answered with an error.
pub(super) fn refusal(action: &str, answer: &Answer) -> AskError {
    let name = error_type(answer).unwrap_or_default();
    let status = answer.status.as_u16();
    let said = said(answer);
    let text = match (name.is_empty(), said.is_empty()) {
        (true, true) => format!("{action}: status {status}"),
        (true, false) => format!("{action}: status {status}: {said}"),
        (false, true) => format!("{action}: {name}"),
        (false, false) => format!("{action}: {name}: {said}"),
    };
    match name.strip_suffix("Exception").unwrap_or(&name) {
        "ExpiredIterator" | "ExpiredNextToken" => AskError::Expired(text),
        name => meaning(name, status, text).into(),
    }
}

fn meaning(name: &str, status: u16, message: String) -> ReadError {
    let trouble = |code: &str, message| ReadError::Trouble { code: code.into(), message };
    let denied = |code: &str, message| ReadError::Denied { code: code.into(), message };
    match name {
        "ProvisionedThroughputExceeded"
        | "LimitExceeded"
        | "Throttling"
        | "Throttled"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "KMSThrottling" => ReadError::Throttled(message),
        "ResourceNotFound" => ReadError::Gone(message),
        "AccessDenied" | "UnauthorizedOperation" | "OptInRequired" => {
            denied("Kinesis.AccessDenied", message)
        }
        "KMSAccessDenied" => denied("Kinesis.KMS.AccessDenied", message),
        "KMSDisabled" => denied("Kinesis.KMS.Disabled", message),
        "KMSInvalidState" => denied("Kinesis.KMS.InvalidState", message),
        "KMSNotFound" => denied("Kinesis.KMS.NotFound", message),
        "KMSOptInRequired" => denied("Kinesis.KMS.OptInRequired", message),
        "InvalidArgument" | "Validation" | "Serialization" => {
            denied("Kinesis.InvalidArgument", message)
        }
        "ResourceInUse" => trouble("Kinesis.ResourceInUse", message),
        "InternalFailure" | "ServiceUnavailable" => trouble("Kinesis.InternalFailure", message),
        name if is_about_credentials(name) => denied("Kinesis.AccessDenied", message),
        _ => match status {
            401 | 403 => denied("Kinesis.AccessDenied", message),
            429 => ReadError::Throttled(message),
            408 | 500..=599 => trouble("Kinesis.InternalFailure", message),
            _ => denied("Kinesis.Refused", message),
        },
    }
}

/// There was no answer.
pub(super) fn failure(action: &str, error: &SendError) -> ReadError {
    let message = format!("{action}: {error}");
    let code = match error {
        SendError::Credentials(_) => {
            return ReadError::Denied { code: "Kinesis.Credentials".into(), message };
        }
        SendError::Request(_) => {
            return ReadError::Denied { code: "Kinesis.InvalidArgument".into(), message };
        }
        SendError::Timeout(_) => "Kinesis.Timeout",
        SendError::TooLarge { .. } | SendError::Malformed(_) => "Kinesis.UnreadableAnswer",
        SendError::Connect(_) | SendError::Tls(..) | SendError::Broken(_) => {
            "Kinesis.ConnectionFailure"
        }
    };
    ReadError::Trouble { code: code.into(), message }
}

fn said(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = ["message", "Message"].iter().find_map(|key| body.get(key)?.as_str());
    text.unwrap_or_default().chars().take(MESSAGE_CHARS_MAX).collect()
}
