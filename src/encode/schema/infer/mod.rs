//! A schema from the records themselves, only ever widened.
//!
//! | values seen | type |
//! |---|---|
//! | null, `[]`, `{}` | none yet: the column appears once a type is known |
//! | true, false | `boolean` |
//! | integers of 64 bits | `bigint` |
//! | numbers with a fraction or an exponent, alone or with integers up to 2^53 | `double` |
//! | the same with larger integers, which a double would round | `string` |
//! | integers beyond 64 bits, numbers beyond the range of a double | `string` |
//! | texts | `string` |
//! | objects | `struct`, field by field; `map<string,T>` with more than 200 distinct members |
//! | arrays | `array` of what its elements merge to |
//! | any other mixture | `string`, which holds everything as JSON text |
//!
//! Texts that look like timestamps stay texts. A guess of `timestamp` could not be taken back: as
//! soon as one value is written in another way, older files would hold times and newer ones texts,
//! and no reader reads both as one column. Views can cast, and a column can be given.
//!
//! No integer is ever rounded. A `bigint` that exists may hold any, so it becomes `string` rather than
//! `double` when a fraction comes; and so does a `double` when an integer beyond 2^53 comes.
//!
//! What has been seen is a set per value, and merging is the union of sets: in which order records
//! come changes the order of new columns and nothing else. Against a schema that exists, a value
//! which the lenient reader turns into the column's type anyway (`"7"` in a `bigint`, an element
//! alone in an `array`) widens nothing.

mod names;
mod observe;
mod seen;
#[cfg(test)]
pub(in crate::encode) mod tests;

use std::collections::{HashMap, HashSet};

use self::seen::{Fields, Kinds, Members, Room, Seen};
pub use self::{names::Names, observe::Observed};
use super::{Column, HiveType, TableSchema};
use crate::limits;

/// How a schema comes from records.
#[derive(Debug, Clone)]
pub struct Inference {
    names: Names,
    given: Vec<Column>,
    /// Whether the reader turns texts into numbers and wraps elements.
    is_lenient: bool,
}

/// What a wider schema has that the one before had not.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Name of the column or, with dots, of the field.
    pub path: String,
    pub was: Option<HiveType>,
    pub is: HiveType,
    /// Share of the observed records that had it, between 0 and 1.
    pub share: f64,
}

impl Inference {
    /// `given` columns keep their types; `is_lenient` says which of the two readers will read.
    pub fn new(names: Names, given: Vec<Column>, is_lenient: bool) -> Self {
        Self { names, given, is_lenient }
    }

    /// A schema without records: the given columns, which may be none.
    pub fn base(&self) -> TableSchema {
        TableSchema { columns: self.given.clone(), partition_keys: Vec::new() }
    }

    /// A schema that was kept, with the columns that are given today.
    pub fn adopt(&self, kept: &TableSchema) -> TableSchema {
        let mut schema = kept.clone();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (at, column) in schema.columns.iter().enumerate() {
            places.insert(column.name.to_lowercase(), at);
        }
        for given in &self.given {
            match places.get(&given.name.to_lowercase()) {
                Some(at) => schema.columns[*at] = given.clone(),
                None => schema.columns.push(given.clone()),
            }
        }
        schema
    }

    /// What a record has in it: one JSON object, or several one behind the other. `None` if it is
    /// something else.
    pub fn observe(&self, record: &[u8]) -> Option<Observed> {
        let mut observed = Observed::default();
        self.observe_into(&mut observed, record).then_some(observed)
    }

    /// The same as to merge what [`Self::observe`] answers, at less expense. False if the record is
    /// something else; then nothing is observed.
    pub fn observe_into(&self, observed: &mut Observed, record: &[u8]) -> bool {
        observed.look_at(record, &self.names, self.is_lenient)
    }

