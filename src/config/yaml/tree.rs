//! A YAML document as a tree in which every node knows its place.
//!
//! Duplicate keys stay in the tree, so that all of them can be reported; `<<` takes over the
//! entries of an alias, as most YAML tools understand it.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::problem::Mark;

/// Deepest nesting: four times what any valid configuration needs.
const DEPTH_MAX: usize = 64;
/// Most nodes, those of aliases counted each time: a few nested aliases could ask for billions.
const NODES_MAX: usize = 200_000;

/// A node and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub mark: Mark,
    pub body: Body,
    /// A tag that is not one of YAML's own, `!secret`.
    pub tag: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// Text as it stands in the file, quotes and escapes resolved.
#[derive(Debug, Clone)]
pub(super) struct Scalar {
    pub text: String,
    /// Neither quoted nor a block nor `!!str`, so that `5` is a number and `true` a boolean.
    pub plain: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: String,
    pub mark: Mark,
    pub value: Node,
}

/// Why there is no tree.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub mark: Mark,
    pub message: String,
}

/// Reads the one document of a text. An empty text is an empty mapping.
pub(super) fn parse(text: &str) -> Result<Node, Unreadable> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder =
        Builder { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    let root = builder.document()?;
    Ok(root.unwrap_or(Node {
        mark: Mark { line: 1, column: 1 },
        body: Body::Map(Vec::new()),
        tag: None,
    }))
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Anchored nodes with the number of nodes in them.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

fn place(marker: Marker) -> Mark {
    Mark { line: marker.line(), column: marker.col() + 1 }
}

fn wrong(marker: Marker, message: impl Into<String>) -> Unreadable {
    Unreadable { mark: place(marker), message: message.into() }
}

impl From<ScanError> for Unreadable {
    fn from(error: ScanError) -> Self {
        wrong(*error.marker(), format!("not valid YAML: {}", error.info()))
    }
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Option<Node>, Unreadable> {
        let mut root = None;
        while let Some(next) = self.parser.next_event() {
            let (event, span) = next?;
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(wrong(span.start, "a second document: only one is read"));
                }
                Event::DocumentStart(_) => {}
                first => root = Some(self.node(first, span, 0)?),
            }
        }
        Ok(root.filter(|node| !node.is_null()))
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Unreadable> {
        match self.parser.next_event() {
            Some(next) => Ok(next?),
            None => Err(wrong(Marker::default(), "not valid YAML: it ends in the middle")),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Unreadable> {
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            return Err(wrong(span.start, "nested too deeply, or too large"));
        }
        let before = self.nodes;
        let (body, anchor, tag) = match event {
            Event::Alias(id) => return self.alias(id, span),
            Event::Scalar(text, style, anchor, tag) => {
                let forced =
                    tag.as_ref().is_some_and(|t| t.is_yaml_core_schema() && t.suffix == "str");
                let plain = style == ScalarStyle::Plain && !forced;
                (Body::Scalar(Scalar { text: text.into_owned(), plain }), anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => (self.list(depth)?, anchor, tag),
            Event::MappingStart(anchor, tag) => (self.map(depth)?, anchor, tag),
            _ => return Err(wrong(span.start, "not valid YAML: a value is missing")),
        };
        let tag = tag
            .filter(|tag| !tag.is_yaml_core_schema())
            .map(|tag| format!("{}{}", tag.handle, tag.suffix));
        let node = Node { mark: place(span.start), body, tag };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before + 1));
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, Unreadable> {
        let Some((node, size)) = self.anchors.get(&id) else {
            return Err(wrong(span.start, "an alias inside of its own anchor"));
        };
        self.nodes += size;
        if self.nodes > NODES_MAX {
            return Err(wrong(span.start, "nested too deeply, or too large"));
        }
        Ok(node.clone())
    }

    fn list(&mut self, depth: usize) -> Result<Body, Unreadable> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Body::List(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Body, Unreadable> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut inherited = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let Body::Scalar(Scalar { text, plain }) = key.body else {
                return Err(Unreadable { mark: key.mark, message: "a key must be text".into() });
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if plain && text == "<<" {
                inherit(&value, &mut inherited)?;
            } else {
                entries.push(Entry { key: text, mark: key.mark, value });
            }
        }
        let own = entries.len();
        for entry in inherited {
            if entries[..own].iter().all(|mine| mine.key != entry.key) {
                entries.push(entry);
            }
        }
        Ok(Body::Map(entries))
    }
}

/// Collects what `<<: value` brings in: the entries of a mapping, or of several, the first wins.
fn inherit(value: &Node, into: &mut Vec<Entry>) -> Result<(), Unreadable> {
    match &value.body {
        Body::Map(entries) => {
            for entry in entries {
                if into.iter().all(|known| known.key != entry.key) {
                    into.push(entry.clone());
                }
            }
            Ok(())
        }
        Body::List(nodes) => nodes.iter().try_for_each(|node| inherit(node, into)),
        Body::Scalar(_) => {
            let message = "`<<` takes an alias of a mapping, or a list of them".into();
            Err(Unreadable { mark: value.mark, message })
        }
    }
}

impl Node {
    /// Nothing, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.body, Body::Scalar(scalar)
            if scalar.plain && matches!(scalar.text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(node: &Node) -> Vec<(&str, usize, usize)> {
        let Body::Map(entries) = &node.body else { panic!("no mapping: {node:?}") };
        entries.iter().map(|e| (e.key.as_str(), e.mark.line, e.mark.column)).collect()
    }

    #[test]
    fn places_count_from_one_and_duplicates_stay() {
        let root = parse("a: 1\nb:\n  - {c: 2}\na: 3\n").unwrap();
        assert_eq!(keys(&root), [("a", 1, 1), ("b", 2, 1), ("a", 4, 1)]);
        let Body::Map(entries) = &root.body else { unreachable!() };
        let Body::List(items) = &entries[1].value.body else { panic!("no list") };
        assert_eq!(keys(&items[0]), [("c", 3, 6)]);
    }

    #[test]
    fn a_merge_gives_way_to_what_is_written() {
        let root = parse("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n").unwrap();
        let Body::Map(entries) = &root.body else { unreachable!() };
        assert_eq!(keys(&entries[1].value), [("b", 2, 13), ("a", 1, 8)]);
    }

    #[test]
    fn empty_texts_are_empty_mappings_and_bombs_are_refused() {
        for text in ["", "# nothing\n", "---\n", "~\n"] {
            assert!(keys(&parse(text).unwrap()).is_empty(), "{text:?}");
        }
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let alias = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![alias; 9].join(", "));
        }
        assert!(parse(&bomb).unwrap_err().message.contains("too large"));
        assert!(parse(&"[".repeat(500)).is_err());
        assert_eq!(parse("a: 1\n---\nb: 2\n").unwrap_err().mark.line, 2);
        assert_eq!(parse("a: [1\nb: 2\n").unwrap_err().mark.line, 2);
    }
}
