//! The body of PutRecord and PutRecordBatch → `Put`, in one pass.
//!
//! The hot path: each `Data` text is decoded from where it stands in the body straight to where
//! the journal will write it. Nothing is allocated per record. `decode_fast` reads the usual
//! shape; here is the reader for any JSON.
//!
//! Violations of the API's model are gathered and answered together, in the service's words;
//! what is not the JSON of a put at all is a SerializationException. Neither repeats contents.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{decode_fast, skip::Skip};
use crate::{
    config::firehose::ApiError,
    limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, RECORD_BYTES_MAX},
    record::Put,
};

/// Which of the two puts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutKind {
    One,
    Batch,
}

/// A decoded body: the stream's name and the records. `arrival_ms` and `call` are the caller's.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    pub stream: String,
    pub put: Put,
}

/// Violations spelled out in one answer; a body of empty records would otherwise make a text many
/// times its own size.
const VIOLATIONS_MAX: usize = 10;
/// Longest stream name (API reference).
const NAME_CHARS_MAX: usize = 64;

const NOT_NULL: &str = "Member must not be null";

/// Decodes and validates a body.
pub fn decode(kind: PutKind, body: &[u8]) -> Result<Decoded, ApiError> {
    let state = match read_usual(kind, body) {
        Some(state) => state,
        None => read_any(kind, body)?,
    };
    let violations = state.violations(kind);
    if !violations.is_empty() {
        return Err(ApiError::validation(describe(&violations)));
    }
    if kind == PutKind::Batch && state.put.data.len() > BATCH_BYTES_MAX {
        return Err(ApiError::invalid_argument("Records size exceeds 4 MB limit"));
    }
    Ok(Decoded { stream: state.stream.unwrap_or_default(), put: state.put })
}

/// The shape that nearly all clients send, at half the cost.
fn read_usual(kind: PutKind, body: &[u8]) -> Option<State> {
    let mut state = State::new(body.len());
    state.stream = Some(decode_fast::read(kind, body, &mut state.put)?);
    state.has_records = true;
    Some(state)
}

/// Any JSON.
fn read_any(kind: PutKind, body: &[u8]) -> Result<State, ApiError> {
    let mut state = State::new(body.len());
    let mut json = sonic_rs::Deserializer::from_slice(body);
    let read = Body { kind, state: &mut state }.deserialize(&mut json);
    match read.and_then(|()| json.end()) {
        Ok(()) => Ok(state),
        Err(error) => Err(malformed(&error, state.unfit)),
    }
}

/// The answer to a body that is not what a put looks like. The reader's own texts quote the body
/// around the fault, which may be a record, so only the place is told.
fn malformed(error: &sonic_rs::Error, unfit: Option<&'static str>) -> ApiError {
    let what = unfit.unwrap_or("the request body is not the expected JSON");
    let message = format!("{what} (line {}, column {})", error.line(), error.column());
    ApiError::new("SerializationException", 400, message)
}

fn describe(violations: &[String]) -> String {
    let plural = if violations.len() == 1 { "" } else { "s" };
    format!("{} validation error{plural} detected: {}", violations.len(), violations.join("; "))
}

fn violation(path: &str, rule: &str) -> String {
    format!("Value at '{path}' failed to satisfy constraint: {rule}")
}

/// What the body has given so far.
#[derive(Debug, PartialEq, Eq)]
struct State {
    stream: Option<String>,
    put: Put,
    /// `Record` or `Records` was there and not null.
    has_records: bool,
    /// Records without data, by index: `true` if the record itself was null. Only the first few.
    nulls: Vec<(usize, bool)>,
    /// Why the body was given up, in our own words.
    unfit: Option<&'static str>,
}

impl State {
    fn new(body_bytes: usize) -> Self {
        let mut put = Put::default();
        // Four digits make three bytes; what JSON adds around them is the slack.
        put.data.reserve_exact(body_bytes / 4 * 3);
        Self { stream: None, put, has_records: false, nulls: Vec::new(), unfit: None }
    }

    /// A member that comes twice counts as it came last.
    fn forget_records(&mut self) {
        self.put.data.clear();
        self.put.lengths.clear();
        self.nulls.clear();
        self.has_records = false;
    }

    fn null_record(&mut self, index: usize, whole: bool) {
        if self.nulls.len() < VIOLATIONS_MAX {
            self.nulls.push((index, whole));
        }
    }

