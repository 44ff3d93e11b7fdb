//! The constraints of the API's model: what is looked at before any meaning is.
//!
//! All violations are gathered and answered as one ValidationException; a value of the wrong JSON
//! type is a SerializationException and ends the walk at once. Unknown members are ignored and
//! `null` counts as absent, as with the service. A `null` inside a list is answered with
//! `Member must not be null` (the service fails with an InternalFailure, which clients would
//! retry for nothing).

mod pattern;
mod shapes;
mod walk;

pub(super) use pattern::Pattern;
pub(super) use shapes::operations;
pub(super) use walk::{answer, known, violation, walk};

/// No upper bound of a length or value.
const UNBOUNDED: i64 = i64::MAX;

/// One member of a structure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub name: &'static str,
    pub required: bool,
    pub shape: Shape,
}

/// What a value must look like.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Structure(&'static [Member]),
    /// Fewest and most elements.
    List {
        min: i64,
        max: i64,
        of: &'static Shape,
    },
    Map {
        key: &'static Shape,
        value: &'static Shape,
    },
    /// Fewest and most UTF-16 code units (the service counts as Java does).
    Text {
        min: i64,
        max: i64,
        pattern: Option<Pattern>,
    },
    /// Values in the order in which the service prints them.
    Enum(&'static [&'static str]),
    Integer {
        min: i64,
        max: i64,
    },
    /// A number from 0 to 1: every fraction of this API is one.
    Fraction,
    Boolean,
    /// Seconds since the epoch as a number.
    Timestamp,
    /// Base64 of at most `limits::RECORD_BYTES_MAX` bytes.
    Blob,
}

const fn need(name: &'static str, shape: Shape) -> Member {
    Member { name, required: true, shape }
}

const fn may(name: &'static str, shape: Shape) -> Member {
    Member { name, required: false, shape }
}

const fn list(min: i64, max: i64, of: &'static Shape) -> Shape {
    Shape::List { min, max, of }
}

const fn any_list(of: &'static Shape) -> Shape {
    Shape::List { min: 0, max: UNBOUNDED, of }
}

const fn text(min: i64, max: i64) -> Shape {
    Shape::Text { min, max, pattern: None }
}

const fn matching(min: i64, max: i64, pattern: Pattern) -> Shape {
    Shape::Text { min, max, pattern: Some(pattern) }
}

const fn one_of(values: &'static [&'static str]) -> Shape {
    Shape::Enum(values)
}

const fn integer(min: i64, max: i64) -> Shape {
    Shape::Integer { min, max }
}

const fn at_least(min: i64) -> Shape {
    Shape::Integer { min, max: UNBOUNDED }
}

#[cfg(test)]
mod tests;
