//! One log of a request: the record, and the reserved members that it lacks (`service`,
//! `ddsource`, `hostname`, `ddtags`).

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{Options, place};

/// What is added to logs, as JSON already.
#[derive(Debug)]
pub struct Additions {
    /// Name of a member, and the whole member: `"service":"shop"`.
    members: Vec<(&'static str, Vec<u8>)>,
    /// Tags, without quotes; empty for none.
    tags: Vec<u8>,
}

const TAGS: &str = "ddtags";

impl Additions {
    pub fn new(options: &Options) -> Self {
        let named = [
            ("service", &options.service),
            ("ddsource", &options.source),
            ("hostname", &options.hostname),
        ];
        let member = |(name, value): (&'static str, &Option<String>)| {
            let value = quoted(value.as_deref()?);
            Some((name, format!("{}:{value}", quoted(name)).into_bytes()))
        };
        let tags = quoted(&options.tags.join(","));
        Self {
            members: named.into_iter().filter_map(member).collect(),
            tags: tags[1..tags.len() - 1].into(),
        }
    }

    /// Writes the log of a record.
    pub fn write(&self, record: &[u8], out: &mut Vec<u8>) {
        match object(record) {
            Some((text, seen)) => self.write_object(text, &seen, out),
            None => self.write_message(record, out),
        }
    }

    fn write_object(&self, text: &str, seen: &Seen, out: &mut Vec<u8>) {
        let text = text.as_bytes();
        // All but the brace at its end.
        let end = text.len() - 1;
        let tags = match seen.tags_end {
            Some(tags) if !self.tags.is_empty() => tags,
            _ => end,
        };
        out.extend_from_slice(&text[..tags]);
        if tags < end {
            if text[tags - 1] != b'"' || text[..tags].ends_with(b"\\\"") {
                out.push(b',');
            }
            out.extend_from_slice(&self.tags);
        }
        out.extend_from_slice(&text[tags..end]);
        self.write_missing(seen, out);
        out.push(b'}');
    }

    /// Any other record. What is no UTF-8 in it cannot stand in JSON and is replaced.
    fn write_message(&self, record: &[u8], out: &mut Vec<u8>) {
        let mut text = record;
        while let [rest @ .., b'\n' | b'\r'] = text {
            text = rest;
        }
        out.extend_from_slice(b"{\"message\":");
        out.extend_from_slice(quoted(&String::from_utf8_lossy(text)).as_bytes());
        self.write_missing(&Seen::default(), out);
        out.push(b'}');
    }

