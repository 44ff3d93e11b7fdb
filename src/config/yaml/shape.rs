//! Holds a tree against the JSON Schema of the configuration: every key, type and value.
//!
//! The answer is always a JSON value that the types accept: what is wrong is left out, or stands
//! as a placeholder where something must stand. So one mistake hides no other, and the checks
//! that follow run over everything else; they leave alone what is already found to be broken.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{
    expand::expand,
    leaf::{self, Leaf, Text},
    problem::{Mark, join, nearest},
    tree::{Body, Entry, Node, Scalar},
};

/// Where things stand in the file, by path.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Keys point at the key, list items at the item.
    marks: HashMap<String, Mark>,
    /// Values that came from the environment, with the variable's name.
    variables: HashMap<String, String>,
    broken: HashSet<String>,
}

impl Places {
    /// The place of a path, or of what encloses it.
    pub fn mark(&self, path: &str) -> Mark {
        let mut path = path;
        loop {
            if let Some(mark) = self.marks.get(path) {
                return *mark;
            }
            match path.rfind(['.', '[']) {
                Some(at) => path = &path[..at],
                None => return Mark { line: 1, column: 1 },
            }
        }
    }

    /// Whether the file itself says something at this path.
    pub fn is_set(&self, path: &str) -> bool {
        self.marks.contains_key(path)
    }

    /// Whether a mistake at or above this path is already known.
    pub fn is_broken(&self, path: &str) -> bool {
        let ends = path.match_indices(['.', '[']).map(|(at, _)| at);
        [0, path.len()].into_iter().chain(ends).any(|end| self.broken.contains(&path[..end]))
    }

    /// Whether a mistake below this path is already known.
    pub fn is_broken_within(&self, path: &str) -> bool {
        let behind =
            |broken: &String| broken.strip_prefix(path).map(|rest| rest.starts_with(['.', '[']));
        self.broken.iter().any(|broken| behind(broken) == Some(true))
    }

    /// Whether a value came from the environment, and so may be a secret.
    pub fn is_from_environment(&self, path: &str) -> bool {
        self.variables.contains_key(path)
    }

    /// A value as it may stand in a message: what came from the environment may be a secret.
    pub fn shown(&self, path: &str, value: &str) -> String {
        match self.variables.get(path) {
            Some(name) => format!("the value of ${{{name}}}"),
            None => format!("{value:?}"),
        }
    }
}

/// A mistake that does not know its file yet.
#[derive(Debug)]
pub(super) struct Finding {
    pub path: String,
    pub mark: Mark,
    pub message: String,
    pub help: Option<String>,
}

/// Walks a tree along a schema.
pub(super) struct Walk<'a> {
    schema: &'a Value,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    pub places: Places,
    pub findings: Vec<Finding>,
}

/// An object's keys, and those of what encloses it: to say where a misplaced key belongs.
struct Level<'a> {
    properties: Option<&'a Map<String, Value>>,
    /// The keys of all alternatives where each has one of its own, and one is to be chosen.
    tags: Vec<&'a str>,
    /// The keys that are there.
    given: HashSet<&'a str>,
    up: Option<&'a Level<'a>>,
}

impl<'a> Walk<'a> {
    pub fn new(schema: &'a Value, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { schema, lookup, places: Places::default(), findings: Vec::new() }
    }

    /// Walks the whole document.
    pub fn document(&mut self, root: &Node) -> Value {
        let top = Level { properties: None, tags: Vec::new(), given: HashSet::new(), up: None };
        self.value(root, self.schema, "", &top)
            .unwrap_or_else(|| leaf::placeholder(self.schema, self.schema))
    }

    fn report(&mut self, path: &str, mark: Mark, message: String, help: Option<String>) {
        self.places.broken.insert(path.to_owned());
        self.findings.push(Finding { path: path.to_owned(), mark, message, help });
    }

