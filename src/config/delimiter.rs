//! Delimiters as users spell them.

use super::transforms::Delimiter;

/// The bytes meant by a delimiter's text: a real newline, `\n` and `\\n` are all a newline
/// (Firehose's own parameter is the two characters `\n`, and JSON within YAML doubles the
/// backslash); `\r`, `\t` and `\0` likewise. Any other backslash is itself.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut answer = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let escaped = rest.strip_prefix(r"\\").or_else(|| rest.strip_prefix('\\'));
        let control = escaped.and_then(|after| control(after).map(|byte| (byte, &after[1..])));
        if let Some((byte, after)) = control {
            answer.push(byte);
            rest = after;
        } else {
            let (this, after) = rest.split_at(c.len_utf8());
            answer.extend_from_slice(this.as_bytes());
            rest = after;
        }
    }
    answer
}

fn control(after_backslash: &str) -> Option<u8> {
    match after_backslash.as_bytes().first()? {
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'0' => Some(0),
        _ => None,
    }
}

impl Delimiter {
    /// The delimiter's bytes, and whether only records without it get one.
    pub fn bytes(&self) -> (Vec<u8>, bool) {
        match self {
            Self::Text(text) => (bytes(text), false),
            Self::Detailed { delimiter, if_missing } => (bytes(delimiter), *if_missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_newline_is_one() {
        for (text, expected) in [
            ("\n", "\n"),
            (r"\n", "\n"),
            (r"\\n", "\n"),
            (r"\r\n", "\r\n"),
            (r"|\t|", "|\t|"),
            (r"\", r"\"),
            (r"\x", r"\x"),
            ("é§", "é§"),
            ("", ""),
        ] {
            assert_eq!(bytes(text), expected.as_bytes(), "{text:?}");
        }
        let detailed = Delimiter::Detailed { delimiter: r"\n".into(), if_missing: true };
        assert_eq!(detailed.bytes(), (b"\n".to_vec(), true));
    }
}
