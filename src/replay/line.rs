//! One failed record, read back from its line of JSON.
//!
//! Firehose spells the same member in several ways (`errorCode`, `lastErrorCode`, `ErrorCode`), and
//! its documentation contradicts its buckets; names are therefore taken whatever their case.
//! Whatever else a line holds is kept as it is.
//!
//! `rawData` is base64. Two more forms are understood, for other writers of such lines exist: text
//! that is no base64 but begins like JSON is the record itself, and so is an object or an array
//! that is not quoted at all. Anything else is damage: to hand on half a record would be worse.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use super::kind::Kind;
use crate::fault::Details;

/// A failed record, or a source record that is put through again.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedLine {
    pub kind: Kind,
    /// The record itself.
    pub raw: Bytes,
    /// Why it failed, as `errorCode` says; empty where nothing does.
    pub code: Arc<str>,
    pub message: Arc<str>,
    /// Attempts that were made so far (`attemptsMade`), of all its failures together where it was
    /// written back by a replay.
    pub attempts: u32,
    /// When the record arrived, in milliseconds since 1970.
    pub arrival_ms: Option<i64>,
    /// When the last attempt ended, in milliseconds since 1970.
    pub ended_ms: Option<i64>,
    /// Members that only some kinds have (`lambdaARN`, `esDocumentId`, `EventId`), in their order.
    pub details: Details,
    /// Its number among the records of its object, from 0.
    pub ordinal: u64,
    /// The line at which it begins, from 1.
    pub line: u64,
}

/// 2200 in milliseconds since 1970: what lies behind was counted in another unit.
const YEAR_2200_MS: i64 = 7_258_118_400_000;

impl FailedLine {
    /// When the record arrived, as well as can be told: where the line has no time that can be, the
    /// end of its last attempt, and else now.
    pub fn arrived_ms(&self, now_ms: i64) -> i64 {
        let can_be = |time: &i64| (0..YEAR_2200_MS).contains(time);
        let told = self.arrival_ms.filter(can_be).or(self.ended_ms.filter(can_be));
        told.unwrap_or(now_ms)
    }
}

/// Why a value of an object is no failed record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("no JSON: {0}")]
    NoJson(String),
    #[error("it has no rawData, so it is no error record")]
    NoRawData,
    #[error("its rawData is neither base64 nor JSON")]
    RawData,
}

/// What a value of an object turned out to be.
#[derive(Debug, PartialEq)]
pub(super) enum Parsed<'a> {
    Line(Head<'a>),
    /// A manifest of a Redshift COPY: the URLs of its objects.
    Manifest(Vec<String>),
}

/// A line whose record is not decoded yet, so that filters come first.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Head<'a> {
    pub(super) raw: Raw<'a>,
    pub code: Cow<'a, str>,
    pub message: Cow<'a, str>,
    pub attempts: u32,
    pub arrival_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    pub details: Details,
    pub(super) certain: Option<Kind>,
    pub(super) likely: Option<Kind>,
    pub(super) manifest: Option<Vec<String>>,
}

#[derive(Debug, Default, PartialEq)]
pub(super) enum Raw<'a> {
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Json(Value),
}

/// Reads one value: a failed record or a manifest.
pub(super) fn parse(value: &[u8]) -> Result<Parsed<'_>, Unfit> {
    let mut head: Head<'_> = sonic_rs::from_slice(value).map_err(|error| {
        // The library's text quotes the input over several lines; its first says what is wrong.
        let text = error.to_string();
        Unfit::NoJson(text.lines().next().unwrap_or_default().chars().take(200).collect())
    })?;
    match (&head.raw, head.manifest.take()) {
        (Raw::Absent, Some(urls)) => Ok(Parsed::Manifest(urls)),
        (Raw::Absent, None) => Err(Unfit::NoRawData),
        _ => Ok(Parsed::Line(head)),
    }
}

impl Head<'_> {
    /// The kind, with what the object's key says.
    pub fn kind(&self, by_key: Option<Kind>) -> Kind {
        self.certain
            .or_else(|| Kind::of_code(&self.code))
            .or(by_key)
            .or(self.likely)
            .unwrap_or(Kind::Unknown)
    }

    /// The record.
    pub fn raw(&self) -> Result<Bytes, Unfit> {
        match &self.raw {
            Raw::Absent => Err(Unfit::NoRawData),
            Raw::Json(value) => Ok(value.to_string().into()),
            Raw::Text(text) => decoded(text.as_bytes()),
        }
    }
}

