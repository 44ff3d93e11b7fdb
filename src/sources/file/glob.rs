//! Globs: `*`, `?`, `[a-z]`, `[!a-z]`, `{a,b}`, and `**` for folders at any depth.
//!
//! Matching goes back to the last star only, so no pattern takes more than the product of the
//! lengths.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

use crate::limits;

/// One pattern, braces written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pub parts: Vec<Part>,
    /// Whether it is of a whole path; of a name alone otherwise.
    pub absolute: bool,
}

/// What stands between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Literal(OsString),
    Match(Vec<Token>),
    AnyDepth,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    Byte(u8),
    /// One character.
    One,
    /// Any number of characters.
    Many,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Takes a text apart; `{a,b}` makes several patterns.
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        let texts = braces(text)?;
        texts.iter().map(|text| Self::of(text)).collect()
    }

    fn of(text: &str) -> Result<Self, String> {
        let absolute = text.contains('/');
        let mut parts = Vec::new();
        for piece in text.split('/').filter(|piece| !piece.is_empty() && *piece != ".") {
            if piece == ".." {
                return Err(format!("pattern {text:?} goes up with \"..\": write the path itself"));
            }
            parts.push(part(piece).map_err(|why| format!("pattern {text:?}: {why}"))?);
        }
        if parts.is_empty() {
            return Err(format!("pattern {text:?} names no file"));
        }
        // `/a/**` means everything below `/a`.
        if parts.last() == Some(&Part::AnyDepth) {
            parts.push(Part::Match(vec![Token::Many]));
        }
        if parts.len() > limits::FILE_DEPTH_MAX {
            return Err(format!("pattern {text:?} is deeper than {}", limits::FILE_DEPTH_MAX));
        }
        Ok(Self { parts, absolute })
    }

    /// Whether a path is meant, names that begin with a dot included.
    pub fn matches(&self, path: &Path) -> bool {
        let names: Vec<&OsStr> = path.iter().filter(|name| *name != "/").collect();
        if !self.absolute {
            return names.last().is_some_and(|name| self.parts[0].matches(name, true));
        }
        // reached[i]: the parts so far match the first i names.
        let mut reached = vec![false; names.len() + 1];
        reached[0] = true;
        for part in &self.parts {
            let mut next = vec![false; names.len() + 1];
            for (i, _) in reached.iter().enumerate().filter(|(_, reached)| **reached) {
                match part {
                    Part::AnyDepth => next[i..].fill(true),
                    part if i < names.len() => next[i + 1] |= part.matches(names[i], true),
                    _ => {}
                }
            }
            reached = next;
        }
        reached[names.len()]
    }
}

impl Part {
    /// Whether a name is meant. `hidden`: names that begin with a dot are like others.
    pub fn matches(&self, name: &OsStr, hidden: bool) -> bool {
        match self {
            Self::Literal(literal) => literal == name,
            Self::AnyDepth => true,
            Self::Match(tokens) => {
                let name = name.as_bytes();
                let dotted = matches!(tokens.first(), Some(Token::Byte(b'.')));
                (hidden || dotted || !name.starts_with(b".")) && matches(tokens, name)
            }
        }
    }
}

fn matches(tokens: &[Token], name: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    // The last star, and the place that it is tried to reach to.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match tokens.get(token) {
            None if at == name.len() => return true,
            None => None,
            Some(Token::Many) => {
                star = Some((token, at));
                token += 1;
                continue;
            }
            Some(wanted) => one(wanted, &name[at..]),
        };
        if let Some(length) = step {
            at += length;
            token += 1;
            continue;
        }
        let Some((many, reach)) = star else { return false };
        if reach == name.len() {
            return false;
        }
        let reach = reach + first(&name[reach..]).map_or(1, |(_, length)| length);
        star = Some((many, reach));
        (token, at) = (many + 1, reach);
    }
}

/// Bytes that the token takes of the rest.
fn one(token: &Token, rest: &[u8]) -> Option<usize> {
    match token {
        Token::Byte(byte) => (rest.first() == Some(byte)).then_some(1),
        Token::One => first(rest).map(|(_, length)| length),
        Token::Class { negated, ranges } => {
            let (character, length) = first(rest)?;
            let within = ranges.iter().any(|(low, high)| (*low..=*high).contains(&character));
            (within != *negated).then_some(length)
        }
        Token::Many => None,
    }
}

/// The first character and its length; a byte that is none counts as one.
fn first(rest: &[u8]) -> Option<(char, usize)> {
    let head = &rest[..rest.len().min(4)];
    let chunk = head.utf8_chunks().next()?;
    match chunk.valid().chars().next() {
        Some(character) => Some((character, character.len_utf8())),
        None => Some((char::REPLACEMENT_CHARACTER, 1)),
    }
}

