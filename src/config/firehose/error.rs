//! An error answer of the Firehose API.

/// What a caller gets: `{"__type": kind, "message": message}` with an HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct ApiError {
    /// The bare name, `InvalidArgumentException`.
    pub kind: &'static str,
    /// HTTP status: 400 for every modelled error but ServiceUnavailableException.
    pub status: u16,
    pub message: String,
}

impl ApiError {
    pub fn new(kind: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { kind, status, message: message.into() }
    }

    pub fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", 400, message)
    }

    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new("InvalidArgumentException", 400, message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new("ServiceUnavailableException", 500, message)
    }
}
