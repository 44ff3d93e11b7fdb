//! What has been seen of a value, as a set that only grows: merging is the union.

use std::{collections::BTreeMap, ops::BitOr};

use crate::{
    encode::schema::{Column, HiveType},
    limits,
};

/// Kinds of values, as a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kinds(u16);

impl Kinds {
    pub(super) const BOOL: Self = Self(1);
    /// An integer up to 2^53, which a double holds as it is.
    pub(super) const INT: Self = Self(1 << 1);
    /// A number that neither 64 bits with a sign nor a double hold.
    pub(super) const HUGE: Self = Self(1 << 2);
    pub(super) const DOUBLE: Self = Self(1 << 3);
    pub(super) const TEXT: Self = Self(1 << 4);
    /// Texts that the lenient reader turns into something else where a column wants it.
    pub(super) const TEXT_INT: Self = Self(1 << 5);
    pub(super) const TEXT_DOUBLE: Self = Self(1 << 6);
    pub(super) const TEXT_BOOL: Self = Self(1 << 7);
    pub(super) const ARRAY: Self = Self(1 << 8);
    pub(super) const OBJECT: Self = Self(1 << 9);
    /// An integer of 64 bits that a double would round.
    pub(super) const WIDE: Self = Self(1 << 10);
    /// A text that is one.
    pub(super) const TEXT_WIDE: Self = Self(1 << 11);

    pub(super) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(super) fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Kinds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Fields that may still be added before something is too large.
#[derive(Debug, Clone)]
pub(super) struct Room(pub(super) usize);

impl Room {
    /// Takes room for so many; false if there is less.
    fn takes(&mut self, fields: usize) -> bool {
        let left = self.0.checked_sub(fields);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// What has been seen of one value: a column, a field, the elements of an array.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) kinds: Kinds,
    /// A type that stays whatever is seen.
    fixed: Option<HiveType>,
    pub(super) element: Option<Box<Seen>>,
    pub(super) members: Option<Box<Members>>,
    /// In how many records. Told to people; no type depends on it.
    pub(super) records: u64,
    /// The last of them, so that elements of one array do not count as several.
    last_record: u64,
}

/// The members of an object.
#[derive(Debug, Clone)]
pub(super) enum Members {
    /// The records' own, which are columns however many there are.
    Columns(Fields),
    Fields(Fields),
    /// So many that they are data rather than names: what their values merge to.
    Any(Seen),
}

/// Members by name in lower case, for Hive's names know no case.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(BTreeMap<String, Field>);

#[derive(Debug, Clone)]
struct Field {
    /// As it was spelled first.
    name: String,
    /// How many were there before it.
    order: usize,
    seen: Seen,
}

impl Seen {
    pub(super) fn fixed(of: &HiveType) -> Self {
        Self { fixed: Some(of.clone()), ..Self::default() }
    }

    fn just(kinds: Kinds) -> Self {
        Self { kinds, ..Self::default() }
    }

    /// What must have been seen for a column to have this type.
    pub(super) fn of(of: &HiveType) -> Self {
        match of {
            HiveType::Boolean => Self::just(Kinds::BOOL),
            // Nothing says how large the values are that it holds already.
            HiveType::Bigint => Self::just(Kinds::INT | Kinds::WIDE),
            HiveType::Double => Self::just(Kinds::DOUBLE),
            HiveType::String => Self::just(Kinds::TEXT),
            HiveType::Array(of) => {
                Self { element: Some(Box::new(Self::of(of))), ..Self::just(Kinds::ARRAY) }
            }
            HiveType::Map(key, of) if **key == HiveType::String => Self {
                members: Some(Box::new(Members::Any(Self::of(of)))),
                ..Self::just(Kinds::OBJECT)
            },
            HiveType::Struct(columns) => {
                let mut fields = Fields::default();
                for Column { name, of } in columns {
                    fields.push(name.clone(), Self::of(of));
                }
                Self {
                    members: Some(Box::new(Members::Fields(fields))),
                    ..Self::just(Kinds::OBJECT)
                }
            }
            other => Self::fixed(other),
        }
    }

    /// Adds all that the other has seen.
    pub(super) fn union(&mut self, other: Self, room: &mut Room) {
        self.kinds.add(other.kinds);
        self.records += other.records;
        if self.fixed.is_none() {
            self.fixed = other.fixed;
        }
        match (&mut self.element, other.element) {
            (Some(own), Some(other)) => own.union(*other, room),
            (own @ None, Some(other)) if room.takes(other.size()) => *own = Some(other),
            _ => {}
        }
        match (&mut self.members, other.members) {
            (Some(own), Some(other)) => own.union(*other, room),
            (own @ None, Some(other)) if room.takes(other.size()) => *own = Some(other),
            _ => {}
        }
    }

    /// Notes that the record of this number, from 1, has it.
    pub(super) fn is_in(&mut self, record: u64) {
        self.records += u64::from(self.last_record != record);
        self.last_record = record;
    }

    /// Takes whatever is no array for an element of one.
    pub(super) fn wrap(&mut self) {
        let mut alone = Self { kinds: self.kinds, members: self.members.take(), ..Self::default() };
        alone.kinds.remove(Kinds::ARRAY);
        if alone.kinds.is_empty() {
            return;
        }
        self.kinds = Kinds::ARRAY;
        let element = self.element.get_or_insert_default();
        element.union(alone, &mut Room(usize::MAX));
    }