    /// A schema that holds `old` and what was observed; `None` if that is `old`. New columns and
    /// fields are appended, types are widened to `map` or `string`. Types that are never
    /// inferred stay as they are.
    pub fn widen(&self, old: &TableSchema, observed: &Observed) -> Option<TableSchema> {
        let mut table = Fields::default();
        let given: HashSet<String> =
            self.given.iter().map(|column| column.name.to_lowercase()).collect();
        let mut seen = observed.columns.clone();
        for Column { name, of } in &old.columns {
            if given.contains(&name.to_lowercase()) {
                table.push(name.clone(), Seen::fixed(of));
                continue;
            }
            if let Some(seen) = seen.get_mut(name) {
                coerce(of, seen, self.is_lenient);
            }
            table.push(name.clone(), Seen::of(of));
        }
        let mut room = Room(limits::SCHEMA_FIELDS_MAX.saturating_sub(table.size()));
        let mut members = Members::Columns(table);
        members.union(Members::Columns(seen), &mut room);
        let Members::Columns(table) = members else { return None };
        let mut columns = table.resolve(false);
        if columns.is_empty() {
            columns = table.resolve(true);
        }
        (columns != old.columns)
            .then(|| TableSchema { columns, partition_keys: old.partition_keys.clone() })
    }
}

/// Takes out of what was seen whatever a reader puts into the type anyway.
fn coerce(of: &HiveType, seen: &mut Seen, is_lenient: bool) {
    match of {
        HiveType::Bigint if is_lenient => seen.kinds.remove(Kinds::TEXT_INT | Kinds::TEXT_WIDE),
        HiveType::Boolean if is_lenient => seen.kinds.remove(Kinds::TEXT_BOOL),
        HiveType::Double if is_lenient => {
            seen.kinds.remove(Kinds::TEXT_INT | Kinds::TEXT_DOUBLE);
        }
        HiveType::Array(of) => {
            if is_lenient {
                seen.wrap();
            }
            if let Some(element) = &mut seen.element {
                coerce(of, element, is_lenient);
            }
        }
        HiveType::Struct(columns) => {
            let Some(Members::Fields(fields)) = seen.members.as_deref_mut() else { return };
            for Column { name, of } in columns {
                if let Some(field) = fields.get_mut(name) {
                    coerce(of, field, is_lenient);
                }
            }
        }
        HiveType::Map(_, of) => match seen.members.as_deref_mut() {
            Some(Members::Any(any)) => coerce(of, any, is_lenient),
            Some(Members::Fields(fields) | Members::Columns(fields)) => {
                fields.each(|seen| coerce(of, seen, is_lenient));
            }
            None => {}
        },
        _ => {}
    }
}

/// What is new or wider in `new`, in its order. Fields of a new struct are not told one by one.
pub fn changes(old: &TableSchema, new: &TableSchema, observed: &Observed) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut walk = Walk { records: observed.records.max(1), changes: &mut changes };
    walk.columns("", &old.columns, &new.columns, Some(&observed.columns));
    changes
}

struct Walk<'a> {
    records: u64,
    changes: &'a mut Vec<Change>,
}

impl Walk<'_> {
    fn columns(&mut self, prefix: &str, old: &[Column], new: &[Column], seen: Option<&Fields>) {
        for (at, Column { name, of }) in new.iter().enumerate() {
            let path = format!("{prefix}{name}");
            let seen = seen.and_then(|fields| fields.get(name));
            // New ones are appended, so those that were there stand at the same place.
            match old.get(at) {
                Some(was) if was.of == *of => {}
                Some(was) => self.inside(path, &was.of, of, seen),
                None => self.tell(path, None, of, seen),
            }
        }
    }

    fn inside(&mut self, path: String, was: &HiveType, of: &HiveType, seen: Option<&Seen>) {
        match (was, of) {
            (HiveType::Struct(old), HiveType::Struct(new)) => {
                let fields = match seen.and_then(|seen| seen.members.as_deref()) {
                    Some(Members::Fields(fields)) => Some(fields),
                    _ => None,
                };
                self.columns(&format!("{path}."), old, new, fields);
            }
            (HiveType::Array(old), HiveType::Array(new)) => {
                self.inside(path, old, new, seen.and_then(|seen| seen.element.as_deref()));
            }
            (HiveType::Map(_, old), HiveType::Map(_, new)) => self.inside(path, old, new, None),
            _ => self.tell(path, Some(was), of, seen),
        }
    }

    fn tell(&mut self, path: String, was: Option<&HiveType>, is: &HiveType, seen: Option<&Seen>) {
        let share = seen.map_or(0, |seen| seen.records) as f64 / self.records as f64;
        self.changes.push(Change { path, was: was.cloned(), is: is.clone(), share });
    }
}
