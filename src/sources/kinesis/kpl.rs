//! Aggregates of the Kinesis Producer Library, taken apart.
//!
//! ```text
//! F3 89 9A C2 | AggregatedRecord, Protocol Buffers (proto2) | MD5 of that, 16 bytes
//!
//! AggregatedRecord  1 partition keys, 2 explicit hash keys: repeated strings
//!                   3 records: repeated
//! Record            1 index of its partition key, 2 index of its explicit hash key (optional)
//!                   3 data, 4 tags
//! ```
//!
//! As the Kinesis Client Library has it, whatever is not such an aggregate from end to end is a
//! plain record, and an aggregate with a record that does not belong to the shard is dropped whole:
//! its producer saw it land in the wrong shard after a reshard, and sends its records again.
//! Otherwise than there, an aggregate that names a key it does not hold stays whole instead of
//! losing what follows.

use std::borrow::Cow;

use bytes::{Buf, Bytes};
use md5::{Digest, Md5};

use super::StoredRecord;
use crate::limits;

const MAGIC: &[u8] = &[0xf3, 0x89, 0x9a, 0xc2];
const DIGEST_BYTES: usize = 16;
const EVERY_HASH: (u128, u128) = (0, u128::MAX);

/// A record as a producer put it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// Shares the stored record's bytes.
    pub data: Bytes,
    pub partition_key: String,
    /// Its place in the aggregate, from 0; none if it was no aggregate.
    pub sub_sequence: Option<u64>,
}

/// What a stored record is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    pub records: Vec<UserRecord>,
    /// Records of an aggregate that was dropped, for one of them is outside of the shard.
    pub outside: u64,
}

/// The records that a stored record is made of: itself, if it is no aggregate. `hash_range` is the
/// shard's, both ends included.
pub fn take_apart(stored: &StoredRecord, hash_range: (u128, u128)) -> Parts {
    let parts = message(&stored.data).and_then(|message| parts(&message, hash_range).ok());
    parts.unwrap_or_else(|| Parts { records: vec![whole(stored)], outside: 0 })
}

fn whole(stored: &StoredRecord) -> UserRecord {
    UserRecord {
        data: stored.data.clone(),
        partition_key: stored.partition_key.clone(),
        sub_sequence: None,
    }
}

/// What stands between the magic and the digest, if the digest is right.
fn message(data: &Bytes) -> Option<Bytes> {
    let body = data.strip_prefix(MAGIC)?;
    let length = body.len().checked_sub(DIGEST_BYTES).filter(|&length| length > 0)?;
    let (message, digest) = body.split_at(length);
    (Md5::digest(message)[..] == *digest).then(|| data.slice_ref(message))
}

/// Why bytes with the right digest are no aggregate after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Unfit {
    #[error("this is no Protocol Buffers message of an aggregate")]
    Malformed,
    #[error("a record names a key that the aggregate does not hold")]
    NoSuchKey,
    #[error("an explicit hash key is no number")]
    NoNumber,
    #[error("taken apart it is larger than {max} bytes", max = limits::KPL_UNPACKED_BYTES_MAX)]
    TooLarge,
}

fn parts(message: &Bytes, hash_range: (u128, u128)) -> Result<Parts, Unfit> {
    let aggregate = Aggregate::read(message)?;
    let mut budget = Budget::default();
    let mut records = Vec::new();
    for (i, record) in aggregate.records.iter().enumerate() {
        let key = usize::try_from(record.partition_key);
        let key = key.ok().and_then(|index| aggregate.partition_keys.get(index));
        let key = key.ok_or(Unfit::NoSuchKey)?;
        if hash_range != EVERY_HASH && !record.belongs(&aggregate, key, hash_range)? {
            return Ok(Parts { records: Vec::new(), outside: aggregate.records.len() as u64 });
        }
        budget.spend(size_of::<UserRecord>() + key.len())?;
        records.push(UserRecord {
            data: message.slice_ref(record.data),
            partition_key: String::from_utf8_lossy(key).into_owned(),
            sub_sequence: Some(i as u64),
        });
    }
    Ok(Parts { records, outside: 0 })
}

/// Memory that taking apart may still cost: an aggregate can name one long key a million times.
struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(limits::KPL_UNPACKED_BYTES_MAX)
    }
}

