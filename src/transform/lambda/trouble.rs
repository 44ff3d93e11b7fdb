//! Why a call gave no answer, and what that means for what comes next.
//!
//! | trouble | whose | tried again |
//! |---|---|---|
//! | the function fails, runs out of time | the records' | yes |
//! | by URL: it loses the connection, status 500 | perhaps one record's | yes, then in halves |
//! | by URL: the event is refused (400, 422) | perhaps one record's | in halves |
//! | too many calls, Lambda or the way to it out of order, network interfaces | nobody's | yes |
//! | permissions, credentials, no such function, its VPC, key or package | nobody's | no |
//! | any other refusal, by API also that of the event's form | nobody's | no |
//! | event or answer too large | the records' | in halves |
//!
//! What is nobody's holds the records, or counts like the records' own trouble, as
//! [`super::OnUnavailable`] says. The errors are those of Lambda's Invoke API (API reference); the
//! codes those of Firehose's guide.
//!
//! By URL, a status of 500 and a lost connection are what a function error is by API, but also what
//! a server gives while it is started anew; a record is blamed only if it meets them alone. The
//! API's complaints of parameters and form are never a record's doing: every event is put together
//! in the same way here, and what it is put together of is configured.

use std::time::Duration;

use serde::Deserialize;

use super::codes::{self, Code};
use crate::{
    fault::Cause,
    net::{
        http::{Answer, SendError},
        signed::{error_type, is_about_credentials},
    },
};

/// Why a call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Fewer records at a time may pass.
    TooLarge(Cause),
    Failed {
        cause: Cause,
        whose: Whose,
        /// Whether another try may help.
        again: bool,
        /// The wait that the server asked for.
        after: Option<Duration>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The batch may have caused it.
    Records,
    /// One record of the batch may have caused it, or none.
    OneRecords,
    /// Any batch would have met it.
    Nobodys,
}

use Whose::{Nobodys, OneRecords, Records};

/// How a function is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Lambda's Invoke API, with a role or without.
    Api {
        role: bool,
    },
    Url,
}

impl Trouble {
    fn new(whose: Whose, again: bool, cause: Cause) -> Self {
        Self::Failed { cause, whose, again, after: None }
    }
}

/// What an error below HTTP means.
pub(super) fn of_sending(error: &SendError, way: Way) -> Trouble {
    let detail = error.to_string();
    match (error, way) {
        (SendError::Connect(_) | SendError::Tls(..), _) => {
            Trouble::new(Nobodys, true, codes::TARGET_SERVER_FAILED.because(&detail))
        }
        (SendError::Timeout(_), _) => {
            Trouble::new(Records, true, codes::FUNCTION_REQUEST_TIMED_OUT.because(&detail))
        }
        (SendError::TooLarge { .. }, _) => Trouble::TooLarge(codes::RESPONSE_TOO_LARGE.cause()),
        // Behind the API a function that dies is reported; only the way to it breaks.
        (SendError::Broken(_) | SendError::Malformed(_), Way::Api { .. }) => {
            Trouble::new(Nobodys, true, codes::TARGET_SERVER_FAILED.because(&detail))
        }
        (SendError::Broken(_) | SendError::Malformed(_), Way::Url) => {
            Trouble::new(OneRecords, true, codes::TARGET_SERVER_FAILED.because(&detail))
        }
        (SendError::Credentials(_), Way::Api { role: true }) => {
            Trouble::new(Nobodys, false, codes::ASSUME_ROLE_ACCESS_DENIED.because(&detail))
        }
        (SendError::Credentials(_), _) => {
            Trouble::new(Nobodys, false, codes::INVALID_SECURITY_TOKEN.because(&detail))
        }
        (SendError::Request(_), _) => {
            Trouble::new(Nobodys, false, codes::INVOCATION_FAILURE.because(&detail))
        }
    }
}

/// What an answer other than a plain success means; nothing for a plain success.
pub(super) fn of_answer(answer: &Answer, way: Way) -> Option<Trouble> {
    if answer.status.is_success() {
        return answer.header("x-amz-function-error").map(|_| of_function(&answer.body));
    }
    let name = error_type(answer).unwrap_or_default();
    let by_name = match way {
        Way::Api { .. } => of_name(&name),
        Way::Url => None,
    };
    let verdict = by_name.unwrap_or_else(|| of_status(answer.status.as_u16(), way));
    let detail = if name.is_empty() { format!("status {}", answer.status.as_u16()) } else { name };
    Some(match verdict {
        Means::TooLarge => Trouble::TooLarge(codes::REQUEST_TOO_LARGE.because(&detail)),
        Means::Failed(whose, again, code) => Trouble::Failed {
            cause: code.because(&detail),
            whose,
            again,
            after: answer.retry_after(),
        },
    })
}

