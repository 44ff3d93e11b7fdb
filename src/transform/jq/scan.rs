//! The bytes of a JSON document, token by token, and a search for a few values in it that looks
//! at no more of the document than it must.

use std::borrow::Cow;

/// A place in the bytes of a document.
pub(super) struct Scanner<'a> {
    pub(super) data: &'a [u8],
    pub(super) at: usize,
}

/// What stands between the quotes of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transform) struct Quoted<'a> {
    pub(super) raw: &'a [u8],
    /// Whether it holds a backslash.
    pub(super) escaped: bool,
}

impl<'a> Quoted<'a> {
    /// The text that is meant; `None` if it is no UTF-8 or an escape is wrong. A half of a
    /// surrogate pair becomes U+FFFD, as in jq.
    pub(in crate::transform) fn text(&self) -> Option<Cow<'a, str>> {
        let raw = simdutf8::basic::from_utf8(self.raw).ok()?;
        if self.escaped { unescape(raw).map(Cow::Owned) } else { Some(Cow::Borrowed(raw)) }
    }

    pub(super) fn is(&self, key: &str) -> bool {
        if self.escaped {
            self.text().is_some_and(|text| text == key)
        } else {
            self.raw == key.as_bytes()
        }
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// The next byte that is no white space.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.data.get(self.at)?;
            if byte > b' ' || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Takes the next byte if it is this one.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// A string, from its opening quote on.
    #[inline]
    pub(super) fn string(&mut self) -> Option<Quoted<'a>> {
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at = quote_or_backslash(self.data, at);
            if *self.data.get(at)? == b'"' {
                self.at = at + 1;
                return Some(Quoted { raw: &self.data[start..at], escaped });
            }
            escaped = true;
            at += 2;
        }
    }

    /// Goes over a value without looking at it more closely than its end demands.
    fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' | b'[' => self.skip_nested(),
            b',' | b':' | b'}' | b']' => None,
            _ => {
                self.word();
                Some(())
            }
        }
    }

    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match *self.data.get(self.at)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return Some(());
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// What goes on up to white space or punctuation: a number, `true`, `false`, `null`.
    pub(super) fn word(&mut self) -> &'a [u8] {
        let rest = &self.data[self.at..];
        let ends = |byte: &u8| {
            matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b'}' | b']' | b'{' | b'[')
        };
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The place of the next quote or backslash, or the end. Most strings are short, so eight bytes
/// at a time in a register beat a call of a search that has to set itself up.
#[inline]
fn quote_or_backslash(data: &[u8], mut at: usize) -> usize {
    let matches = |word: u64, byte: u8| {
        let differing = word ^ (ONES * u64::from(byte));
        differing.wrapping_sub(ONES) & !differing & HIGHS
    };
    while let Some(chunk) = data.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("the slice has eight bytes"));
        let found = matches(word, b'"') | matches(word, b'\\');
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while data.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\')) {
        at += 1;
    }
    at.min(data.len())
}

fn unescape(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let (char, length) = escape(&rest.as_bytes()[at + 1..])?;
        text.push(char);
        rest = &rest[at + 1 + length..];
    }
    text.push_str(rest);
    Some(text)
}

/// What an escape means, and its length behind the backslash.
fn escape(rest: &[u8]) -> Option<(char, usize)> {
    let char = match rest.first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(rest),
        _ => return None,
    };
    Some((char, 1))
}

fn unicode(rest: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = rest.get(at..at + 4)?;
        let digit = |value: u32, &byte: &u8| Some(value * 16 + char::from(byte).to_digit(16)?);
        digits.iter().try_fold(0, digit)
    };
    let high = unit(1)?;
    if let Some(char) = char::from_u32(high) {
        return Some((char, 5));
    }
    if high < 0xdc00
        && rest.get(5..7) == Some(b"\\u")
        && let Some(low) = unit(7)
        && (0xdc00..0xe000).contains(&low)
    {
        let point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return Some((char::from_u32(point)?, 11));
    }
    Some((char::REPLACEMENT_CHARACTER, 5))
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transform) enum Step {
    Key(String),
    Index(usize),
}

/// Paths that are looked for together.
#[derive(Debug, Clone, Default)]
pub(in crate::transform) struct Search {
    root: Node,
    paths: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// The paths that end here.
    wanted: Vec<usize>,
    keys: Vec<(String, Node)>,
    elements: Vec<(usize, Node)>,
}

/// A value that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transform) enum Found<'a> {
    String(Quoted<'a>),
    /// A number, `true`, `false`, `null`, or something that is none of them.
    Word(&'a [u8]),
    /// An object or an array.
    Nested,
}

impl Search {
    /// `None` if the paths cannot be followed in one go: one leads to the document itself or
    /// through the end of another, or takes for a list what another takes for an object.
    pub(in crate::transform) fn new(paths: &[Vec<Step>]) -> Option<Self> {
        let mut root = Node::default();
        for (index, path) in paths.iter().enumerate() {
            let mut node = &mut root;
            for step in path {
                node = node.child(step);
            }
            node.wanted.push(index);
        }
        root.is_sound().then_some(Self { root, paths: paths.len() })
    }

    /// The values at the paths, in their order, as jq finds them: of a key that comes twice the
    /// last counts. A path that leads nowhere stays `None`. False if the document was found to be
    /// no JSON, does not end, or is not alone. Values that are gone past are not checked beyond
    /// their strings and brackets.
    pub(in crate::transform) fn run<'a>(
        &self,
        data: &'a [u8],
        found: &mut Vec<Option<Found<'a>>>,
    ) -> bool {
        self.walk(data, found, Extent::Whole)
    }

    /// Like [`Self::run`], but the search ends at the last of the paths: what follows in the
    /// document is not looked at, and of a key that comes twice the first counts.
    pub(in crate::transform) fn run_to_last<'a>(
        &self,
        data: &'a [u8],
        found: &mut Vec<Option<Found<'a>>>,
    ) -> bool {
        self.walk(data, found, Extent::ToLast { missing: self.paths })
    }

    fn walk<'a>(&self, data: &'a [u8], found: &mut Vec<Option<Found<'a>>>, extent: Extent) -> bool {
        found.clear();
        found.resize(self.paths, None);
        let mut walk = Walk { scanner: Scanner::new(data), found, extent };
        match walk.value(&self.root) {
            Err(Stop::Complete) => true,
            Err(Stop::Broken) => false,
            Ok(()) => walk.scanner.peek().is_none(),
        }
    }
}

