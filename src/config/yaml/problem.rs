//! One mistake in a configuration file: where it is, what it is, what to do.

use std::{fmt, path::PathBuf};

/// A place in a file; line and column count from 1, and 0 means the file as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub line: usize,
    /// In characters, not bytes, as editors count.
    pub column: usize,
}

/// One mistake in a configuration file. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    pub file: PathBuf,
    /// 0 where the file as a whole is meant.
    pub line: usize,
    pub column: usize,
    /// `streams.clicks.destinations[0].s3.buffering.size`; empty for the file as a whole.
    pub path: String,
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", self.path)?;
        }
        write!(f, " {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, " — {help}"),
            None => Ok(()),
        }
    }
}

/// `owner.key`, with the key in quotes where a dot or a bracket in it would mislead.
pub(super) fn join(owner: &str, key: &str) -> String {
    let simple = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let key = if !key.is_empty() && key.chars().all(simple) {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if owner.is_empty() { key } else { format!("{owner}.{key}") }
}

/// The known name that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = snake_case(word);
    let limit = (word.chars().count() / 3).max(1);
    let distance = |name: &str| match word.len() >= 2 && name.starts_with(&word) {
        true => 1,
        false => strsim::damerau_levenshtein(&word, name),
    };
    known
        .map(|name| (distance(name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `BufferingHints` as it would be spelled here; the API's spelling is a common slip.
fn snake_case(word: &str) -> String {
    let mut answer = String::with_capacity(word.len() + 4);
    let mut after_lower = false;
    for c in word.chars() {
        if c.is_uppercase() && after_lower {
            answer.push('_');
        }
        after_lower = c.is_lowercase() || c.is_ascii_digit();
        answer.extend(if c == '-' { '_' } else { c }.to_lowercase());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let known = ["compression", "buffering", "error_output_prefix", "s3"];
        for (word, name) in [
            ("comression", Some("compression")),
            ("Compression", Some("compression")),
            ("errorOutputPrefix", Some("error_output_prefix")),
            ("error-output-prefix", Some("error_output_prefix")),
            ("S3", Some("s3")),
            ("buf", Some("buffering")),
            ("kafka", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), name, "{word}");
        }
    }

    #[test]
    fn paths_quote_what_would_mislead() {
        assert_eq!(join("streams", "click-stream_1"), "streams.click-stream_1");
        assert_eq!(join("streams", "a.b"), r#"streams."a.b""#);
        assert_eq!(join("", "api"), "api");
    }
}