    fn violations(&self, kind: PutKind) -> Vec<String> {
        let mut found = name_violations(self.stream.as_deref());
        let root = if kind == PutKind::One { "record" } else { "records" };
        if !self.has_records {
            found.push(violation(root, NOT_NULL));
            return found;
        }
        if kind == PutKind::Batch {
            if self.put.records() == 0 {
                found.push(violation(root, "Member must have length greater than or equal to 1"));
            }
            if self.put.records() > BATCH_RECORDS_MAX {
                let rule =
                    format!("Member must have length less than or equal to {BATCH_RECORDS_MAX}");
                found.push(violation(root, &rule));
                return found;
            }
        }
        let path = |index: usize| match kind {
            PutKind::One => root.to_owned(),
            PutKind::Batch => format!("{root}.{}.member", index + 1),
        };
        for &(index, whole) in &self.nulls {
            let member = if whole { path(index) } else { format!("{}.data", path(index)) };
            found.push(violation(&member, NOT_NULL));
        }
        let rule = format!("Member must have length less than or equal to {RECORD_BYTES_MAX}");
        for (index, &length) in self.put.lengths.iter().enumerate() {
            if length as usize > RECORD_BYTES_MAX {
                found.push(violation(&format!("{}.data", path(index)), &rule));
            }
        }
        found.truncate(VIOLATIONS_MAX);
        found
    }
}

fn name_violations(name: Option<&str>) -> Vec<String> {
    const PATH: &str = "deliveryStreamName";
    let Some(name) = name else {
        return vec![violation(PATH, NOT_NULL)];
    };
    let mut found = Vec::new();
    if name.is_empty() {
        found.push(violation(PATH, "Member must have length greater than or equal to 1"));
    }
    if name.chars().count() > NAME_CHARS_MAX {
        let rule = format!("Member must have length less than or equal to {NAME_CHARS_MAX}");
        found.push(violation(PATH, &rule));
    }
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-');
    if name.is_empty() || !name.bytes().all(fits) {
        let rule = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
        found.push(violation(PATH, rule));
    }
    found
}

/// The members a put knows. Everything else is passed over.
enum Member {
    DeliveryStreamName,
    Record,
    Records,
    Data,
    Other,
}

impl<'de> DeserializeSeed<'de> for Member {
    type Value = Self;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Member {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self, E> {
        Ok(match name {
            "Data" => Self::Data,
            "DeliveryStreamName" => Self::DeliveryStreamName,
            "Record" => Self::Record,
            "Records" => Self::Records,
            _ => Self::Other,
        })
    }
}

/// The whole body.
struct Body<'a> {
    kind: PutKind,
    state: &'a mut State,
}

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { kind, state } = self;
        while let Some(member) = map.next_key_seed(Member::Other)? {
            match (member, kind) {
                (Member::DeliveryStreamName, _) => state.stream = map.next_value()?,
                (Member::Records, PutKind::Batch) => {
                    state.forget_records();
                    map.next_value_seed(Records { state: &mut *state })?;
                }
                (Member::Record, PutKind::One) => {
                    state.forget_records();
                    let there = map.next_value_seed(OneRecord { index: 0, state: &mut *state })?;
                    state.has_records = there;
                }
                _ => map.next_value_seed(Skip)?,
            }
        }
        Ok(())
    }
}

/// The list of a batch, or null.
struct Records<'a> {
    state: &'a mut State,
}

impl<'de> DeserializeSeed<'de> for Records<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Records<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.state.has_records = true;
        let mut index = 0;
        while let Some(there) =
            list.next_element_seed(OneRecord { index, state: &mut *self.state })?
        {
            if !there {
                self.state.null_record(index, true);
                self.state.put.lengths.push(0);
            }
            index += 1;
        }
        Ok(())
    }
}

/// One `{"Data": …}`, or null: whether it was there.
struct OneRecord<'a> {
    index: usize,
    state: &'a mut State,
}

impl<'de> DeserializeSeed<'de> for OneRecord<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneRecord<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let start = self.state.put.data.len();
        let mut there = false;
        while let Some(member) = map.next_key_seed(Member::Other)? {
            match member {
                Member::Data => {
                    self.state.put.data.truncate(start);
                    there = map.next_value_seed(Data { state: &mut *self.state })?;
                }
                _ => map.next_value_seed(Skip)?,
            }
        }
        if !there {
            self.state.null_record(self.index, false);
        }
        let length = self.state.put.data.len() - start;
        // A body is far smaller than 4 GiB.
        self.state.put.lengths.push(length as u32);
        Ok(true)
    }
}

/// The base64 text of a record, or null: whether it was there. Decoded at the end of the data.
struct Data<'a> {
    state: &'a mut State,
}

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Data<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a base64 text")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<bool, E> {
        match base64_simd::STANDARD.decode_append(text, &mut self.state.put.data) {
            Ok(()) => Ok(true),
            Err(_) => {
                self.state.unfit = Some("a record's Data is not valid base64");
                Err(E::custom("not base64"))
            }
        }
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
