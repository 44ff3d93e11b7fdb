//! JSON as it stands: checked, and taken apart without being written anew.

use std::fmt;

use serde::de::IgnoredAny;

use crate::limits::HTTP_JSON_DEPTH_MAX;

/// Text that is no JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// From 1 on.
    pub line: usize,
    /// From 1 on, in bytes.
    pub column: usize,
    pub message: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not JSON at line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl Invalid {
    fn at(text: &[u8], offset: usize, message: &str) -> Self {
        let before = &text[..offset];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let column = offset - memchr::memrchr(b'\n', before).map_or(0, |end| end + 1) + 1;
        Self { line, column, message: message.to_owned() }
    }
}

/// One document with nothing but white space around it, no deeper than what reads it later bears.
pub fn check(text: &[u8]) -> Result<(), Invalid> {
    let valid = simdutf8::compat::from_utf8(text)
        .map_err(|error| Invalid::at(text, error.valid_up_to(), "the text is not UTF-8"))?;
    serde_json::from_str::<IgnoredAny>(valid).map_err(|error| {
        let message = error.to_string();
        let end = message.rfind(" at line ").unwrap_or(message.len());
        let message = message[..end].to_owned();
        Invalid { line: error.line(), column: error.column().max(1), message }
    })?;
    match too_deep(text) {
        Some(offset) => Err(Invalid::at(text, offset, "nested too deeply")),
        None => Ok(()),
    }
}

/// Where a valid document goes deeper than it may.
fn too_deep(text: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                at += string_end(&text[at..]);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth > HTTP_JSON_DEPTH_MAX {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The elements of an array, each as it stands in the text. `None` for any other document. The
/// text has been checked.
pub fn elements(document: &[u8]) -> Option<Elements<'_>> {
    document.trim_ascii_start().strip_prefix(b"[").map(|rest| Elements { rest })
}

pub struct Elements<'a> {
    /// What follows the bracket, or the last element.
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let is_between = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
        let start = self.rest.iter().position(|byte| !is_between(byte))?;
        let rest = &self.rest[start..];
        if rest[0] == b']' {
            return None;
        }
        let (element, rest) = rest.split_at(value_end(rest));
        self.rest = rest;
        Some(element)
    }
}

/// Where the value ends that a text begins with.
fn value_end(text: &[u8]) -> usize {
    if !matches!(text[0], b'"' | b'[' | b'{') {
        let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}');
        return text[1..].iter().position(is_end).map_or(text.len(), |end| end + 1);
    }
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at += string_end(&text[at..]),
            b'[' | b'{' => {
                depth += 1;
                at += 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Where the string ends that a text begins with, its quotation marks included.
fn string_end(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if text[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            r#"["\\\[\]{}, ]*"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((".*", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn elements_are_what_serde_finds(
            values in prop::collection::vec(value(), 0..6),
            pretty in any::<bool>(),
        ) {
            let document = Value::from(values.clone());
            let text = if pretty {
                serde_json::to_string_pretty(&document).unwrap()
            } else {
                document.to_string()
            };
            prop_assert_eq!(check(text.as_bytes()), Ok(()));
            let found: Vec<Value> = elements(text.as_bytes())
                .unwrap()
                .map(|element| serde_json::from_slice(element).unwrap())
                .collect();
            // Not the values themselves: not every float is read as it was written.
            let expected: Vec<Value> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(found.len(), values.len());
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn what_is_no_json_is_named_and_nothing_panics(text in prop::collection::vec(
            prop::sample::select(&b"[]{}\",:\\ \n1e-ntrue\xff"[..]), 0..40,
        )) {
            let expected = serde_json::from_slice::<Value>(&text);
            // A number too large for a float is JSON all the same, and so is half a surrogate.
            if expected.is_ok() {
                prop_assert_eq!(check(&text), Ok(()));
            }
            if let Err(invalid) = check(&text) {
                prop_assert!(invalid.line >= 1 && invalid.column >= 1);
            }
            if let Some(elements) = elements(&text) {
                prop_assert!(elements.count() <= text.len());
            }
        }
    }

    #[test]
    fn errors_say_where() {
        for (text, line, column) in [
            (&b""[..], 1, 1),
            (b"{\"a\":1}\n{\"b\":2}", 2, 1),
            (b"[1,\n 2,\n x]", 3, 2),
            (b"\"a\n\"", 1, 3),
            (b"[\"\xff\"]", 1, 3),
            (b"1 2", 1, 3),
        ] {
            let invalid = check(text).unwrap_err();
            let shown = String::from_utf8_lossy(text);
            assert!(
                invalid.line == line && invalid.column.abs_diff(column) <= 1,
                "{shown}: {invalid}"
            );
        }
        assert!(!check(b"[1,]").unwrap_err().message.contains(" line "));
    }

    #[test]
    fn depth_is_bounded_and_brackets_in_strings_are_no_depth() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check(nested(HTTP_JSON_DEPTH_MAX).as_bytes()), Ok(()));
        let invalid = check(nested(HTTP_JSON_DEPTH_MAX + 1).as_bytes()).unwrap_err();
        assert_eq!((invalid.line, invalid.column), (1, HTTP_JSON_DEPTH_MAX + 1));
        assert!(check(nested(1_000_000).as_bytes()).is_err());
        assert_eq!(check(format!("\"{}\\\"[\"", "[".repeat(1000)).as_bytes()), Ok(()));
    }
}
