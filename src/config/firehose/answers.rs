//! Error answers whose occasion only the caller can see: the set of streams, and the puts, which
//! are decoded without the shapes' tables.

use super::{
    ApiError,
    constraints::{self, Pattern, violation},
};
use crate::limits;

/// No stream of this name.
pub fn not_found(name: &str, account_id: &str) -> ApiError {
    let message = format!("Firehose {name} under account {account_id} not found.");
    ApiError::new("ResourceNotFoundException", 400, message)
}

/// CreateDeliveryStream with the name of a stream that exists.
pub fn already_exists(name: &str, account_id: &str) -> ApiError {
    let message = format!("Firehose {name} under accountId {account_id} already exists");
    ApiError::new("ResourceInUseException", 400, message)
}

/// CreateDeliveryStream beyond `limits::STREAMS_MAX`.
pub fn quota_consumed() -> ApiError {
    let quota = limits::STREAMS_MAX;
    let message = format!("You have already consumed your firehose quota of {quota} hoses.");
    ApiError::new("LimitExceededException", 400, message)
}

/// The name in a put. No regular expression on the way of a good one.
///
/// # Errors
/// ValidationException when it is missing or not a stream's name.
pub fn check_put_name(name: Option<&str>) -> Result<(), ApiError> {
    let Some(name) = name else {
        return Err(one("deliveryStreamName", "Member must not be null"));
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let mut rules = Vec::new();
    if name.is_empty() {
        rules.push("Member must have length greater than or equal to 1".to_owned());
    } else if name.encode_utf16().count() > 64 {
        rules.push("Member must have length less than or equal to 64".to_owned());
    }
    if !Pattern::StreamName.matches(name) {
        let pattern = Pattern::StreamName.printed();
        rules.push(format!("Member must satisfy regular expression pattern: {pattern}"));
    }
    let violations: Vec<_> =
        rules.iter().map(|rule| violation("deliveryStreamName", rule)).collect();
    constraints::answer(&violations)
}

/// A put's `Record`, a batch's `Records`, or the `Data` of record `index` (from 0) is missing.
pub fn missing_member(member: PutMember) -> ApiError {
    one(&member.path(), "Member must not be null")
}

/// A record above `limits::RECORD_BYTES_MAX`; `index` is its place in a batch, from 0.
pub fn record_too_large(index: Option<usize>) -> ApiError {
    let most = limits::RECORD_BYTES_MAX;
    one(
        &PutMember::Data(index).path(),
        &format!("Member must have length less than or equal to {most}"),
    )
}

/// More than `limits::BATCH_RECORDS_MAX` records.
pub fn too_many_records() -> ApiError {
    let most = limits::BATCH_RECORDS_MAX;
    one("records", &format!("Member must have length less than or equal to {most}"))
}

/// A batch without records.
pub fn no_records() -> ApiError {
    one("records", "Member must have length greater than or equal to 1")
}

/// Records above `limits::BATCH_BYTES_MAX` together.
pub fn batch_too_large() -> ApiError {
    ApiError::invalid_argument("Records size exceeds 4 MB limit")
}

/// A member of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMember {
    Record,
    Records,
    /// An element of `Records`, from 0.
    Element(usize),
    /// `Data` of the one record, or of an element of `Records`, from 0.
    Data(Option<usize>),
}

impl PutMember {
    fn path(self) -> String {
        match self {
            Self::Record => "record".to_owned(),
            Self::Records => "records".to_owned(),
            Self::Element(index) => format!("records.{}.member", index + 1),
            Self::Data(None) => "record.data".to_owned(),
            Self::Data(Some(index)) => format!("records.{}.member.data", index + 1),
        }
    }
}

fn one(path: &str, rule: &str) -> ApiError {
    ApiError::validation(format!("1 validation error detected: {}", violation(path, rule)))
}
