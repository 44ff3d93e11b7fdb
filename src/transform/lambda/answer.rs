//! Reads a function's answer: one verdict for every record that was sent.
//!
//! Members may stand in any order and unknown ones are passed over, as are ids that were not sent.
//! A record that is not as it must be fails alone. Records are judged while they are read, so an
//! answer costs no memory beside what it emits.

use std::{borrow::Cow, collections::HashMap, fmt, marker::PhantomData};

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::{
    codes::{self, Code},
    event::{Id, is_of_kafka},
};
use crate::{
    limits::LAMBDA_PARTITION_KEYS_MAX,
    record::{Notes, Piece, Record, TableTarget},
    seams::Verdict,
};

/// What became of each record, in their order. An answer that cannot be read has returned none of
/// them.
pub(super) fn verdicts(answer: &[u8], records: &[Record], ids: &[Id]) -> Vec<Verdict> {
    let mut slots: Vec<Slot> = ids.iter().map(|_| Slot::Missing).collect();
    let by_id = ids.iter().enumerate().map(|(i, id)| (id.as_str(), i)).collect();
    let judge = Judge { records, by_id: &by_id, slots: &mut slots };
    let mut json = serde_json::Deserializer::from_slice(answer);
    let read = judge.deserialize(&mut json).and_then(|()| json.end());
    if read.is_err() {
        slots.fill_with(|| Slot::Missing);
    }
    let verdict = |slot| match slot {
        Slot::Once(verdict) => verdict,
        Slot::Missing => codes::MISSING_RECORD_ID.fails(),
        Slot::Repeated => codes::DUPLICATED_RECORD_ID.fails(),
    };
    slots.into_iter().map(verdict).collect()
}

enum Slot {
    Missing,
    Once(Verdict),
    Repeated,
}

/// Reads `{"records": [...]}` into the slots.
struct Judge<'a> {
    records: &'a [Record],
    by_id: &'a HashMap<&'a str, usize>,
    slots: &'a mut [Slot],
}

impl Judge<'_> {
    fn take(&mut self, returned: Returned<'_>) {
        let Text::Is(id) = &returned.record_id else { return };
        let Some(&i) = self.by_id.get(id.as_ref()) else { return };
        self.slots[i] = match self.slots[i] {
            Slot::Missing => Slot::Once(match returned.verdict(&self.records[i]) {
                Ok(verdict) => verdict,
                Err(code) => code.fails(),
            }),
            _ => Slot::Repeated,
        };
    }
}

impl<'de> DeserializeSeed<'de> for Judge<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Judge<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with records")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == "records" {
                map.next_value_seed(Records(&mut self))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The list of records.
struct Records<'a, 'b>(&'a mut Judge<'b>);

impl<'de> DeserializeSeed<'de> for Records<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<Object<Returned<'de>>>()? {
            if let Object::Is(returned) = entry {
                self.0.take(returned);
            }
        }
        Ok(())
    }
}

/// A record of the answer.
#[derive(Default)]
struct Returned<'a> {
    record_id: Text<'a>,
    result: Text<'a>,
    data: Text<'a>,
    /// The same of a record of Kafka.
    kafka_value: Text<'a>,
    metadata: Object<Metadata<'a>>,
}

#[derive(Default)]
struct Metadata<'a> {
    partition_keys: Object<PartitionKeys<'a>>,
    table: Object<Target<'a>>,
}

#[derive(Default)]
struct PartitionKeys<'a> {
    keys: Vec<(Cow<'a, str>, Text<'a>)>,
    too_many: bool,
}

/// `otfMetadata`.
#[derive(Default)]
struct Target<'a> {
    database: Text<'a>,
    table: Text<'a>,
    operation: Text<'a>,
}

impl Returned<'_> {
    fn verdict(self, record: &Record) -> Result<Verdict, Code> {
        match &self.result {
            Text::Is(result) if result == "Ok" => {}
            Text::Is(result) if result == "Dropped" => return Ok(Verdict::Drop),
            Text::Is(result) if result == "ProcessingFailed" => {
                return Err(codes::PROCESSING_FAILED_STATUS);
            }
            _ => return Err(codes::UNKNOWN_RESULT),
        }
        // A function that says `data` of a record of Kafka means the same.
        let data = match &self.kafka_value {
            value @ (Text::Is(_) | Text::Other) if is_of_kafka(record) => value,
            _ => &self.data,
        };
        let data = match data {
            Text::Is(data) => decode(data.as_bytes()).ok_or(codes::NOT_BASE64)?,
            Text::Absent => return Err(codes::NO_DATA),
            Text::Other => return Err(codes::NOT_BASE64),
        };
        let mut notes = record.notes.clone();
        match self.metadata {
            Object::Absent => {}
            Object::Other => return Err(codes::BAD_METADATA),
            Object::Is(metadata) => metadata.note(&mut notes)?,
        }
        Ok(Verdict::Emit(Piece { data: data.into(), notes }))
    }
}

