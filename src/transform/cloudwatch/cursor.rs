//! Reads the tokens of a JSON document in place.
//!
//! Strings are read strictly. Values that nobody asks for are skipped by their quotes and brackets
//! alone, without recursion, so that no depth of nesting costs more than its bytes.

use std::borrow::Cow;

use super::{
    super::json_scan::{is_space, plain_run},
    output::{Output, short_escape},
};

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the record holds no CloudWatch Logs document")]
    Empty,
    #[error("the CloudWatch Logs document has no {0}")]
    Missing(&'static str),
    #[error("the CloudWatch Logs document has more than one {0}")]
    Twice(&'static str),
    #[error("the messageType is neither DATA_MESSAGE nor CONTROL_MESSAGE")]
    UnknownType,
    #[error("byte {at} of the CloudWatch Logs document is not {expected}")]
    Unexpected { expected: &'static str, at: usize },
    #[error("the CloudWatch Logs document ends in the middle")]
    Truncated,
    #[error("more than {limit} bytes come out of the CloudWatch Logs document")]
    TooLarge { limit: usize },
}

/// A place in a document.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where it stands, to come back to it.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    pub(super) fn go_to(&mut self, place: usize) {
        self.at = place;
    }

    /// The bytes from here to the end.
    pub(super) fn left(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next byte that is no white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !is_space(byte) {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn unexpected(&self, expected: &'static str) -> Malformed {
        if self.at >= self.bytes.len() {
            return Malformed::Truncated;
        }
        Malformed::Unexpected { expected, at: self.at }
    }

    /// Steps over a byte that must come next.
    pub(super) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(self.unexpected(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// Goes on to the next item of an object or a list that has been opened; false at its end.
    pub(super) fn next_item(&mut self, first: &mut bool, close: u8) -> Result<bool, Malformed> {
        let is_first = std::mem::replace(first, false);
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(_) if is_first => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.unexpected("a comma or the end of a list or an object")),
        }
    }

    /// The name of a member; stands behind its colon afterwards.
    pub(super) fn key(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        let raw = self.string()?;
        self.expect(b':', "a colon")?;
        if memchr::memchr(b'\\', raw).is_none() {
            return Ok(Cow::Borrowed(raw));
        }
        let mut decoded = Output::new(raw.len());
        Cursor::new(raw).decode(&mut decoded, None)?;
        Ok(Cow::Owned(decoded.written().to_vec()))
    }

    /// A string as it is written, without its quotes.
    pub(super) fn string(&mut self) -> Result<&'a [u8], Malformed> {
        self.expect(b'"', "a string")?;
        let start = self.at;
        loop {
            self.at += plain_run(self.left());
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.bytes[start..self.at - 1]);
                }
                Some(b'\\') => {
                    self.escape()?;
                }
                _ => return Err(self.unexpected("a character that may stand in a string")),
            }
        }
    }

    /// Appends what a string means.
    pub(super) fn decode_string(&mut self, output: &mut Output) -> Result<(), Malformed> {
        self.expect(b'"', "a string")?;
        self.decode(output, Some(b'"'))
    }

    /// Appends what the characters up to `end` mean, or all if there is none, and steps over it.
    /// They are never more bytes than what stands for them.
    fn decode(&mut self, output: &mut Output, end: Option<u8>) -> Result<(), Malformed> {
        output.reserve(self.left().len())?;
        loop {
            self.at += output.push_string(self.left());
            match self.bytes.get(self.at) {
                Some(b'\\') => {
                    let meant = self.escape()?;
                    output.push(meant.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(&byte) if Some(byte) == end => {
                    self.at += 1;
                    return Ok(());
                }
                None if end.is_none() => return Ok(()),
                _ => return Err(self.unexpected("a character that may stand in a string")),
            }
        }
    }

    /// Steps over an escape and returns what it means.
    fn escape(&mut self) -> Result<char, Malformed> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if let Some(meant) = short_escape(rest) {
            self.at += 2;
            return Ok(char::from(meant));
        }
        if rest.get(1) != Some(&b'u') {
            self.at += 1;
            return Err(self.unexpected("an escape"));
        }
        self.at += 2;
        self.code_point()
    }

    /// The digits of `\u`, and of a second one if both are a pair.
    fn code_point(&mut self) -> Result<char, Malformed> {
        let first = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let behind = self.at;
        if self.left().starts_with(br"\u") {
            self.at += 2;
            let second = self.four_digits()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = behind;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn four_digits(&mut self) -> Result<u32, Malformed> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.bytes.get(self.at).and_then(|&byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.unexpected("a hexadecimal digit"))?;
            self.at += 1;
        }
        Ok(code)
    }

    /// An integer as it is written.
    pub(super) fn integer(&mut self) -> Result<&'a [u8], Malformed> {
        self.peek();
        let start = self.at;
        if self.left().first() == Some(&b'-') {
            self.at += 1;
        }
        let digits = self.left().iter().take_while(|byte| byte.is_ascii_digit()).count();
        // A zero that leads others is no JSON.
        let is_number = digits == 1 || (digits > 1 && self.left()[0] != b'0');
        if !is_number {
            return Err(self.unexpected("an integer"));
        }
        self.at += digits;
        Ok(&self.bytes[start..self.at])
    }

    /// Steps over a value of any kind.
    pub(super) fn skip_value(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{' | b'[') => self.skip_nested(),
            _ => self.skip_scalar(),
        }
    }

    /// A number, `true`, `false` or `null`.
    fn skip_scalar(&mut self) -> Result<(), Malformed> {
        let is_part =
            |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let length = self.left().iter().take_while(is_part).count();
        if length == 0 {
            return Err(self.unexpected("a value"));
        }
        self.at += length;
        Ok(())
    }

    fn skip_nested(&mut self) -> Result<(), Malformed> {
        let mut depth = 0usize;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
        Err(Malformed::Truncated)
    }
}
