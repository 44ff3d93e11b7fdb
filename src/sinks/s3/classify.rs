//! What S3 said, as one of two faults.
//!
//! Nothing S3 can say is the fault of a record, so nothing is ever rejected. *Retry* is trouble
//! that passes by itself: an overloaded or failing server, a broken connection. *Halt* is what
//! somebody has to mend: a permission, a key, a bucket, a setting. Both end in another attempt;
//! a halt is also told to the operator. Codes are those of the S3 API behind `S3.`, as Firehose
//! logs them.

use std::{error::Error, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::{
    client::{orchestrator::HttpResponse, result::ConnectorError},
    http::Headers,
};
use aws_smithy_types::error::ErrorMetadata;

use crate::{
    fault::{Cause, Fault},
    limits,
};

/// Codes of trouble that passes, whatever status they come with.
const PASSING: &[&str] = &[
    "BadDigest",
    "BandwidthLimitExceeded",
    "Busy",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "InternalFailure",
    // The parts or the upload itself are gone (a lifecycle rule, an abort that came late): the
    // next attempt begins a new upload.
    "InvalidPart",
    "InvalidPartOrder",
    "KMS.DependencyTimeoutException",
    "KMS.InternalException",
    "KMS.KMSInternalException",
    "KMS.RequestLimitExceeded",
    "KMS.ThrottlingException",
    "NoSuchUpload",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
];

/// Codes by which a server asks for fewer requests.
const THROTTLING: &[&str] = &[
    "RequestLimitExceeded",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
];

/// Codes of what must be mended, where the status alone would say otherwise: S3 sends errors
/// with 200 from CompleteMultipartUpload, and some servers send them with 500.
const TO_MEND: &[&str] = &[
    "AccessDenied",
    "AccountProblem",
    "AllAccessDisabled",
    "EntityTooLarge",
    "ExpiredToken",
    "InsufficientStorage",
    "InvalidAccessKeyId",
    "InvalidRequest",
    "InvalidToken",
    "KeyTooLongError",
    "MethodNotAllowed",
    "NoSuchBucket",
    "NotImplemented",
    "PermanentRedirect",
    "QuotaExceeded",
    "SignatureDoesNotMatch",
    "XMinioStorageFull",
];

/// Classifies the failure of one request.
pub(crate) fn fault<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Fault
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(credentials) = find::<CredentialsError>(error) {
        return no_credentials(operation, credentials);
    }
    match error {
        SdkError::ServiceError(context) => {
            let answer = Answer {
                operation,
                status: context.raw().status().as_u16(),
                headers: context.raw().headers(),
                code: context.err().code(),
                message: context.err().message(),
            };
            answer.fault()
        }
        SdkError::ResponseError(context) => {
            let answer = Answer {
                operation,
                status: context.raw().status().as_u16(),
                headers: context.raw().headers(),
                code: None,
                message: None,
            };
            answer.fault()
        }
        SdkError::TimeoutError(_) => {
            Fault::retry("S3.RequestTimeout", format!("{operation}: {}", innermost(error)))
        }
        SdkError::DispatchFailure(failure) => {
            let code = if failure.is_timeout() { "RequestTimeout" } else { "ConnectionFailed" };
            Fault::retry(format!("S3.{code}"), format!("{operation}: {}", innermost(error)))
        }
        // The request could not even be written down: a bucket's name, an endpoint, a key.
        SdkError::ConstructionFailure(_) => {
            Fault::halt("S3.InvalidRequest", format!("{operation}: {}", innermost(error)))
        }
        _ => Fault::retry("S3.InternalError", format!("{operation}: {}", innermost(error))),
    }
}

/// A server's refusal, as far as it could be read.
struct Answer<'a> {
    operation: &'static str,
    status: u16,
    headers: &'a Headers,
    code: Option<&'a str>,
    message: Option<&'a str>,
}

