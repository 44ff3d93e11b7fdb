//! What is wrong with a schema, and where.

use std::fmt;

/// Why a text is no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    #[error("{place}: expected {expected}, found {found}")]
    Syntax { place: Place, expected: &'static str, found: String },
    #[error("{place}: the type {name} is not supported{instead}")]
    Unsupported { place: Place, name: String, instead: &'static str },
    #[error("{place}: types are nested deeper than {max} levels")]
    TooDeep { place: Place, max: usize },
    #[error("{place}: there are more than {max} columns and fields")]
    TooManyFields { place: Place, max: usize },
    #[error("the text has {bytes} bytes, but at most {max} are taken")]
    TooLong { bytes: usize, max: usize },
    #[error("there are more than {max} columns")]
    TooManyColumns { max: usize },
    #[error("there are two columns {name:?} (upper and lower case are the same)")]
    Duplicate { name: String },
    #[error("column {number} has no name")]
    EmptyName { number: usize },
    #[error("the name of column {number} has {chars} characters, but at most {max} are taken")]
    LongName { number: usize, chars: usize, max: usize },
    #[error("there are no columns")]
    NoColumns,
    #[error("type of column {name:?}: {source}")]
    Column { name: String, source: Box<SchemaError> },
}

/// A place in a text, both counted from 1 and in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// The place of byte `at` of `text`.
    pub(super) fn of(text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "column {}", self.column)
    }
}