impl Node {
    fn child(&mut self, step: &Step) -> &mut Node {
        match step {
            Step::Key(key) => entry(&mut self.keys, key),
            Step::Index(index) => entry(&mut self.elements, index),
        }
    }

    fn forget(&self, found: &mut [Option<Found<'_>>]) {
        self.wanted.iter().for_each(|&index| found[index] = None);
        self.keys.iter().for_each(|(_, node)| node.forget(found));
        self.elements.iter().for_each(|(_, node)| node.forget(found));
    }

    fn is_sound(&self) -> bool {
        let ways = [!self.wanted.is_empty(), !self.keys.is_empty(), !self.elements.is_empty()];
        ways.iter().filter(|&&way| way).count() == 1
            && self.keys.iter().all(|(_, node)| node.is_sound())
            && self.elements.iter().all(|(_, node)| node.is_sound())
    }
}

fn entry<'a, K: Clone + PartialEq>(nodes: &'a mut Vec<(K, Node)>, key: &K) -> &'a mut Node {
    let at = nodes.iter().position(|(other, _)| other == key).unwrap_or_else(|| {
        nodes.push((key.clone(), Node::default()));
        nodes.len() - 1
    });
    &mut nodes[at].1
}

/// Why a walk ends before the document does.
enum Stop {
    Complete,
    Broken,
}

/// How much of a document is looked at.
enum Extent {
    Whole,
    /// Up to the last path, of which so many are missing.
    ToLast {
        missing: usize,
    },
}

struct Walk<'a, 'f> {
    scanner: Scanner<'a>,
    found: &'f mut Vec<Option<Found<'a>>>,
    extent: Extent,
}

impl Walk<'_, '_> {
    /// The recursion is as deep as the longest path.
    fn value(&mut self, node: &Node) -> Result<(), Stop> {
        match self.scanner.peek().ok_or(Stop::Broken)? {
            _ if !node.wanted.is_empty() => self.keep(node),
            b'{' if !node.keys.is_empty() => self.object(node),
            b'[' if !node.elements.is_empty() => self.array(node),
            _ => self.scanner.skip().ok_or(Stop::Broken),
        }
    }

    fn keep(&mut self, node: &Node) -> Result<(), Stop> {
        let scanner = &mut self.scanner;
        let value = match scanner.peek().ok_or(Stop::Broken)? {
            b'"' => Found::String(scanner.string().ok_or(Stop::Broken)?),
            b'{' | b'[' => {
                scanner.skip_nested().ok_or(Stop::Broken)?;
                Found::Nested
            }
            _ => Found::Word(scanner.word()),
        };
        let is_new = self.found[node.wanted[0]].is_none();
        match &mut self.extent {
            Extent::ToLast { .. } if !is_new => return Ok(()),
            Extent::ToLast { missing } => *missing -= node.wanted.len(),
            Extent::Whole => {}
        }
        for &index in &node.wanted {
            self.found[index] = Some(value);
        }
        let complete = matches!(self.extent, Extent::ToLast { missing: 0 });
        if complete { Err(Stop::Complete) } else { Ok(()) }
    }

    /// The value of a key that is on a path. An earlier one of the same key no longer counts, nor
    /// does anything that was found in it.
    fn value_of_key(&mut self, node: &Node) -> Result<(), Stop> {
        if matches!(self.extent, Extent::Whole) {
            node.forget(self.found);
        }
        self.value(node)
    }

    fn object(&mut self, node: &Node) -> Result<(), Stop> {
        let scanner = &mut self.scanner;
        scanner.at += 1;
        if scanner.take(b'}').is_some() {
            return Ok(());
        }
        loop {
            let scanner = &mut self.scanner;
            if scanner.peek() != Some(b'"') {
                return Err(Stop::Broken);
            }
            let key = scanner.string().ok_or(Stop::Broken)?;
            scanner.take(b':').ok_or(Stop::Broken)?;
            match node.keys.iter().find(|(name, _)| key.is(name)) {
                Some((_, child)) => self.value_of_key(child)?,
                None => scanner.skip().ok_or(Stop::Broken)?,
            }
            if self.ended(b'}')? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, node: &Node) -> Result<(), Stop> {
        self.scanner.at += 1;
        if self.scanner.take(b']').is_some() {
            return Ok(());
        }
        for index in 0.. {
            match node.elements.iter().find(|(wanted, _)| *wanted == index) {
                Some((_, child)) => self.value(child)?,
                None => self.scanner.skip().ok_or(Stop::Broken)?,
            }
            if self.ended(b']')? {
                break;
            }
        }
        Ok(())
    }

    /// Behind a value: whether the object or the array ends here.
    fn ended(&mut self, closing: u8) -> Result<bool, Stop> {
        let scanner = &mut self.scanner;
        match scanner.peek() {
            Some(b',') => {
                scanner.at += 1;
                Ok(false)
            }
            Some(byte) if byte == closing => {
                scanner.at += 1;
                Ok(true)
            }
            _ => Err(Stop::Broken),
        }
    }
}
