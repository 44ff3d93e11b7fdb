use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;

use super::*;

type PutError = SdkError<PutObjectError, HttpResponse>;

fn response(status: u16, headers: &[(&'static str, &'static str)]) -> HttpResponse {
    let status = StatusCode::try_from(status).unwrap();
    let mut response = HttpResponse::new(status, SdkBody::empty());
    for (name, value) in headers {
        response.headers_mut().insert(*name, *value);
    }
    response
}

fn said(status: u16, code: &str, message: &str, headers: &[(&'static str, &'static str)]) -> Fault {
    let mut meta = ErrorMetadata::builder();
    if !code.is_empty() {
        meta = meta.code(code);
    }
    if !message.is_empty() {
        meta = meta.message(message);
    }
    let error = PutObjectError::generic(meta.build());
    fault("PutObject", &PutError::service_error(error, response(status, headers)))
}

#[derive(Debug, PartialEq)]
enum Kind {
    Halt,
    Retry,
    After(u64),
}

fn kind(fault: &Fault) -> Kind {
    match fault {
        Fault::Halt { .. } => Kind::Halt,
        Fault::Retry { after: None, .. } => Kind::Retry,
        Fault::Retry { after: Some(after), .. } => Kind::After(after.as_secs()),
        Fault::Reject { .. } | Fault::TooLarge { .. } => {
            panic!("S3 never rejects a record: {fault}")
        }
    }
}

#[test]
fn every_answer_is_held_or_retried_and_never_rejected() {
    use Kind::{After, Halt, Retry};
    for (status, code, expected) in [
        // A permission, a key, a bucket, an account.
        (403, "AccessDenied", Halt),
        (403, "InvalidAccessKeyId", Halt),
        (403, "SignatureDoesNotMatch", Halt),
        (400, "ExpiredToken", Halt),
        (400, "InvalidToken", Halt),
        (403, "AllAccessDisabled", Halt),
        (403, "AccountProblem", Halt),
        (403, "InvalidPayer", Halt),
        (403, "NotSignedUp", Halt),
        (404, "NoSuchBucket", Halt),
        (405, "MethodNotAllowed", Halt),
        // An encryption key.
        (400, "KMS.NotFoundException", Halt),
        (400, "KMS.DisabledException", Halt),
        (400, "KMS.KeyDisabled", Halt),
        (400, "KMS.KMSInvalidStateException", Halt),
        (500, "KMS.InvalidStateException", Halt),
        (400, "KMS.ThrottlingException", Retry),
        (400, "KMS.RequestLimitExceeded", Retry),
        // A region.
        (301, "PermanentRedirect", Halt),
        (307, "TemporaryRedirect", Halt),
        (400, "AuthorizationHeaderMalformed", Halt),
        (400, "IllegalLocationConstraintException", Halt),
        // A setting.
        (400, "KeyTooLongError", Halt),
        (400, "EntityTooLarge", Halt),
        (400, "InvalidRequest", Halt),
        (501, "NotImplemented", Halt),
        (507, "XMinioStorageFull", Halt),
        // Overload.
        (503, "SlowDown", After(1)),
        (503, "SlowDownWrite", After(1)),
        (429, "TooManyRequests", After(1)),
        (429, "", After(1)),
        (503, "ServiceUnavailable", Retry),
        (503, "", Retry),
        // Passing trouble.
        (500, "InternalError", Retry),
        (500, "", Retry),
        (502, "", Retry),
        (504, "", Retry),
        (400, "RequestTimeout", Retry),
        (408, "", Retry),
        (409, "OperationAborted", Retry),
        (409, "ConditionalRequestConflict", Retry),
        (403, "RequestTimeTooSkewed", Retry),
        (400, "BadDigest", Retry),
        (400, "XAmzContentSHA256Mismatch", Retry),
        (404, "NoSuchUpload", Retry),
        (400, "InvalidPart", Retry),
        // An error inside a success, as CompleteMultipartUpload has it.
        (200, "InternalError", Retry),
        (200, "SlowDown", After(1)),
        (200, "AccessDenied", Halt),
        (200, "", Retry),
        // What nobody has heard of goes by its status.
        (400, "Unheard", Halt),
        (403, "", Halt),
        (404, "", Halt),
        (418, "", Halt),
        (599, "Unheard", Retry),
    ] {
        assert_eq!(kind(&said(status, code, "", &[])), expected, "{status} {code}");
    }
}

