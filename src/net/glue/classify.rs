//! What Glue's errors mean, under the codes that Firehose's error records have for them.
//!
//! Nothing that Glue says is the fault of a record: *Retry* passes by itself (throttling, trouble
//! of the service, the network), *Halt* waits for somebody to mend a permission, a key or a name.

use serde_json::Value;

use crate::{
    fault::{Cause, Fault},
    limits::MESSAGE_CHARS_MAX,
    net::{
        http::{Answer, SendError},
        signed::{error_type, is_about_credentials},
    },
};

/// A partition that somebody else was quicker to make.
pub(super) const ALREADY_EXISTS: &str = "Glue.AlreadyExistsException";

/// What was asked for is not there.
pub(super) const NOT_FOUND: &str = "DataFormatConversion.EntityNotFound";

const INTERNAL: &str = "DataFirehose.InternalError";

/// Glue answered with an error.
pub(super) fn refusal(action: &str, answer: &Answer) -> Fault {
    let name = error_type(answer).unwrap_or_default();
    let status = answer.status.as_u16();
    let said = message(answer);
    let (code, passes) = meaning(action, &name, status, &said);
    let name = if name.is_empty() { format!("status {status}") } else { name };
    let text = if said.is_empty() { name } else { format!("{name}: {said}") };
    let cause = Cause::new(code, format!("Glue {action}: {text}"));
    if passes { Fault::Retry { cause, after: answer.retry_after() } } else { Fault::Halt { cause } }
}

/// Code, and whether it passes by itself.
fn meaning(action: &str, name: &str, status: u16, said: &str) -> (&'static str, bool) {
    let version = action == "GetTableVersion";
    match name.strip_suffix("Exception").unwrap_or(name) {
        // The table is named alike where it is missing; only the text tells which of them it is.
        "EntityNotFound" if version && said.to_lowercase().contains("version") => {
            ("DataFormatConversion.InvalidVersionId", false)
        }
        "InvalidInput" if version => ("DataFormatConversion.InvalidVersionId", false),
        "EntityNotFound" => (NOT_FOUND, false),
        "InvalidInput" | "Validation" => ("DataFormatConversion.InvalidInput", false),
        "AlreadyExists" => (ALREADY_EXISTS, false),
        "AccessDenied" => ("DataFormatConversion.AccessDenied", false),
        "GlueEncryption" => ("DataFormatConversion.GlueEncryptionException", false),
        "Throttling"
        | "Throttled"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "ResourceNumberLimitExceeded"
        | "ConcurrentModification" => ("DataFormatConversion.ThrottledByGlue", true),
        "OperationTimeout" => ("DataFormatConversion.SchemaValidationTimeout", true),
        "InternalService"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ResourceNotReady"
        | "FederationSource"
        | "FederationSourceRetryable" => (INTERNAL, true),
        _ if is_about_credentials(name) => ("DataFormatConversion.AccessDenied", false),
        _ => match status {
            401 | 403 => ("DataFormatConversion.AccessDenied", false),
            429 => ("DataFormatConversion.ThrottledByGlue", true),
            408 | 500..=599 => (INTERNAL, true),
            _ => ("DataFormatConversion.DataFormatConversionCustomerErrorException", false),
        },
    }
}

/// There was no answer.
pub(super) fn failure(action: &str, error: &SendError, role: bool) -> Fault {
    let text = format!("Glue {action}: {error}");
    match error {
        SendError::Connect(_)
        | SendError::Tls(..)
        | SendError::Broken(_)
        | SendError::Malformed(_) => Fault::retry(INTERNAL, text),
        SendError::Timeout(_) => Fault::retry("DataFormatConversion.SchemaValidationTimeout", text),
        SendError::Credentials(_) if role => {
            Fault::halt("DataFormatConversion.InvalidGlueRole", text)
        }
        SendError::Credentials(_) => Fault::halt("DataFormatConversion.AccessDenied", text),
        SendError::TooLarge { .. } => Fault::halt("DataFormatConversion.InvalidSchema", text),
        SendError::Request(_) => Fault::halt("DataFormatConversion.ValidationException", text),
    }
}

/// The answer is none of Glue's.
pub(super) fn unreadable(error: serde_json::Error) -> Fault {
    Fault::retry(INTERNAL, format!("the answer of Glue cannot be read: {error}"))
}

/// The answer holds no table.
pub(super) fn incomplete() -> Fault {
    Fault::retry(INTERNAL, "the answer of Glue holds no table")
}

fn message(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = ["message", "Message"].iter().find_map(|key| body.get(key)?.as_str());
    text.unwrap_or_default().chars().take(MESSAGE_CHARS_MAX).collect()
}
