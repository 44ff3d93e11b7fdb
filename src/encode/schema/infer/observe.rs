//! Looking at records: every value of a JSON object is noted by its kind.

use std::{borrow::Cow, fmt};

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
        if let Members::Columns(columns) = members {
            self.columns = columns;
        }
        self.records += other.records;
    }
}

/// A record: one object or several, with nothing but space around them.
pub(super) fn look_at(record: &[u8], names: &Names, is_lenient: bool) -> Option<Observed> {
    let mut observed = Observed { records: 1, ..Observed::default() };
    let mut members = Members::Columns(Fields::default());
    let mut json = serde_json::Deserializer::from_slice(record);
    let mut has_object = false;
    while json.end().is_err() {
        let room = &mut observed.room;
        let object = Object { members: &mut members, names, is_lenient, depth: None, room };
        json.deserialize_map(object).ok()?;
        has_object = true;
    }
    let Members::Columns(columns) = members else { return None };
    observed.columns = columns;
    has_object.then_some(observed)
}

/// The members of an object.
struct Object<'a> {
    members: &'a mut Members,
    names: &'a Names,
    is_lenient: bool,
    /// How many types stand around its members; `None` for a record, which is no type.
    depth: Option<usize>,
    room: &'a mut Room,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            let name = match self.depth {
                None => self.names.column(&key),
                Some(_) => self.names.field(&key),
            };
            let place = name.and_then(|name| self.members.place(name, self.room));
            let Some(seen) = place else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            seen.records = 1;
            map.next_value_seed(Value {
                seen,
                names: self.names,
                is_lenient: self.is_lenient,
                depth: self.depth.unwrap_or(0),
                room: self.room,
            })?;
        }
        Ok(())
    }
}

/// A value inside of `depth` types.
struct Value<'a> {
    seen: &'a mut Seen,
    names: &'a Names,
    is_lenient: bool,
    depth: usize,
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
