//! Looking at records: every value of a JSON object is noted by its kind.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    names::Names,
    seen::{Fields, Kinds, Members, Room, Seen},
};
use crate::limits;

/// What some records have in them.
#[derive(Debug, Clone)]
pub struct Observed {
    pub(super) columns: Fields,
    pub(super) records: u64,
    room: Room,
}

impl Default for Observed {
    fn default() -> Self {
        let room = Room(limits::SCHEMA_FIELDS_MAX);
        Self { columns: Fields::default(), records: 0, room }
    }
}

impl Observed {
    /// Adds what other records have in them.
    pub fn merge(&mut self, other: Self) {
        let mut members = Members::Columns(std::mem::take(&mut self.columns));
        members.union(Members::Columns(other.columns), &mut self.room);
        self.put_back(members);
        self.records += other.records;
    }

    fn put_back(&mut self, members: Members) {
        if let Members::Columns(columns) = members {
            self.columns = columns;
        }
    }

    /// Adds a record: one object or several, with nothing but space around them.
    pub(super) fn look_at(&mut self, record: &[u8], names: &Names, is_lenient: bool) -> bool {
        // Looked through first, so that half a record leaves no trace.
        if !is_objects(record) {
            return false;
        }
        self.records += 1;
        let mut members = Members::Columns(std::mem::take(&mut self.columns));
        let mut json = serde_json::Deserializer::from_slice(record);
        let mut is_well = true;
        while is_well && json.end().is_err() {
            let object = Object {
                members: &mut members,
                names,
                is_lenient,
                depth: None,
                record: self.records,
                room: &mut self.room,
            };
            is_well = json.deserialize_map(object).is_ok();
        }
        self.put_back(members);
        is_well
    }
}

/// Whether a record is one object or several.
fn is_objects(record: &[u8]) -> bool {
    struct Any;
    impl<'de> Visitor<'de> for Any {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(())
        }
    }
    if simdutf8::basic::from_utf8(record).is_err() {
        return false;
    }
    let mut json = serde_json::Deserializer::from_slice(record);
    let mut objects = 0;
    while json.end().is_err() {
        if json.deserialize_map(Any).is_err() {
            return false;
        }
        objects += 1;
    }
    objects > 0
}

/// The members of an object.
struct Object<'a> {
    members: &'a mut Members,
    names: &'a Names,
    is_lenient: bool,
    /// How many types stand around its members; `None` for a record, which is no type.
    depth: Option<usize>,
    /// Number of the record, from 1.
    record: u64,
    room: &'a mut Room,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        loop {
            let key = Key {
                members: &mut *self.members,
                names: self.names,
                is_column: self.depth.is_none(),
                room: &mut *self.room,
            };
            let Some(place) = map.next_key_seed(key)? else { return Ok(()) };
            let Some(seen) = place else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            seen.is_in(self.record);
            map.next_value_seed(Value {
                seen,
                names: self.names,
                is_lenient: self.is_lenient,
                depth: self.depth.unwrap_or(0),
                record: self.record,
                room: self.room,
            })?;
        }
    }
}

/// A key, which becomes the place of its member, if there is one for it.
struct Key<'a, 'b> {
    members: &'a mut Members,
    names: &'b Names,
    is_column: bool,
    room: &'b mut Room,
}

impl<'de, 'a> DeserializeSeed<'de> for Key<'a, '_> {
    type Value = Option<&'a mut Seen>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Key<'a, '_> {
    type Value = Option<&'a mut Seen>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        // Most keys have been met, and are found without a name of their own being made.
        if self.names.is_plain(key) && self.members.known(key).is_some() {
            return Ok(self.members.known(key));
        }
        let name = if self.is_column { self.names.column(key) } else { self.names.field(key) };
        Ok(name.and_then(|name| self.members.place(name, self.room)))
    }
}

/// A value inside of `depth` types.
struct Value<'a> {
    seen: &'a mut Seen,
    names: &'a Names,
    is_lenient: bool,
    depth: usize,
    record: u64,
    room: &'a mut Room,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.seen.kinds.add(Kinds::BOOL);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.seen.kinds.add(Kinds::INT);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.seen.kinds.add(if i64::try_from(value).is_ok() { Kinds::INT } else { Kinds::HUGE });
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.seen.kinds.add(Kinds::DOUBLE);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.seen.kinds.add(if self.is_lenient { kind_of_text(text) } else { Kinds::TEXT });
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.depth >= limits::SCHEMA_DEPTH_MAX {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        self.seen.kinds.add(Kinds::ARRAY);
        loop {
            let element = Value {
                seen: self.seen.element.get_or_insert_default(),
                names: self.names,
                is_lenient: self.is_lenient,
                depth: self.depth + 1,
                record: self.record,
                room: self.room,
            };
            if seq.next_element_seed(element)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.depth >= limits::SCHEMA_DEPTH_MAX {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        self.seen.kinds.add(Kinds::OBJECT);
        let members =
            self.seen.members.get_or_insert_with(|| Box::new(Members::Fields(Fields::default())));
        let object = Object {
            members,
            names: self.names,
            is_lenient: self.is_lenient,
            depth: Some(self.depth + 1),
            record: self.record,
            room: self.room,
        };
        object.visit_map(map)
    }
}

/// What a text could be read as. Narrower than any reader, so that none of them disagrees.
fn kind_of_text(text: &str) -> Kinds {
    /// Digits that surely fit 64 bits.
    const DIGITS_SURE: usize = 18;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if is_digits(digits) && digits.len() <= DIGITS_SURE {
        return Kinds::TEXT_INT;
    }
    if let Some((whole, fraction)) = digits.split_once('.')
        && is_digits(whole)
        && is_digits(fraction)
        && digits.len() <= DIGITS_SURE
    {
        return Kinds::TEXT_DOUBLE;
    }
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
        return Kinds::TEXT_BOOL;
    }
    Kinds::TEXT
}