    /// The value of a node, or `None` after reporting why there is none.
    fn value(&mut self, node: &Node, schema: &'a Value, path: &str, up: &Level) -> Option<Value> {
        if let Some(tag) = &node.tag {
            self.report(path, node.mark, format!("the tag {tag} means nothing here"), None);
            return None;
        }
        let leaves = leaf::alternatives(self.schema, schema);
        match &node.body {
            Body::Scalar(scalar) => self.scalar(scalar, node.mark, &leaves, path),
            Body::List(items) => match leaves.iter().find_map(|leaf| leaf.items()) {
                Some(schema) => Some(self.list(items, schema, path, up)),
                None => self.wrong_kind(node.mark, &leaves, path, "a list"),
            },
            Body::Map(entries) => match choose(entries, &leaves) {
                Some(leaf) => {
                    let tags = tags(&leaves);
                    if self.is_untagged(entries, node.mark, &tags, path) {
                        return None;
                    }
                    Some(self.object(entries, node.mark, (leaf, tags), path, up))
                }
                None => self.wrong_kind(node.mark, &leaves, path, "a mapping"),
            },
        }
    }

    fn wrong_kind(&mut self, at: Mark, leaves: &[Leaf], path: &str, kind: &str) -> Option<Value> {
        self.report(path, at, format!("must be {}, not {kind}", leaf::expected(leaves)), None);
        None
    }

    fn scalar(&mut self, scalar: &Scalar, at: Mark, leaves: &[Leaf], path: &str) -> Option<Value> {
        let expanded = match expand(&scalar.text, self.lookup) {
            Ok(expanded) => expanded,
            Err(errors) => {
                for error in errors {
                    self.report(path, at, error.to_string(), Some(error.help()));
                }
                return None;
            }
        };
        let variable = expanded.variable.is_some();
        if let Some(name) = expanded.variable {
            self.places.variables.insert(path.to_owned(), name);
        }
        let shown = self.places.shown(path, &expanded.text);
        let text = Text { text: &expanded.text, plain: scalar.plain, variable, shown: &shown };
        match leaf::read(&text, leaves) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.report(path, at, wrong.message, wrong.help);
                None
            }
        }
    }

    fn list(&mut self, items: &[Node], schema: &'a Value, path: &str, up: &Level) -> Value {
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            self.places.marks.insert(path.clone(), item.mark);
            let value = if item.is_null() {
                self.report(&path, item.mark, "has no value".into(), None);
                None
            } else {
                self.value(item, schema, &path, up)
            };
            // A placeholder keeps the indexes of the others.
            values.push(value.unwrap_or_else(|| leaf::placeholder(self.schema, schema)));
        }
        Value::Array(values)
    }

    /// Reports a mapping that must have one of several keys and has none of them.
    fn is_untagged(&mut self, entries: &[Entry], at: Mark, tags: &[&str], path: &str) -> bool {
        if tags.is_empty() || entries.iter().any(|entry| tags.contains(&entry.key.as_str())) {
            return false;
        }
        let known = || format!("known here: {}", tags.join(", "));
        let Some(entry) = entries.first() else {
            self.report(path, at, "is empty".into(), Some(known()));
            return true;
        };
        let meant = nearest(&entry.key, tags.iter().copied());
        let help = meant.map_or_else(known, |name| format!("did you mean {name:?}?"));
        let inner = join(path, &entry.key);
        self.report(&inner, entry.mark, format!("unknown key {:?}", entry.key), Some(help));
        self.places.broken.insert(path.to_owned());
        true
    }

    fn object(
        &mut self,
        entries: &[Entry],
        at: Mark,
        (leaf, tags): (Leaf<'a>, Vec<&'a str>),
        path: &str,
        up: &Level,
    ) -> Value {
        let given = entries.iter().map(|entry| entry.key.as_str()).collect();
        let level = Level { properties: leaf.properties(), tags, given, up: Some(up) };
        let mut answer = Map::new();
        let mut seen: HashMap<&str, Mark> = HashMap::new();
        for entry in entries {
            let inner = join(path, &entry.key);
            if let Some(first) = seen.insert(&entry.key, entry.mark) {
                let message = format!("the key {:?} appears twice", entry.key);
                let help = format!("it stands in line {} already", first.line);
                self.report(&inner, entry.mark, message, Some(help));
                continue;
            }
            let Some(schema) = leaf.property(&entry.key) else {
                self.unknown_key(entry, &inner, path, &level);
                continue;
            };
            let required = leaf.requires(&entry.key);
            if entry.value.is_null() {
                if required {
                    self.report(&inner, entry.mark, "has no value".into(), None);
                } else if leaf.properties().is_some() {
                    // An optional key without a value is as good as absent.
                    continue;
                }
            }
            self.places.marks.insert(inner.clone(), entry.mark);
            let value = if self.places.broken.contains(&inner) {
                None
            } else {
                self.value(&entry.value, schema, &inner, &level)
            };
            if let Some(value) = value {
                answer.insert(entry.key.clone(), value);
            }
        }
        self.missing_keys(&leaf, at, path, &mut answer);
        Value::Object(answer)
    }

    /// Reports required keys that are absent, and puts placeholders for all that are not there.
    fn missing_keys(
        &mut self,
        leaf: &Leaf<'a>,
        at: Mark,
        path: &str,
        answer: &mut Map<String, Value>,
    ) {
        for key in leaf.required() {
            if answer.contains_key(key) {
                continue;
            }
            let inner = join(path, key);
            if !self.places.broken.contains(&inner) {
                let at = self.places.marks.get(path).copied().unwrap_or(at);
                self.report(&inner, at, format!("the key {key:?} is missing"), None);
            }
            let schema = leaf.property(key).expect("a required key has a schema");
            answer.insert(key.to_owned(), leaf::placeholder(self.schema, schema));
        }
    }

    fn unknown_key(&mut self, entry: &Entry, inner: &str, path: &str, level: &Level) {
        if level.tags.contains(&entry.key.as_str()) {
            let message = format!("{:?} cannot stand beside another one", entry.key);
            let help = format!("only one of {} goes here", level.tags.join(", "));
            return self.report(inner, entry.mark, message, Some(help));
        }
        let known = level.properties;
        let names = || known.into_iter().flat_map(|known| known.keys().map(String::as_str));
        let only = names().next().filter(|_| known.is_some_and(|known| known.len() == 1));
        let meant = nearest(&entry.key, names());
        if let Some(name) = meant.or(only).filter(|name| !level.given.contains(name)) {
            // Not missing, but misspelled: one mistake, not two.
            self.places.broken.insert(join(path, name));
        }
        let help = if let Some(name) = meant {
            format!("did you mean {name:?}?")
        } else if let Some(place) = self.elsewhere(&entry.key, level) {
            place
        } else {
            format!("known here: {}", names().collect::<Vec<_>>().join(", "))
        };
        let message = format!("unknown key {:?}", entry.key);
        self.report(inner, entry.mark, message, Some(help));
    }

    /// Whether a key is known one level further in, or further out.
    fn elsewhere(&self, key: &str, level: &Level) -> Option<String> {
        // Where several know it, the one that is there.
        let (given, others): (Vec<_>, Vec<_>) =
            level.properties?.iter().partition(|(name, _)| level.given.contains(name.as_str()));
        for (name, schema) in given.into_iter().chain(others) {
            let leaves = leaf::alternatives(self.schema, schema);
            let knows = |leaf: &Leaf| leaf.properties().is_some_and(|p| p.contains_key(key));
            if leaves.iter().any(knows) {
                return Some(format!("it belongs inside of {name:?}"));
            }
        }
        let mut up = level.up;
        while let Some(outer) = up {
            if let Some(properties) = outer.properties.filter(|known| known.contains_key(key)) {
                let beside = properties.keys().find(|name| *name != key)?;
                return Some(format!("it belongs further out, beside {beside:?}"));
            }
            up = outer.up;
        }
        None
    }
}

