//! The JSON envelopes of the event endpoint, looked at before they are sent.
//!
//! Splunk answers an envelope with a key that it does not know with 200 and drops it and all that
//! follow, and skips one without an event. What it would lose silently must not reach it. Of
//! everything else it tells the number of the object, so it is left to Splunk.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// Why a record is no sequence of envelopes. The texts hold nothing of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the record is empty: Splunk's event endpoint takes JSON objects")]
    Empty,
    #[error("the record is not UTF-8, and so no JSON")]
    NotUtf8,
    #[error(
        "the record is no JSON object from byte {0} on: Splunk's event endpoint takes nothing else"
    )]
    NotObjects(usize),
    #[error("an envelope has no \"event\"")]
    NoEvent,
    #[error("an envelope's \"event\" is blank")]
    BlankEvent,
    #[error(
        "an envelope has a key that Splunk does not know: it knows time, host, source, \
         sourcetype, index, event and fields"
    )]
    UnknownKey,
    #[error("an envelope's \"fields\" are no JSON object")]
    Fields,
}

/// What is worth knowing of a sound record: for each of its envelopes, whether it names an index.
pub(super) type NamesIndex = bool;

/// Looks at a record: one envelope or several back to back, each handed to `each`.
pub(super) fn inspect(record: &[u8], mut each: impl FnMut(NamesIndex)) -> Result<(), Unfit> {
    let record = simdutf8::basic::from_utf8(record).map_err(|_| Unfit::NotUtf8)?;
    let mut envelopes = serde_json::Deserializer::from_str(record).into_iter::<Envelope>();
    let mut some = false;
    loop {
        let start = envelopes.byte_offset();
        let envelope = match envelopes.next() {
            None if some => return Ok(()),
            None => return Err(Unfit::Empty),
            Some(Err(_)) => return Err(Unfit::NotObjects(start)),
            Some(Ok(envelope)) => envelope,
        };
        some = true;
        each(envelope.names_index);
        if envelope.unknown_key {
            return Err(Unfit::UnknownKey);
        }
        if !envelope.fields_fit {
            return Err(Unfit::Fields);
        }
        match envelope.event {
            Some(Event::Full) => {}
            Some(Event::Blank) => return Err(Unfit::BlankEvent),
            None => return Err(Unfit::NoEvent),
        }
    }
}

struct Envelope {
    event: Option<Event>,
    unknown_key: bool,
    fields_fit: bool,
    names_index: NamesIndex,
}

/// What stands under `event`.
#[derive(Clone, Copy)]
enum Event {
    Full,
    /// `null`, or a text of nothing but white space.
    Blank,
}

enum EnvelopeKey {
    Event,
    Fields,
    Index,
    /// `time`, `host`, `source`, `sourcetype`: Splunk says itself what is wrong with them.
    Known,
    Unknown,
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
        let mut envelope =
            Envelope { event: None, unknown_key: false, fields_fit: true, names_index: false };
        while let Some(key) = map.next_key()? {
            match key {
                EnvelopeKey::Event => envelope.event = Some(map.next_value()?),
                EnvelopeKey::Fields => envelope.fields_fit = map.next_value::<Fields>()?.0,
                EnvelopeKey::Index => {
                    map.next_value::<IgnoredAny>()?;
                    envelope.names_index = true;
                }
                EnvelopeKey::Known => drop(map.next_value::<IgnoredAny>()?),
                EnvelopeKey::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                    envelope.unknown_key = true;
                }
            }
        }
        Ok(envelope)
    }
}

impl<'de> Deserialize<'de> for EnvelopeKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = EnvelopeKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<EnvelopeKey, E> {
        Ok(match key {
            "event" => EnvelopeKey::Event,
            "fields" => EnvelopeKey::Fields,
            "index" => EnvelopeKey::Index,
            "time" | "host" | "source" | "sourcetype" => EnvelopeKey::Known,
            _ => EnvelopeKey::Unknown,
        })
    }
}