impl Answer<'_> {
    fn fault(&self) -> Fault {
        let code = self.code.filter(|code| !code.is_empty()).unwrap_or(by_status(self.status));
        let cause = Cause::new(format!("S3.{}", short(code)), self.sentence(code));
        if self.is_throttling(code) {
            let after = retry_after(self.headers).unwrap_or(limits::SLOW_DOWN_WAIT);
            return Fault::Retry { cause, after: Some(after) };
        }
        if self.passes(code) {
            return Fault::Retry { cause, after: retry_after(self.headers) };
        }
        Fault::Halt { cause }
    }

    fn is_throttling(&self, code: &str) -> bool {
        THROTTLING.contains(&code) || self.status == 429
    }

    fn passes(&self, code: &str) -> bool {
        if code == "RequestTimeTooSkewed" || PASSING.contains(&code) {
            return true;
        }
        // What is wrong with a KMS key is wrong until somebody mends it.
        if TO_MEND.contains(&code) || code.starts_with("KMS.") {
            return false;
        }
        match self.status {
            // Success without a readable answer: a proxy's page, perhaps.
            200..300 => true,
            408 | 409 | 425 => true,
            501 | 505 | 507 => false,
            500.. => true,
            _ => false,
        }
    }

    /// `403 on PutObject: Access Denied`
    fn sentence(&self, code: &str) -> String {
        let Self { operation, status, .. } = self;
        let said = short(self.message.filter(|text| !text.is_empty()).unwrap_or(code));
        let mut sentence = format!("{status} on {operation}: {said}");
        if let Some(region) = self.headers.get("x-amz-bucket-region")
            && matches!(status, 301 | 307 | 400)
        {
            sentence.push_str(&format!(" (the bucket is in region {})", short(region)));
        }
        if code == "RequestTimeTooSkewed" {
            sentence.push_str(" (check the clock of this machine)");
        }
        sentence
    }
}

/// The code S3 itself would send with a status that came without one.
fn by_status(status: u16) -> &'static str {
    match status {
        200..300 => "InvalidResponse",
        301 | 308 => "PermanentRedirect",
        300..400 => "TemporaryRedirect",
        401 | 403 => "AccessDenied",
        404 => "NoSuchBucket",
        405 => "MethodNotAllowed",
        408 => "RequestTimeout",
        409 => "OperationAborted",
        412 => "PreconditionFailed",
        413 => "EntityTooLarge",
        429 => "SlowDown",
        400..=499 => "InvalidRequest",
        501 => "NotImplemented",
        503 => "ServiceUnavailable",
        507 => "InsufficientStorage",
        _ => "InternalError",
    }
}

/// The wait a server asks for in seconds, within reason.
fn retry_after(headers: &Headers) -> Option<Duration> {
    let seconds: u64 = headers.get("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(limits::RETRY_AFTER_MAX))
}

/// No request was sent: there was nobody to send it as. A service that cannot be reached or is
/// overloaded passes; a refusal, or no credentials at all, has to be mended.
fn no_credentials(operation: &'static str, error: &CredentialsError) -> Fault {
    let refused = find::<ErrorMetadata>(error).filter(|answer| answer.code().is_some());
    if let Some(answer) = refused {
        let code = answer.code().unwrap_or_default();
        let said = answer.message().unwrap_or(code);
        let cause = Cause::new(
            format!("S3.{}", short(code)),
            format!("credentials for {operation}: {}", short(said)),
        );
        return if THROTTLING.contains(&code) || PASSING.contains(&code) {
            Fault::Retry { cause, after: Some(limits::SLOW_DOWN_WAIT) }
        } else {
            Fault::Halt { cause }
        };
    }
    let message = format!("credentials for {operation}: {}", innermost(error));
    let unreachable = find::<ConnectorError>(error).is_some()
        || matches!(error, CredentialsError::ProviderTimedOut(_))
        || find::<ErrorMetadata>(error).is_some();
    match error {
        _ if unreachable => Fault::retry("S3.CredentialsUnavailable", message),
        CredentialsError::CredentialsNotLoaded(_) => Fault::halt("S3.CredentialsNotFound", message),
        _ => Fault::halt("S3.CredentialsInvalid", message),
    }
}

/// The first error of this type in the chain of sources.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The last words of a chain of errors, which name the cause: `connection refused`.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let last = chain(error).last().unwrap_or(error);
    short(&last.to_string())
}

fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> + 'a {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// A server's words on one line, cut where nobody reads on.
fn short(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(limits::MESSAGE_CHARS_MAX)
        .collect()
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
