//! Members of records to names of columns, as the readers look them up.

use std::{borrow::Cow, collections::HashMap};

use crate::{encode::rows::Deserializer, limits};

/// How a member of a record is called as a column.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Upper case is lower-cased first.
    is_lowered: bool,
    /// Dots become underscores.
    has_dots_converted: bool,
    /// Key of a record to its column, where they differ.
    columns: HashMap<String, String>,
    /// Columns that are read from another key, so that their own is none.
    taken: Vec<String>,
    /// What no member of a record itself is called.
    reserved: Option<String>,
}

impl Names {
    /// As the reader with these options looks members up. `reserved` is no column of records.
    pub fn new(input: &Deserializer, reserved: Option<&str>) -> Self {
        let reserved = reserved.map(str::to_owned);
        let mut names = Self { is_lowered: true, reserved, ..Self::default() };
        let Deserializer::OpenxJson(options) = input else { return names };
        names.is_lowered = options.case_insensitive;
        names.has_dots_converted = options.convert_dots_in_json_keys_to_underscores;
        for (column, key) in &options.column_to_json_key_mappings {
            names.columns.insert(names.lowered(key).into_owned(), column.clone());
            names.taken.push(names.lowered(column).into_owned());
        }
        names
    }

    fn lowered<'a>(&self, key: &'a str) -> Cow<'a, str> {
        if self.is_lowered && key.chars().any(char::is_uppercase) {
            Cow::Owned(key.to_lowercase())
        } else {
            Cow::Borrowed(key)
        }
    }

    /// Whether a key is the name of its column as it stands. (A key of which this is not said may
    /// be it all the same.)
    pub(super) fn is_plain(&self, key: &str) -> bool {
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        self.columns.is_empty() && self.reserved.is_none() && key.bytes().all(is_plain)
    }

    /// The column of a member of the record; `None` if it can be none.
    pub(super) fn column(&self, key: &str) -> Option<String> {
        self.field(key).filter(|name| Some(name) != self.reserved.as_ref())
    }

    /// The field of a member of an object in a record; `None` if it can be none. The lenient
    /// reader maps names at every depth.
    pub(super) fn field(&self, key: &str) -> Option<String> {
        let key = self.lowered(key);
        if let Some(column) = self.columns.get(&*key) {
            return Some(column.clone());
        }
        let name = match self.has_dots_converted {
            true => key.replace('.', "_"),
            false => key.into_owned(),
        };
        let is_name = !name.trim().is_empty()
            && name.chars().count() <= limits::COLUMN_NAME_CHARS_MAX
            && !self.taken.contains(&name);
        is_name.then_some(name)
    }
}