impl Budget {
    fn spend(&mut self, bytes: usize) -> Result<(), Unfit> {
        self.0 = self.0.checked_sub(bytes).ok_or(Unfit::TooLarge)?;
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Aggregate<'a> {
    partition_keys: Vec<&'a [u8]>,
    explicit_hash_keys: Vec<&'a [u8]>,
    records: Vec<Member<'a>>,
}

#[derive(Debug)]
struct Member<'a> {
    partition_key: u64,
    explicit_hash_key: Option<u64>,
    data: &'a [u8],
}

impl<'a> Aggregate<'a> {
    fn read(message: &'a [u8]) -> Result<Self, Unfit> {
        let mut aggregate = Self::default();
        let mut budget = Budget::default();
        let mut reader = Reader(message);
        while let Some((number, value)) = reader.field()? {
            match (number, value) {
                (1, Value::Bytes(key)) => {
                    budget.spend(size_of::<&[u8]>())?;
                    aggregate.partition_keys.push(key);
                }
                (2, Value::Bytes(key)) => {
                    budget.spend(size_of::<&[u8]>())?;
                    aggregate.explicit_hash_keys.push(key);
                }
                (3, Value::Bytes(record)) => {
                    budget.spend(size_of::<Member<'_>>())?;
                    aggregate.records.push(Member::read(record)?);
                }
                // Another type than the field's counts as an unknown field, as everywhere.
                _ => {}
            }
        }
        Ok(aggregate)
    }
}

impl<'a> Member<'a> {
    fn read(message: &'a [u8]) -> Result<Self, Unfit> {
        let (mut partition_key, mut explicit_hash_key, mut data) = (None, None, None);
        let mut reader = Reader(message);
        while let Some((number, value)) = reader.field()? {
            match (number, value) {
                (1, Value::Number(index)) => partition_key = Some(index),
                (2, Value::Number(index)) => explicit_hash_key = Some(index),
                (3, Value::Bytes(bytes)) => data = Some(bytes),
                _ => {}
            }
        }
        // Both are `required`: a message without them is none.
        let partition_key = partition_key.ok_or(Unfit::Malformed)?;
        Ok(Self { partition_key, explicit_hash_key, data: data.ok_or(Unfit::Malformed)? })
    }

    /// Whether its hash key lies in the shard's range.
    fn belongs(
        &self,
        aggregate: &Aggregate<'_>,
        partition_key: &[u8],
        (first, last): (u128, u128),
    ) -> Result<bool, Unfit> {
        let Some(index) = self.explicit_hash_key else {
            // The service takes the key as text, and so the lossy form of one that is none.
            let key: Cow<'_, str> = String::from_utf8_lossy(partition_key);
            let hash = Md5::digest(key.as_bytes()).as_slice().get_u128();
            return Ok((first..=last).contains(&hash));
        };
        let index = usize::try_from(index).ok();
        let key = index.and_then(|index| aggregate.explicit_hash_keys.get(index));
        let digits = key.ok_or(Unfit::NoSuchKey)?;
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Unfit::NoNumber);
        }
        let digits = std::str::from_utf8(digits).expect("digits are ASCII");
        // What is too large for 128 bits lies in no shard.
        Ok(digits.parse().is_ok_and(|hash| (first..=last).contains(&hash)))
    }
}

/// The value of a field, as far as its wire type tells.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// Reads the fields of a message. Groups, which proto2 had before it had this form, are refused.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn field(&mut self) -> Result<Option<(u64, Value<'a>)>, Unfit> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Other)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(usize::try_from(length).map_err(|_| Unfit::Malformed)?)?)
            }
            5 => self.take(4).map(|_| Value::Other)?,
            _ => return Err(Unfit::Malformed),
        };
        match tag >> 3 {
            0 => Err(Unfit::Malformed),
            number => Ok(Some((number, value))),
        }
    }

    fn varint(&mut self) -> Result<u64, Unfit> {
        let mut number = 0;
        for (i, &byte) in self.0.iter().take(10).enumerate() {
            // Bits beyond the 64th fall off, as in Google's own readers.
            number |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.0 = &self.0[i + 1..];
                return Ok(number);
            }
        }
        Err(Unfit::Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Unfit> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Unfit::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
#[path = "kpl_tests.rs"]
mod tests;