/// Whether a value is an object, or `null`, which is as good as none.
struct Fields(bool);

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match deserializer.deserialize_any(KindVisitor)? {
            Kind::Null | Kind::BlankText => Self::Blank,
            Kind::Object | Kind::Other => Self::Full,
        })
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kind = deserializer.deserialize_any(KindVisitor)?;
        Ok(Self(matches!(kind, Kind::Object | Kind::Null)))
    }
}

enum Kind {
    Null,
    BlankText,
    Object,
    Other,
}

/// Tells what a value is without keeping it. What lies inside is skipped without recursion, so
/// its depth does not matter.
struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        Ok(if text.trim().is_empty() { Kind::BlankText } else { Kind::Other })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Kind::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Kind::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(record: &[u8]) -> Result<Vec<NamesIndex>, Unfit> {
        let mut found = Vec::new();
        inspect(record, |index| found.push(index)).map(|()| found)
    }

    #[test]
    fn envelopes_are_counted_and_their_indexes_seen() {
        for (record, expected) in [
            (r#"{"event":"a"}"#, vec![false]),
            ("  {\"event\":{\"a\":[1,{}]},\"index\":\"main\"}\r\n", vec![true]),
            (r#"{"event":1}{"event":false} {"event":[],"index":null}"#, vec![false, false, true]),
            (
                r#"{"time":1.5,"host":"h","source":"s","sourcetype":"t","event":"metric","fields":{"a":1}}"#,
                vec![false],
            ),
            (r#"{"\u0065vent":"escaped key"}"#, vec![false]),
            (r#"{"event":"","event":"the last one holds"}"#, vec![false]),
            (r#"{"event":{},"fields":null}"#, vec![false]),
        ] {
            assert_eq!(look(record.as_bytes()), Ok(expected), "{record}");
        }
    }

    #[test]
    fn what_splunk_would_lose_is_found() {
        for (record, expected) in [
            ("", Unfit::Empty),
            (" \n", Unfit::Empty),
            ("plain text", Unfit::NotObjects(0)),
            ("12", Unfit::NotObjects(0)),
            (r#"[{"event":1}]"#, Unfit::NotObjects(0)),
            (r#"{"event":1"#, Unfit::NotObjects(0)),
            (r#"{"event":1},{"event":2}"#, Unfit::NotObjects(11)),
            (r#"{"event":1}tail"#, Unfit::NotObjects(11)),
            ("{\"event\":\"a\nb\"}", Unfit::NotObjects(0)),
            ("{}", Unfit::NoEvent),
            (r#"{"fields":{"a":1}}"#, Unfit::NoEvent),
            (r#"{"event":1}{"time":1}"#, Unfit::NoEvent),
            (r#"{"event":""}"#, Unfit::BlankEvent),
            (r#"{"event":" \t"}"#, Unfit::BlankEvent),
            (r#"{"event":null}"#, Unfit::BlankEvent),
            (r#"{"event":1,"sourceType":"a"}"#, Unfit::UnknownKey),
            (r#"{"event":1}{"event":2,"level":3}"#, Unfit::UnknownKey),
            (r#"{"event":1,"fields":[1]}"#, Unfit::Fields),
            (r#"{"event":1,"fields":"a"}"#, Unfit::Fields),
        ] {
            assert_eq!(look(record.as_bytes()), Err(expected), "{record}");
        }
        assert_eq!(look(b"{\"event\":\"\xff\"}"), Err(Unfit::NotUtf8));
    }

    #[test]
    fn deep_nesting_is_skipped_without_recursion() {
        let deep = format!("{{\"event\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(look(deep.as_bytes()), Ok(vec![false]));
        let open = format!("{{\"event\":{}", "[".repeat(100_000));
        assert_eq!(look(open.as_bytes()), Err(Unfit::NotObjects(0)));
    }
}
