//! Why a record is not taken. Only built once a record has failed; the way there is kept short.

use crate::fault::{Failure, output_type::FORMAT_CONVERSION_FAILED};

/// Longest piece of a value that a message shows, in characters.
const VALUE_CHARS_MAX: usize = 80;

/// What every step of reading answers. The cause is boxed, so that success stays one word.
pub(in crate::encode) type Read<T = ()> = Result<T, Box<Problem>>;

/// Why a record is not taken.
#[derive(Debug)]
pub(in crate::encode) enum Problem {
    /// It is not JSON, or not objects.
    Malformed { at: usize, what: &'static str },
    /// It is JSON that a column cannot hold.
    Misfit(Misfit),
}

/// A value that its column cannot hold.
#[derive(Debug)]
pub(in crate::encode) struct Misfit {
    /// Built from the inside out while the failure travels up.
    path: String,
    of: String,
    what: String,
    value: String,
    /// The message is exactly `what`: consumers know it from the service.
    exact: bool,
}

impl Problem {
    #[cold]
    pub fn malformed(at: usize, what: &'static str) -> Box<Self> {
        Box::new(Self::Malformed { at, what })
    }

    #[cold]
    pub fn misfit(what: impl Into<String>, value: &[u8]) -> Box<Self> {
        Box::new(Self::Misfit(Misfit {
            path: String::new(),
            of: String::new(),
            what: what.into(),
            value: shortened(value),
            exact: false,
        }))
    }

    /// A misfit whose message is the service's own, word by word.
    #[cold]
    pub fn exactly(what: String) -> Box<Self> {
        let mut problem = Self::misfit(what, b"");
        if let Self::Misfit(misfit) = &mut *problem {
            misfit.exact = true;
        }
        problem
    }

    /// Names the type of the innermost column.
    #[cold]
    pub fn of(mut self: Box<Self>, of: &str) -> Box<Self> {
        if let Self::Misfit(misfit) = &mut *self
            && misfit.of.is_empty()
        {
            of.clone_into(&mut misfit.of);
        }
        self
    }

    /// Puts the name of what the column lies in before its path.
    #[cold]
    pub fn within(mut self: Box<Self>, name: &str) -> Box<Self> {
        if let Self::Misfit(misfit) = &mut *self {
            let dot = if misfit.path.is_empty() || misfit.path.starts_with(['[', '{']) {
                ""
            } else {
                "."
            };
            misfit.path = format!("{name}{dot}{}", misfit.path);
        }
        self
    }

    pub fn into_failure(self) -> Failure {
        let (code, message) = match self {
            Self::Malformed { at, what } => (
                "DataFormatConversion.ParseError",
                format!("Encountered malformed JSON. {what} at byte {at}"),
            ),
            Self::Misfit(misfit) => ("DataFormatConversion.MalformedData", misfit.message()),
        };
        Failure::new(FORMAT_CONVERSION_FAILED, code, message)
    }
}

impl Misfit {
    fn message(&self) -> String {
        let Self { path, of, what, value, exact } = self;
        match (exact, path.is_empty()) {
            (true, _) | (_, true) => format!("Data does not match the schema. {what}"),
            (false, false) => format!(
                "Data does not match the schema. {what} (column `{path}`, {of}, value {value})"
            ),
        }
    }
}

/// The beginning of a value, as text.
pub(super) fn shortened(value: &[u8]) -> String {
    // A character has at most four bytes, so this much always holds enough of them.
    let head = &value[..value.len().min(4 * VALUE_CHARS_MAX + 4)];
    let text = String::from_utf8_lossy(head);
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}