    /// The type that holds all of it. `None` while nothing is known, unless a type `is_needed`.
    pub(super) fn resolve(&self, is_needed: bool) -> Option<HiveType> {
        if self.fixed.is_some() {
            return self.fixed.clone();
        }
        match self.kinds {
            kinds if kinds.is_empty() => is_needed.then_some(HiveType::String),
            Kinds::BOOL => Some(HiveType::Boolean),
            kinds if kinds.is_within(Kinds::INT | Kinds::WIDE) => Some(HiveType::Bigint),
            kinds if kinds.is_within(Kinds::INT | Kinds::DOUBLE) => Some(HiveType::Double),
            Kinds::ARRAY => {
                let element = match &self.element {
                    Some(element) => element.resolve(is_needed),
                    None => is_needed.then_some(HiveType::String),
                };
                Some(HiveType::Array(Box::new(element?)))
            }
            Kinds::OBJECT => self.members.as_ref().and_then(|members| members.resolve(is_needed)),
            _ => Some(HiveType::String),
        }
    }

    /// Values inside of it, itself included.
    pub(super) fn size(&self) -> usize {
        let element = self.element.as_ref().map_or(0, |element| element.size());
        1 + element + self.members.as_ref().map_or(0, |members| members.size())
    }
}

impl Members {
    /// The place of a member that is there, by its name in lower case.
    pub(super) fn known(&mut self, key: &str) -> Option<&mut Seen> {
        match self {
            Self::Any(any) => Some(any),
            Self::Fields(fields) | Self::Columns(fields) => {
                fields.0.get_mut(key).map(|field| &mut field.seen)
            }
        }
    }

    /// The place of a member, new or not; `None` if there is no room for it.
    pub(super) fn place(&mut self, name: String, room: &mut Room) -> Option<&mut Seen> {
        let key = name.to_lowercase();
        if let Self::Fields(fields) = self
            && fields.0.len() >= limits::INFERRED_FIELDS_MAX
            && !fields.0.contains_key(&key)
        {
            *self = Self::Any(std::mem::take(fields).joined());
        }
        match self {
            Self::Any(any) => Some(any),
            Self::Fields(fields) => fields.place(key, name, usize::MAX, room),
            Self::Columns(fields) => fields.place(key, name, limits::INFERRED_COLUMNS_MAX, room),
        }
    }

    /// Adds all members of the other, in its order.
    pub(super) fn union(&mut self, other: Self, room: &mut Room) {
        match other {
            Self::Any(other) => {
                if let Self::Fields(fields) | Self::Columns(fields) = self {
                    *self = Self::Any(std::mem::take(fields).joined());
                }
                if let Self::Any(any) = self {
                    any.union(other, room);
                }
            }
            Self::Fields(other) | Self::Columns(other) => {
                for field in other.in_order() {
                    // A member whose inner fields found no room is as good as not seen.
                    if let Some(place) = self.place(field.name, room) {
                        place.union(field.seen, room);
                    }
                }
            }
        }
    }

    fn resolve(&self, is_needed: bool) -> Option<HiveType> {
        let text = || Box::new(HiveType::String);
        match self {
            Self::Any(any) => Some(HiveType::Map(text(), Box::new(any.resolve(is_needed)?))),
            Self::Fields(fields) | Self::Columns(fields) => {
                let mut columns = fields.resolve(false);
                if columns.is_empty() && is_needed {
                    columns = fields.resolve(true);
                }
                if columns.is_empty() {
                    return is_needed.then(|| HiveType::Map(text(), text()));
                }
                Some(HiveType::Struct(columns))
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Any(any) => any.size(),
            Self::Fields(fields) | Self::Columns(fields) => fields.size(),
        }
    }
}

impl Fields {
    /// Appends a field, whatever the bounds say.
    pub(super) fn push(&mut self, name: String, seen: Seen) {
        let order = self.0.len();
        self.0.insert(name.to_lowercase(), Field { name, order, seen });
    }

    pub(super) fn get(&self, name: &str) -> Option<&Seen> {
        self.0.get(&name.to_lowercase()).map(|field| &field.seen)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Seen> {
        self.0.get_mut(&name.to_lowercase()).map(|field| &mut field.seen)
    }

    pub(super) fn each(&mut self, mut act: impl FnMut(&mut Seen)) {
        self.0.values_mut().for_each(|field| act(&mut field.seen));
    }

    pub(super) fn size(&self) -> usize {
        self.0.values().map(|field| field.seen.size()).sum()
    }

    /// The columns whose types are known, in order.
    pub(super) fn resolve(&self, is_needed: bool) -> Vec<Column> {
        let mut fields: Vec<&Field> = self.0.values().collect();
        fields.sort_by_key(|field| field.order);
        let column = |field: &Field| {
            Some(Column { name: field.name.clone(), of: field.seen.resolve(is_needed)? })
        };
        fields.into_iter().filter_map(column).collect()
    }

    fn place(
        &mut self,
        key: String,
        name: String,
        max: usize,
        room: &mut Room,
    ) -> Option<&mut Seen> {
        let order = self.0.len();
        match self.0.entry(key) {
            std::collections::btree_map::Entry::Occupied(field) => Some(&mut field.into_mut().seen),
            std::collections::btree_map::Entry::Vacant(_) if order >= max || !room.takes(1) => None,
            std::collections::btree_map::Entry::Vacant(place) => {
                Some(&mut place.insert(Field { name, order, seen: Seen::default() }).seen)
            }
        }
    }

    fn in_order(self) -> Vec<Field> {
        let mut fields: Vec<Field> = self.0.into_values().collect();
        fields.sort_by_key(|field| field.order);
        fields
    }

    /// What all fields merge to.
    fn joined(self) -> Seen {
        let mut joined = Seen::default();
        for field in self.in_order() {
            // What it holds already has its room.
            joined.union(field.seen, &mut Room(usize::MAX));
        }
        joined
    }
}