fn part(piece: &str) -> Result<Part, String> {
    if piece == "**" {
        return Ok(Part::AnyDepth);
    }
    let mut tokens = Vec::new();
    let mut literal = Some(Vec::new());
    let mut rest = piece.chars();
    while let Some(character) = rest.next() {
        let byte = match character {
            '*' => {
                if tokens.last() != Some(&Token::Many) {
                    tokens.push(Token::Many);
                }
                literal = None;
                continue;
            }
            '?' => {
                tokens.push(Token::One);
                literal = None;
                continue;
            }
            '[' => {
                tokens.push(class(&mut rest)?);
                literal = None;
                continue;
            }
            '\\' => rest.next().ok_or("a backslash stands before nothing")?,
            other => other,
        };
        let mut buffer = [0; 4];
        for &byte in byte.encode_utf8(&mut buffer).as_bytes() {
            tokens.push(Token::Byte(byte));
            if let Some(literal) = &mut literal {
                literal.push(byte);
            }
        }
    }
    Ok(literal.map_or(Part::Match(tokens), |bytes| Part::Literal(OsString::from_vec(bytes))))
}

fn class(rest: &mut std::str::Chars<'_>) -> Result<Token, String> {
    let open = || "a [ has no ]".to_owned();
    let mut next = rest.next().ok_or_else(open)?;
    let negated = matches!(next, '!' | '^');
    if negated {
        next = rest.next().ok_or_else(open)?;
    }
    let mut ranges: Vec<(char, char)> = Vec::new();
    loop {
        // A ] that stands first is meant itself.
        if next == ']' && !ranges.is_empty() {
            return Ok(Token::Class { negated, ranges });
        }
        let mut after = rest.next().ok_or_else(open)?;
        let mut high = next;
        if after == '-' {
            let end = rest.next().ok_or_else(open)?;
            if end == ']' {
                ranges.extend([(next, next), ('-', '-')]);
                return Ok(Token::Class { negated, ranges });
            }
            high = end;
            after = rest.next().ok_or_else(open)?;
        }
        ranges.push((next, high));
        next = after;
    }
}

/// Writes out `{a,b}`, also where they stand in each other.
fn braces(text: &str) -> Result<Vec<String>, String> {
    let mut done = Vec::new();
    let mut open = vec![text.to_owned()];
    while let Some(text) = open.pop() {
        let Some((start, commas, end)) = outermost(&text)? else {
            done.push(text);
            continue;
        };
        let mut from = start + 1;
        for to in commas.into_iter().chain([end]) {
            open.push(format!("{}{}{}", &text[..start], &text[from..to], &text[end + 1..]));
            from = to + 1;
        }
        if open.len() + done.len() > limits::FILE_PATTERNS_MAX {
            return Err(format!("a pattern is more than {} paths", limits::FILE_PATTERNS_MAX));
        }
    }
    done.reverse();
    Ok(done)
}

/// The first pair of braces that stands in no other, and the commas in it.
fn outermost(text: &str) -> Result<Option<(usize, Vec<usize>, usize)>, String> {
    let (mut depth, mut start, mut commas, mut escaped) = (0, 0, Vec::new(), false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => {
                escaped = false;
                continue;
            }
            b'\\' => escaped = true,
            b'{' => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            b',' if depth == 1 => commas.push(at),
            b'}' if depth == 1 => return Ok(Some((start, commas, at))),
            b'}' if depth > 1 => depth -= 1,
            _ => {}
        }
    }
    if depth == 0 { Ok(None) } else { Err(format!("pattern {text:?} has a {{ without its }}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().iter().any(|pattern| pattern.matches(Path::new(path)))
    }

    #[test]
    fn patterns_mean_what_shells_mean() {
        for (pattern, path, expected) in [
            ("/v/*.log", "/v/a.log", true),
            ("/v/*.log", "/v/b/a.log", false),
            ("/v/**/*.log", "/v/b/c/a.log", true),
            ("/v/**/*.log", "/v/a.log", true),
            ("/v/**", "/v/b/c", true),
            ("/v/app.log*", "/v/app.log.1", true),
            ("/v/a?c", "/v/aéc", true),
            ("/v/a?c", "/v/ac", false),
            ("/v/[a-c]x[!0-9]", "/v/bxy", true),
            ("/v/[a-c]x[!0-9]", "/v/bx7", false),
            ("/v/[]-]x", "/v/]x", true),
            ("/v/{a,b{c,d}}.log", "/v/bd.log", true),
            ("/v/{a,b{c,d}}.log", "/v/b.log", false),
            ("/v/\\*.log", "/v/*.log", true),
            ("/v/\\*.log", "/v/a.log", false),
            ("/v/*a*b*c", "/v/xxaxxbxxc", true),
            ("/v/*a*b*c", "/v/xxaxxbxx", false),
            ("*.gz", "/v/w/a.gz", true),
            ("*.gz", "/v/w.gz/a", false),
        ] {
            assert_eq!(hits(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn hidden_names_are_asked_for_by_name() {
        let star = part("*.log").unwrap();
        assert!(!star.matches(OsStr::new(".a.log"), false));
        assert!(part(".*.log").unwrap().matches(OsStr::new(".a.log"), false));
        assert!(star.matches(OsStr::new(".a.log"), true));
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for text in ["/v/[a", "/v/{a", "/v/../x", "/", "/v/a\\", &"{a,b}".repeat(40)] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hostile_patterns_take_no_time() {
        let stars = "*a".repeat(200) + "b";
        assert!(!hits(&format!("/{stars}"), &format!("/{}", "a".repeat(250))));
    }

    #[test]
    fn names_that_are_no_text_are_matched() {
        let name = OsStr::from_bytes(b"a\xffb.log");
        assert!(part("a?b.log").unwrap().matches(name, false));
        assert!(part("*.log").unwrap().matches(name, false));
    }
}