/// The keys that tell several alternatives apart; none where they are told apart otherwise.
fn tags<'a>(leaves: &[Leaf<'a>]) -> Vec<&'a str> {
    let mappings = leaves.iter().filter(|leaf| leaf.is_mapping());
    let tags: Option<Vec<&str>> = mappings.map(Leaf::tag).collect();
    tags.filter(|tags| tags.len() > 1).unwrap_or_default()
}

/// The alternative that a mapping is meant to be: by a word where the alternatives are told apart
/// by one (`mechanism: plain`), by its only key where they are told apart by that (`sse_kms: …`),
/// otherwise the first that is a mapping at all.
fn choose<'a>(entries: &[Entry], leaves: &[Leaf<'a>]) -> Option<Leaf<'a>> {
    let mappings = || leaves.iter().copied().filter(|leaf| leaf.is_mapping());
    let says = |leaf: &Leaf| {
        entries.iter().any(|entry| match &entry.value.body {
            Body::Scalar(scalar) => leaf.word(&entry.key) == Some(scalar.text.as_str()),
            Body::List(_) | Body::Map(_) => false,
        })
    };
    let knows = |leaf: &Leaf| entries.iter().any(|entry| leaf.property(&entry.key).is_some());
    mappings().find(says).or_else(|| mappings().find(knows)).or_else(|| mappings().next())
}