/// The error object of a function. Its texts are the user's and may hold data: they are read, but
/// never passed on.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FunctionError {
    error_type: Option<String>,
    error_message: Option<String>,
}

fn of_function(body: &[u8]) -> Trouble {
    let error: FunctionError = serde_json::from_slice(body).unwrap_or_default();
    let kind = error.error_type.unwrap_or_default();
    let message = error.error_message.unwrap_or_default();
    let too_large = kind == "Function.ResponseSizeTooLarge"
        || message.contains("exceeded maximum allowed payload size");
    if too_large {
        return Trouble::TooLarge(codes::RESPONSE_TOO_LARGE.cause());
    }
    let timed_out = kind == "Sandbox.Timedout" || message.contains("Task timed out after");
    let code = if timed_out { codes::FUNCTION_TIMED_OUT } else { codes::FUNCTION_ERROR };
    Trouble::new(Records, true, code.cause())
}

enum Means {
    TooLarge,
    Failed(Whose, bool, Code),
}

/// The errors of the Invoke API by name.
fn of_name(name: &str) -> Option<Means> {
    let (whose, again, code) = match name.strip_suffix("Exception").unwrap_or(name) {
        "RequestTooLarge" | "SerializedRequestEntityTooLarge" => return Some(Means::TooLarge),
        "TooManyRequests" | "Throttling" | "ThrottledException" => {
            (Nobodys, true, codes::INVOKE_LIMIT_EXCEEDED)
        }
        "AccessDenied" => (Nobodys, false, codes::INVOKE_ACCESS_DENIED),
        "ResourceNotFound" => (Nobodys, false, codes::RESOURCE_NOT_FOUND),
        "Service" | "InternalFailure" | "InternalServerError" => {
            (Nobodys, true, codes::INTERNAL_SERVER_ERROR)
        }
        "ServiceUnavailable" => (Nobodys, true, codes::SERVICE_UNAVAILABLE),
        "InvalidSubnetID" => (Nobodys, false, codes::INVALID_SUBNET_ID),
        "InvalidSecurityGroupID" => (Nobodys, false, codes::INVALID_SECURITY_GROUP_ID),
        "SubnetIPAddressLimitReached" => (Nobodys, true, codes::SUBNET_IP_LIMIT),
        "ENILimitReached" => (Nobodys, true, codes::ENI_LIMIT),
        "InvalidZipFile" => (Nobodys, false, codes::INVALID_ZIP_FILE),
        "KMSAccessDenied" => (Nobodys, false, codes::FUNCTION_KMS_DENIED),
        "KMSDisabled"
        | "KMSInvalidState"
        | "KMSNotFound"
        | "InvalidRuntime"
        | "EC2AccessDenied"
        | "EFSMountFailure"
        | "RecursiveInvocation"
        | "SnapStart" => (Nobodys, false, codes::INVOCATION_FAILURE),
        "EC2Throttled"
        | "EC2Unexpected"
        | "EFSIO"
        | "EFSMountConnectivity"
        | "EFSMountTimeout"
        | "ResourceNotReady"
        | "ResourceConflict"
        | "SnapStartNotReady"
        | "SnapStartTimeout" => (Nobodys, true, codes::INVOCATION_FAILURE),
        "InvalidParameterValue" | "InvalidRequestContent" | "UnsupportedMediaType" => {
            (Nobodys, false, codes::INVOCATION_FAILURE)
        }
        _ if is_about_credentials(name) => (Nobodys, false, codes::INVALID_SECURITY_TOKEN),
        _ => return None,
    };
    Some(Means::Failed(whose, again, code))
}

/// Statuses without a name that is known.
fn of_status(status: u16, way: Way) -> Means {
    let (whose, again, code) = match status {
        413 => return Means::TooLarge,
        400 | 422 if way == Way::Url => (OneRecords, false, codes::INVOCATION_FAILURE),
        401 | 403 => (Nobodys, false, codes::INVOKE_ACCESS_DENIED),
        404 => (Nobodys, false, codes::RESOURCE_NOT_FOUND),
        408 => (Nobodys, true, codes::FUNCTION_REQUEST_TIMED_OUT),
        409 | 425 => (Nobodys, true, codes::INVOCATION_FAILURE),
        429 => (Nobodys, true, codes::INVOKE_LIMIT_EXCEEDED),
        500 if way == Way::Url => (OneRecords, true, codes::FUNCTION_ERROR),
        502 | 504 => (Nobodys, true, codes::TARGET_SERVER_FAILED),
        503 => (Nobodys, true, codes::SERVICE_UNAVAILABLE),
        500..=599 => (Nobodys, true, codes::INTERNAL_SERVER_ERROR),
        _ => (Nobodys, false, codes::INVOCATION_FAILURE),
    };
    Means::Failed(whose, again, code)
}
