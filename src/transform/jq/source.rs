//! `$source`: where a record comes from, for the filters that ask.
//!
//! An object as [`Origin::to_json`](crate::record::Origin::to_json) gives it, `{}` for a record
//! that was not pulled. It is stored with the record, so a record that is read again after a crash
//! gives the same. Filters that do not name it pay nothing for it.

use bytes::Bytes;

use crate::record::Notes;

/// The variable, as it stands in a filter.
pub(super) const NAME: &str = "$source";

/// Whether a filter may use the variable. A longer name, a comment or a string that holds the
/// name counts, too: that costs time and changes nothing.
pub(super) fn is_named(text: &str) -> bool {
    text.contains(NAME)
}

/// The value, as JSON.
pub(super) fn json(notes: &Notes) -> Bytes {
    match notes.origin() {
        Some(origin) => origin.to_json().to_string().into(),
        None => Bytes::from_static(b"{}"),
    }
}
