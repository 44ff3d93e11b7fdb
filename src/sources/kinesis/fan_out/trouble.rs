//! What an error of Kinesis means for the reading of a shard.

use std::fmt::Display;

use crate::{
    limits,
    net::signed::{Answer, SendError, error_type, is_about_credentials},
    sources::kinesis::ReadError,
};

/// A consumer that is there already, or a subscription that is.
pub(super) const IN_USE: &str = "ResourceInUseException";

/// Of a request without an answer.
pub(super) fn of_sending(error: &SendError) -> ReadError {
    match error {
        SendError::Credentials(_) => denied("NoCredentials", error),
        SendError::Request(_) => denied("InvalidRequest", error),
        SendError::Tls(..) => denied("NoSecureConnection", error),
        SendError::TooLarge { .. } | SendError::Malformed(_) => unreadable(error),
        SendError::Connect(_) | SendError::Timeout(_) | SendError::Broken(_) => {
            ReadError::Trouble { code: "NoConnection".into(), message: error.to_string() }
        }
    }
}

/// Of an answer that is a refusal.
pub(super) fn of_refusal(answer: &Answer) -> ReadError {
    let message = serde_json::from_slice::<serde_json::Value>(&answer.body).ok().and_then(|body| {
        let text = ["message", "Message"].iter().find_map(|key| body.get(key)?.as_str());
        text.map(ToOwned::to_owned)
    });
    let message = message.unwrap_or_default();
    match error_type(answer) {
        Some(name) => of_name(&name, &message),
        None => {
            let code = format!("HTTP {}", answer.status.as_u16());
            match answer.status.as_u16() {
                401 | 403 => denied(&code, &"the server refuses access"),
                429 => ReadError::Throttled(code),
                _ => {
                    let message = "what answers here speaks no Kinesis".into();
                    ReadError::Trouble { code, message }
                }
            }
        }
    }
}

/// Of an error by its name.
pub(super) fn of_name(name: &str, message: &str) -> ReadError {
    const THROTTLED: [&str; 8] = [
        IN_USE,
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "KMSThrottlingException",
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "RequestLimitExceeded",
    ];
    const DENIED: [&str; 12] = [
        "AccessDeniedException",
        "AccessDenied",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
        "KMSOptInRequired",
        "OptInRequired",
        "InvalidArgumentException",
        "ValidationException",
        "SerializationException",
        "UnknownOperationException",
    ];
    let message = bounded(message);
    if THROTTLED.contains(&name) {
        ReadError::Throttled(format!("{name}: {message}"))
    } else if name == "ResourceNotFoundException" {
        ReadError::Gone(message)
    } else if DENIED.contains(&name) || is_about_credentials(name) {
        ReadError::Denied { code: name.to_owned(), message }
    } else {
        ReadError::Trouble { code: bounded(name), message }
    }
}

pub(super) fn denied(code: &str, message: &impl Display) -> ReadError {
    ReadError::Denied { code: code.to_owned(), message: message.to_string() }
}

pub(super) fn unreadable(message: &impl ToString) -> ReadError {
    ReadError::Trouble { code: "UnreadableAnswer".into(), message: message.to_string() }
}

fn bounded(text: &str) -> String {
    text.chars().take(limits::MESSAGE_CHARS_MAX).collect()
}
