//! What Splunk's HTTP event collector says, and under which status (Splunk, "Troubleshoot HTTP
//! Event Collector", table of possible error codes).

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::sources::http::protocol;

/// One of its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Success,
    TokenRequired,
    InvalidAuthorization,
    InvalidToken,
    NoData,
    InvalidDataFormat,
    InternalError,
    Busy,
    ChannelMissing,
    InvalidChannel,
    EventRequired,
    EventBlank,
    AckDisabled,
    Fields,
    Healthy,
    ShuttingDown,
}

impl Code {
    /// Number, status and text.
    fn row(self) -> (u16, StatusCode, &'static str) {
        match self {
            Self::Success => (0, StatusCode::OK, "Success"),
            Self::TokenRequired => (2, StatusCode::UNAUTHORIZED, "Token is required"),
            Self::InvalidAuthorization => (3, StatusCode::UNAUTHORIZED, "Invalid authorization"),
            Self::InvalidToken => (4, StatusCode::FORBIDDEN, "Invalid token"),
            Self::NoData => (5, StatusCode::BAD_REQUEST, "No data"),
            Self::InvalidDataFormat => (6, StatusCode::BAD_REQUEST, "Invalid data format"),
            Self::InternalError => (8, StatusCode::INTERNAL_SERVER_ERROR, "Internal server error"),
            Self::Busy => (9, StatusCode::SERVICE_UNAVAILABLE, "Server is busy"),
            Self::ChannelMissing => (10, StatusCode::BAD_REQUEST, "Data channel is missing"),
            Self::InvalidChannel => (11, StatusCode::BAD_REQUEST, "Invalid data channel"),
            Self::EventRequired => (12, StatusCode::BAD_REQUEST, "Event field is required"),
            Self::EventBlank => (13, StatusCode::BAD_REQUEST, "Event field cannot be blank"),
            Self::AckDisabled => (14, StatusCode::BAD_REQUEST, "ACK is disabled"),
            Self::Fields => (15, StatusCode::BAD_REQUEST, "Error in handling indexed fields"),
            Self::Healthy => (17, StatusCode::OK, "HEC is healthy"),
            Self::ShuttingDown => (23, StatusCode::SERVICE_UNAVAILABLE, "Server is shutting down"),
        }
    }

    pub(super) fn answer(self) -> Response<Bytes> {
        self.with(&[])
    }

    /// The answer with more members.
    pub(super) fn with(self, members: &[(&str, Value)]) -> Response<Bytes> {
        let (code, status, text) = self.row();
        let mut body = json!({"text": text, "code": code});
        for (name, value) in members {
            body[*name] = value.clone();
        }
        protocol::json(status, &body)
    }
}

/// What has no code of its own: the status stands for it, as at Splunk.
pub(super) fn plain(status: StatusCode, text: &str) -> Response<Bytes> {
    protocol::json(status, &json!({"text": text, "code": status.as_u16()}))
}
