//! The Firehose API's shapes as pure functions: constraints, rules, defaults, merging and
//! descriptions. Nothing here waits, reads or writes.
//!
//! A request is first held against the model's constraints (`check`), then against the service's
//! rules (`Hose::create`, `Hose::update` and the others). What the service would take and this
//! build cannot do (other destinations and sources) is refused with an InvalidArgumentException
//! that names what is available.

mod answers;
mod constraints;
mod conversion;
mod convert;
mod describe;
mod destination;
mod destinations;
mod encryption;
mod error;
mod hose;
mod kind;
mod operation;
mod prefix;
mod processing;
mod tags;

#[cfg(test)]
mod tests;

pub use answers::{
    PutMember, already_exists, batch_too_large, check_put_name, missing_member, no_records,
    not_found, quota_consumed, record_too_large, too_many_records,
};
pub use describe::list;
pub use encryption::{Encryption, EncryptionStatus, KeyType};
pub use error::ApiError;
pub use hose::{DESTINATION_ID, Hose, HoseContext, Origin, Status, StreamType};
pub use kind::DestinationKind;
pub use operation::{Operation, check, parse_name};
