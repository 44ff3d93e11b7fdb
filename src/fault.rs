//! The only classification of failure. Every sink maps what its destination said to one of three.

use std::{fmt, time::Duration};

/// Why something failed: a code from the field (`S3.AccessDenied`) and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The code as Firehose's logs and error records spell it.
    pub code: String,
    /// What the destination said, without secrets or record contents.
    pub message: String,
}

impl Cause {
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// What a failed attempt means for what comes next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Passing trouble: try the same again, no sooner than `after` where the server named a wait.
    #[error("{cause}")]
    Retry { cause: Cause, after: Option<Duration> },
    /// The records themselves are unfit and will never be taken: they go to the error output.
    #[error("{cause}")]
    Reject { cause: Cause },
    /// The destination is not usable as configured (a permission, a bucket, a key): hold
    /// everything, keep asking slowly, go on once it is mended. Never rejects a record.
    #[error("{cause}")]
    Halt { cause: Cause },
}

impl Fault {
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Retry { cause: Cause::new(code, message), after: None }
    }

    pub fn halt(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Halt { cause: Cause::new(code, message) }
    }

    pub fn cause(&self) -> &Cause {
        match self {
            Self::Retry { cause, .. } | Self::Reject { cause } | Self::Halt { cause } => cause,
        }
    }
}