#[test]
fn the_servers_wait_is_honoured_within_reason() {
    for (status, header, expected) in [
        (503, "7", Kind::After(7)),
        (429, "7", Kind::After(7)),
        (500, "7", Kind::After(7)),
        (503, "999999999", Kind::After(limits::RETRY_AFTER_MAX.as_secs())),
        (503, "soon", Kind::After(1)),
    ] {
        let code = if status == 500 { "InternalError" } else { "SlowDown" };
        let fault = said(status, code, "", &[("retry-after", header)]);
        assert_eq!(kind(&fault), expected, "{status} {header}");
    }
}

#[test]
fn messages_are_the_servers_own_words() {
    let region = [("x-amz-bucket-region", "eu-west-1")];
    let long = "x".repeat(5000);
    for (fault, expected) in [
        (
            said(403, "AccessDenied", "Access Denied", &[]),
            "S3.AccessDenied: 403 on PutObject: Access Denied".to_owned(),
        ),
        (said(502, "", "", &[]), "S3.InternalError: 502 on PutObject: InternalError".to_owned()),
        (
            said(301, "PermanentRedirect", "Wrong endpoint.", &region),
            "S3.PermanentRedirect: 301 on PutObject: Wrong endpoint. (the bucket is in region \
             eu-west-1)"
                .to_owned(),
        ),
        (
            said(403, "RequestTimeTooSkewed", "The difference is too large.", &[]),
            "S3.RequestTimeTooSkewed: 403 on PutObject: The difference is too large. (check the \
             clock of this machine)"
                .to_owned(),
        ),
        (
            said(400, "InvalidRequest", &format!("a\nb{long}"), &[]),
            format!("S3.InvalidRequest: 400 on PutObject: a b{}", &long[..397]),
        ),
    ] {
        assert_eq!(fault.to_string(), expected);
    }
}

#[test]
fn broken_connections_are_retried_and_impossible_requests_held() {
    let refused = || Box::new(std::io::Error::other("connection refused"));
    for (error, expected, text) in [
        (
            PutError::dispatch_failure(ConnectorError::io(refused())),
            Kind::Retry,
            "S3.ConnectionFailed: PutObject: connection refused",
        ),
        (
            PutError::dispatch_failure(ConnectorError::timeout("too slow".into())),
            Kind::Retry,
            "S3.RequestTimeout: PutObject: too slow",
        ),
        (PutError::timeout_error("late"), Kind::Retry, "S3.RequestTimeout: PutObject: late"),
        (
            PutError::response_error("garbage", response(200, &[])),
            Kind::Retry,
            "S3.InvalidResponse: 200 on PutObject: InvalidResponse",
        ),
        (
            PutError::construction_failure("not a valid bucket"),
            Kind::Halt,
            "S3.InvalidRequest: PutObject: not a valid bucket",
        ),
    ] {
        let fault = fault("PutObject", &error);
        assert_eq!((kind(&fault), fault.to_string().as_str()), (expected, text));
    }
}

#[test]
fn missing_credentials_hold_and_unreachable_services_are_retried() {
    let answer = |code: &str| {
        ErrorMetadata::builder().code(code).message("not authorized to perform AssumeRole").build()
    };
    let unreadable = ErrorMetadata::builder().build();
    let io = ConnectorError::io(Box::new(std::io::Error::other("no route")));
    let timed_out = CredentialsError::provider_timed_out(Duration::from_secs(20));
    for (error, expected, code) in [
        (CredentialsError::not_loaded_no_source(), Kind::Halt, "S3.CredentialsNotFound"),
        (CredentialsError::invalid_configuration("loop"), Kind::Halt, "S3.CredentialsInvalid"),
        (
            CredentialsError::provider_error(std::io::Error::other("secret file is gone")),
            Kind::Halt,
            "S3.CredentialsInvalid",
        ),
        (CredentialsError::provider_error(answer("AccessDenied")), Kind::Halt, "S3.AccessDenied"),
        (CredentialsError::provider_error(answer("Throttling")), Kind::After(1), "S3.Throttling"),
        (CredentialsError::provider_error(unreadable), Kind::Retry, "S3.CredentialsUnavailable"),
        (CredentialsError::provider_error(io), Kind::Retry, "S3.CredentialsUnavailable"),
        (timed_out, Kind::Retry, "S3.CredentialsUnavailable"),
    ] {
        let connector = ConnectorError::other(Box::new(error), None);
        let fault = fault("PutObject", &PutError::dispatch_failure(connector));
        assert_eq!((kind(&fault), fault.cause().code.as_str()), (expected, code), "{fault}");
    }
}