    fn write_missing(&self, seen: &Seen, out: &mut Vec<u8>) {
        let mut is_first = seen.is_empty;
        let mut add = |pieces: &[&[u8]]| {
            if !std::mem::replace(&mut is_first, false) {
                out.push(b',');
            }
            pieces.iter().for_each(|piece| out.extend_from_slice(piece));
        };
        for (name, member) in &self.members {
            if !seen.has(name) {
                add(&[member]);
            }
        }
        if !self.tags.is_empty() && !seen.has(TAGS) {
            add(&[b"\"ddtags\":\"", &self.tags, b"\""]);
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

/// A record that is an object, without the space around it. Reading it proves that all of it is
/// JSON; what it holds is passed over without a limit on depth, and without recursion.
fn object(record: &[u8]) -> Option<(&str, Seen)> {
    let text = simdutf8::basic::from_utf8(record.trim_ascii()).ok()?;
    let mut seen: Seen = serde_json::from_str(text).ok()?;
    if seen.has(TAGS) {
        seen.tags_end = place::end_of_text(text, TAGS);
    }
    Some((text, seen))
}

/// Which of the reserved members an object has.
#[derive(Default)]
struct Seen {
    is_empty: bool,
    names: Vec<&'static str>,
    /// Where further tags go, if it has any.
    tags_end: Option<usize>,
}

impl Seen {
    fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Seen, A::Error> {
        let mut seen = Seen { is_empty: true, ..Seen::default() };
        while let Some(Name(name)) = members.next_key()? {
            seen.is_empty = false;
            if let Some(name) = name
                && !seen.has(name)
            {
                seen.names.push(name);
            }
            members.next_value::<IgnoredAny>()?;
        }
        Ok(seen)
    }
}

/// A member's name, if it is a reserved one.
struct Name(Option<&'static str>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        let reserved = ["service", "ddsource", "hostname", TAGS];
        Ok(Name(reserved.into_iter().find(|reserved| *reserved == name)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sinks::datadog::tests::options;

    fn additions() -> Additions {
        Additions::new(&Options {
            service: Some("sh\"op".into()),
            source: Some("nginx".into()),
            hostname: None,
            tags: vec!["env:prod".into(), "team:a".into()],
            ..options("http://localhost")
        })
    }

    fn log(additions: &Additions, record: impl AsRef<[u8]>) -> String {
        let mut out = b"before,".to_vec();
        additions.write(record.as_ref(), &mut out);
        String::from_utf8(out).unwrap().strip_prefix("before,").unwrap().to_owned()
    }

    #[test]
    fn objects_get_what_they_lack() {
        let added = r#""service":"sh\"op","ddsource":"nginx","ddtags":"env:prod,team:a""#;
        let plain = Additions::new(&options("http://localhost"));
        for (record, expected) in [
            ("{}\n", format!("{{{added}}}")),
            (r#" {"a": [1, {"service": 2}]} "#, format!(r#"{{"a": [1, {{"service": 2}}],{added}}}"#)),
            ("{ }", format!("{{ {added}}}")),
            (
                r#"{"service":"own","ddsource":null,"n":12345678901234567890123.0}"#,
                r#"{"service":"own","ddsource":null,"n":12345678901234567890123.0,"ddtags":"env:prod,team:a"}"#.into(),
            ),
            (
                r#"{"ddtags":"a:b","x":{"ddtags":"c"},"service":1,"ddsource":2}"#,
                r#"{"ddtags":"a:b,env:prod,team:a","x":{"ddtags":"c"},"service":1,"ddsource":2}"#.into(),
            ),
            (
                r#"{"ddtags" : "", "\u0073ervice":1, "ddsource":2 ,"k\"":1.50}"#,
                r#"{"ddtags" : "env:prod,team:a", "\u0073ervice":1, "ddsource":2 ,"k\"":1.50}"#
                    .into(),
            ),
            (
                r#"{"ddtags":"q:\"","service":1,"ddsource":2}"#,
                r#"{"ddtags":"q:\",env:prod,team:a","service":1,"ddsource":2}"#.into(),
            ),
            (
                r#"{"ddtags":["a:b"],"service":1,"ddsource":2}"#,
                r#"{"ddtags":["a:b"],"service":1,"ddsource":2}"#.into(),
            ),
        ] {
            let log = log(&additions(), record);
            assert_eq!(log, expected, "{record}");
            serde_json::from_str::<Value>(&log).unwrap();
            assert_eq!(self::log(&plain, record), record.trim());
        }
    }

    #[test]
    fn nesting_costs_no_stack() {
        let nested = |tags: &str| {
            let (open, close) = ("{\"a\":[".repeat(50_000), "]}".repeat(50_000));
            format!("{{\"service\":1,\"ddsource\":2,\"x\":{open}{close},\"ddtags\":\"{tags}\"}}")
        };
        assert_eq!(log(&additions(), nested("a")), nested("a,env:prod,team:a"));
    }

    #[test]
    fn anything_else_is_a_message() {
        let plain = Additions::new(&options("http://localhost"));
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        for record in [
            "hello",
            "",
            "7",
            "null",
            "[{\"a\":1}]",
            "{\"a\":1} {\"b\":2}",
            "{\"a\":1},{\"b\":2}",
            "{\"a\":1}]",
            "{\"a\":1",
            "{\"a\":1,}",
            "{\"a\":[1,]}",
            "{\"a\":{\"b\"}}",
            "{\"a\":tru}",
            "{\"a\":\"\u{1}\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":[\"\\x\"]}",
            "{\"a\":1.}",
            "{a:1}",
            "\"quoted \\\" text\"",
            &deep,
        ] {
            let log = log(&plain, format!("{record}\r\n"));
            assert_eq!(log, json!({"message": record}).to_string());
        }
        assert_eq!(
            log(&plain, b"{\"a\":\"\xff\"}"),
            json!({"message": "{\"a\":\"\u{fffd}\"}"}).to_string()
        );
        assert_eq!(log(&plain, " two\nlines \n\n"), json!({"message": " two\nlines "}).to_string());
        let expected =
            r#"{"message":"x","service":"sh\"op","ddsource":"nginx","ddtags":"env:prod,team:a"}"#;
        assert_eq!(log(&additions(), "x"), expected);
    }
}
