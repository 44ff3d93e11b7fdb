//! The leaves of the schema: which values a place takes, and reading a scalar as one of them.

use std::{net::SocketAddr, str::FromStr};

use regex::Regex;
use serde_json::{Map, Value};

use super::problem::nearest;
use crate::units::{ByteSize, Span};

/// One alternative of what may stand at a place: a schema without references and alternatives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf<'a>(&'a Value);

/// A scalar of the file, expanded.
pub(super) struct Text<'a> {
    pub text: &'a str,
    /// Unquoted: `5` is a number and `true` a boolean.
    pub plain: bool,
    /// A variable took part: where text is wanted, digits are text.
    pub variable: bool,
    /// How it may stand in a message.
    pub shown: &'a str,
}

/// Why a scalar does not fit.
pub(super) struct Wrong {
    pub message: String,
    pub help: Option<String>,
}

/// Follows references and opens up `anyOf` and `oneOf`, in order.
pub(super) fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<Leaf<'a>> {
    let mut answer = Vec::new();
    collect(root, schema, &mut answer);
    answer
}

fn collect<'a>(root: &'a Value, schema: &'a Value, into: &mut Vec<Leaf<'a>>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        return collect(root, &root["$defs"][name], into);
    }
    if Format::of(schema).is_none() {
        for key in ["anyOf", "oneOf", "allOf"] {
            if let Some(members) = schema[key].as_array() {
                return members.iter().for_each(|member| collect(root, member, into));
            }
        }
    }
    into.push(Leaf(schema));
}

/// A value that the types accept, to stand where something wrong or nothing stood.
pub(super) fn placeholder(root: &Value, schema: &Value) -> Value {
    let leaves = alternatives(root, schema);
    let Some(leaf) = leaves.first() else { return Value::Null };
    match Format::of(leaf.0) {
        Some(Format::SocketAddress) => return "127.0.0.1:0".into(),
        Some(Format::ByteSize | Format::Duration) => return 0.into(),
        None => {}
    }
    if let Some(choice) = leaf.choices().next() {
        return choice.into();
    }
    if leaf.is("object") {
        let required = leaf.required();
        let fill = |key: &str| {
            leaf.property(key).map(|schema| (key.to_owned(), placeholder(root, schema)))
        };
        return Value::Object(required.filter_map(fill).collect());
    }
    match () {
        () if leaf.is("string") => "".into(),
        () if leaf.is("array") => Value::Array(Vec::new()),
        () if leaf.is("boolean") => false.into(),
        () if leaf.is("integer") || leaf.is("number") => 0.into(),
        () => Value::Null,
    }
}

impl<'a> Leaf<'a> {
    fn is(&self, kind: &str) -> bool {
        match &self.0["type"] {
            Value::String(only) => only == kind,
            Value::Array(kinds) => kinds.iter().any(|known| known == kind),
            _ => false,
        }
    }

    /// The only key of an alternative that is told from the others by it, `sse_kms` of
    /// `{sse_kms: key}`.
    pub fn tag(&self) -> Option<&'a str> {
        let only = self.properties().filter(|properties| properties.len() == 1)?;
        only.keys().next().map(String::as_str).filter(|key| self.requires(key))
    }

    pub fn is_mapping(&self) -> bool {
        self.is("object")
    }

    pub fn items(&self) -> Option<&'a Value> {
        self.is("array").then(|| &self.0["items"])
    }

    pub fn properties(&self) -> Option<&'a Map<String, Value>> {
        self.0["properties"].as_object()
    }

    /// The schema of a key: a known one's, or any key's where names are free.
    pub fn property(&self, key: &str) -> Option<&'a Value> {
        let free = || Some(&self.0["additionalProperties"]).filter(|schema| schema.is_object());
        self.properties().and_then(|known| known.get(key)).or_else(free)
    }

    /// The only word that a key may have: what tells this alternative from the others.
    pub fn word(&self, key: &str) -> Option<&'a str> {
        self.properties()?.get(key)?["const"].as_str()
    }

    pub fn required(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0["required"].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    pub fn requires(&self, key: &str) -> bool {
        self.required().any(|name| name == key)
    }

    /// The words of an enumeration.
    fn choices(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let many = self.0["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.0["const"].as_str().into_iter().chain(many)
    }

    fn is_free_text(&self) -> bool {
        self.is("string") && self.choices().next().is_none()
    }

    /// How the message for a wrong kind names this leaf.
    fn name(&self) -> Option<&'static str> {
        Some(match Format::of(self.0) {
            Some(Format::ByteSize) => "a size like 5MiB",
            Some(Format::Duration) => "a duration like 300s",
            Some(Format::SocketAddress) => "an address like 127.0.0.1:4573",
            None if self.is("object") => "a mapping",
            None if self.is("array") => "a list",
            None if self.is("string") => "text",
            None if self.is("boolean") => "true or false",
            None if self.is("integer") => "a whole number",
            None if self.is("number") => "a number",
            None => return None,
        })
    }
}

