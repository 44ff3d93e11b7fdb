//! Answers of OTLP/HTTP: `ExportLogsServiceResponse` and `google.rpc.Status`, in the encoding of
//! the request (OTLP specification, "OTLP/HTTP Response").

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use prost::Message;
use serde_json::{Value, json};

use super::record::Rejection;

/// How a request is written, and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    /// What the request's Content-Type says.
    pub(super) fn of(head: &Parts) -> Option<Self> {
        let given = head.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let media_type = given.split(';').next()?.trim();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name);
        if is("application/x-protobuf") {
            Some(Self::Protobuf)
        } else if is("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    fn answer(self, status: StatusCode, message: &impl Message, json: &Value) -> Response<Bytes> {
        let (body, content_type) = match self {
            Self::Protobuf => (message.encode_to_vec(), "application/x-protobuf"),
            Self::Json => (json.to_string().into_bytes(), "application/json"),
        };
        let mut answer = Response::new(body.into());
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        answer
    }

    /// All is stored but what was rejected.
    pub(super) fn success(self, rejected: Option<(u64, Rejection)>) -> Response<Bytes> {
        let Some((count, why)) = rejected else {
            return self.answer(StatusCode::OK, &ExportLogsServiceResponse::default(), &json!({}));
        };
        let partial = ExportLogsPartialSuccess {
            rejected_log_records: count.try_into().unwrap_or(i64::MAX),
            error_message: why.to_string(),
        };
        let json = json!({"partialSuccess": {
            "rejectedLogRecords": count.to_string(),
            "errorMessage": partial.error_message,
        }});
        let message = ExportLogsServiceResponse { partial_success: Some(partial) };
        self.answer(StatusCode::OK, &message, &json)
    }

    pub(super) fn failure(self, status: StatusCode, message: &str) -> Response<Bytes> {
        let code = rpc_code(status);
        let json = json!({"code": code, "message": message});
        self.answer(status, &Status { code, message: message.to_owned() }, &json)
    }
}

/// `google.rpc.Code` of a status.
fn rpc_code(status: StatusCode) -> i32 {
    match status {
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::NOT_FOUND => 12,
        StatusCode::REQUEST_TIMEOUT => 4,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        status if status.is_client_error() => 3,
        _ => 13,
    }
}

/// opentelemetry/proto/collector/logs/v1.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportLogsServiceResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<ExportLogsPartialSuccess>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ExportLogsPartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected_log_records: i64,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

/// google/rpc/status.proto.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}
