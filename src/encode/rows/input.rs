//! A pull parser over the bytes of one record: JSON by the letter of RFC 8259.
//!
//! It hands out pieces of the record and allocates nothing. Strings are scanned eight bytes at a
//! time; numbers are read once, and come with their digits already summed up.

use super::problem::{Problem, Read};

/// Deepest nesting of a record. Deeper ones are attacks rather than data.
pub(super) const DEPTH_MAX: u32 = 128;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// A record that is being read.
pub(in crate::encode) struct Input<'a> {
    text: &'a str,
    pub bytes: &'a [u8],
    pub at: usize,
    pub depth: u32,
}

/// A string between its quotes, escapes and all (they are valid ones).
#[derive(Clone, Copy)]
pub(in crate::encode) struct Raw<'a> {
    pub bytes: &'a [u8],
    pub escaped: bool,
}

/// A number as it stands in the record.
#[derive(Clone, Copy)]
pub(in crate::encode) struct Number<'a> {
    pub text: &'a str,
    /// All digits before the exponent as one number; wrapped if there are more than 19.
    pub digits: u64,
    /// How many digits that are.
    pub count: u32,
    /// How many of them stand behind the point.
    pub fraction: u32,
    pub negative: bool,
    /// There is a point or an exponent.
    pub float: bool,
    pub exponent: bool,
}

impl<'a> Input<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0, depth: 0 }
    }

    /// The next byte that is no white space; it is not consumed.
    #[inline]
    pub fn token(&mut self) -> Read<u8> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte > b' ' => Ok(byte),
            _ => {
                self.skip_space();
                self.bytes.get(self.at).copied().ok_or_else(|| self.malformed("Unexpected end"))
            }
        }
    }

    /// Is anything left but white space?
    pub fn more(&mut self) -> bool {
        self.skip_space();
        self.at < self.bytes.len()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    #[cold]
    pub fn malformed(&self, what: &'static str) -> Box<Problem> {
        Problem::malformed(self.at, what)
    }

    /// Consumes the opening bracket of an object or array.
    #[inline]
    pub fn open(&mut self) -> Read {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.malformed("More than 128 levels of nesting"));
        }
        Ok(())
    }

    /// Consumes the closing bracket.
    #[inline]
    pub fn close(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    /// Consumes `close` if the object or array that was just opened is empty.
    #[inline]
    pub fn empty(&mut self, close: u8) -> Read<bool> {
        let empty = self.token()? == close;
        if empty {
            self.close();
        }
        Ok(empty)
    }

    /// Consumes the comma before another member or element, or the closing bracket.
    #[inline]
    pub fn another(&mut self, close: u8) -> Read<bool> {
        match self.token()? {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            byte if byte == close => {
                self.close();
                Ok(false)
            }
            _ if close == b'}' => Err(self.malformed("Expected ',' or '}'")),
            _ => Err(self.malformed("Expected ',' or ']'")),
        }
    }

    /// Consumes the colon behind a key.
    #[inline]
    pub fn colon(&mut self) -> Read {
        if self.token()? != b':' {
            return Err(self.malformed("Expected ':'"));
        }
        self.at += 1;
        Ok(())
    }

    /// Goes to a key and consumes its opening quote.
    #[inline]
    pub fn quote(&mut self) -> Read {
        if self.token()? != b'"' {
            return Err(self.malformed("Expected a key in double quotes"));
        }
        self.at += 1;
        Ok(())
    }

    /// Consumes a word: `true`, `false`, `null`.
    #[inline]
    pub fn word(&mut self, word: &'static str) -> Read {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.malformed("Unrecognized token"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Consumes a string up to its closing quote; the opening one is consumed already.
    #[inline]
    pub fn string(&mut self) -> Read<Raw<'a>> {
        let start = self.at;
        let end = special(self.bytes, start);
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Raw { bytes: &self.bytes[start..end], escaped: false });
        }
        self.long_string(start, end)
    }

    /// The rest of a string from its first escape on.
    fn long_string(&mut self, start: usize, mut at: usize) -> Read<Raw<'a>> {
        loop {
            self.at = at;
            match self.bytes.get(at) {
                None => return Err(self.malformed("Unexpected end in a string")),
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Raw { bytes: &self.bytes[start..at], escaped: true });
                }
                Some(b'\\') => at = special(self.bytes, at + self.escape(at)?),
                Some(_) => return Err(self.malformed("Illegal unquoted control character")),
            }
        }
    }

    /// Length of the escape that begins at `at`.
    fn escape(&self, at: usize) -> Read<usize> {
        match self.bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
            Some(b'u') => match self.bytes.get(at + 2..at + 6) {
                Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => Ok(6),
                _ => Err(self.malformed("Illegal unicode escape")),
            },
            _ => Err(self.malformed("Unrecognized character escape")),
        }
    }

    /// Consumes a number.
    #[inline]
    pub fn number(&mut self) -> Read<Number<'a>> {
        let start = self.at;
        let mut at = start;
        let negative = self.bytes[at] == b'-';
        at += usize::from(negative);
        let whole = at;
        let mut digits = 0_u64;
        at = sum(self.bytes, at, &mut digits);
        let mut count = at - whole;
        if count == 0 || (count > 1 && self.bytes[whole] == b'0') {
            self.at = at;
            let what = if count == 0 { "Expected a value" } else { "Leading zeros in a number" };
            return Err(self.malformed(what));
        }
        let mut fraction = 0;
        let (mut float, mut exponent) = (false, false);
        if let Some(b'.' | b'e' | b'E') = self.bytes.get(at) {
            float = true;
            if self.bytes[at] == b'.' {
                let end = sum(self.bytes, at + 1, &mut digits);
                fraction = end - at - 1;
                count += fraction;
                at = end;
                if fraction == 0 {
                    return Err(self.digit_missing(at));
                }
            }
            if let Some(b'e' | b'E') = self.bytes.get(at) {
                exponent = true;
                at = self.exponent(at)?;
            }
        }
        self.at = at;
        let text = &self.text[start..at];
        // A record is far below 4 GiB, so the counts fit.
        let (count, fraction) = (count as u32, fraction as u32);
        Ok(Number { text, digits, count, fraction, negative, float, exponent })
    }

    /// The end of the exponent that begins at `at`.
    fn exponent(&mut self, mut at: usize) -> Read<usize> {
        at += 1;
        if let Some(b'+' | b'-') = self.bytes.get(at) {
            at += 1;
        }
        let end = sum(self.bytes, at, &mut 0);
        if end == at { Err(self.digit_missing(at)) } else { Ok(end) }
    }

    #[cold]
    fn digit_missing(&mut self, at: usize) -> Box<Problem> {
        self.at = at;
        self.malformed("Expected a digit")
    }
}

