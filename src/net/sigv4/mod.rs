//! Verification of AWS Signature Version 4, header form and presigned form.
//!
//! A pure function in two steps, so that a server can turn a stranger away before it reads the
//! body: `Claim::read` takes the request's head (who says he signed it, when, for what), and
//! `Claim::verify` proves it with the body's hash.
//!
//! Rules: AWS IAM user guide, "Create a signed AWS API request"; the error names and texts are
//! those of AWS's own services. Where real clients differ from the guide they are let through:
//! only `host` and the `x-amz-*` headers must be signed, because nothing else of the head is acted
//! upon (older curl and Fluent Bit sign fewer headers than the SDKs).

mod canonical;
mod claim;
mod key;
#[cfg(test)]
mod tests;
mod time;

pub use canonical::RESERVED;
pub use claim::{Claim, Head};
pub use key::{Key, NewKey};

use aws_lc_rs::digest;

/// The only algorithm; the ECDSA variant (SigV4a) needs AWS's own key derivation.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";

/// SHA-256 of a request body.
pub type BodyHash = [u8; 32];

/// Hashes a body as its pieces arrive.
pub struct BodyHasher(digest::Context);

impl Default for BodyHasher {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl BodyHasher {
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub fn finish(self) -> BodyHash {
        to_array(self.0.finish().as_ref())
    }
}

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> BodyHash {
    to_array(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn to_array(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().expect("SHA-256 has 32 bytes")
}

/// Why a request is not taken as signed. The texts hold no secret and no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No signature at all.
    #[error("Missing Authentication Token")]
    Missing,
    /// A signature that lacks a part or cannot be read.
    #[error("{0}")]
    Incomplete(String),
    /// A signature that is wrong, for another service or day, or out of time.
    #[error("{0}")]
    Invalid(String),
    /// An access key nobody knows, or a session token that is not the key's.
    #[error("The security token included in the request is invalid.")]
    Unrecognized,
    /// A key past its time.
    #[error("The security token included in the request is expired")]
    Expired,
}

impl SignatureError {
    /// The exception's name on the wire. All of them are answered with status 403.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) => "IncompleteSignatureException",
            Self::Invalid(_) => "InvalidSignatureException",
            Self::Unrecognized => "UnrecognizedClientException",
            Self::Expired => "ExpiredTokenException",
        }
    }

    fn mismatch() -> Self {
        Self::Invalid(
            "The request signature we calculated does not match the signature you provided. \
             Check your AWS Secret Access Key and signing method. Consult the service \
             documentation for details."
                .into(),
        )
    }
}