/// `text or a mapping`.
pub(super) fn expected(leaves: &[Leaf]) -> String {
    let mut names: Vec<String> = Vec::new();
    let choices: Vec<&str> = leaves.iter().flat_map(Leaf::choices).collect();
    if !choices.is_empty() {
        names.extend(choices.iter().map(|choice| (*choice).to_owned()));
    }
    for leaf in leaves.iter().filter(|leaf| leaf.choices().next().is_none()) {
        match leaf.name() {
            Some("a mapping") if !choices.is_empty() && leaf.required().next().is_some() => {
                let keys = leaf.required().map(|key| format!("{key}: …")).collect::<Vec<_>>();
                names.push(keys.join(", "));
            }
            Some(name) if names.iter().all(|known| known != name) => names.push(name.to_owned()),
            _ => {}
        }
    }
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

/// Reads a scalar as whichever alternative takes it.
pub(super) fn read(text: &Text, leaves: &[Leaf]) -> Result<Value, Wrong> {
    if let Some(format) = leaves.iter().find_map(|leaf| Format::of(leaf.0)) {
        return format.read(text);
    }
    if leaves.iter().any(|leaf| leaf.choices().any(|choice| choice == text.text)) {
        return Ok(text.text.into());
    }
    let typed = if text.plain { resolve(text.text) } else { text.text.into() };
    for leaf in leaves.iter().filter(|leaf| leaf.choices().next().is_none()) {
        match &typed {
            Value::Bool(_) if leaf.is("boolean") => return Ok(typed),
            Value::Number(number) if leaf.is("number") || leaf.is("integer") => {
                return in_range(number, leaf).map(|()| typed);
            }
            _ => {}
        }
    }
    let is_text = typed.is_string() || text.variable;
    match leaves.iter().find(|leaf| leaf.is_free_text()) {
        Some(leaf) if is_text => check_pattern(text, leaf).map(|()| text.text.into()),
        Some(_) => Err(Wrong {
            message: format!("must be {}, not {}", expected(leaves), kind(&typed)),
            help: Some("put it in quotes".into()),
        }),
        None => Err(unfit(text, &typed, leaves)),
    }
}

/// A scalar where only enumerations, numbers, booleans or structures fit.
fn unfit(text: &Text, typed: &Value, leaves: &[Leaf]) -> Wrong {
    let choices: Vec<&str> = leaves.iter().flat_map(Leaf::choices).collect();
    if choices.is_empty() {
        let switch = matches!(text.text, "yes" | "no" | "on" | "off" | "y" | "n");
        return Wrong {
            message: format!("must be {}, not {}", expected(leaves), kind(typed)),
            help: (switch && leaves.iter().any(|leaf| leaf.is("boolean")))
                .then(|| "YAML 1.2 knows only true and false".into()),
        };
    }
    let help =
        nearest(text.text, choices.iter().copied()).map(|name| format!("did you mean {name}?"));
    Wrong { message: format!("must be {}, not {}", expected(leaves), text.shown), help }
}

fn in_range(number: &serde_json::Number, leaf: &Leaf) -> Result<(), Wrong> {
    let wrong = |message: String| Err(Wrong { message, help: None });
    let value = number.as_f64().unwrap_or(f64::NAN);
    if leaf.is("integer") && !(number.is_u64() || number.is_i64()) {
        return wrong("must be a whole number".into());
    }
    if let Some(minimum) = leaf.0["minimum"].as_f64().filter(|minimum| value < *minimum) {
        return wrong(format!("must be at least {minimum}"));
    }
    // The generated schema has no bound where the format alone says it.
    let width = (leaf.0["format"] == "uint32").then_some(f64::from(u32::MAX));
    let maximum = leaf.0["maximum"].as_f64().or(width);
    if let Some(maximum) = maximum.filter(|maximum| value > *maximum) {
        return wrong(format!("must be at most {maximum}"));
    }
    Ok(())
}

/// Patterns stand in the schema, with the sentence for who breaks them (a keyword of editors).
fn check_pattern(text: &Text, leaf: &Leaf) -> Result<(), Wrong> {
    let Some(pattern) = leaf.0["pattern"].as_str() else { return Ok(()) };
    let regex = Regex::new(pattern).expect("the patterns of the schema are tested");
    if regex.is_match(text.text) {
        return Ok(());
    }
    let message = match leaf.0["patternErrorMessage"].as_str() {
        Some(sentence) => format!("{sentence}, not {}", text.shown),
        None => format!("must match {pattern}, not {}", text.shown),
    };
    Err(Wrong { message, help: None })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// What a plain scalar is in YAML's core schema.
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return text.into();
    }
    if let Ok(number) = text.trim_start_matches('+').parse::<i64>() {
        return number.into();
    }
    if let Ok(number) = text.parse::<u64>() {
        return number.into();
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => number.into(),
        _ => text.into(),
    }
}

/// Texts with a form of their own, marked by `format` in the schema.
#[derive(Debug, Clone, Copy)]
enum Format {
    ByteSize,
    Duration,
    SocketAddress,
}

impl Format {
    fn of(schema: &Value) -> Option<Self> {
        match schema["format"].as_str()? {
            "byte-size" => Some(Self::ByteSize),
            "duration-text" => Some(Self::Duration),
            "socket-address" => Some(Self::SocketAddress),
            _ => None,
        }
    }

    /// The exact value behind the text, so that deserializing it cannot fail.
    fn read(self, text: &Text) -> Result<Value, Wrong> {
        let wrong = |error: String| {
            let message = error.replacen(&format!("{:?}", text.text), text.shown, 1);
            Err(Wrong { message, help: None })
        };
        match self {
            Self::ByteSize => match ByteSize::from_str(text.text) {
                Ok(ByteSize(bytes)) => Ok(bytes.into()),
                Err(error) => wrong(error.to_string()),
            },
            Self::Duration => match Span::from_str(text.text) {
                Ok(_) => Ok(text.text.into()),
                Err(error) => wrong(error.to_string()),
            },
            Self::SocketAddress => match SocketAddr::from_str(text.text) {
                Ok(_) => Ok(text.text.into()),
                Err(_) => Err(Wrong {
                    message: format!("{} is no address with a port", text.shown),
                    help: Some(
                        "write 127.0.0.1:4573 or [::1]:4573; names are not looked up".into(),
                    ),
                }),
            },
        }
    }
}
