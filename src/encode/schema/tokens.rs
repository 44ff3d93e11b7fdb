//! Words, quotes and punctuation of Hive's DDL, one at a time. Every byte is looked at once.

use super::error::{Place, SchemaError};

/// Longest part of the text that an error repeats, in characters.
const FOUND_CHARS: usize = 40;

/// What stands between words. Everything else that is no space belongs to a word: names in Glue
/// have dots, dashes, `$` and `@` in them.
const PUNCTUATION: &[char] = &['<', '>', '(', ')', ',', ':', ';', '=', '\'', '"', '`'];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Word(&'a str),
    /// A name in back-quotes.
    Quoted(String),
    /// A text in quotation marks; nobody asks what it says.
    Text,
    Mark(char),
    End,
}

impl Token<'_> {
    /// Whether it is this word, in any case.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found.eq_ignore_ascii_case(word))
    }
}

/// A text and how far it has been read.
pub(super) struct Tokens<'a> {
    text: &'a str,
    /// Where the next token begins (after space and comments) once it has been looked at.
    next: Option<(usize, usize, Token<'a>)>,
    at: usize,
    /// Where the last token that was taken begins and ends.
    taken: (usize, usize),
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, next: None, at: 0, taken: (0, 0) }
    }

    /// The next token, which stays.
    pub(super) fn peek(&mut self) -> Result<&Token<'a>, SchemaError> {
        let next = match self.next.take() {
            Some(next) => next,
            None => self.read()?,
        };
        Ok(&self.next.insert(next).2)
    }

    /// The next token, which is taken.
    pub(super) fn take(&mut self) -> Result<Token<'a>, SchemaError> {
        let (start, end, token) = match self.next.take() {
            Some(next) => next,
            None => self.read()?,
        };
        (self.at, self.taken) = (end, (start, end));
        Ok(token)
    }

    /// Takes the next token if it is this mark.
    pub(super) fn takes_mark(&mut self, mark: char) -> Result<bool, SchemaError> {
        let is_there = *self.peek()? == Token::Mark(mark);
        if is_there {
            self.take()?;
        }
        Ok(is_there)
    }

    /// Takes the next token if it is this word.
    pub(super) fn takes_word(&mut self, word: &str) -> Result<bool, SchemaError> {
        let is_there = self.peek()?.is(word);
        if is_there {
            self.take()?;
        }
        Ok(is_there)
    }

    /// Takes this mark, or says that something else is there.
    pub(super) fn mark(&mut self, mark: char, expected: &'static str) -> Result<(), SchemaError> {
        if self.takes_mark(mark)? { Ok(()) } else { Err(self.wrong_next(expected)) }
    }

    /// Where the last token begins and ends in the text.
    pub(super) fn taken(&self) -> (usize, usize) {
        self.taken
    }

    pub(super) fn slice(&self, start: usize, end: usize) -> &'a str {
        &self.text[start..end]
    }

    pub(super) fn place(&self, at: usize) -> Place {
        Place::of(self.text, at)
    }

    /// The place of the token taken last.
    pub(super) fn place_taken(&self) -> Place {
        self.place(self.taken.0)
    }

    /// The token taken last is not what should stand there.
    pub(super) fn wrong(&self, expected: &'static str) -> SchemaError {
        self.wrong_at(self.taken.0, self.taken.1, expected)
    }

    /// The token that comes next is not what should stand there.
    pub(super) fn wrong_next(&mut self, expected: &'static str) -> SchemaError {
        if let Err(error) = self.peek() {
            return error;
        }
        let (start, end) =
            self.next.as_ref().map_or((self.at, self.at), |(start, end, _)| (*start, *end));
        self.wrong_at(start, end, expected)
    }

    fn wrong_at(&self, start: usize, end: usize, expected: &'static str) -> SchemaError {
        let found = match &self.text[start..end] {
            "" => "the end".to_owned(),
            text => {
                let mut found: String = text.chars().take(FOUND_CHARS).collect();
                if found.len() < text.len() {
                    found.push('…');
                }
                format!("{found:?}")
            }
        };
        SchemaError::Syntax { place: self.place(start), expected, found }
    }

    fn read(&self) -> Result<(usize, usize, Token<'a>), SchemaError> {
        let start = self.skip(self.at)?;
        let Some(first) = self.text[start..].chars().next() else {
            return Ok((start, start, Token::End));
        };
        match first {
            '`' => {
                let (end, name) = self.quoted(start, '`', "a closing back-quote")?;
                Ok((start, end, Token::Quoted(name)))
            }
            '\'' | '"' => {
                let (end, _) = self.quoted(start, first, "a closing quotation mark")?;
                Ok((start, end, Token::Text))
            }
            mark if PUNCTUATION.contains(&mark) => Ok((start, start + 1, Token::Mark(mark))),
            _ => {
                let end = self.end_of_word(start);
                Ok((start, end, Token::Word(&self.text[start..end])))
            }
        }
    }

    fn end_of_word(&self, start: usize) -> usize {
        let rest = &self.text[start..];
        let ends = |(at, c): (usize, char)| {
            let ends = c.is_whitespace()
                || PUNCTUATION.contains(&c)
                || rest[at..].starts_with("--")
                || rest[at..].starts_with("/*");
            ends.then_some(at)
        };
        rest.char_indices().find_map(ends).map_or(self.text.len(), |end| start + end)
    }

    /// The first byte behind space and comments.
    fn skip(&self, from: usize) -> Result<usize, SchemaError> {
        let mut at = from;
        loop {
            let rest = &self.text[at..];
            let trimmed = rest.trim_start();
            at += rest.len() - trimmed.len();
            if trimmed.starts_with("--") {
                at = trimmed.find('\n').map_or(self.text.len(), |newline| at + newline);
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else {
                    return Err(self.wrong_at(self.text.len(), self.text.len(), "*/"));
                };
                at += 2 + end + 2;
            } else {
                return Ok(at);
            }
        }
    }

    /// What stands between two quotes; a doubled quote is one, and in texts a backslash takes the
    /// next character along.
    fn quoted(
        &self,
        start: usize,
        quote: char,
        expected: &'static str,
    ) -> Result<(usize, String), SchemaError> {
        let inner = start + 1;
        let mut name = String::new();
        let mut chars = self.text[inner..].char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                if chars.next_if(|(_, next)| *next == quote).is_none() {
                    return Ok((inner + at + 1, name));
                }
            } else if c == '\\' && quote != '`' {
                chars.next();
            }
            if quote == '`' {
                name.push(c);
            }
        }
        Err(self.wrong_at(self.text.len(), self.text.len(), expected))
    }
}