impl Number<'_> {
    /// A double takes it for infinite.
    pub fn is_beyond_double(&self) -> bool {
        /// Numbers of so many digits are within its range if no exponent moves them.
        const DIGITS_SURE: u32 = 300;
        (self.exponent || self.count > DIGITS_SURE)
            && self.text.parse::<f64>().is_ok_and(f64::is_infinite)
    }

    /// All its digits are in `digits` and no exponent moves them.
    #[inline]
    pub fn plain(&self) -> bool {
        self.count <= 18 && !self.exponent
    }

    /// The whole number that it is, if it is a small one.
    #[inline]
    pub fn whole(&self) -> Option<i64> {
        if self.float || self.count > 18 {
            return None;
        }
        let value = self.digits as i64;
        Some(if self.negative { -value } else { value })
    }
}

/// Adds the digits from `at` on to `digits`; where they end.
#[inline]
fn sum(bytes: &[u8], mut at: usize, digits: &mut u64) -> usize {
    while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0'))
        && digit < 10
    {
        *digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    at
}

/// The place of the first quote, backslash or control character from `at` on, or the end.
#[inline]
fn special(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        // A byte that is zero after the XOR, or below 32, borrows into its highest bit; bytes of
        // other scripts have that bit anyway and are masked out. The lowest bit that is set is
        // exact; higher ones may be borrowed from it.
        let found = ((word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES)
            | (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES)
            | word.wrapping_sub(ONES * 0x20))
            & !word
            & HIGH;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at)
        && byte != b'"'
        && byte != b'\\'
        && byte >= b' '
    {
        at += 1;
    }
    at.min(bytes.len())
}

impl Raw<'_> {
    /// Appends what the string means. Halves of surrogate pairs that stand alone, which UTF-8
    /// cannot hold, become U+FFFD.
    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>) {
        if self.escaped {
            unescape(self.bytes, out);
        } else {
            out.extend_from_slice(self.bytes);
        }
    }
}

fn unescape(mut raw: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', raw) {
        out.extend_from_slice(&raw[..at]);
        let (byte, mut used) = (raw[at + 1], at + 2);
        match byte {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let (char, length) = unit(&raw[at..]);
                used = at + length;
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
        raw = &raw[used..];
    }
    out.extend_from_slice(raw);
}

/// The character of a `\u` escape, and how long the escape is (two of them are a pair).
fn unit(raw: &[u8]) -> (char, usize) {
    let high = hex(&raw[2..6]);
    if let Some(char) = char::from_u32(high) {
        return (char, 6);
    }
    if (0xD800..0xDC00).contains(&high)
        && let Some([b'\\', b'u', rest @ ..]) = raw.get(6..12)
    {
        let low = hex(rest);
        if (0xDC00..0xE000).contains(&low) {
            let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
        }
    }
    (char::REPLACEMENT_CHARACTER, 6)
}

fn hex(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |sum, &digit| sum << 4 | char::from(digit).to_digit(16).unwrap_or(0))
}