/// Padded base64 in one piece as a rule; white space and missing padding are forgiven, as Java's
/// lenient readers do.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let strict = base64_simd::STANDARD.decode_to_vec(text);
    strict.or_else(|_| base64_simd::forgiving_decode_to_vec(text)).ok()
}

impl Metadata<'_> {
    fn note(self, notes: &mut Notes) -> Result<(), Code> {
        match self.partition_keys {
            Object::Absent => {}
            Object::Other => return Err(codes::BAD_METADATA),
            Object::Is(keys) => keys.note(notes)?,
        }
        match self.table {
            Object::Absent => Ok(()),
            Object::Other => Err(codes::BAD_METADATA),
            Object::Is(target) => {
                notes.edit().table = Some(target.table()?);
                Ok(())
            }
        }
    }
}

impl PartitionKeys<'_> {
    /// Keys of a former function stay unless this one gave them anew. A key with null counts as
    /// not given: whether it is needed is for the prefix to say.
    fn note(self, notes: &mut Notes) -> Result<(), Code> {
        if self.too_many {
            return Err(codes::BAD_METADATA);
        }
        let mut found = Vec::with_capacity(self.keys.len());
        for (name, value) in self.keys {
            match value {
                Text::Is(value) => found.push((name, value)),
                Text::Absent => {}
                Text::Other => return Err(codes::BAD_METADATA),
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let known = &mut notes.edit().from_lambda;
        for (name, value) in found {
            match known.iter_mut().find(|(key, _)| **key == name) {
                Some((_, old)) => *old = value.into_owned(),
                None => known.push((name.into(), value.into_owned())),
            }
        }
        Ok(())
    }
}

impl Target<'_> {
    fn table(self) -> Result<TableTarget, Code> {
        Ok(TableTarget {
            destination_database_name: self.database.optional()?,
            destination_table_name: self.table.optional()?,
            operation: self.operation.optional()?,
        })
    }
}

// -------------------------------------------------- values that may be anything without harm

/// A text, nothing, or something else.
#[derive(Default)]
enum Text<'a> {
    #[default]
    Absent,
    Is(Cow<'a, str>),
    Other,
}

impl Text<'_> {
    fn optional(self) -> Result<Option<String>, Code> {
        match self {
            Self::Absent => Ok(None),
            Self::Is(text) => Ok(Some(text.into_owned())),
            Self::Other => Err(codes::BAD_METADATA),
        }
    }
}

/// An object, nothing, or something else.
#[derive(Default)]
enum Object<T> {
    #[default]
    Absent,
    Is(T),
    Other,
}

/// An object whose members are read one by one.
trait Members<'de>: Default {
    /// Reads the member's value if it is known.
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: Cow<'de, str>,
        map: &mut A,
    ) -> Result<(), A::Error>;
}

/// The visits to scalars that are not what was asked for.
macro_rules! others {
    ($other:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    others!(Text::Other);

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text::Is(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text::Is(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Text::Absent)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::Other)
    }
}

impl<'de, T: Members<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Members<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    others!(Object::Other);

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Object::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Object::Absent)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = T::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            object.member(name, &mut map)?;
        }
        Ok(Object::Is(object))
    }
}

/// Reads the named members into the named fields, and passes over all others.
macro_rules! members {
    ($type:ident { $($name:literal => $field:ident),+ }) => {
        impl<'de> Members<'de> for $type<'de> {
            fn member<A: MapAccess<'de>>(
                &mut self,
                name: Cow<'de, str>,
                map: &mut A,
            ) -> Result<(), A::Error> {
                match name.as_ref() {
                    $($name => self.$field = map.next_value()?,)+
                    _ => drop(map.next_value::<IgnoredAny>()?),
                }
                Ok(())
            }
        }
    };
}

members!(Returned {
    "recordId" => record_id,
    "result" => result,
    "data" => data,
    "kafkaRecordValue" => kafka_value,
    "metadata" => metadata
});
members!(Metadata { "partitionKeys" => partition_keys, "otfMetadata" => table });
members!(Target {
    "destinationDatabaseName" => database,
    "destinationTableName" => table,
    "operation" => operation
});

impl<'de> Members<'de> for PartitionKeys<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: Cow<'de, str>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        if self.keys.len() == LAMBDA_PARTITION_KEYS_MAX {
            self.too_many = true;
            map.next_value::<IgnoredAny>()?;
        } else {
            self.keys.push((name, map.next_value()?));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