fn decoded(text: &[u8]) -> Result<Bytes, Unfit> {
    if let Ok(raw) = base64_simd::STANDARD.decode_to_vec(text) {
        return Ok(raw.into());
    }
    match text.trim_ascii_start().first() {
        Some(b'{' | b'[') => Ok(Bytes::copy_from_slice(text)),
        // Line breaks inside, or no padding.
        _ => base64_simd::forgiving_decode_to_vec(text)
            .or_else(|_| base64_simd::URL_SAFE.decode_to_vec(text))
            .or_else(|_| base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text))
            .map(Bytes::from)
            .map_err(|_| Unfit::RawData),
    }
}

impl<'de> Deserialize<'de> for Head<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Head<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head<'de>, A::Error> {
        let mut head = Head::default();
        while let Some(Text(name)) = map.next_key()? {
            match Member::of(&name) {
                Member::RawData => head.raw = map.next_value::<RawValue<'de>>()?.0,
                Member::Code(kind) => {
                    head.certain = head.certain.or(kind);
                    head.code = map.next_value::<Scalar<'de>>()?.into_text();
                }
                Member::Message => head.message = map.next_value::<Scalar<'de>>()?.into_text(),
                Member::Attempts => {
                    let number = map.next_value::<Scalar<'de>>()?.into_number();
                    head.attempts =
                        number.map_or(0, |number| number.clamp(0, i64::from(u32::MAX)) as u32);
                }
                Member::Arrival => head.arrival_ms = map.next_value::<Scalar<'de>>()?.into_time(),
                Member::Ended => head.ended_ms = map.next_value::<Scalar<'de>>()?.into_time(),
                Member::Entries => {
                    let entries: Vec<ManifestEntry> = map.next_value()?;
                    head.manifest = Some(entries.into_iter().map(|entry| entry.url).collect());
                }
                Member::Other => {
                    head.certain = head.certain.or_else(|| Kind::of_member(&name));
                    head.likely = head.likely.or_else(|| Kind::of_shared_member(&name));
                    head.details.push((name.into_owned(), map.next_value()?));
                }
            }
        }
        Ok(head)
    }
}

/// The members that all kinds have, under all their names.
enum Member {
    RawData,
    /// With the kind that alone spells it so.
    Code(Option<Kind>),
    Message,
    Attempts,
    Arrival,
    Ended,
    /// Of a manifest.
    Entries,
    Other,
}

impl Member {
    fn of(name: &str) -> Self {
        let is = |expected: &str| name.eq_ignore_ascii_case(expected);
        match name.len() {
            7 if is("rawData") => Self::RawData,
            7 if name == "entries" => Self::Entries,
            9 if is("errorCode") => Self::Code(None),
            12 if is("errorMessage") => Self::Message,
            12 if is("attemptsMade") => Self::Attempts,
            13 if is("lastErrorCode") => Self::Code(Kind::of_member("lastErrorCode")),
            16 if is("lastErrorMessage") => Self::Message,
            16 if is("arrivalTimestamp") => Self::Arrival,
            22 if is("attemptEndingTimestamp") => Self::Ended,
            27 if is("approximateArrivalTimestamp") => Self::Arrival,
            _ => Self::Other,
        }
    }
}

#[derive(Deserialize)]
struct ManifestEntry {
    url: String,
}

/// Text that borrows from the line where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(V)
    }
}

/// A text, a number, or what is none of both: OpenSearch's code is a status, and writers of lines
/// disagree about quotes.
enum Scalar<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    Float(f64),
    Other,
}

impl<'a> Scalar<'a> {
    fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string().into(),
            Self::Float(number) => number.to_string().into(),
            Self::Other => Cow::Borrowed(""),
        }
    }

    fn into_number(self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(number),
            Self::Float(number) => Some(number as i64),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Other => None,
        }
    }

    /// Milliseconds since 1970: as a number, or as a date in a text.
    fn into_time(self) -> Option<i64> {
        match self {
            Self::Text(text) => text.trim().parse().ok().or_else(|| {
                text.trim().parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
            }),
            other => other.into_number(),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Scalar<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Scalar::Integer(number))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Scalar::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Scalar::Float(number))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Scalar::Other)
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Scalar::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
        }
        deserializer.deserialize_any(V)
    }
}

/// `rawData` in any of its forms.
struct RawValue<'a>(Raw<'a>);

impl<'de> Deserialize<'de> for RawValue<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = RawValue<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(RawValue(Raw::Text(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(RawValue(Raw::Text(Cow::Owned(text.to_owned()))))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(RawValue(Raw::Absent))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let map = serde::de::value::MapAccessDeserializer::new(map);
                Ok(RawValue(Raw::Json(Value::deserialize(map)?)))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                seq: A,
            ) -> Result<Self::Value, A::Error> {
                let seq = serde::de::value::SeqAccessDeserializer::new(seq);
                Ok(RawValue(Raw::Json(Value::deserialize(seq)?)))
            }
        }
        deserializer.deserialize_any(V)
    }
}
